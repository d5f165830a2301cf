"""The two kinds of connection that a hub has: a miner's, and the application's.

A miner's is a validator's connection to it (`realtime.openings.ServerLink`), except that what is said to the
application goes there as it came. The application's is one as well; its peer has the hub's own hotkey.
"""

import asyncio
from time import monotonic
from typing import Final, Protocol

from wallet_guard.net import WebSocket
from wallet_guard.realtime.attachment import HOLD, RELEASE, hub_limits, split_line
from wallet_guard.realtime.link import PREFIX
from wallet_guard.realtime.openings import Host, ServerLink
from wallet_guard.realtime.party import Party, Peer, error_data
from wallet_guard.realtime.upkeep import link_limits
from wallet_guard.signed.certificate import Certificate
from wallet_guard.signed.frames import Frame, FrameError, Message
from wallet_guard.signed.reception import Voice

FULL_BYTES: Final = 256 * 1024
"""Unread by a peer; above it the other side is asked to hold. Where the transport calls itself full."""

DROP_BYTES: Final = 2 * 1024 * 1024
"""Unread by a miner; above it frames for it are dropped: what was on its way when the application was asked to hold.

Half of what ends a connection. Who wants a message to arrive keeps it until it is acknowledged, and sends it again.
"""

CERTIFICATES: Final = 3.0
"""That may be shown to a miner at once, beside the one in its welcome: it takes four (hardening/btws.md, section 6)."""

CERTIFICATE_SECONDS: Final = 11.0
"""For one more; the miner counts ten."""

KNOWN_KEYS: Final = 8
"""Keys of the application that a miner remembers."""

_OWN: Final = frozenset({"heartbeat", "heartbeat_ack", "welcome", "hello"})
"""What a miner says to the hub itself."""


class Relays(Host, Protocol):
    """What the links tell the relay."""

    def from_peer(self, link: "PeerLink", frame: Frame) -> None:
        """A frame for the application, verified."""

    def from_application(self, text: str) -> bool:
        """A frame of the application; False if it is for the hub itself."""

    def take_line(self, verb: str, rest: str) -> None:
        """A line of the application."""

    def introduced(self, link: "PeerLink") -> None:
        """A miner was shown the application's certificate."""

    def showed(self, link: "PeerLink", key: str) -> None:
        """A miner has shown another certificate."""

    def introduce(self, key: str) -> None:
        """The application speaks with this key from now on."""

    def tell(self, line: str) -> bool:
        """Tells the application."""


class PeerLink(ServerLink):
    """A miner's connection."""

    __slots__ = ("_full", "_held_back", "_owed", "_paid_at", "_relay", "_relays", "_shown", "knows", "waiter")

    def __init__(self, relay: Relays, party: Party, peer: Peer, nonce: str) -> None:
        super().__init__(relay, party, peer, nonce)
        self._relay = relay
        self._relays = False  # the frame at hand is for the application
        self._owed: dict[str, str] = {}  # certificates to show, by key; the last of each
        self._shown = CERTIFICATES
        self._paid_at = self.began
        self._full = False
        self._held_back: set[str] = set()  # why it is read no further, on the application's side
        self.knows: list[str] = []  # keys of the application
        self.waiter: asyncio.Task[None] | None = None

    # --- in

    def judged(self, frame: Frame, voice: Voice, *, genuine: bool) -> None:
        """Hands on what is for the application, once it was verified and taken."""
        super().judged(frame, voice, genuine=genuine)
        if self._relays:
            self._relays = False
            if not self.ended:
                self._relay.from_peer(self, frame)

    def _receive(self, message: Message, voice: Voice) -> None:
        if message.type in _OWN:
            super()._receive(message, voice)
            return
        if message.type == "revoke":
            super()._receive(message, voice)
        self._relays = True

    def certified(self, certificate: Certificate) -> None:
        """The application will need it."""
        self._relay.showed(self, certificate.key.hex())

    def excuse(self) -> None:
        """Says, at most once a second, that the application is away."""
        now = monotonic()
        if now - self._told_at > 1.0:
            self._told_at = now
            self.say("error", error_data("away", "the application is away; what waits for its ack goes again"))

    # --- flow

    def hold(self, why: str, *, held: bool) -> None:
        """Reads no further for this reason, or not for this reason any more."""
        (self._held_back.add if held else self._held_back.discard)(why)
        if self.websocket is None or self.ended:
            return
        if self._held_back:
            self.websocket.pause_reading()
        elif not self._held:
            self.heard = monotonic()
            self.websocket.resume_reading()

    @property
    def is_held(self) -> bool:
        """Whether it is we who do not read."""
        return self._held or bool(self._held_back)

    def _release(self) -> None:
        super()._release()
        if self._held_back and self.websocket is not None and not self.ended:
            self.websocket.pause_reading()

    def send(self, encoded: bytes) -> None:
        """Sends a frame of the application; asks it to hold where the miner does not read."""
        websocket = self.websocket
        if websocket is None or self.ended:
            return
        if websocket.queued_bytes > DROP_BYTES:
            self.party.metrics.verdicts["slow"] += 1
            return
        self.spoke = monotonic()
        websocket.send_encoded(encoded)
        if websocket.queued_bytes > FULL_BYTES and not self._full:
            self._full = self._relay.tell(f"{HOLD} {self.peer.hotkey}")
            self.waiter = asyncio.get_running_loop().create_task(self._until_read(websocket))

    async def _until_read(self, websocket: "Drained") -> None:
        await websocket.drain()
        self._full = False
        if not self.ended:
            self._relay.tell(f"{RELEASE} {self.peer.hotkey}")

    # --- certificates

    def present(self, certificate: str) -> None:
        """Shows our own certificate: in the welcome at once, a renewed one as soon as it may be."""
        if self.ready:
            self._owed[""] = certificate
            self.pay()
        else:
            super().present(certificate)

    def introduce(self, key: str, certificate: str) -> None:
        """Shows the application's certificate, as soon as it may be; `Relays.introduced` follows."""
        if key in self.knows:
            self._relay.introduced(self)
            # Shown again, it says that the application is back: what was not acknowledged comes at once.
            self._owed.setdefault(key, certificate)
            self.pay()
            return
        self._owed = {name: text for name, text in self._owed.items() if not name} | {key: certificate}
        self.pay()

    def pay(self) -> None:
        """Shows what is owed, as many as the miner takes."""
        now = monotonic()
        self._shown = min(CERTIFICATES, self._shown + (now - self._paid_at) / CERTIFICATE_SECONDS)
        self._paid_at = now
        while self._owed and self._shown >= 1.0 and not self.ended:
            self._shown -= 1.0
            key = next(iter(self._owed))
            super().present(self._owed.pop(key))
            if key and key not in self.knows:
                self.knows = [*self.knows[1 - KNOWN_KEYS :], key]
                self._relay.introduced(self)


class ApplicationLink(ServerLink):
    """The application's connection."""

    __slots__ = ("_relay", "key")

    def __init__(self, relay: Relays, party: Party, peer: Peer, nonce: str) -> None:
        super().__init__(relay, party, peer, nonce)
        self._relay = relay
        self.key = ""  # with which it speaks

    def on_message(self, websocket: WebSocket | None, data: str | bytes) -> None:
        """Lines and frames for miners are the relay's; the rest is for the hub itself."""
        if self.ready and not self.ended and isinstance(data, str):
            try:
                line = split_line(data)
                if line is not None:
                    self._relay.take_line(*line)
                    return
                if not data.startswith(PREFIX) and self._relay.from_application(data):
                    self.heard = monotonic()
                    return
            except FrameError as error:
                self.refuse(error)
                return
        super().on_message(websocket, data)

    def opening(self, message: Message, frame: Frame) -> None:
        """The hello: from now on it may send what is larger than a miner may."""
        self.key = frame.speaker
        if isinstance(self.websocket, WebSocket):
            self.websocket.allow(hub_limits(link_limits(self.party.limits, self._relay.heartbeat_interval)))
        super().opening(message, frame)

    def certified(self, certificate: Certificate) -> None:
        """It speaks with another key."""
        self.key = certificate.key.hex()
        self._relay.introduce(self.key)

    def _receive(self, message: Message, voice: Voice) -> None:
        if message.type not in _OWN:
            raise FrameError("message", f"a hub takes nothing for itself, found {message.type!r}")
        super()._receive(message, voice)


class Drained(Protocol):
    """What can be waited for."""

    async def drain(self) -> None:
        """Waits until most was read."""
