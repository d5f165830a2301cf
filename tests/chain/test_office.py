"""What the steps share: links and reports."""

import asyncio
from typing import Any

import pytest

from wallet_guard.chain.office import Office
from wallet_guard.ipc.answers import Refusal
from wallet_guard.ipc.asker import RefusedError
from wallet_guard.ipc.chain import Action, Event, Report


def test_tells_the_same_trouble_once_and_another_at_once(signer: Any, kit: Any) -> None:
    task = kit.task(Action.FACTS)

    async def run() -> None:
        office = Office(kit.endpoints(), signer, lambda: 0)
        for code in ("unavailable", "unavailable", "Stale", "Stale"):
            await office.trouble(task, code, "why")
        await office.report(Report(task.intent, Event.SUBMITTED))
        await office.trouble(task, "Stale", "why")

    asyncio.run(run())
    assert [(report.event, report.code) for report in signer.reports] == [
        (Event.TROUBLE, "unavailable"),
        (Event.TROUBLE, "Stale"),
        (Event.SUBMITTED, None),
        (Event.TROUBLE, "Stale"),
    ]


def test_waiting_clients_learn_that_there_is_no_link(signer: Any, kit: Any) -> None:
    async def run() -> None:
        office = Office(kit.endpoints(), signer, lambda: 0)
        waiting = asyncio.ensure_future(office.link(kit.task(Action.FACTS)))
        await kit.settle()
        assert not waiting.done()
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)

    asyncio.run(run())
    assert signer.reports[0].message == "the chain cannot be reached: nothing listens"


def test_a_genesis_that_the_signer_refuses_ends_the_link(chain: Any, signer: Any, kit: Any) -> None:
    signer.answers["runtime"] = [Refusal("wrong_genesis", "expected genesis 0x01")]

    async def run() -> None:
        link = await chain.link()
        with pytest.raises(RefusedError):
            await Office(kit.endpoints(link), signer, lambda: 0).tell_runtime(link, link.runtime)
        assert link.broken

    asyncio.run(run())
    assert signer.asked[0].genesis_hash.hex() == chain.blocks[0].header.hash[2:]
