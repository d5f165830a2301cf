"""A link: which endpoint becomes one, how it follows heads, how it ends."""

import asyncio
from typing import Any

import pytest

from wallet_guard.chain.errors import Unavailable
from wallet_guard.chain.link import Link, block_time_ms


def test_refuses_an_endpoint_of_another_chain(chain: Any) -> None:
    with pytest.raises(Unavailable, match="wrong chain: expected genesis 0xother"):
        asyncio.run(Link.open("ws://x", chain, chain.make_codec, "0xother"))


def test_refuses_a_genesis_that_its_header_does_not_hash_to(chain: Any) -> None:
    chain.genesis_lie = "0x" + "66" * 32
    with pytest.raises(Unavailable, match="expected a genesis header that hashes to 0x6666"):
        asyncio.run(chain.link())


def test_knows_heads_and_runtime_when_it_opens(chain: Any) -> None:
    for _ in range(5):
        chain.make_block()
    chain.finalize(3)

    async def run() -> None:
        link = await chain.link()
        assert (link.heads.best.number, link.heads.finalized.number) == (5, 3)
        assert link.runtime.version.spec_version == 461
        assert await link.hash_of(4) == chain.blocks[4].header.hash
        assert await link.hash_of(1) == chain.blocks[1].header.hash, "below the finalized head it is asked for"
        assert await link.hash_of(6) is None

    asyncio.run(run())


def running(chain: Any, kit: Any, body: Any) -> str:
    """Runs ``body(link)`` beside the link; why the link ended, "" if it did not."""

    async def run() -> str:
        link = await chain.link()
        job = asyncio.ensure_future(link.run())
        await kit.settle()
        await body(link)
        await kit.settle()
        if job.done():
            return str(job.result())
        job.cancel()
        await asyncio.gather(job, return_exceptions=True)
        return ""

    return asyncio.run(run())


def test_follows_heads_without_asking_for_anything(chain: Any, kit: Any) -> None:
    async def body(link: Link) -> None:
        chain.asked.clear()
        generation = link.generation
        chain.make_block()
        chain.make_block()
        chain.finalize(1)
        await link.moved(generation)
        await kit.settle()
        assert (link.heads.best.number, link.heads.finalized.number) == (2, 1)
        assert link.heads.whole
        assert chain.asked == []

    assert running(chain, kit, body) == ""


def test_fills_the_gap_of_a_reorg_in_one_request(chain: Any, kit: Any) -> None:
    for _ in range(4):
        chain.make_block()
    chain.finalize(1)

    async def body(link: Link) -> None:
        chain.asked.clear()
        chain.take_back(2)
        streams, chain._streams = chain._streams, []
        chain.make_block()
        chain.make_block()
        chain._streams = streams
        chain.make_block()
        await kit.settle()
        assert link.heads.whole
        assert [link.heads.hash_at(number) for number in range(1, 6)] == [
            block.header.hash for block in chain.blocks[1:]
        ]
        assert chain.asked == ["chain_getBlockHash"]

    assert running(chain, kit, body) == ""


def test_ends_when_the_connection_is_cut_and_says_so_to_all_who_wait(chain: Any, kit: Any) -> None:
    async def body(link: Link) -> None:
        waiting = asyncio.ensure_future(link.moved(link.generation))
        chain.cut()
        await kit.settle()
        with pytest.raises(Unavailable, match="the connection was lost"):
            await waiting
        with pytest.raises(Unavailable):
            await link.moved(-1)
        await link.settled()

    assert running(chain, kit, body) == "the connection was lost"


def test_ends_when_an_answer_is_overdue(chain: Any, kit: Any) -> None:
    async def body(link: Link) -> None:
        link.fail("no answer to state_call within 10 s")

    assert running(chain, kit, body) == "no answer to state_call within 10 s"


def test_ends_when_no_new_block_comes(chain: Any, kit: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wallet_guard.chain.link.STALL_SECONDS", 0.01)
    chain.codec.constants["Aura.SlotDuration"] = 1

    async def body(link: Link) -> None:
        while not link.broken:
            await link.settled()

    assert running(chain, kit, body).startswith("no new block within")


def test_ends_when_heads_do_not_fit_the_blocks(chain: Any, kit: Any) -> None:
    async def body(_link: Link) -> None:
        for number in range(1000, 1010):
            for final, queue in chain._streams:
                if not final:
                    queue.put_nowait({**chain.blocks[0].told, "number": hex(number)})
            await kit.settle()

    assert running(chain, kit, body).startswith("expected heads that link up")


def test_fetches_metadata_once_for_each_version(chain: Any, kit: Any) -> None:
    async def body(link: Link) -> None:
        for spec_version in (461, 462, 462):
            chain.spec_version = spec_version
            chain.make_block()
            await kit.settle()
            runtime = await link.runtime_at(link.heads.best.hash)
            assert runtime.version.spec_version == spec_version
            assert link.runtime is runtime
        assert chain.asked.count("state_call") == 2

    assert running(chain, kit, body) == ""


@pytest.mark.parametrize(
    ("constants", "milliseconds"),
    [
        ({"Aura.SlotDuration": 12_000, "Timestamp.MinimumPeriod": 125}, 12_000),
        ({"Babe.ExpectedBlockTime": 6_000}, 6_000),
        ({"Timestamp.MinimumPeriod": 125}, 250),
        ({"Aura.SlotDuration": 0}, 12_000),
        ({}, 12_000),
    ],
)
def test_takes_the_block_time_from_the_runtime(kit: Any, constants: dict[str, Any], milliseconds: int) -> None:
    codec = kit.codec()
    codec.constants = constants
    assert block_time_ms(codec) == milliseconds
