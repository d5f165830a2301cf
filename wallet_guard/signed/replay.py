"""What was taken already: frames by their number, reliable messages by their id (hardening/btws.md, sections 4 and 7).

Frames: an anti-replay window per sender, speaker and scope, as in RFC 4303, section 3.4.3, since HTTP may overtake a
WebSocket. Nothing is stored before the signature was verified, so a stranger cannot poison a window.

Messages that travel again, in a new frame under their old id, are numbered by their sender within a stream. What was
taken is then a floor and a few numbers above it: exact for as long as the receiver lives, and small.
"""

from collections import OrderedDict
from typing import Final, NamedTuple

WINDOW: Final = 1024
"""Frames by which one may be overtaken; RFC 4303 asks for 64, one WebSocket and one HTTP connection need few."""

SPAN: Final = 4096
"""Numbers that a sender may be ahead of its oldest unacknowledged message."""

STREAMS: Final = 4
"""Streams remembered per sender: a new one begins with each start of a sender without a spool file."""

_MASK = (1 << WINDOW) - 1


class ReplayWindow:
    """The numbers of one speaker in one scope. Starts above `floor`."""

    __slots__ = ("_bits", "_highest", "seen_ms")

    def __init__(self, floor: int = 0) -> None:
        self._highest = floor
        self._bits = _MASK  # everything at or below the floor counts as taken
        self.seen_ms = 0  # when something was last taken, by the receiver's clock

    def is_new(self, seq: int) -> bool:
        """Whether the number was not taken yet and lies in or above the window."""
        behind = self._highest - seq
        return behind < 0 or (behind < WINDOW and not self._bits >> behind & 1)

    def take(self, seq: int) -> bool:
        """Takes the number; False if it was not new."""
        behind = self._highest - seq
        if behind < 0:
            # a shift by the whole distance would make a number of that many bits
            self._bits = (self._bits << -behind | 1) & _MASK if behind > -WINDOW else 1
            self._highest = seq
            return True
        if behind >= WINDOW or self._bits >> behind & 1:
            return False
        self._bits |= 1 << behind
        return True

    def raise_floor(self, floor: int) -> None:
        """Takes everything up to `floor`."""
        if floor >= self._highest:
            self._highest, self._bits = floor, _MASK
        elif self._highest - floor < WINDOW:
            self._bits |= _MASK >> (self._highest - floor) << (self._highest - floor)


class Scope(NamedTuple):
    """What has one counter: the frames of one key to me, or its broadcasts."""

    sender: str
    speaker: str
    broadcast: bool


class ReplayWindows:
    """The windows of one receiver, at most `max_scopes`.

    A window must be kept for as long as its latest frame would pass the check of time; `forget` lets go of the others.
    If there are too many all the same, the one longest silent goes, and frames signed before that moment are stale for
    its speaker from then on.
    """

    def __init__(self, max_scopes: int = 65_536) -> None:
        self._windows: OrderedDict[Scope, ReplayWindow] = OrderedDict()
        self._max_scopes = max_scopes
        self.forgotten_ms = 0  # speakers without a window: nothing signed up to here is taken from them

    def is_new(self, scope: Scope, seq: int) -> bool:
        """Whether a frame could be taken."""
        window = self._windows.get(scope)
        return window is None or window.is_new(seq)

    def take(self, scope: Scope, seq: int, now_ms: int) -> bool:
        """Takes a verified frame; False if it was taken before."""
        window = self._windows.get(scope)
        if window is None:
            window = self._add(scope, seq - 1)
        if not window.take(seq):
            return False
        window.seen_ms = now_ms
        return True

    def knows(self, scope: Scope) -> bool:
        """Whether there is a window."""
        return scope in self._windows

    def raise_floor(self, scope: Scope, floor: int, now_ms: int) -> None:
        """Refuses everything up to `floor` in this scope."""
        window = self._windows.get(scope) or self._add(scope, floor)
        window.raise_floor(floor)
        window.seen_ms = now_ms

    def forget(self, before_ms: int) -> None:
        """Lets go of the windows that took nothing since; the caller's window of time must end after `before_ms`."""
        for scope in [scope for scope, window in self._windows.items() if window.seen_ms < before_ms]:
            del self._windows[scope]

    def __len__(self) -> int:
        return len(self._windows)

    def _add(self, scope: Scope, floor: int) -> ReplayWindow:
        if len(self._windows) >= self._max_scopes:
            oldest = min(self._windows, key=lambda key: self._windows[key].seen_ms)
            self.forgotten_ms = max(self.forgotten_ms, self._windows.pop(oldest).seen_ms)
        window = self._windows[scope] = ReplayWindow(floor)
        return window


class TakenMessages:
    """The reliable messages that were taken from one sender."""

    __slots__ = ("_streams",)

    def __init__(self) -> None:
        self._streams: OrderedDict[str, _Stream] = OrderedDict()

    def take(self, id_: str) -> bool:
        """Takes a message; False if it was taken before.

        Raises:
            ValueError: not the id of a reliable message, or too far ahead of what was taken.
        """
        name, number = parse_id(id_)
        stream = self._streams.get(name)
        if stream is None:
            while len(self._streams) >= STREAMS:
                self._streams.popitem(last=False)
            stream = self._streams[name] = _Stream()
            # A stream that goes on while this receiver is new to it: its earlier messages are acknowledged, or
            # they would be the first ones to come again.
            stream.floor = max(0, number - SPAN)
        else:
            self._streams.move_to_end(name)
        return stream.take(number)


class _Stream:
    __slots__ = ("above", "floor")

    def __init__(self) -> None:
        self.floor = 0  # everything up to here was taken
        self.above: set[int] = set()

    def take(self, number: int) -> bool:
        if number <= self.floor or number in self.above:
            return False
        if number > self.floor + 2 * SPAN:
            # the oldest of a sender is at most SPAN behind, so what lies below was acknowledged to it
            self.floor = number - SPAN
            self.above = {taken for taken in self.above if taken > self.floor}
        self.above.add(number)
        while self.floor + 1 in self.above:
            self.floor += 1
            self.above.remove(self.floor)
        return True


def parse_id(id_: str) -> tuple[str, int]:
    """Stream and number of a reliable message's id, `stream.number`.

    Raises:
        ValueError: another shape.
    """
    name, dot, digits = id_.rpartition(".")
    if not dot or not name or len(name) > 32 or not digits.isascii() or not digits.isdigit():
        raise ValueError(f"expected an id like stream.number, found {id_[:70]!r}")
    number = int(digits)
    if digits[0] == "0" or number > 2**53 - 1:
        raise ValueError(f"expected a number from 1 to 2^53-1, found {digits[:20]!r}")
    return name, number
