"""The handlers of an application, called in order for each peer, and one peer's trouble kept from the others.

A plain function is called at once, on the event loop: it must be quick. A coroutine function gets a task and a
deadline; what the same peer sends meanwhile waits behind it. An exception is logged, counted and told to the peer.
"""

import asyncio
import inspect
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from wallet_guard.signed.frames import Message

_logger = logging.getLogger("wallet_guard.realtime")

Handler = Callable[[str, dict[str, Any]], Awaitable[None] | None]
"""`handler(hotkey, data)`, plain or coroutine function."""


class Outlet(Protocol):
    """Where the answers to a message go: the connection, or the HTTP response, by which it came."""

    def done(self, message: Message, failure: str) -> None:
        """The handler is through with it; `failure` is "" or a word for the peer."""


class Mailbox:
    """The messages of one peer that wait for their handlers."""

    __slots__ = ("_hotkey", "_on_drained", "_seconds", "_task", "_waiting")

    def __init__(self, hotkey: str, handler_seconds: float, on_drained: Callable[[], None]) -> None:
        self._hotkey = hotkey
        self._seconds = handler_seconds
        self._on_drained = on_drained
        self._waiting: deque[tuple[Handler, Message, Outlet]] = deque()
        self._task: asyncio.Task[None] | None = None

    @property
    def waiting(self) -> int:
        """Messages behind the one that is under way."""
        return len(self._waiting)

    def put(self, handler: Handler, message: Message, outlet: Outlet) -> None:
        """Calls the handler, now if nothing of this peer is under way."""
        if self._task is not None:
            self._waiting.append((handler, message, outlet))
            return
        pending = self._call(handler, message, outlet)
        if pending is not None:
            self._task = asyncio.get_running_loop().create_task(self._run(pending, message, outlet))

    def cancel(self) -> None:
        """Ends what is under way and forgets the rest; it was not acknowledged."""
        self._waiting.clear()
        if self._task is not None:
            self._task.cancel()
            self._task = None

    def _call(self, handler: Handler, message: Message, outlet: Outlet) -> Awaitable[None] | None:
        try:
            result = handler(self._hotkey, message.data)
        except Exception:  # an application's bug is its own peer's trouble only
            _logger.exception("the handler of %s from %s failed", message.type, self._hotkey)
            outlet.done(message, "failed")
            return None
        if result is not None and inspect.isawaitable(result):
            return result
        outlet.done(message, "")
        return None

    async def _run(self, first: Awaitable[None], message: Message, outlet: Outlet) -> None:
        pending: Awaitable[None] | None = first
        while True:
            if pending is not None:
                outlet.done(message, await self._finish(pending, message))
            if not self._waiting:
                break
            handler, message, outlet = self._waiting.popleft()
            pending = self._call(handler, message, outlet)
        self._task = None
        self._on_drained()

    async def _finish(self, pending: Awaitable[None], message: Message) -> str:
        try:
            async with asyncio.timeout(self._seconds):
                await pending
        except TimeoutError:
            _logger.warning("the handler of %s from %s took over %g s", message.type, self._hotkey, self._seconds)
            return "timeout"
        except Exception:
            _logger.exception("the handler of %s from %s failed", message.type, self._hotkey)
            return "failed"
        return ""
