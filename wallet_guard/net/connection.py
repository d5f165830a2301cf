"""One HTTP connection of a server: bytes to requests, handlers to responses, deadlines to ends.

One request is served at a time. What is complete is answered within the read that brought it, in order, and
leaves in one write; a handler that is a coroutine gets a task, and the requests behind it wait.
Reading goes on while a handler runs, up to a ceiling: that is how we notice that the client has gone.
An end of the client's stream counts as its departure, since a half-closed connection cannot be told from a
closed one.

Ways to end: after an answer (`close`), by a deadline, or by lingering: after an error the answer is written,
our side is ended and input is dropped for a while, or the answer would be lost to a reset (RFC 9112, section
9.6).
"""

import asyncio
import logging
import socket
import struct
from collections.abc import Awaitable
from time import monotonic
from typing import Protocol

from wallet_guard.net.deadlines import Outflow
from wallet_guard.net.exchange import Peer, Request, Response
from wallet_guard.net.limits import ServerLimits
from wallet_guard.net.websocket import Endpoint, WebSocket
from wallet_guard.wire.errors import HttpError
from wallet_guard.wire.http1.head import HeadCache, RequestHead
from wallet_guard.wire.http1.server import BODY, CONTINUE, IDLE, RequestParser, encode_response
from wallet_guard.wire.websocket.handshake import check_request, encode_accept

_logger = logging.getLogger("wallet_guard.net")

# While an earlier request is being answered; beyond it we stop reading.
_MAX_WAITING_BYTES = 64 * 1024
# Of answers gathered for one write. Beyond it they are written at once, so that a client which asks for much with few
# bytes, and reads nothing, stalls us before its answers fill the memory.
_MAX_GATHERED_BYTES = 64 * 1024
_CREDENTIALS = struct.Struct("3i")  # struct ucred: pid, uid, gid


class Accept:
    """A WebSocket is wanted: its endpoint, the subprotocol chosen among those offered ("" for none), extra fields."""

    __slots__ = ("endpoint", "headers", "subprotocol")

    def __init__(self, endpoint: Endpoint, subprotocol: str = "", headers: tuple[tuple[str, str], ...] = ()) -> None:
        self.endpoint = endpoint
        self.subprotocol = subprotocol
        self.headers = headers


Outcome = Response | Accept


class Host(Protocol):
    """What a connection needs of its server."""

    buffer: memoryview
    limits: ServerLimits
    cache: HeadCache
    date: bytes
    stopping: bool
    cancel_on_disconnect: bool

    def admit(self, connection: "HttpConnection") -> bool:
        """Whether the ceilings allow this connection; if so it is counted."""

    def answer(self, request: Request) -> Outcome | Awaitable[Outcome]:
        """The answer of the handler."""

    def error(self, status: int, reason: str) -> Response:
        """The answer to a fault that no handler saw."""

    def upgraded(self, connection: "HttpConnection", websocket: WebSocket) -> None:
        """The WebSocket takes the connection's place."""

    def http_lost(self, connection: "HttpConnection") -> None:
        """The transport is gone."""

    def websocket_lost(self, websocket: WebSocket) -> None:
        """The transport is gone."""

    def count(self, what: str) -> None:
        """A ceiling or deadline ended something."""


class HttpConnection(asyncio.BufferedProtocol):
    """See the module. `peer` and `scheme` are set once connected."""

    __slots__ = (
        "_body_bytes",
        "_body_head",
        "_gathered",
        "_held",
        "_host",
        "_lingering",
        "_out",
        "_outflow",
        "_parser",
        "_served",
        "_since",
        "_stalled",
        "_task",
        "_transport",
        "peer",
        "scheme",
    )

    def __init__(self, host: Host) -> None:
        self._host = host
        self._parser = RequestParser(host.cache)
        self._transport: asyncio.Transport | None = None
        self._task: asyncio.Task[None] | None = None  # of the handler
        self._out: list[bytes] = []
        self._gathered = 0  # bytes in it
        self._served = 0
        # when the current wait began: for a head, a body, a request, a handler, or lingering
        self._since = monotonic()
        self._body_head: RequestHead | None = None  # whose body is awaited
        self._body_bytes = 0  # received since
        self._stalled = False  # the peer has enough to read
        self._held = False  # reading is paused: enough waits already
        self._lingering = False
        self._outflow = Outflow(self._since)
        self.peer = Peer("", 0, -1)
        self.scheme = "http"

    @property
    def busy(self) -> bool:
        """A request is being received or answered."""
        return self._task is not None or self._parser.phase != IDLE

    # --- asyncio.BufferedProtocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has connected (and, with TLS, shaken hands)."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self.peer = _peer(transport)
        self.scheme = "http" if transport.get_extra_info("ssl_object") is None else "https"
        if not self._host.admit(self):
            transport.abort()

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - asyncio's signature
        """Where to put the bytes to come."""
        return self._host.buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Bytes from the client."""
        if self._lingering:
            return
        phase = self._parser.phase
        self._parser.receive(bytes(self._host.buffer[:nbytes]))
        if self._task is None and not self._stalled:
            if phase == IDLE:
                self._since = monotonic()
            elif phase == BODY:
                self._body_bytes += nbytes
            self._serve()
        elif self._parser.buffered > _MAX_WAITING_BYTES and self._transport is not None:
            self._held = True
            self._transport.pause_reading()

    def eof_received(self) -> bool:
        """The client has gone: see the module."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """The transport is gone."""
        self._transport = None
        if self._task is not None and self._host.cancel_on_disconnect:
            self._host.count("client left")
            self._task.cancel()
        self._host.http_lost(self)

    def pause_writing(self) -> None:
        """The client does not read; nothing further is answered until it does."""
        self._stalled = True

    def resume_writing(self) -> None:
        """The client reads again."""
        self._stalled = False
        if self._task is None and not self._lingering:
            self._serve()

    # --- for the server

    def check(self, now: float) -> float:
        """Applies the deadlines; returns the seconds until the next look."""
        limits = self._host.limits
        waited = now - self._since
        unwritten = 0 if self._transport is None else self._transport.get_write_buffer_size()
        if self._outflow.is_stuck(unwritten, now, limits.stall_seconds):
            self._host.count("stall_seconds")
            self.abort()
        elif self._lingering:
            if unwritten:
                self._since = now
            elif waited > limits.linger_seconds:
                self.abort()
        elif self._task is not None:
            if waited > limits.handler_seconds:
                self._give_up(self._task)
        else:
            self._check_wait(waited)
        return 1.0

    def _check_wait(self, waited: float) -> None:
        """The deadlines on what the client owes us."""
        limits = self._host.limits
        phase = self._parser.phase
        if phase == BODY:
            if waited > limits.body_seconds + self._body_bytes / limits.min_body_rate:
                self._expire("body_seconds", "the body came too slowly")
        elif phase == IDLE and self._served:
            if waited > limits.idle_seconds:
                self._host.count("idle_seconds")
                self.close()
        elif waited > limits.head_seconds:
            self._expire("head_seconds", "the head came too slowly")

    def close(self) -> None:
        """Ends the connection once what is written has left, within the deadlines."""
        if self._transport is None:
            return
        if self._transport.get_write_buffer_size():
            self._linger()
        else:
            self._transport.close()

    def abort(self) -> None:
        """Ends the connection at once."""
        if self._transport is not None:
            self._transport.abort()

    # ---

    def _serve(self) -> None:
        """Answers the requests that are complete."""
        parser = self._parser
        try:
            while self._task is None and not self._stalled and not self._lingering:
                request = parser.next_request()
                if request is None:
                    if parser.body_head is not self._body_head:
                        self._await_body()
                    break
                self._body_head = None
                self._dispatch(Request(request.head, request.body, self.peer, self.scheme))
        except HttpError as error:
            self._fail(error.status, error.reason, error.fields)
        self._flush()
        if self._held and self._task is None and not self._stalled:
            self._release()

    def _release(self) -> None:
        """Reads again, after all that waited was looked at."""
        self._held = False
        if self._transport is not None:
            self._transport.resume_reading()

    def _await_body(self) -> None:
        self._body_head = self._parser.body_head
        self._since, self._body_bytes = monotonic(), 0
        if self._parser.continue_due:
            self._parser.continue_due = False
            self._out.append(CONTINUE)

    def _dispatch(self, request: Request) -> None:
        try:
            outcome = self._host.answer(request)
        except HttpError as error:
            outcome = self._error_response(error)
        except Exception:
            _logger.exception("the handler of %s %s failed", request.method, request.path)
            outcome = self._host.error(500, "internal error")
        if isinstance(outcome, Response):
            self._respond(request, outcome)
        elif isinstance(outcome, Accept):
            self._upgrade(request, outcome)
        else:
            self._since = monotonic()
            self._task = asyncio.get_running_loop().create_task(self._finish(request, outcome))

    async def _finish(self, request: Request, pending: Awaitable[Outcome]) -> None:
        """Awaits the handler, answers, and goes on with the requests that came meanwhile."""
        try:
            outcome = await pending
        except HttpError as error:
            outcome = self._error_response(error)
        except Exception:
            _logger.exception("the handler of %s %s failed", request.method, request.path)
            outcome = self._host.error(500, "internal error")
        if self._task is None or self._transport is None:
            return  # it was given up and would not be cancelled, or the client has gone
        self._task = None
        if isinstance(outcome, Accept):
            self._upgrade(request, outcome)
            return
        self._respond(request, outcome)
        self._serve()

    def _respond(self, request: Request, response: Response) -> None:
        self._served += 1
        self._since = monotonic()
        close = (
            response.close
            or not request.head.keep_alive
            or self._host.stopping
            or self._served >= self._host.limits.requests_per_connection
        )
        self._write(response, close, omit_body=request.head.method == "HEAD")
        if close:
            self._linger()

    def _write(self, response: Response, close: bool, omit_body: bool = False) -> None:
        status, body, content_type, fields, _ = response
        if body:
            fields = (("Content-Type", content_type), *fields)
        date = self._host.date
        try:
            encoded = encode_response(status, fields, body, date=date, close=close, omit_body=omit_body)
        except ValueError:
            _logger.exception("a response cannot be sent")
            status, body, content_type, _, _ = self._host.error(500, "internal error")
            fields = (("Content-Type", content_type),)
            encoded = encode_response(status, fields, body, date=date, close=close, omit_body=omit_body)
        self._out.append(encoded)
        self._gathered += len(encoded)
        if self._gathered > _MAX_GATHERED_BYTES:
            self._flush()

    def _upgrade(self, request: Request, accept: Accept) -> None:
        transport = self._transport
        if transport is None:
            return
        key = check_request(request.head)
        websocket = WebSocket(accept.endpoint, self._host, self._host.limits.websocket)
        websocket.peer, websocket.request, websocket.subprotocol = self.peer, request, accept.subprotocol
        self._out.append(encode_accept(key, accept.subprotocol, accept.headers))
        self._flush()
        rest = self._parser.take_rest()
        self._transport = None
        self._lingering = True  # nothing of this object is used any further
        self._host.upgraded(self, websocket)
        if self._held:
            transport.resume_reading()
        websocket.open(transport, rest)

    def _error_response(self, error: HttpError) -> Response:
        response = self._host.error(error.status, error.reason)
        return response._replace(headers=(*response.headers, *error.fields))

    def _expire(self, what: str, reason: str) -> None:
        self._host.count(what)
        if self._parser.phase == IDLE:
            self.close()  # a connection that never sent a byte is owed no answer
            return
        self._fail(408, reason)

    def _fail(self, status: int, reason: str, fields: tuple[tuple[str, str], ...] = ()) -> None:
        """Answers a fault of the peer and ends the connection."""
        self._host.count(f"refused with {status}")
        self._write(self._error_response(HttpError(status, reason, fields)), close=True)
        self._linger()

    def _linger(self) -> None:
        self._flush()
        self._lingering = True
        self._since = monotonic()
        transport = self._transport
        if transport is None:
            return
        if self._held:
            self._release()
        if transport.can_write_eof():
            transport.write_eof()
        else:
            transport.close()

    def _flush(self) -> None:
        if self._out and self._transport is not None and not self._transport.is_closing():
            self._transport.write(self._out[0] if len(self._out) == 1 else b"".join(self._out))
        self._out.clear()
        self._gathered = 0

    def _give_up(self, task: asyncio.Task[None]) -> None:
        self._host.count("handler_seconds")
        self._task = None
        task.cancel()
        self._fail(504, "the handler took too long")


def _peer(transport: asyncio.Transport) -> Peer:
    connected = transport.get_extra_info("socket")
    certificate = b""
    ssl_object = transport.get_extra_info("ssl_object")
    if ssl_object is not None:
        certificate = ssl_object.getpeercert(binary_form=True) or b""
    if connected.family == socket.AF_UNIX:
        credentials = connected.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        return Peer("", 0, _CREDENTIALS.unpack(credentials)[1], certificate)
    name = transport.get_extra_info("peername") or ("", 0)
    return Peer(name[0], name[1], -1, certificate)
