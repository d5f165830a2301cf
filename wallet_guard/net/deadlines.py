"""One timer for all connections of a server, instead of one each.

A connection is looked at when it is due and says itself when next; activity in between costs nothing but a
timestamp. At 10,000 idle WebSockets with a heartbeat of 5 s that is 2,000 looks a second in slices, where a
task or a timer per connection costs 2 to 4 KiB and the event loop's heap.
"""

from typing import Generic, TypeVar

T = TypeVar("T")

TICK_SECONDS = 0.25  # how late a deadline may be noticed; every deadline of ours is in seconds


class Wheel(Generic[T]):
    """Items by the tick at which they are due. The clock is the caller's."""

    def __init__(self) -> None:
        self._ticks: dict[int, set[T]] = {}
        self._due: dict[T, int] = {}
        self._reached: int | None = None

    def add(self, item: T, now: float, seconds: float) -> None:
        """The item, not in it yet, is due once, `seconds` after `now` or up to a tick later."""
        due = int((now + seconds) / TICK_SECONDS) + 1
        if self._reached is not None:
            due = max(due, self._reached + 1)
        self._ticks.setdefault(due, set()).add(item)
        self._due[item] = due

    def discard(self, item: T) -> None:
        """Forgets the item now: what has ended must not stay in memory until it would have been due."""
        due = self._due.pop(item, None)
        if due is not None:
            self._ticks[due].discard(item)

    def take_due(self, now: float) -> list[T]:
        """The items that are due at `now`; they are forgotten."""
        tick = int(now / TICK_SECONDS)
        if self._reached is None:
            self._reached = min(self._ticks, default=tick) - 1
        due: list[T] = []
        # a jump of the clock (a suspended machine) costs one step per bucket, not one per tick
        ticks = range(self._reached + 1, tick + 1)
        for key in ticks if len(ticks) <= len(self._ticks) else sorted(key for key in self._ticks if key <= tick):
            due.extend(self._ticks.pop(key, ()))
        for item in due:
            del self._due[item]
        self._reached = max(tick, self._reached)
        return due


class Outflow:
    """Whether a peer takes what is written to it: slowly is fine, not at all is not."""

    __slots__ = ("_left", "_moved")

    def __init__(self, now: float) -> None:
        self._left = 0
        self._moved = now

    def is_stuck(self, left: int, now: float, seconds: float) -> bool:
        """Whether of the `left` unwritten bytes nothing has moved for `seconds`, as far as looks like this one tell."""
        if left == 0 or left < self._left:
            self._moved = now
        self._left = left
        return now - self._moved > seconds
