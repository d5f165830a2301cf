"""A healthy guard of a host, in a scratch root, and everything that is planted in it.

``python tests/cli/doctor/doctor_faults.py`` prints the table of hardening/operator-evidence.md: for each fault what the
doctor said and how to mend it. Nothing here needs root or a service manager: their files lie in the scratch root, and
what they would answer is written down.
"""

import dataclasses
import hashlib
import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

from wallet_guard import __version__
from wallet_guard.cli.doctor.command import CHECKS
from wallet_guard.cli.doctor.findings import Finding, Result, Severity, examine
from wallet_guard.cli.doctor.scene import SYSTEM_CONFIG, ChainSight, JournalSight, Neuron, Scene
from wallet_guard.host.config import ConfigurationError, load_config
from wallet_guard.ipc.admin import LockedKey, PolicyView, StatusView
from wallet_guard.ipc.clients import ClientView, KeyView
from wallet_guard.ipc.health import HealthView
from wallet_guard.ipc.intents import IntentView, State

ROOT = Path(__file__).parents[3]
PEM = ROOT / "tests/vectors/certificates"
STATE = "/var/lib/wallet-guard/state"
WALLET = "/var/lib/wallet-guard/wallets/validator"
HOTKEY = f"{WALLET}/hotkeys/default"
UNITS = "/etc/systemd/system"
RELEASE = "0.1.0-aaaaaaaa"
GUARD = "/opt/wallet-guard/current/guard"
GENESIS = "0x" + "2f" * 32
ALICE = "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY"
NOW_MS = 1_800_000_000_000
DAY_MS = 86_400_000

CONFIG = f"""\
run = "/run/wallet-guard"
[signer]
state = "{STATE}"
wallets = "/var/lib/wallet-guard/wallets"
hotkeys = ["validator/default"]
policy = "policy.toml"
password_file = "/var/lib/wallet-guard/password"
gateway_user = "wallet-guard-gateway"
chain_user = "wallet-guard-chain"
[chain]
network = "finney"
genesis = "{GENESIS}"
[gateway]
tcp = ["127.0.0.1:8000"]
tls_certificate = "/run/credentials/wallet-guard.service/wallet-guard.tls-certificate"
tls_key = "/run/credentials/wallet-guard.service/wallet-guard.tls-key"
tls_client_ca = "/etc/wallet-guard/clients.pem"
"""

POLICY = """\
[default]
keys = "any"
calls = "any"
netuids = "any"
mechanisms = "any"
# end
"""
EXPIRING = """\
[client.miner]
keys = ["validator/default"]
calls = ["set_weights"]
netuids = [2]
mechanisms = [0]
expires = {}T00:00:00Z
# end
"""
POLICY_FILE = "/etc/wallet-guard/policy.toml"

PASSWD = f"""\
root:x:0:0:root:/root:/bin/bash
wallet-guard-signer:x:{os.getuid()}:9100::/var/lib/wallet-guard:/usr/sbin/nologin
wallet-guard-gateway:x:9101:9101::/:/usr/sbin/nologin
wallet-guard-chain:x:9102:9102::/:/usr/sbin/nologin
wallet-guard-hub:x:9103:9103::/:/usr/sbin/nologin
"""

SYSTEMCTL = "\n\n".join(
    f"Id={unit}\nActiveState=active\nUnitFileState={enabled}\nNeedDaemonReload=no"
    for unit, enabled in [
        ("wallet-guard.service", "enabled"),
        ("wallet-guard-signer.service", "static"),
        ("wallet-guard-chain.service", "static"),
    ]
)


def made(record: type[Any], **values: Any) -> Any:
    """A record whose further fields are None, or what they default to."""
    bare = {each.name: None for each in dataclasses.fields(record) if each.default is dataclasses.MISSING}
    return record(**{**bare, **values})


def client(**values: Any) -> ClientView:
    usual = {"name": "miner", "wallet": "validator", "hotkey": "default", "calls": ("set_weights",), "netuids": (2,)}
    return made(
        ClientView, **{**usual, "per_hour": 60, "created_ms": NOW_MS - 30 * DAY_MS, "revoked_ms": None, **values}
    )


def healthy_status() -> StatusView:
    health = made(
        HealthView,
        version=__version__,
        keys=1,
        clients=1,
        open_intents=0,
        journal_error="",
        runtime=461,
        chain_trouble="",
        chain_seconds=2.0,
        locked="",
    )
    return made(
        StatusView,
        health=health,
        keys=(KeyView("validator", "default", ALICE, "sr25519"),),
        clients=(client(),),
        genesis_hash=GENESIS,
        endpoint="wss://a",
        best_block=1000,
        finalized_block=997,
        audit_seq=7,
        policy=PolicyView(POLICY_FILE, hashlib.sha256(POLICY.encode()).hexdigest(), ""),
        audit_head="00" * 32,
        intents=(),
    )


@dataclass
class Guard:
    """A guard that can be spoilt. Paths are the host's; ``at`` says where they lie."""

    root: Path
    config: str = CONFIG
    owner: int = field(default_factory=os.getuid)
    scene_values: dict[str, Any] = field(default_factory=dict)
    status: StatusView = field(default_factory=healthy_status)
    journal: JournalSight = field(default_factory=lambda: JournalSight(7, "", frozenset({"miner"})))
    neuron: Neuron = field(default_factory=lambda: Neuron("validator/default", 2, True, 6, True, 10**13, 800, 100))
    chain: ChainSight = field(default_factory=lambda: ChainSight("wss://a", GENESIS, 1000, NOW_MS - 5000, 10**12))
    says: dict[str, str | None] = field(default_factory=dict)

    def at(self, path: str) -> Path:
        return self.root / path.lstrip("/")

    def write(self, path: str, content: str | bytes = "", mode: int = 0o644) -> None:
        target = self.at(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content if isinstance(content, bytes) else content.encode())
        target.chmod(mode)

    def edit(self, old: str, new: str) -> None:
        assert old in self.config
        self.config = self.config.replace(old, new)

    def process(self, pid: int, name: str, uid: int, *, core: str = "0", release: str = RELEASE) -> None:
        environment = GUARD if name != "chain" else "/opt/wallet-guard/current/chain"
        words = [f"{environment}/bin/python", "-I", "-m", f"wallet_guard.{name}", "--config", str(SYSTEM_CONFIG), ""]
        self.write(f"/proc/{pid}/cmdline", "\0".join(words))
        self.write(f"/proc/{pid}/status", f"Name:\tpython3\nUid:\t{uid}\t{uid}\t{uid}\t{uid}\n")
        self.write(f"/proc/{pid}/limits", f"Max core file size        {core}                    {core}       bytes\n")
        self.write(f"/proc/{pid}/maps", f"7f r-xp 00 /opt/wallet-guard/{release}/guard/lib/python3.11/x.so\n")

    def set_health(self, **values: Any) -> None:
        self.status = replace(self.status, health=replace(self.status.health, **values))

    def set_client(self, **values: Any) -> None:
        self.status = replace(self.status, clients=(client(**values),))

    def scene(self) -> Scene:
        self.write(str(SYSTEM_CONFIG), self.config, stat.S_IMODE(self.at(str(SYSTEM_CONFIG)).stat().st_mode))
        config, error = None, ""
        try:
            config = replace(load_config(self.at(str(SYSTEM_CONFIG))), path=str(SYSTEM_CONFIG))
        except ConfigurationError as found:
            error = str(found).replace(str(self.root), "")
        values: dict[str, Any] = {
            "config_path": str(SYSTEM_CONFIG),
            "config": config,
            "config_error": error,
            "root": self.root,
            "now_ms": NOW_MS,
            "uid": os.getuid(),
            "owner": self.owner,
            "status": self.status,
            "package": ROOT,
            "journal": self.journal,
            "chain": replace(self.chain, neurons=(self.neuron,)),
            "say": lambda *words: self.says.get(words[0]),
        }
        return Scene(**{**values, **self.scene_values})

    def results(self) -> list[Result]:
        return list(examine(CHECKS, self.scene()))

    def findings(self, check: str = "") -> list[Finding]:
        return [found for result in self.results() if check in ("", result.check) for found in result.findings]


def build_guard(root: Path) -> Guard:
    """A healthy one."""
    guard = Guard(root, says={"systemctl": SYSTEMCTL, "timedatectl": "yes\n", "nft": "table inet wallet_guard {}"})
    guard.write(str(SYSTEM_CONFIG), CONFIG)
    guard.write("/etc/passwd", PASSWD)
    guard.write(POLICY_FILE, POLICY)
    for name in ("journal.sqlite3", "journal.sqlite3-wal", "audit.key"):
        guard.write(f"{STATE}/{name}", "x", 0o600)
    guard.write(f"{STATE}/reserve", "", 0o600)
    with guard.at(f"{STATE}/reserve").open("wb") as reserve:
        os.posix_fallocate(reserve.fileno(), 0, 8 << 20)
    guard.at(STATE).chmod(0o700)
    guard.write(HOTKEY, "{}", 0o600)
    guard.write("/var/lib/wallet-guard/password", "secret", 0o600)
    guard.write("/run/wallet-guard/signer-admin.sock", "", 0o600)
    guard.write("/etc/credstore/wallet-guard.tls-certificate", (PEM / "certificate.pem").read_bytes(), 0o600)
    guard.write("/etc/credstore/wallet-guard.tls-key", (PEM / "key.pem").read_bytes(), 0o600)
    guard.write("/etc/wallet-guard/clients.pem", (PEM / "certificate.pem").read_bytes())
    for path in (ROOT / "systemd").iterdir():
        guard.write(f"{UNITS}/{path.name}", path.read_bytes())
    release = f"/opt/wallet-guard/{RELEASE}/guard"
    guard.write(f"{release}/lib/python3.11/site-packages/nacl/__init__.py")
    guard.write(f"{release}/pyvenv.cfg", "home = /usr/bin\nversion = 3.11.2\n")
    guard.at("/opt/wallet-guard/current").symlink_to(RELEASE)
    guard.at("/usr/local/bin").mkdir(parents=True)
    guard.at("/usr/local/bin/wallet-guard").symlink_to(f"{GUARD}/bin/wallet-guard")
    for pid, name, uid in [(101, "signer", 9100), (102, "gateway", 9101), (103, "chain", 9102)]:
        guard.process(pid, name, uid)
    guard.write("/proc/swaps", "Filename Type Size Used Priority\n")
    guard.write("/proc/sys/kernel/yama/ptrace_scope", "1\n")
    return guard


class Fault(NamedTuple):
    """What is planted, which check must find it, and how."""

    what: str
    check: str
    plant: Callable[[Guard], object]


def _chmod(path: str, mode: int) -> Callable[[Guard], None]:
    return lambda guard: guard.at(path).chmod(mode)


def _edit(old: str, new: str) -> Callable[[Guard], None]:
    return lambda guard: guard.edit(old, new)


def _write(path: str, content: str, mode: int = 0o644) -> Callable[[Guard], None]:
    return lambda guard: guard.write(path, content, mode)


def _values(**values: Any) -> Callable[[Guard], None]:
    return lambda guard: guard.scene_values.update(values)


def _health(**values: Any) -> Callable[[Guard], None]:
    return lambda guard: guard.set_health(**values)


def _neuron(**values: Any) -> Callable[[Guard], None]:
    def plant(guard: Guard) -> None:
        guard.neuron = replace(guard.neuron, **values)

    return plant


def _chain(**values: Any) -> Callable[[Guard], None]:
    def plant(guard: Guard) -> None:
        guard.chain = replace(guard.chain, **values)

    return plant


def _says(program: str, said: str | None) -> Callable[[Guard], None]:
    return lambda guard: guard.says.update({program: said})


def _symlink(path: str) -> Callable[[Guard], None]:
    def plant(guard: Guard) -> None:
        guard.at(path).rename(guard.at(path + ".real"))
        guard.at(path).symlink_to(guard.at(path + ".real"))

    return plant


def _foreign(guard: Guard) -> None:
    guard.owner = os.getuid() + 1


def _no_tls(guard: Guard) -> None:
    guard.config = "\n".join(line for line in guard.config.splitlines() if not line.startswith("tls_"))


def _far_listener(guard: Guard) -> None:
    _no_tls(guard)
    guard.edit("127.0.0.1:8000", "10.0.0.1:8000")


def _far_socket(guard: Guard) -> None:
    _no_tls(guard)
    guard.write(f"{UNITS}/wallet-guard-tcp.socket.d/far.conf", "[Socket]\nListenStream=10.0.0.1:8443\n")


def _clear_tokens(guard: Guard) -> None:
    _far_listener(guard)
    guard.config += "\ntokens_in_clear = true\n"


def _stuck(guard: Guard) -> None:
    stuck = made(
        IntentView,
        intent="00ff" * 8,
        client="miner",
        state=State.ACCEPTED,
        trouble="runtime_unknown: none yet",
    )
    guard.status = replace(guard.status, intents=(stuck,))


def _swap(guard: Guard) -> None:
    guard.write("/proc/swaps", "Filename Type Size Used Priority\n/dev/sda2 partition 9 0 -2\n")


def _firewall(guard: Guard) -> None:
    guard.write("/etc/wallet-guard/single-host.nft", "table inet wallet_guard {}")
    guard.says["nft"] = None


def _policy(text: str, *, read: bool = True) -> Callable[[Guard], None]:
    def plant(guard: Guard) -> None:
        guard.write(POLICY_FILE, text)
        if read:
            sha256 = hashlib.sha256(text.encode()).hexdigest()
            guard.status = replace(guard.status, policy=PolicyView(POLICY_FILE, sha256, ""))

    return plant


def _status(**values: Any) -> Callable[[Guard], None]:
    def plant(guard: Guard) -> None:
        guard.status = replace(guard.status, **values)

    return plant


HUB = """
[hub]
enabled = true
hotkey = "validator/default"
netuid = 2
"""

GREETS = 'hub_hotkeys = ["validator/default"]\nhub_user = "wallet-guard-hub"\n[chain]'


def _far_hub(guard: Guard) -> None:
    guard.edit("[chain]", GREETS)
    guard.config += HUB + 'tcp = ["10.0.0.1:8091"]\n'


def _hub_without_user(guard: Guard) -> None:
    guard.edit("[chain]", GREETS.replace("wallet-guard-hub", "nobody-here"))
    guard.config += HUB


def _hub(guard: Guard) -> None:
    guard.at(f"{UNITS}/multi-user.target.wants").mkdir()
    guard.at(f"{UNITS}/multi-user.target.wants/wallet-guard-hub.service").symlink_to("x")


def _signer_silent(guard: Guard) -> None:
    guard.scene_values.update(status=None, status_error="signer-admin.sock: no signer listens there")


def _unreachable(guard: Guard) -> None:
    guard.scene_values.update(chain=None, chain_error="wss://a: connection refused")
    guard.set_health(chain_trouble="wss://a: connection refused")


CERTIFICATE = "/etc/credstore/wallet-guard.tls-certificate"
TLS_KEY = "/etc/credstore/wallet-guard.tls-key"
DROP_IN = f"{UNITS}/wallet-guard-signer.service.d/override.conf"
PACKAGES = f"/opt/wallet-guard/{RELEASE}/guard/lib/python3.11/site-packages"

FAULTS = (
    Fault("unknown key in the configuration", "configuration", _edit("[signer]", "[signer]\nkeys = 1")),
    Fault("configuration that everybody can write", "configuration-file", _chmod(str(SYSTEM_CONFIG), 0o666)),
    Fault("its folder likewise", "configuration-file", _chmod("/etc/wallet-guard", 0o777)),
    Fault("state folder that others can enter", "state-folder", _chmod(STATE, 0o755)),
    Fault("state folder, journal and keys of another owner", "state-folder", _foreign),
    Fault("state folder is a symlink", "state-folder", _symlink(STATE)),
    Fault("journal that others can read", "state-files", _chmod(f"{STATE}/journal.sqlite3", 0o644)),
    Fault("audit key that others can read", "state-files", _chmod(f"{STATE}/audit.key", 0o640)),
    Fault("journal is gone", "state-files", lambda guard: guard.at(f"{STATE}/journal.sqlite3").unlink()),
    Fault("run folder that others can write", "run-folder", _chmod("/run/wallet-guard", 0o777)),
    Fault("admin socket for everybody", "admin-socket", _chmod("/run/wallet-guard/signer-admin.sock", 0o666)),
    Fault("hotkey is missing", "hotkeys", lambda guard: guard.at(HOTKEY).unlink()),
    Fault("hotkey that the group can read", "hotkeys", _chmod(HOTKEY, 0o640)),
    Fault("hotkey is a symlink", "hotkeys", _symlink(HOTKEY)),
    Fault("hotkey of another owner", "hotkeys", _foreign),
    Fault("no hotkey is named", "hotkeys", _edit('["validator/default"]', "[]")),
    Fault("folder of the hotkeys that others can write", "hotkey-folders", _chmod(f"{WALLET}/hotkeys", 0o777)),
    Fault("wallet folder is a symlink", "hotkey-folders", _symlink(WALLET)),
    Fault("coldkey beside the guard's hotkeys", "coldkeys", _write(f"{WALLET}/coldkey", "{}", 0o600)),
    Fault(
        "original of an imported hotkey in a home",
        "hotkey-originals",
        _write("/root/.bittensor/wallets/validator/hotkeys/default", "{}", 0o600),
    ),
    Fault("password file that others can read", "password-file", _chmod("/var/lib/wallet-guard/password", 0o644)),
    Fault(
        "password file is missing",
        "password-file",
        lambda guard: guard.at("/var/lib/wallet-guard/password").unlink(),
    ),
    Fault("credential that others can read", "credentials", _chmod(TLS_KEY, 0o644)),
    Fault("backup on the journal's own disk", "backups", _write(f"{STATE}/backup.tar", "x", 0o600)),
    Fault("TLS key that others can read", "tls-key", _chmod(TLS_KEY, 0o644)),
    Fault("TLS key is missing", "tls-key", lambda guard: guard.at(TLS_KEY).unlink()),
    Fault("TLS certificate is over", "tls-certificate", _values(now_ms=NOW_MS + 3700 * DAY_MS)),
    Fault("TLS certificate is over in days", "tls-certificate", _values(now_ms=NOW_MS + 3585 * DAY_MS)),
    Fault("TLS certificate of the future", "tls-certificate", _values(now_ms=NOW_MS - 400 * DAY_MS)),
    Fault("TLS certificate is none", "tls-certificate", _write(CERTIFICATE, "hello", 0o600)),
    Fault("TLS key of another certificate", "tls-pair", _write(TLS_KEY, (PEM / "other_key.pem").read_text(), 0o600)),
    Fault("issuer of clients' certificates is over", "tls-client-ca", _values(now_ms=NOW_MS + 3700 * DAY_MS)),
    Fault(
        "default token in the environment",
        "tokens-in-environment",
        _values(environment={"WALLET_SERVICE_TOKEN": "default-token"}),
    ),
    Fault(
        "short token in the environment",
        "tokens-in-environment",
        _values(environment={"WALLET_SERVICE_TOKEN": "hunter2"}),
    ),
    Fault("empty token in the environment", "tokens-in-environment", _values(environment={"WALLET_SERVICE_TOKEN": ""})),
    Fault(
        "fallback endpoint that is no URL",
        "fallback-endpoints",
        _values(environment={"BT_FALLBACK_ENDPOINTS": "finney"}),
    ),
    Fault("listener beyond this host without TLS", "listeners", _far_listener),
    Fault("the same by a drop-in of the socket unit", "listeners", _far_socket),
    Fault("tokens in clear, allowed", "listeners", _clear_tokens),
    Fault(
        "chain endpoint in clear over the Internet",
        "endpoints",
        _edit('network = "finney"', 'network = "finney"\nendpoints = ["ws://chain.example.org:9944"]'),
    ),
    Fault(
        "genesis not pinned",
        "genesis-pin",
        _edit(f'"finney"\ngenesis = "{GENESIS}"', '"test"'),
    ),
    Fault(
        "metadata digest switched off",
        "metadata-digest",
        _edit("[gateway]", f'metadata_digest = false\nmetadata_sha256 = ["{"0" * 64}"]\n[gateway]'),
    ),
    Fault("wrong block time", "block-time", _edit("[gateway]", "block_time_seconds = 1.0\n[gateway]")),
    Fault("deadline below a signature's life", "deadline", _edit("[chain]", "deadline_seconds = 60\n[chain]")),
    Fault("unknown user for the gateway", "users", _edit("wallet-guard-gateway", "nobody-here")),
    Fault(
        "gateway and signer are one user",
        "users",
        _edit('gateway_user = "wallet-guard-gateway"', 'gateway_user = "wallet-guard-signer"'),
    ),
    Fault(
        "gateway and chain are one user",
        "users",
        _edit('chain_user = "wallet-guard-chain"', 'chain_user = "wallet-guard-gateway"'),
    ),
    Fault("policy file is half written", "policy", _policy(POLICY.removesuffix("# end\n"))),
    Fault("policy file that others can write", "policy", _chmod(POLICY_FILE, 0o666)),
    Fault("no policy file", "policy", _edit('policy = "policy.toml"\n', "")),
    Fault("hub without hotkeys", "hub", _hub),
    Fault("hub beyond this host without TLS", "hub", _far_hub),
    Fault("unknown user for the hub", "hub", _hub_without_user),
    Fault(
        "hotkey that somebody else signs with",
        "locked-hotkeys",
        _status(locked_keys=(LockedKey("validator", "default", "nonce 12 is not ours"),)),
    ),
    Fault("runtime that is not allowed", "runtime", _status(runtime_trouble="462 is another than 461")),
    Fault("policy that was not reloaded", "policy-in-force", _policy("# changed\n" + POLICY, read=False)),
    Fault(
        "policy that the signer refused",
        "policy-in-force",
        _status(policy=PolicyView(POLICY_FILE, "00" * 32, "line 3: unknown key")),
    ),
    Fault("token that has expired", "token-expiry", _policy(EXPIRING.format("2026-01-01"))),
    Fault("token that expires in days", "token-expiry", _policy(EXPIRING.format("2027-01-20"))),
    Fault("signer does not run", "signer", _signer_silent),
    Fault("signer of another version", "versions", _health(version="0.0.9")),
    Fault("lockdown", "lockdown", _health(locked="by the operator")),
    Fault("journal error", "journal-error", _health(journal_error="the journal cannot be written: disk I/O error")),
    Fault(
        "broken audit chain",
        "audit-chain",
        lambda guard: setattr(guard, "journal", JournalSight(broken="record 3 does not follow record 2")),
    ),
    Fault("disk reserve is gone", "reserve", lambda guard: guard.at(f"{STATE}/reserve").unlink()),
    Fault("chain process never spoke", "chain-process", _health(chain_seconds=None)),
    Fault("chain process is silent", "chain-process", _health(chain_seconds=300.0)),
    Fault("chain process has trouble", "chain-process", _health(chain_trouble="wss://a: wrong genesis")),
    Fault(
        "hotkey added without a restart",
        "keys-loaded",
        _edit('["validator/default"]', '["validator/default", "validator/second"]'),
    ),
    Fault("no client", "clients", lambda guard: setattr(guard, "status", replace(guard.status, clients=()))),
    Fault("every client revoked", "clients", lambda guard: guard.set_client(revoked_ms=NOW_MS)),
    Fault("client of a hotkey that is not loaded", "client-keys", lambda guard: guard.set_client(hotkey="old")),
    Fault("client for any subnet", "client-scope", lambda guard: guard.set_client(netuids=None)),
    Fault("client that never asked", "client-use", lambda guard: guard.set_client(name="idle")),
    Fault("intent that is stuck", "intents", _stuck),
    Fault("chain cannot be reached", "chain-reachable", _unreachable),
    Fault("another chain", "chain-genesis", _chain(genesis="0x" + "ab" * 32)),
    Fault("clock behind the chain's", "clock-skew", _chain(time_ms=NOW_MS + 120_000)),
    Fault("clock ahead of the chain's", "clock-skew", _chain(time_ms=NOW_MS - 600_000)),
    Fault("chain process far behind", "chain-lag", _chain(best_block=1200)),
    Fault("subnet does not exist", "subnets", _neuron(subnet_exists=False, uid=None)),
    Fault("hotkey is not registered", "registration", _neuron(uid=None)),
    Fault("no validator permit", "validator-permit", _neuron(permit=False)),
    Fault("stake too low", "stake", _neuron(stake_rao=5 * 10**9)),
    Fault("rate limited", "rate-limits", _neuron(last_update=950)),
    Fault("signer and gateway share a uid", "separate-users", lambda guard: guard.process(102, "gateway", 9100)),
    Fault("chain process runs as root", "not-root", lambda guard: guard.process(103, "chain", 0)),
    Fault("SDK in the signer's environment", "sdk-beside-keys", _write(f"{PACKAGES}/bittensor/__init__.py", "")),
    Fault(".pth file in the signer's environment", "environment-files", _write(f"{PACKAGES}/x.pth", "import os")),
    Fault("environment that others can write", "environment-owner", _chmod("/opt/wallet-guard", 0o777)),
    Fault(
        "processes of different releases",
        "releases",
        lambda guard: guard.process(103, "chain", 9102, release="0.0.9-bbbbbbbb"),
    ),
    Fault(
        "environment of an old Python",
        "python",
        _write(f"/opt/wallet-guard/{RELEASE}/guard/pyvenv.cfg", "version = 3.9.2\n"),
    ),
    Fault("command run by an old Python", "python", _values(python=(3, 10))),
    Fault("core dumps allowed", "core-dumps", lambda guard: guard.process(101, "signer", 9100, core="unlimited")),
    Fault("swap that is not encrypted", "swap", _swap),
    Fault("clock not synchronised", "clock-service", _says("timedatectl", "no\n")),
    Fault("firewall placed, not in force", "firewall", _firewall),
    Fault("tracing allowed", "ptrace", _write("/proc/sys/kernel/yama/ptrace_scope", "0\n")),
    Fault(
        "changed unit",
        "unit-drift",
        _write(f"{UNITS}/wallet-guard-chain.service", "[Service]\nExecStart=/bin/true\n"),
    ),
    Fault("unit is missing", "unit-drift", lambda guard: guard.at(f"{UNITS}/wallet-guard-chain.service").unlink()),
    Fault("drop-in that opens the network", "unit-drop-ins", _write(DROP_IN, "[Service]\nPrivateNetwork=no\n")),
    Fault("drop-in that runs as root", "unit-drop-ins", _write(DROP_IN, "[Service]\nUser=root\n")),
    Fault("unit that others can write", "unit-modes", _chmod(f"{UNITS}/wallet-guard.service", 0o666)),
    Fault(
        "service has failed",
        "units-running",
        _says("systemctl", SYSTEMCTL.replace("ActiveState=active", "ActiveState=failed", 1)),
    ),
    Fault("service not enabled", "units-running", _says("systemctl", SYSTEMCTL.replace("=enabled", "=disabled"))),
    Fault(
        "unit changed under systemd",
        "units-running",
        _says("systemctl", SYSTEMCTL.replace("NeedDaemonReload=no", "NeedDaemonReload=yes", 1)),
    ),
    Fault(
        "command on the path is another",
        "program",
        lambda guard: guard.at("/usr/local/bin/wallet-guard").unlink(),
    ),
)


def main() -> int:
    """Prints the table; 1 if the healthy guard shows a finding, or a fault is not found."""
    work = Path(tempfile.mkdtemp())
    try:
        healthy = build_guard(work / "healthy").findings()
        print(f"Healthy guard: {len(CHECKS)} checks, {len(healthy)} findings.\n")
        print("| planted | check | severity | found | mend |\n|---|---|---|---|---|")
        missed = []
        for number, fault in enumerate(FAULTS):
            guard = build_guard(work / str(number))
            fault.plant(guard)
            found = guard.findings(fault.check)
            if not found:
                missed.append(fault.what)
                continue
            first = min(found, key=lambda each: list(Severity).index(each.severity))
            cells = (fault.what, f"`{fault.check}`", first.severity, first.found, f"`{first.mend}`")
            print("| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |")
            shutil.rmtree(guard.root)
        print(f"\n{len(FAULTS)} faults planted, {len(FAULTS) - len(missed)} found{': missed ' if missed else ''}"
              f"{', '.join(missed)}.")  # fmt: skip
        return int(bool(healthy or missed))
    finally:
        shutil.rmtree(work)


if __name__ == "__main__":
    sys.exit(main())
