"""What only the asyncio client does."""

import asyncio

from wallet_guard.client import AsyncWalletService

TOKEN = "a-token-of-43-characters-like-the-signer-ma"


def test_calls_run_side_by_side(unix_service):
    async def run():
        service = AsyncWalletService(unix_service.url, TOKEN, wallet_name="validator")
        return await asyncio.gather(*(service.set_weights(n, [1], [1]) for n in range(20)))

    assert all(asyncio.run(run()))
    assert len({seen.fields["Idempotency-Key"] for seen in unix_service.seen}) == 20


def test_waiting_does_not_block_the_loop(unix_service, say):
    async def run():
        service = AsyncWalletService(unix_service.url, TOKEN, wallet_name="validator")
        task = asyncio.ensure_future(service.set_weights(2, [1], [1], timeout=1.0))
        turns = 0
        while not task.done():
            turns += 1
            await asyncio.sleep(0.01)
        return turns

    unix_service.steps = [say.SILENCE]
    assert asyncio.run(run()) > 5


def test_a_call_can_be_cancelled_and_leaves_nothing_behind(unix_service, say):
    async def run():
        service = AsyncWalletService(unix_service.url, TOKEN, wallet_name="validator")
        task = asyncio.ensure_future(service.set_weights(2, [1], [1]))
        await asyncio.sleep(0.1)
        task.cancel()
        done, _ = await asyncio.wait({task}, timeout=60)
        return done == {task} and task.cancelled() and len(asyncio.all_tasks()) == 1

    unix_service.steps = [say.SILENCE]
    assert asyncio.run(run())


def test_one_service_serves_several_loops(unix_service):
    service = AsyncWalletService(unix_service.url, TOKEN, wallet_name="validator")
    for _ in range(2):
        assert asyncio.run(service.set_weights(2, [1], [1]))
