"""``wallet-guard audit``: is the chain of decisions whole, what does it say, and proof to keep elsewhere.

``verify``, ``tail`` and ``export`` read a journal, a copy of one, or an export; they need neither the service nor a
secret, and nothing but the standard library and PyNaCl. Only ``checkpoint`` asks the running signer.
"""

import argparse
import sqlite3
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from wallet_guard.cli.errors import CommandError
from wallet_guard.cli.place import add_config_option, ask_signer, find_config
from wallet_guard.cli.printing import add_json_option, print_json, progress, tell
from wallet_guard.ipc.admin import AuditCheckpoint, CheckpointView
from wallet_guard.ipc.records import to_json
from wallet_guard.signed.audit import BrokenChainError, Record, from_lines, to_line, verify_chain
from wallet_guard.signed.checkpoint import Checkpoint, NoteError, open_checkpoint, parse_verifier

FOLLOW_SECONDS = 0.5
"""Between two looks for new records."""

MAX_SMALL_FILE_BYTES = 64 * 1024
"""Of a file with a checkpoint or a key."""

_SQLITE_MAGIC = b"SQLite format 3\0"

_SELECT = "SELECT seq, at_ms, kind, client, body, hash FROM audit"


def add_words(parsers: Any) -> None:
    """``audit`` with its four words."""
    audit = parsers.add_parser("audit", help="the chain of decisions: verify, checkpoint, tail, export")
    words = audit.add_subparsers(title="words", metavar="WORD", required=True)

    verifying = words.add_parser("verify", help="check every record against the one before it; works on a copy")
    _add_journal_option(verifying)
    verifying.add_argument("--head", metavar="HEX", help="a head kept elsewhere, which must be part of the chain")
    verifying.add_argument("--checkpoint", metavar="FILE", help="a checkpoint kept elsewhere ('-' reads it here)")
    verifying.add_argument("--key", metavar="KEY", help="the key it verifies with, or a file that holds it")
    add_json_option(verifying)
    verifying.set_defaults(answer=verify)

    pointing = words.add_parser("checkpoint", help="a signed note about the chain as it stands; keep it elsewhere")
    pointing.add_argument("--show-key", action="store_true", help="print the key that notes verify with instead")
    add_json_option(pointing)
    add_config_option(pointing)
    pointing.set_defaults(answer=checkpoint)

    tailing = words.add_parser("tail", help="the newest records, for reading")
    tailing.add_argument("-n", type=int, default=20, metavar="COUNT", help="how many (default 20)")
    tailing.add_argument("--follow", action="store_true", help="and every further one, until interrupted")
    _add_journal_option(tailing)
    add_json_option(tailing)
    tailing.set_defaults(answer=tail)

    exporting = words.add_parser("export", help="every record as a line of JSON; 'verify --journal' reads it back")
    exporting.add_argument("--since", type=int, default=1, metavar="SEQ", help="first record (default 1)")
    _add_journal_option(exporting)
    exporting.set_defaults(answer=export)


def _add_journal_option(parser: Any) -> None:
    parser.add_argument("--journal", metavar="FILE", help="a journal, or a copy (default: the configuration's)")
    add_config_option(parser)


def verify(chosen: argparse.Namespace) -> int:
    """Prints the count and the head. What was cut off the end shows only against a checkpoint or head kept elsewhere.

    Raises:
        CommandError: the chain is broken, the checkpoint is not this chain's, or a file is not what it should be.
    """
    kept = _open_checkpoint(chosen) if chosen.checkpoint else None
    known = () if kept is None else (kept.point,)
    try:
        head = bytes.fromhex(chosen.head) if chosen.head else None
    except ValueError as error:
        raise CommandError(f"--head: expected hex digits, found {chosen.head[:70]!r}") from error
    path = _journal_path(chosen)
    try:
        with open_records(path) as records, progress() as working:
            working("verifying the audit chain")
            count, found = verify_chain(records, head, known=known)
    except BrokenChainError as error:
        raise CommandError(
            f"{path}: the audit chain is broken: {error}", "compare with a backup; do not go on signing"
        ) from error
    checked = [] if kept is None else [f"as {kept.origin} signed at {_time(kept.at_ms)} for the first {kept.point.seq}"]
    tell(
        chosen,
        {"records": count, "head": found.hex(), "checkpoint": None if kept is None else kept.point.seq},
        f"{count} records, unbroken, head {found.hex()}",
        *checked,
    )
    return 0


def checkpoint(chosen: argparse.Namespace) -> int:
    """Prints a note of the running signer, or the key.

    The key is worth keeping elsewhere as well: a chain made anew brings its own.
    """
    view: CheckpointView = ask_signer(find_config(chosen), AuditCheckpoint())
    if chosen.json:
        print_json(to_json(view))
        return 0
    print(view.key if chosen.show_key else view.note, end="\n" if chosen.show_key else "")
    return 0


def tail(chosen: argparse.Namespace) -> int:
    """One line per record."""
    path = _journal_path(chosen)
    with _open_journal(path) as journal:
        newest = journal.execute(f"{_SELECT} ORDER BY seq DESC LIMIT ?", (max(chosen.n, 0),)).fetchall()
        last, show = 0, _show_line if chosen.json else _show
        for row in reversed(newest):
            last = show(Record(*row))
        if not newest:
            (last,) = journal.execute("SELECT coalesce(max(seq), 0) FROM audit").fetchone()
        while chosen.follow:
            time.sleep(FOLLOW_SECONDS)
            for row in journal.execute(f"{_SELECT} WHERE seq > ? ORDER BY seq", (last,)):
                last = show(Record(*row))
    return 0


def export(chosen: argparse.Namespace) -> int:
    """Every record from ``--since`` on, the oldest first."""
    with _open_journal(_journal_path(chosen)) as journal:
        for row in journal.execute(f"{_SELECT} WHERE seq >= ? ORDER BY seq", (chosen.since,)):
            print(to_line(Record(*row)))
    return 0


def _journal_path(chosen: argparse.Namespace) -> Path:
    path = Path(chosen.journal or Path(find_config(chosen).signer.state).expanduser() / "journal.sqlite3")
    if not path.is_file():
        raise CommandError(f"{path}: no such file")
    return path


@contextmanager
def open_records(path: Path) -> Iterator[Iterator[Any]]:
    """The records of a journal, or of an export."""
    with path.open("rb") as file:
        is_journal = file.read(len(_SQLITE_MAGIC)) == _SQLITE_MAGIC
    if is_journal:
        with _open_journal(path) as journal:
            yield journal.execute(f"{_SELECT} ORDER BY seq")
        return
    with path.open(encoding="utf-8", errors="surrogateescape") as lines:
        if lines.read(1) not in ("{", ""):
            raise CommandError(f"{path}: expected a journal, or an export of one")
        lines.seek(0)
        yield from_lines(lines)


@contextmanager
def _open_journal(path: Path) -> Iterator[sqlite3.Connection]:
    # A copy in a folder that cannot be written has no place for SQLite's index of the log; without a log it needs none.
    mode = "mode=ro" if path.with_name(path.name + "-wal").exists() else "mode=ro&immutable=1"
    try:
        journal = sqlite3.connect(f"{path.absolute().as_uri()}?{mode}", uri=True)
        try:
            yield journal
        finally:
            journal.close()
    except sqlite3.Error as error:
        raise CommandError(f"{path}: expected a journal: {error}") from error


def _open_checkpoint(chosen: argparse.Namespace) -> Checkpoint:
    if not chosen.key:
        raise CommandError(
            "--checkpoint: expected --key with it, since a note proves nothing without the key that signed it",
            "'wallet-guard audit checkpoint --show-key' prints it; keep it where you keep the notes",
        )
    note = sys.stdin.read(MAX_SMALL_FILE_BYTES) if chosen.checkpoint == "-" else _read(chosen.checkpoint)
    key = _read(chosen.key) if Path(chosen.key).is_file() else chosen.key
    try:
        return open_checkpoint(note, parse_verifier(key))
    except NoteError as error:
        raise CommandError(f"--checkpoint: {error}") from error


def _read(path: str) -> str:
    try:
        with Path(path).open(encoding="utf-8") as file:
            return file.read(MAX_SMALL_FILE_BYTES)
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"{path}: expected a small text file: {error}") from error


def _show(record: Record) -> int:
    print(f"{record.seq} {_time(record.at_ms)} {record.kind} {record.client or '-'} {record.body}", flush=True)
    return record.seq


def _show_line(record: Record) -> int:
    print(to_line(record), flush=True)
    return record.seq


def _time(unix_ms: int) -> str:
    """RFC 3339 with milliseconds, UTC."""
    return datetime.fromtimestamp(unix_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
