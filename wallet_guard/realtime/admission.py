"""Who may connect, and how often somebody may try.

Deny list before allow list before registration. Who is registered comes from a callable (plain or coroutine function)
or from an object with `hotkeys`, such as a metagraph, and is looked at again every so often: a hotkey that has gone
is dropped. If it cannot be had the last answer holds. With nothing given everybody may connect who can sign.
"""

import inspect
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Collection, Iterable
from typing import Any, Final

_logger = logging.getLogger("wallet_guard.realtime")

_MAX_ADDRESSES: Final = 10_000

Registered = Callable[[], Collection[str] | Awaitable[Collection[str]]]


class Admission:
    """The rule. `allow` None allows whoever is registered; a hotkey in it need not be."""

    def __init__(
        self, registered: Registered | None, metagraph: Any, allow: Iterable[str] | None, deny: Iterable[str]
    ) -> None:
        self._ask: Registered | None = registered
        if registered is None and metagraph is not None:
            self._ask = lambda: list(metagraph.hotkeys)
        self._registered: frozenset[str] = frozenset()
        self.allow = None if allow is None else set(allow)
        self.deny = set(deny)

    async def refresh(self) -> None:
        """Looks at who is registered now."""
        if self._ask is None:
            return
        try:
            found = self._ask()
            self._registered = frozenset(await found if inspect.isawaitable(found) else found)
        except Exception:  # whatever a caller's source may raise
            _logger.exception("cannot tell who is registered; the last answer holds")

    def admits(self, hotkey: str) -> bool:
        """Whether this hotkey may be connected."""
        if hotkey in self.deny:
            return False
        if self.allow is not None and hotkey in self.allow:
            return True
        if self._ask is None:
            return self.allow is None
        return hotkey in self._registered


class Attempts:
    """Failures by address: so many a minute, then nothing is looked at until some time has passed."""

    def __init__(self, per_minute: int) -> None:
        self._per_second = per_minute / 60
        self._most = float(per_minute)
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def may(self, address: str, now: float) -> bool:
        """Whether this address may try."""
        return self._tokens(address, now) >= 1.0

    def failed(self, address: str, now: float) -> None:
        """It tried in vain."""
        left = self._tokens(address, now) - 1.0
        self._left.pop(address, None)
        if len(self._left) >= _MAX_ADDRESSES:
            self._left.popitem(last=False)
        self._left[address] = (left, now)

    def _tokens(self, address: str, now: float) -> float:
        left, at = self._left.get(address, (self._most, now))
        return min(self._most, left + (now - at) * self._per_second)
