"""The signer's loop: one thread, no asyncio, one question after the other.

It waits with ``selectors`` on its listening sockets and connections, answers each whole packet as it comes, and tells
gateways and chain processes what changed. Order of arrival is order of decision, but an operator's questions come
first. Writes never block it: what a peer does not take is held up to a ceiling, then the peer is cut off.

What arrived together is written together: the questions of one round share one sync of the journal, and no answer
leaves before it (``Journal.together``). A question that is refused undoes nothing of its neighbours; where the sync
fails, none of them happened, and each is told so.
"""

import contextlib
import logging
import selectors
import socket
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from wallet_guard.host.process import return_memory
from wallet_guard.ipc.packets import (
    MAX_ASKER_PACKET_BYTES,
    MAX_PACKET_BYTES,
    PacketError,
    PacketReader,
    encode_packet,
)
from wallet_guard.ipc.peer import peer_of
from wallet_guard.ipc.records import to_json
from wallet_guard.signer import explain, follow
from wallet_guard.signer.desk import MAX_DENIALS_A_MINUTE, Desk
from wallet_guard.signer.journal import Intent, JournalError
from wallet_guard.signer.monitor import NonsenseError, answer, stands_alone, unwritten

log = logging.getLogger(__name__)

TICK_SECONDS = 0.5
"""How often the clock is looked at while intents are open."""

IDLE_SECONDS = 5.0
"""How often otherwise: the watchdog wants a sign of life."""

MAX_CONNECTIONS = 16
"""Per socket: one gateway, one chain process, one operator, and their successors during a restart."""

MAX_UNSENT_BYTES = 8 * 1024 * 1024
"""What a peer may leave unread before it is cut off."""

MAX_TOGETHER_SECONDS = 0.01
"""How long questions are answered before what they wrote is synced.

So late, and one sync, may a signature leave that was made before a lock.
"""

MAX_TOGETHER_BYTES = 1024 * 1024
"""Answers held until that sync."""

STRANGERS_SECONDS = 60.0

MEMORY_SECONDS = 10.0
"""How often what a burst of questions took is given back."""

_RECEIVE_BYTES = 1 << 18

_WAKE = object()


class _Connection:
    """One peer: what it sent so far, what it has not taken yet."""

    def __init__(self, peer: socket.socket, name: str) -> None:
        self.socket = peer
        self.name = name
        # Only the chain process has something big to say: runtime metadata.
        self.reader = PacketReader(MAX_PACKET_BYTES if name == "chain" else MAX_ASKER_PACKET_BYTES)
        self.unsent = bytearray()
        self.events = selectors.EVENT_READ
        """What is waited for."""
        self.nonsense = ""
        """What it said that ends the connection, once all before it is answered."""


class _Held(NamedTuple):
    """A packet that leaves once what it says is on disk; ``number`` is that of the question, None of an event."""

    connection: _Connection
    packet: bytes
    number: int | None


class Server:
    """The loop over the signer's sockets; ``listeners`` by name: gateway, chain, admin.

    ``users`` gives the uids that may connect to each; root may always. ``alive()`` is called once a round, for the
    watchdog.
    """

    def __init__(
        self,
        desk: Desk,
        listeners: dict[str, socket.socket],
        users: dict[str, frozenset[int]],
        alive: Callable[[], None] = lambda: None,
    ) -> None:
        self._desk = desk
        self._users = users
        self._alive = alive
        self._selector = selectors.DefaultSelector()
        self._connections: set[_Connection] = set()
        desk.peers = lambda: {
            name: sum(connection.name == name for connection in self._connections) for name in listeners
        }
        self._asked: deque[tuple[_Connection, dict[str, Any]]] = deque()
        self._held: list[_Held] | None = None
        """Packets of the group at hand; None between groups."""
        self._held_bytes = 0
        self._has_work = False
        """Chain processes shall be told at the end of the group, once."""
        self._stopping = False
        self._tick_due = self._memory_due = 0.0
        self._counted_due = time.monotonic() + STRANGERS_SECONDS
        desk.on_change = self._tell_change
        desk.on_work = self._tell_work
        for name, listener in listeners.items():
            listener.setblocking(False)
            self._selector.register(listener, selectors.EVENT_READ, name)

    def stop(self) -> None:
        """Ends ``run`` after the round at hand; safe in a signal handler."""
        self._stopping = True

    def watch(self, woken: socket.socket) -> None:
        """Ends the wait whenever a byte comes here; a signal handler writes one (signal.set_wakeup_fd)."""
        woken.setblocking(False)
        self._selector.register(woken, selectors.EVENT_READ, _WAKE)

    def run(self) -> None:
        """Serves until ``stop``."""
        while not self._stopping:
            busy = self._desk.journal.count_open() > 0 or bool(self._desk.waitingroom.open)
            for key, events in self._selector.select(TICK_SECONDS if busy else IDLE_SECONDS):
                if key.data is _WAKE:
                    key.fileobj.recv(64)  # type: ignore[union-attr]
                elif isinstance(key.data, str):
                    self._accept(key.fileobj, key.data)
                else:
                    self._serve(key.data, events)
            self._answer_all()
            self._tick()
            self._alive()
        for connection in list(self._connections):
            self._drop(connection, "")

    def _tick(self) -> None:
        try:
            self._desk.lockdown.settle(self._desk.now_ms())
            self._desk.policies.reload(self._desk.journal, self._desk.now_ms())
        except JournalError as error:
            log.critical(str(error))
        if time.monotonic() >= self._memory_due:
            self._memory_due = time.monotonic() + MEMORY_SECONDS
            return_memory()
        if time.monotonic() < self._tick_due:
            return
        self._tick_due = time.monotonic() + TICK_SECONDS
        disk = self._desk.journal.disk
        if disk.is_short and disk.hold():
            log.warning("there is room on the disk again")
            self._tell_work()
        try:
            if follow.tick(self._desk):
                self._tell_work()
            self._desk.retention.step(self._desk.now_ms())
            explain.tick(self._desk)
            self._record_counted()
        except JournalError as error:
            # Everything that would sign refuses by itself from now on; the operator sees it in health and log.
            log.critical(str(error))

    def _record_counted(self) -> None:
        """What is not written one by one: once a minute."""
        desk = self._desk
        if time.monotonic() < self._counted_due or not (desk.strangers or desk.denials):
            return
        many = {client: count for client, count in desk.denials.items() if count > MAX_DENIALS_A_MINUTE}
        if desk.strangers or many:
            with desk.journal.transaction() as writer:
                if desk.strangers:
                    writer.record(desk.now_ms(), "strangers", "", refused=desk.strangers)
                for client, count in many.items():
                    writer.record(desk.now_ms(), "denied_more", client, refused=count - MAX_DENIALS_A_MINUTE)
        desk.strangers = 0
        desk.denials.clear()
        self._counted_due = time.monotonic() + STRANGERS_SECONDS

    def _accept(self, listener: Any, name: str) -> None:
        try:
            peer, _ = listener.accept()
        except OSError:
            return
        uid = peer_of(peer).uid
        crowd = sum(connection.name == name for connection in self._connections)
        if uid not in self._users[name] or crowd >= MAX_CONNECTIONS:
            log.warning(f"refused a connection to the {name} socket from uid {uid}, {crowd} are open")
            peer.close()
            return
        peer.setblocking(False)
        connection = _Connection(peer, name)
        self._connections.add(connection)
        self._selector.register(peer, selectors.EVENT_READ, connection)

    def _serve(self, connection: _Connection, events: int) -> None:
        if connection not in self._connections:
            return
        try:
            if events & selectors.EVENT_WRITE:
                self._flush(connection)
            if events & selectors.EVENT_READ:
                data = connection.socket.recv(_RECEIVE_BYTES)
                if not data:
                    self._drop(connection, "")
                    return
                asked = [(connection, message) for message in connection.reader.feed(data)]
                if connection.name == "admin":
                    self._asked.extendleft(reversed(asked))
                else:
                    self._asked.extend(asked)
        except BlockingIOError:
            return
        except PacketError as error:
            self._drop(connection, f"it spoke nonsense: {error}")
        except OSError as error:
            self._drop(connection, f"it broke: {error}")

    def _answer_all(self) -> None:
        """Everything that was asked in this round, in its order."""
        while self._asked:
            connection, message = self._asked[0]
            if stands_alone(connection.name, message):
                self._asked.popleft()
                self._answer(connection, message)
                self._end_nonsense([connection])
            else:
                self._answer_together()
            self._hear_operator()

    def _hear_operator(self) -> None:
        """What an operator said meanwhile: who locks does not wait until all that came before is answered."""
        for key, events in self._selector.select(0):
            if key.data == "admin":
                self._accept(key.fileobj, key.data)
            elif isinstance(key.data, _Connection) and key.data.name == "admin":
                self._serve(key.data, events)

    def _answer_together(self) -> None:
        """As much as comes before the next question that stands alone: answered, synced once, then sent."""
        held: list[_Held] = []
        self._held, lost = held, ""
        ends, asked = time.monotonic() + MAX_TOGETHER_SECONDS, list[_Connection]()
        self._held_bytes, self._has_work = 0, False
        try:
            with self._desk.journal.together():
                while self._asked and not stands_alone(self._asked[0][0].name, self._asked[0][1]):
                    connection, message = self._asked.popleft()
                    asked.append(connection)
                    self._answer(connection, message)
                    if time.monotonic() > ends or self._held_bytes > MAX_TOGETHER_BYTES:
                        break
        except JournalError as error:
            log.critical(str(error))
            lost = str(error)
        finally:
            self._held = None
        if lost:
            for each in held:
                if each.number is not None:
                    self._send(each.connection, unwritten(each.number, lost))
        else:
            self._write_all(held)
        if self._has_work and not lost:
            self._tell_work()
        self._end_nonsense(asked)

    def _answer(self, connection: _Connection, message: dict[str, Any]) -> None:
        if connection not in self._connections or connection.nonsense:
            # Cut off meanwhile: what it still asks would be answered into memory that nobody empties.
            return
        try:
            reply = answer(self._desk, connection.name, message, partial(self._send, connection))
        except NonsenseError as error:
            connection.nonsense = str(error)
            return
        if reply is not None:
            self._send(connection, reply)

    def _end_nonsense(self, connections: list[_Connection]) -> None:
        for connection in connections:
            if connection.nonsense:
                self._drop(connection, f"it spoke nonsense: {connection.nonsense}")

    def _send(self, connection: _Connection, message: dict[str, Any]) -> None:
        self._send_packet(connection, encode_packet(message), message.get("id"))

    def _send_packet(self, connection: _Connection, packet: bytes, number: int | None) -> None:
        if self._held is None:
            self._write(connection, packet)
        else:
            self._held_bytes += len(packet)
            self._held.append(_Held(connection, packet, number))

    def _write_all(self, held: list[_Held]) -> None:
        """The packets in their order, those of one connection in one piece."""
        pieces: dict[_Connection, list[bytes]] = {}
        for each in held:
            pieces.setdefault(each.connection, []).append(each.packet)
        for connection, packets in pieces.items():
            self._write(connection, b"".join(packets))

    def _write(self, connection: _Connection, packet: bytes) -> None:
        if connection not in self._connections:
            # Gone before an answer that came later.
            return
        connection.unsent += packet
        try:
            self._flush(connection)
        except OSError as error:
            self._drop(connection, f"it broke: {error}")

    def _flush(self, connection: _Connection) -> None:
        if connection not in self._connections:
            return
        with contextlib.suppress(BlockingIOError):
            while connection.unsent:
                sent = connection.socket.send(connection.unsent)
                del connection.unsent[:sent]
        if len(connection.unsent) > MAX_UNSENT_BYTES:
            self._drop(connection, f"it left {len(connection.unsent)} bytes unread")
            return
        wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if connection.unsent else 0)
        if wanted != connection.events:
            self._selector.modify(connection.socket, wanted, connection)
            connection.events = wanted

    def _drop(self, connection: _Connection, why: str) -> None:
        if connection not in self._connections:
            return
        if why:
            log.warning(f"closed a connection of the {connection.name} socket: {why}")
        self._connections.remove(connection)
        self._selector.unregister(connection.socket)
        connection.socket.close()

    def _tell(self, name: str, event: str, body: Callable[[], Any]) -> None:
        listening = [each for each in self._connections if each.name == name]
        if listening:
            packet = encode_packet({"event": event, "body": body()})
            for connection in listening:
                self._send_packet(connection, packet, None)

    def _tell_change(self, intent: Intent) -> None:
        self._tell("gateway", "intent", lambda: to_json(self._desk.view(intent)))

    def _tell_work(self) -> None:
        if self._held is not None:
            self._has_work = True
            return
        self._tell("chain", "work", dict)
