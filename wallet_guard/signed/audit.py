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
from json.encoder import encode_basestring_ascii as _quote
from typing import Any, NamedTuple

GENESIS_HASH = bytes(32)
"""What stands before the first record."""

MAX_LINE_CHARACTERS = 1 << 20
"""Of one exported record: a body is a few hundred characters; a vector of 4,096 weights is 60,000."""


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


def verify_chain(
    records: Iterable[tuple[int, int, str, str, str, bytes]],
    head: bytes | None = None,
    *,
    since: Point | None = None,
    known: Iterable[Point] = (),
) -> Point:
    """The last record's number and hash. ``records`` are ``Record``s or plain tuples of the same six.

    ``head`` is a hash kept elsewhere, ``known`` are places kept elsewhere: each must be part of the chain. ``since``
    names the record before the first one given, where not the whole chain is.

    Raises:
        BrokenChainError: a record is missing, out of order, altered or of other types, or something kept
            elsewhere is no part of the chain.
    """
    count, previous = since or Point(0, GENESIS_HASH)
    wanted = {point.seq: point.hash for point in known}
    if wanted.get(count, previous) != previous:
        raise BrokenChainError(f"expected {wanted[count].hex()[:16]} after record {count}: another chain is here")
    found = head is None or head == previous
    sha256 = hashlib.sha256
    for seq, at_ms, kind, client, body, claimed in records:
        count += 1
        if seq != count or not type(seq) is type(at_ms) is int or not type(kind) is type(client) is type(body) is str:
            raise BrokenChainError(_why_wrong(count, seq))
        # A guess at record_hash, right for what is usually there, in two thirds of the time. Of anything else it makes
        # bytes that no canonical list has (an unescaped quote or character), so it is never falsely right; a backslash
        # in kind or client could make it so, and is not guessed at.
        quoted = body.replace("\\", "\\\\") if "\\" in body else body
        quoted = quoted.replace('"', '\\"')
        guess = f'[{seq},{at_ms},"{kind}","{client}","{quoted}"]'
        expected = sha256(previous + guess.encode("utf-8", "surrogatepass")).digest()
        if claimed != expected or "\\" in kind or "\\" in client:
            expected = record_hash(previous, seq, at_ms, kind, client, body)
        if claimed != expected:
            raise BrokenChainError(_why_wrong(count, seq))
        previous = expected
        if expected == head:
            found = True
        if count in wanted and wanted[count] != expected:
            raise BrokenChainError(f"record {count} is not the one that was kept elsewhere: another chain is here")
    if wanted and max(wanted) > count:
        raise BrokenChainError(f"expected at least {max(wanted)} records, found {count}: the tail was cut")
    if not found:
        raise BrokenChainError(
            f"the head given is none of the {count} records: the tail was cut, or another chain is here"
        )
    return Point(count, previous)


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
