"""The application's side of a hub: miners are behind it, and each has a link here as if it were connected to us.

    application ◄── one WebSocket ──► hub ◄── WebSockets and HTTP ──► miners

What travels is what the miners and we have signed, byte for byte, and is verified at its end: a hub can hold back, and
no more. Frames and certificates name their speakers; beside them there are lines of a verb and its subject
(hardening/btws.md, section 11), which are believed as far as a hub may be believed, so each is bounded:

    connected KEY · disconnected KEY CODE     the hub says who is there
    hold KEY · release KEY                    either: send nothing more of (to) this peer for now
    close KEY CODE                            end this peer's connection, please
    post N CERTIFICATE LF FRAME               a frame that came by HTTP; `-` for no certificate
    answer N LF FRAME · refuse N CODE         what is to be answered to it
"""

import asyncio
import logging
import ssl
from contextlib import suppress
from time import monotonic
from typing import Final, Protocol

from wallet_guard.net import WebSocket, client_context, open_websocket, parse_url
from wallet_guard.net.limits import MessageLimits, WebSocketLimits
from wallet_guard.realtime import ends
from wallet_guard.realtime.admission import Admission
from wallet_guard.realtime.ends import End, RealtimeError
from wallet_guard.realtime.link import PREFIX, SUBPROTOCOL, Link, Wire
from wallet_guard.realtime.miner import backoff
from wallet_guard.realtime.openings import ClientLink
from wallet_guard.realtime.party import RESERVED_TYPES, Party, Peer
from wallet_guard.realtime.posting import Office
from wallet_guard.realtime.upkeep import link_limits
from wallet_guard.signed.certificate import CertificateError, parse_certificate
from wallet_guard.signed.frames import MAX_FRAME_BYTES, MAX_HEADER_CHARS, Frame, FrameError, Message
from wallet_guard.signed.reception import Voice
from wallet_guard.signed.schemes import AddressError, public_key_of
from wallet_guard.wire.errors import ProtocolError

_logger = logging.getLogger("wallet_guard.realtime")

CONNECTED: Final = "connected"
DISCONNECTED: Final = "disconnected"
HOLD: Final = "hold"
RELEASE: Final = "release"
CLOSE: Final = "close"
POST: Final = "post"
ANSWER: Final = "answer"
REFUSE: Final = "refuse"
NO_CERTIFICATE: Final = "-"

LINE_BYTES: Final = 4096  # of a line's own words, a certificate among them; on top of the frame that it carries
MAX_POSTS: Final = 256  # frames by HTTP that wait for their answers at once
_VERB_CHARS: Final = 16  # the longest is `disconnected`
_BASE_SECONDS: Final = 0.1  # a hub is near, and starts in a second
_MAX_SECONDS: Final = 5.0  # a miner's words are lost meanwhile, unless they are to be acknowledged
_STABLE_SECONDS: Final = 5.0  # an attachment that lasted so long was a success
_HELD_BYTES: Final = 1 << 40  # what counts as queued while the hub asks us to hold: more than any ceiling
_OVERFULL: Final = 4  # times the messages at which the hub is asked to hold: room for what was on its way
_PATIENT_ENDS: Final = frozenset({ends.REPLACED, ends.AUTHORISATION, ends.CERTIFICATE})


class Host(Protocol):
    """The manager that is attached."""

    party: Party
    admission: Admission
    heartbeat_interval: float

    def joined(self, link: "AttachedLink") -> None:
        """A miner is there."""

    def disconnected(self, link: "AttachedLink", end: End) -> None:
        """A miner is gone."""


def split_line(text: str) -> tuple[str, str] | None:
    """The verb and the rest of a line; None where it is something else: a frame, a certificate."""
    at = text.find(" ", 0, _VERB_CHARS)
    return None if at < 1 or text.startswith(PREFIX) else (text[:at], text[at + 1 :])


def split_number(rest: str, separator: str) -> tuple[int, str]:
    """The number that a line begins with, and what follows the separator.

    Raises:
        FrameError: no number.
    """
    digits, _, rest = rest.partition(separator)
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 15):
        raise FrameError("shape", f"expected a number, found {digits[:20]!r}")
    return int(digits), rest


class AttachedLink(Link):
    """A miner behind the hub."""

    __slots__ = ("_manager",)

    vouched = True

    def __init__(self, manager: Host, peer: Peer) -> None:
        super().__init__(manager.party, peer)
        self._manager = manager
        self.ready = True

    @property
    def is_new(self) -> bool:
        """Nothing proved how its hotkey speaks but the frames themselves."""
        return True

    def on_message(self, websocket: WebSocket | None, data: str | bytes) -> None:
        """A frame; dropped where the hub sends what we have asked it to hold."""
        mailbox = self.peer.mailbox
        if mailbox is not None and mailbox.waiting > _OVERFULL * self.party.limits.max_waiting:
            self.party.metrics.verdicts["flooded"] += 1
            return
        super().on_message(websocket, data)

    def opening(self, message: Message, frame: Frame) -> None:  # noqa: ARG002 - Link's
        """Its opening was the hub's to see."""
        raise AssertionError("an attached link is ready from the beginning")

    def lost(self, end: End) -> None:
        """Tells the manager."""
        self._manager.disconnected(self, end)

    def transmit(self, frame: bytes) -> None:
        """Sends a frame."""
        if self.websocket is not None:
            self.websocket.send_text(frame.decode())

    def present(self, certificate: str) -> None:
        """The hub presents it, once it has it."""

    def _receive(self, message: Message, voice: Voice) -> None:
        if message.type not in ("heartbeat", "heartbeat_ack"):  # which the hub has answered
            super()._receive(message, voice)


class HubLink(ClientLink):
    """The connection to the hub itself."""

    __slots__ = ("_attachment",)

    def __init__(self, attachment: "Attachment", party: Party, peer: Peer, nonce: str) -> None:
        super().__init__(attachment, party, peer, nonce)
        self._attachment = attachment

    def on_message(self, websocket: WebSocket | None, data: str | bytes) -> None:
        """What miners say goes to their links, what the hub says is heard here."""
        if self.ready and not self.ended and isinstance(data, str):
            try:
                if self._attachment.take(data):
                    return
            except FrameError as error:
                self.refuse(error)
                return
        super().on_message(websocket, data)

    def transmit_encoded(self, websocket: Wire, encoded: bytes) -> bool:
        """Sends a broadcast, which the hub encodes for the miners."""
        return websocket.send_text(encoded.decode())

    def _receive(self, message: Message, voice: Voice) -> None:
        if message.type not in RESERVED_TYPES or message.ack:
            raise FrameError("message", f"a hub has nothing to say of its own, found {message.type!r}")
        super()._receive(message, voice)


class _Share:
    """One miner's share of the connection to the hub: a `Wire` for its link."""

    __slots__ = ("_attachment", "_free", "_hotkey")

    def __init__(self, attachment: "Attachment", hotkey: str) -> None:
        self._attachment = attachment
        self._hotkey = hotkey
        self._free = asyncio.Event()
        self._free.set()

    def hold(self, held: bool) -> None:
        """Whether the miner's own connection is full."""
        (self._free.clear if held else self._free.set)()

    @property
    def is_open(self) -> bool:
        """Whether there is a hub."""
        return self._attachment.websocket is not None

    @property
    def queued_bytes(self) -> int:
        """What the hub has not taken yet, or endless while it asks us to hold."""
        websocket = self._attachment.websocket
        return _HELD_BYTES if not self._free.is_set() or websocket is None else websocket.queued_bytes

    def send_text(self, text: str) -> bool:
        """Sends a frame by the hub, which reads in it for whom it is."""
        return self._attachment.say(text)

    def send_encoded(self, frame: bytes) -> bool:
        """Sends a frame; the manager sends broadcasts once, to the hub."""
        return self._attachment.say(frame.decode())

    def ping(self, payload: bytes = b"") -> bool:  # noqa: ARG002 - Wire's
        """The hub asks for life."""
        return True

    def close(self, code: int = 1000, reason: str = "") -> None:  # noqa: ARG002 - the hub knows the reason by its code
        """Asks the hub to close the miner's connection."""
        self._attachment.say(f"{CLOSE} {self._hotkey} {code}")
        self._attachment.drop(self._hotkey, code)

    def abort(self) -> None:
        """The same, without a reason."""
        self.close()

    def pause_reading(self) -> None:
        """Asks the hub to read no further from this miner."""
        self._attachment.say(f"{HOLD} {self._hotkey}")

    def resume_reading(self) -> None:
        """Asks it to read on."""
        self._attachment.say(f"{RELEASE} {self._hotkey}")

    async def drain(self) -> None:
        """Waits until the miner and the hub have taken most of what is queued."""
        await self._free.wait()
        if self._attachment.websocket is not None:
            await self._attachment.websocket.drain()


class Attachment:
    """Keeps the application attached to one hub. The party's speaker must have a certificate that names no receiver."""

    def __init__(self, host: Host, office: Office, url: str, tls: ssl.SSLContext | None) -> None:
        self._host = host
        self._office = office
        self._party = host.party
        self._address = parse_url(url)
        self._tls = client_context() if tls is None and self._address.secure else tls
        self._peer = Peer(host.party.hotkey)
        self._links: dict[str, AttachedLink] = {}
        self._posts: set[asyncio.Task[None]] = set()
        self._ended: asyncio.Future[End] = asyncio.get_running_loop().create_future()
        self._keeper: asyncio.Task[None] | None = None
        self.problem: End | None = ends.UNREACHABLE
        """Why we are not attached; None while we are."""

    # --- life

    def start(self) -> None:
        """Begins to attach, and keeps at it."""
        self._keeper = asyncio.get_running_loop().create_task(self._keep_attached())

    async def stop(self) -> None:
        """Leaves the hub."""
        if self._keeper is not None:
            self._keeper.cancel()
            with suppress(asyncio.CancelledError):
                await self._keeper
        link = self.link
        if link is not None:
            link.end(ends.CLOSING)
        self._lose(ends.CLOSING)

    @property
    def link(self) -> HubLink | None:
        """The connection to the hub, if it is ready."""
        link = self._peer.link
        return link if isinstance(link, HubLink) and not link.ended else None

    @property
    def websocket(self) -> Wire | None:
        """The same, as far as the links behind it are concerned."""
        link = self.link
        return None if link is None or link.websocket is None or not link.websocket.is_open else link.websocket

    # --- for the manager and its links

    def say(self, text: str) -> bool:
        """Sends a line or a frame to the hub."""
        websocket = self.websocket
        return websocket is not None and websocket.send_text(text)

    def broadcast(self, type_: str, frame: bytes) -> int:
        """Sends a broadcast to the hub, once; to how many miners it goes."""
        link = self.link
        return len(self._links) if link is not None and link.broadcast(type_, frame, frame) else 0

    def drop(self, hotkey: str, code: int) -> None:
        """A miner is gone, or as good as gone."""
        link = self._links.pop(hotkey, None)
        if link is not None:
            link.on_close(None, code, "")

    # --- for the link to the hub (openings.Guest)

    def disconnected(self, link: ClientLink, end: End) -> None:
        """The hub is gone."""
        if self._peer.link is link:
            self._peer.link = None
        if not self._ended.done():
            self._ended.set_result(end)

    def acknowledged(self, ids: list[str]) -> None:
        """A hub has nothing to acknowledge."""

    def take(self, text: str) -> bool:
        """Takes what is not the hub's own: a line, a miner's certificate or frame. False for the hub's own words.

        Raises:
            FrameError: a line that makes no sense.
        """
        line = split_line(text)
        if line is not None:
            self._take_line(*line)
            return True
        if text.startswith(PREFIX):
            return self._take_certificate(text[len(PREFIX) :])
        sender = text[:MAX_HEADER_CHARS].partition('"from":"')[2][:64].partition('"')[0]
        if sender == self._party.hotkey:
            return False
        link = self._links.get(sender)
        if link is None:
            raise FrameError("sender", "expected frames of peers that are connected")
        link.on_message(None, text)
        return True

    # ---

    def _take_line(self, verb: str, rest: str) -> None:
        if verb == POST:
            self._take_post(rest)
            return
        hotkey, _, code = rest.partition(" ")
        if verb == CONNECTED:
            self._join(hotkey)
        elif verb == DISCONNECTED:
            self.drop(hotkey, split_number(code, " ")[0])
        elif verb in (HOLD, RELEASE):
            link = self._links.get(hotkey)
            if link is not None and isinstance(link.websocket, _Share):
                link.websocket.hold(verb == HOLD)
        else:
            raise FrameError("shape", f"expected a line that a hub says, found {verb[:20]!r}")

    def _join(self, hotkey: str) -> None:
        try:
            public_key_of(hotkey)
        except AddressError as error:
            raise FrameError("shape", str(error)) from None
        if hotkey == self._party.hotkey or len(self._links) >= self._party.limits.max_peers:
            raise FrameError("message", "expected no more peers than a subnet has, and not ourselves")
        if not self._host.admission.admits(hotkey):
            self.say(f"{CLOSE} {hotkey} {ends.AUTHORISATION.close}")
            return
        self.drop(hotkey, ends.REPLACED.close)
        link = AttachedLink(self._host, self._party.adopt(Peer(hotkey)))
        link.websocket = _Share(self, hotkey)
        self._links[hotkey] = link
        self._host.joined(link)

    def _take_certificate(self, text: str) -> bool:
        try:
            claimed = parse_certificate(text).certificate
            if claimed.speaker == self._party.hotkey:
                return False
            link = self._links.get(claimed.speaker)
            if link is None:
                raise FrameError("sender", "expected certificates of peers that are connected")
            self._party.add_certificate(text, link.peer)
        except CertificateError as error:
            self._party.metrics.verdicts[f"certificate {error.code}"] += 1
            _logger.info("the hub shows a certificate that does not hold: %s", error)
        return True

    def _take_post(self, rest: str) -> None:
        number, rest = split_number(rest, " ")
        certificate, _, text = rest.partition("\n")
        if len(self._posts) >= MAX_POSTS:
            self.say(f"{REFUSE} {number} {ends.CONNECTIONS.code}")
            return
        certificate = "" if certificate == NO_CERTIFICATE else certificate
        task = asyncio.get_running_loop().create_task(self._answer(number, certificate, text))
        self._posts.add(task)
        task.add_done_callback(self._posts.discard)

    async def _answer(self, number: int, certificate: str, text: str) -> None:
        try:
            response = await self._office.answer(*self._office.read(text, certificate))
        except FrameError as error:
            self._party.metrics.verdicts[error.code] += 1
            self.say(f"{REFUSE} {number} {ends.OF_FRAME.get(error.code, ends.FORMAT).code}")
        except CertificateError as error:
            self._party.metrics.verdicts[f"certificate {error.code}"] += 1
            self.say(f"{REFUSE} {number} {ends.CERTIFICATE.code}")
        except RealtimeError as error:
            self._party.metrics.ends[error.end.code] += 1
            self.say(f"{REFUSE} {number} {error.end.code}")
        else:
            self.say(f"{ANSWER} {number}\n{response.body.decode()}")

    def _lose(self, end: End) -> None:
        self.problem = end
        for task in self._posts:
            task.cancel()
        for hotkey in list(self._links):
            self.drop(hotkey, end.close)

    async def _keep_attached(self) -> None:
        """One connection after the other, for ever."""
        failures = 0
        while True:
            began = monotonic()
            self._ended = asyncio.get_running_loop().create_future()
            try:
                await self._connect()
                self.problem = None
                end = await self._ended
            except (OSError, RealtimeError, ProtocolError, ValueError) as error:
                end = ends.end_of_attempt(error)
                _logger.info("the hub at %s: %s; %s", self._address, end.meaning, end.advice)
            self._lose(end)
            failures = 0 if monotonic() - began > _STABLE_SECONDS else failures + 1
            self._party.metrics.reconnects += 1
            await asyncio.sleep(backoff(failures, _BASE_SECONDS, _MAX_SECONDS, patient=end in _PATIENT_ENDS))

    async def _connect(self) -> None:
        party = self._party
        fields, nonce = party.speaker.sign_opening(self._address.target, party.hotkey, party.clock_ns())
        link = HubLink(self, party, self._peer, nonce)
        websocket = await open_websocket(
            self._address,
            link,
            tls=self._tls if self._address.secure else None,
            subprotocols=(SUBPROTOCOL,),
            headers=fields,
            limits=hub_limits(link_limits(party.limits, self._host.heartbeat_interval)),
        )
        try:
            await link.opened(party.limits.hello_seconds)
        except BaseException:
            websocket.abort()
            raise


def hub_limits(limits: WebSocketLimits) -> WebSocketLimits:
    """The same with room for what travels between hub and application: the largest frame, and a line around it."""
    room = MAX_FRAME_BYTES + LINE_BYTES
    return limits._replace(
        messages=MessageLimits(max_message_bytes=room, max_frame_bytes=room), max_queued_bytes=64 * MAX_FRAME_BYTES
    )
