"""``wallet-guard audit verify``: is the audit chain whole? Needs neither the service nor a key."""

import argparse
import sqlite3
from pathlib import Path
from typing import Any

from wallet_guard.cli.errors import CommandError
from wallet_guard.cli.place import add_config_option, find_config
from wallet_guard.signed.audit import BrokenChainError, Record, verify_chain


def add_words(parsers: Any) -> None:
    """``audit verify``."""
    audit = parsers.add_parser("audit", help="the chain of decisions: verify")
    words = audit.add_subparsers(title="words", metavar="WORD", required=True)
    parser = words.add_parser("verify", help="check every record against the one before it")
    parser.add_argument("--journal", metavar="FILE", help="a journal or a copy of one (default: the configuration's)")
    parser.add_argument("--head", metavar="HEX", help="a head kept elsewhere, which must be part of the chain")
    add_config_option(parser)
    parser.set_defaults(answer=verify)


def verify(chosen: argparse.Namespace) -> int:
    """Prints the count and the head, which is worth keeping elsewhere.

    Raises:
        CommandError: the chain is broken, or the file is no journal.
    """
    path = Path(chosen.journal or Path(find_config(chosen).signer.state).expanduser() / "journal.sqlite3")
    if not path.is_file():
        raise CommandError(f"{path}: no such file")
    try:
        head = bytes.fromhex(chosen.head) if chosen.head else None
    except ValueError as error:
        raise CommandError(f"--head: expected hex digits, found {chosen.head[:70]!r}") from error
    try:
        with sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True) as journal:
            rows = journal.execute("SELECT seq, at_ms, kind, client, body, hash FROM audit ORDER BY seq")
            count, found = verify_chain((Record(*row) for row in rows), head)
        journal.close()
    except sqlite3.Error as error:
        raise CommandError(f"{path}: expected a journal: {error}") from error
    except BrokenChainError as error:
        raise CommandError(
            f"{path}: the audit chain is broken: {error}", "compare with a backup; do not go on signing"
        ) from error
    print(f"{count} records, unbroken, head {found.hex()}")
    return 0
