"""A WebSocket connection after its handshake, without its socket, in either role (RFC 6455, sections 5 to 7).

Theory of operation.

    OPEN ──close sent──► CLOSING ──close received──► CLOSED
      ├──close received (and answered)─────────────► CLOSED
      └──peer at fault (close sent), or eof────────► CLOSED

1. `receive` calls the events as it reads: `on_message` in order, `on_ping`, `on_pong`, and `on_close` exactly
   once, at the way into CLOSED. It never raises for what a peer does. The caller then writes `outgoing`, and
   once `state` is CLOSED ends the transport; the server side ends it first (section 7.1.1).
2. Answers (pong, close, the fault's close) go to `outgoing` behind what events have sent, so echoes of
   messages that came before a fault still leave.
3. After a close was sent, messages are checked and dropped; after CLOSED, everything is.
4. Whoever has a source of masking keys is the client: it masks, and expects no mask. The server the reverse.
5. A frame is used as soon as its bytes are here. One that is incomplete is taken in pieces: unmasked and, if
   text, checked as UTF-8 at once (section 8.1 allows it, and a fault is answered at its byte). Pieces are
   collected in a bytearray, so crumbs cost their size and not an object each.

Speed, by effect: callbacks instead of a queue and a coroutine (1.7 times, ping-pong); one write for all that
a read brought (the whole gain for pipelined messages), which is why `outgoing` is a list; and one short path
for the frame that nearly all are, whole, unfragmented, under 126 bytes.
"""

import codecs
from collections.abc import Callable
from typing import Final, NamedTuple, Protocol

from wallet_guard.wire.errors import WebSocketError
from wallet_guard.wire.websocket import closing
from wallet_guard.wire.websocket.frames import (
    BINARY,
    CLOSE,
    CONTINUATION,
    FIN,
    MASKED,
    MAX_CONTROL_BYTES,
    OPCODE,
    PING,
    PONG,
    RESERVED,
    TEXT,
    apply_mask,
    encode_frame,
    encode_head,
)

OPEN: Final = 0
CLOSING: Final = 1
CLOSED: Final = 2

WHOLE_TEXT: Final = FIN | TEXT
WHOLE_BINARY: Final = FIN | BINARY
_SHORT_HEADS = {first: [bytes((first, size)) for size in range(126)] for first in (WHOLE_TEXT, WHOLE_BINARY)}
_OFF = 1 << 64  # an index behind everything: not for the short path
_NOTHING = bytearray()  # shared by all connections without a message in progress; never appended to
_new_utf8_decoder = codecs.getincrementaldecoder("utf-8")


class Limits(NamedTuple):
    """How much of a peer is taken; each excess ends the connection with the code in the comment."""

    max_message_bytes: int = 1024 * 1024  # 1009; websockets and aiohttp 1 and 4 MiB
    max_frame_bytes: int = 1024 * 1024  # 1009; known before a byte of the payload is
    max_fragments: int = 128 * 1024  # 1008; Autobahn 9.3.1 sends 65,537: 4 MiB in frames of 64 bytes
    control_budget: int = 256  # 1008; pings and pongs between two calls of `renew_budget`; Autobahn 2.10 sends 10


class Events(Protocol):
    """What a machine tells; called from within `receive`."""

    def on_message(self, data: str | bytes) -> None:
        """A message: str for text, bytes for binary."""

    def on_ping(self, payload: bytes) -> None:
        """A ping; the pong is on its way already."""

    def on_pong(self, payload: bytes) -> None:
        """A pong, asked for or not (section 5.5.3)."""

    def on_close(self, code: int, reason: str) -> None:
        """The end: the peer's code, ours if the peer was at fault, or ABNORMAL."""


class _Nobody:
    """Who is told what comes behind the end: nothing does."""

    def on_message(self, data: str | bytes) -> None:
        """Never."""

    def on_ping(self, payload: bytes) -> None:
        """Never."""

    def on_pong(self, payload: bytes) -> None:
        """Never."""

    def on_close(self, code: int, reason: str) -> None:
        """Never."""


_NOBODY = _Nobody()


class Machine:
    """One connection. Read `state` and `outgoing` (and clear the latter once written)."""

    __slots__ = (
        "_budget",
        "_collected",
        "_decoder",
        "_events",
        "_first",
        "_fragments",
        "_key",
        "_left",
        "_limits",
        "_mask_bit",
        "_new_key",
        "_on_message",
        "_opcode",
        "_rest",
        "_short",
        "failure",
        "outgoing",
        "state",
    )

    def __init__(self, events: Events, limits: Limits, new_key: Callable[[], bytes] | None = None) -> None:
        self._events = events
        self._on_message = events.on_message
        self._limits = limits
        self._new_key = new_key  # four unpredictable bytes at each call (section 5.3): the client role
        self._mask_bit = MASKED if new_key is None else 0  # what the peer's frames must have
        self._short = min(65535, limits.max_message_bytes, limits.max_frame_bytes)  # payloads on the short path
        self._rest = b""  # an incomplete frame head or control frame, at most 131 bytes
        self._first = 0  # first byte of the frame that is being taken in pieces
        self._left = -1  # bytes of it to come, -1 if there is none
        self._key = b""  # its masking key, turned to the next byte
        self._opcode = CONTINUATION  # of the message in progress; CONTINUATION if none
        self._fragments = 0
        self._collected = _NOTHING  # the message in progress
        self._decoder: codecs.IncrementalDecoder | None = None  # checks the text in progress
        self._budget = limits.control_budget
        self.failure: WebSocketError | None = None  # the fault that ended the connection
        self.state = OPEN
        self.outgoing: list[bytes] = []

    def receive(self, data: bytes) -> None:
        """Reads what the peer sent; tells the events and fills `outgoing`."""
        if self._rest:
            data, self._rest = self._rest + data, b""
        try:
            self._read(data)
        except WebSocketError as error:
            self.fail(error)
        except UnicodeDecodeError:
            self.fail(WebSocketError(closing.INVALID_DATA, "a text message is no UTF-8"))

    def receive_eof(self) -> None:
        """The transport ended: nothing is told any more, and who was told is forgotten.

        Whoever holds the machine is freed with its last reference then, and not when the garbage collector comes.
        """
        self._end(closing.ABNORMAL, "the connection ended without a close")
        self._events, self._on_message = _NOBODY, _NOBODY.on_message

    def send_text(self, text: str) -> bool:
        """Queues a text message; False if the connection is no longer open.

        Raises:
            UnicodeEncodeError: a lone surrogate, which UTF-8 cannot say.
        """
        return self.send(WHOLE_TEXT, text.encode())

    def send_binary(self, data: bytes) -> bool:
        """Queues a binary message; False if the connection is no longer open."""
        return self.send(WHOLE_BINARY, data)

    def send_encoded(self, frame: bytes) -> bool:
        """Queues a frame that `encode_frame` made, once for many peers; server role only, since no mask is shared."""
        assert self._new_key is None, "a client masks each frame with a key of its own"
        if self.state != OPEN:
            return False
        self.outgoing.append(frame)
        return True

    def send_ping(self, payload: bytes = b"") -> bool:
        """Queues a ping of at most 125 bytes; False if the connection is no longer open."""
        assert len(payload) <= MAX_CONTROL_BYTES
        return self.send(FIN | PING, payload)

    def send_close(self, code: int = closing.NORMAL, reason: str = "") -> bool:
        """Queues a close frame and moves on to CLOSING; False if the connection is no longer open.

        Raises:
            ValueError: a code that must not be sent.
        """
        sent = self.send(FIN | CLOSE, closing.encode_close(code, reason))
        if sent:
            self.state = CLOSING
        return sent

    def allow(self, limits: Limits) -> None:
        """Receives by these limits from now on."""
        self._limits = limits

    def renew_budget(self) -> None:
        """Allows the peer `control_budget` further pings and pongs; called by the owner of the clock."""
        self._budget = self._limits.control_budget

    def send(self, first: int, payload: bytes) -> bool:
        """Queues a frame that begins with `first`, WHOLE_TEXT or WHOLE_BINARY; False if no longer open."""
        if self.state != OPEN:
            return False
        if self._new_key is not None:
            self.outgoing.append(encode_frame(first, payload, self._new_key()))
        elif len(payload) < 126 and first in _SHORT_HEADS:
            # head and payload apart: the writer joins the whole list anyway, so nothing is copied twice
            self.outgoing += (_SHORT_HEADS[first][len(payload)], payload)
        else:
            self.outgoing += (encode_head(first, len(payload), masked=False), payload)
        return True

    def _read(self, data: bytes) -> None:
        """Goes through the frames in `data`; the short path is for whole, unfragmented ones below 64 KiB."""
        position = self._take_piece(data, 0) if self._left >= 0 else 0
        end = len(data)
        mask_bit = self._mask_bit
        head_size = 6 if mask_bit else 2
        short = self._short
        while end - position >= 2:
            first = data[position]
            size = data[position + 1] ^ mask_bit  # above 127 if the mask bit is wrong
            start = position + head_size
            if size == 126 and start + 2 <= end:
                size = data[position + 2] << 8 | data[position + 3]
                start += 2
                after = start + size if size > 125 else _OFF  # in its shortest form or not
            else:
                after = start + size if size < 126 else _OFF
            if (first != WHOLE_TEXT and first != WHOLE_BINARY) or after > end or size > short or self._opcode:
                after = self._take_frame(data, position)
                if after < 0:
                    break
                position = after
                continue
            position = after
            payload = data[start:after] if not mask_bit else apply_mask(data[start:after], data[start - 4 : start])
            message = str(payload, "utf-8") if first == WHOLE_TEXT else bytes(payload)
            if self.state == OPEN:
                self._on_message(message)
        self._rest = data[position:]

    def _take_frame(self, data: bytes, position: int) -> int:
        """The index after what could be used of the frame at `position`, or -1 if its head is incomplete."""
        if self.state == CLOSED:
            return len(data)
        first, second = data[position], data[position + 1]
        self._check_first_bytes(first, second)
        size, start = _read_length(data, position)
        if start < 0:
            return -1
        opcode = first & OPCODE
        if opcode <= BINARY:
            self._check_size(size)
        key = b""
        if self._mask_bit:
            key = data[start : start + 4]
            start += 4
            if len(key) < 4:
                return -1
        after = start + size
        if opcode >= CLOSE:
            # whole or not at all: it is short, and a message may be in progress
            if after <= len(data):
                self._take_control(opcode, bytes(apply_mask(data[start:after], key)) if key else data[start:after])
                return after
            return -1
        return self._take_data(first, data[start:after], size, key) + start

    def _check_first_bytes(self, first: int, second: int) -> None:
        """All that the first two bytes can be wrong about (section 5.2, 5.4, 5.5)."""
        if first & RESERVED:
            raise WebSocketError(closing.PROTOCOL_ERROR, "a reserved bit is set and no extension was negotiated")
        if second & MASKED != self._mask_bit:
            raise WebSocketError(
                closing.PROTOCOL_ERROR, f"expected a frame {'with' if self._mask_bit else 'without'} mask"
            )
        opcode = first & OPCODE
        if opcode in (CLOSE, PING, PONG):
            if not first & FIN:
                raise WebSocketError(closing.PROTOCOL_ERROR, "a control frame is fragmented")
            if second & ~MASKED > MAX_CONTROL_BYTES:
                raise WebSocketError(closing.PROTOCOL_ERROR, "a control frame is longer than 125 bytes")
        elif opcode > BINARY:
            raise WebSocketError(closing.PROTOCOL_ERROR, f"unknown opcode {opcode}")
        elif (opcode == CONTINUATION) != (self._opcode != CONTINUATION):
            expected = "a continuation" if self._opcode else "a new message"
            raise WebSocketError(closing.PROTOCOL_ERROR, f"expected {expected}, found opcode {opcode}")

    def _check_size(self, size: int) -> None:
        """The ceilings on a data frame, before its payload is looked at."""
        if size > self._limits.max_frame_bytes:
            found = f"expected a frame of at most {self._limits.max_frame_bytes} bytes, found {size}"
            raise WebSocketError(closing.MESSAGE_TOO_BIG, found)
        if size + len(self._collected) > self._limits.max_message_bytes:
            found = f"expected a message of at most {self._limits.max_message_bytes} bytes"
            raise WebSocketError(closing.MESSAGE_TOO_BIG, found)
        if self._fragments >= self._limits.max_fragments:
            found = f"expected a message of at most {self._limits.max_fragments} fragments"
            raise WebSocketError(closing.POLICY_VIOLATION, found)

    def _take_data(self, first: int, payload: bytes, size: int, key: bytes) -> int:
        """The number of payload bytes used: all that are here."""
        if first & FIN and len(payload) == size and not self._opcode:
            unmasked = apply_mask(payload, key) if key else payload
            self._deliver(str(unmasked, "utf-8") if first & OPCODE == TEXT else bytes(unmasked))
            return size
        if not self._opcode:
            self._opcode = first & OPCODE
            self._collected = bytearray()
            self._decoder = _new_utf8_decoder() if self._opcode == TEXT else None
        self._fragments += 1
        self._first, self._left, self._key = first, size, key
        return self._take_piece(payload, 0)

    def _take_piece(self, data: bytes, position: int) -> int:
        """The index after the bytes that belong to the frame being taken in pieces."""
        piece: bytes | bytearray = data[position : position + self._left]
        used = len(piece)
        if self._key:
            piece = apply_mask(piece, self._key)
            turn = used % 4
            self._key = self._key[turn:] + self._key[:turn]
        if self._decoder is not None:
            self._decoder.decode(piece)
        self._collected += piece
        self._left -= used
        if self._left == 0:
            self._left = -1
            if self._first & FIN:
                self._finish_message()
        return position + used

    def _finish_message(self) -> None:
        message: str | bytes
        if self._decoder is not None:
            self._decoder.decode(b"", True)  # a character cut in half is a fault only now
            message = str(self._collected, "utf-8")
        else:
            message = bytes(self._collected)
        self._opcode, self._fragments, self._collected, self._decoder = CONTINUATION, 0, _NOTHING, None
        self._deliver(message)

    def _deliver(self, message: str | bytes) -> None:
        if self.state == OPEN:
            self._on_message(message)

    def _take_control(self, opcode: int, payload: bytes) -> None:
        if opcode == CLOSE:
            code, reason = closing.parse_close(payload)
            # section 5.5.1: the answer echoes the code
            self.send(FIN | CLOSE, closing.encode_close(code, ""))
            self._end(code, reason)
            return
        self._budget -= 1
        if self._budget < 0:
            raise WebSocketError(closing.POLICY_VIOLATION, "too many pings and pongs")
        if opcode == PING:
            self.send(FIN | PONG, payload)
            self._events.on_ping(payload)
        else:
            self._events.on_pong(payload)

    def fail(self, error: WebSocketError) -> None:
        """Closes at once with the error's code, as for a fault of the peer; nothing further is read."""
        self.failure = error
        self.send(FIN | CLOSE, closing.encode_close(error.code, error.reason))
        self._end(error.code, error.reason)

    def _end(self, code: int, reason: str) -> None:
        if self.state == CLOSED:
            return
        self.state = CLOSED
        self._collected, self._decoder, self._left = _NOTHING, None, -1
        self._events.on_close(code, reason)


def _read_length(data: bytes, position: int) -> tuple[int, int]:
    """The payload length of the frame at `position` and the index after it, which is -1 if it is incomplete.

    Raises:
        WebSocketError: 1002 for a length not in its shortest form, or with its highest bit set (section 5.2).
    """
    size = data[position + 1] & ~MASKED
    if size < 126:
        return size, position + 2
    start = position + (4 if size == 126 else 10)
    if len(data) < start:
        return 0, -1
    shortest = 126 if size == 126 else 65536
    size = int.from_bytes(data[position + 2 : start], "big")
    if size < shortest or size >> 63:
        raise WebSocketError(closing.PROTOCOL_ERROR, "a frame length is not in its shortest form")
    return size, start
