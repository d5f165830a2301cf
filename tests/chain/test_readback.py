"""Reading back what stands on the chain."""

import asyncio
from typing import Any

import pytest

from wallet_guard.chain.errors import NodeError, Unavailable
from wallet_guard.chain.office import Office
from wallet_guard.chain.readback import DRAND_GENESIS_SECONDS, parse_weights, read_back
from wallet_guard.ipc.chain import Action, Event

MILLISECONDS = DRAND_GENESIS_SECONDS * 1000


async def beside(chain: Any, signer: Any, kit: Any, task: Any, body: Any, now_ms: int = MILLISECONDS) -> None:
    link = await chain.link()
    office = Office(kit.endpoints(link), signer, lambda: now_ms)
    jobs = [asyncio.ensure_future(link.run()), asyncio.ensure_future(read_back(office, task))]
    await kit.settle()
    try:
        await body(jobs[1])
    finally:
        for job in jobs:
            job.cancel()
        await asyncio.gather(*jobs, return_exceptions=True)


def test_reads_a_plain_calls_weights_in_its_block_once(chain: Any, signer: Any, kit: Any) -> None:
    block = chain.make_block()
    chain.set("Weights", 4098, 5, value=[[1, 65535], [2, 7]])
    chain.make_block()
    chain.set("Weights", 4098, 5, value=[])
    task = kit.task(Action.READ_BACK, mechid=1, uid=5, block_hash=block.header.hash, block_number=1)

    async def body(job: Any) -> None:
        assert job.done()

    asyncio.run(beside(chain, signer, kit, task, body))
    (report,) = signer.reports
    assert (report.event, report.block_number, report.weights) == (Event.WEIGHTS, 1, ((1, 65535), (2, 7)))


def test_reads_a_commits_weights_at_every_finalized_block(chain: Any, signer: Any, kit: Any) -> None:
    task = kit.task(Action.READ_BACK, uid=5, reveal_round=1)

    async def body(job: Any) -> None:
        chain.make_block()
        await kit.settle()
        assert len(signer.reports) == 1, "the best head alone is no reason"
        chain.set("Weights", 2, 5, value=[[1, 9]])
        chain.finalize(1)
        await kit.settle()
        assert not job.done()

    asyncio.run(beside(chain, signer, kit, task, body))
    assert [(report.block_number, report.weights) for report in signer.reports] == [(0, ()), (1, ((1, 9),))]


def test_waits_for_the_round_of_a_commit(chain: Any, signer: Any, kit: Any) -> None:
    async def body(job: Any) -> None:
        assert not job.done()

    task = kit.task(Action.READ_BACK, uid=5, reveal_round=101)
    asyncio.run(beside(chain, signer, kit, task, body, now_ms=MILLISECONDS + 299_000))
    assert signer.reports == []
    asyncio.run(beside(chain, signer, kit, task, body, now_ms=MILLISECONDS + 300_000))
    assert signer.events == [Event.WEIGHTS]


def test_reads_at_the_finalized_head_what_is_no_longer_kept(chain: Any, signer: Any, kit: Any) -> None:
    chain.make_block()
    chain.set("Weights", 2, 5, value=[[1, 9]])
    chain.final = 1
    task = kit.task(Action.READ_BACK, uid=5, block_hash=chain.blocks[0].header.hash, block_number=0)
    chain.answers["state_queryStorageAt"] = [NodeError(4003, "State already discarded for 0x00")]

    async def body(job: Any) -> None:
        assert job.done()

    asyncio.run(beside(chain, signer, kit, task, body))
    assert [(report.block_number, report.weights) for report in signer.reports] == [(1, ((1, 9),))]


def test_other_trouble_is_told_and_tried_again(chain: Any, signer: Any, kit: Any) -> None:
    task = kit.task(Action.READ_BACK, uid=5, block_hash=chain.blocks[0].header.hash, block_number=0)
    chain.answers["state_queryStorageAt"] = [NodeError(-32603, "internal")]

    async def body(job: Any) -> None:
        assert not job.done()
        chain.make_block()
        await kit.settle()
        assert job.done()

    asyncio.run(beside(chain, signer, kit, task, body))
    assert signer.events == [Event.TROUBLE, Event.WEIGHTS]


@pytest.mark.parametrize("value", [None, 5, [1], [[1]], [[1, 2, 3]], [["1", 2]], [[True, 2]]])
def test_refuses_what_are_no_weights(value: Any) -> None:
    with pytest.raises(Unavailable, match="Weights: expected pairs"):
        parse_weights(value)
