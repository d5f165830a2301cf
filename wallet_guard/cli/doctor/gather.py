"""Making the scene of this host's guard: every question that checks rely on is asked here, once."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import wallet_guard
from wallet_guard.cli import audit
from wallet_guard.cli.doctor import sight
from wallet_guard.cli.doctor.scene import SIGNER_UNIT, SYSTEM_CONFIG, ChainSight, JournalSight, Scene
from wallet_guard.cli.errors import CommandError
from wallet_guard.cli.place import ask_signer, config_places
from wallet_guard.host.config import Config, ConfigurationError, load_config
from wallet_guard.ipc.admin import StatusAsk, StatusView
from wallet_guard.signed.audit import BrokenChainError, Record, verify_chain

PROGRAM_SECONDS = 20.0
"""For systemctl, nft, timedatectl: each asks a daemon of this host."""

MAX_SUBNETS_LOOKED_AT = 64
"""Of all clients together; each is seven storage items in one question."""


def gather(named: str, environment: Mapping[str, str], *, ask_chain: bool, tell: Callable[[str], None]) -> Scene:
    """What there is to see. ``named`` is ``--config``, "" for the usual places; ``tell`` is told what takes time."""
    path, config, config_error = _configuration(named, environment)
    status, status_error, journal, chain, chain_error = None, "", None, None, ""
    if config is not None:
        tell("asking the signer")
        try:
            status = ask_signer(config, StatusAsk())
        except CommandError as error:
            status_error = str(error)
        tell("reading the journal")
        journal = read_journal(Path(config.signer.state).expanduser() / "journal.sqlite3")
        if ask_chain:
            tell(f"asking {config.chain.endpoints[0]}")
            chain, chain_error = _chain(config, status)
    return Scene(
        config_path=path,
        config=config,
        config_error=config_error,
        environment=environment,
        now_ms=time.time_ns() // 1_000_000,
        uid=os.getuid(),
        owner=_owner(path, config),
        python=sys.version_info[:2],
        status=status,
        status_error=status_error,
        journal=journal,
        chain=chain,
        chain_error=chain_error,
        package=_package(),
        say=say,
    )


def _configuration(named: str, environment: Mapping[str, str]) -> tuple[str, Config | None, str]:
    places = config_places(named, environment)
    path = next((place for place in places if place.exists()), places[0]).absolute()
    try:
        return str(path), load_config(path), ""
    except ConfigurationError as error:
        return str(path), None, str(error)


def _chain(config: Config, status: StatusView | None) -> tuple[ChainSight | None, str]:
    addresses = {(key.wallet, key.hotkey): key.ss58_address for key in status.keys} if status else {}
    wanted = {
        sight.Wanted(f"{client.wallet}/{client.hotkey}", addresses[client.wallet, client.hotkey], netuid)
        for client in (status.clients if status else ())
        if client.revoked_ms is None and (client.wallet, client.hotkey) in addresses
        for netuid in client.netuids or ()
    }
    return sight.look(config.chain.endpoints, sorted(wanted)[:MAX_SUBNETS_LOOKED_AT])


def read_journal(path: Path) -> JournalSight | None:
    """The whole audit chain, verified; None where the file is not there or cannot be read."""
    active = set()

    def noted(row: Any) -> Record:
        record = Record(*row)
        if record.client and record.kind not in ("client_added", "client_revoked"):
            active.add(record.client)
        return record

    try:
        with audit.open_records(path) as records:
            count, _ = verify_chain(noted(row) for row in records)
    except BrokenChainError as error:
        return JournalSight(broken=str(error), active_clients=frozenset(active))
    except (OSError, CommandError):
        return None
    return JournalSight(count, active_clients=frozenset(active))


def _owner(path: str, config: Config | None) -> int | None:
    """The uid that the signer runs as: the running one's, the unit's, or that of the state folder."""
    bare = Scene(path, config)
    running = bare.process("signer")
    if running is not None and running.uid >= 0:
        return running.uid
    if Path(path) == SYSTEM_CONFIG and SIGNER_UNIT.is_file():
        for line in SIGNER_UNIT.read_text(encoding="utf-8").splitlines():
            if line.startswith("User="):
                return bare.uid_of(line.removeprefix("User="))
    try:
        return Path(config.signer.state).expanduser().stat().st_uid if config else None
    except OSError:
        return os.getuid()


def _package() -> Path | None:
    """``share/wallet-guard`` of an installed wheel, or the source tree; None for neither."""
    for folder in (Path(sys.prefix) / "share/wallet-guard", Path(wallet_guard.__file__).parents[1]):
        if (folder / "systemd").is_dir():
            return folder
    return None


def say(*words: str) -> str | None:
    """What a program of the host prints, None where it cannot be run, takes too long or ends with another status."""
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"}
    try:
        done = subprocess.run(
            words, capture_output=True, text=True, check=False, timeout=PROGRAM_SECONDS, env=environment
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None
