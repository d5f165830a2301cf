"""The client role of HTTP/1.1: requests into bytes, responses out of bytes.

The parser is as strict as the server's: a response that could be read in two ways is an `HttpError` with
status 502, and so is a byte that no request has asked for. Without asyncio and cheap to import:

    socket.sendall(encode_request("GET", "/v1/status", (("Host", "localhost"),), b""))
    parser = ResponseParser(); parser.begin("GET")
    while (response := parser.next_response()) is None:
        data = socket.recv(65536)
        parser.receive(data) if data else parser.receive_eof()
"""

import re
from typing import NamedTuple

from wallet_guard.wire.errors import HttpError, quoted
from wallet_guard.wire.http1.body import BodyDecoder, ChunkedBody, LengthBody, UntilCloseBody
from wallet_guard.wire.http1.fields import TOKEN, Fields, encode_fields
from wallet_guard.wire.http1.framing import CHUNKED, UNTIL_CLOSE, response_length
from wallet_guard.wire.http1.head import Limits, ResponseHead, find_head_end, parse_response_head

_TARGET = re.compile(r"[!-~]+")
_MAX_INTERIM_RESPONSES = 8  # 1xx before the final answer; one or two are usual, an endless row is an attack


class Response(NamedTuple):
    """A complete response."""

    status: int
    reason: str  # for people only
    fields: Fields
    body: bytes
    keep_alive: bool  # the connection may carry another request


class ResponseParser:
    """One connection's responses: `begin`, then `receive` until `next_response` gives one."""

    __slots__ = ("_body", "_data", "_ended", "_error", "_head", "_interim", "_limits", "_method", "_scanned")

    def __init__(self, limits: Limits = Limits()) -> None:  # noqa: B008 - immutable
        self._limits = limits
        self._data = b""
        self._scanned = 0
        self._method = ""  # of the outstanding request
        self._head: ResponseHead | None = None
        self._body: BodyDecoder | None = None
        self._interim = 0
        self._ended = False
        self._error: HttpError | None = None

    def begin(self, method: str) -> None:
        """A request with this method goes out now; its answer is what comes next."""
        assert not self._method, "one request at a time"
        self._method = method
        self._interim = 0

    def receive(self, data: bytes) -> None:
        """Stores the bytes for `next_response`."""
        self._data += data

    def receive_eof(self) -> None:
        """The server closed its side."""
        self._ended = True

    def next_response(self) -> Response | None:
        """The complete response, or None until more bytes come.

        Interim responses, 100 and 103, are passed over (RFC 9110, section 15.2).
        A 101 comes back at its empty line; what follows is in `take_rest`.

        Raises:
            HttpError: status 502, the server is at fault or has gone; every later call raises the same.
        """
        if self._error is not None:
            raise self._error
        try:
            return self._next()
        except HttpError as error:
            self._error = HttpError(502, error.reason)
            raise self._error from None

    def take_rest(self) -> bytes:
        """The bytes behind a 101 response, which no longer are HTTP."""
        rest, self._data = self._data, b""
        return rest

    def _next(self) -> Response | None:
        response = self._next_complete()
        if response is None and self._ended and self._method:
            raise HttpError(502, "the connection ended before the response did")
        return response

    def _next_complete(self) -> Response | None:
        if not self._method:
            if self._data:
                raise HttpError(502, "bytes without a request outstanding")
            return None
        while self._body is None:
            if not self._take_head():
                return None
        assert self._head is not None
        if self._data:
            self._data = self._data[self._body.take(self._data, 0) :]
        if self._ended and isinstance(self._body, UntilCloseBody):
            self._body.done = True
        if not self._body.done:
            return None
        head, body = self._head, self._body.content()
        keep_alive = head.keep_alive and not isinstance(self._body, UntilCloseBody)
        self._head = self._body = None
        self._method = ""
        return Response(head.status, head.reason, head.fields, body, keep_alive)

    def _take_head(self) -> bool:
        end = find_head_end(self._data, 0, self._scanned, self._limits.max_head_bytes)
        if end < 0:
            self._scanned = len(self._data)
            return False
        head = parse_response_head(self._data[:end], self._limits)
        self._data, self._scanned = self._data[end + 4 :], 0
        length = response_length(head.fields, head.minor_version, head.status, self._method)
        if head.status < 200 and head.status != 101:
            self._interim += 1
            if self._interim > _MAX_INTERIM_RESPONSES:
                raise HttpError(502, f"more than {_MAX_INTERIM_RESPONSES} interim responses")
            return True
        self._head, self._body = head, self._decoder(length)
        return True

    def _decoder(self, length: int) -> BodyDecoder:
        if length == CHUNKED:
            return ChunkedBody(self._limits)
        if length == UNTIL_CLOSE:
            return UntilCloseBody(self._limits.max_body_bytes)
        if length > self._limits.max_body_bytes:
            raise HttpError(502, f"expected a body of at most {self._limits.max_body_bytes} bytes, found {length}")
        return LengthBody(length)


def encode_request(method: str, target: str, fields: tuple[tuple[str, str], ...], body: bytes) -> bytes:
    """A request in one piece; `fields` hold Host and the rest, Content-Length is ours to write.

    Raises:
        ValueError: a method, target or field that cannot be sent.
    """
    if TOKEN.fullmatch(method) is None:
        raise ValueError(f"expected a method, found {quoted(method)}")
    if _TARGET.fullmatch(target) is None:
        raise ValueError(f"expected a target in visible ASCII, found {quoted(target)}")
    # RFC 9110, section 8.6: a length where the method anticipates content, or where there is some
    length = f"Content-Length: {len(body)}\r\n" if body or method in ("POST", "PUT", "PATCH") else ""
    return f"{method} {target} HTTP/1.1\r\n{encode_fields(fields)}{length}\r\n".encode("latin-1") + body
