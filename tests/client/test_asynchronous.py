"""What only the asyncio client does."""

import asyncio
import subprocess
import sys
import threading

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


def test_loops_in_several_threads_share_a_service(unix_service):
    service = AsyncWalletService(unix_service.url, TOKEN, wallet_name="validator")
    results = []
    threads = [
        threading.Thread(target=lambda n=n: results.append(asyncio.run(service.set_weights(n, [1], [1])).success))
        for n in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [True] * 8
    assert sorted(seen.content["transaction_data"]["netuid"] for seen in unix_service.seen) == list(range(8))


def test_a_forked_child_uses_its_parents_service(unix_service):
    # In a process of its own: forking the test runner, which has threads, is asking for trouble.
    code = (
        "import asyncio, os, sys\n"
        "from wallet_guard.client import AsyncWalletService\n"
        "service = AsyncWalletService(sys.argv[1], sys.argv[2], wallet_name='validator')\n"
        "assert asyncio.run(service.set_weights(1, [1], [1]))\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    os._exit(0 if asyncio.run(service.set_weights(2, [1], [1])) else 1)\n"
        "assert os.waitpid(child, 0)[1] == 0\n"
        "assert asyncio.run(service.set_weights(3, [1], [1]))\n"
    )
    subprocess.run([sys.executable, "-c", code, unix_service.url, TOKEN], check=True, timeout=60)
    assert [seen.content["transaction_data"]["netuid"] for seen in unix_service.seen] == [1, 2, 3]
    assert len({seen.fields["Idempotency-Key"] for seen in unix_service.seen}) == 3
