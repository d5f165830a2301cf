"""Follow: every event in every state, and a clock under which no second signature is ever live."""

import dataclasses
from typing import Any

import pytest

from wallet_guard.ipc.admin import Unlock
from wallet_guard.ipc.answers import Done, Refusal
from wallet_guard.ipc.chain import Event, Report
from wallet_guard.ipc.intents import State
from wallet_guard.signer import admin, follow
from wallet_guard.signer.eras import DEATH_MARGIN_SECONDS
from wallet_guard.signer.journal import Intent

BLOCK = {"block_hash": "0xb1", "block_number": 5001}
ERA_SECONDS = 16 * 12

ROWS: dict[tuple[State, Event], State] = {
    (State.SIGNED, Event.SUBMITTED): State.SUBMITTED,
    (State.SIGNED, Event.REJECTED): State.FAILED,
    (State.SUBMITTED, Event.DROPPED): State.SIGNED,
    (State.SIGNED, Event.IN_BLOCK): State.IN_BLOCK,
    (State.SUBMITTED, Event.IN_BLOCK): State.IN_BLOCK,
    (State.IN_BLOCK, Event.IN_BLOCK): State.IN_BLOCK,
    (State.IN_BLOCK, Event.RETRACTED): State.SUBMITTED,
    (State.SIGNED, Event.FINALIZED): State.FINALIZED,
    (State.SUBMITTED, Event.FINALIZED): State.FINALIZED,
    (State.IN_BLOCK, Event.FINALIZED): State.FINALIZED,
}
"""What moves; every other pair of state and event leaves the state as it is."""


def brought_to(bench: Any, state: State) -> str:
    """An intent in that state, by the way that it comes there."""
    intent = bench.accepted()
    if state is State.ACCEPTED:
        return intent
    bench.sealed(intent)
    ways: dict[State, list[tuple[Event, dict[str, Any]]]] = {
        State.SIGNED: [],
        State.SUBMITTED: [(Event.SUBMITTED, {})],
        State.IN_BLOCK: [(Event.IN_BLOCK, BLOCK)],
        State.FINALIZED: [(Event.FINALIZED, BLOCK)],
        State.EFFECTIVE: [
            (Event.FINALIZED, BLOCK),
            (Event.WEIGHTS, {"weights": bench.intent(intent).weights}),
        ],
        State.FAILED: [(Event.REJECTED, {"code": "x"})],
    }
    if state is State.EXPIRED:
        bench.report(intent, Event.OUTDATED)
        bench.pass_time(400)
    else:
        for event, more in ways[state]:
            bench.report(intent, event, **more)
    assert bench.intent(intent).state is state
    return intent


@pytest.mark.parametrize("state", list(State))
@pytest.mark.parametrize("event", [event for event in Event if event is not Event.WEIGHTS])
def test_each_event_in_each_state(bench: Any, state: State, event: Event) -> None:
    intent = brought_to(bench, state)
    before = bench.intent(intent)
    more = {**BLOCK, "block_hash": "0xb2"} if event in (Event.IN_BLOCK, Event.FINALIZED) else {}
    assert bench.report(intent, event, code="x" if event is Event.REJECTED else None, **more) == Done()
    after = bench.intent(intent)
    assert after.state is ROWS.get((state, event), state)
    # Whatever was said: the bytes that are out there are the bytes that are stored.
    assert (after.extrinsic, after.nonce, after.attempt) == (before.extrinsic, before.nonce, before.attempt)
    if before.final:
        assert after == before


@pytest.mark.parametrize("state", [state for state in State if state is not State.FINALIZED])
def test_weights_are_read_back_only_once_final(bench: Any, state: State) -> None:
    intent = brought_to(bench, state)
    before = bench.intent(intent)
    bench.report(intent, Event.WEIGHTS, weights=((1, 1),))
    assert bench.intent(intent) == before


@pytest.mark.parametrize("event", list(Event))
def test_news_of_another_extrinsic_changes_nothing(bench: Any, event: Event) -> None:
    intent = brought_to(bench, State.SIGNED)
    before = bench.intent(intent)
    bench.report(intent, event, extrinsic_hash="0xother", **BLOCK)
    assert bench.intent(intent) == before


@pytest.mark.parametrize("number", [0, 4997, 4998 + 16, 2**32 - 1])
@pytest.mark.parametrize("event", [Event.IN_BLOCK, Event.FINALIZED])
def test_a_block_outside_the_era_holds_nothing(bench: Any, event: Event, number: int) -> None:
    intent = brought_to(bench, State.SIGNED)
    stored = bench.intent(intent)
    assert (stored.era_birth, stored.era_death) == (4998, 4998 + 16)
    bench.report(intent, event, block_hash="0x1", block_number=number)
    assert bench.intent(intent) == stored


@pytest.mark.parametrize("event", [Event.IN_BLOCK, Event.FINALIZED])
@pytest.mark.parametrize("block", [{}, {"block_hash": "0x1"}, {"block_number": 1}])
def test_a_block_without_a_place_is_none(bench: Any, event: Event, block: dict[str, Any]) -> None:
    intent = brought_to(bench, State.SUBMITTED)
    bench.report(intent, event, **block)
    assert bench.intent(intent).state is State.SUBMITTED


@pytest.mark.parametrize("number", [-1, 2**32, 2**63, 2**70])
def test_a_block_number_that_cannot_be_is_refused_and_ends_nothing(bench: Any, number: int) -> None:
    intent = brought_to(bench, State.SUBMITTED)
    found = bench.report(intent, Event.IN_BLOCK, block_hash="0x1", block_number=number)
    assert isinstance(found, Refusal)
    assert bench.intent(intent).state is State.SUBMITTED


def test_news_of_an_unknown_intent_is_refused(bench: Any) -> None:
    assert bench.report("nothing", Event.SUBMITTED).code == "unknown_intent"


def test_long_texts_are_cut(bench: Any) -> None:
    intent = brought_to(bench, State.SIGNED)
    bench.report(intent, Event.REJECTED, code="c" * 10_000, message="m" * 10_000)
    assert len(bench.intent(intent).failure.message) < 1_100
    other = brought_to(bench, State.SIGNED)
    bench.report(other, Event.IN_BLOCK, block_hash="0x" + "f" * 10_000, block_number=5001)
    assert len(bench.intent(other).block_hash) == 500


# Blocks ---------------------------------------------------------------------------------------------------------------


def test_the_same_block_told_twice_is_told_once(bench: Any) -> None:
    intent = brought_to(bench, State.IN_BLOCK)
    before, told = bench.intent(intent), len(bench.changes)
    bench.report(intent, Event.IN_BLOCK, **BLOCK)
    assert bench.intent(intent) == before
    assert len(bench.changes) == told


def test_a_retracted_block_is_forgotten_and_another_taken(bench: Any) -> None:
    intent = brought_to(bench, State.SUBMITTED)
    bench.report(intent, Event.IN_BLOCK, **BLOCK, code="Bad", message="it failed there")
    assert bench.intent(intent).failure.code == "dispatch_failed"
    bench.report(intent, Event.RETRACTED)
    stored = bench.intent(intent)
    assert (stored.block_hash, stored.block_number, stored.failure) == (None, None, None)
    bench.report(intent, Event.IN_BLOCK, block_hash="0xb2", block_number=5002)
    assert bench.intent(intent).failure is None


def test_a_dispatch_that_failed_is_a_failure_once_final(bench: Any) -> None:
    intent = brought_to(bench, State.SUBMITTED)
    bench.report(intent, Event.IN_BLOCK, **BLOCK, code="SettingWeightsTooFast", message="wait")
    assert bench.intent(intent).state is State.IN_BLOCK
    bench.report(intent, Event.FINALIZED, **BLOCK, code="SettingWeightsTooFast", message="wait")
    stored = bench.intent(intent)
    assert (stored.state, stored.failure.code) == (State.FAILED, "dispatch_failed")
    assert stored.failure.may_be_submitted
    assert "SettingWeightsTooFast: wait" in stored.failure.message


def test_a_refusal_by_the_pool_says_that_nothing_is_there(bench: Any) -> None:
    stored = bench.intent(brought_to(bench, State.FAILED))
    assert (stored.failure.code, stored.failure.may_be_submitted) == ("chain_rejected", False)


def test_a_dropped_extrinsic_is_sent_again_after_a_pause(bench: Any) -> None:
    intent = brought_to(bench, State.SUBMITTED)
    bench.report(intent, Event.DROPPED)
    assert bench.intent(intent).state is State.SIGNED
    assert not bench.pass_time(follow.RESEND_SECONDS - 1)
    assert bench.pass_time(1)
    assert not bench.pass_time(1)


def test_trouble_is_told_once_and_gone_with_the_next_news(bench: Any) -> None:
    intent = brought_to(bench, State.SIGNED)
    told = len(bench.changes)
    for _ in range(3):
        bench.report(intent, Event.TROUBLE, code="unavailable", message="no answer")
    assert bench.desk.view(bench.intent(intent)).trouble == "unavailable: no answer"
    assert len(bench.changes) == told + 1
    bench.report(intent, Event.SUBMITTED)
    assert bench.desk.view(bench.intent(intent)).trouble == ""


# Effective ------------------------------------------------------------------------------------------------------------


def test_weights_as_signed_are_effective_in_any_order_and_without_zeros(bench: Any) -> None:
    intent = brought_to(bench, State.FINALIZED)
    found = (*reversed(bench.intent(intent).weights), (77, 0))
    bench.report(intent, Event.WEIGHTS, weights=found, block_number=5001)
    assert bench.intent(intent).state is State.EFFECTIVE


@pytest.mark.parametrize("weights", [None, (), ((1, 21845),), ((1, 21845), (2, 43690), (3, 65534))])
def test_other_weights_than_were_signed_are_an_alarm(bench: Any, weights: Any) -> None:
    intent = brought_to(bench, State.FINALIZED)
    bench.report(intent, Event.WEIGHTS, weights=weights)
    stored = bench.intent(intent)
    assert (stored.state, stored.failure.code) == (State.FAILED, "not_effective")
    assert stored.failure.may_be_submitted


def test_weights_overtaken_by_our_own_in_the_same_block_were_effective(bench: Any) -> None:
    first, second = bench.accepted(weights=(1.0, 2.0, 3.0)), bench.accepted(weights=(3.0, 2.0, 1.0))
    for intent in (first, second):
        bench.sealed(intent, rate_limit=0)
    for intent in (first, second):
        bench.report(intent, Event.FINALIZED, **BLOCK)
    found = bench.intent(second).weights
    for intent in (first, second):
        bench.report(intent, Event.WEIGHTS, weights=found)
        assert bench.intent(intent).state is State.EFFECTIVE


def test_weights_replaced_by_our_own_earlier_ones_are_an_alarm(bench: Any) -> None:
    first, second = bench.accepted(weights=(1.0, 2.0, 3.0)), bench.accepted(weights=(3.0, 2.0, 1.0))
    for intent in (first, second):
        bench.sealed(intent, rate_limit=0)
    for intent in (first, second):
        bench.report(intent, Event.FINALIZED, **BLOCK)
    bench.report(second, Event.WEIGHTS, weights=bench.intent(first).weights)
    assert bench.intent(second).failure.code == "not_effective"


def test_a_commit_is_awaited_until_its_reveal_and_then_an_alarm(bench: Any) -> None:
    intent = bench.accepted()
    bench.sealed(intent, commit_reveal=True)
    bench.report(intent, Event.FINALIZED, **BLOCK)
    stored = bench.intent(intent)
    bench.report(intent, Event.WEIGHTS, weights=((9, 9),))
    assert bench.intent(intent).state is State.FINALIZED
    bench.clock[0] = 1_692_803_367_000 + (stored.reveal_round - 1) * 3000 - 500
    assert bench.pass_time(1)
    bench.clock[0] = stored.reveal_by_ms
    bench.pass_time(0)
    assert bench.intent(intent).state is State.FINALIZED
    bench.pass_time(0.001)
    found = bench.intent(intent)
    assert (found.state, found.failure.code) == (State.FAILED, "not_effective")


def test_a_commit_that_reveals_as_signed_is_effective(bench: Any) -> None:
    intent = bench.accepted()
    bench.sealed(intent, commit_reveal=True)
    bench.report(intent, Event.FINALIZED, **BLOCK)
    bench.report(intent, Event.WEIGHTS, weights=bench.intent(intent).weights)
    assert bench.intent(intent).state is State.EFFECTIVE


# Never a second live signature ----------------------------------------------------------------------------------------


def death_of(intent: Intent) -> float:
    assert intent.dead_ms is not None
    assert intent.signed_ms is not None
    return (intent.dead_ms - intent.signed_ms) / 1000


def test_a_signature_counts_as_dead_after_its_era_and_a_margin(bench: Any) -> None:
    intent = brought_to(bench, State.SUBMITTED)
    assert death_of(bench.intent(intent)) == ERA_SECONDS + DEATH_MARGIN_SECONDS


@pytest.mark.parametrize("state", [State.SIGNED, State.SUBMITTED])
@pytest.mark.parametrize(("lost", "nonce"), [(Event.OUTDATED, 7), (Event.SUPERSEDED, 9)])
def test_signed_anew_only_after_its_death_with_the_same_nonce_unless_superseded(
    bench: Any, state: State, lost: Event, nonce: int
) -> None:
    intent = brought_to(bench, state)
    first = bench.intent(intent)
    bench.report(intent, lost)
    seconds = ERA_SECONDS + DEATH_MARGIN_SECONDS
    for elapsed in range(0, int(seconds), 10):
        # Whatever is said until then, and however often a seal is asked for: the same bytes, or nothing.
        for event in (Event.OUTDATED, Event.SUPERSEDED, Event.REJECTED, Event.DROPPED, Event.SUBMITTED):
            bench.report(intent, event)
        found = bench.seal(intent, nonce=9)
        assert isinstance(found, Refusal) or found.extrinsic == first.extrinsic
        now = bench.intent(intent)
        assert (now.extrinsic, now.nonce, now.attempt) == (first.extrinsic, 7, 1), elapsed
        bench.pass_time(10)
    bench.pass_time(seconds - (bench.now - first.signed_ms) / 1000 + 0.001)
    renewed = bench.intent(intent)
    assert (renewed.state, renewed.extrinsic) == (State.ACCEPTED, None)
    # Its nonce was taken by another extrinsic than ours: the operator has looked into that.
    assert admin.unlock(bench.desk, Unlock(key="validator/default")) == Done()
    task = bench.sealed(intent, nonce=9, finalized_nonce=7)
    assert (task.nonce, bench.intent(intent).attempt) == (nonce, 2)
    assert task.extrinsic != first.extrinsic


def test_a_nonce_kept_is_given_up_once_finality_shows_it_consumed(bench: Any) -> None:
    intent = brought_to(bench, State.SUBMITTED)
    bench.report(intent, Event.OUTDATED)
    bench.pass_time(ERA_SECONDS + DEATH_MARGIN_SECONDS + 1)
    assert bench.sealed(intent, nonce=12, finalized_nonce=8).nonce == 12


def test_a_nonce_kept_is_nobody_elses_meanwhile(bench: Any) -> None:
    intent = brought_to(bench, State.SUBMITTED)
    bench.report(intent, Event.OUTDATED)
    bench.pass_time(ERA_SECONDS + DEATH_MARGIN_SECONDS + 1)
    assert bench.intent(intent).state is State.ACCEPTED
    assert bench.sealed(bench.accepted(netuid=1), nonce=7).nonce == 8
    assert bench.sealed(intent, nonce=7).nonce == 7


@pytest.mark.parametrize("found", [Event.IN_BLOCK, Event.FINALIZED])
def test_a_signature_given_up_and_then_found_is_the_intents_own(bench: Any, found: Event) -> None:
    intent = brought_to(bench, State.SUBMITTED)
    bench.report(intent, Event.SUPERSEDED)
    bench.report(intent, found, **BLOCK)
    stored = bench.intent(intent)
    assert not stored.lost
    assert stored.state is (State.IN_BLOCK if found is Event.IN_BLOCK else State.FINALIZED)
    bench.pass_time(10_000)
    assert bench.intent(intent).attempt == 1


def test_what_was_passed_by_after_its_deadline_expires(bench: Any) -> None:
    intent = brought_to(bench, State.SUBMITTED)
    bench.report(intent, Event.OUTDATED)
    bench.pass_time(301)
    stored = bench.intent(intent)
    assert (stored.state, stored.failure.code) == (State.EXPIRED, "expired")


def test_what_was_never_passed_by_is_never_signed_anew(bench: Any) -> None:
    intent = brought_to(bench, State.SUBMITTED)
    before = bench.intent(intent)
    bench.pass_time(1_000_000)
    assert bench.intent(intent) == before


def test_the_death_survives_a_restart(bench: Any) -> None:
    intent = brought_to(bench, State.SUBMITTED)
    bench.report(intent, Event.OUTDATED)
    bench.desk.trouble.clear()
    bench.desk.retry_ms.clear()
    bench.desk.last_tick_ms = 0
    bench.pass_time(ERA_SECONDS)
    assert bench.intent(intent).state is State.SUBMITTED
    bench.pass_time(DEATH_MARGIN_SECONDS + 1)
    assert bench.intent(intent).state is State.ACCEPTED


# Time -----------------------------------------------------------------------------------------------------------------


def test_an_intent_that_nobody_could_sign_expires_with_the_reason(bench: Any) -> None:
    intent = bench.accepted()
    bench.report(intent, Event.TROUBLE, code="unavailable", message="no endpoint answers")
    bench.pass_time(300)
    assert bench.intent(intent).state is State.ACCEPTED
    bench.pass_time(0.001)
    stored = bench.intent(intent)
    assert (stored.state, stored.failure.may_be_submitted) == (State.EXPIRED, False)
    assert "no endpoint answers" in stored.failure.message
    assert bench.desk.trouble == {}


def test_every_step_is_in_the_audit_chain(bench: Any) -> None:
    intent = brought_to(bench, State.SUBMITTED)
    bench.report(intent, Event.IN_BLOCK, **BLOCK)
    bench.report(intent, Event.RETRACTED)
    bench.report(intent, Event.FINALIZED, **BLOCK)
    bench.report(intent, Event.WEIGHTS, weights=bench.intent(intent).weights)
    assert bench.kinds() == [
        *("client_added", "accepted", "signed", "submitted", "in_block", "retracted", "finalized", "effective")
    ]


def test_a_step_that_cannot_be_written_is_not_told(bench: Any) -> None:
    intent = brought_to(bench, State.SIGNED)
    told = len(bench.changes)
    bench.desk.journal.error = "disk I/O error"
    with pytest.raises(Exception, match="disk I/O error"):
        follow.report(bench.desk, Report(intent, Event.SUBMITTED))
    assert len(bench.changes) == told
    bench.desk.journal.error = ""
    assert bench.intent(intent).state is State.SIGNED


def test_the_pulse_is_remembered(bench: Any) -> None:
    pulse = follow.Pulse("ws://x", 10, 8, "")
    assert follow.pulse(bench.desk, pulse) == Done()
    assert bench.desk.chain.pulse == pulse
    assert bench.desk.chain.pulse_ms == bench.now
    follow.pulse(bench.desk, dataclasses.replace(pulse, trouble="t" * 10_000))
    assert len(bench.desk.chain.pulse.trouble) == 500
