"""The two ends of an opening: each proves that it holds its key now (hardening/btws.md, section 6).

client                                    server
── GET /ws, who I am, nonce ──────────►   may connect? (`ValidatorWebSocketManager`)
◄── welcome: nonce, challenge ─────────   signed: it lives, and it is the one I called
── hello: challenge ──────────────────►   signed: it lives; only now it is connected
"""

import asyncio
import hmac
import secrets
from time import monotonic
from typing import Final, Protocol

from wallet_guard.net import WebSocket
from wallet_guard.realtime import ends
from wallet_guard.realtime.ends import End, RealtimeError
from wallet_guard.realtime.link import Link
from wallet_guard.realtime.party import Party, Peer
from wallet_guard.signed.certificate import Certificate, Purpose
from wallet_guard.signed.frames import Frame, FrameError, Message, encode_message
from wallet_guard.wire.websocket.frames import FIN, TEXT, encode_frame

_MIN_FRAME_BYTES: Final = 4096  # a validator that takes less is of no use


class Host(Protocol):
    """What a `ServerLink` tells its manager."""

    heartbeat_interval: float

    def connected(self, link: "ServerLink") -> None:
        """A miner has proved who it is."""

    def disconnected(self, link: "ServerLink", end: End) -> None:
        """A connection is gone."""


class Guest(Protocol):
    """What a `ClientLink` tells its manager."""

    def disconnected(self, link: "ClientLink", end: End) -> None:
        """A connection is gone."""

    def acknowledged(self, ids: list[str]) -> None:
        """The validator has taken these messages."""


class ServerLink(Link):
    """A miner's connection: says welcome, waits for the hello that repeats its challenge."""

    __slots__ = ("_challenge", "_manager", "_nonce", "address")

    def __init__(self, manager: Host, party: Party, peer: Peer, nonce: str) -> None:
        super().__init__(party, peer)
        self._manager = manager
        self._nonce = nonce
        self.address = ""
        self._challenge = secrets.token_hex(32)

    def on_open(self, websocket: WebSocket) -> None:
        """Says who we are, in a frame that only now can have been signed."""
        super().on_open(websocket)
        websocket.request = None  # its header fields are half of what an idle peer would cost
        party = self.party
        if party.speaker.certificate:
            self.present(party.speaker.certificate)
        welcome = {
            "challenge": self._challenge,
            "nonce": self._nonce,
            "broadcast": party.speaker.last_broadcast(),
            "max_frame_bytes": party.limits.max_frame_bytes,
            "max_messages": party.limits.max_messages,
            "heartbeat_seconds": self._manager.heartbeat_interval,
        }
        line = encode_message("welcome", "", welcome)
        self.transmit(party.speaker.frame(self.peer.hotkey, [line], party.clock_ns()))

    def opening(self, message: Message, frame: Frame) -> None:  # noqa: ARG002 - Link's
        """The hello."""
        challenge = message.data.get("challenge")
        if message.type != "hello" or not isinstance(challenge, str):
            raise FrameError("message", f"expected hello, found {message.type!r}")
        if not hmac.compare_digest(challenge.encode(), self._challenge.encode()):
            raise FrameError("signature", "hello: expected this connection's challenge")
        self.ready = True
        self._nonce = self._challenge = ""
        self._manager.connected(self)

    def lost(self, end: End) -> None:
        """Tells the manager."""
        self._manager.disconnected(self, end)

    def transmit(self, frame: bytes) -> None:
        """Sends a frame."""
        if self.websocket is not None:
            self.websocket.send_encoded(encode_frame(FIN | TEXT, frame))


class ClientLink(Link):
    """A connection to a validator: expects the welcome that repeats our nonce, says hello."""

    __slots__ = ("_link_nonce", "_manager", "_opened", "asked")

    hears_broadcasts = True

    def __init__(self, manager: Guest, party: Party, peer: Peer, nonce: str) -> None:
        super().__init__(party, peer)
        self._manager = manager
        self._link_nonce = nonce
        self._opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.asked: tuple[str, float] | None = None  # the heartbeat that was not answered yet

    @property
    def is_new(self) -> bool:
        """Until the welcome nothing says how the validator's hotkey speaks."""
        return not self.ready

    async def opened(self, seconds: float) -> None:
        """Waits for the welcome.

        Raises:
            RealtimeError: it did not come, or was none.
        """
        try:
            async with asyncio.timeout(seconds):
                await self._opened
        except TimeoutError:
            raise RealtimeError(ends.TIMEOUT, "no welcome") from None

    def opening(self, message: Message, frame: Frame) -> None:
        """The welcome."""
        data = message.data
        if message.type != "welcome" or frame.receiver != self.party.hotkey:
            raise FrameError("message", f"expected welcome, found {message.type!r}")
        if data.get("nonce") != self._link_nonce:
            raise FrameError("signature", "welcome: expected this connection's nonce")
        challenge = data.get("challenge")
        if not isinstance(challenge, str) or not 16 <= len(challenge) <= 128:
            raise FrameError("message", "welcome: expected a challenge")
        self.peer.max_frame_bytes = max(_MIN_FRAME_BYTES, _number(data.get("max_frame_bytes"), 64 * 1024))
        floor = _number(data.get("broadcast"), 0)
        if floor:
            self.party.receiver.raise_floor(self.peer.voices, frame.speaker, floor, self.party.now_ms())
        party = self.party
        line = encode_message("hello", "", {"challenge": challenge})
        self.transmit(party.speaker.frame(self.peer.hotkey, [line], party.clock_ns()))
        self.ready = True
        self.peer.link = self
        party.reconnected(self.peer)
        self.flush_soon()
        if not self._opened.done():
            self._opened.set_result(None)

    def lost(self, end: End) -> None:
        """Tells whoever waits."""
        if not self._opened.done():
            self._opened.set_exception(RealtimeError(end))
            self._opened.exception()  # it may be that nobody asks any more
        self._manager.disconnected(self, end)

    def transmit(self, frame: bytes) -> None:
        """Sends a frame."""
        if self.websocket is not None:
            self.websocket.send_text(frame.decode())

    def certified(self, certificate: Certificate) -> None:
        """Sends again what was not acknowledged if another key of the application speaks: it may have begun anew."""
        if certificate.purpose is Purpose.NODE:
            self.party.reconnected(self.peer)
            self.flush_soon()

    def heartbeat(self) -> None:
        """Says that we live, and measures the way there and back."""
        self.asked = (secrets.token_hex(8), monotonic())
        self.say("heartbeat", {}, self.asked[0])

    def on_heartbeat_ack(self, re: object) -> None:
        """Takes the time."""
        if self.asked is not None and re == self.asked[0]:
            self.party.metrics.round_trip.observe(monotonic() - self.asked[1])
            self.asked = None

    def on_ack(self, ids: list[str]) -> None:
        """Tells who waits for them."""
        self._manager.acknowledged(ids)


def _number(value: object, default: int) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**53 else default
