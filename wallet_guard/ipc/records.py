"""Frozen dataclasses to strict JSON values and back, by their annotations.

Supported: bool, int, finite float, str (no lone surrogates: neither a database nor a terminal takes them), string
enumerations, bytes (base64), ``X | None``, ``tuple[X, ...]``, ``tuple[X, Y]``, nested dataclasses, and unions of
dataclasses that each have a ClassVar ``kind``, which then is a field of the JSON object. Nothing is coerced:
an int is not a bool, a float field takes an int of JSON (Python writes ``1.0`` as ``1.0``, other languages do not),
unknown and missing fields are errors. So what arrives is either exactly the record that the other process meant, or
refused.
"""

import base64
import binascii
import dataclasses
import functools
import math
import types
import typing
from collections.abc import Callable
from enum import Enum
from typing import Any, NamedTuple, TypeVar

R = TypeVar("R")


class RecordError(ValueError):
    """Not the record expected; the message names the field, what was expected and what was found."""


_HINTS: dict[type, dict[str, Any]] = {}


def _fields(record: type) -> dict[str, Any]:
    hints = _HINTS.get(record)
    if hints is None:
        hints = _HINTS[record] = {
            name: hint
            for name, hint in typing.get_type_hints(record).items()
            if typing.get_origin(hint) is not typing.ClassVar
        }
    return hints


_SCALARS = frozenset({int, float, str, bool})


class _Plain(NamedTuple):
    """How a field is taken without a closer look: exactly this type, or None where that is allowed."""

    kind: type | None
    optional: bool


_PLAIN: dict[type, dict[str, _Plain]] = {}


def _plain_fields(record: type) -> dict[str, _Plain]:
    """By field; the kind is None for those that always need the closer look."""
    found = _PLAIN.get(record)
    if found is None:
        found = _PLAIN[record] = {name: _plain(hint) for name, hint in _fields(record).items()}
    return found


def _plain(hint: Any) -> _Plain:
    options = set(typing.get_args(hint)) if typing.get_origin(hint) is types.UnionType else {hint}
    optional = type(None) in options
    options -= {type(None)}
    kind = options.pop() if len(options) == 1 else None
    return _Plain(kind if kind in _SCALARS else None, optional)


def _is_plain(plain: _Plain, value: Any) -> bool:
    """Whether the value is right without a closer look.

    A record has a dozen fields, and a signer thousands a second.
    """
    kind = type(value)
    if kind is not plain.kind:
        return value is None and plain.optional
    if kind is str:
        return bool(value.isascii())
    return kind is not float or math.isfinite(value)


@functools.cache
def _shape(hint: Any) -> tuple[Any, tuple[Any, ...]]:
    """Origin and arguments of an annotation."""
    return typing.get_origin(hint), typing.get_args(hint)


def _tag(record: type) -> str | None:
    """The ``kind`` of a record that is one of several (a ClassVar), None of any other."""
    return None if "kind" in _fields(record) else record.__dict__.get("kind")


_WRITERS: dict[type, tuple[tuple[str, Callable[[Any], Any] | None], ...]] = {}


def _writers(record: type) -> tuple[tuple[str, Callable[[Any], Any] | None], ...]:
    """By field, how its value becomes JSON; None where it is JSON as it stands."""
    found = _WRITERS.get(record)
    if found is None:
        found = _WRITERS[record] = tuple((name, _writer(hint)) for name, hint in _fields(record).items())
    return found


def _writer(hint: Any) -> Callable[[Any], Any] | None:
    options = set(typing.get_args(hint)) if typing.get_origin(hint) is types.UnionType else {hint}
    options -= {type(None)}
    if all(map(_is_kept, options)):
        return None
    items = _items(options.pop()) if len(options) == 1 else set()
    # Vectors of (uid, weight) are the hot case: no call per number.
    if len(items) == 1 and (inner := _items(items.pop())) and all(map(_is_kept, inner)):
        return _lists
    return to_json


def _items(hint: Any) -> set[Any]:
    """What a tuple holds; nothing for another annotation."""
    return set(typing.get_args(hint)) - {Ellipsis} if typing.get_origin(hint) is tuple else set()


def _is_kept(hint: Any) -> bool:
    return hint in _SCALARS or (isinstance(hint, type) and issubclass(hint, Enum))


def _lists(value: tuple[tuple[Any, ...], ...] | None) -> list[list[Any]] | None:
    return None if value is None else list(map(list, value))


def to_json(value: Any) -> Any:
    """The JSON value of a record (or of a field of one)."""
    if value is None or type(value) in _SCALARS:
        return value
    if dataclasses.is_dataclass(value):
        fields = {
            name: getattr(value, name) if write is None else write(getattr(value, name))
            for name, write in _writers(type(value))
        }
        tag = _tag(type(value))
        return fields if tag is None else {"kind": tag, **fields}
    if isinstance(value, tuple):
        # Most long tuples are numbers; they need no walk.
        if value and isinstance(value[0], (int, float, str)):
            return list(value)
        return [to_json(item) for item in value]
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return value


def from_json(record: type[R], value: Any, where: str = "") -> R:
    """The record that ``value`` spells.

    Raises:
        RecordError: a field is missing, unknown or of another type.
    """
    where = where or record.__name__
    if not isinstance(value, dict):
        raise RecordError(f"{where}: expected an object, found {_kind(value)}")
    hints, tag = _fields(record), _tag(record)
    if tag is not None:
        if value.get("kind") != tag:
            raise RecordError(f"{where}: expected the kind {tag!r}, found {str(value.get('kind'))[:40]!r}")
        value = {name: entry for name, entry in value.items() if name != "kind"}
    if value.keys() != hints.keys():
        for name in value.keys() - hints.keys():
            raise RecordError(f"{where}: unknown field {name[:40]!r}")
        for name in hints.keys() - value.keys():
            raise RecordError(f"{where}: missing field {name!r}")
    plain = _plain_fields(record)
    return record(
        **{
            name: value[name] if _is_plain(plain[name], value[name]) else _value(hint, value[name], f"{where}.{name}")
            for name, hint in hints.items()
        }
    )


def _kind(value: Any) -> str:
    return "null" if value is None else type(value).__name__


def _value(hint: Any, value: Any, where: str) -> Any:
    origin, arguments = _shape(hint)
    if origin is types.UnionType:
        options = arguments
        if value is None and type(None) in options:
            return None
        return _value(_option([option for option in options if option is not type(None)], value, where), value, where)
    if origin is tuple:
        return _tuple(arguments, value, where)
    if dataclasses.is_dataclass(hint):
        return from_json(typing.cast("type[Any]", hint), value, where)
    return _scalar(hint, value, where)


def _option(options: list[Any], value: Any, where: str) -> Any:
    """The one that is meant: the only one, or the record whose ``kind`` the value says."""
    if len(options) == 1:
        return options[0]
    kind = value.get("kind") if isinstance(value, dict) else None
    for option in options:
        if _tag(option) == kind:
            return option
    known = ", ".join(str(_tag(option)) for option in options)
    raise RecordError(f"{where}: expected an object of a kind of {known}, found {str(kind)[:40]!r}")


def _tuple(items: tuple[Any, ...], value: Any, where: str) -> tuple[Any, ...]:
    if not isinstance(value, list):
        raise RecordError(f"{where}: expected a list, found {_kind(value)}")
    if len(items) == 2 and items[1] is Ellipsis:
        item = items[0]
        # The hot case (thousands of uids and weights): no call per number.
        kinds = set(map(type, value))
        if item is int and kinds <= {int}:
            return tuple(value)
        if item is float and kinds <= {float} and all(map(math.isfinite, value)):
            return tuple(value)
        return tuple(_value(item, entry, f"{where}[{at}]") for at, entry in enumerate(value))
    if len(value) != len(items):
        raise RecordError(f"{where}: expected {len(items)} items, found {len(value)}")
    return tuple(
        _value(item, entry, f"{where}[{at}]") for at, (item, entry) in enumerate(zip(items, value, strict=True))
    )


def _member(hint: type[Enum], value: Any, where: str) -> Enum:
    try:
        return hint(value)
    except ValueError as error:
        known = ", ".join(str(member.value) for member in hint)
        raise RecordError(f"{where}: expected one of {known}, found {str(value)[:40]!r}") from error


def _scalar(hint: Any, value: Any, where: str) -> Any:
    if hint is bytes:
        if not isinstance(value, str):
            raise RecordError(f"{where}: expected base64, found {_kind(value)}")
        try:
            return base64.b64decode(value, validate=True)
        except (binascii.Error, ValueError) as error:
            raise RecordError(f"{where}: expected base64") from error
    if isinstance(hint, type) and issubclass(hint, Enum):
        return _member(hint, value, where)
    if hint is float and type(value) is int:
        try:
            return float(value)
        except OverflowError as error:
            raise RecordError(f"{where}: expected a number below 1.8e308") from error
    if type(value) is not hint:
        raise RecordError(f"{where}: expected {hint.__name__}, found {_kind(value)}")
    if hint is float and not math.isfinite(value):
        # JSON's 1e999 is one.
        raise RecordError(f"{where}: expected a finite number, found {value}")
    if hint is str and not _is_text(value):
        raise RecordError(f"{where}: expected text, found lone surrogates")
    return value


def _is_text(value: str) -> bool:
    if value.isascii():
        return True
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
