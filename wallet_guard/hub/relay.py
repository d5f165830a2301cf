"""What goes from miners to the application and back: as it was signed, checked on the way, held by nobody.

Nothing is kept here but connections. A frame that cannot be handed on is dropped and counted; what must not be lost is
kept by who has signed it until the other end has acknowledged it, so a restart of hub or application loses none of it.
"""

import asyncio
import logging
from contextlib import suppress
from typing import Any, Final

from wallet_guard.hub.links import ApplicationLink, PeerLink
from wallet_guard.hub.party import RelayParty
from wallet_guard.hub.posts import RelayOffice
from wallet_guard.net import Accept, Request, Response
from wallet_guard.realtime import ends
from wallet_guard.realtime.admission import Registered
from wallet_guard.realtime.attachment import (
    ANSWER,
    CLOSE,
    CONNECTED,
    DISCONNECTED,
    HOLD,
    REFUSE,
    RELEASE,
    AttachedLink,
    split_number,
)
from wallet_guard.realtime.ends import ENDS, End, RealtimeError
from wallet_guard.realtime.link import PREFIX
from wallet_guard.realtime.openings import ServerLink
from wallet_guard.realtime.party import Peer
from wallet_guard.realtime.posting import CERTIFICATE_FIELD
from wallet_guard.realtime.speaker import Speaker
from wallet_guard.realtime.validator import ValidatorWebSocketManager
from wallet_guard.signed.frames import (
    BROADCAST,
    MAX_FRAME_BYTES,
    MAX_HEADER_CHARS,
    Frame,
    FrameError,
    encode_frame,
    parse_frame,
)
from wallet_guard.signed.reception import MAX_AGE_MS, Receiver, is_signed
from wallet_guard.wire.websocket.frames import FIN, TEXT
from wallet_guard.wire.websocket.frames import encode_frame as encode_websocket_frame

log = logging.getLogger("wallet_guard.hub")

BEHIND_BYTES: Final = 1024 * 1024
"""Unread by the application; above it each miner that sends is read no further until it has caught up."""

WANTED: Final = "wanted"
BEHIND: Final = "behind"
"""Why a miner is read no further: the application wants no more of this one; or has too much of all."""

FORGET_MS: Final = 2 * MAX_AGE_MS
"""After which a frame is refused for its age alone."""

_END_OF_CLOSE: Final = {end.close: end for end in reversed(ENDS)}


class Relay(ValidatorWebSocketManager):
    """The hub's connections. `registered()` says who may connect; `allow` and `deny` as for any manager."""

    party: RelayParty
    party_type = RelayParty
    _office: RelayOffice

    def __init__(
        self,
        speaker: Speaker,
        *,
        netuid: int,
        registered: Registered,
        allow: tuple[str, ...] = (),
        deny: tuple[str, ...] = (),
        **options: Any,
    ) -> None:
        welcome = {speaker.hotkey, *allow}
        super().__init__(speaker, netuid=netuid, registered=registered, allow=welcome, deny=deny, **options)
        self._office = RelayOffice(self, self.party, self._may_post, self._attempts)
        self._application: ApplicationLink | None = None
        self._ways: dict[str, Receiver] = {}  # what the application has sent to each miner, and to all
        self._held: set[PeerLink] = set()  # read no further until the application has caught up
        self._catching_up: asyncio.Task[None] | None = None
        self.suspended = ""
        """Why nobody is served; "" while the hub may speak."""

    # --- life

    def suspend(self, why: str) -> None:
        """Ends every connection, and takes none until `resume`: the hub may not speak."""
        if self.suspended != why:
            log.warning(f"no sessions: {why}")
        self.suspended = why
        for link in list(self._links):
            link.end(ends.CLOSING)

    def resume(self, speaker: Speaker) -> None:
        """Speaks with this key from now on; who is connected is shown its certificate."""
        self.party.speaker = speaker
        if self.suspended:
            log.info("sessions again")
        self.suspended = ""
        for link in self._links:
            if link.ready:
                link.present(speaker.certificate)

    @property
    def is_due(self) -> bool:
        """Whether two thirds of the certificate's life are over."""
        speaker = self.party.speaker
        return self.party.now_ms() >= speaker.from_ms + (speaker.until_ms - speaker.from_ms) * 2 // 3

    def tidy(self) -> None:
        """What is looked after every few seconds: our own end, and what need not be remembered."""
        now_ms = self.party.now_ms()
        if now_ms >= self.party.speaker.until_ms and not self.suspended:
            self.suspend("the hub's certificate has ended")
        for to, way in list(self._ways.items()):
            way.forget(now_ms)
            if not len(way.windows):
                del self._ways[to]
        self.party.tidy(self.admission.admits)

    async def stop(self, deadline_seconds: float = 10.0) -> None:
        """As any manager; whoever waits for the application is told."""
        self._office.lose()
        tasks = [self._catching_up, *(link.waiter for link in self._links if isinstance(link, PeerLink))]
        await super().stop(deadline_seconds)
        for task in tasks:
            if task is not None:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task

    # --- state

    @property
    def has_application(self) -> bool:
        """Whether the application is attached."""
        return self._application is not None

    def check_health(self) -> dict[str, Any]:
        """As any manager, and whether the application is there."""
        found = super().check_health()
        status = "suspended" if self.suspended else found["status"]
        return found | {"status": status, "application": self.has_application}

    # --- for links

    def connected(self, link: ServerLink) -> None:
        """A miner or the application has proved who it is."""
        super().connected(link)
        if isinstance(link, ApplicationLink):
            self._application = link
            log.info("the application is attached")
            self.introduce(link.key)
        elif isinstance(link, PeerLink) and self._application is not None:
            self._introduce_to(link, self._application.key)

    def disconnected(self, link: ServerLink | AttachedLink, end: End) -> None:
        """A connection is gone."""
        current = link.peer.link is link
        super().disconnected(link, end)
        if link is self._application:
            self._application = None
            log.info(f"the application is away: {end.meaning}")
            self._office.lose()
            for peer_link in self._peer_links():
                peer_link.hold(WANTED, held=False)
                peer_link.hold(BEHIND, held=False)
        elif isinstance(link, PeerLink):
            self._held.discard(link)
            if current and link.knows:
                self.tell(f"{DISCONNECTED} {link.peer.hotkey} {end.close}")

    def introduce(self, key: str) -> None:
        """The application speaks with this key: every miner must see its certificate."""
        for link in self._peer_links():
            self._introduce_to(link, key)

    def introduced(self, link: PeerLink) -> None:
        """A miner can hear the application now."""
        if self._application is None or self._application.key not in link.knows:
            return
        self.tell(f"{CONNECTED} {link.peer.hotkey}")
        for certificate in self.party.certificates.get(link.peer.hotkey, {}).values():
            self.tell(PREFIX + certificate)

    def showed(self, link: PeerLink, key: str) -> None:
        """A miner has renewed its certificate."""
        self.tell(PREFIX + self.party.certificate(link.peer.hotkey, key))

    def tell(self, line: str) -> bool:
        """Tells the application; whether it is there."""
        link = self._application
        return link is not None and link.websocket is not None and link.websocket.send_text(line)

    # --- from miners

    def from_peer(self, link: PeerLink, frame: Frame) -> None:
        """Hands a frame on to the application."""
        application = self._application
        if application is None or application.websocket is None or application.key not in link.knows:
            self.party.metrics.verdicts["away"] += 1
            link.excuse()
            return
        self.party.metrics.received["relayed"] += 1
        self.tell(encode_frame(frame.signature, frame.signed).decode())
        if application.websocket.queued_bytes > BEHIND_BYTES:
            link.hold(BEHIND, held=True)
            self._held.add(link)
            if self._catching_up is None or self._catching_up.done():
                self._catching_up = asyncio.get_running_loop().create_task(self._catch_up(application))

    async def _catch_up(self, application: ApplicationLink) -> None:
        if application.websocket is not None:
            await application.websocket.drain()
        for link in self._held:
            link.hold(BEHIND, held=False)
        self._held.clear()

    # --- from the application

    def from_application(self, text: str) -> bool:
        """Hands a frame on to its miner, or to all; False if it is for the hub itself.

        Raises:
            FrameError: it is not the application's, not fresh, or was handed on before.
        """
        to = text[:MAX_HEADER_CHARS].partition('"to":"')[2][:64].partition('"')[0]
        if to == self.party.hotkey:
            return False
        if to != BROADCAST and not self.admission.admits(to):
            self.party.metrics.verdicts["undeliverable"] += 1
            return True
        frame = self.check_application(text)
        encoded = encode_websocket_frame(FIN | TEXT, text.encode())
        if frame.receiver == BROADCAST:
            self.party.metrics.sent["broadcast"] += 1
            type_ = frame.body[:64].partition('"type":"')[2].partition('"')[0]
            for each in self._peer_links():
                if frame.speaker in each.knows:
                    each.broadcast(type_, text.encode(), encoded)
            return True
        link = self._link_of(frame.receiver)
        if link is not None and frame.speaker in link.knows:
            self.party.metrics.sent["relayed"] += 1
            link.send(encoded)
        else:
            self.party.metrics.verdicts["undeliverable"] += 1
        return True

    def check_application(self, text: str) -> Frame:
        """A frame that the application has signed, taken once.

        Raises:
            FrameError: it is refused.
        """
        frame = parse_frame(text, MAX_FRAME_BYTES)
        assert self._application is not None
        now_ms = self.party.now_ms()
        way = self._ways.get(frame.receiver)
        if way is None:
            way = self._ways[frame.receiver] = Receiver(frame.receiver, start_ms=now_ms - FORGET_MS)
        voice = way.check(frame, self._application.peer.voices, now_ms, broadcasts=False)
        if not is_signed(frame, voice):
            raise FrameError("signature", "the signature is not the application's over this frame")
        way.take(frame, now_ms)
        self.party.metrics.verdicts["taken"] += 1
        return frame

    def take_line(self, verb: str, rest: str) -> None:
        """What the application wants of its peers' connections, and its answers to what came by HTTP.

        Raises:
            FrameError: a line that makes no sense.
        """
        if verb == ANSWER:
            number, text = split_number(rest, "\n")
            self._office.answered(number, self.check_application(text))
            return
        hotkey, _, code = rest.partition(" ")
        if verb == REFUSE:
            self._office.refused(split_number(hotkey, " ")[0], code)
            return
        if verb not in (HOLD, RELEASE, CLOSE):
            raise FrameError("shape", f"expected a line that an application says, found {verb[:20]!r}")
        link = self._link_of(hotkey)
        if link is None:
            return
        if verb == CLOSE:
            link.end(_END_OF_CLOSE.get(split_number(code, " ")[0], ends.AUTHORISATION))
        else:
            link.hold(WANTED, held=verb == HOLD)

    # ---

    def _peer_links(self) -> list[PeerLink]:
        return [link for link in self._links if isinstance(link, PeerLink) and link.ready]

    def _link_of(self, hotkey: str) -> PeerLink | None:
        peer = self.party.peers.get(hotkey)
        link = peer.link if peer is not None else None
        return link if isinstance(link, PeerLink) else None

    def _introduce_to(self, link: PeerLink, key: str) -> None:
        certificate = self.party.certificate(self.party.hotkey, key)
        if certificate:
            link.introduce(key, certificate)

    def _may_post(self, hotkey: str) -> bool:
        return hotkey != self.party.hotkey and self.admission.admits(hotkey)

    def _identify(self, request: Request) -> tuple[Peer, str]:
        peer, nonce = super()._identify(request)
        if peer.hotkey == self.party.hotkey and not request.headers.get(CERTIFICATE_FIELD):
            raise RealtimeError(ends.CERTIFICATE, "an application attaches with a session certificate of purpose node")
        return peer, nonce

    def _open(self, request: Request) -> Accept | Response:
        return self._refuse(ends.CLOSING, self.suspended) if self.suspended else super()._open(request)

    def _make_link(self, peer: Peer, nonce: str) -> ServerLink:
        kind = ApplicationLink if peer.hotkey == self.party.hotkey else PeerLink
        return kind(self, self.party, peer, nonce)

    def _look(self, link: ServerLink | AttachedLink, now: float, now_ms: int) -> None:
        super()._look(link, now, now_ms)
        if isinstance(link, PeerLink) and link.ready:
            link.pay()
