"""An extrinsic's way to finality, on a scripted chain."""

import asyncio
from typing import Any

import pytest

from wallet_guard.chain.errors import NodeError, Unavailable
from wallet_guard.chain.office import Office
from wallet_guard.chain.submission import RESEND_BLOCKS, submit_and_follow
from wallet_guard.ipc.chain import Action, Event

MINE = b"mine"


class Stage:
    """One errand beside a running link; ``done`` tells whether it has come to its end."""

    def __init__(self, chain: Any, signer: Any, kit: Any, *, fresh: bool, **task: Any) -> None:
        self.chain, self.signer, self.kit = chain, signer, kit
        self.fresh = fresh
        values = {"extrinsic": MINE, "extrinsic_hash": kit.hash_of(MINE), "nonce": 0, "era_birth": 0, "era_death": 8}
        self.task = kit.task(Action.SUBMIT, **{**values, **task})
        self.done = False

    async def __aenter__(self) -> "Stage":
        self.link = await self.chain.link()
        self.endpoints = self.kit.endpoints(self.link)
        office = Office(self.endpoints, self.signer, lambda: 0)
        self._jobs = [asyncio.ensure_future(self.link.run()), asyncio.ensure_future(self._run(office))]
        await self.kit.settle()
        return self

    async def _run(self, office: Office) -> None:
        await submit_and_follow(office, self.task, fresh=self.fresh)
        self.done = True

    async def __aexit__(self, *_: object) -> None:
        for job in self._jobs:
            job.cancel()
        for outcome in await asyncio.gather(*self._jobs, return_exceptions=True):
            if isinstance(outcome, Exception):
                raise outcome

    async def block(self, *extrinsics: bytes, final: int | None = None, **more: Any) -> None:
        self.chain.make_block(*extrinsics, **more)
        await self.kit.settle()
        if final is not None:
            self.chain.finalize(final)
            await self.kit.settle()

    @property
    def sent(self) -> int:
        return int(self.chain.asked.count("author_submitExtrinsic"))


@pytest.fixture
def stage(chain: Any, signer: Any, kit: Any) -> Any:
    return lambda *, fresh=True, **task: Stage(chain, signer, kit, fresh=fresh, **task)


def test_goes_from_the_pool_to_finality(stage: Any, signer: Any, chain: Any) -> None:
    async def run() -> None:
        async with stage() as on:
            assert signer.events == [Event.SUBMITTED]
            await on.block(MINE)
            assert signer.events == [Event.SUBMITTED, Event.IN_BLOCK]
            assert not on.done
            await on.block(final=1)
            assert signer.events == [Event.SUBMITTED, Event.IN_BLOCK, Event.FINALIZED]
            assert on.done
            assert on.sent == 1

    asyncio.run(run())
    report = signer.reports[-1]
    assert (report.block_number, report.block_hash, report.code) == (1, chain.blocks[1].header.hash, None)
    assert report.extrinsic_hash == signer.reports[0].extrinsic_hash


def test_tells_why_a_call_failed_in_its_block(stage: Any, signer: Any) -> None:
    async def run() -> None:
        async with stage() as on:
            await on.block(b"other", MINE, events={"1": ["NotEnoughStakeToSetWeights", "Not enough stake."]}, final=1)
            assert on.done

    asyncio.run(run())
    for report in signer.reports[1:]:
        assert (report.code, report.message) == ("NotEnoughStakeToSetWeights", "Not enough stake.")


def test_a_refusal_of_fresh_bytes_ends_it(stage: Any, signer: Any, chain: Any) -> None:
    chain.answers["author_submitExtrinsic"] = [NodeError(1010, "Invalid Transaction", "Custom error: 6")]

    async def run() -> None:
        async with stage() as on:
            assert on.done

    asyncio.run(run())
    assert signer.events == [Event.REJECTED]
    assert signer.reports[0].code == "RateLimitExceeded"


@pytest.mark.parametrize(("data", "ends"), [("Transaction has a bad signature", True), ("Custom error: 6", False)])
def test_a_refused_signature_ends_the_link_that_told_of_the_runtime(
    stage: Any, signer: Any, chain: Any, data: str, ends: bool
) -> None:
    chain.answers["author_submitExtrinsic"] = [NodeError(1010, "Invalid Transaction", data)]

    async def run() -> None:
        async with stage(fresh=True) as on:
            assert on.done
            assert on.link.broken is ends

    asyncio.run(run())
    assert signer.events == [Event.REJECTED]


def test_a_refusal_of_bytes_that_may_have_been_sent_before_is_only_trouble(stage: Any, signer: Any, chain: Any) -> None:
    chain.answers["author_submitExtrinsic"] = [NodeError(1010, "Invalid Transaction", "Custom error: 6")]

    async def run() -> None:
        async with stage(fresh=False) as on:
            assert not on.done
            assert signer.events == [Event.TROUBLE]
            await on.block(MINE, final=1)
            assert on.done

    asyncio.run(run())
    assert signer.events == [Event.TROUBLE, Event.IN_BLOCK, Event.FINALIZED]


def test_already_imported_counts_as_submitted(stage: Any, signer: Any, chain: Any) -> None:
    chain.pool.append(MINE)

    async def run() -> None:
        async with stage(fresh=False):
            pass

    asyncio.run(run())
    assert signer.events == [Event.SUBMITTED]


@pytest.mark.parametrize("code_and_data", [(1014, "low"), (1010, "Transaction is outdated"), (-32603, "internal")])
def test_an_unsettled_refusal_is_tried_again_at_the_next_block(
    stage: Any, signer: Any, chain: Any, code_and_data: tuple[int, str]
) -> None:
    code, data = code_and_data
    chain.answers["author_submitExtrinsic"] = [NodeError(code, "refused", data)]

    async def run() -> None:
        async with stage() as on:
            assert signer.events == [Event.TROUBLE]
            await on.block()
            assert signer.events == [Event.TROUBLE, Event.SUBMITTED]

    asyncio.run(run())


def test_does_not_send_what_is_on_the_chain_already(stage: Any, signer: Any, chain: Any) -> None:
    chain.make_block()
    chain.make_block(b"other", MINE)

    async def run() -> None:
        async with stage(fresh=False, nonce=1) as on:
            assert signer.events == [Event.IN_BLOCK]
            assert on.sent == 0

    asyncio.run(run())


def test_sends_again_when_the_pool_may_have_lost_it(stage: Any, signer: Any, chain: Any) -> None:
    async def run() -> None:
        async with stage() as on:
            chain.pool.clear()
            for _ in range(RESEND_BLOCKS - 1):
                await on.block()
            assert on.sent == 1
            await on.block()
            assert on.sent == 2
            assert chain.pool == [MINE]

    asyncio.run(run())
    assert signer.events == [Event.SUBMITTED]


def test_a_reorg_is_told_and_the_extrinsic_found_again(stage: Any, signer: Any, chain: Any) -> None:
    async def run() -> None:
        async with stage() as on:
            await on.block(MINE)
            chain.take_back(1)
            await on.block()
            await on.block(MINE, final=2)
            assert on.done

    asyncio.run(run())
    assert signer.events == [Event.SUBMITTED, Event.IN_BLOCK, Event.RETRACTED, Event.IN_BLOCK, Event.FINALIZED]
    assert signer.reports[-1].block_number == 2


def test_an_extrinsic_that_moved_to_another_block_is_retracted_and_in_block(
    stage: Any, signer: Any, chain: Any
) -> None:
    async def run() -> None:
        async with stage() as on:
            await on.block(MINE)
            chain.take_back(1)
            await on.block(MINE)
            assert signer.events[1:] == [Event.IN_BLOCK, Event.RETRACTED, Event.IN_BLOCK]

    asyncio.run(run())


def test_a_retraction_while_nobody_looked_is_told(stage: Any, signer: Any) -> None:
    async def run() -> None:
        async with stage(fresh=False, block_hash="0x" + "77" * 32, block_number=3):
            assert signer.events[0] is Event.RETRACTED

    asyncio.run(run())


def test_a_block_that_the_signer_knows_is_not_told_twice(stage: Any, signer: Any, chain: Any) -> None:
    chain.make_block(MINE)

    async def run() -> None:
        async with stage(fresh=False, block_hash=chain.blocks[1].header.hash, block_number=1) as on:
            assert signer.events == []
            await on.block(final=1)
            assert signer.events == [Event.FINALIZED]

    asyncio.run(run())


def test_a_nonce_consumed_at_finality_by_another_is_superseded(stage: Any, signer: Any) -> None:
    async def run() -> None:
        async with stage() as on:
            await on.block(b"another with its nonce")
            assert signer.events == [Event.SUBMITTED], "the best chain alone proves nothing"
            await on.block(final=1)
            assert on.done

    asyncio.run(run())
    assert signer.events == [Event.SUBMITTED, Event.SUPERSEDED]


def test_an_era_that_ended_at_finality_is_outdated(stage: Any, signer: Any) -> None:
    async def run() -> None:
        async with stage() as on:
            for number in range(1, 9):
                await on.block(final=number - 1)
                assert on.done is (number - 1 >= 7)

    asyncio.run(run())
    assert signer.events == [Event.SUBMITTED, Event.OUTDATED]


def test_nothing_is_sent_that_no_block_could_take(stage: Any, signer: Any, chain: Any) -> None:
    for _ in range(7):
        chain.make_block()

    async def run() -> None:
        async with stage(fresh=False) as on:
            await on.block()
            assert on.sent == 0

    asyncio.run(run())
    assert signer.events == []


def test_a_lost_answer_leads_to_looking_before_sending_again(stage: Any, signer: Any, chain: Any, kit: Any) -> None:
    def lose(_params: Any) -> Any:
        chain.pool.append(MINE)
        raise Unavailable("the connection broke")

    chain.answers["author_submitExtrinsic"] = [lose]

    async def run() -> None:
        async with stage() as on:
            assert signer.events == [Event.TROUBLE]
            await on.block(MINE, final=1)
            assert on.done
            assert on.sent == 1

    asyncio.run(run())
    assert signer.events == [Event.TROUBLE, Event.IN_BLOCK, Event.FINALIZED]


def test_events_that_are_no_longer_kept_leave_the_outcome_to_the_read_back(stage: Any, signer: Any, chain: Any) -> None:
    chain.make_block(MINE)

    def answer(params: Any) -> Any:
        if any(b"Events" in bytes.fromhex(key[2:]) for key in params[0]):
            raise NodeError(4003, "State already discarded for " + params[1])
        return chain._state_query_storage_at(params)

    chain.answers["state_queryStorageAt"] = [answer] * 10

    async def run() -> None:
        async with stage(fresh=False) as on:
            await on.block(final=1)
            assert on.done

    asyncio.run(run())
    assert signer.events == [Event.IN_BLOCK, Event.FINALIZED]
    assert signer.reports[-1].code is None


def test_many_intents_of_one_hotkey_share_their_questions(chain: Any, signer: Any, kit: Any) -> None:
    async def run() -> None:
        stages = [Stage(chain, signer, kit, fresh=True, intent=f"i{number}", era_birth=1) for number in range(20)]
        link = await chain.link()
        jobs = [asyncio.ensure_future(link.run())]
        office = Office(kit.endpoints(link), signer, lambda: 0)
        jobs += [asyncio.ensure_future(one._run(office)) for one in stages]
        await kit.settle()
        chain.asked.clear()
        chain.make_block(MINE)
        await kit.settle()
        assert chain.asked.count("chain_getBlock") == 1
        assert len(chain.asked) < 10
        for job in jobs:
            job.cancel()
        await asyncio.gather(*jobs, return_exceptions=True)

    asyncio.run(run())
