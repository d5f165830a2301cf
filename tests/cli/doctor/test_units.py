from wallet_guard.cli.doctor.units import SANDBOX, SERVICES

UNITS = "/etc/systemd/system"


def test_a_drop_in_that_only_adds_an_address_is_well(guard):
    text = "[Socket]\nListenStream=10.0.0.1:8443\nIPAddressAllow=10.0.0.0/24\n"
    guard.write(f"{UNITS}/wallet-guard-tcp.socket.d/override.conf", text)
    assert guard.findings("unit-drop-ins") == []


def test_a_drop_in_for_the_log_is_well(guard):
    guard.write(f"{UNITS}/wallet-guard-signer.service.d/x.conf", "[Service]\n# PrivateNetwork=no\nLogLevelMax=info\n")
    assert guard.findings("unit-drop-ins") == []


def test_every_sandbox_setting_of_our_units_is_known(guard):
    plain = {
        *("Type", "NotifyAccess", "SyslogIdentifier", "Sockets", "Restart", "RestartSec", "WatchdogSec"),
        *("TimeoutStartSec", "TimeoutStopSec", "LoadCredential", "LoadCredentialEncrypted", "StateDirectory"),
        *("SystemCallErrorNumber", "LimitNOFILE", "TasksMax", "MemoryMax", "OOMPolicy"),
    }
    for unit in (*SERVICES, "wallet-guard-hub.service"):
        section = guard.at(f"{UNITS}/{unit}").read_text().split("[Service]")[1].split("[Install]")[0]
        keys = {line.partition("=")[0] for line in section.splitlines() if "=" in line and not line.startswith("#")}
        assert keys - plain <= SANDBOX, unit


def test_only_the_hosts_guard_is_asked_for_units(guard):
    guard.at(f"{UNITS}/wallet-guard-signer.service").unlink()
    assert {result.skipped for result in guard.results() if result.check == "unit-drift"} == {
        "only for the guard of the host's services"
    }


def test_a_service_manager_that_cannot_be_asked_is_skipped(guard):
    guard.says["systemctl"] = None
    assert {result.skipped for result in guard.results() if result.check == "units-running"} == {
        "systemctl does not say"
    }
