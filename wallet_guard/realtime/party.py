"""One side of the conversation, whichever: our voice, what we took, the peers, the handlers.

Managers add connections.
"""

import logging
import secrets
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Any, Final, Protocol

from wallet_guard.realtime.ends import SIZE, RealtimeError
from wallet_guard.realtime.limits import RealtimeLimits
from wallet_guard.realtime.mailbox import Handler, Mailbox, Outlet
from wallet_guard.realtime.metrics import Metrics
from wallet_guard.realtime.outbox import Item, Outbox
from wallet_guard.realtime.speaker import Speaker
from wallet_guard.realtime.spool import Kept, Spool
from wallet_guard.realtime.verification import Verifier
from wallet_guard.signed.certificate import Certificate
from wallet_guard.signed.frames import MAX_FRAME_BYTES, Frame, Message, parse_frame, read_messages
from wallet_guard.signed.reception import Receiver, Voice, Voices, check_messages
from wallet_guard.signed.replay import TakenMessages
from wallet_guard.signed.schemes import ED25519, SR25519

_logger = logging.getLogger("wallet_guard.realtime")

RESERVED_TYPES: Final = frozenset({"welcome", "hello", "heartbeat", "heartbeat_ack", "ack", "error", "revoke"})
_HEAD_ROOM: Final = 600  # bytes of a frame that are not messages


class Peer:
    """One hotkey that we deal with. It outlives its connections; what it rarely needs is made when it is needed."""

    __slots__ = (
        "answer",
        "drained",
        "hotkey",
        "link",
        "mailbox",
        "max_frame_bytes",
        "outbox",
        "running",
        "taken",
        "voices",
    )

    def __init__(self, hotkey: str) -> None:
        self.hotkey = hotkey
        self.voices = Voices(hotkey)
        self.taken: TakenMessages | None = None
        self.running: set[str] | None = None  # reliable messages whose handlers are under way
        self.mailbox: Mailbox | None = None
        self.outbox: Outbox | None = None
        self.drained: Callable[[], None] | None = None  # called once when its handlers have caught up
        self.link: Connected | None = None  # the connection that is ready
        self.answer: Answer | None = None  # an HTTP request of this peer that is being answered
        self.max_frame_bytes = MAX_FRAME_BYTES  # what it takes; its welcome may say less

    @property
    def keeps(self) -> bool:
        """Whether something of ours waits for its acknowledgement."""
        return self.outbox is not None and self.outbox.unacknowledged > 0

    def catch_up(self) -> None:
        """Its handlers have nothing left to do."""
        drained, self.drained = self.drained, None
        if drained is not None:
            drained()


class Connected(Protocol):
    """A connection that is ready."""

    def flush_soon(self) -> None:
        """Sends what waits."""


class Answer(Outlet, Protocol):
    """An HTTP response in the making, which takes messages for the peer along."""

    def say(self, line: str) -> None:
        """Adds a message line."""


class Party:
    """See the module. `clock_ns` is Unix time; it must not be a test's that stands still where frames must be fresh."""

    def __init__(
        self,
        speaker: Speaker,
        netuid: int,
        limits: RealtimeLimits,
        *,
        clock_ns: Callable[[], int],
        spool: Spool | None = None,
        verify_threads: int = 0,
    ) -> None:
        self.speaker = speaker
        self.hotkey = speaker.hotkey
        self.netuid = netuid
        self.limits = limits
        self.clock_ns = clock_ns
        self.metrics = Metrics()
        self.receiver = Receiver(speaker.hotkey, start_ms=self.now_ms())
        self.verifier = Verifier(verify_threads, self.metrics.verify)
        self.handlers: dict[str, Handler] = {}
        self.peers: OrderedDict[str, Peer] = OrderedDict()
        self.spool = spool

    def now_ms(self) -> int:
        """Unix time."""
        return self.clock_ns() // 1_000_000

    def register(self, type_: str, handler: Handler) -> None:
        """This handler gets the messages of a type.

        Raises:
            ValueError: the type belongs to the protocol.
        """
        if type_ in RESERVED_TYPES:
            raise ValueError(f"expected an application's message type, found {type_!r}, which is the protocol's")
        self.handlers[type_] = handler

    # --- peers

    def peer(self, hotkey: str) -> Peer:
        """What we know of a hotkey; made if there is nothing."""
        peer = self.peers.get(hotkey)
        if peer is None:
            peer = self.peers[hotkey] = Peer(hotkey)
        return peer

    def adopt(self, peer: Peer) -> Peer:
        """The entry for a peer that has proved who it is; the one longest unheard goes if there are too many."""
        known = self.peers.get(peer.hotkey)
        if known is not None:
            self.peers.move_to_end(peer.hotkey)
            return known
        if len(self.peers) >= self.limits.max_peers:
            idle = next((other for other in self.peers.values() if other.link is None and not other.keeps), None)
            if idle is not None:
                self.forget(idle.hotkey)
        self.peers[peer.hotkey] = peer
        return peer

    def forget(self, hotkey: str) -> None:
        """Lets go of a peer, its queue and what it has under way."""
        peer = self.peers.pop(hotkey, None)
        if peer is not None and peer.mailbox is not None:
            peer.mailbox.cancel()

    def outbox(self, peer: Peer) -> Outbox:
        """The queue for a peer, with what a former life of ours has kept for it."""
        if peer.outbox is not None:
            return peer.outbox
        limits = self.limits
        record = self.spool.peer(peer.hotkey) if self.spool is not None else None
        stream = secrets.token_hex(8) if record is None else record.stream
        outbox = Outbox(stream, max_items=limits.max_queued, max_bytes=limits.max_queued_bytes)
        if record is not None:
            outbox.next_number = record.next_number
            for kept in record.kept.values():
                outbox.restore(*kept)
        peer.outbox = outbox
        return outbox

    def reconnected(self, peer: Peer) -> None:
        """Puts back what was on its way when the last connection, or our last life, ended."""
        if peer.outbox is not None or (self.spool is not None and peer.hotkey in self.spool.peers):
            self.outbox(peer).resend()

    def put(
        self, peer: Peer, type_: str, data: dict[str, Any], priority: int, *, reliable: bool, latest: bool = False
    ) -> Item:
        """Queues a message, and keeps it on disk first if there is a spool file and it is reliable.

        Raises:
            QueueFullError: no room. RealtimeError: larger than the peer takes. ValueError, TypeError: no JSON.
            OSError: it cannot be written down; it is not queued then.
        """
        outbox = self.outbox(peer)
        item = outbox.put(type_, data, priority, reliable=reliable, latest=latest)
        room = peer.max_frame_bytes - _HEAD_ROOM
        if len(item.line) > room or len(item.line.encode()) > room:
            outbox.withdraw(item)
            raise RealtimeError(SIZE, f"the message has {len(item.line)} characters, the peer takes {room} bytes")
        if reliable and self.spool is not None:
            try:
                self.spool.put(peer.hotkey, item.number, Kept(item.id, priority, item.line))
            except OSError:
                outbox.withdraw(item)
                raise
        return item

    def acknowledged(self, peer: Peer, ids: Iterable[str]) -> None:
        """The peer has these."""
        if peer.outbox is None:
            return
        done = peer.outbox.acknowledge(ids)
        if done and self.spool is not None:
            self.spool.acknowledge(peer.hotkey, done)

    # --- frames

    def check(self, text: str, peer: Peer, *, broadcasts: bool, new: bool) -> tuple[Frame, Voice]:
        """A frame of the peer and the key that must have signed it. `new`: nothing says yet how its hotkey speaks.

        Raises:
            FrameError: checks 1 to 6.
        """
        frame = parse_frame(text, self.limits.max_frame_bytes)
        voices = peer.voices
        if new and frame.speaker in (SR25519, ED25519) and not voices.speaks_itself:
            voices = Voices(peer.hotkey)
            voices.add_hotkey(frame.speaker)  # on trial: `take` keeps it, if the signature is right
        return frame, self.receiver.check(frame, voices, self.now_ms(), broadcasts=broadcasts)

    def take(self, frame: Frame, voice: Voice, peer: Peer) -> list[Message]:
        """The messages of a frame whose signature is right.

        Raises:
            FrameError: replayed or message.
        """
        self.receiver.take(frame, self.now_ms())
        messages = read_messages(frame)
        check_messages(messages, voice)
        if frame.speaker in (SR25519, ED25519) and not peer.voices.speaks_itself:
            peer.voices.add_hotkey(frame.speaker)
        self.metrics.verdicts["taken"] += 1
        return messages

    def add_certificate(self, text: str, peer: Peer) -> Certificate:
        """A certificate that the peer presents; its key may speak from now on.

        Raises:
            CertificateError: it does not hold.
        """
        return peer.voices.add_certificate(text, receiver=self.hotkey, netuid=self.netuid, now_ms=self.now_ms())

    def deliver(self, peer: Peer, message: Message, outlet: Outlet) -> None:
        """Hands a message to its handler, a reliable one once; `outlet` hears when it is done."""
        handler = self.handlers.get(message.type)
        self.metrics.received[message.type if handler is not None else "other"] += 1
        if message.ack and not self._take_once(peer, message, outlet):
            return
        if handler is None:
            outlet.done(message, "type")
            return
        if peer.mailbox is None:
            peer.mailbox = Mailbox(peer.hotkey, self.limits.handler_seconds, peer.catch_up)
        peer.mailbox.put(handler, message, outlet)

    def settled(self, peer: Peer, message: Message, failure: str) -> None:
        """The handler is through with a message."""
        if message.ack and peer.running is not None:
            peer.running.discard(message.id)
        if failure:
            self.metrics.handlers[message.type if message.type in self.handlers else "other"] += 1

    def _take_once(self, peer: Peer, message: Message, outlet: Outlet) -> bool:
        if peer.taken is None or peer.running is None:
            peer.taken, peer.running = TakenMessages(), set()
        if peer.taken.take(message.id):
            peer.running.add(message.id)
            return True
        self.metrics.duplicates += 1
        if message.id not in peer.running:
            outlet.done(message, "")  # its acknowledgement was lost
        return False

    async def close(self) -> None:
        """Lets go of threads, handlers and the spool file."""
        self.verifier.close()
        for hotkey in list(self.peers):
            self.forget(hotkey)
        if self.spool is not None:
            self.spool.close()
            self.spool = None


def error_data(code: str, text: str, re: str = "") -> dict[str, Any]:
    """The data of an `error` message."""
    return {"code": code, "message": text} | ({"re": re} if re else {})
