"""The certificate: what is asked, when, and what follows a signer that is locked or away."""

import asyncio
from types import SimpleNamespace

import pytest

from wallet_guard.hub import session as module
from wallet_guard.hub.session import Session, watch
from wallet_guard.ipc.answers import Refusal, RefusedError
from wallet_guard.ipc.asker import Unavailable
from wallet_guard.ipc.health import Health
from wallet_guard.ipc.signatures import SessionView


class Signer:
    """Answers as it is told to: a lock's reason, or an error."""

    def __init__(self, kit):
        self.kit = kit
        self.locked = ""
        self.error = None
        self.asked = []

    async def ask(self, question, *, seconds):
        self.asked.append(question)
        if self.error is not None:
            raise self.error
        if isinstance(question, Health):
            return SimpleNamespace(locked=self.locked)
        if self.locked:
            raise RefusedError(Refusal("locked", self.locked))
        key = SimpleNamespace(public_key=question.key)
        text = self.kit.certificate(self.kit.VALIDATOR, key, purpose=self.kit.Purpose.HUB)
        return SessionView(text, "0" * 32, 0)

    def certificates(self):
        return sum(not isinstance(question, Health) for question in self.asked)


class Relay:
    def __init__(self):
        self.suspended = ""
        self.is_due = False
        self.done = []

    def suspend(self, why):
        self.suspended = why
        self.done.append("suspend")

    def resume(self, speaker):
        self.suspended, self.is_due = "", False
        self.done.append(speaker.hotkey)

    def tidy(self):
        self.done.append("tidy")


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    for name in ("LOOK_SECONDS", "FIRST_PAUSE_SECONDS", "LONGEST_PAUSE_SECONDS"):
        monkeypatch.setattr(module, name, 0.001)


def watched(kit, signer, relay, until):
    async def scene():
        watching = asyncio.ensure_future(watch(Session(signer, "validator/default", 2), relay))
        await kit.until(until)
        watching.cancel()

    kit.run(scene())


def test_each_speaker_has_a_key_of_its_own(kit):
    signer = Signer(kit)
    made = Session(signer, "validator/default", 2)
    first, second = asyncio.run(made.speaker()), asyncio.run(made.speaker())
    assert first.name != second.name
    assert first.hotkey == kit.VALIDATOR.ss58_address
    assert (signer.asked[0].wallet, signer.asked[0].hotkey, signer.asked[0].netuid) == ("validator", "default", 2)


def test_the_first_is_waited_for_and_a_locked_signer_is_not_asked_for_one(kit):
    signer, alive = Signer(kit), []
    signer.locked = "a drill"

    async def scene():
        asking = asyncio.ensure_future(Session(signer, "v/d", 2).first(lambda: alive.append(1)))
        await kit.until(lambda: len(alive) > 3)
        assert signer.certificates() == 0
        signer.locked, signer.error = "", Unavailable("away", asked=False)
        before = len(alive)
        await kit.until(lambda: len(alive) > before + 3)
        signer.error = None
        assert (await asking).hotkey == kit.VALIDATOR.ss58_address

    kit.run(scene())


def test_a_lock_suspends_and_its_end_resumes(kit):
    signer, relay = Signer(kit), Relay()
    signer.locked = "a drill"
    watched(kit, signer, relay, lambda: relay.done.count("tidy") >= 2)
    assert relay.suspended == "the signer is locked: a drill"
    assert signer.certificates() == 0
    signer.locked = ""
    watched(kit, signer, relay, lambda: not relay.suspended)


def test_a_signer_that_is_away_is_none_that_is_locked(kit):
    signer, relay = Signer(kit), Relay()
    signer.error = Unavailable("away", asked=False)
    watched(kit, signer, relay, lambda: len(relay.done) >= 3)
    assert set(relay.done) == {"tidy"}


def test_it_renews_when_it_is_time(kit):
    signer, relay = Signer(kit), Relay()
    relay.is_due = True
    watched(kit, signer, relay, lambda: not relay.is_due)
    assert signer.certificates() == 1
