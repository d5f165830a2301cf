"""A WebSocket on an asyncio transport, either role: the shell around `wire.websocket.machine`.

What a handler holds is the `WebSocket`; what it provides is an `Endpoint` whose methods are called in order,
from within the read that brought the message. All that they send during one read leaves in one write.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from time import monotonic
from typing import Protocol

from wallet_guard.net.deadlines import Outflow
from wallet_guard.net.exchange import Peer, Request
from wallet_guard.net.limits import WebSocketLimits
from wallet_guard.wire.errors import WebSocketError
from wallet_guard.wire.websocket import closing
from wallet_guard.wire.websocket.frames import encode_frame
from wallet_guard.wire.websocket.machine import CLOSED, OPEN, WHOLE_BINARY, WHOLE_TEXT, Machine

_logger = logging.getLogger("wallet_guard.net")

# A single message of this size is written after its head instead of being copied behind it: a second call costs less.
_UNJOINED_BYTES = 64 * 1024
_STALL_LOOK_SECONDS = 1.0  # between two looks at whether unwritten bytes move


class Endpoint:
    """Callbacks of one connection (or of many, it is told which); override what you need. None may block.

    An exception from one of them is logged once and closes the connection with 1011.
    """

    def on_open(self, websocket: "WebSocket") -> None:
        """The handshake is done."""

    def on_message(self, websocket: "WebSocket", data: str | bytes) -> None:
        """A message, in order: str for text, bytes for binary."""

    def on_pong(self, websocket: "WebSocket", payload: bytes) -> None:
        """A pong."""

    def on_close(self, websocket: "WebSocket", code: int, reason: str) -> None:
        """The end, exactly once if `on_open` was called: the peer's code, ours if the peer was at fault, or 1006."""


_NOBODY = Endpoint()


class Owner(Protocol):
    """The server, or client, that a connection belongs to.

    `buffer` is where its connections read into, one at a time: an event loop reads and hands over without a break.
    """

    buffer: memoryview

    def websocket_lost(self, websocket: "WebSocket") -> None:
        """The transport is gone."""

    def count(self, what: str) -> None:
        """A ceiling or deadline ended something."""


class WebSocket(asyncio.BufferedProtocol):
    """One open connection.

    Public: `peer`, `request` (the opening request; None in the client role), `subprotocol`, `is_open`,
    `close_code` and `close_reason` once closed; and `state`, yours to keep anything in.
    Sending never blocks and returns False once the connection is no longer open.
    """

    __slots__ = (
        "_asked",
        "_closing_since",
        "_corked",
        "_endpoint",
        "_finished",
        "_heard",
        "_held",
        "_limits",
        "_machine",
        "_outflow",
        "_owner",
        "_serves",
        "_stalled",
        "_transport",
        "_writable",
        "close_code",
        "close_reason",
        "on_message",
        "peer",
        "request",
        "state",
        "subprotocol",
    )

    def __init__(
        self,
        endpoint: Endpoint,
        owner: Owner,
        limits: WebSocketLimits,
        new_key: Callable[[], bytes] | None = None,
    ) -> None:
        self._endpoint = endpoint
        self._owner = owner
        self._limits = limits
        # straight to the endpoint: a method in between would be a tenth of the cost of a short message
        self.on_message = partial(endpoint.on_message, self)
        self._machine = Machine(self, limits.messages, new_key)
        self._transport: asyncio.Transport | None = None
        self._corked = False  # inside a read: sends are collected for one write
        self._heard = 0.0  # when the last byte came
        self._asked = 0.0  # when we last sent a ping on silence
        self._closing_since = 0.0
        self._outflow = Outflow(monotonic())
        self._stalled = False  # the peer has enough to read
        self._finished = False  # nothing further will be written
        self._serves = new_key is None
        self._held = False  # reading is paused by the endpoint
        self._writable: asyncio.Future[None] | None = None  # awaited by `drain`
        self.peer = Peer("", 0, -1)
        self.request: Request | None = None
        self.subprotocol = ""
        self.close_code = 0
        self.close_reason = ""
        self.state: object = None

    # --- for handlers

    @property
    def is_open(self) -> bool:
        """Whether messages can be sent."""
        return self._machine.state == OPEN

    @property
    def is_lost(self) -> bool:
        """Whether the transport is gone."""
        return self._transport is None

    @property
    def queued_bytes(self) -> int:
        """Bytes that the peer has not taken from us yet."""
        return 0 if self._transport is None else self._transport.get_write_buffer_size()

    def send_text(self, text: str) -> bool:
        """Sends a text message."""
        return self._machine.send(WHOLE_TEXT, text.encode()) and (self._corked or self._flush())

    def send_binary(self, data: bytes) -> bool:
        """Sends a binary message."""
        return self._machine.send(WHOLE_BINARY, data) and (self._corked or self._flush())

    def send_encoded(self, frame: bytes) -> bool:
        """Sends a frame that `encode_text` made once for many peers; server role only."""
        return self._machine.send_encoded(frame) and (self._corked or self._flush())

    def ping(self, payload: bytes = b"") -> bool:
        """Sends a ping of at most 125 bytes; heartbeats are sent without your doing."""
        return self._machine.send_ping(payload) and (self._corked or self._flush())

    def close(self, code: int = closing.NORMAL, reason: str = "") -> None:
        """Begins the closing handshake; `on_close` follows, after `close_seconds` at the latest.

        Raises:
            ValueError: a code that must not be sent.
        """
        if self._machine.send_close(code, reason):
            self._closing_since = monotonic()
            if not self._corked:
                self._flush()

    def allow(self, limits: WebSocketLimits) -> None:
        """Keeps to these limits from now on: others for a peer that has shown who it is."""
        self._limits = limits
        self._machine.allow(limits.messages)

    def abort(self) -> None:
        """Ends the connection at once, without a close frame."""
        if self._transport is not None:
            self._transport.abort()

    def pause_reading(self) -> None:
        """Takes no further messages for now; those of the current read still come."""
        self._held = True
        self._set_reading()

    def resume_reading(self) -> None:
        """Takes messages again."""
        self._held = False
        self._set_reading()

    async def drain(self) -> None:
        """Waits until the peer has taken most of what is queued, or the connection has ended."""
        while self._stalled and self._transport is not None:
            if self._writable is None:
                self._writable = asyncio.get_running_loop().create_future()
            await asyncio.shield(self._writable)

    # --- for the server and the client

    def open(self, transport: asyncio.Transport, first: bytes) -> None:
        """Takes over the transport after the handshake; `first` has come behind it already."""
        self._transport = transport
        self._heard = monotonic()
        transport.set_protocol(self)
        transport.set_write_buffer_limits(high=self._limits.pause_reading_bytes)
        self._corked = True
        try:
            self._endpoint.on_open(self)
        except Exception:  # noqa: BLE001 - logged; an endpoint's bug ends its own connection only
            self._broken("on_open")
        self._receive(first)

    def check(self, now: float) -> float:
        """Applies the deadlines; returns the seconds until the next look."""
        limits = self._limits
        self._machine.renew_budget()
        unwritten = self.queued_bytes
        if self._outflow.is_stuck(unwritten, now, limits.stall_seconds):
            self._drop("stall_seconds")
        if self._closing_since:
            if now - self._closing_since > limits.close_seconds:
                self._drop("close_seconds")
            return limits.close_seconds
        if self._transport is not None and not self._transport.is_reading():
            self._heard = now  # it is us who do not listen
        silence = now - self._heard
        if silence < limits.ping_seconds:
            return _STALL_LOOK_SECONDS if unwritten else limits.ping_seconds - silence
        if self._asked <= self._heard:
            self._asked = now
            self.ping()
        elif now - self._asked > limits.pong_seconds:
            self._drop("pong_seconds")
        return _STALL_LOOK_SECONDS if unwritten else min(limits.pong_seconds, limits.ping_seconds)

    # --- asyncio.BufferedProtocol

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - asyncio's signature
        """Where to put the bytes to come."""
        return self._owner.buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Bytes from the peer."""
        self._receive(bytes(self._owner.buffer[:nbytes]))

    def _receive(self, data: bytes) -> None:
        self._heard = monotonic()
        self._corked = True
        try:
            self._machine.receive(data)
        except Exception:  # noqa: BLE001 - as above
            self._broken("on_message")
        self._corked = False
        self._flush()

    def eof_received(self) -> bool:
        """The peer will send no more."""
        self._machine.receive_eof()
        return False

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """The transport is gone."""
        transport, self._transport = self._transport, None
        self._machine.receive_eof()
        self._stalled = False
        self._wake()
        self._owner.websocket_lost(self)
        # What points back here would keep it in memory until the garbage collector comes.
        del self.on_message
        self._endpoint = _NOBODY
        with suppress(AttributeError):  # asyncio's own transports point at themselves by this method of theirs
            transport._read_ready_cb = None  # type: ignore[union-attr]

    def pause_writing(self) -> None:
        """The peer does not keep up."""
        self._stalled = True
        self._set_reading()

    def resume_writing(self) -> None:
        """The peer has caught up."""
        self._stalled = False
        self._set_reading()
        self._wake()

    # --- events of the machine

    def on_ping(self, payload: bytes) -> None:
        """The pong is queued already."""

    def on_pong(self, payload: bytes) -> None:
        """Passes it on."""
        self._endpoint.on_pong(self, payload)

    def on_close(self, code: int, reason: str) -> None:
        """Passes it on."""
        self.close_code, self.close_reason = code, reason
        if self._machine.failure is not None:
            self._owner.count(f"websocket closed with {code}")
        try:
            self._endpoint.on_close(self, code, reason)
        except Exception:
            _logger.exception("an endpoint failed in on_close")

    # ---

    def _flush(self) -> bool:
        transport, outgoing = self._transport, self._machine.outgoing
        if transport is None or transport.is_closing():
            outgoing.clear()  # nobody takes it, and asyncio would only complain
            return False
        if outgoing:
            if len(outgoing) == 2 and len(outgoing[1]) >= _UNJOINED_BYTES:
                transport.write(outgoing[0])
                transport.write(outgoing[1])
            else:
                transport.write(b"".join(outgoing))
            outgoing.clear()
            if transport.get_write_buffer_size() > self._limits.max_queued_bytes:
                self._drop("max_queued_bytes")
                return False
        if self._machine.state == CLOSED and not self._finished:
            self._finish(transport)
        return True

    def _finish(self, transport: asyncio.Transport) -> None:
        """Ends the transport after the closing handshake, or after the peer's fault."""
        self._finished = True
        self._closing_since = self._closing_since or monotonic()
        if self._machine.failure is not None and transport.can_write_eof():
            # Unread bytes at close would become a reset, and the peer might never read why: it ends its side
            # first.
            transport.write_eof()
        elif self._machine.failure is not None or self._serves:
            # RFC 6455, section 7.1.1: the server ends the connection, the client waits for it
            transport.close()

    def _set_reading(self) -> None:
        # A server reads nothing from a peer that does not read. A client does, or both might wait for each
        # other.
        pause = self._held or (self._serves and self._stalled)
        if self._transport is None or self._transport.is_closing():
            return
        if pause and self._transport.is_reading():
            self._transport.pause_reading()
        elif not pause and not self._transport.is_reading():
            self._transport.resume_reading()

    def _broken(self, where: str) -> None:
        _logger.exception("an endpoint failed in %s", where)
        self._machine.fail(WebSocketError(closing.INTERNAL_ERROR, "internal error"))

    def _drop(self, why: str) -> None:
        self._owner.count(why)
        self.abort()

    def _wake(self) -> None:
        if self._writable is not None and not self._writable.done():
            self._writable.set_result(None)
        self._writable = None


def encode_text(text: str) -> bytes:
    """A text frame made once for many peers, for `WebSocket.send_encoded`."""
    return encode_frame(WHOLE_TEXT, text.encode())


class Inbox(Endpoint):
    """For those who would rather await: messages in a queue with a ceiling, at which reading stops.

    The queue may exceed `max_messages` by what one read has brought (at most 256 KiB).
    """

    def __init__(self, max_messages: int = 64) -> None:
        self._messages: deque[str | bytes] = deque()
        self._max_messages = max_messages
        self._arrived: asyncio.Future[None] | None = None
        self._websocket: WebSocket | None = None
        self._closed = False

    async def receive(self) -> str | bytes | None:
        """The next message; None once the connection is closed and the queue empty. For one task at a time."""
        while not self._messages:
            if self._closed:
                return None
            self._arrived = asyncio.get_running_loop().create_future()
            await self._arrived
        message = self._messages.popleft()
        if len(self._messages) < self._max_messages and self._websocket is not None:
            self._websocket.resume_reading()
        return message

    def __aiter__(self) -> "Inbox":
        return self

    async def __anext__(self) -> str | bytes:
        message = await self.receive()
        if message is None:
            raise StopAsyncIteration
        return message

    def on_open(self, websocket: WebSocket) -> None:
        """Remembers whose messages these are."""
        self._websocket = websocket

    def on_message(self, websocket: WebSocket, data: str | bytes) -> None:
        """Queues it."""
        self._messages.append(data)
        if len(self._messages) >= self._max_messages:
            websocket.pause_reading()
        self._wake()

    def on_close(self, websocket: WebSocket, code: int, reason: str) -> None:  # noqa: ARG002 - Endpoint's
        """Ends the queue."""
        self._closed = True
        self._wake()

    def _wake(self) -> None:
        if self._arrived is not None and not self._arrived.done():
            self._arrived.set_result(None)
