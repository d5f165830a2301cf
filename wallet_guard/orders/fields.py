"""JSON bodies, read strictly: one object, every field known, nothing coerced.

Refused on purpose: duplicate keys, NaN and infinities (also as 1e999), true for 1, "1" for 1, 1.0 for an integer, null
for a default, and every field that is not listed. Each of them is two parsers disagreeing about what was asked for.
"""

import json
import math
import re
from typing import Any, Never

from wallet_guard.ipc.clients import MAX_NAME_CHARACTERS

MAX_QUOTED_CHARACTERS = 40
"""Of what a stranger sent, in an answer or a log line."""

_HEX = re.compile(r"0x(?:[0-9a-fA-F]{2})*", re.ASCII)


class BodyError(Exception):
    """Not an order: ``code`` is ``invalid_json`` or ``invalid_request``; the message names the field."""

    def __init__(self, message: str, code: str = "invalid_request") -> None:
        super().__init__(message)
        self.code = code


class Fields:
    """A JSON object whose keys are all known; ``where`` is its own name, "" for the body itself.

    Every method raises ``BodyError`` where the value is not of the form that its name says.
    """

    def __init__(self, value: Any, where: str, known: tuple[str, ...]) -> None:
        if not isinstance(value, dict):
            raise BodyError(f"{where or 'body'}: expected an object, found {kind_of(value)}")
        self._prefix = f"{where}." if where else ""
        for name in value:
            if name not in known:
                raise BodyError(f"{self._prefix}{shortened(name)}: unknown field, expected one of {', '.join(known)}")
        self._value = value

    def __contains__(self, name: str) -> bool:
        return name in self._value

    def required(self, name: str) -> Any:
        """The value, whatever it is."""
        if name not in self._value:
            raise BodyError(f"{self._prefix}{name}: missing")
        return self._value[name]

    def get(self, name: str, default: Any) -> Any:
        """The value, or the default where the field is left out (null is a value)."""
        return self._value.get(name, default)

    def boolean(self, name: str) -> bool:
        """True or false; false where the field is left out."""
        value = self._value.get(name, False)
        if not isinstance(value, bool):
            raise BodyError(f"{self._prefix}{name}: expected true or false, found {kind_of(value)}")
        return value

    def integer(self, name: str, most: int, default: int | None = None) -> int:
        """0 to ``most``; required unless there is a default."""
        value = self.required(name) if default is None else self.get(name, default)
        return read_integer(value, self._prefix + name, most)

    def text(self, name: str, most: int, default: str | None = None) -> str:
        """At most that many characters, without lone surrogates; required unless there is a default."""
        value = self.required(name) if default is None else self.get(name, default)
        if not isinstance(value, str):
            raise BodyError(f"{self._prefix}{name}: expected a string, found {kind_of(value)}")
        if len(value) > most:
            raise BodyError(f"{self._prefix}{name}: expected at most {most} characters, found {len(value)}")
        if any("\ud800" <= character <= "\udfff" for character in value):
            raise BodyError(f"{self._prefix}{name}: expected text, found lone surrogates")
        return value

    def hex(self, name: str, most_bytes: int) -> bytes:
        """At most that many bytes, as 0x and hex digits."""
        value = self.text(name, 2 + 2 * most_bytes)
        if _HEX.fullmatch(value) is None:
            raise BodyError(f"{self._prefix}{name}: expected 0x and pairs of hex digits, found {shortened(value)!r}")
        return bytes.fromhex(value[2:])


def parse_json(body: bytes) -> Any:
    """The JSON value of a body.

    Raises:
        BodyError: ``invalid_json``.
    """
    try:
        # Strict UTF-8 first: json.loads would also guess UTF-16 and UTF-32.
        return json.loads(body.decode(), parse_constant=_no_constant, object_pairs_hook=_no_duplicates)
    except UnicodeDecodeError as error:
        raise BodyError("body: expected UTF-8", "invalid_json") from error
    except json.JSONDecodeError as error:
        raise BodyError(
            f"body: expected JSON: {error.msg} at line {error.lineno}, column {error.colno}", "invalid_json"
        ) from error
    except RecursionError as error:
        raise BodyError("body: expected JSON, found it nested too deep", "invalid_json") from error
    except ValueError as error:
        # Python refuses to read integers of more than 4300 digits.
        raise BodyError("body: expected numbers of a sane length", "invalid_json") from error


def _no_constant(name: str) -> Never:
    raise BodyError(f"body: expected JSON numbers, found {name}", "invalid_json")


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise BodyError(f"body: expected each key once, found {shortened(key)!r} twice", "invalid_json")
            seen.add(key)
    return found


def read_number(value: Any, where: str) -> float:
    """A finite number; ``where`` is the field's name for the message.

    Raises:
        BodyError: it is none.
    """
    if type(value) not in (int, float):
        raise BodyError(f"{where}: expected a number, found {kind_of(value)}")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise BodyError(f"{where}: expected a finite number, found one beyond 1.8e308")
    return number


def read_integer(value: Any, where: str, most: int) -> int:
    """A whole number, 0 to ``most``.

    Raises:
        BodyError: it is none.
    """
    if type(value) is not int:
        raise BodyError(f"{where}: expected an integer, found {kind_of(value)}")
    if not 0 <= value <= most:
        # A huge integer has up to 4300 digits; say only that it is out of range.
        found = str(value) if -(10**20) < value < 10**20 else "one of more than 20 digits"
        raise BodyError(f"{where}: expected 0 to {most}, found {found}")
    return value


def read_name(value: Any, where: str) -> str:
    """The name of a wallet or hotkey: a plain folder's name.

    Raises:
        BodyError: it is none.
    """
    if not isinstance(value, str):
        raise BodyError(f"{where}: expected a string, found {kind_of(value)}")
    if not 1 <= len(value) <= MAX_NAME_CHARACTERS:
        raise BodyError(f"{where}: expected 1 to {MAX_NAME_CHARACTERS} characters, found {len(value)}")
    if value in (".", "..") or "/" in value or not value.isprintable():
        raise BodyError(f"{where}: expected a plain name without '/' and control characters")
    return value


_KINDS = {
    type(None): "null",
    bool: "true or false",
    int: "an integer",
    float: "a fraction",
    str: "a string",
    list: "a list",
    dict: "an object",
}


def kind_of(value: Any) -> str:
    """What JSON calls such a value."""
    return _KINDS.get(type(value), type(value).__name__)


def shortened(text: str) -> str:
    """A stranger's text, fit to be quoted in an answer or a log line."""
    shown = text if len(text) <= MAX_QUOTED_CHARACTERS else text[:MAX_QUOTED_CHARACTERS] + "…"
    return "".join(character if character.isprintable() else "?" for character in shown)
