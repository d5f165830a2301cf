"""The units, as files: how exposed they are, that systemd has nothing to say against them, that they fit the code."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from wallet_guard.chain.__main__ import HUB_SOCKET
from wallet_guard.gateway.__main__ import LIMITS
from wallet_guard.gateway.listeners import INHERITED_PREFIX, METRICS_NAME
from wallet_guard.hub.__main__ import INHERITED_PREFIX as PEERS
from wallet_guard.realtime.limits import VALIDATOR_LIMITS
from wallet_guard.signer.__main__ import MODES

UNITS = Path(__file__).parents[1] / "systemd"

EXPOSURE = {
    "wallet-guard-signer.service": 0.4,
    "wallet-guard.service": 1.2,
    "wallet-guard-chain.service": 1.5,
    "wallet-guard-hub.service": 1.3,
}
"""Ceilings of `systemd-analyze security`: 0 is nothing left to take away, 10 is a bare service."""

SERVICES = tuple(EXPOSURE)

EVERYWHERE = {
    "Type": "notify",
    "UMask": "0077",
    "ProtectSystem": "strict",
    "NoNewPrivileges": "yes",
    "CapabilityBoundingSet": "",
    "MemoryDenyWriteExecute": "yes",
    "LimitCORE": "0",
    "StartLimitIntervalSec": "0",
    "Restart": "on-failure",
}

analyze = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="LOUD: no systemd-analyze on this machine")


def settings(unit: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in (UNITS / unit).read_text(encoding="utf-8").splitlines():
        if line and line[0] not in "#[":
            name, _, value = line.partition("=")
            found.setdefault(name, []).append(value)
    return found


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@analyze
@pytest.mark.parametrize("unit", SERVICES)
def test_exposure_is_at_most_what_was_promised(unit):
    done = run("systemd-analyze", "security", "--offline=true", "--no-pager", str(UNITS / unit))
    (found,) = re.findall(r"Overall exposure level for \S+: ([0-9.]+)", done.stdout)
    assert float(found) <= EXPOSURE[unit], done.stdout


@analyze
def test_systemd_has_nothing_to_say_against_the_units(tmp_path):
    for path in UNITS.glob("*.s*t*"):
        shutil.copy(path, tmp_path)
    for path in UNITS.glob("*.service"):
        # The environments are made at installation; here any program does.
        text = re.sub(r"^ExecStart=/opt/wallet-guard/\S+", "ExecStart=/bin/true", path.read_text(), flags=re.MULTILINE)
        (tmp_path / path.name).write_text(text)
    done = run("systemd-analyze", "verify", "--man=no", *map(str, sorted(tmp_path.glob("wallet-guard*"))))
    # It ends with 0 even at an unknown key.
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@analyze
def test_systemd_would_speak_up_against_a_wrong_key(tmp_path):
    (tmp_path / "wrong.service").write_text("[Service]\nExecStart=/bin/true\nPrivateNetworks=yes\n")
    done = run("systemd-analyze", "verify", "--man=no", str(tmp_path / "wrong.service"))
    assert "PrivateNetworks" in done.stderr


@pytest.mark.skipif(shutil.which("systemd-sysusers") is None, reason="LOUD: no systemd-sysusers on this machine")
def test_systemd_makes_the_users_and_has_nothing_to_say_against_them(tmp_path):
    (tmp_path / "etc").mkdir()
    done = run("systemd-sysusers", f"--root={tmp_path}", str(UNITS / "wallet-guard.sysusers"))
    assert done.returncode == 0
    assert "not a valid" not in done.stderr, done.stderr
    made = (tmp_path / "etc" / "passwd").read_text()
    assert [line.split(":")[0] for line in made.splitlines()] == [settings(unit)["User"][0] for unit in SERVICES]


@pytest.mark.parametrize("unit", SERVICES)
@pytest.mark.parametrize("name", EVERYWHERE)
def test_every_service_has(unit, name):
    assert settings(unit)[name] == [EVERYWHERE[name]]


@pytest.mark.parametrize("unit", SERVICES)
def test_every_service_has_a_uid_of_its_own_that_sysusers_makes(unit):
    (user,) = settings(unit)["User"]
    assert settings(unit)["Group"] == [user]
    assert re.search(rf"^u {user} ", (UNITS / "wallet-guard.sysusers").read_text(), re.MULTILINE)
    assert sum(settings(other)["User"] == [user] for other in SERVICES) == 1


@pytest.mark.parametrize("unit", SERVICES)
def test_every_service_is_isolated_python_of_the_right_environment(unit):
    (command,) = settings(unit)["ExecStart"]
    environment = "chain" if unit == "wallet-guard-chain.service" else "guard"
    assert command.startswith(f"/opt/wallet-guard/current/{environment}/bin/python -I -m wallet_guard.")


@pytest.mark.parametrize("unit", SERVICES)
def test_the_watchdog_waits_longer_than_the_slowest_round(unit):
    (seconds,) = settings(unit)["WatchdogSec"]
    assert int(seconds) >= 30


@pytest.mark.parametrize("unit", SERVICES)
def test_nothing_is_executable_where_something_is_writable(unit):
    found = settings(unit)
    paths = found["NoExecPaths"][0].replace("-/", "/").split()
    assert {
        "/",
        "/tmp",
        "/var/tmp",
        "/run",
        "/dev/shm",
        *(f"/var/lib/{name}" for name in found.get("StateDirectory", [])),
    } == {*paths}
    assert "/run" in found["ReadOnlyPaths"]
    assert "~memfd_create" in found["SystemCallFilter"]


WITHOUT_NETWORK = ("wallet-guard-signer.service", "wallet-guard.service", "wallet-guard-hub.service")


@pytest.mark.parametrize("unit", WITHOUT_NETWORK)
def test_all_but_the_chain_process_have_no_network(unit):
    found = settings(unit)
    assert found["PrivateNetwork"] == ["yes"]
    assert found["RestrictAddressFamilies"] == ["AF_UNIX"]
    assert found["IPAddressDeny"] == ["any"]


@pytest.mark.parametrize("unit", WITHOUT_NETWORK[:2])
def test_signer_and_gateway_see_real_uids(unit):
    assert "PrivateUsers" not in settings(unit)


# The hub's sockets are there only where it is enabled, so the units that own them must not want them.
@pytest.mark.parametrize("name", sorted(MODES.keys() - {"hub"}))
def test_the_signer_is_given_the_sockets_that_it_expects(name):
    socket = settings(f"wallet-guard-signer-{name}.socket")
    assert socket["FileDescriptorName"] == [name]
    assert socket["ListenStream"] == [f"/run/wallet-guard/signer-{name}.sock"]
    assert socket["SocketMode"] == [f"{MODES[name]:04o}"]
    assert f"wallet-guard-signer-{name}.socket" in settings("wallet-guard-signer.service")["Sockets"][0].split()


@pytest.mark.parametrize("name", ["wallet-guard.socket", "wallet-guard-tcp.socket"])
def test_the_gateway_is_given_sockets_for_clients(name):
    assert settings(name)["FileDescriptorName"][0].startswith(INHERITED_PREFIX)
    assert name in settings("wallet-guard.service")["Sockets"][0].split()


def test_the_gateway_may_open_what_its_ceiling_on_connections_says():
    (files,) = settings("wallet-guard.service")["LimitNOFILE"]
    assert int(files) >= LIMITS.max_connections + 256


def test_by_default_tcp_is_for_this_host():
    found = settings("wallet-guard-tcp.socket")
    assert found["ListenStream"] == ["127.0.0.1:8000"]
    assert (found["IPAddressDeny"], found["IPAddressAllow"]) == (["any"], ["localhost"])


def test_figures_are_told_to_this_host_by_a_socket_that_nothing_wants():
    found = settings("wallet-guard-metrics.socket")
    assert (found["FileDescriptorName"], found["Service"]) == ([METRICS_NAME], ["wallet-guard.service"])
    assert found["ListenStream"] == ["127.0.0.1:9464"]
    assert (found["IPAddressDeny"], found["IPAddressAllow"]) == (["any"], ["localhost"])
    assert not any("wallet-guard-metrics.socket" in path.read_text() for path in UNITS.glob("*.service"))


@pytest.mark.parametrize(
    ("socket", "service", "name", "path"),
    [
        ("wallet-guard-signer-hub", "wallet-guard-signer.service", "hub", "/run/wallet-guard/signer-hub.sock"),
        ("wallet-guard-chain-hub", "wallet-guard-chain.service", HUB_SOCKET, "/run/wallet-guard/chain-hub.sock"),
    ],
)
def test_the_hub_asks_on_sockets_that_only_its_group_can_open(socket, service, name, path):
    found = settings(f"{socket}.socket")
    assert (found["Service"], found["FileDescriptorName"], found["ListenStream"]) == ([service], [name], [path])
    assert (found["SocketUser"], found["SocketGroup"], found["SocketMode"]) == (
        ["root"],
        ["wallet-guard-hub"],
        ["0660"],
    )
    assert f"{socket}.socket" in settings("wallet-guard-hub.service")["Requires"][0].split()
    assert f"{socket}.socket" not in (UNITS / service).read_text()


def test_the_hub_is_given_a_socket_for_peers_of_this_host():
    found = settings("wallet-guard-hub.socket")
    assert found["FileDescriptorName"][0].startswith(PEERS)
    assert found["ListenStream"] == ["127.0.0.1:8091"]
    assert (found["IPAddressDeny"], found["IPAddressAllow"]) == (["any"], ["localhost"])
    assert settings("wallet-guard-hub.service")["Sockets"] == ["wallet-guard-hub.socket"]


def test_the_hub_may_open_what_its_ceiling_on_connections_says():
    (files,) = settings("wallet-guard-hub.service")["LimitNOFILE"]
    assert int(files) >= VALIDATOR_LIMITS.max_connections + 256


def test_the_hub_starts_with_the_guard_where_it_is_enabled():
    assert "WantedBy=wallet-guard.service" in (UNITS / "wallet-guard-hub.service").read_text()
    assert "hub" not in settings("wallet-guard.service").get("Wants", [""])[0]
