"""Requests that wait for an intent, told by the signer's events instead of asking in a loop.

Theory of operation. A request takes a place before the signer is asked (so that a full house costs nothing),
then follows its intent. News reach it on one of three ways, and ``version`` decides which is newer:

1. the answer to Accept, which is where it begins;
2. an ``intent`` event of the signer;
3. the answer to Show, asked once at the beginning (an event may have passed between the answer to Accept and
   the moment we listened) and once after every reconnect (whatever happened in between was told to nobody).

Nothing here ends an intent: a request that leaves, for whatever reason, only stops listening.
"""

import asyncio
import contextlib
import hashlib
from collections.abc import Awaitable, Callable, Iterator

from wallet_guard.ipc.intents import IntentView, State

MAX_WAITS = 1024
"""Requests that may wait at once; each is a connection, a task and an intent's view (some 10 kB)."""

MAX_WAITS_OF_ONE_TOKEN = 128
"""A validator serves at most 128 subnets with one hotkey: all of them at the same moment, and no more."""

_ORDER = {
    State.ACCEPTED: 0,
    State.SIGNED: 1,
    State.SUBMITTED: 2,
    State.IN_BLOCK: 3,
    State.FINALIZED: 4,
    State.EFFECTIVE: 5,
}


def reached(view: IntentView, goal: State) -> bool:
    """Is the intent at the goal or beyond? Never for one that failed or expired."""
    return not ended(view) and _ORDER[view.state] >= _ORDER[goal]


def ended(view: IntentView) -> bool:
    """Did the intent fail or expire, or did its dispatch fail in the block where it is now?"""
    return view.failure is not None or view.state in (State.FAILED, State.EXPIRED)


class TooManyWaits(Exception):  # noqa: N818 -- a refusal, not a defect
    """No place is free; ``str()`` says whose."""


class Wait:
    """One request that follows one intent. ``view`` is the newest news of it."""

    def __init__(self, view: IntentView) -> None:
        self.view = view
        self._stale = True
        self._changed = asyncio.Event()

    def tell(self, view: IntentView) -> None:
        """News; old ones are dropped."""
        if view.version > self.view.version:
            self.view = view
            self._changed.set()

    def doubt(self) -> None:
        """News may have been missed: ask."""
        self._stale = True
        self._changed.set()

    async def until(
        self, enough: Callable[[IntentView], bool], show: Callable[[], Awaitable[IntentView | None]]
    ) -> IntentView:
        """The first view that is enough, or in which the intent has ended.

        ``show`` asks the signer; None means that no answer can be had before the next reconnect. The caller
        bounds the time.
        """
        while not (ended(self.view) or enough(self.view)):
            self._changed.clear()
            if self._stale:
                self._stale = False
                view = await show()
                if view is not None:
                    self.tell(view)
            else:
                await self._changed.wait()
        return self.view


class Waits:
    """All of them, with their ceilings."""

    def __init__(self, *, max_waits: int = MAX_WAITS, max_of_one_token: int = MAX_WAITS_OF_ONE_TOKEN) -> None:
        self._max = max_waits
        self._max_of_one = max_of_one_token
        self._places = 0
        self._of_token: dict[bytes, int] = {}
        self._following: dict[str, set[Wait]] = {}

    @property
    def taken(self) -> int:
        """Places in use."""
        return self._places

    @contextlib.contextmanager
    def place(self, token: str) -> Iterator[None]:
        """A place for one request of this token.

        Raises:
            TooManyWaits: none is free.
        """
        # A hash, so that what a memory dump of idle counters shows is no token.
        name = hashlib.sha256(token.encode()).digest()
        if self._places >= self._max:
            raise TooManyWaits(f"expected at most {self._max} waiting requests, found them all taken")
        if self._of_token.get(name, 0) >= self._max_of_one:
            raise TooManyWaits(
                f"expected at most {self._max_of_one} waiting requests of one client, found them all taken"
            )
        self._places += 1
        self._of_token[name] = self._of_token.get(name, 0) + 1
        try:
            yield
        finally:
            self._places -= 1
            self._of_token[name] -= 1
            if not self._of_token[name]:
                del self._of_token[name]

    @contextlib.contextmanager
    def follow(self, view: IntentView) -> Iterator[Wait]:
        """A wait that is told everything about this intent until the block ends."""
        wait = Wait(view)
        group = self._following.setdefault(view.intent, set())
        group.add(wait)
        try:
            yield wait
        finally:
            group.discard(wait)
            if not group:
                self._following.pop(view.intent, None)

    def follows(self, intent: str) -> bool:
        """Does anyone wait for this intent?"""
        return intent in self._following

    def tell(self, view: IntentView) -> None:
        """News of the signer, to whom they concern."""
        for wait in self._following.get(view.intent, ()):
            wait.tell(view)

    def doubt(self) -> None:
        """The signer was connected anew: everyone must ask."""
        for group in self._following.values():
            for wait in group:
                wait.doubt()
