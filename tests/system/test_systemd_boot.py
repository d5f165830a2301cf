"""The guard installed on a real systemd that is booted for it: start, work, sandbox, faults, stop, upgrade, uninstall.

The tests of this module share one booted system and go from top to bottom. It has no network: packages come from a
folder that was filled outside, with the hashes of hardening/locks/. What is printed (pytest -rP) is the transcript of
hardening/deployment-evidence.md.
"""

import contextlib
import hashlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TOOL = Path(__file__).with_name("systemd_box")
BOX = os.environ.get("SYSTEMD_BOX", "/var/tmp/wallet-guard-tests")
METRICS = "http://127.0.0.1:9464/metrics"
NAME = f"wgbox{os.getpid()}"
ENDPOINT = "127.0.0.1:9944"
SERVICES = {
    "signer": "wallet-guard-signer.service",
    "gateway": "wallet-guard.service",
    "chain": "wallet-guard-chain.service",
    "hub": "wallet-guard-hub.service",
}
SOCKETS = (
    *("gateway.sock", "chain-hub.sock"),
    *("signer-admin.sock", "signer-chain.sock", "signer-gateway.sock", "signer-hub.sock"),
)

MISSING = subprocess.run([TOOL, "missing"], capture_output=True, text=True, check=False).stdout.split("\n")[:-1]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(MISSING), reason=f"LOUD: nothing of systemd is tested; missing: {', '.join(MISSING)}"),
]


def say(text):
    print(f"[{time.strftime('%H:%M:%S')}] {text}", flush=True)


class Box:
    """The booted system."""

    def __init__(self, folder):
        self.folder = folder
        self.token = ""

    def try_run(self, *words, seconds=600, given=None):
        return subprocess.run(
            [TOOL, "run", NAME, *words], capture_output=True, text=True, timeout=seconds, input=given, check=False
        )

    def run(self, *words, **options):
        """What a program inside prints; it must end with 0."""
        done = self.try_run(*words, **options)
        assert done.returncode == 0, f"{shlex.join(words)}: {done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        return done.stdout

    def shell(self, script, **options):
        return self.run("bash", "-euc", script, **options)

    def pid(self, process):
        return int(self.run("systemctl", "show", "--property=MainPID", "--value", SERVICES[process]))

    def active(self, unit):
        return self.try_run("systemctl", "is-active", unit).stdout.strip()

    def restarts(self, process):
        return int(self.run("systemctl", "show", "--property=NRestarts", "--value", SERVICES[process]))

    def journal(self, *words):
        return self.run("journalctl", "--no-pager", "--output=cat", *words)

    def wait(self, what, look, seconds=60.0):
        ends = time.monotonic() + seconds
        while not (found := look()):
            assert time.monotonic() < ends, f"not within {seconds:g} s: {what}\n{self.journal('-n60')}"
            time.sleep(0.2)
        return found

    def ready(self):
        """Is the whole guard at work?"""
        return self.try_run("curl", "-sf", "-m5", "http://127.0.0.1:8000/ready").returncode == 0

    def set_weights(self, user, door="unix", netuid=2, key=None):
        """POST /wallet/set_weights by curl as that user: (curl's exit status, HTTP status, body)."""
        where = ["--unix-socket", "/run/wallet-guard/gateway.sock"] if door == "unix" else []
        host = "localhost" if door == "unix" else "127.0.0.1:8000"
        data = {"netuid": netuid, "uids": [1, 2, 3], "weights": [100, 200, 300], "wait_for_inclusion": True}
        body = {"wallet_name": "validator", "hotkey_name": "default", "transaction_data": data}
        fields = [f"Authorization: Bearer {self.token}", "Content-Type: application/json"]
        fields += [f"Idempotency-Key: {key}"] if key else []
        words = ["curl", "-s", "-m", "90", "-w", "\n%{http_code}", *where, f"http://{host}/wallet/set_weights"]
        words += [word for field in fields for word in ("-H", field)] + ["-d", json.dumps(body)]
        done = self.try_run("setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups", *words)
        text, _, status = done.stdout.rpartition("\n")
        return done.returncode, int(status or 0), json.loads(text) if text.strip().startswith("{") else text

    def devnet(self, method, *words):
        program = "/opt/wallet-guard/current/chain/bin/wallet-guard"
        return json.loads(self.run(program, "devnet", "ask", f"ws://{ENDPOINT}", method, *words))


def wheels():
    """A folder with what the locks name, and what builds our own wheel; filled once for each state of the locks."""
    locks = [ROOT / "hardening/locks" / name for name in ("chain.txt", "build.txt")]
    digest = hashlib.sha256(b"".join(lock.read_bytes() for lock in locks)).hexdigest()[:12]
    folder = Path(BOX, f"wheels-{digest}")
    if not folder.exists():
        part = folder.with_suffix(f".{os.getpid()}")
        # The Python inside is Debian 12's, whatever runs this test.
        kinds = ["--only-binary=:all:", "--python-version=3.11", "--implementation=cp"]
        kinds += [f"--abi={abi}" for abi in ("cp311", "abi3", "none")]
        platforms = ("manylinux_2_34", "manylinux_2_28", "manylinux_2_17", "manylinux2014", "manylinux1")
        kinds += [f"--platform={platform}_{os.uname().machine}" for platform in platforms]
        for lock in locks:
            command = [sys.executable, "-m", "pip", "download", "--quiet", "--require-hashes", "--no-deps", *kinds]
            subprocess.run([*command, "-r", lock, "-d", part], check=True, timeout=300)
        part.rename(folder)
    return folder


def copy_tree(target, version=None):
    """What is installed: the tree as it is, or one that says that it is another version."""
    from wallet_guard.cli.distribution import copy_sources

    copy_sources(ROOT, target)
    if version:
        for name, pattern in (("setup.cfg", "version = "), ("wallet_guard/__init__.py", "__version__ = ")):
            path = target / name
            text, count = re.subn(rf"(?m)^{pattern}(\"?)[\d.]+", rf"{pattern}\g<1>{version}", path.read_text())
            assert count == 1, path
            path.write_text(text)


@pytest.fixture(scope="module")
def box(tmp_path_factory):
    folder = tmp_path_factory.mktemp("box")
    folder.chmod(0o755)
    copy_tree(folder / "new")
    copy_tree(folder / "old", "0.0.9")
    shutil.copy(Path(__file__).with_name("sandbox_probe.py"), folder)
    for left in Path(BOX).glob("run-wgbox*"):
        # Of a run that was killed before it could clean up.
        if not Path("/proc", left.name.removeprefix("run-wgbox")).exists():
            subprocess.run([TOOL, "down", left.name.removeprefix("run-")], check=False, timeout=60)
    subprocess.run([TOOL, "build"], check=True, timeout=600)
    binds = [f"--bind-ro={folder}:/test", f"--bind-ro={wheels()}:/wheels"]
    begun = time.monotonic()
    subprocess.run([TOOL, "up", NAME, *binds], check=True, timeout=90)
    version = subprocess.run([TOOL, "run", NAME, "systemctl", "--version"], capture_output=True, text=True, check=True)
    say(f"booted {version.stdout.splitlines()[0]} in {time.monotonic() - begun:.1f} s")
    try:
        yield Box(folder)
    finally:
        subprocess.run([TOOL, "down", NAME], check=True, timeout=60)


PIP = "export PIP_NO_INDEX=1 PIP_FIND_LINKS=/wheels PIP_ROOT_USER_ACTION=ignore PIP_DISABLE_PIP_VERSION_CHECK=1"
INSTALL = f"/root/operator/bin/wallet-guard install --system --network local --endpoint ws://{ENDPOINT} --block-time 1"
INSTALL += " --hub 2"


def test_installs_what_it_showed_before(box):
    box.shell(
        # A metadata service, as clouds have one: whoever is not kept from it is told that nobody listens.
        f"{PIP}; ip link set lo up; ip addr add 169.254.169.254/32 dev lo; touch /tmp/of-the-host;"
        "useradd -m node; useradd -m stranger;"
        "cp -r /test/old /root/source; python3 -m venv /root/operator; /root/operator/bin/pip install -q /root/source"
    )
    shown = box.shell(f"{PIP}; {INSTALL} --from /root/source")
    assert "nothing was changed; 24 steps to do with --apply" in shown
    assert box.try_run("ls", "/opt/wallet-guard").returncode != 0
    begun = time.monotonic()
    done = box.shell(f"{PIP}; {INSTALL} --from /root/source --apply")
    say(f"installed in {time.monotonic() - begun:.1f} s")
    assert [line.split()[1:] for line in done.splitlines() if line.startswith("  doing")] == [
        line.split()[2:] for line in shown.splitlines() if line.startswith("  to do")
    ]
    again = box.shell(f"{PIP}; {INSTALL} --from /root/source --apply")
    assert "  doing" not in again
    packages = box.shell("ls /opt/wallet-guard/current/guard/lib/python3*/site-packages").split()
    say(f"the signer's environment: {' '.join(packages)}")
    assert "bittensor" not in packages
    assert "pip" not in packages


def test_imports_a_hotkey_for_the_signer_alone(box):
    box.shell("""
        mkdir -p -m 700 /root/w/validator/hotkeys
        /opt/wallet-guard/current/guard/bin/python -I -c '
import bittensor_core, os
for name, uri in (("default", "//Alice"), ("sealed", "//Bob")):
    path = f"/root/w/validator/hotkeys/{name}"
    with open(path, "wb") as opened:
        opened.write(bytes(bittensor_core.serialized_keypair_to_keyfile_data(bittensor_core.Keypair.create_from_uri(uri))))
    os.chmod(path, 0o600)'
    """)
    refused = box.try_run(
        "/opt/wallet-guard/current/chain/bin/wallet-guard", "key", "import", "/root/w/validator/hotkeys/default"
    )
    assert refused.returncode == 78
    assert "expected an environment without the bittensor SDK" in refused.stderr
    said = box.run("wallet-guard", "key", "import", "/root/w/validator/hotkeys/default")
    assert "shred --remove /root/w/validator/hotkeys/default" in said
    found = box.run("stat", "-c", "%U %a", "/var/lib/wallet-guard/wallets/validator/hotkeys/default")
    assert found.split() == ["wallet-guard-signer", "600"]


def test_starts_with_one_word(box):
    box.run("systemd-run", "--quiet", "--unit=devnet", "/opt/wallet-guard/current/chain/bin/wallet-guard", "devnet",
            "--listen", ENDPOINT, "--block-time", "1")  # fmt: skip
    box.run("usermod", "--append", "--groups", "wallet-guard", "node")
    begun = time.monotonic()
    box.run("systemctl", "start", "wallet-guard")
    say(f"systemctl start wallet-guard: {time.monotonic() - begun:.1f} s")
    box.wait("every part is ready", box.ready)
    assert [box.active(unit) for unit in SERVICES.values()] == ["active"] * len(SERVICES)
    box.token = box.run("wallet-guard", "client", "add", "my-validator", "--netuid", "2", "--per-hour", "10000").strip()
    status = box.run("wallet-guard", "status")
    say(f"wallet-guard status:\n{status}")
    assert "version 0.0.9" in status
    sockets = box.shell("stat -c '%n %U %G %a' /run/wallet-guard/*").splitlines()
    assert [line.removeprefix("/run/wallet-guard/") for line in sockets] == [
        "chain-hub.sock root wallet-guard-hub 660",
        "gateway.sock root wallet-guard 660",
        "signer-admin.sock root root 600",
        "signer-chain.sock root wallet-guard-chain 660",
        "signer-gateway.sock root wallet-guard-gateway 660",
        "signer-hub.sock root wallet-guard-hub 660",
    ]


def test_doctor_finds_nothing_to_mend_and_then_what_is_planted(box):
    def faults():
        done = box.try_run("wallet-guard", "doctor", "--json")
        found = [finding for finding in json.loads(done.stdout)["findings"] if finding["severity"] == "fault"]
        say("doctor: " + ("; ".join(f"{each['check']}: {each['found']}" for each in found) or "no fault"))
        return done.returncode, {finding["check"] for finding in found}

    box.wait("doctor finds no fault", lambda: faults() == (0, set()))
    box.shell(f"""
        chmod 0644 {KEY}
        chmod 0666 /etc/wallet-guard/wallet-guard.toml
        mkdir -p /etc/systemd/system/wallet-guard-signer.service.d
        printf '[Service]\\nLimitCORE=infinity\\n' >/etc/systemd/system/wallet-guard-signer.service.d/loose.conf
        cp /etc/systemd/system/wallet-guard-chain.service /root/unit
        echo '# another' >>/etc/systemd/system/wallet-guard-chain.service
        touch /opt/wallet-guard/current/guard/lib/python3.11/site-packages/evil.pth
    """)
    status, found = faults()
    assert status == 1
    assert found >= {"hotkeys", "configuration-file", "unit-drop-ins", "unit-drift", "units-running"}
    assert "environment-files" in found
    box.shell(f"""
        chmod 0600 {KEY}
        chmod 0644 /etc/wallet-guard/wallet-guard.toml
        rm -r /etc/systemd/system/wallet-guard-signer.service.d
        cp /root/unit /etc/systemd/system/wallet-guard-chain.service
        rm /opt/wallet-guard/current/guard/lib/python3.11/site-packages/evil.pth
        systemctl daemon-reload
    """)
    assert faults() == (0, set())


def test_figures_are_for_prometheus_once_their_socket_is_enabled(box):
    assert box.try_run("curl", "-sf", "-m5", METRICS).returncode == 7
    box.run("systemctl", "--quiet", "enable", "wallet-guard-metrics.socket")
    box.run("systemctl", "stop", "wallet-guard")
    box.run("systemctl", "start", "wallet-guard-metrics.socket", "wallet-guard")
    box.wait("every part is ready", box.ready)
    text = box.run("setpriv", "--reuid=stranger", "--regid=stranger", "--clear-groups", "curl", "-sf", "-m5", METRICS)
    for process in ("gateway", "signer", "chain"):
        assert f'wallet_guard_up{{process="{process}"}} 1' in text
    resident = [line for line in text.splitlines() if line.startswith("wallet_guard_process_resident_memory_bytes")]
    say("figures:\n" + "\n".join(resident))
    assert all(float(line.rpartition(" ")[2]) > 0 for line in resident)
    assert box.token not in text


def test_the_hub_greets_with_a_certificate_of_the_signer_and_knows_who_is_registered(box):
    def health():
        return json.loads(box.try_run("curl", "-sf", "-m5", "http://127.0.0.1:8091/ws/health").stdout or "{}")

    box.wait("the hub has its certificate", lambda: health().get("status") == "ok")
    said = box.journal("-u", SERVICES["hub"])
    assert "greets for 5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY on subnet 2" in said
    assert "cannot be told" not in said.rpartition("greets for")[2]
    metrics = box.run("curl", "-sf", "-m5", "http://127.0.0.1:8091/metrics")
    assert "btws_connections 0" in metrics
    opening = ("-H", "Connection: Upgrade", "-H", "Upgrade: websocket", "-H", "Sec-WebSocket-Version: 13")
    key = ("-H", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==", "-H", "Sec-WebSocket-Protocol: btws.1")
    refused = box.run("curl", "-s", "-m5", *opening, *key, "http://127.0.0.1:8091/ws")
    say(f"a stranger at the hub: {refused.strip()}")
    assert json.loads(refused)["error"]["code"] == "format"


@pytest.mark.parametrize("door", ["unix", "tcp"])
def test_sets_weights_by_curl_from_another_uid(box, door):
    status, http, body = box.set_weights("node", door)
    say(f"curl as node by {door}: {http} {body['message']}")
    assert (status, http, body["success"]) == (0, 200, True)
    rows = box.devnet("devnet_weights", "2")
    assert any(row for row in rows.values())


def test_refuses_a_uid_that_is_not_in_the_group(box):
    status, http, _ = box.set_weights("stranger")
    say(f"curl as stranger: exit status {status}, no connection")
    assert (status, http) == (7, 0)


def test_refuses_a_wrong_token(box):
    right, box.token = box.token, "wg_" + "A" * 43
    try:
        _, http, body = box.set_weights("node")
    finally:
        box.token = right
    assert (http, body["success"]) == (401, False)


@pytest.mark.parametrize("name", SOCKETS[1:])
def test_the_signers_sockets_are_closed_to_others(box, name):
    script = f"import socket; socket.socket(socket.AF_UNIX).connect('/run/wallet-guard/{name}')"
    for user in ("node", "stranger", "wallet-guard-chain", "wallet-guard-gateway", "wallet-guard-hub"):
        done = box.try_run("setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups", "python3", "-c", script)
        allowed = name in (f"{user.replace('wallet-guard', owner)}.sock" for owner in ("signer", "chain"))
        assert (done.returncode == 0) is allowed, (user, name, done.stderr)


# The sandbox, from inside ------------------------------------------------------------------------------------------

REFUSED = {
    "write below /etc": "read-only",
    "write below /usr": "read-only",
    # Root's, and there are no capabilities; ExecPaths= takes it out of what ProtectSystem=strict makes read-only.
    "write below /opt/wallet-guard": "EACCES",
    "write below /run": "read-only",
    "write below /var": "read-only",
    "list /root": "EACCES",
    "list /home": "EACCES",
    "see the host's /tmp": "no",
    "run /bin/true": "EACCES",
    "run a program of its own": ["EACCES"] * 4,
    "run a program from memory": "EPERM",
    "map writable executable memory": "EPERM",
    "trace another process": ["EPERM"] * 3,
    "read another's environment": ["ENOENT"] * 3,
    "read another's memory": ["ENOENT"] * 3,
    "see another process": ["no"] * 3,
    "make a netlink socket": "EAFNOSUPPORT",
    "make a packet socket": "EAFNOSUPPORT",
    "open /dev/kmsg": "ENOENT",
    "open /dev/mem": "ENOENT",
    "write /proc/sys": "ENOENT",
    "mount": "EPERM",
    "make a user namespace": "EPERM",
    "load a kernel module": "EPERM",
    "add a key to the keyring": "EPERM",
    "set the host's name": "EPERM",
    "set realtime priority": "EPERM",
    "become another user": "EPERM",
    "make a set-uid file": "EPERM",
    "change personality": "EPERM",
    "capabilities": "0000000000000000",
    "no new privileges": "1",
    "core dump": "0",
    "umask": "0077",
}
NO_NETWORK = {
    "tcp to the chain's endpoint": "EAFNOSUPPORT",
    "tcp to another port of this host": "EAFNOSUPPORT",
    "tcp to the metadata service": "EAFNOSUPPORT",
    "make an IPv6 socket": "EAFNOSUPPORT",
    "network interfaces": "lo",
}
KEY = "/var/lib/wallet-guard/wallets/validator/hotkeys/default"
JOURNAL = "/var/lib/wallet-guard/state/journal.sqlite3"
EXPECTED = {
    "signer": {**REFUSED, **NO_NETWORK, "write the state": "yes", "read others' files": ["EACCES", "EACCES"]},
    "gateway": {**REFUSED, **NO_NETWORK, "read others' files": ["EACCES", "EACCES", "EACCES"]},
    "hub": {**REFUSED, **NO_NETWORK, "read others' files": ["EACCES", "EACCES", "EACCES"]},
    "chain": {
        **REFUSED,
        "tcp to the chain's endpoint": "yes",
        "tcp to the metadata service": "TimeoutError",
        "make an IPv6 socket": "yes",
        "read others' files": ["EACCES", "EACCES", "EACCES"],
    },
}
OTHERS = {
    "signer": "/opt/wallet-guard/current/chain/pyvenv.cfg,/etc/shadow",
    "gateway": f"{KEY},{JOURNAL},/etc/shadow",
    "chain": f"{KEY},{JOURNAL},/etc/shadow",
    "hub": f"{KEY},{JOURNAL},/etc/shadow",
}


def probe(box, process, *, sandboxed):
    """What the probe finds in a copy of that process's unit, or as root without any."""
    others = ",".join(str(box.pid(other)) for other in SERVICES if other != process)
    state = "/var/lib/wallet-guard" if process == "signer" else "/tmp"
    arguments = f"/test/sandbox_probe.py {ENDPOINT} {others} {state} {OTHERS[process]}"
    text = (ROOT / "systemd" / SERVICES[process]).read_text()
    python = re.search(r"^ExecStart=(\S+ -I) ", text, re.MULTILINE)[1]
    if not sandboxed:
        text = "[Service]\nType=notify\nExecStart=x\n"
    unit = f"probe-{process}.service"
    for pattern, replacement in (
        (r"^ExecStart=.*$", f"ExecStart={python} {arguments}"),
        (r"^Type=notify$", "Type=oneshot"),
        (
            r"^(Restart|RestartSec|WatchdogSec|Sockets|PartOf|Wants|Requires|After|NotifyAccess|SyslogIdentifier)=.*$",
            "",
        ),
    ):
        text = re.sub(pattern, replacement, text, flags=re.MULTILINE)
    box.run("bash", "-c", f"cat >/run/systemd/system/{unit}", given=text)
    box.run("systemctl", "daemon-reload")
    box.run("systemctl", "start", unit)
    box.run("journalctl", "--sync")
    (line,) = [line for line in box.journal("-u", unit).splitlines() if line.startswith("PROBE ")][-1:]
    return json.loads(line.removeprefix("PROBE "))


@pytest.mark.parametrize("process", SERVICES)
def test_each_setting_of_the_sandbox_is_enforced(box, process):
    found = probe(box, process, sandboxed=True)
    expected = EXPECTED[process]
    for name in sorted(found):
        say(f"{process:8} {name:34} {found[name]}")
    assert {name: found[name] for name in expected} == expected


def test_without_a_sandbox_the_same_attempts_succeed(box):
    found = probe(box, "gateway", sandboxed=False)
    can = {name for name, result in found.items() if set(result if isinstance(result, list) else [result]) == {"yes"}}
    # What this container itself, or its kernel, has taken away cannot be shown here.
    missing = set(REFUSED) - can - {"open /dev/kmsg", "open /dev/mem", "load a kernel module", "write /proc/sys"}
    assert missing <= {"capabilities", "no new privileges", "core dump", "umask"}, found
    assert {"tcp to the chain's endpoint", "tcp to another port of this host"} <= can
    # Nobody listens there; but the question arrived.
    assert found["tcp to the metadata service"] == "ECONNREFUSED"


@pytest.mark.parametrize(("process", "ceiling"), [("signer", 0.4), ("gateway", 1.2), ("chain", 1.5), ("hub", 1.3)])
def test_the_running_unit_is_no_more_exposed_than_promised(box, process, ceiling):
    said = box.run("systemd-analyze", "security", "--no-pager", SERVICES[process])
    (exposure,) = re.findall(r"Overall exposure level for \S+: ([0-9.]+)", said)
    say(f"exposure of {SERVICES[process]}: {exposure}")
    assert float(exposure) <= ceiling


# Faults ---------------------------------------------------------------------------------------------------------------

LOAD = """
import json, sys, threading, uuid
from wallet_guard.client import WalletService
count, token = int(sys.argv[1]), sys.stdin.readline().strip()
answers, lock = [], threading.Lock()

def ask():
    service = WalletService("unix:///run/wallet-guard/gateway.sock", token)
    for _ in range(count):
        success, message = service.set_weights(
            2, [1, 2, 3], [1, 2, 3], wallet_name="validator", hotkey_name="default", wait_for_inclusion=True)
        with lock:
            answers.append((success, message))

threads = [threading.Thread(target=ask) for _ in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(json.dumps(answers))
"""


@contextlib.contextmanager
def load(box, count):
    """Four neurons that set weights, ``count`` times each, a block apart; what they were told, in a list."""
    answers = []

    def work():
        words = ("setpriv", "--reuid=node", "--regid=node", "--init-groups")
        python = "/opt/wallet-guard/current/guard/bin/python"
        said = box.run(*words, python, "-I", "-c", LOAD, str(count), given=box.token + "\n", seconds=300)
        answers.extend(json.loads(said))

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield answers
    finally:
        thread.join(310)


def intents(box):
    """(how many the journal has, how many of these failed or expired, how many stand on the chain)."""
    script = f"""
import sqlite3, json
rows = sqlite3.connect("file:{JOURNAL}?mode=ro", uri=True).execute("SELECT state FROM intents").fetchall()
print(json.dumps([state for (state,) in rows]))"""
    states = json.loads(box.run("python3", "-c", script))
    return len(states), sum(state in ("failed", "expired") for state in states), len(box.devnet("devnet_extrinsics"))


def check_nothing_lost(box, answers, asked, before):
    assert len(answers) == asked
    failed = [message for success, message in answers if not success]
    assert failed == []
    count, bad, on_chain = intents(box)
    made, sent = count - before[0], on_chain - before[2]
    say(f"{asked} asked, {asked} in a block; {made} intents, {sent} extrinsics, {bad} failed")
    assert (made, bad, sent) == (asked, 0, asked)


@pytest.mark.parametrize("process", SERVICES)
def test_killed_while_requests_run_it_restarts_and_loses_none(box, process):
    before = intents(box)
    restarts = box.restarts(process)
    with load(box, 6) as answers:
        for _ in range(2):
            time.sleep(1.5)
            box.run("kill", "-KILL", str(box.pid(process)))
            box.wait("it was started again", lambda: box.pid(process) and box.active(SERVICES[process]) == "active")
    say(f"{process}: kill -9 twice while 4 neurons ask")
    check_nothing_lost(box, answers, 24, before)
    assert box.restarts(process) == restarts + 2
    assert box.shell("ls /run/wallet-guard").split() == sorted(SOCKETS)


def test_hung_while_requests_run_it_is_restarted_by_the_watchdog(box):
    for process in SERVICES:
        drop_in = f"/run/systemd/system/{SERVICES[process]}.d"
        # As in production, but sooner: the idle rounds of signer and chain process take 5 s.
        box.shell(f"mkdir -p {drop_in}; printf '[Service]\\nWatchdogSec=8\\n' >{drop_in}/soon.conf")
    box.shell("systemctl daemon-reload; systemctl restart wallet-guard")
    box.wait("every part is ready", box.ready)
    before, restarts = intents(box), {process: box.restarts(process) for process in SERVICES}
    # Healthy, they outlive it.
    time.sleep(10)
    assert {process: box.restarts(process) for process in SERVICES} == restarts
    with load(box, 4) as answers:
        time.sleep(1)
        for process in SERVICES:
            begun = time.monotonic()
            box.run("kill", "-STOP", str(box.pid(process)))
            box.wait(f"{process} was restarted", lambda: box.restarts(process) == restarts[process] + 1)  # noqa: B023
            say(f"{process}: hung, restarted after {time.monotonic() - begun:.1f} s (WatchdogSec=8)")
            box.wait("every part is ready", box.ready)
            assert "Watchdog timeout" in box.journal("-u", SERVICES[process])
    check_nothing_lost(box, answers, 16, before)
    box.shell("rm -r /run/systemd/system/wallet-guard*.d; systemctl daemon-reload; systemctl restart wallet-guard")
    box.wait("every part is ready", box.ready)


def test_restarted_as_a_whole_it_refuses_no_connection(box):
    before = intents(box)
    with load(box, 5) as answers:
        time.sleep(1)
        box.run("systemctl", "restart", "wallet-guard")
    check_nothing_lost(box, answers, 20, before)


def test_a_configuration_to_mend_is_said_and_mended_without_more(box):
    path = "/etc/wallet-guard/wallet-guard.toml"
    box.shell(f"cp {path} /root/good; echo 'nonsense = 1' >>{path}; systemctl restart wallet-guard || true")
    box.wait("the reason is said", lambda: "unknown key 'nonsense'" in box.journal("-u", SERVICES["signer"]))
    time.sleep(3)
    box.shell(f"cp /root/good {path}")
    box.wait("every part is ready again", box.ready)
    assert box.shell("ls /run/wallet-guard").split() == sorted(SOCKETS)


def test_logs_are_lines_that_name_process_and_priority(box):
    box.run("journalctl", "--sync")
    lines = [
        json.loads(line)
        for line in box.run("journalctl", "--no-pager", "-o", "json", "-u", "wallet-guard*").splitlines()
    ]
    ours = [line for line in lines if line.get("SYSLOG_IDENTIFIER") == "wallet-guard"]
    assert {line["MESSAGE"].partition(":")[0] for line in ours} == {"signer", "gateway", "chain", "hub"}
    assert {"6", "4"} <= {line["PRIORITY"] for line in ours}
    assert not [line["MESSAGE"] for line in ours if "Traceback" in line["MESSAGE"] or box.token in line["MESSAGE"]]
    say("journalctl -t wallet-guard:\n" + "\n".join(line["MESSAGE"][:150] for line in ours[:12]))


def test_a_sealed_key_is_opened_by_the_signer_and_by_nobody_else(box):
    box.run("wallet-guard", "key", "import", "--encrypt", "/root/w/validator/hotkeys/sealed", seconds=180)
    head = box.shell("head -c 5 /var/lib/wallet-guard/wallets/validator/hotkeys/sealed")
    assert head == "$NACL"
    hotkeys = 'hotkeys = ["validator/default", "validator/sealed"]'
    box.shell(f"sed -i 's#^hotkeys = .*#{hotkeys}#' /etc/wallet-guard/wallet-guard.toml")
    box.run("systemctl", "restart", "wallet-guard")
    box.wait("every part is ready", box.ready)
    status = box.run("wallet-guard", "status")
    assert "validator/sealed 5FHneW46xGXgs5mUiveU4sbTyGBzmstUspZC92UhjJM694ty" in status
    box.shell("cp /root/good /etc/wallet-guard/wallet-guard.toml; systemctl restart wallet-guard")
    box.wait("every part is ready", box.ready)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="LOUD: no openssl to make certificates with")
def test_beyond_this_host_it_speaks_tls_or_not_at_all(box):
    words = (
        "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=guard -x509 -days 2 -keyout key.pem -out cert.pem"
    )
    name = ("-addext", "subjectAltName=IP:169.254.169.254")
    subprocess.run(["openssl", "req", *words.split(), *name], cwd=box.folder, check=True, capture_output=True)
    lines = "ListenStream=169.254.169.254:8443\\nIPAddressAllow=169.254.169.254\\n"
    drop_in = "/run/systemd/system/wallet-guard-tcp.socket.d"
    box.shell(f"mkdir -p {drop_in}; printf '[Socket]\\n{lines}' >{drop_in}/address.conf; systemctl daemon-reload")
    box.shell("systemctl stop 'wallet-guard*'; systemctl start --no-block wallet-guard")
    refusal = "169.254.169.254 is no loopback address: expected [gateway] tls_certificate and tls_key"
    box.wait("it refuses tokens in clear", lambda: refusal in box.journal("-u", SERVICES["gateway"]))
    folder = "/run/credentials/wallet-guard.service/wallet-guard"
    keys = "".join(f'tls_{name} = "{folder}.tls-{name}"\\n' for name in ("certificate", "key"))
    box.shell(f"""
        install -d -m 0700 /etc/credstore
        install -m 0600 /test/cert.pem /etc/credstore/wallet-guard.tls-certificate
        install -m 0600 /test/key.pem /etc/credstore/wallet-guard.tls-key
        printf '{keys}' >>/etc/wallet-guard/wallet-guard.toml
    """)
    ask = ("curl", "-sf", "-m5", "--cacert", "/test/cert.pem", "https://169.254.169.254:8443/ready")
    box.wait("every part is ready, by TLS", lambda: box.try_run(*ask).returncode == 0)
    assert box.try_run("curl", "-s", "-m5", "http://169.254.169.254:8443/ready").returncode != 0
    say("on another address: refused in clear, answered by TLS with the key from /etc/credstore")
    box.shell(f"rm -r {drop_in} /etc/credstore/wallet-guard.tls-*; cp /root/good /etc/wallet-guard/wallet-guard.toml")
    box.shell("systemctl daemon-reload; systemctl stop 'wallet-guard*'; systemctl start wallet-guard")
    box.wait("every part is ready", box.ready)


def test_backup_while_it_runs_and_restore_when_it_does_not(box):
    said = box.run("wallet-guard", "backup", "/root/backup.tar")
    say(said.strip())
    assert box.run("stat", "-c", "%a", "/root/backup.tar").strip() == "600"
    assert "no hotkeys" in said
    running = box.try_run("wallet-guard", "restore", "/root/backup.tar", "--replace")
    assert (running.returncode, "a signer runs on this journal" in running.stderr) == (1, True)
    box.run("systemctl", "stop", "wallet-guard")
    # systemctl waits for the unit that was named; the signer stops with it, a moment later.
    box.wait("all have stopped", lambda: all(box.active(unit) == "inactive" for unit in SERVICES.values()))
    records = box.run("wallet-guard", "audit", "verify")
    box.run("wallet-guard", "restore", "/root/backup.tar", "--replace")
    box.run("systemctl", "start", "wallet-guard")
    # What was signed after the backup is unknown to it; here it was nothing.
    assert "the journal was restored from a backup" in box.try_run("wallet-guard", "status", "--json").stdout
    box.run("wallet-guard", "unlock", "--force")
    box.wait("every part is ready", box.ready)
    _, http, _ = box.set_weights("node")
    assert http == 200
    assert int(box.run("wallet-guard", "audit", "verify").split()[0]) > 0 < int(records.split()[0])


def test_stopped_the_next_client_wakes_it(box):
    def all_are(state):
        return all(box.active(unit) == state for unit in SERVICES.values())

    box.run("systemctl", "stop", "wallet-guard")
    # systemctl waits for the unit that was named; the others stop with it.
    box.wait("all have stopped", lambda: all_are("inactive"))
    assert box.set_weights("node")[1] == 200
    box.wait("all run again", lambda: all_are("active"))


def test_stopped_with_its_sockets_it_stays_stopped(box):
    box.run("systemctl", "stop", "wallet-guard*")
    assert [box.set_weights("node", door)[0] for door in ("unix", "tcp")] == [7, 7]
    assert [box.active(unit) for unit in SERVICES.values()] == ["inactive"] * len(SERVICES)
    box.run("systemctl", "start", "wallet-guard")
    box.wait("every part is ready", box.ready)
    assert [box.active(unit) for unit in SERVICES.values()] == ["active"] * len(SERVICES)


def test_upgrades_under_a_live_journal_and_loses_none(box):
    before = intents(box)
    box.shell("rm -r /root/source; cp -r /test/new /root/source")
    box.shell(f"{PIP}; /root/operator/bin/pip install -q --no-deps /root/source")
    with load(box, 25) as answers:
        box.shell(f"{PIP}; {INSTALL} --from /root/source --apply")
    check_nothing_lost(box, answers, 100, before)
    box.wait("every part is ready", box.ready)
    status = box.run("wallet-guard", "status")
    say(f"after the upgrade: {status.splitlines()[0]}; {box.run('wallet-guard', 'audit', 'verify').strip()}")
    assert "version 0.0.9" not in status
    _, http, _ = box.set_weights("node")
    assert http == 200


def test_uninstalled_it_leaves_keys_and_journal(box):
    shown = box.run("wallet-guard", "uninstall")
    assert "nothing was changed" in shown
    said = box.run("wallet-guard", "uninstall", "--apply")
    assert "kept: /var/lib/wallet-guard (keys, journal)" in said
    units = box.run("systemctl", "list-units", "--all", "--no-legend", "wallet-guard*")
    assert units.strip() == ""
    for gone in ("/opt/wallet-guard", "/usr/local/bin/wallet-guard", "/etc/systemd/system/wallet-guard.service"):
        assert box.try_run("ls", gone).returncode != 0, gone
    for kept in (KEY, JOURNAL, "/etc/wallet-guard/wallet-guard.toml"):
        assert box.try_run("ls", kept).returncode == 0, kept
    assert box.run("systemctl", "list-units", "--failed", "--no-legend", "wallet-guard*").strip() == ""
