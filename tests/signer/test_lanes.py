"""A nonce that finality shows consumed and that was not signed here: somebody else signs with this hotkey."""

from hashlib import sha256
from typing import Any

import pytest

from wallet_guard.ipc.admin import StatusAsk, Unlock
from wallet_guard.ipc.answers import Done, Refusal
from wallet_guard.ipc.chain import Action, Event, Task
from wallet_guard.ipc.intents import State
from wallet_guard.signer import admin
from wallet_guard.signer.journal import Journal, SignedExtrinsic
from wallet_guard.signer.keys import Key
from wallet_guard.signer.lanes import Lanes
from wallet_guard.signer.lockdown import LockedError

BLOCK = {"block_hash": "0x" + "ab" * 32, "block_number": 5_001}
NAME = "validator/default"


def look(bench: Any, netuid: int, *, final: int, nonce: int | None = None, at: int = 0) -> Any:
    """Asks to seal a new intent by facts of ``at`` blocks later."""
    intent = bench.accepted(netuid=netuid)
    return intent, again(bench, intent, final=final, nonce=nonce, at=at)


def again(bench: Any, intent: str, *, final: int, nonce: int | None = None, at: int = 0) -> Any:
    bench.pass_time(10)
    nonce = final if nonce is None else nonce
    head = {"block_number": 5_000 + at, "era_block_number": 4_998 + at}
    return bench.seal(intent, nonce=nonce, finalized_nonce=final, **head)


def locked(bench: Any, alice: Key) -> str:
    return str(bench.desk.lanes.why(alice.ss58_address))


def lock(bench: Any) -> str:
    """A lane locked by facts; the intent that waits for it."""
    assert isinstance(look(bench, 1, final=7)[1], Task)
    intent, _ = look(bench, 2, final=9, at=1)
    assert again(bench, intent, final=9, at=2).code == "locked"
    return str(intent)


def test_what_was_used_before_the_first_contact_is_not_judged(bench: Any, alice: Key) -> None:
    """A hotkey that was used by hand for years, the last time a moment ago: not even final yet."""
    assert isinstance(look(bench, 1, final=812, nonce=815)[1], Task)
    assert isinstance(look(bench, 2, final=816, at=1)[1], Task)
    assert locked(bench, alice) == ""


def test_nonces_that_we_signed_are_ours_whatever_became_of_them(bench: Any, alice: Key) -> None:
    first, task = look(bench, 1, final=7)
    assert task.nonce == 7
    bench.report(first, Event.REJECTED, code="x")
    # Its bytes were out all the same: whoever had them brought them in.
    assert isinstance(look(bench, 2, final=8, at=1)[1], Task)
    assert isinstance(look(bench, 3, final=9, at=2)[1], Task)
    assert locked(bench, alice) == ""


def test_nonces_of_nodes_own_extrinsics_are_ours(bench: Any, alice: Key) -> None:
    assert isinstance(look(bench, 1, final=7)[1], Task)
    with bench.desk.journal.transaction() as writer:
        writer.add_extrinsic(alice.ss58_address, 8, SignedExtrinsic(sha256(b"").digest(), b"", bench.now), bench.now)
        writer.add_signature(alice.ss58_address, 8)
    # Dead by our clock, and taken before.
    assert isinstance(look(bench, 2, final=9, at=1)[1], Task)
    assert locked(bench, alice) == ""


def test_a_strange_nonce_must_show_at_two_finalized_blocks(bench: Any, alice: Key) -> None:
    assert isinstance(look(bench, 1, final=7)[1], Task)
    intent, said = look(bench, 2, final=9, at=1)
    assert (said.code, "nonce 8 is used on the chain" in said.message) == ("facts_refused", True)
    # The same block again proves nothing.
    assert again(bench, intent, final=9, at=1).code == "facts_refused"
    assert locked(bench, alice) == ""
    said = again(bench, intent, final=9, at=2)
    assert said.code == "locked"
    assert "nonce 8 is used on the chain, and was not signed here" in locked(bench, alice)
    assert bench.intent(intent).attempt == 0
    assert bench.kinds()[-1] == "key_locked"


def test_one_wrong_answer_of_a_node_locks_nothing(bench: Any, alice: Key) -> None:
    assert isinstance(look(bench, 1, final=7)[1], Task)
    intent, said = look(bench, 2, final=9, at=1)
    assert said.code == "facts_refused"
    assert isinstance(again(bench, intent, final=7, nonce=8, at=2), Task)
    # The doubt is over: another wrong answer begins anew.
    intent, said = look(bench, 3, final=10, at=3)
    assert said.code == "facts_refused"
    assert locked(bench, alice) == ""


def test_a_locked_key_signs_nothing_and_says_why(bench: Any, alice: Key) -> None:
    intent = lock(bench)
    with pytest.raises(LockedError, match="this hotkey is locked: nonce 8 is used"):
        bench.desk.keys.find(*NAME.split("/")).sign(b"anything")
    refusal = bench.accept(netuid=3)
    assert (refusal.code, f"hotkey {NAME} is locked" in refusal.message) == ("locked", True)
    assert f"unlock --key {NAME}" in refusal.hint
    # What was signed before and is not out yet stays in.
    assert [task.action for task in bench.pull()] == []
    bench.pass_time(10)
    assert [(task.intent, task.action) for task in bench.pull()] == [(intent, Action.FACTS)]
    (shown,) = admin.status(bench.desk, StatusAsk()).locked_keys
    assert (shown.wallet, shown.hotkey, shown.why) == ("validator", "default", locked(bench, alice))


def test_another_hotkey_goes_on(bench: Any) -> None:
    lock(bench)
    bench.desk.lanes.check("5Another")


def test_a_lock_outlives_a_restart(bench: Any, alice: Key) -> None:
    lock(bench)
    why = locked(bench, alice)
    assert Lanes(bench.desk.journal).why(alice.ss58_address) == why


def test_once_unlocked_the_lane_begins_anew(bench: Any, alice: Key) -> None:
    intent = lock(bench)
    assert admin.unlock(bench.desk, Unlock(key=NAME)) == Done()
    assert bench.kinds()[-1] == "key_unlocked"
    assert again(bench, intent, final=9, nonce=11, at=3).nonce == 11
    assert isinstance(look(bench, 3, final=12, at=4)[1], Task)
    assert locked(bench, alice) == ""
    # And is watched as before: 12 and 13 are ours or not there.
    intent = bench.accepted(netuid=1)
    assert again(bench, intent, final=15, at=5).code == "facts_refused"
    assert again(bench, intent, final=15, at=6).code == "locked"


def test_unlocking_names_a_key_that_is_there(bench: Any) -> None:
    assert admin.unlock(bench.desk, Unlock(key=NAME)) == Done()
    for name in ("validator/other", "validator", "/", "x" * 5_000):
        found = admin.unlock(bench.desk, Unlock(key=name))
        assert isinstance(found, Refusal)
        assert len(found.message) < 300


def test_an_unlock_of_all_leaves_a_key_locked(bench: Any, alice: Key) -> None:
    lock(bench)
    bench.desk.lockdown.engage("a test")
    assert admin.unlock(bench.desk, Unlock()) == Done()
    assert locked(bench, alice)


def test_a_nonce_taken_by_another_extrinsic_locks_at_once(bench: Any, alice: Key) -> None:
    intent, task = look(bench, 1, final=7)
    assert isinstance(task, Task)
    bench.report(intent, Event.SUPERSEDED)
    assert "nonce 7 was taken on the chain by an extrinsic that is not ours" in locked(bench, alice)


def test_a_nonce_taken_by_another_signature_of_ours_does_not_lock(bench: Any, alice: Key) -> None:
    """Signed twice under one nonce: the first was given up as outdated, and was taken after all."""
    intent, _ = look(bench, 1, final=7)
    bench.report(intent, Event.OUTDATED)
    bench.pass_time(16 * 12 + 61)
    assert bench.intent(intent).state is State.ACCEPTED
    assert again(bench, intent, final=7, at=20).nonce == 7
    bench.report(intent, Event.SUPERSEDED)
    assert locked(bench, alice) == ""


def test_a_reorganisation_locks_nothing(bench: Any, alice: Key) -> None:
    intent, _ = look(bench, 1, final=7)
    for _ in range(3):
        bench.report(intent, Event.IN_BLOCK, **BLOCK)
        bench.report(intent, Event.RETRACTED)
    bench.report(intent, Event.FINALIZED, **BLOCK)
    assert isinstance(look(bench, 2, final=8, at=9)[1], Task)
    # A node that has not come that far yet.
    assert isinstance(look(bench, 3, final=8, nonce=9, at=8)[1], Task)
    assert locked(bench, alice) == ""


def test_what_is_accounted_for_is_not_kept(bench: Any, alice: Key) -> None:
    for round_ in range(5):
        intent, task = look(bench, 1 + round_ % 3, final=7 + round_, at=round_)
        assert task.nonce == 7 + round_
        bench.report(intent, Event.FINALIZED, block_hash="0x" + "ab" * 32, block_number=5_001 + round_)
    journal = bench.desk.journal
    assert journal.lane(alice.ss58_address) == 11
    assert [journal.count_signatures(alice.ss58_address, nonce) for nonce in range(7, 13)] == [0, 0, 0, 0, 1, 0]


def test_a_lock_that_cannot_be_written_holds_all_the_same(bench: Any, alice: Key) -> None:
    intent, _ = look(bench, 1, final=7)
    bench.desk.journal.error = "a test"
    with pytest.raises(Exception, match="a test"):
        bench.desk.lanes.superseded(alice, bench.intent(intent), bench.now)
    assert locked(bench, alice)


def test_a_first_strange_nonce_is_found_wherever_it_is(tmp_path: Any) -> None:
    journal = Journal(tmp_path / "state")
    with journal.transaction() as writer:
        for nonce in (3, 4, 4, 6, 7):
            writer.add_signature("5G", nonce)
    assert journal.first_strange_nonce("5G", 3, 5) is None
    assert journal.first_strange_nonce("5G", 3, 8) == 5
    assert journal.first_strange_nonce("5G", 6, 9) == 8
    assert journal.first_strange_nonce("5G", 2, 5) == 2
    assert journal.first_strange_nonce("5G", 0, 2**31) == 0
    assert journal.first_strange_nonce("5H", 3, 5) == 3
    assert journal.count_signatures("5G", 4) == 2
    journal.close()


def test_facts_that_are_no_facts_never_get_as_far(bench: Any, alice: Key) -> None:
    assert isinstance(look(bench, 1, final=7)[1], Task)
    intent, _ = look(bench, 2, final=2**40, at=1)
    for at in range(2, 5):
        assert again(bench, intent, final=2**40, at=at).code == "facts_refused"
    assert locked(bench, alice) == ""
