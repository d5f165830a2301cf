"""From an accepted intent to its sealed bytes."""

import asyncio
from typing import Any

import pytest

from wallet_guard.chain.errors import NodeError
from wallet_guard.chain.office import Office
from wallet_guard.chain.sealing import gather, seal
from wallet_guard.ipc.answers import Refusal
from wallet_guard.ipc.asker import RefusedError
from wallet_guard.ipc.chain import Action, Event, Runtime, Seal


def beside(chain: Any, kit: Any, body: Any) -> Any:
    async def run() -> Any:
        link = await chain.link()
        job = asyncio.ensure_future(link.run())
        await kit.settle()
        try:
            return await body(link)
        finally:
            job.cancel()
            await asyncio.gather(job, return_exceptions=True)

    return asyncio.run(run())


def test_gathers_facts_of_one_block_and_the_finalized_head(chain: Any, kit: Any) -> None:
    for _ in range(4):
        chain.make_block(b"x")
    chain.set("Uids", 2, kit.address, value=1)
    chain.set("LastUpdate", 2, value=[3, 4])
    chain.set("CommitRevealWeightsEnabled", 2, value=True)
    chain.final = 2
    chain.pool.append(b"pending")

    facts, runtime = beside(chain, kit, lambda link: gather(link, kit.task(Action.FACTS)))
    assert (facts.block_number, facts.era_block_number) == (4, 2)
    assert facts.era_block_hash.hex() == chain.blocks[2].header.hash[2:]
    assert facts.genesis_hash.hex() == chain.blocks[0].header.hash[2:]
    assert (facts.nonce, facts.finalized_nonce) == (5, 2)
    assert (facts.uid, facts.last_update, facts.commit_reveal, facts.block_time_ms) == (1, 4, True, 12_000)
    assert (facts.spec_version, facts.transaction_version) == (461, 1)
    assert runtime.version.spec_version == 461


def test_asks_for_everything_at_once(chain: Any, kit: Any) -> None:
    async def body(link: Any) -> None:
        chain.asked.clear()
        await gather(link, kit.task(Action.FACTS))
        assert sorted(chain.asked) == ["account_nextIndex", "state_queryStorageAt", "state_queryStorageAt"]

    beside(chain, kit, body)


def test_reads_by_the_runtime_of_the_block(chain: Any, kit: Any) -> None:
    async def body(link: Any) -> None:
        chain.spec_version = 500
        chain.make_block()
        await kit.settle()
        facts, runtime = await gather(link, kit.task(Action.FACTS))
        assert (facts.spec_version, runtime.version.spec_version) == (500, 500)

    beside(chain, kit, body)


def sealing(chain: Any, signer: Any, kit: Any, task: Any) -> Any:
    return beside(chain, kit, lambda link: seal(Office(kit.endpoints(link), signer, lambda: 0), task))


def test_gives_back_the_sealed_task(chain: Any, signer: Any, kit: Any) -> None:
    sealed = kit.task(Action.SUBMIT, extrinsic=b"mine")
    signer.answers["seal"] = [sealed]
    assert sealing(chain, signer, kit, kit.task(Action.FACTS)) is sealed
    assert [type(question) for question in signer.asked] == [Seal]


def test_introduces_a_runtime_that_the_signer_does_not_know(chain: Any, signer: Any, kit: Any) -> None:
    sealed = kit.task(Action.SUBMIT, extrinsic=b"mine")
    signer.answers["seal"] = [Refusal("runtime_unknown", "tell me"), sealed]
    assert sealing(chain, signer, kit, kit.task(Action.FACTS)) is sealed
    assert [type(question) for question in signer.asked] == [Seal, Runtime, Seal]
    assert signer.asked[1].metadata == chain.codec.metadata


@pytest.mark.parametrize("code", ["rate_limited", "facts_refused", "finished"])
def test_a_refusal_is_the_signers_last_word_for_now(chain: Any, signer: Any, kit: Any, code: str) -> None:
    signer.answers["seal"] = [Refusal(code, "no")]
    with pytest.raises(RefusedError):
        sealing(chain, signer, kit, kit.task(Action.FACTS))
    assert signer.reports == []


def test_a_runtime_that_the_signer_refuses_is_told_as_trouble(chain: Any, signer: Any, kit: Any) -> None:
    signer.answers["seal"] = [Refusal("runtime_unknown", "tell me")]
    signer.answers["runtime"] = [Refusal("runtime_refused", "metadata is not pinned")]
    with pytest.raises(RefusedError):
        sealing(chain, signer, kit, kit.task(Action.FACTS))
    assert [(report.event, report.code) for report in signer.reports] == [(Event.TROUBLE, "runtime_refused")]


@pytest.mark.parametrize("code", ["runtime_refused", "wrong_genesis"])
def test_a_runtime_that_the_signer_will_not_seal_by_ends_the_link(chain: Any, signer: Any, kit: Any, code: str) -> None:
    signer.answers["seal"] = [Refusal(code, "expected the call that was meant, found other bytes")]

    async def body(link: Any) -> None:
        with pytest.raises(RefusedError):
            await seal(Office(kit.endpoints(link), signer, lambda: 0), kit.task(Action.FACTS))
        assert link.broken

    beside(chain, kit, body)


def test_does_not_ask_to_seal_before_the_block_it_may(chain: Any, signer: Any, kit: Any) -> None:
    signer.answers["seal"] = [kit.task(Action.SUBMIT)]

    async def body(link: Any) -> None:
        office = Office(kit.endpoints(link), signer, lambda: 0)
        job = asyncio.ensure_future(seal(office, kit.task(Action.FACTS, not_before_block=2)))
        for expected in ([], [Seal]):
            chain.make_block()
            await kit.settle()
            assert [type(question) for question in signer.asked] == expected
        await job

    beside(chain, kit, body)


def test_trouble_with_the_chain_is_told_and_the_next_block_tried(chain: Any, signer: Any, kit: Any) -> None:
    signer.answers["seal"] = [kit.task(Action.SUBMIT)]

    async def body(link: Any) -> None:
        chain.answers["state_queryStorageAt"] = [NodeError(4003, "pruned"), NodeError(4003, "pruned")]
        office = Office(kit.endpoints(link), signer, lambda: 0)
        job = asyncio.ensure_future(seal(office, kit.task(Action.FACTS)))
        await kit.settle()
        assert [report.event for report in signer.reports] == [Event.TROUBLE]
        chain.make_block()
        await kit.settle()
        assert job.done()

    beside(chain, kit, body)
