"""One runner for each intent, as the signer's list wants it."""

import asyncio
from typing import Any

import pytest

from wallet_guard.chain.worker import Worker, _continues
from wallet_guard.ipc.answers import Refusal
from wallet_guard.ipc.chain import Action, Pull, Pulse, Runtime, Seal, Work


@pytest.mark.parametrize(
    ("running", "listed", "goes_on"),
    [
        ((Action.FACTS, 1, None), (Action.FACTS, 1, None), True),
        ((Action.FACTS, 1, None), (Action.FACTS, 2, None), True),
        ((Action.SUBMIT, 3, "0x1"), (Action.FACTS, 1, None), True),
        ((Action.SUBMIT, 3, "0x1"), (Action.FOLLOW, 5, "0x1"), True),
        ((Action.SUBMIT, 3, "0x1"), (Action.SUBMIT, 7, "0x2"), False),
        ((Action.SUBMIT, 3, "0x1"), (Action.FACTS, 7, None), False),
        ((Action.FOLLOW, 3, "0x1"), (Action.READ_BACK, 4, "0x1"), False),
        ((Action.READ_BACK, 4, "0x1"), (Action.READ_BACK, 4, "0x1"), True),
    ],
)
def test_a_list_replaces_a_runner_only_by_a_later_other_step(
    kit: Any, running: Any, listed: Any, goes_on: bool
) -> None:
    tasks = [
        kit.task(action, version=version, extrinsic_hash=extrinsic_hash)
        for action, version, extrinsic_hash in (running, listed)
    ]
    assert _continues(*tasks) is goes_on


class Stage:
    """A worker whose signer and endpoints are scripted."""

    def __init__(self, chain: Any, signer: Any, kit: Any) -> None:
        self.chain, self.signer, self.kit = chain, signer, kit
        self.ready = 0
        self.rounds = 0

    async def __aenter__(self) -> "Stage":
        link = await self.chain.link()
        endpoints = self.kit.endpoints(link)
        endpoints.run = link.run
        self.worker = Worker("/nowhere", endpoints, lambda: 0, self._count, self._live)
        self.signer.run = asyncio.Event().wait
        self.worker._asker = self.worker._office._asker = self.signer
        self.job = asyncio.ensure_future(self.worker.run())
        await self.kit.settle()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.job.cancel()
        await asyncio.gather(self.job, return_exceptions=True)

    def _count(self) -> None:
        self.ready += 1

    def _live(self) -> None:
        self.rounds += 1

    async def connect(self, *tasks: Any) -> None:
        self.signer.answers["pull"] = [Work(tasks)]
        self.worker._connected()
        await self.kit.settle()

    async def work(self, *tasks: Any) -> None:
        self.signer.answers["pull"] = [Work(tasks)]
        self.worker._told("work", {})
        await self.kit.settle()

    @property
    def runners(self) -> dict[str, Action]:
        return {intent: runner.task.action for intent, runner in self.worker._runners.items()}


@pytest.fixture
def stage(chain: Any, signer: Any, kit: Any) -> Stage:
    return Stage(chain, signer, kit)


def run(stage: Stage, body: Any) -> None:
    async def go() -> None:
        async with stage:
            await body()

    asyncio.run(go())


def test_pulls_pulses_and_introduces_the_runtime_when_it_connects(stage: Stage, signer: Any) -> None:
    async def body() -> None:
        signer.asked.clear()
        await stage.connect()
        assert {type(question) for question in signer.asked} == {Pull, Pulse, Runtime}
        pulse = next(question for question in signer.asked if isinstance(question, Pulse))
        assert (pulse.endpoint, pulse.best_block, pulse.trouble) == ("ws://scripted", 0, "")
        assert stage.ready == 1
        signer.asked.clear()
        await stage.connect()
        assert {type(question) for question in signer.asked} == {Pull, Pulse, Runtime}, "a new signer knows nothing"
        assert stage.ready == 1

    run(stage, body)


def test_every_round_of_pulses_is_a_sign_of_life(stage: Stage, signer: Any, kit: Any) -> None:
    async def body() -> None:
        before = stage.rounds
        await stage.connect()
        assert stage.rounds == before + 1, "the signer took a pulse"
        signer.connected = False
        stage.worker._pulse_wanted.set()
        await kit.settle()
        assert stage.rounds == before + 2, "the signer is away, which is not our death"

    run(stage, body)


def test_takes_an_intent_from_facts_to_the_pool(stage: Stage, signer: Any, chain: Any, kit: Any) -> None:
    sealed = kit.task(
        Action.SUBMIT, version=2, extrinsic=b"mine", extrinsic_hash="0x01", nonce=0, era_birth=0, era_death=16
    )
    signer.answers["seal"] = [sealed]

    async def body() -> None:
        await stage.connect(kit.task(Action.FACTS))
        assert chain.pool == [b"mine"]
        assert stage.runners == {"a1": Action.SUBMIT}

    run(stage, body)


def test_a_list_made_before_the_seal_starts_no_second_runner(stage: Stage, signer: Any, chain: Any, kit: Any) -> None:
    sealed = kit.task(
        Action.SUBMIT, version=2, extrinsic=b"mine", extrinsic_hash="0x01", nonce=0, era_birth=0, era_death=16
    )
    signer.answers["seal"] = [sealed]

    async def body() -> None:
        await stage.connect(kit.task(Action.FACTS))
        await stage.work(kit.task(Action.FACTS))
        assert sum(isinstance(question, Seal) for question in signer.asked) == 1
        assert stage.runners == {"a1": Action.SUBMIT}

    run(stage, body)


def test_starts_everything_anew_after_a_reconnect(stage: Stage, signer: Any, chain: Any, kit: Any) -> None:
    task = kit.task(Action.FACTS, not_before_block=99)

    async def body() -> None:
        await stage.connect(task)
        first = stage.worker._runners["a1"]
        await stage.connect(task)
        assert stage.worker._runners["a1"] is not first
        assert first.job is not None
        assert first.job.cancelled()

    run(stage, body)


def test_stops_what_the_signer_no_longer_lists(stage: Stage, kit: Any) -> None:
    async def body() -> None:
        await stage.connect(kit.task(Action.READ_BACK, uid=1, reveal_round=1, intent="r"))
        assert stage.runners == {"r": Action.READ_BACK}
        await stage.work()
        assert stage.runners == {}

    run(stage, body)


def test_a_refused_seal_ends_the_runner_until_the_next_list(stage: Stage, signer: Any, kit: Any) -> None:
    signer.answers["seal"] = [Refusal("facts_refused", "absurd"), Refusal("facts_refused", "absurd")]

    async def body() -> None:
        await stage.connect(kit.task(Action.FACTS))
        assert stage.runners == {}
        assert sum(isinstance(question, Seal) for question in signer.asked) == 1
        await stage.work(kit.task(Action.FACTS))
        assert sum(isinstance(question, Seal) for question in signer.asked) == 2

    run(stage, body)
