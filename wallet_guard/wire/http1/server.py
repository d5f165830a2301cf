"""The server role of HTTP/1.1: requests out of bytes, responses into bytes.

Theory of operation. `receive` only stores; `next_request` parses, and is called again only once the request
before has been answered. So pipelined requests are answered in order by construction, nothing is parsed
behind a request that may yet close or upgrade the connection, and what a peer can make us hold is what the
caller lets `receive` take.

    IDLE ──first byte──► HEAD ──empty line──► BODY ──last byte──► (request) ──► IDLE
                          └─────────── HttpError: FAILED, for good ───────────┘

`phase` tells the caller which deadline applies. Speed: one `find` and one dictionary look-up per repeated
head (`HeadCache`), positions instead of slices while requests remain in the same bytes, and response heads
memoised without their date.
"""

from functools import lru_cache
from typing import Final, NamedTuple

from wallet_guard.wire.errors import HttpError
from wallet_guard.wire.http1.body import BodyDecoder, ChunkedBody, LengthBody
from wallet_guard.wire.http1.fields import encode_fields
from wallet_guard.wire.http1.framing import CHUNKED
from wallet_guard.wire.http1.head import HeadCache, RequestHead, find_head_end

IDLE: Final = 0  # between messages, nothing received
HEAD: Final = 1  # a head has begun
BODY: Final = 2  # a head is known, its body is not complete
FAILED: Final = 3

CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"

# RFC 9110, section 15; reason phrases are for people
REASONS: Final = {
    101: "Switching Protocols",
    200: "OK",
    201: "Created",
    202: "Accepted",
    204: "No Content",
    304: "Not Modified",
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    408: "Request Timeout",
    409: "Conflict",
    413: "Content Too Large",
    414: "URI Too Long",
    415: "Unsupported Media Type",
    417: "Expectation Failed",
    422: "Unprocessable Content",
    426: "Upgrade Required",
    429: "Too Many Requests",
    431: "Request Header Fields Too Large",
    500: "Internal Server Error",
    501: "Not Implemented",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Gateway Timeout",
    505: "HTTP Version Not Supported",
}


class Request(NamedTuple):
    """A complete request."""

    head: RequestHead
    body: bytes


class RequestParser:
    """One connection's requests, one at a time.

    Public attributes to read: `phase`; `continue_due`, true while the peer waits for `CONTINUE` before it
    sends the body (clear it when sent; RFC 9110, section 10.1.1); `body_head`, the head whose body is
    awaited.
    """

    __slots__ = (
        "_body",
        "_cache",
        "_data",
        "_error",
        "_position",
        "_scanned",
        "_skipped",
        "body_head",
        "continue_due",
    )

    def __init__(self, cache: HeadCache) -> None:
        self._cache = cache
        self._data = b""
        self._position = 0  # everything before is used up
        self._scanned = 0  # how far a head has been looked for
        self._skipped = False  # the one empty line before a request line was met
        self._body: BodyDecoder | None = None
        self._error: HttpError | None = None
        self.body_head: RequestHead | None = None
        self.continue_due = False

    def receive(self, data: bytes) -> None:
        """Stores the bytes for `next_request`."""
        if self._position == len(self._data):
            self._data = data
        else:
            self._data = self._data[self._position :] + data
        self._scanned = max(0, self._scanned - self._position)
        self._position = 0

    @property
    def buffered(self) -> int:
        """Bytes received and not used yet; the part of a body that has been collected does not count."""
        return len(self._data) - self._position

    @property
    def phase(self) -> int:
        """IDLE, HEAD, BODY or FAILED."""
        if self._error is not None:
            return FAILED
        if self.body_head is not None:
            return BODY
        return HEAD if self._position < len(self._data) or self._skipped else IDLE

    def next_request(self) -> Request | None:
        """The next complete request, or None until more bytes come.

        Raises:
            HttpError: the peer is at fault; every later call raises the same.
        """
        if self._error is not None:
            raise self._error
        try:
            return self._next_body() if self.body_head is not None else self._next_head()
        except HttpError as error:
            self._error = error
            raise

    def take_rest(self) -> bytes:
        """The bytes behind the last request, which no longer are HTTP: the connection was upgraded."""
        rest = self._data[self._position :]
        self._data, self._position = b"", 0
        return rest

    def _next_head(self) -> Request | None:
        data, start = self._data, self._position
        if start == len(data):
            return None
        end = data.find(b"\r\n\r\n", start, start + self._cache.MAX_HEAD_BYTES + 4)
        head = self._cache.find(data[start:end]) if end >= 0 else None
        if head is None:
            # not seen before: now everything is looked at
            start = self._skip_empty_line()
            end = find_head_end(data, start, self._scanned, self._cache.limits.max_head_bytes)
            if end < 0:
                self._scanned = len(data)
                return None
            head = self._cache.parse(data[start:end])
        self._skipped = False
        after = end + 4
        if 0 <= head.length <= len(data) - after:
            # the whole body is here already: no decoder, one slice
            self._position = self._scanned = after + head.length
            return Request(head, data[after : self._position])
        self._position = self._scanned = after
        self.body_head = head
        self._body = ChunkedBody(self._cache.limits) if head.length == CHUNKED else LengthBody(head.length)
        self.continue_due = head.expects_continue and len(data) == after
        return self._next_body()

    def _skip_empty_line(self) -> int:
        """Where the head begins: RFC 9112, section 2.2, ignore at least one empty line before it. We ignore one."""
        if not self._skipped and self._data.startswith(b"\r\n", self._position):
            self._skipped = True
            self._position += 2
        return self._position

    def _next_body(self) -> Request | None:
        assert self._body is not None
        assert self.body_head is not None
        if self._position < len(self._data):
            self.continue_due = False
            self._position = self._body.take(self._data, self._position)
        if not self._body.done:
            return None
        request = Request(self.body_head, self._body.content())
        self._body = self.body_head = None
        self._scanned = self._position
        return request


def encode_response(
    status: int,
    fields: tuple[tuple[str, str], ...],
    body: bytes,
    *,
    date: bytes,
    close: bool,
    omit_body: bool = False,
) -> bytes:
    """A final response in one piece.

    Content-Length, Date and Connection are ours to write; `fields` are the rest. `date` is an IMF-fixdate
    (RFC 9110, section 5.6.7). `omit_body` is for the answer to HEAD: the length stays, the body does not go.
    204 and 304 carry neither body nor length (RFC 9110, section 8.6).

    Raises:
        ValueError: a field that cannot be sent, or a 204 or 304 with a body.
    """
    head = _encode_head(status, fields, close)
    if status in (204, 304):
        if body:
            raise ValueError(f"a {status} response has no body")
        return b"%bDate: %b\r\n\r\n" % (head, date)
    return b"%bContent-Length: %d\r\nDate: %b\r\n\r\n%b" % (head, len(body), date, b"" if omit_body else body)


@lru_cache(maxsize=256)  # a server has a few shapes of answer; more than 256 are dynamic and gain nothing
def _encode_head(status: int, fields: tuple[tuple[str, str], ...], close: bool) -> bytes:
    reason = REASONS.get(status, "")
    connection = "Connection: close\r\n" if close else "Connection: keep-alive\r\n"
    return f"HTTP/1.1 {status} {reason}\r\n{connection}{encode_fields(fields)}".encode("latin-1")
