"""The recorded runtime metadata, and the few edits that the emulator makes to it.

`data/subtensor-spec461-v15.scale` is a recording of runtime spec 461 (see `data/ORIGIN`). Three things are changed
before it is served: `SubtensorModule.SubnetEpochConsensus` is appended (SDK 11.3.0 asks for it, spec 461 lacks it),
`Aura.SlotDuration` and `Timestamp.MinimumPeriod` follow the block time of the emulator. None of them is part of a
call, so the RFC-0078 digest of the recording stays what it was.

The walker knows exactly as much of the format (frame-metadata, `RuntimeMetadataV15`: type registry, then pallets) as
is needed to find those places; what comes after the pallets is never touched.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

RECORDING = Path(__file__).parent / "data" / "subtensor-spec461-v15.scale"
RECORDED_SPEC_VERSION = 461
SPEC_NAME = "node-subtensor"

_MAGIC = b"meta\x0f"
_MODIFIER_DEFAULT = b"\x01"


class MetadataError(ValueError):
    """The bytes are not V15 metadata, or lack the item that an edit is about."""


class Span(NamedTuple):
    """A half-open range of byte offsets."""

    start: int
    end: int


_NOWHERE = Span(0, 0)


@dataclass(slots=True)
class PalletLayout:
    """Where one pallet keeps what the edits need."""

    name: str
    entry_count: int = 0
    entry_count_at: Span = _NOWHERE
    entries_end: int = 0
    map_keys: dict[str, Span] = field(default_factory=dict)
    constants: dict[str, Span] = field(default_factory=dict)
    call_type: int | None = None
    index_at: int = 0


@dataclass(slots=True)
class Layout:
    """Where the metadata keeps what the edits need: offsets into the bytes that were surveyed."""

    type_count: int = 0
    type_count_at: Span = _NOWHERE
    types_end: int = 0
    variant_indices: dict[int, dict[str, int]] = field(default_factory=dict)
    pallets: dict[str, PalletLayout] = field(default_factory=dict)


def compact(value: int) -> bytes:
    """`value` (below 2**30) as a SCALE compact integer."""
    if value < 1 << 6:
        return bytes([value << 2])
    if value < 1 << 14:
        return (value << 2 | 1).to_bytes(2, "little")
    if value < 1 << 30:
        return (value << 2 | 2).to_bytes(4, "little")
    raise ValueError(f"expected a compact integer below 2**30, found {value}")


class _Cursor:
    """Reads SCALE left to right; `position` is always the next unread byte."""

    def __init__(self, data: bytes, position: int) -> None:
        self.data = data
        self.position = position

    def byte(self) -> int:
        if self.position >= len(self.data):
            raise MetadataError(f"metadata ends at byte {self.position}")
        self.position += 1
        return self.data[self.position - 1]

    def skip(self, count: int) -> None:
        self.position += count
        if self.position > len(self.data):
            raise MetadataError(f"metadata ends at byte {len(self.data)}, expected {self.position}")

    def compact(self) -> int:
        first = self.byte()
        width = (1, 2, 4, 0)[first & 3]
        if not width:
            raise MetadataError(f"expected a small compact integer at byte {self.position - 1}")
        self.skip(width - 1)
        return int.from_bytes(self.data[self.position - width : self.position], "little") >> 2

    def text(self) -> str:
        size = self.compact()
        self.skip(size)
        return self.data[self.position - size : self.position].decode()

    def each(self, read: Callable[[], object]) -> None:
        for _ in range(self.compact()):
            read()

    def option(self, read: Callable[[], object]) -> None:
        if self.byte():
            read()

    def texts(self) -> None:
        self.each(self.text)


class _Survey:
    """One walk over the metadata, filling a `Layout`."""

    def __init__(self, data: bytes) -> None:
        if not data.startswith(_MAGIC):
            raise MetadataError(f"expected V15 metadata, found {data[:5].hex()!r}")
        self.cursor = _Cursor(data, len(_MAGIC))
        self.layout = Layout()

    def run(self) -> Layout:
        cursor, layout = self.cursor, self.layout
        start = cursor.position
        layout.type_count = cursor.compact()
        layout.type_count_at = Span(start, cursor.position)
        for _ in range(layout.type_count):
            self._type()
        layout.types_end = cursor.position
        cursor.each(self._pallet)
        return layout

    def _field(self) -> None:
        cursor = self.cursor
        cursor.option(cursor.text)
        cursor.compact()
        cursor.option(cursor.text)
        cursor.texts()

    def _type_parameter(self) -> None:
        self.cursor.text()
        self.cursor.option(self.cursor.compact)

    def _type(self) -> None:
        cursor = self.cursor
        type_id = cursor.compact()
        cursor.texts()
        cursor.each(self._type_parameter)
        kind = cursor.byte()
        if kind == 0:  # composite
            cursor.each(self._field)
        elif kind == 1:
            self.layout.variant_indices[type_id] = self._variants()
        elif kind in {2, 6}:  # sequence, compact
            cursor.compact()
        elif kind == 3:  # array
            cursor.skip(4)
            cursor.compact()
        elif kind == 4:  # tuple
            cursor.each(cursor.compact)
        elif kind == 5:  # primitive
            cursor.byte()
        elif kind == 7:  # bit sequence
            cursor.compact()
            cursor.compact()
        else:
            raise MetadataError(f"expected a type definition 0..7, found {kind}")
        cursor.texts()

    def _variants(self) -> dict[str, int]:
        cursor = self.cursor
        found: dict[str, int] = {}
        for _ in range(cursor.compact()):
            name = cursor.text()
            cursor.each(self._field)
            found[name] = cursor.position
            cursor.byte()
            cursor.texts()
        return found

    def _pallet(self) -> None:
        cursor = self.cursor
        pallet = PalletLayout(cursor.text())
        cursor.option(lambda: self._storage(pallet))
        if cursor.byte():
            pallet.call_type = cursor.compact()
        cursor.option(cursor.compact)  # event
        cursor.each(lambda: self._constant(pallet))
        cursor.option(cursor.compact)  # error
        pallet.index_at = cursor.position
        cursor.byte()
        cursor.texts()
        self.layout.pallets[pallet.name] = pallet

    def _storage(self, pallet: PalletLayout) -> None:
        cursor = self.cursor
        cursor.text()  # prefix
        start = cursor.position
        pallet.entry_count = cursor.compact()
        pallet.entry_count_at = Span(start, cursor.position)
        for _ in range(pallet.entry_count):
            name = cursor.text()
            cursor.byte()  # modifier
            start = cursor.position
            if cursor.byte():  # a map: hashers, key, value; a plain item: value
                cursor.each(cursor.byte)
                cursor.compact()
                pallet.map_keys[name] = Span(start, cursor.position)
            cursor.compact()
            cursor.skip(cursor.compact())  # default
            cursor.texts()
        pallet.entries_end = cursor.position

    def _constant(self, pallet: PalletLayout) -> None:
        cursor = self.cursor
        name = cursor.text()
        cursor.compact()
        size = cursor.compact()
        cursor.skip(size)
        pallet.constants[name] = Span(cursor.position - size, cursor.position)
        cursor.texts()


def survey(data: bytes) -> Layout:
    """Where `data` keeps its types, storage entries, constants and call indices.

    Raises: MetadataError when it is not well-formed V15 metadata.
    """
    return _Survey(data).run()


def _apply(data: bytes, edits: Mapping[Span, bytes]) -> bytes:
    pieces: list[bytes] = []
    position = 0
    for span in sorted(edits):
        assert span.start >= position, "edits must not overlap"
        pieces += [data[position : span.start], edits[span]]
        position = span.end
    return b"".join([*pieces, data[position:]])


def _text(value: str) -> bytes:
    return compact(len(value)) + value.encode()


def _consensus_type(type_id: int) -> bytes:
    """A registry entry for `enum SubnetEpochConsensus { Yuma, Null }`."""
    variants = b"".join(_text(name) + b"\0" + bytes([index]) + b"\0" for index, name in enumerate(("Yuma", "Null")))
    path = compact(3) + _text("pallet_subtensor") + _text("pallet") + _text("SubnetEpochConsensusMode")
    return compact(type_id) + path + b"\0" + b"\x01" + compact(2) + variants + b"\0"


def with_epoch_consensus(data: bytes) -> bytes:
    """`data` with `SubtensorModule.SubnetEpochConsensus`: a map netuid → Yuma | Null, Yuma where nothing is stored."""
    layout = survey(data)
    pallet = layout.pallets["SubtensorModule"]
    name = "SubnetEpochConsensus"
    if name in pallet.map_keys:
        return data
    # Keyed exactly as `Tempo` is: one netuid, same hasher.
    key = pallet.map_keys["Tempo"]
    value = compact(layout.type_count)
    entry = _text(name) + _MODIFIER_DEFAULT + data[key.start : key.end] + value + compact(1) + b"\0" + b"\0"
    return _apply(
        data,
        {
            layout.type_count_at: compact(layout.type_count + 1),
            Span(layout.types_end, layout.types_end): _consensus_type(layout.type_count),
            pallet.entry_count_at: compact(pallet.entry_count + 1),
            Span(pallet.entries_end, pallet.entries_end): entry,
        },
    )


def _constant_at(layout: Layout, pallet: str, name: str) -> Span:
    try:
        return layout.pallets[pallet].constants[name]
    except KeyError:
        raise MetadataError(f"expected a constant {pallet}.{name}, found none") from None


def with_slot_milliseconds(data: bytes, milliseconds: int) -> bytes:
    """`data` for a chain that makes a block every `milliseconds`: what SDK 11 takes the block time from."""
    layout = survey(data)
    return _apply(
        data,
        {
            _constant_at(layout, "Aura", "SlotDuration"): milliseconds.to_bytes(8, "little"),
            _constant_at(layout, "Timestamp", "MinimumPeriod"): (milliseconds // 2).to_bytes(8, "little"),
        },
    )


def with_spec_version(data: bytes, spec_version: int) -> bytes:
    """`data` whose `System.Version` constant says `spec_version`."""
    span = _constant_at(survey(data), "System", "Version")
    cursor = _Cursor(data, span.start)
    cursor.text()  # spec_name
    cursor.text()  # impl_name
    cursor.skip(4)  # authoring_version
    at = cursor.position
    return _apply(data, {Span(at, at + 4): spec_version.to_bytes(4, "little")})


def with_calls_swapped(data: bytes, pallet: str, first: str, second: str) -> bytes:
    """`data` in which two calls of a pallet have exchanged their indices.

    The most dangerous lie that metadata can tell: whoever composes `first` by it signs `second`.

    Raises: MetadataError when the pallet has no such calls.
    """
    layout = survey(data)
    found = layout.pallets.get(pallet)
    indices = layout.variant_indices.get(found.call_type, {}) if found and found.call_type is not None else {}
    if first not in indices or second not in indices:
        raise MetadataError(f"expected calls {first!r} and {second!r} in {pallet!r}, found none")
    one, other = indices[first], indices[second]
    return _apply(data, {Span(one, one + 1): data[other : other + 1], Span(other, other + 1): data[one : one + 1]})


def with_pallets_swapped(data: bytes, first: str, second: str) -> bytes:
    """`data` whose pallet section gives two pallets each other's index.

    A lie that the RFC-0078 digest does not notice: it covers the types, and the `RuntimeCall` among them keeps the true
    indices. A codec that composes by the pallet section signs a call of the other pallet under a digest that is right.

    Raises: MetadataError when there are no such pallets.
    """
    pallets = survey(data).pallets
    if first not in pallets or second not in pallets or first == second:
        raise MetadataError(f"expected two pallets, found {first!r} and {second!r}")
    one, other = pallets[first].index_at, pallets[second].index_at
    return _apply(data, {Span(one, one + 1): data[other : other + 1], Span(other, other + 1): data[one : one + 1]})


def served_metadata(slot_milliseconds: int) -> bytes:
    """The recording, amended for a chain with this block time."""
    return with_slot_milliseconds(with_epoch_consensus(RECORDING.read_bytes()), slot_milliseconds)
