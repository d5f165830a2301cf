"""Bodies: decoders that take bytes as they come and know when they are done (RFC 9112, sections 6 and 7).

All three share one shape, `BodyDecoder`. Bytes are collected in a bytearray, so a body that arrives in crumbs
costs its own size and not an object per crumb.

Chunked is strict to its last byte: the CRLF after a chunk is compared, not skipped; sizes are hexadecimal
digits without sign, prefix or spaces; extensions follow their grammar and are bounded over the whole message;
trailers are parsed, may not carry framing or routing fields (RFC 9110, section 6.5.1), and are then dropped.
"""

import re
from typing import Protocol

from wallet_guard.wire.errors import HttpError
from wallet_guard.wire.http1.fields import TCHAR, parse_fields
from wallet_guard.wire.http1.head import Limits

# chunk-ext = *( BWS ";" BWS chunk-ext-name [ BWS "=" BWS chunk-ext-val ] ), the value a token or
# quoted-string (RFC 9112, section 7.1.1; RFC 9110, section 5.6.4)
_QUOTED = r'"(?:[\t !#-\[\]-~\x80-\xff]|\\[\t -~\x80-\xff])*+"'
_EXTENSION = rf"[ \t]*+;[ \t]*+[{TCHAR}]++(?:[ \t]*+=[ \t]*+(?:[{TCHAR}]++|{_QUOTED}))?+"
_CHUNK_LINE = re.compile(rf"([0-9A-Fa-f]{{1,16}}+)((?:{_EXTENSION})*+)".encode("latin-1"))

_MAX_SIZE_DIGITS = 16  # 64 bits; the body ceiling is far below
_FORBIDDEN_TRAILERS = frozenset(
    {
        "content-length",
        "transfer-encoding",
        "host",
        "authorization",
        "connection",
        "content-encoding",
        "trailer",
        "te",
    }
)

_SIZE, _DATA, _DATA_END, _TRAILERS = range(4)


class BodyDecoder(Protocol):
    """One body being read."""

    done: bool

    def take(self, data: bytes, position: int) -> int:
        """The index after the last byte that was used; the rest must be offered again with what follows."""

    def content(self) -> bytes:
        """The body; only once `done`."""


class LengthBody:
    """A body of `length` bytes (RFC 9112, section 6.2)."""

    __slots__ = ("_collected", "_length", "done")

    def __init__(self, length: int) -> None:
        self._length = length
        self._collected = bytearray()
        self.done = length == 0

    def take(self, data: bytes, position: int) -> int:
        """The index after what belongs to the body."""
        end = min(len(data), position + self._length - len(self._collected))
        self._collected += data[position:end]
        self.done = len(self._collected) == self._length
        return end

    def content(self) -> bytes:
        """The body."""
        return bytes(self._collected)


class UntilCloseBody:
    """A response body that the end of the connection ends (RFC 9112, section 6.3, rule 8)."""

    __slots__ = ("_collected", "_max_bytes", "done")

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._collected = bytearray()
        self.done = False

    def take(self, data: bytes, position: int) -> int:
        """The index after all of it.

        Raises:
            HttpError: 413 above `max_bytes`.
        """
        if len(self._collected) + len(data) - position > self._max_bytes:
            raise HttpError(413, f"expected a body of at most {self._max_bytes} bytes")
        self._collected += data[position:]
        return len(data)

    def content(self) -> bytes:
        """The body."""
        return bytes(self._collected)


class ChunkedBody:
    """A body in the chunked coding (RFC 9112, section 7.1)."""

    __slots__ = (
        "_chunk_left",
        "_collected",
        "_extension_bytes",
        "_limits",
        "_state",
        "_trailer_bytes",
        "_trailers",
        "done",
    )

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._collected = bytearray()
        self._state = _SIZE
        self._chunk_left = 0
        self._extension_bytes = 0
        self._trailer_bytes = 0
        self._trailers: list[str] = []
        self.done = False

    def take(self, data: bytes, position: int) -> int:
        """The index after what could be used; an unfinished line is left alone.

        Raises:
            HttpError: 400 malformed, 413 above the body ceiling, 431 too many trailers.
        """
        steps = (self._take_size, self._take_data, self._take_data_end, self._take_trailer)
        while not self.done:
            after = steps[self._state](data, position)
            if after < 0:
                return position
            position = after
        return position

    def content(self) -> bytes:
        """The body."""
        return bytes(self._collected)

    def _take_size(self, data: bytes, position: int) -> int:
        line, after = _take_line(data, position, _MAX_SIZE_DIGITS + self._limits.max_extension_bytes, 400)
        if line is None:
            return -1
        match = _CHUNK_LINE.fullmatch(line)
        if match is None:
            raise HttpError(400, "malformed chunk size or extension")
        self._extension_bytes += len(match[2])
        if self._extension_bytes > self._limits.max_extension_bytes:
            raise HttpError(400, f"expected at most {self._limits.max_extension_bytes} bytes of chunk extensions")
        self._chunk_left = int(match[1], 16)
        if len(self._collected) + self._chunk_left > self._limits.max_body_bytes:
            raise HttpError(413, f"expected a body of at most {self._limits.max_body_bytes} bytes")
        self._state = _DATA if self._chunk_left else _TRAILERS
        return after

    def _take_data(self, data: bytes, position: int) -> int:
        end = min(len(data), position + self._chunk_left)
        if end == position:
            return -1
        self._collected += data[position:end]
        self._chunk_left -= end - position
        if not self._chunk_left:
            self._state = _DATA_END
        return end

    def _take_data_end(self, data: bytes, position: int) -> int:
        found = data[position : position + 2]
        if not b"\r\n".startswith(found):
            raise HttpError(400, "expected CRLF after a chunk")
        if len(found) < 2:
            return -1
        self._state = _SIZE
        return position + 2

    def _take_trailer(self, data: bytes, position: int) -> int:
        left = self._limits.max_trailer_bytes - self._trailer_bytes
        line, after = _take_line(data, position, left, 431)
        if line is None:
            return -1
        self._trailer_bytes += len(line)
        if line:
            self._trailers.append(line.decode("latin-1"))
            return after
        for name, _ in parse_fields(self._trailers, self._limits.max_fields):
            if name in _FORBIDDEN_TRAILERS:
                raise HttpError(400, f"the field {name} in a trailer")
        self.done = True
        return after


def _take_line(data: bytes, position: int, max_bytes: int, status: int) -> tuple[bytes | None, int]:
    """The line at `position` without its CRLF and the index after it; None while its end has not come."""
    end = data.find(b"\r\n", position, position + max_bytes + 2)
    if end >= 0:
        return data[position:end], end + 2
    if len(data) - position >= max_bytes + 2:
        raise HttpError(status, f"expected a chunk line of at most {max_bytes} bytes")
    return None, position
