"""What a chain process may say, and no more: each bound at its edge, each contradiction, and anything at all."""

import dataclasses
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wallet_guard.ipc.chain import Facts
from wallet_guard.signer.compose import Runtime, TimelockError
from wallet_guard.signer.facts import _BOUNDS, FactsError, Known, check_facts
from wallet_guard.signer.keys import Key

BOUNDED = sorted(name for name in _BOUNDS if name != "uid")


@pytest.fixture(scope="module")
def known(facts: Facts) -> Known:
    return Known(genesis_hash=facts.genesis_hash, block_time_ms=12_000, lowest_nonce=0, best_block=0)


def refused(facts: Facts, known: Known, **changes: Any) -> str:
    with pytest.raises(FactsError) as caught:
        check_facts(dataclasses.replace(facts, **changes), known)
    return str(caught.value)


def test_takes_what_a_chain_says(facts: Facts, known: Known) -> None:
    check_facts(facts, known)
    check_facts(dataclasses.replace(facts, commit_reveal=True), known)
    check_facts(dataclasses.replace(facts, uid=None), known)


@pytest.mark.parametrize("field", BOUNDED)
@pytest.mark.parametrize("value", [-1, -(2**70), 2**64, 2**200])
def test_refuses_every_number_that_is_out_of_range(facts: Facts, known: Known, field: str, value: int) -> None:
    said = refused(facts, known, **{field: value})
    assert said.startswith(f"{field}: expected 0 to ")
    assert len(said) < 120


def test_bounds_every_number_there_is() -> None:
    numbers = {
        entry.name for entry in dataclasses.fields(Facts) if entry.type in (int, "int", int | None, "int | None")
    }
    assert numbers == _BOUNDS.keys()


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"genesis_hash": bytes(32)}, "genesis: expected 0x"),
        ({"genesis_hash": b""}, "genesis: expected 0x"),
        ({"genesis_hash": bytes(100_000)}, "genesis: expected 0x"),
        ({"era_block_hash": bytes(31)}, "era_block_hash: expected 32 bytes, found 31"),
        ({"uid": 65536}, "uid: expected 0 to 65535"),
        ({"uids": (("a", 1), ("b", 65536))}, "uids: expected 0 to 65535"),
        ({"uids": (("a", -1),)}, "uids: expected 0 to 65535"),
        ({"block_time_ms": 2_999}, "block_time_ms: expected 3000 to 48000"),
        ({"block_time_ms": 48_001}, "block_time_ms: expected 3000 to 48000"),
        ({"era_block_number": 5_001}, "block_number: expected the finalized 5001"),
        ({"era_block_number": 3_999}, "at most 1000 more, found 5000"),
        ({"last_update": 5_001}, "last_update: expected at most the head 5000"),
        ({"nonce": 6}, "nonce: expected at least the finalized 7, found 6"),
        ({"commit_reveal": True, "tempo": 0}, "tempo: expected at least 1"),
        ({"commit_reveal": True, "reveal_period_epochs": 0}, "reveal_period_epochs: expected at least 1"),
        ({"commit_reveal": True, "last_epoch_block": 5_001}, "last_epoch_block: expected at most the head"),
        ({"commit_reveal": True, "pending_epoch_at": 5_362}, "pending_epoch_at: expected at most one tempo"),
        ({"commit_reveal": True, "blocks_since_last_step": 5_001}, "blocks_since_last_step: expected at most"),
    ],
)
def test_refuses_and_names_the_field(facts: Facts, known: Known, changes: dict[str, Any], says: str) -> None:
    assert says in refused(facts, known, **changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"block_time_ms": 3_000},
        {"block_time_ms": 48_000},
        {"era_block_number": 5_000},
        {"era_block_number": 4_000},
        {"last_update": 5_000},
        {"commit_reveal": True, "pending_epoch_at": 5_361},
        {"commit_reveal": False, "tempo": 0, "reveal_period_epochs": 0},
        {"weights_version_key": 2**64 - 1},
    ],
)
def test_takes_the_last_value_inside(facts: Facts, known: Known, changes: dict[str, Any]) -> None:
    check_facts(dataclasses.replace(facts, **changes), known)


def test_a_node_behind_what_is_known_to_be_final_is_refused(facts: Facts, known: Known) -> None:
    held = dataclasses.replace(known, lowest_nonce=8, lowest_nonce_block=facts.era_block_number + 1)
    assert "finalized_nonce: expected at least 8, found 7" in refused(facts, held)
    check_facts(dataclasses.replace(facts, nonce=8, finalized_nonce=8), held)


def test_one_lie_about_finality_does_not_shut_out_a_node_that_has_come_past_it(facts: Facts, known: Known) -> None:
    lied_to = dataclasses.replace(known, lowest_nonce=9_000, lowest_nonce_block=facts.era_block_number)
    check_facts(dataclasses.replace(facts, nonce=8, finalized_nonce=8), lied_to)


def test_a_nonce_far_ahead_of_what_was_used_is_refused(facts: Facts, known: Known) -> None:
    held = dataclasses.replace(known, lowest_nonce=7)
    check_facts(dataclasses.replace(facts, nonce=10_007), held)
    assert "nonce: expected at most 10007" in refused(facts, held, nonce=10_008)


def test_a_head_far_behind_the_one_seen_before_is_refused(facts: Facts, known: Known) -> None:
    check_facts(facts, dataclasses.replace(known, best_block=6_000))
    assert "expected about 6001" in refused(facts, dataclasses.replace(known, best_block=6_001))


INTEGERS = st.one_of(st.integers(-(2**70), 2**70), st.integers(0, 70_000), st.sampled_from([0, 1, 2**16, 2**32 - 1]))


@st.composite
def near_facts(draw: Any) -> dict[str, Any]:
    """Facts in which some fields are anything at all."""
    names = draw(st.lists(st.sampled_from([*BOUNDED, "uid"]), max_size=6, unique=True))
    return {"commit_reveal": draw(st.booleans()), **{name: draw(INTEGERS) for name in names}}


@settings(max_examples=400, deadline=None)
@given(changes=near_facts())
def test_any_facts_end_in_a_refusal_or_in_bounded_work(
    facts: Facts, known: Known, runtime: Runtime, alice: Key, changes: dict[str, Any]
) -> None:
    said = dataclasses.replace(facts, **changes)
    started = time.process_time()
    try:
        check_facts(said, known)
        if said.commit_reveal:
            runtime.commit_timelocked(alice.public_key, said, (2, 0), ([1], [65535]), 0)
    except (FactsError, TimelockError):
        pass
    assert time.process_time() - started < 5.0


@pytest.mark.parametrize(
    "changes",
    [
        {"tempo": 1, "reveal_period_epochs": 100},
        {"tempo": 50_400, "reveal_period_epochs": 100},
        {"tempo": 1, "reveal_period_epochs": 100, "last_epoch_block": 0, "blocks_since_last_step": 5_000},
        {"tempo": 50_400, "pending_epoch_at": 55_401, "last_epoch_block": 0},
    ],
)
def test_the_slowest_schedule_that_passes_is_simulated_at_once(
    facts: Facts, known: Known, runtime: Runtime, alice: Key, changes: dict[str, Any]
) -> None:
    said = dataclasses.replace(facts, commit_reveal=True, **changes)
    check_facts(said, known)
    started = time.process_time()
    runtime.commit_timelocked(alice.public_key, said, (2, 0), ([1], [65535]), 0)
    assert time.process_time() - started < 5.0
