"""What the journal answers."""

from typing import Any

import pytest

from wallet_guard.ipc.intents import State
from wallet_guard.signer.journal import Journal


@pytest.mark.parametrize(
    ("state", "changes", "held"),
    [
        (State.ACCEPTED, {"nonce": 5}, False),
        (State.ACCEPTED, {"nonce": 5, "keep_nonce": True}, True),
        (State.SIGNED, {"nonce": 5}, True),
        (State.SIGNED, {"nonce": 5, "lost": True}, True),
        (State.SUBMITTED, {"nonce": 5}, True),
        (State.IN_BLOCK, {"nonce": 5}, True),
        (State.FINALIZED, {"nonce": 5}, False),
        (State.EFFECTIVE, {"nonce": 5}, False),
        (State.FAILED, {"nonce": 5}, False),
        (State.EXPIRED, {"nonce": 5}, False),
    ],
)
def test_a_nonce_is_held_while_its_signature_may_be_taken(
    journal: Journal, state: State, changes: dict[str, Any], held: bool, an_intent: Any, add: Any
) -> None:
    add(journal, an_intent(state=state, **changes))
    assert journal.nonces_in_flight("5G", "") == ({5} if held else set())
    assert journal.nonces_in_flight("5G", "a") == set()
    assert journal.nonces_in_flight("5H", "") == set()


def test_the_lowest_nonce_is_one_above_what_is_final(journal: Journal, an_intent: Any, add: Any) -> None:
    assert journal.lowest_nonce("5G") == 0
    add(journal, an_intent("a", state=State.SUBMITTED, nonce=9, block_hash="0x"))
    add(journal, an_intent("b", state=State.FAILED, nonce=8))
    assert journal.lowest_nonce("5G") == 0
    add(journal, an_intent("c", state=State.EFFECTIVE, nonce=5, block_hash="0x"))
    add(journal, an_intent("d", state=State.FAILED, nonce=6, block_hash="0x"))
    assert journal.lowest_nonce("5G") == 7
    assert journal.lowest_nonce("5H") == 0


def test_the_last_signed_of_a_slot_is_its_newest_that_may_have_been_taken(
    journal: Journal, an_intent: Any, add: Any
) -> None:
    add(journal, an_intent("a", state=State.EFFECTIVE, signed_ms=10))
    add(journal, an_intent("b", state=State.SUBMITTED, signed_ms=20))
    add(journal, an_intent("c", state=State.FAILED, signed_ms=30))
    add(journal, an_intent("d", state=State.SIGNED, signed_ms=40, mechid=1))
    found = journal.last_signed("5G", 2, 0)
    assert found is not None
    assert found.id == "b"
    assert journal.last_signed("5G", 3, 0) is None


def test_counts(journal: Journal, an_intent: Any, add: Any) -> None:
    add(journal, an_intent("a", accepted_ms=100))
    add(journal, an_intent("b", accepted_ms=200, state=State.FAILED))
    add(journal, an_intent("c", accepted_ms=300, client="other"))
    assert (journal.count_open(), journal.count_open("node")) == (2, 1)
    assert journal.count_accepted("node", 100) == 2
    assert journal.count_accepted("node", 101) == 1
    assert journal.counts_accepted("node", 100, "set_weights") == (2, 2)
    assert journal.counts_accepted("node", 100, "serve_axon") == (2, 0)
    assert journal.counts_accepted("nobody", 0, "set_weights") == (0, 0)
    assert [intent.id for intent in journal.open_intents()] == ["a", "c"]
    assert [intent.id for intent in journal.newest_intents(2)] == ["c", "b"]


def test_commit_reveal_is_remembered_per_chain_and_subnet(journal: Journal) -> None:
    assert journal.commit_reveal("0x1", 2) is None
    for on in (True, False, True):
        with journal.transaction() as writer:
            writer.set_commit_reveal("0x1", 2, on)
        assert journal.commit_reveal("0x1", 2) is on
    assert journal.commit_reveal("0x2", 2) is None
    assert journal.commit_reveal("0x1", 3) is None


def test_unfinished_intents_are_counted_by_kind_state_and_timelock(journal: Journal, an_intent: Any, add: Any) -> None:
    add(journal, an_intent("a", state=State.SIGNED, reveal_round=7))
    add(journal, an_intent("b", state=State.SIGNED))
    add(journal, an_intent("c", state=State.SIGNED))
    add(journal, an_intent("d", state=State.FAILED))
    assert sorted(journal.count_open_by_state()) == [
        ("set_weights", "signed", False, 2),
        ("set_weights", "signed", True, 1),
    ]


def test_the_newest_effect_of_each_slot_is_found(journal: Journal, an_intent: Any, add: Any) -> None:
    effective = {"state": State.EFFECTIVE, "ss58_address": "5G"}
    add(journal, an_intent("a", signed_ms=1, block_number=10, **effective))
    add(journal, an_intent("b", signed_ms=2, block_number=20, **effective))
    add(journal, an_intent("c", signed_ms=3, block_number=30, state=State.FAILED, ss58_address="5G"))
    add(journal, an_intent("d", signed_ms=4, block_number=40, kind="serve_axon", **effective))
    add(journal, an_intent("e", signed_ms=5, block_number=50, netuid=3, mechid=1, **effective))
    assert sorted(journal.effective_slots(10)) == [
        ("validator", "default", 2, 0, 20),
        ("validator", "default", 3, 1, 50),
    ]
    assert len(journal.effective_slots(1)) == 1
