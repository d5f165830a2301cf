"""Asking once for what cannot change."""

import asyncio

import pytest

from wallet_guard.chain.memo import Memo


def test_reads_once_for_many_askers() -> None:
    reads: list[int] = []

    async def read(key: int) -> int:
        reads.append(key)
        await asyncio.sleep(0)
        return key * 2

    async def run() -> list[int]:
        memo = Memo(read, 10)
        return [*await asyncio.gather(memo(1), memo(1), memo(2)), await memo(1)]

    assert asyncio.run(run()) == [2, 2, 4, 2]
    assert reads == [1, 2]


def test_asks_again_after_a_failure() -> None:
    outcomes: list[int | Exception] = [ValueError("no"), 7]

    async def read(_key: int) -> int:
        outcome = outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    async def run() -> int:
        memo = Memo(read, 10)
        with pytest.raises(ValueError, match="no"):
            await memo(1)
        return await memo(1)

    assert asyncio.run(run()) == 7


def test_an_asker_that_goes_away_does_not_take_the_answer_from_another() -> None:
    async def run() -> int:
        go = asyncio.Event()

        async def read(key: int) -> int:
            await go.wait()
            return key

        memo = Memo(read, 10)
        first, second = asyncio.ensure_future(memo(3)), asyncio.ensure_future(memo(3))
        await asyncio.sleep(0)
        first.cancel()
        await asyncio.sleep(0)
        go.set()
        return await second

    assert asyncio.run(run()) == 3


def test_forgets_the_oldest_beyond_its_ceiling() -> None:
    reads: list[int] = []

    async def read(key: int) -> int:
        reads.append(key)
        return key

    async def run() -> None:
        memo = Memo(read, 2)
        for key in (1, 2, 3, 2, 1):
            await memo(key)

    asyncio.run(run())
    assert reads == [1, 2, 3, 1]
