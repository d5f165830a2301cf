"""Field lines: names and values of a header or trailer section (RFC 9110, section 5; RFC 9112, section 5).

A value keeps its bytes as Latin-1 text (RFC 9110, section 5.5: obs-text is opaque data). Leading and trailing
whitespace is no part of it. Refused: whitespace around the name, obs-fold (section 5.2 of RFC 9112), control
characters, an empty name.
"""

import re
from collections.abc import Iterable, Iterator

from wallet_guard.wire.errors import HttpError, quoted

# token = 1*tchar (RFC 9110, section 5.6.2)
TCHAR = r"!#$%&'*+\-.^_`|~0-9A-Za-z"
TOKEN = re.compile(rf"[{TCHAR}]+")

# field-line = field-name ":" OWS field-value OWS (RFC 9112, section 5);
# field-vchar = VCHAR / obs-text, with SP and HTAB between them (RFC 9110, section 5.5)
_FIELD_LINE = re.compile(rf"([{TCHAR}]++):([\t -~\x80-\xff]*+)")
_FIELD_VALUE = re.compile(r"[\t -~\x80-\xff]*+")


class Fields:
    """An immutable field section; names are compared without regard to case.

    Iterating gives (lower-case name, value) in the order of arrival.
    """

    __slots__ = ("_combined", "_pairs")

    def __init__(self, pairs: Iterable[tuple[str, str]] = ()) -> None:
        self._pairs = tuple((name.lower(), value) for name, value in pairs)
        combined: dict[str, str] = {}
        for name, value in self._pairs:
            combined[name] = f"{combined[name]}, {value}" if name in combined else value
        self._combined = combined

    def get(self, name: str, default: str = "") -> str:
        """The value, or the values of all lines of that name joined by ", " (RFC 9110, section 5.3).

        So a field that was sent twice never equals either of its values.
        """
        return self._combined.get(name.lower(), default)

    def get_all(self, name: str) -> tuple[str, ...]:
        """The values of all lines of that name, in order."""
        name = name.lower()
        return tuple(value for key, value in self._pairs if key == name)

    def tokens(self, name: str) -> tuple[str, ...]:
        """The members of a comma-separated list, lower case, empty members left out (RFC 9110, section 5.6.1)."""
        members = (member.strip(" \t").lower() for member in self.get(name).split(","))
        return tuple(member for member in members if member)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name.lower() in self._combined

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self._pairs)

    def __len__(self) -> int:
        return len(self._pairs)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Fields) and self._pairs == other._pairs

    def __hash__(self) -> int:
        return hash(self._pairs)

    def __repr__(self) -> str:
        # names only: values may be tokens, and a repr ends up in logs
        return f"Fields({', '.join(name for name, _ in self._pairs)})"


def parse_fields(lines: list[str], max_fields: int, too_many_status: int = 431) -> Fields:
    """The fields of a section, given its lines without their CRLF.

    Raises:
        HttpError: 400 for a malformed line, `too_many_status` for more than `max_fields` lines.
    """
    if len(lines) > max_fields:
        raise HttpError(too_many_status, f"expected at most {max_fields} fields, found {len(lines)}")
    pairs = []
    for line in lines:
        match = _FIELD_LINE.fullmatch(line)
        if match is None:
            # the name only: what follows the colon may be a token
            raise HttpError(400, f"malformed field line, begins {quoted(line.partition(':')[0])}")
        pairs.append((match[1], match[2].strip(" \t")))
    return Fields(pairs)


def encode_fields(fields: Iterable[tuple[str, str]]) -> str:
    """Field lines, each ended by CRLF.

    Raises:
        ValueError: a name is no token or a value holds a character that cannot be sent; this is what stops
            response splitting, whatever text a caller puts in a value.
    """
    lines = []
    for name, value in fields:
        if TOKEN.fullmatch(name) is None:
            raise ValueError(f"expected a field name, found {quoted(name)}")
        if _FIELD_VALUE.fullmatch(value) is None or value != value.strip(" \t"):
            raise ValueError(f"field {name} has a value that cannot be sent")
        lines.append(f"{name}: {value}\r\n")
    return "".join(lines)
