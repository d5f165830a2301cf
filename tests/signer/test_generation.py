"""A journal that came back from a backup: locked for an era, and nothing of what was under way is signed again."""

import dataclasses
from typing import Any

import pytest

from wallet_guard.cli import backup
from wallet_guard.ipc.admin import StatusAsk, Unlock
from wallet_guard.ipc.answers import Done
from wallet_guard.ipc.chain import Event, Task
from wallet_guard.ipc.intents import State
from wallet_guard.signed.audit import verify_chain
from wallet_guard.signer import admin
from wallet_guard.signer.desk import Desk
from wallet_guard.signer.generation import COPIED_META, Generation, open_generation
from wallet_guard.signer.journal import JournalError
from wallet_guard.signer.keys import Key

BLOCK = {"block_hash": "0x" + "ab" * 32, "block_number": 5_001}
ERA_SECONDS = 128 * 12 + 60


@pytest.fixture
def restore(bench: Any) -> Any:
    """The journal as its copy is when it comes back; the desk that a start makes of it."""

    def come_back() -> None:
        with bench.desk.journal.transaction() as writer:
            writer.set_meta(COPIED_META, str(bench.now - 1_000))
        old = bench.desk
        bench.desk = Desk(old.config, old.keys, old.journal, now_ms=old.now_ms, random_hex=old.random_hex)
        bench.desk.chain.runtimes.update(old.chain.runtimes)
        bench.desk.last_tick_ms = bench.now

    return come_back


def brought_to(bench: Any, state: State, netuid: int) -> str:
    intent = bench.accepted(netuid=netuid, key=f"key-{netuid}")
    if state is not State.ACCEPTED:
        bench.sealed(intent)
    if state in (State.SUBMITTED, State.IN_BLOCK, State.FINALIZED):
        bench.report(intent, Event.SUBMITTED)
    if state in (State.IN_BLOCK, State.FINALIZED):
        bench.report(intent, Event.IN_BLOCK if state is State.IN_BLOCK else Event.FINALIZED, **BLOCK)
    assert bench.intent(intent).state is state
    return str(intent)


def unlock(bench: Any) -> Any:
    return admin.unlock(bench.desk, Unlock())


def test_the_mark_is_the_one_that_a_backup_makes() -> None:
    assert backup.COPIED_META == COPIED_META


def test_a_journal_that_was_never_copied_stays_as_it_is(bench: Any) -> None:
    assert bench.desk.generation == Generation(1, 0)
    assert bench.desk.lockdown.why == ""
    assert open_generation(bench.desk.journal, bench.now, 12_000) == Generation(1, 0)


def test_a_copy_opens_a_generation_once(bench: Any, restore: Any) -> None:
    restore()
    generation = bench.desk.generation
    assert generation == Generation(2, bench.now + ERA_SECONDS * 1000)
    bench.pass_time(5)
    assert open_generation(bench.desk.journal, bench.now, 12_000) == generation
    assert bench.kinds().count("restored") == 1
    restore()
    assert bench.desk.generation.number == 3
    assert admin.status(bench.desk, StatusAsk()).generation == 3
    assert verify_chain(bench.desk.journal.records()) == bench.desk.journal.audit_head


def test_it_is_locked_for_an_era_and_then_until_the_operator_says_so(bench: Any, restore: Any) -> None:
    restore()
    assert "restored from a backup: this is its generation 2" in bench.desk.lockdown.why
    assert bench.accept(netuid=1).code == "locked"
    bench.pass_time(60)
    refusal = unlock(bench)
    assert (refusal.code, refusal.retry_after_seconds) == ("too_early", ERA_SECONDS - 60)
    assert "another 25 min 36 s" in refusal.message
    assert "--force" in refusal.hint
    # Not a way round it: the operator's own lock on top.
    bench.desk.lockdown.engage("by the operator")
    assert unlock(bench).code == "too_early"
    bench.pass_time(ERA_SECONDS - 61)
    assert unlock(bench).code == "too_early"
    bench.pass_time(1)
    # Time alone does not open it.
    assert bench.accept(netuid=1).code == "locked"
    assert unlock(bench) == Done()
    assert bench.sealed(bench.accepted(netuid=1))


def test_force_opens_it_at_once_and_is_on_record(bench: Any, restore: Any) -> None:
    restore()
    assert admin.unlock(bench.desk, Unlock(force=True)) == Done()
    assert bench.desk.lockdown.why == ""
    assert bench.kinds()[-1] == "unlocked"
    newest = list(bench.desk.journal.records())[-1]
    assert '"forced":true' in newest.body


def test_a_hotkey_that_was_locked_stays_locked(bench: Any, restore: Any, alice: Key) -> None:
    with bench.desk.journal.transaction() as writer:
        writer.set_lane(alice.ss58_address, 7)
        writer.lock_lane(alice.ss58_address, "another guard signs with it")
    restore()
    assert admin.unlock(bench.desk, Unlock(force=True)) == Done()
    assert bench.accept(netuid=1).code == "locked"
    assert admin.unlock(bench.desk, Unlock(key="validator/default")) == Done()
    assert bench.sealed(bench.accepted(netuid=1))


@pytest.mark.parametrize("state", [State.ACCEPTED, State.SIGNED, State.SUBMITTED, State.IN_BLOCK])
def test_what_was_under_way_is_never_signed_again(bench: Any, restore: Any, state: State) -> None:
    intent = brought_to(bench, state, 1)
    before = bench.intent(intent)
    restore()
    after = bench.intent(intent)
    assert (after.state, after.failure.code, after.failure.may_be_submitted) == (State.FAILED, "restored", True)
    assert (after.extrinsic, after.nonce) == (before.extrinsic, before.nonce)
    admin.unlock(bench.desk, Unlock(force=True))
    bench.pass_time(10_000)
    assert bench.pull() == ()
    assert bench.intent(intent).attempt == before.attempt


def test_what_was_final_is_still_read_back(bench: Any, restore: Any) -> None:
    intent = brought_to(bench, State.FINALIZED, 1)
    restore()
    weights = bench.intent(intent).weights
    bench.report(intent, Event.WEIGHTS, weights=weights, block_number=5_002)
    assert bench.intent(intent).state is State.EFFECTIVE


def test_old_idempotency_keys_are_refused_whatever_they_were_for(bench: Any, restore: Any) -> None:
    intents = {
        netuid: brought_to(bench, state, netuid) for netuid, state in ((1, State.ACCEPTED), (2, State.FINALIZED))
    }
    restore()
    admin.unlock(bench.desk, Unlock(force=True))
    for netuid, intent in intents.items():
        refusal = bench.accept(netuid=netuid, key=f"key-{netuid}")
        assert (refusal.code, refusal.intent) == ("old_key", intent)
    # A key of this generation is answered as ever.
    first = bench.accept(netuid=3, key="new")
    assert bench.accept(netuid=3, key="new").intent == first.intent
    restore()
    admin.unlock(bench.desk, Unlock(force=True))
    assert bench.accept(netuid=3, key="new").code == "old_key"


@pytest.mark.parametrize("used_since", [0, 1, 5, 50_000])
def test_the_nonce_lane_begins_where_the_chain_is(bench: Any, restore: Any, alice: Key, used_since: int) -> None:
    """However much was signed after the backup: more than any jump that is believed otherwise."""
    brought_to(bench, State.FINALIZED, 1)
    restore()
    bench.pass_time(ERA_SECONDS + 1)
    assert unlock(bench) == Done()
    nonce = 8 + used_since
    task = bench.sealed(bench.accepted(netuid=2), nonce=nonce, finalized_nonce=nonce)
    assert task.nonce == nonce
    assert bench.desk.lanes.why(alice.ss58_address) == ""
    # From here on it is watched again.
    intent = bench.accepted(netuid=3)
    later = {"nonce": nonce + 3, "finalized_nonce": nonce + 3}
    assert bench.seal(intent, **later).code == "facts_refused"
    bench.pass_time(10)
    assert bench.seal(intent, block_number=5_001, era_block_number=4_999, **later).code == "locked"


def test_a_copys_own_nonces_do_not_hold_the_lane(bench: Any, restore: Any) -> None:
    """What the copy had in flight is in a block by now, or dead: its nonce is taken from the chain alone."""
    intent = brought_to(bench, State.SUBMITTED, 1)
    assert bench.intent(intent).nonce == 7
    restore()
    bench.pass_time(ERA_SECONDS + 1)
    assert unlock(bench) == Done()
    task = bench.sealed(bench.accepted(netuid=2), nonce=7, finalized_nonce=7)
    assert isinstance(task, Task)
    assert task.nonce == 7


def test_a_generation_that_cannot_be_written_is_not_opened(bench: Any) -> None:
    with bench.desk.journal.transaction() as writer:
        writer.set_meta(COPIED_META, "1")
    bench.desk.journal.error = "a test"
    with pytest.raises(JournalError):
        open_generation(bench.desk.journal, bench.now, 12_000)
    bench.desk.journal.error = ""
    assert bench.desk.journal.meta(COPIED_META) == "1"


def test_shorter_blocks_are_a_shorter_lock(bench: Any) -> None:
    config = dataclasses.replace(bench.desk.config.chain, block_time_seconds=0.25)
    with bench.desk.journal.transaction() as writer:
        writer.set_meta(COPIED_META, "1")
    assert open_generation(bench.desk.journal, 0, config.block_time_seconds * 1000).until_ms == 32_000 + 60_000
