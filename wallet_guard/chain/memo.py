"""Answers that cannot change, asked for once: concurrent askers share one question."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Memo(Generic[K, V]):
    """``await memo(key)`` gives ``read(key)``'s answer, read once; failures are not kept.

    At most ``ceiling`` answers are kept, the oldest go first.
    """

    def __init__(self, read: Callable[[K], Awaitable[V]], ceiling: int) -> None:
        self._read = read
        self._ceiling = ceiling
        self._answers: dict[K, asyncio.Task[V]] = {}

    async def __call__(self, key: K) -> V:
        """The answer; raises what ``read`` raises."""
        task = self._answers.get(key)
        if task is None:
            task = asyncio.ensure_future(self._reading(key))
            task.add_done_callback(_look)
            self._answers[key] = task
            if len(self._answers) > self._ceiling:
                self._answers.pop(next(iter(self._answers)))
        # One asker that goes away must not take the answer from the others.
        return await asyncio.shield(task)

    async def _reading(self, key: K) -> V:
        try:
            return await self._read(key)
        except BaseException:
            self._answers.pop(key, None)
            raise


def _look(task: asyncio.Task[V]) -> None:
    """Marks a failure as seen, since every asker may have gone."""
    if not task.cancelled():
        task.exception()
