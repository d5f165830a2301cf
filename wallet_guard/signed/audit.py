"""The audit chain: every record carries the hash of the one before it.

A record's hash is SHA-256 over the previous hash (32 bytes; zeros before the first) and the UTF-8 bytes of
a JSON list without spaces, ``[seq,at_ms,kind,client,body]``, non-ASCII characters escaped. ``body`` is the
JSON text as it was stored. So a copy of the records is all that a verifier needs: no key, no service. An
edit, a drop, a swap or an insertion breaks the chain where it happened; a cut tail shows only against a
head that was kept elsewhere.
"""

import hashlib
import json
from collections.abc import Iterable
from typing import NamedTuple

GENESIS_HASH = bytes(32)
"""What stands before the first record."""


class Record(NamedTuple):
    """One decision.

    ``seq`` counts from 1, ``at_ms`` is Unix time by the signer's clock, ``client`` is "" where there is
    none.
    """

    seq: int
    at_ms: int
    kind: str
    client: str
    body: str
    hash: bytes


class BrokenChainError(Exception):
    """The records are not what was written; the message names the first that does not fit."""


def record_hash(previous: bytes, seq: int, at_ms: int, kind: str, client: str, body: str) -> bytes:
    """The 32-byte hash of a record that follows ``previous``."""
    canonical = json.dumps([seq, at_ms, kind, client, body], separators=(",", ":")).encode()
    return hashlib.sha256(previous + canonical).digest()


def verify_chain(records: Iterable[Record], head: bytes | None = None) -> tuple[int, bytes]:
    """How many records there are and the hash of the last one.

    Raises:
        BrokenChainError: a record is missing, out of order or altered, or ``head`` (kept elsewhere) is none
            of theirs.
    """
    count, previous = 0, GENESIS_HASH
    seen = head is None or head == GENESIS_HASH
    for record in records:
        if record.seq != count + 1:
            raise BrokenChainError(f"expected record {count + 1}, found {record.seq}")
        expected = record_hash(previous, record.seq, record.at_ms, record.kind, record.client, record.body)
        if record.hash != expected:
            raise BrokenChainError(
                f"record {record.seq} was altered: its hash does not fit its content and the record before it"
            )
        count, previous = record.seq, expected
        seen = seen or expected == head
    if not seen:
        raise BrokenChainError(
            f"the head given is none of the {count} records: the tail was cut, or another chain is here"
        )
    return count, previous
