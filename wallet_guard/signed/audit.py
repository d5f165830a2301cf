"""The audit chain: every record carries the hash of the one before it.

A record's hash is SHA-256 over the previous hash (32 bytes; zeros before the first) and the ASCII bytes of
a JSON list without spaces, ``[seq,at_ms,kind,client,body]``, non-ASCII characters escaped. ``body`` is the
JSON text as it was stored. So a copy of the records is all that a verifier needs: no key, no service. An
edit, a drop, a swap or an insertion breaks the chain where it happened; a cut tail (or a chain made anew)
shows only against a head that was kept elsewhere: see ``checkpoint``.

As JSON Lines, one record is one object with the six fields of ``Record``, the hash in hex. The kinds and
their bodies are listed in ``hardening/audit.md``.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator
from itertools import islice
from json.encoder import encode_basestring_ascii as _quote
from typing import Any, NamedTuple

GENESIS_HASH = bytes(32)
"""What stands before the first record."""

MAX_LINE_CHARACTERS = 1 << 20
"""Of one exported record: a body is a few hundred characters; a vector of 4,096 weights is 60,000."""


CHUNK_RECORDS = 256
"""Verified at a time: enough to spread what a chunk costs, little enough to stay in the processor's cache."""


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


class Point(NamedTuple):
    """A place in the chain that is known from elsewhere: record ``seq`` has this hash. (0, zeros) is the start."""

    seq: int
    hash: bytes


class BrokenChainError(Exception):
    """The records are not what was written; the message names the first that does not fit."""


def record_hash(previous: bytes, seq: int, at_ms: int, kind: str, client: str, body: str) -> bytes:
    """The 32-byte hash of a record that follows ``previous``."""
    # What json.dumps gives for the list, in a third of the time: a verifier does this for every record.
    canonical = f"[{seq},{at_ms},{_quote(kind)},{_quote(client)},{_quote(body)}]"
    return hashlib.sha256(previous + canonical.encode("ascii")).digest()


Row = tuple[int, int, str, str, str, bytes]
"""A ``Record``, or a plain tuple of the same six."""


def verify_chain(
    records: Iterable[Row], head: bytes | None = None, *, since: Point | None = None, known: Iterable[Point] = ()
) -> Point:
    """The last record's number and hash.

    ``head`` is a hash kept elsewhere, ``known`` are places kept elsewhere: each must be part of the chain. ``since``
    names the record before the first one given, where not the whole chain is.

    Raises:
        BrokenChainError: a record is missing, out of order, altered or of other types, or something kept
            elsewhere is no part of the chain.
    """
    count, previous = since or Point(0, GENESIS_HASH)
    kept = {point.seq: point.hash for point in known}
    _check_kept(kept, count, [previous])
    found, rest = head in (None, previous), iter(records)
    while chunk := list(islice(rest, CHUNK_RECORDS)):
        if not _is_right(chunk, count, previous):
            _check_each(chunk, count, previous)
        hashes = [row[5] for row in chunk]
        _check_kept(kept, count + 1, hashes)
        found = found or head in hashes
        count, previous = count + len(chunk), hashes[-1]
    if kept and max(kept) > count:
        raise BrokenChainError(f"expected at least {max(kept)} records, found {count}: the tail was cut")
    if not found:
        raise BrokenChainError(
            f"the head given is none of the {count} records: the tail was cut, or another chain is here"
        )
    return Point(count, previous)


def _is_right(chunk: list[Row], count: int, previous: bytes) -> bool:
    """Whether these are the records that follow; False also where it takes a closer look to know.

    A verifier does this for every record, so it is done column by column, and the canonical text is made here in a
    third of the time of ``record_hash``: right where nothing needs escaping but quotes in the body. Of anything else it
    makes bytes that no canonical text has (a raw quote, control or non-ASCII character), so it is never falsely right.
    """
    seqs, times, kinds, clients, bodies, claimed = zip(*chunk, strict=True)
    if seqs != tuple(range(count + 1, count + 1 + len(chunk))):
        return False
    if {*map(type, seqs), *map(type, times)} != {int} or {*map(type, kinds + clients + bodies)} != {str}:
        return False
    if "\\" in "".join(kinds + clients + bodies):
        return False
    sha256 = hashlib.sha256
    try:
        made = [
            sha256(before + f'[{seq},{at_ms},"{kind}","{client}","{quoted}"]'.encode()).digest()
            for before, seq, at_ms, kind, client, quoted in zip(
                (previous, *claimed),
                seqs,
                times,
                kinds,
                clients,
                [body.replace('"', '\\"') for body in bodies],
                strict=False,
            )
        ]
    except (TypeError, UnicodeEncodeError):
        return False
    return made == list(claimed)


def _check_each(chunk: list[Row], count: int, previous: bytes) -> None:
    for seq, at_ms, kind, client, body, claimed in chunk:
        count += 1
        if seq != count or not type(seq) is type(at_ms) is int or not type(kind) is type(client) is type(body) is str:
            raise BrokenChainError(_why_wrong(count, seq))
        expected = record_hash(previous, seq, at_ms, kind, client, body)
        if claimed != expected:
            raise BrokenChainError(_why_wrong(count, seq))
        previous = expected


def _check_kept(kept: dict[int, bytes], first: int, hashes: list[bytes]) -> None:
    """``hashes`` are those of record ``first`` and the ones that follow it."""
    for seq, wanted in kept.items():
        if first <= seq < first + len(hashes) and hashes[seq - first] != wanted:
            raise BrokenChainError(f"record {seq} is not the one that was kept elsewhere: another chain is here")


def _why_wrong(count: int, seq: object) -> str:
    if seq != count:
        return f"expected record {count}, found {str(seq)[:24]}: one is missing or out of order"
    return f"record {count} was altered: its hash does not fit its content and the record before it"


def to_line(record: Record) -> str:
    """One record as a line of JSON, without its end."""
    return json.dumps(record._asdict() | {"hash": record.hash.hex()}, separators=(",", ":"))


def from_lines(lines: Iterable[str]) -> Iterator[Record]:
    """The records of an export.

    Raises:
        BrokenChainError: a line is no record.
    """
    for number, line in enumerate(lines, 1):
        try:
            fields: dict[str, Any] = json.loads(line[:MAX_LINE_CHARACTERS])
            record = Record(**(fields | {"hash": bytes.fromhex(fields["hash"])}))
        except (ValueError, TypeError, KeyError, RecursionError):
            raise BrokenChainError(f"line {number}: expected one record as JSON, found {line[:60]!r}") from None
        yield record
