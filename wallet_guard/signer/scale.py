"""SCALE by hand for the few bytes that this process signs: its calls, and what is signed beside a call.

Why by hand, next to a codec that reads the metadata: the RFC-0078 digest covers the types that a call is decoded with,
but not the metadata's list of pallets, which the codec encodes by. Forged there, metadata keeps its digest while
``set_weights`` becomes another pallet's call, or swaps two arguments. So the codec's bytes are signed only where they
equal these; and a call that comes as bytes is read here, where there is nothing but the closed list.

Encodings: SCALE (docs.polkadot.com, "SCALE data encoding"): little-endian integers, compact lengths. Pallet and call
indices are those of spec version 461, the same since each call came; a runtime that moves one is refused until this
table follows it.
"""

import struct
from collections.abc import Callable, Mapping, Sequence
from hashlib import blake2b
from typing import Any, NamedTuple

SUBTENSOR, COMMITMENTS = "SubtensorModule", "Commitments"

PALLETS = {SUBTENSOR: 7, COMMITMENTS: 18}

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


class _Reader:
    """Bytes, read from the front."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def take(self, count: int) -> bytes:
        found = self._data[self._at : self._at + count]
        if len(found) != count:
            raise ValueError(f"expected {count} more bytes, found {len(found)}")
        self._at += count
        return found

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "little")

    def compact(self) -> int:
        first = self.number(1)
        size = (0, 1, 3, 4)[first & 3]
        rest = self.take(size)
        value = (
            int.from_bytes(rest, "little") if first & 3 == 3 else int.from_bytes(bytes([first]) + rest, "little") >> 2
        )
        if compact(value) != bytes([first]) + rest:
            raise ValueError("expected a compact integer in its shortest form")
        return value

    def end(self) -> None:
        if self._at != len(self._data):
            raise ValueError(f"expected the end after {self._at} bytes, found {len(self._data) - self._at} more")


class _Kind(NamedTuple):
    """How values of one type are written and read."""

    encode: Callable[[Any], bytes]
    decode: Callable[[_Reader], Any]


def _unsigned(size: int) -> _Kind:
    return _Kind(lambda value: value.to_bytes(size, "little"), lambda reader: reader.number(size))


_u8, _u16, _u32, _u64, _u128 = map(_unsigned, (1, 2, 4, 8, 16))


def _encode_u16s(values: Sequence[int]) -> bytes:
    try:
        return compact(len(values)) + struct.pack(f"<{len(values)}H", *values)
    except struct.error as error:
        raise OverflowError(str(error)) from error


def _decode_u16s(reader: _Reader) -> list[int]:
    count = reader.compact()
    data = reader.take(2 * count)
    return list(struct.unpack(f"<{count}H", data))


def _encode_bytes(data: bytes) -> bytes:
    return compact(len(data)) + data


_u16s = _Kind(_encode_u16s, _decode_u16s)
_bytes = _Kind(_encode_bytes, lambda reader: reader.take(reader.compact()))

_RAW_MAX = 128
_RAW_0, _BIG_RAW = 1, 136
"""Variants of ``Commitments::Data``: Raw0 to Raw128 hold that many bytes, BigRaw up to 512 with their length."""


def commitment(data: bytes) -> dict[str, Any]:
    """The ``CommitmentInfo`` that holds these bytes (at most 512) in its one field."""
    return {"fields": [{f"Raw{len(data)}" if len(data) <= _RAW_MAX else "BigRaw": data}]}


def _encode_commitment(info: Mapping[str, Any]) -> bytes:
    ((_, data),) = info["fields"][0].items()
    if info != commitment(data):
        raise ValueError("expected a commitment of one plain field")
    body = bytes((_RAW_0 + len(data),)) + data if len(data) <= _RAW_MAX else bytes((_BIG_RAW,)) + _encode_bytes(data)
    return compact(1) + body


def _decode_commitment(reader: _Reader) -> dict[str, Any]:
    count, variant = reader.compact(), reader.number(1)
    if count != 1:
        raise ValueError(f"expected a commitment of one field, found {count}")
    if _RAW_0 <= variant <= _RAW_0 + _RAW_MAX:
        return commitment(reader.take(variant - _RAW_0))
    if variant != _BIG_RAW:
        raise ValueError(f"expected a commitment in plain bytes, found the variant {variant}")
    return commitment(reader.take(reader.compact()))


_commitment = _Kind(_encode_commitment, _decode_commitment)

_PLAIN = {"dests": _u16s, "weights": _u16s, "version_key": _u64}
_COMMIT = {"commit": _bytes, "reveal_round": _u64, "commit_reveal_version": _u16}
_PLACE = {"netuid": _u16, "version": _u32, "ip": _u128, "port": _u16, "ip_type": _u8}
_AXON = {**_PLACE, "protocol": _u8, "placeholder1": _u8, "placeholder2": _u8}

_CALLS: dict[str, tuple[str, int, dict[str, _Kind]]] = {
    "set_weights": (SUBTENSOR, 0, {"netuid": _u16, **_PLAIN}),
    "set_mechanism_weights": (SUBTENSOR, 119, {"netuid": _u16, "mecid": _u8, **_PLAIN}),
    "commit_timelocked_weights": (SUBTENSOR, 113, {"netuid": _u16, **_COMMIT}),
    "commit_timelocked_mechanism_weights": (SUBTENSOR, 118, {"netuid": _u16, "mecid": _u8, **_COMMIT}),
    "serve_axon": (SUBTENSOR, 4, _AXON),
    "serve_axon_tls": (SUBTENSOR, 40, {**_AXON, "certificate": _bytes}),
    "serve_prometheus": (SUBTENSOR, 5, _PLACE),
    "set_commitment": (COMMITMENTS, 0, {"netuid": _u16, "info": _commitment}),
}
"""Pallet, call index, and arguments in their order."""

CALL_NAMES = tuple(_CALLS)
"""Every call that is ever signed here."""

_NAMES = {bytes((PALLETS[pallet], index)): name for name, (pallet, index, _) in _CALLS.items()}


def pallet_of(name: str) -> str:
    """The pallet that one of the calls is in.

    Raises:
        KeyError: another call.
    """
    return _CALLS[name][0]


def place_of(name: str) -> tuple[int, int, list[str]]:
    """The indices of pallet and call, and the arguments' names in their order.

    Raises:
        KeyError: another call.
    """
    pallet, index, kinds = _CALLS[name]
    return PALLETS[pallet], index, list(kinds)


def encode_call(name: str, arguments: Mapping[str, Any]) -> bytes:
    """The bytes of one of the calls.

    Raises:
        KeyError: another call, or an argument is missing.
        OverflowError: an argument is too large for its type.
        ValueError: an argument that this table does not write.
    """
    pallet, index, kinds = _CALLS[name]
    body = b"".join(kind.encode(arguments[key]) for key, kind in kinds.items())
    return bytes((PALLETS[pallet], index)) + body


def decode_call(data: bytes) -> tuple[str, dict[str, Any]]:
    """Name and arguments of one of the calls, read to the last byte.

    Raises:
        ValueError: another call, or not exactly one.
    """
    name = _NAMES.get(data[:2])
    if name is None:
        raise ValueError(f"expected a call of the closed list, found the index 0x{data[:2].hex()}")
    reader = _Reader(data[2:])
    arguments = {key: kind.decode(reader) for key, kind in _CALLS[name][2].items()}
    reader.end()
    return name, arguments


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
