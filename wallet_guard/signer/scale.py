"""SCALE by hand for the few bytes that this process signs: its four calls, and what is signed beside a call.

Why by hand, next to a codec that reads the metadata: the RFC-0078 digest covers the types that a call is decoded with,
but not the metadata's list of pallets, which the codec encodes by. Forged there, metadata keeps its digest while
``set_weights`` becomes another pallet's call, or swaps two arguments. So the codec's bytes are signed only where they
equal these.

Encodings: SCALE (docs.polkadot.com, "SCALE data encoding"): little-endian integers, compact lengths. Pallet and call
indices are those of the ``SubtensorModule`` of spec version 461, the same since each call came; a runtime that moves
one is refused until this table follows it.
"""

from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Any

PALLET_INDEX = 7
"""``SubtensorModule``."""

HASHED_ABOVE_BYTES = 256
"""A longer payload is signed as its BLAKE2b-256 (sp_runtime, ``SignedPayload::using_encoded``)."""


def compact(value: int) -> bytes:
    """``value`` (0 to 2**32 - 1) as a compact integer, in its shortest form."""
    if value < 1 << 6:
        return (value << 2).to_bytes(1, "little")
    if value < 1 << 14:
        return (value << 2 | 1).to_bytes(2, "little")
    if value < 1 << 30:
        return (value << 2 | 2).to_bytes(4, "little")
    return b"\x03" + value.to_bytes(4, "little")


def _u8(value: int) -> bytes:
    return value.to_bytes(1, "little")


def _u16(value: int) -> bytes:
    return value.to_bytes(2, "little")


def _u64(value: int) -> bytes:
    return value.to_bytes(8, "little")


def _u16s(values: Sequence[int]) -> bytes:
    return compact(len(values)) + b"".join(map(_u16, values))


def _bytes(data: bytes) -> bytes:
    return compact(len(data)) + data


_PLAIN = {"dests": _u16s, "weights": _u16s, "version_key": _u64}
_COMMIT = {"commit": _bytes, "reveal_round": _u64, "commit_reveal_version": _u16}

_CALLS: dict[str, tuple[int, dict[str, Any]]] = {
    "set_weights": (0, {"netuid": _u16, **_PLAIN}),
    "set_mechanism_weights": (119, {"netuid": _u16, "mecid": _u8, **_PLAIN}),
    "commit_timelocked_weights": (113, {"netuid": _u16, **_COMMIT}),
    "commit_timelocked_mechanism_weights": (118, {"netuid": _u16, "mecid": _u8, **_COMMIT}),
}
"""Call index and arguments, in their order."""


def encode_call(name: str, arguments: Mapping[str, Any]) -> bytes:
    """The bytes of one of the four calls.

    Raises:
        KeyError: another call, or an argument is missing.
        OverflowError: an argument is too large for its type.
    """
    index, encoders = _CALLS[name]
    return bytes((PALLET_INDEX, index)) + b"".join(encode(arguments[key]) for key, encode in encoders.items())


def encode_era(period: int, current: int) -> bytes:
    """A mortal era of ``period`` blocks (a power of two, 4 to 4096) born at block ``current`` (sp_runtime, ``Era``)."""
    return (period.bit_length() - 2 | current % period << 4).to_bytes(2, "little")


def encode_payload(
    call: bytes, *, era: bytes, nonce: int, versions: tuple[int, int], hashes: tuple[bytes, bytes], digest: bytes | None
) -> bytes:
    """What is signed for ``call``: without tip, with the metadata digest if there is one.

    ``versions`` are spec and transaction version, ``hashes`` those of genesis and of the era's first block.
    """
    beside = era + compact(nonce) + compact(0) + (b"\x01" if digest else b"\x00")
    implied = b"".join(version.to_bytes(4, "little") for version in versions) + b"".join(hashes)
    payload = call + beside + implied + (b"\x01" + digest if digest else b"\x00")
    return payload if len(payload) <= HASHED_ABOVE_BYTES else blake2b(payload, digest_size=32).digest()
