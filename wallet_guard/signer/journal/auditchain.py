"""The end of the audit chain: where the next record goes, and what it must carry."""

import json
import sqlite3
from typing import Any

from wallet_guard.signed.audit import GENESIS_HASH, Point, Record, record_hash, verify_chain

MAX_CHECKED_RECORDS = 50_000
"""Audit records verified at a start, the newest: a quarter of a second. ``audit verify`` does all."""

_encode = json.JSONEncoder(check_circular=False, separators=(",", ":"), sort_keys=True).encode


class AuditChain:
    """The newest record's number and hash, as ``head``; every further record is appended here."""

    def __init__(self, db: sqlite3.Connection) -> None:
        row = db.execute("SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1").fetchone()
        self.head = Point(*row) if row else Point(0, GENESIS_HASH)

    def append(self, db: sqlite3.Connection, at_ms: int, kind: str, client: str, body: dict[str, Any]) -> None:
        """Appends one record, inside a transaction; when that fails, set ``head`` back."""
        text = _encode(body)
        seq = self.head.seq + 1
        self.head = Point(seq, record_hash(self.head.hash, seq, at_ms, kind, client, text))
        db.execute("INSERT INTO audit VALUES (?, ?, ?, ?, ?, ?)", (seq, at_ms, kind, client, text, self.head.hash))


def check_newest_records(db: sqlite3.Connection) -> None:
    """Verifies the newest records.

    Raises:
        BrokenChainError: one is missing, out of order or altered.
    """
    (before,) = db.execute("SELECT coalesce(max(seq), 0) - ? FROM audit", (MAX_CHECKED_RECORDS,)).fetchone()
    since = None
    if before > 0:
        row = db.execute("SELECT hash FROM audit WHERE seq = ?", (before,)).fetchone()
        since = Point(before, row[0] if row else b"")
    rows = db.execute(
        "SELECT seq, at_ms, kind, client, body, hash FROM audit WHERE seq > ? ORDER BY seq", (max(before, 0),)
    )
    verify_chain((Record(*row) for row in rows), since=since)
