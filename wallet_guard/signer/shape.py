"""The shape of a runtime: everything about it that decides what the bytes of our signatures mean.

For each call that is ever signed here (``scale.CALL_NAMES``) its pallet, indices, argument names and the whole tree of
their types; for the extrinsic its version, the types of address and signature, and every signed extension with what it
adds. Two runtimes of the same shape give the same bytes for the same wish. Documentation, type paths and everything
else of the runtime do not matter: most upgrades change only that.

Read by hand from the metadata (frame-metadata, ``RuntimeMetadataV15``: type registry, pallets, extrinsic), since the
codec does not show its types; each part becomes a SHA-256 over its canonical text. A walk takes about 0.1 s, once for
each runtime.
"""

import hashlib
import json
from collections.abc import Callable
from typing import Any

from wallet_guard.signer.scale import CALL_NAMES, pallet_of, place_of

EXTRINSIC = "the extrinsic"
"""The part that is no call."""

MAX_TYPES = 100_000
"""Of a registry: today's has about 800."""

MAX_DEPTH = 64
"""Of a type tree: an argument's is about five deep."""

MAX_NODES = 20_000
"""Of all trees together: today's have about 650. A forged type that holds itself twice would have 2**64."""

_MAGIC = b"meta\x0f"


class ShapeError(ValueError):
    """This is no metadata of version 15, or it ends too early."""


class _Walk:
    """Metadata, read from the front."""

    def __init__(self, data: bytes, at: int = 0) -> None:
        self._data, self._at = data, at

    def take(self, count: int) -> bytes:
        found = self._data[self._at : self._at + count]
        if len(found) != count:
            raise ShapeError(f"expected {count} more bytes at {self._at}, found {len(found)}")
        self._at += count
        return found

    def byte(self) -> int:
        return self.take(1)[0]

    def number(self) -> int:
        """A compact integer below 2**30."""
        first = self.byte()
        width = (0, 1, 3, -1)[first & 3]
        if width < 0:
            raise ShapeError(f"expected a small compact integer at {self._at - 1}")
        return int.from_bytes(bytes((first,)) + self.take(width), "little") >> 2

    def text(self) -> str:
        return self.take(self.number()).decode("utf-8", "replace")

    def each(self, read: Callable[[], Any]) -> list[Any]:
        count = self.number()
        if count > MAX_TYPES:
            raise ShapeError(f"expected at most {MAX_TYPES} of anything, found {count}")
        return [read() for _ in range(count)]

    def option(self, read: Callable[[], Any]) -> Any:
        return read() if self.byte() else None

    # The format ----------------------------------------------------------------------------------------------------

    def type(self) -> list[Any]:
        """One type's definition: its kind, and what it is made of (types by number)."""
        self.number()  # its own number, which is its place
        self.each(self.text)  # path
        self.each(lambda: (self.text(), self.option(self.number)))  # parameters: only as they are used
        kind = self.byte()
        if kind >= len(_DEFINITIONS):
            raise ShapeError(f"expected a kind of type from 0 to {len(_DEFINITIONS) - 1}, found {kind}")
        definition = [kind, *_DEFINITIONS[kind](self)]
        self.each(self.text)  # documentation
        return definition

    def place(self) -> int:
        """Where one type begins. All of them at once, read, would be a megabyte that Python does not give back."""
        at = self._at
        self.type()
        return at

    def field(self) -> tuple[str | None, int]:
        name, number = self.option(self.text), self.number()
        self.option(self.text)  # how the source spells the type
        self.each(self.text)
        return name, number

    def variant(self) -> tuple[str, int, list[tuple[str | None, int]]]:
        name, fields, index = self.text(), self.each(self.field), self.byte()
        self.each(self.text)
        return name, index, fields

    def pallet(self) -> tuple[str, int, int | None]:
        """Name, index, and the type of its calls."""
        name = self.text()
        self.option(lambda: (self.text(), self.each(self._entry)))
        calls = self.option(self.number)
        self.option(self.number)  # events
        self.each(self._constant)
        self.option(self.number)  # errors
        index = self.byte()
        self.each(self.text)
        return name, index, calls

    def _entry(self) -> None:
        self.text()
        self.byte()
        if self.byte() == 0:
            self.number()
        else:
            self.each(self.byte)
            self.number()
            self.number()
        self.take(self.number())
        self.each(self.text)

    def _constant(self) -> None:
        self.text()
        self.number()
        self.take(self.number())
        self.each(self.text)

    def extrinsic(self) -> tuple[int, int, int, list[tuple[str, int, int]]]:
        """Version, types of address and signature, and the signed extensions."""
        version, address, _call, signature, _extra = self.byte(), *(self.number() for _ in range(4))
        return version, address, signature, self.each(lambda: (self.text(), self.number(), self.number()))


_DEFINITIONS: tuple[Callable[[_Walk], list[Any]], ...] = (
    lambda walk: [walk.each(walk.field)],  # composite
    lambda walk: [walk.each(walk.variant)],  # variant
    lambda walk: [walk.number()],  # sequence
    lambda walk: [int.from_bytes(walk.take(4), "little"), walk.number()],  # array
    lambda walk: [walk.each(walk.number)],  # tuple
    lambda walk: [walk.byte()],  # primitive
    lambda walk: [walk.number()],  # compact
    lambda walk: [walk.number(), walk.number()],  # bit sequence
)
_COMPOSITE, _VARIANT, _SEQUENCE, _ARRAY, _TUPLE, _PRIMITIVE, _COMPACT, _BITS = range(8)


class _Trees:
    """Types as nested lists, in which nothing is a number of the registry any more: those change with any upgrade."""

    def __init__(self, metadata: bytes, places: list[int]) -> None:
        self._metadata, self._places, self._nodes = metadata, places, 0

    def _type(self, number: int) -> list[Any]:
        return _Walk(self._metadata, self._places[number]).type()

    def tree(self, number: int, depth: int = 0) -> list[Any]:
        if not number < len(self._places) or depth > MAX_DEPTH:
            raise ShapeError(f"expected one of {len(self._places)} types, at most {MAX_DEPTH} deep, found {number}")
        self._nodes += 1
        if self._nodes > MAX_NODES:
            raise ShapeError(f"expected at most {MAX_NODES} nodes in the types of our calls, found more")
        kind, *rest = self._type(number)
        if kind == _COMPOSITE:
            return [kind, self.fields(rest[0], depth)]
        if kind == _VARIANT:
            return [kind, [[name, index, self.fields(fields, depth)] for name, index, fields in rest[0]]]
        if kind == _TUPLE:
            return [kind, [self.tree(each, depth + 1) for each in rest[0]]]
        if kind == _ARRAY:
            return [kind, rest[0], self.tree(rest[1], depth + 1)]
        if kind == _PRIMITIVE:
            return [kind, *rest]
        return [kind, *(self.tree(each, depth + 1) for each in rest)]

    def fields(self, fields: list[tuple[str | None, int]], depth: int = 0) -> list[Any]:
        return [[name, self.tree(number, depth + 1)] for name, number in fields]

    def call(self, calls: int, name: str) -> tuple[int, list[Any]] | None:
        """Index and arguments of that call."""
        definition: list[Any] = self._type(calls) if calls < len(self._places) else [_TUPLE, []]
        if definition[0] != _VARIANT:
            raise ShapeError("expected a pallet's calls to be variants")
        return next(((index, self.fields(fields)) for each, index, fields in definition[1] if each == name), None)


Shape = dict[str, str]
"""Part (the name of a call, or ``EXTRINSIC``) → SHA-256 in hex; "" for a call that is not the one we know (``scale``).
"""


def shape_of(metadata: bytes) -> Shape:
    """The shape of the runtime that this metadata (V15) describes.

    Raises:
        ShapeError: it is something else, or damaged.
    """
    if not metadata.startswith(_MAGIC):
        raise ShapeError(f"expected metadata of version 15, found {metadata[:5].hex()}")
    walk = _Walk(metadata)
    walk.take(len(_MAGIC))
    trees = _Trees(metadata, walk.each(walk.place))
    pallets = {name: (index, calls) for name, index, calls in walk.each(walk.pallet)}
    version, address, signature, extensions = walk.extrinsic()
    added = [[name, trees.tree(extra), trees.tree(signed)] for name, extra, signed in extensions]
    shape = {EXTRINSIC: _digest([version, trees.tree(address), trees.tree(signature), added])}
    for name in CALL_NAMES:
        index, calls = pallets.get(pallet_of(name), (0, None))
        found = None if calls is None else trees.call(calls, name)
        shape[name] = "" if found is None else _call_digest(name, index, *found)
    return shape


def _call_digest(name: str, pallet_index: int, index: int, fields: list[Any]) -> str:
    if place_of(name) != (pallet_index, index, [argument for argument, _ in fields]):
        return ""
    return _digest([pallet_of(name), pallet_index, name, index, fields])


def differences(before: Shape, after: Shape) -> list[str]:
    """The parts that are not the same."""
    return sorted(part for part in before.keys() | after.keys() if before.get(part) != after.get(part))


def _digest(tree: list[Any]) -> str:
    return hashlib.sha256(json.dumps(tree, separators=(",", ":")).encode()).hexdigest()
