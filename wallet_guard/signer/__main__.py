"""Starts the signer: ``python -m wallet_guard.signer --config FILE [--development]``.

Exit status: 0 stopped on request, 78 (EX_CONFIG) something for the operator to mend, 1 anything else.
"""

import argparse
import logging
import os
import pwd
import secrets
import signal
import socket
import sys
import time
from pathlib import Path
from typing import Any

from wallet_guard import __version__
from wallet_guard.host.config import Config, ConfigurationError, load_config
from wallet_guard.host.log import start_log
from wallet_guard.host.process import die_with_supervisor, forbid_dumps, refuse_sdk
from wallet_guard.host.readiness import notify
from wallet_guard.host.sockets import inherited_sockets, listen_unix
from wallet_guard.signer.admin import check_no_default_tokens
from wallet_guard.signer.auditkey import check_not_lost
from wallet_guard.signer.desk import Desk
from wallet_guard.signer.journal import Journal, JournalError
from wallet_guard.signer.keys import load_keys
from wallet_guard.signer.server import Server

log = logging.getLogger("wallet_guard.signer")

EX_CONFIG = 78

MODES = {"gateway": 0o660, "hub": 0o660, "chain": 0o660, "admin": 0o600}
"""Modes of the sockets that are made here; a service manager sets its own."""


def main() -> int:
    """The exit status."""
    arguments = _arguments()
    start_log("signer")
    die_with_supervisor(os.environ)
    try:
        forbid_dumps()
        if not arguments.development:
            refuse_sdk()
        os.umask(0o077)
        _serve(load_config(arguments.config), inherited_sockets(os.environ, os.getpid()))
    except ConfigurationError as error:
        log.critical(str(error))
        return EX_CONFIG
    except JournalError as error:
        log.critical(str(error))
        return 1
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="wallet_guard.signer", description="holds the keys, decides, signs")
    parser.add_argument("--config", required=True, help="path of wallet-guard.toml")
    parser.add_argument(
        "--development", action="store_true", help="accept the SDK in this environment (never in production)"
    )
    return parser.parse_args()


def _serve(config: Config, inherited: dict[str, socket.socket]) -> None:
    keys = load_keys(config.signer)
    for key in keys:
        log.info(f"loaded {key.wallet}/{key.hotkey} {key.ss58_address}")
    if not len(keys):
        raise ConfigurationError(f"{config.path}: [signer] hotkeys: expected at least one 'wallet/hotkey', found none")
    folder = Path(config.signer.state).expanduser()
    check_not_lost(folder)
    journal = Journal(folder)
    check_no_default_tokens(journal)
    desk = Desk(config, keys, journal, now_ms=lambda: time.time_ns() // 1_000_000, random_hex=secrets.token_hex)
    desk.last_tick_ms = desk.now_ms()
    signal.signal(signal.SIGUSR1, lambda _number, _frame: desk.lockdown.engage("SIGUSR1"))
    signal.signal(signal.SIGHUP, lambda _number, _frame: desk.policies.want())
    users = {
        "gateway": _uids(config.signer.gateway_user),
        "hub": _uids(config.signer.hub_user),
        "chain": _uids(config.signer.chain_user),
        "admin": _uids(""),
    }
    names = [name for name in MODES if name != "hub" or config.signer.hub_hotkeys]
    listeners = {name: inherited.get(name) or listen_unix(config.socket(name), MODES[name]) for name in names}
    server = Server(desk, listeners, users, alive=lambda: notify("WATCHDOG=1", os.environ))
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: server.stop())
    # A signal must also wake the select(2) that the loop sleeps in.
    wake, woken = socket.socketpair()
    wake.setblocking(False)
    signal.set_wakeup_fd(wake.fileno(), warn_on_full_buffer=False)
    server.watch(woken)
    about = {"version": __version__, "keys": [key.ss58_address for key in keys]}
    _record(desk, "started", **about, audit_key=str(desk.audit_key.verifier), policy=desk.policies.current.sha256)
    notify("READY=1", os.environ)
    log.info(f"ready: {len(keys)} keys, {journal.count_open()} open intents, journal {journal.path}")
    server.run()
    notify("STOPPING=1", os.environ)
    if not journal.error:
        _record(desk, "stopped")
    journal.close()
    log.info("stopped")


def _record(desk: Desk, kind: str, **body: Any) -> None:
    try:
        _append(desk, kind, body)
    except JournalError:
        if desk.journal.error:
            raise
        # A full disk: the reserve was given back, so now there is room.
        _append(desk, kind, body)


def _append(desk: Desk, kind: str, body: dict[str, Any]) -> None:
    with desk.journal.transaction() as writer:
        writer.record(desk.now_ms(), kind, "", **body)


def _uids(user: str) -> frozenset[int]:
    """Who may connect: that user, ourselves, and root, who could anyway."""
    own = {0, os.getuid()}
    if user:
        try:
            own.add(pwd.getpwnam(user).pw_uid)
        except KeyError as error:
            raise ConfigurationError(f"expected the name of a user, found {user!r}") from error
    return frozenset(own)


if __name__ == "__main__":
    sys.exit(main())
