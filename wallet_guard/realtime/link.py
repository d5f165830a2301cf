"""One connection between two parties, either end: frames in, frames out, and what must not happen between.

    OPENING ──welcome and hello, both proved──► READY ──close, fault, silence──► ENDED

1. What comes in is checked and verified in order (`Party.check`, `Verifier`, `Party.take`). A forgery ends the
   connection at once, so it costs its sender a new opening; what a network can cause is dropped, and only much of it
   ends the connection.
2. A peer over its rate, or whose handlers are behind, is read more slowly: nothing is lost, and nobody else waits.
3. What goes out waits in the peer's outbox until this turn of the event loop ends, then leaves under as few signatures
   as possible: no wait when the queue is empty, fewer signatures as load grows. It stays there while the other side
   does not read. Messages of the protocol go first.
4. `heard` is moved by verified frames and by pongs, never by what we send.
"""

import asyncio
import logging
from collections import deque
from time import monotonic
from typing import Any, Final, Protocol

from wallet_guard.net import Endpoint, WebSocket
from wallet_guard.realtime import ends
from wallet_guard.realtime.ends import End
from wallet_guard.realtime.limits import HIGH_BYTES
from wallet_guard.realtime.party import Party, Peer, error_data
from wallet_guard.signed.certificate import Certificate, CertificateError, Purpose
from wallet_guard.signed.frames import Frame, FrameError, Message, encode_message
from wallet_guard.signed.reception import Voice

_logger = logging.getLogger("wallet_guard.realtime")

PREFIX: Final = "certificate "  # of the text message that presents one
SUBPROTOCOL: Final = "btws.1"

_MAX_ACKS: Final = 256  # ids in one `ack`
_MAX_CONTROL: Final = 64  # answers that wait; a peer that causes more does not need them all
_FRAME_BYTES: Final = 32 * 1024  # of messages gathered into one frame; a single larger one goes alone
_FRAMES_A_TURN: Final = 16  # about 1 ms of signing, then others have their turn
_MAX_FAULTS: Final = 64  # refused frames by which the good ones may be outnumbered
_MAX_HOLD_SECONDS: Final = 10.0  # without reading, after which the rate is looked at again
_CERTIFICATES: Final = 4  # that a peer may present at once: a relay and the application behind it, each after a restart
_CERTIFICATE_SECONDS: Final = 10.0  # after which it may present one more


class Wire(Protocol):
    """What a link needs of a `WebSocket`; behind a hub another thing has it."""

    @property
    def is_open(self) -> bool:
        """Whether messages can be sent."""

    @property
    def queued_bytes(self) -> int:
        """Bytes that the peer has not taken from us yet."""

    def send_text(self, text: str) -> bool:
        """Sends a text message."""

    def send_encoded(self, frame: bytes) -> bool:
        """Sends what was encoded once for many."""

    def ping(self, payload: bytes = b"") -> bool:
        """Asks for a sign of life."""

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Begins to close."""

    def abort(self) -> None:
        """Ends it at once."""

    def pause_reading(self) -> None:
        """Takes no further messages for now."""

    def resume_reading(self) -> None:
        """Takes messages again."""

    async def drain(self) -> None:
        """Waits until the peer has taken most of what is queued."""


class Link(Endpoint):
    """See the module; `ServerLink` and `ClientLink` know the opening."""

    __slots__ = (
        "_acks",
        "_broadcasts",
        "_certificate_at",
        "_certificates",
        "_control",
        "_faults",
        "_flushing",
        "_held",
        "_tokens",
        "_tokens_at",
        "_told_at",
        "_waiter",
        "asked_at",
        "began",
        "ended",
        "heard",
        "party",
        "peer",
        "ready",
        "spoke",
        "websocket",
    )  # fmt: skip

    hears_broadcasts = False
    vouched = False  # a hub stands between, which looks after the peer's life and keys

    def __init__(self, party: Party, peer: Peer) -> None:
        self.party = party
        self.peer = peer
        self.websocket: Wire | None = None
        self.ready = False
        self.ended = False
        self.began = self.heard = self.spoke = monotonic()
        self.asked_at = 0.0  # when a ping or heartbeat was sent that nothing has answered yet
        self._acks: list[str] | None = None
        self._control: deque[str] | None = None
        self._broadcasts: dict[str, bytes] | None = None  # the latest of each type, while the peer does not read
        self._flushing = False
        self._waiter: asyncio.Task[None] | None = None
        self._faults = 0
        self._told_at = 0.0
        self._held = False
        self._tokens = party.limits.burst
        self._tokens_at = self.began
        self._certificate_at = self.began
        self._certificates = float(_CERTIFICATES)

    # --- what the two ends do differently

    def opening(self, message: Message, frame: Frame) -> None:
        """The first message of the other side, signed as it must be.

        Raises:
            FrameError: it is not the one that opens.
        """
        raise NotImplementedError

    def lost(self, end: End) -> None:
        """The connection has ended."""
        raise NotImplementedError

    def transmit(self, frame: bytes) -> None:
        """Sends a frame as a text message."""
        raise NotImplementedError

    # --- Endpoint

    def on_open(self, websocket: WebSocket) -> None:
        """Keeps it."""
        self.websocket = websocket

    def on_message(self, websocket: WebSocket | None, data: str | bytes) -> None:  # noqa: ARG002 - Endpoint's
        """A frame, or a certificate."""
        if self.ended:
            return
        if not isinstance(data, str):
            self.end(ends.FORMAT)
        elif data.startswith(PREFIX):
            self._hear_certificate(data[len(PREFIX) :])
        else:
            try:
                frame, voice = self.party.check(data, self.peer, broadcasts=self.hears_broadcasts, new=self.is_new)
            except FrameError as error:
                self.refuse(error)
                return
            self.party.verifier.submit(self, frame, voice)

    def on_pong(self, websocket: WebSocket, payload: bytes) -> None:  # noqa: ARG002 - Endpoint's
        """A sign of life."""
        self.heard = monotonic()

    def on_close(self, websocket: WebSocket | None, code: int, reason: str) -> None:  # noqa: ARG002 - Endpoint's
        """The end, by whoever."""
        if self._waiter is not None:
            self._waiter.cancel()
        if not self.ended:
            self.ended = True
            end = ends.end_of_close(code, reason)
            self.party.metrics.ends[end.code] += 1
            self.lost(end)

    # --- in

    @property
    def is_new(self) -> bool:
        """Whether nothing says yet in which scheme the peer's hotkey speaks."""
        return False

    def judged(self, frame: Frame, voice: Voice, *, genuine: bool) -> None:
        """A frame was verified."""
        if not genuine:
            self.refuse(FrameError("signature", "the signature is not the speaker's over this frame"))
            return
        try:
            messages = self.party.take(frame, voice, self.peer)
            self.heard = monotonic()
            self.asked_at = 0.0
            if self._faults:
                self._faults -= 1
            for message in messages:
                if self.ready:
                    self._receive(message, voice)
                else:
                    self.opening(message, frame)
        except FrameError as error:
            self.refuse(error)
            return
        self._charge(len(messages))

    def refuse(self, error: FrameError) -> None:
        """What follows a refused frame."""
        self.party.metrics.verdicts[error.code] += 1
        end = ends.OF_FRAME.get(error.code, ends.FORMAT)
        if error.code not in ends.PATIENT or not self.ready:
            _logger.info("%s: %s", self.peer.hotkey, error.reason)
            self.end(end, error.reason)
            return
        self._faults += 1
        if self._faults > _MAX_FAULTS:
            self.end(ends.REPLAYED, "too many refused frames")
            return
        self._charge(1)
        now = monotonic()
        if now - self._told_at > 1.0:
            self._told_at = now
            self.say("error", error_data(error.code, error.reason))

    def done(self, message: Message, failure: str) -> None:
        """A handler is through with a message."""
        self.party.settled(self.peer, message, failure)
        if self.ended:
            return  # the other side sends it again, and then hears that it was taken
        if message.ack:
            if self._acks is None:
                self._acks = []
            self._acks.append(message.id)
            self.flush_soon()
        if failure:
            self.say("error", error_data(failure, f"{message.type} was not handled", message.id))

    def _receive(self, message: Message, voice: Voice) -> None:
        control = _CONTROL.get(message.type)
        if control is None:
            self.party.deliver(self.peer, message, self)
            return
        self.party.metrics.received[message.type] += 1
        control(self, message, voice)

    def _hear_certificate(self, text: str) -> None:
        now = monotonic()
        refilled = (now - self._certificate_at) / _CERTIFICATE_SECONDS
        self._certificates = min(float(_CERTIFICATES), self._certificates + refilled)
        self._certificate_at = now
        if self._certificates < (1.0 if self.ready else _CERTIFICATES):
            self.end(ends.CERTIFICATE, "certificates come too fast")
            return
        self._certificates -= 1.0
        try:
            found = self.party.add_certificate(text, self.peer)
        except CertificateError as error:
            self.party.metrics.verdicts[f"certificate {error.code}"] += 1
            self.end(ends.CERTIFICATE, str(error))
            return
        if self.ready:
            self.certified(found)

    def certified(self, certificate: Certificate) -> None:
        """The peer has presented another certificate on this connection."""

    def _charge(self, messages: int) -> None:
        """Counts messages against the peer's rate, and reads no further where it is over or its handlers are behind."""
        self._tokens -= messages
        limits, mailbox = self.party.limits, self.peer.mailbox
        behind = mailbox is not None and mailbox.waiting >= limits.max_waiting
        if (self._tokens >= 0 and not behind) or self._held or self.websocket is None:
            return
        now = monotonic()
        self._tokens = min(limits.burst, self._tokens + (now - self._tokens_at) * limits.rate_per_second)
        self._tokens_at = now
        if self._tokens >= 0 and not behind:
            return
        self._held = True
        self.websocket.pause_reading()
        if behind:
            self.peer.drained = self._release
        else:
            self._release_later()

    @property
    def is_held(self) -> bool:
        """Whether we are not reading what comes."""
        return self._held

    def _release_later(self) -> None:
        wait = -self._tokens / self.party.limits.rate_per_second
        asyncio.get_running_loop().call_later(min(wait, _MAX_HOLD_SECONDS), self._release)

    def _release(self) -> None:
        """Reads on, unless what came with the same read has put the peer over its rate by more."""
        if self.ended or self.websocket is None:
            return
        self.heard = monotonic()  # while it was not read it could not be heard
        self._held = False
        self._charge(0)
        if not self._held:
            self.websocket.resume_reading()

    # --- out

    def say(self, type_: str, data: dict[str, Any], id_: str = "") -> None:
        """Sends a message of the protocol."""
        if self._control is None:
            self._control = deque(maxlen=_MAX_CONTROL)
        self._control.append(encode_message(type_, id_, data))
        self.flush_soon()

    def flush_soon(self) -> None:
        """Sends what waits, behind whatever else this turn of the event loop brings."""
        if not self._flushing and not self.ended:
            self._flushing = True
            asyncio.get_running_loop().call_soon(self._flush)

    def broadcast(self, type_: str, frame: bytes, encoded: bytes) -> bool:  # noqa: ARG002 - the client's form
        """Sends a frame that was signed and encoded for many; what a slow peer has not taken is replaced by it."""
        websocket = self.websocket
        if not self.ready or self.ended or websocket is None:
            return False
        if websocket.queued_bytes > HIGH_BYTES:
            if self._broadcasts is None:
                self._broadcasts = {}
            self._broadcasts[type_] = encoded
            self._wait_for_reader(websocket)
            return True
        self.spoke = monotonic()
        return self.transmit_encoded(websocket, encoded)

    def transmit_encoded(self, websocket: Wire, encoded: bytes) -> bool:
        """Sends a frame that was encoded for many."""
        return websocket.send_encoded(encoded)

    def present(self, certificate: str) -> None:
        """Shows the other side our new certificate."""
        if self.websocket is not None and not self.ended:
            self.websocket.send_text(PREFIX + certificate)

    def ping(self) -> None:
        """Asks for a sign of life."""
        self.asked_at = monotonic()
        if self.websocket is not None:
            self.websocket.ping()

    def end(self, end: End, detail: str = "") -> None:
        """Closes the connection, with the code and the advice of this end."""
        if self.ended:
            return
        self.ended = True
        self.party.metrics.ends[end.code] += 1
        _logger.info("%s: closed, %s%s", self.peer.hotkey, end.meaning, f" ({detail})" if detail else "")
        if self.websocket is not None:
            self.websocket.close(end.close, end.reason)
        self.lost(end)

    def _flush(self) -> None:
        self._flushing = False
        websocket = self.websocket
        for _ in range(_FRAMES_A_TURN):
            if not self.ready or self.ended or websocket is None or not websocket.is_open:
                return
            if websocket.queued_bytes > HIGH_BYTES:
                self._wait_for_reader(websocket)
                return
            lines = self._next_lines()
            if not lines:
                return
            frame = self.party.speaker.frame(self.peer.hotkey, lines, self.party.clock_ns())
            if len(frame) > self.peer.max_frame_bytes:
                _logger.warning("a message of %d bytes is more than %s takes", len(frame), self.peer.hotkey)
                self.party.acknowledged(self.peer, [_id_of(line) for line in lines])
                continue
            self.spoke = monotonic()
            self.party.metrics.sent["frame"] += 1
            self.transmit(frame)
        self.flush_soon()  # the others' turn

    def _next_lines(self) -> list[str]:
        lines: list[str] = []
        if self._acks:
            ids, self._acks = self._acks[:_MAX_ACKS], self._acks[_MAX_ACKS:]
            lines.append(encode_message("ack", "", {"ids": ids}))
        while self._control and len(lines) < 16:
            lines.append(self._control.popleft())
        outbox, limits = self.peer.outbox, self.party.limits
        if outbox is not None and outbox.depth:
            room = min(_FRAME_BYTES, self.peer.max_frame_bytes // 2) - sum(map(len, lines))
            lines += outbox.take(limits.max_messages - len(lines), room, monotonic(), limits.resend_seconds)
        return lines

    def _wait_for_reader(self, websocket: Wire) -> None:
        if self._waiter is None or self._waiter.done():
            self._waiter = asyncio.get_running_loop().create_task(self._resume(websocket))

    async def _resume(self, websocket: Wire) -> None:
        await websocket.drain()
        self._waiter = None
        while self._broadcasts and websocket.queued_bytes <= HIGH_BYTES:
            self.transmit_encoded(websocket, self._broadcasts.pop(next(iter(self._broadcasts))))
        if self._broadcasts:
            self._wait_for_reader(websocket)
        self._flush()

    # --- messages of the protocol

    def _on_heartbeat(self, message: Message, voice: Voice) -> None:  # noqa: ARG002 - a row of the table
        self.say("heartbeat_ack", {"re": message.id})

    def _on_heartbeat_ack(self, message: Message, voice: Voice) -> None:  # noqa: ARG002
        self.on_heartbeat_ack(message.data.get("re"))

    def on_heartbeat_ack(self, re: object) -> None:
        """The answer to a heartbeat of ours."""

    def _on_ack(self, message: Message, voice: Voice) -> None:  # noqa: ARG002
        ids = message.data.get("ids")
        if not isinstance(ids, list) or len(ids) > _MAX_ACKS or not all(isinstance(id_, str) for id_ in ids):
            raise FrameError("message", f"ack: expected a list of at most {_MAX_ACKS} ids")
        self.party.acknowledged(self.peer, ids)
        self.on_ack(ids)

    def on_ack(self, ids: list[str]) -> None:
        """Messages of ours were taken."""

    def _on_error(self, message: Message, voice: Voice) -> None:  # noqa: ARG002
        code, text = str(message.data.get("code"))[:32], str(message.data.get("message"))[:120]
        _logger.info("%s answers: %r: %r", self.peer.hotkey, code, text)

    def _on_revoke(self, message: Message, voice: Voice) -> None:
        before = message.data.get("before")
        if not isinstance(before, int) or isinstance(before, bool) or not 0 < before < 2**53:
            raise FrameError("message", "revoke: expected a time in Unix milliseconds")
        if voice.purpose is Purpose.NODE and (voice.from_ms == 0 or voice.from_ms >= before):
            self.peer.voices.revoke(before)
        else:
            raise FrameError("message", "revoke: expected the hotkey itself, or a key that begins later")

    def _on_misplaced(self, message: Message, voice: Voice) -> None:  # noqa: ARG002
        raise FrameError("message", f"{message.type}: expected in the opening only")


_CONTROL: Final = {
    "heartbeat": Link._on_heartbeat,
    "heartbeat_ack": Link._on_heartbeat_ack,
    "ack": Link._on_ack,
    "error": Link._on_error,
    "revoke": Link._on_revoke,
    "welcome": Link._on_misplaced,
    "hello": Link._on_misplaced,
}


def _id_of(line: str) -> str:
    return line.partition('"id":"')[2].partition('"')[0]
