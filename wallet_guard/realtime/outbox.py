"""What waits for one peer: a queue by priority with ceilings, and what was not acknowledged yet.

Pure. Lower priorities leave sooner, those of one priority in order. Best effort may be dropped: the oldest of the least
urgent go when the ceiling is reached, and with `latest` a message takes the place of one of its type that still waits.
A reliable one is kept until `acknowledge`, also while it is on its way; `resend` puts it back where it was.
"""

from collections import deque
from collections.abc import Iterable
from typing import Any, Final

from wallet_guard.realtime.ends import QueueFullError
from wallet_guard.signed.frames import encode_message
from wallet_guard.signed.replay import SPAN, parse_id

URGENT: Final = 0  # acknowledgements and errors
CONFIRMATION: Final = 1
GAME_UPDATE: Final = 2
NORMAL: Final = 3

_MAX_RESEND_SECONDS: Final = 60.0


class Item:
    """One message that waits."""

    __slots__ = ("id", "line", "number", "priority", "queued", "resend_at", "tries", "type")

    def __init__(self, type_: str, id_: str, number: int, priority: int, line: str) -> None:
        self.type = type_
        self.id = id_
        self.number = number  # within the stream; 0 for best effort
        self.priority = priority
        self.line = line
        self.queued = True
        self.resend_at = 0.0
        self.tries = 0


class Outbox:
    """The messages for one peer. `stream` names ours to it; its numbers begin at `first`."""

    __slots__ = (
        "_by_priority",
        "_bytes",
        "_depth",
        "_dropped",
        "_latest",
        "_max_bytes",
        "_max_items",
        "_unacknowledged",
        "next_number",
        "stream",
    )

    def __init__(self, stream: str, *, first: int = 1, max_items: int = 1024, max_bytes: int = 4 * 1024 * 1024) -> None:
        self.stream = stream
        self.next_number = first
        self._max_items = max_items
        self._max_bytes = max_bytes
        self._by_priority: dict[int, deque[Item]] = {}
        self._unacknowledged: dict[str, Item] = {}  # in order of their numbers
        self._latest: dict[str, Item] = {}
        self._depth = 0
        self._bytes = 0
        self._dropped = 0

    @property
    def depth(self) -> int:
        """Messages that wait to leave."""
        return self._depth

    @property
    def unacknowledged(self) -> int:
        """Reliable messages that were not acknowledged, on their way or not."""
        return len(self._unacknowledged)

    @property
    def dropped(self) -> int:
        """Best-effort messages that had to go."""
        return self._dropped

    def put(
        self, type_: str, data: dict[str, Any], priority: int, *, reliable: bool = False, latest: bool = False
    ) -> Item:
        """Adds a message.

        Raises:
            QueueFullError: a reliable message for which there is no room.
            ValueError, TypeError: what a frame cannot hold.
        """
        if reliable:
            self._check_room()
            id_ = f"{self.stream}.{self.next_number}"
            item = Item(type_, id_, self.next_number, priority, encode_message(type_, id_, data, ack=True))
            self.next_number += 1
            self._unacknowledged[id_] = item
            self._append(item)
            return item
        line = encode_message(type_, "", data)
        waiting = self._latest.get(type_) if latest else None
        if waiting is not None and waiting.queued:
            self._bytes += len(line) - len(waiting.line)
            waiting.line = line
            return waiting
        self._make_room(len(line))
        item = Item(type_, "", 0, priority, line)
        if latest:
            self._latest[type_] = item
        self._append(item)
        return item

    def restore(self, id_: str, priority: int, line: str) -> None:
        """Puts back a reliable message of a former life, in the order of numbers."""
        item = Item("", id_, parse_id(id_)[1], priority, line)
        self.next_number = max(self.next_number, item.number + 1)
        self._unacknowledged[id_] = item
        self._append(item)

    def take(self, max_items: int, max_bytes: int, now: float, resend_seconds: float) -> list[str]:
        """The lines that leave next; the first whatever its size. A reliable one is due again later."""
        lines: list[str] = []
        size = 0
        for priority in sorted(self._by_priority):
            queue = self._by_priority[priority]
            while queue and len(lines) < max_items:
                item = queue[0]
                size += len(item.line)
                if lines and size > max_bytes:
                    return lines
                queue.popleft()
                self._leave(item)
                item.resend_at = now + min(resend_seconds * 2.0**item.tries, _MAX_RESEND_SECONDS)
                item.tries = min(item.tries + 1, 10)
                lines.append(item.line)
            if not queue:
                del self._by_priority[priority]
        return lines

    def acknowledge(self, ids: Iterable[str]) -> list[str]:
        """Lets go of these; those of them that were kept."""
        done = []
        for id_ in ids:
            item = self._unacknowledged.pop(id_, None)
            if item is not None:
                done.append(id_)
                if item.queued:  # acknowledged by way of HTTP, or late
                    self._withdraw(item)
        return done

    def resend(self, now: float | None = None) -> int:
        """Puts back what is on its way: everything after a reconnect, what is due with `now`. How many."""
        due = [
            item for item in self._unacknowledged.values() if not item.queued and (now is None or item.resend_at <= now)
        ]
        for item in reversed(due):
            if now is None:
                item.tries = 0
            item.queued = True
            self._by_priority.setdefault(item.priority, deque()).appendleft(item)
            self._depth += 1
            self._bytes += len(item.line)
        return len(due)

    def withdraw(self, item: Item) -> None:
        """Takes back a message that was put and has not left."""
        self._unacknowledged.pop(item.id, None)
        self._withdraw(item)

    def _append(self, item: Item) -> None:
        self._by_priority.setdefault(item.priority, deque()).append(item)
        self._depth += 1
        self._bytes += len(item.line)

    def _leave(self, item: Item) -> None:
        item.queued = False
        self._depth -= 1
        self._bytes -= len(item.line)

    def _withdraw(self, item: Item) -> None:
        self._by_priority[item.priority].remove(item)
        self._leave(item)

    def _check_room(self) -> None:
        oldest = next(iter(self._unacknowledged.values()), None)
        if len(self._unacknowledged) >= self._max_items:
            raise QueueFullError(f"{self._max_items} messages wait for their acknowledgement")
        if oldest is not None and self.next_number - oldest.number >= SPAN:
            raise QueueFullError(f"the message {oldest.id} was never acknowledged")
        if self._bytes >= self._max_bytes:
            raise QueueFullError(f"{self._bytes} bytes wait already")

    def _make_room(self, size: int) -> None:
        while self._depth >= self._max_items or (self._depth and self._bytes + size > self._max_bytes):
            victim = self._least_urgent()
            if victim is None:
                raise QueueFullError("only reliable messages wait already")
            self._withdraw(victim)
            self._dropped += 1

    def _least_urgent(self) -> Item | None:
        for priority in sorted(self._by_priority, reverse=True):
            for item in self._by_priority[priority]:
                if not item.number:
                    return item
        return None
