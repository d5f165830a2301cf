"""``wallet-guard lock`` and ``unlock``: stop every signature, and let them go on."""

import argparse
from typing import Any

from wallet_guard.cli.place import add_config_option, ask_signer, find_config
from wallet_guard.cli.printing import add_json_option, tell
from wallet_guard.ipc.admin import Lock, Unlock


def add_words(parsers: Any) -> None:
    """``lock`` and ``unlock``."""
    locking = parsers.add_parser("lock", help="nothing is signed from now on, across restarts, until 'unlock'")
    locking.add_argument("--reason", default="", metavar="TEXT", help="kept in the audit chain and shown in status")
    add_json_option(locking)
    add_config_option(locking)
    locking.set_defaults(answer=lock)

    unlocking = parsers.add_parser("unlock", help="let the signer sign again")
    unlocking.add_argument(
        "--key",
        default="",
        metavar="WALLET/HOTKEY",
        help="a hotkey that was locked because somebody else signs with it",
    )
    unlocking.add_argument(
        "--force",
        action="store_true",
        help="after a restore, before the era is over: only if nothing was signed after the backup",
    )
    add_json_option(unlocking)
    add_config_option(unlocking)
    unlocking.set_defaults(answer=unlock)


def lock(chosen: argparse.Namespace) -> int:
    """Locks the running signer. Where it does not answer, SIGUSR1 or a file 'lock' in its state folder do the same."""
    ask_signer(find_config(chosen), Lock(chosen.reason))
    tell(chosen, {"locked": True}, "locked: nothing is signed until 'wallet-guard unlock'")
    return 0


def unlock(chosen: argparse.Namespace) -> int:
    """Opens the running signer, or one of its hotkeys, again."""
    ask_signer(find_config(chosen), Unlock(chosen.key, chosen.force))
    tell(chosen, {"unlocked": chosen.key or True}, f"unlocked {chosen.key}".rstrip())
    return 0
