"""Who may connect: the chain process's answer, or the last one."""

import asyncio

import pytest

from wallet_guard.hub.registered import Registered
from wallet_guard.ipc.answers import Refusal, RefusedError
from wallet_guard.ipc.asker import Unavailable
from wallet_guard.ipc.metagraph import Members, MembersView


class Chain:
    def __init__(self, answer):
        self.answer = answer

    async def ask(self, question, *, seconds):
        assert question == Members(2)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def test_public_keys_become_addresses(kit):
    registered = Registered(Chain(MembersView(2, 7, (kit.MINER.public_key, kit.OTHER.public_key))), 2)
    assert not registered.known
    assert asyncio.run(registered.hotkeys()) == {kit.MINER.ss58_address, kit.OTHER.ss58_address}
    assert registered.known


@pytest.mark.parametrize(
    "answer",
    [
        Unavailable("away", asked=False),
        RefusedError(Refusal("unavailable", "no link")),
        MembersView(3, 7, ()),
        MembersView(2, 7, (bytes(31),)),
        MembersView(2, 7, (bytes(32),) * 4097),
    ],
)
def test_without_an_answer_that_makes_sense_the_last_one_holds(kit, answer):
    chain = Chain(MembersView(2, 7, (kit.MINER.public_key,)))
    registered = Registered(chain, 2)
    before = asyncio.run(registered.hotkeys())
    chain.answer = answer
    assert asyncio.run(registered.hotkeys()) == before == {kit.MINER.ss58_address}


def test_before_the_first_answer_nobody_is(kit):
    registered = Registered(Chain(Unavailable("away", asked=False)), 2)
    assert asyncio.run(registered.hotkeys()) == frozenset()
    assert not registered.known
