"""``wallet-guard install --system`` and ``uninstall``: the guard as services of this host.

Everything is shown first, and done only with ``--apply``; again is no harm. Releases lie side by side below one prefix
and are switched by one link, so an upgrade that does not build changes nothing. The environments are root's, the
processes only read them; the signer and the gateway have one with PyNaCl and ``bittensor_core``, the chain process
another with the SDK.
"""

import argparse
import json
import os
import pwd
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wallet_guard.cli.distribution import Distribution, find_distribution
from wallet_guard.cli.errors import CommandError
from wallet_guard.cli.policy import POLICY_FILE, TEMPLATE
from wallet_guard.cli.printing import add_json_option, for_people, tell
from wallet_guard.cli.steps import Step, command, keep_file, link, remove, run, run_plan, write_file
from wallet_guard.host.config import NETWORKS, ConfigurationError, load_config

ENVIRONMENTS = ("guard", "chain")
"""Below a release; each is made of the lock of its name."""

SOCKETS = (
    "wallet-guard-signer-gateway.socket",
    "wallet-guard-signer-chain.socket",
    "wallet-guard-signer-admin.socket",
    "wallet-guard.socket",
    "wallet-guard-tcp.socket",
)

SERVICES = ("wallet-guard.service", "wallet-guard-signer.service", "wallet-guard-chain.service")

ENABLED = ("wallet-guard.service", *SOCKETS)

HUB_SOCKETS = ("wallet-guard-hub.socket", "wallet-guard-signer-hub.socket", "wallet-guard-chain-hub.socket")

HUB = ("wallet-guard-hub.service", *HUB_SOCKETS)
"""Placed always, enabled with --hub."""

METRICS = ("wallet-guard-metrics.socket",)
"""Placed always, enabled by who has a Prometheus."""

_CONFIG = """\
# Wallet Guard on this host, read by all its processes. It holds no secret. 'wallet-guard init FOLDER' writes one with
# every key explained. After a change: systemctl restart wallet-guard
run = "/run/wallet-guard"

[signer]
state = "/var/lib/wallet-guard/state"
wallets = "/var/lib/wallet-guard/wallets"
hotkeys = {hotkeys}
policy = "policy.toml"
# Looked at for encrypted hotkeys only: 'wallet-guard key import --encrypt' seals one.
password_file = "/run/credentials/wallet-guard-signer.service/wallet-guard.sealed-key-password"
gateway_user = "wallet-guard-gateway"
chain_user = "wallet-guard-chain"
{greets}
[chain]
network = {network}
{endpoints}{genesis}{block_time}{hub}
[gateway]
# The sockets are the service manager's: 'systemctl edit wallet-guard-tcp.socket' is where TCP addresses are changed.
tcp = ["127.0.0.1:8000"]
"""

_GREETS = """\
# What the hub may greet for, and nothing else.
hub_hotkeys = {hotkeys}
hub_user = "wallet-guard-hub"
"""

_HUB = """
[hub]
enabled = true
hotkey = {hotkey}
netuid = {netuid}
# The socket is the service manager's, as above: 'systemctl edit wallet-guard-hub.socket'.
tcp = ["127.0.0.1:8091"]
"""


@dataclass(frozen=True, slots=True)
class Layout:
    """Where things are, below ``root`` ("/", or elsewhere in a test)."""

    root: Path = Path("/")

    @property
    def prefix(self) -> Path:
        """The releases."""
        return self.root / "opt/wallet-guard"

    @property
    def units(self) -> Path:
        """Unit files."""
        return self.root / "etc/systemd/system"

    @property
    def config(self) -> Path:
        """The configuration."""
        return self.root / "etc/wallet-guard/wallet-guard.toml"

    @property
    def program(self) -> Path:
        """The command."""
        return self.root / "usr/local/bin/wallet-guard"

    def placed(self, name: str) -> Path:
        """Where a file of ``systemd/`` goes."""
        if name.endswith(".sysusers"):
            return self.root / "etc/sysusers.d" / f"{name.removesuffix('.sysusers')}.conf"
        if name.endswith(".tmpfiles"):
            return self.root / "etc/tmpfiles.d" / f"{name.removesuffix('.tmpfiles')}.conf"
        return self.units / name


def add_words(parsers: Any) -> None:
    """``install`` and ``uninstall``."""
    adding = parsers.add_parser("install", help="the guard as services of this host; shows, and does with --apply")
    adding.add_argument("--system", action="store_true", required=True, help="as systemd services (the only kind)")
    adding.add_argument("--apply", action="store_true", help="do it (as root); without, nothing is changed")
    adding.add_argument("--from", dest="origin", default="", metavar="PATH", help="source tree or wheel to install")
    adding.add_argument("--python", default="/usr/bin/python3", metavar="FILE", help="default /usr/bin/python3")
    adding.add_argument("--network", choices=sorted(NETWORKS), default="finney")
    adding.add_argument("--endpoint", action="append", default=[], metavar="URL", help="ws:// or wss://, repeatable")
    adding.add_argument("--genesis", default="", metavar="0xHASH", help="pin the chain")
    adding.add_argument("--block-time", type=float, metavar="SECONDS", help="default 12")
    adding.add_argument(
        "--hotkey", action="append", default=[], metavar="WALLET/HOTKEY", help="to hold (default validator/default)"
    )
    adding.add_argument(
        "--hub", type=int, metavar="NETUID", help="run the hub too: miners of this subnet come in for the first hotkey"
    )
    adding.add_argument("--client", default="", metavar="NAME", help="start it, and make this client: prints its token")
    adding.add_argument("--netuid", type=int, action="append", default=[], metavar="N", help="what the client may use")
    add_json_option(adding)
    adding.set_defaults(answer=install)

    removing = parsers.add_parser("uninstall", help="remove the services; keys, journal and configuration stay")
    removing.add_argument("--apply", action="store_true", help="do it (as root); without, nothing is changed")
    add_json_option(removing)
    removing.set_defaults(answer=uninstall)


def install(chosen: argparse.Namespace) -> int:
    """Shows the plan, and follows it with ``--apply``.

    Raises:
        CommandError: not root, the interpreter will not do, or a step failed.
        ConfigurationError: what was asked for makes no valid configuration.
    """
    layout = Layout()
    _check_root(chosen.apply)
    _check_interpreter(chosen.python)
    distribution = find_distribution(chosen.origin)
    with for_people(chosen):
        print(f"wallet-guard {distribution.label} from {distribution.origin}")
        steps = installing(layout, distribution, chosen.python, configuration(chosen), hub=chosen.hub is not None)
        left = run_plan(steps, apply=chosen.apply)
        if chosen.client:
            left += run_plan(opening(layout, chosen.client, chosen.netuid), apply=chosen.apply)
    told = []
    if not chosen.apply:
        told = [f"nothing was changed; {left} steps to do with --apply"]
    elif not chosen.client:
        told = ["next: wallet-guard key import …, systemctl start wallet-guard, wallet-guard client add NAME"]
    tell(chosen, {"release": distribution.label, "applied": chosen.apply, "steps": left}, *told)
    return 0


def installing(
    layout: Layout, distribution: Distribution, python: str, config: bytes, *, hub: bool = False
) -> list[Step]:
    """The steps up to enabled units, and to restarted ones where an older release runs.

    Raises:
        CommandError: a hub is asked for, and the configuration that stands has none.
    """
    if hub and layout.config.exists() and not load_config(layout.config).hub.enabled:
        hint = "add hub_hotkeys and hub_user to [signer], and [hub] with enabled, hotkey and netuid; then again"
        raise CommandError(f"{layout.config}: expected [hub] enabled = true, found a configuration without", hint)
    enabled = (*ENABLED, *HUB) if hub else ENABLED
    release = build_release(layout.prefix / distribution.label, distribution, python)
    files = [write_file(layout.placed(name), content) for name, content in distribution.folder("systemd").items()]
    switch = link(layout.prefix / "current", distribution.label)
    # Asked now: afterwards everything is so.
    changed = not all(step.done() for step in (release, *files, switch))
    running = _says("systemctl", "--quiet", "is-active", "wallet-guard.service")
    # A socket cannot begin under a service that runs already.
    added = hub and running and not _says("systemctl", "--quiet", "is-active", *HUB_SOCKETS)
    return [
        release,
        *files,
        keep_file(layout.config, config),
        keep_file(layout.config.with_name(POLICY_FILE), TEMPLATE.encode()),
        command("systemd-sysusers", done=_has_users),
        command("systemd-tmpfiles", "--create", "wallet-guard.conf", done=_has_folders),
        switch,
        link(layout.program, str(layout.prefix / "current/guard/bin/wallet-guard")),
        command("systemctl", "daemon-reload", done=lambda: not changed and not _is_stale()),
        command(
            *("systemctl", "--quiet", "enable", *enabled),
            done=lambda: _says("systemctl", "--quiet", "is-enabled", *enabled),
        ),
        command("systemctl", "stop", *SOCKETS, *SERVICES, done=lambda: not added),
        command("systemctl", "restart", "wallet-guard.service", done=lambda: not (running and (changed or added))),
    ]


def opening(layout: Layout, client: str, netuids: list[int]) -> list[Step]:
    """The steps to a guard that runs and has this client."""
    program = str(layout.program)
    words = [word for netuid in netuids for word in ("--netuid", str(netuid))]
    return [
        command(
            *("systemctl", "start", "wallet-guard.service"),
            done=lambda: _says("systemctl", "--quiet", "is-active", "wallet-guard.service"),
        ),
        command(
            *(program, "client", "add", client, *words, "--config", str(layout.config)),
            done=lambda: f"\n{client}: " in "\n" + _output(program, "client", "list", "--config", str(layout.config)),
        ),
    ]


def build_release(folder: Path, distribution: Distribution, python: str) -> Step:
    """Both environments, from locked packages and the wheel. The pip that fills them is in neither."""
    complete = folder / "complete"

    def do() -> None:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(mode=0o755, parents=True)
        with tempfile.TemporaryDirectory() as work:
            builder = Path(work, "builder/bin/python")
            run(python, "-I", "-m", "venv", str(builder.parents[1]))

            def pip(*words: str, environment: dict[str, str] | None = None) -> None:
                run(str(builder), "-I", "-m", "pip", "--quiet", "--disable-pip-version-check", *words,
                    environment={"PIP_ROOT_USER_ACTION": "ignore", **(environment or {})})  # fmt: skip

            with distribution.wheel(pip) as wheel:
                for name in ENVIRONMENTS:
                    target = str(folder / name / "bin/python")
                    lock = Path(work, f"{name}.txt")
                    lock.write_bytes(distribution.files[f"locks/{name}.txt"])
                    run(python, "-I", "-m", "venv", "--without-pip", str(folder / name))
                    pip("--python", target, "install", "--require-hashes", "--only-binary=:all:", "-r", str(lock))
                    pip("--python", target, "install", "--no-deps", "--no-index", str(wheel))
        complete.touch()

    text = f"build {folder}:"
    for name in ENVIRONMENTS:
        text += f"\n             {python} -I -m venv --without-pip {folder / name}"
        text += f"\n             pip install --require-hashes -r locks/{name}.txt; pip install --no-deps the wheel"
    return Step(text, complete.is_file, do)


def configuration(chosen: argparse.Namespace) -> bytes:
    """The configuration of a new installation.

    Raises:
        ConfigurationError: it would not be valid.
    """
    hotkeys = chosen.hotkey or ["validator/default"]
    hub = chosen.hub is not None
    text = _CONFIG.format(
        hotkeys=json.dumps(hotkeys),
        greets=_GREETS.format(hotkeys=json.dumps(hotkeys[:1])) if hub else "",
        hub=_HUB.format(hotkey=json.dumps(hotkeys[0]), netuid=chosen.hub) if hub else "",
        network=json.dumps(chosen.network),
        endpoints=f"endpoints = {json.dumps(chosen.endpoint)}\n" if chosen.endpoint else "",
        genesis=f"genesis = {json.dumps(chosen.genesis)}\n" if chosen.genesis else "",
        block_time=f"block_time_seconds = {chosen.block_time}\n" if chosen.block_time else "",
    )
    with tempfile.NamedTemporaryFile("w", suffix=".toml") as trial:
        trial.write(text)
        trial.flush()
        try:
            load_config(trial.name)
        except ConfigurationError as error:
            raise ConfigurationError(str(error).replace(f"{trial.name}: ", "")) from error
    return text.encode()


def uninstall(chosen: argparse.Namespace) -> int:
    """Shows what would go, and removes it with ``--apply``.

    Raises:
        CommandError: not root, or a step failed.
    """
    layout = Layout()
    _check_root(chosen.apply)
    with for_people(chosen):
        left = run_plan(uninstalling(layout), apply=chosen.apply)
    tell(
        chosen,
        {"applied": chosen.apply, "steps": left},
        *([] if chosen.apply else [f"nothing was changed; {left} steps to do with --apply"]),
        "kept: /var/lib/wallet-guard (keys, journal), /etc/wallet-guard, /etc/credstore.encrypted, the users",
    )
    return 0


def uninstalling(layout: Layout) -> list[Step]:
    """The steps to a host without the services."""
    names = [*SERVICES, *SOCKETS, *HUB, *METRICS, "wallet-guard.sysusers", "wallet-guard.tmpfiles"]
    units = [layout.placed(name) for name in names]
    prefix = layout.prefix
    # Asked now: afterwards nothing is there.
    present = any(path.exists() for path in units)
    return [
        command(
            "systemctl", "--quiet", "disable", "--now", *SOCKETS, *HUB, *METRICS, *SERVICES, done=lambda: not present
        ),
        *(remove(path) for path in units),
        command("systemctl", "daemon-reload", done=lambda: not present),
        remove(layout.program),
        Step(f"remove {prefix} and all below it", lambda: not prefix.exists(), lambda: shutil.rmtree(prefix)),
    ]


def _check_root(apply: bool) -> None:
    if apply and os.geteuid() != 0:
        raise CommandError("expected root for --apply", "sudo, or without --apply to see what would be done")


def _check_interpreter(python: str) -> None:
    path = Path(os.path.realpath(python))
    # The services see no home folders, and an interpreter that others can change is theirs.
    if not path.is_relative_to("/usr") or not path.is_file() or path.stat().st_uid != 0:
        raise CommandError(f"{python}: expected root's interpreter below /usr, found {path}", "apt install python3")
    if not _says(python, "-I", "-c", "import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))"):
        raise CommandError(f"{python}: expected Python 3.11 or newer with venv", "apt install python3-venv")


def _has_users() -> bool:
    try:
        return bool([pwd.getpwnam(f"wallet-guard-{name}") for name in ("signer", "gateway", "chain", "hub")])
    except KeyError:
        return False


def _has_folders() -> bool:
    return Path("/run/wallet-guard").is_dir() and Path("/var/lib/wallet-guard").is_dir()


def _is_stale() -> bool:
    """Does the service manager hold older units than the files?"""
    return "yes" in _output("systemctl", "show", "--property=NeedDaemonReload", "--value", *SERVICES, *SOCKETS, *HUB)


def _says(*words: str) -> bool:
    try:
        return subprocess.run(words, capture_output=True, check=False, timeout=60).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def _output(*words: str) -> str:
    try:
        return subprocess.run(words, capture_output=True, text=True, check=False, timeout=60).stdout
    except (OSError, subprocess.TimeoutExpired):
        return ""
