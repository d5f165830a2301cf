"""Drafts: the call that a wish and facts make, without a key; or the reason why there is none, now or ever."""

import dataclasses
from typing import Any

import pytest

from wallet_guard.ipc.chain import Facts
from wallet_guard.ipc.wishes import ResetAxon, SetWeights
from wallet_guard.signer.compose import Runtime, TimelockError
from wallet_guard.signer.drafts import RATE_SLACK_BLOCKS, Drafted, DraftError, Ground, TooEarlyError, draft

NOW_MS = 1_795_240_000_000
GROUND = Ground(NOW_MS, 12_000.0, 0.5, None, 0, False)
WISH = SetWeights("validator", "default", 2, 0, (1, 2), None, (1.0, 3.0), 0)


def drafted(
    runtime: Runtime, facts: Facts, alice: Any, wish: Any = WISH, ground: Ground = GROUND, **changes: Any
) -> Drafted:
    speaker = (alice.ss58_address, alice.public_key)
    return draft(wish, dataclasses.replace(facts, **changes), runtime, speaker, ground)


def test_plain_weights_are_composed_as_they_are_signed(runtime: Runtime, facts: Facts, alice: Any) -> None:
    found = drafted(runtime, facts, alice)
    assert found.weights == ((1, 21845), (2, 65535))
    assert found.call.name == "SubtensorModule.set_weights"


def test_another_call_has_no_weights(runtime: Runtime, facts: Facts, alice: Any) -> None:
    found = drafted(runtime, facts, alice, ResetAxon("validator", "default", 2))
    assert (found.weights, found.call.name) == (None, "SubtensorModule.serve_axon")


@pytest.mark.parametrize(
    ("changes", "ground", "code"),
    [
        ({"uid": None}, {}, "not_registered"),
        ({"weights_version_key": 1}, {}, "version_key_too_low"),
        ({"min_allowed_weights": 3}, {}, "too_few_weights"),
        ({"max_weight_limit": 33000}, {"max_shift": 0.1}, "weights_shifted"),
        ({}, {"was_commit_reveal": True}, "commit_reveal_disabled"),
    ],
)
def test_what_no_later_fact_will_mend(
    runtime: Runtime, facts: Facts, alice: Any, changes: Any, ground: Any, code: str
) -> None:
    with pytest.raises(DraftError) as caught:
        drafted(runtime, facts, alice, ground=dataclasses.replace(GROUND, **ground), **changes)
    assert caught.value.code == code


def test_a_hotkey_is_looked_up_in_the_facts(runtime: Runtime, facts: Facts, alice: Any) -> None:
    wish = dataclasses.replace(WISH, uids=None, hotkeys=("5A", "5B"))
    with pytest.raises(DraftError, match="hotkey 5A is not registered"):
        drafted(runtime, facts, alice, wish)
    found = drafted(runtime, facts, alice, wish, uids=(("5A", 9), ("5B", 4)))
    assert found.weights == ((4, 65535), (9, 21845))


def test_the_subnets_interval_is_waited_for(runtime: Runtime, facts: Facts, alice: Any) -> None:
    with pytest.raises(TooEarlyError) as caught:
        drafted(runtime, facts, alice, rate_limit=100, last_update=facts.block_number - 40)
    assert caught.value.allowed_block == facts.block_number + 60
    assert caught.value.allowed_ms == NOW_MS + 60 * 12_000


def test_the_interval_runs_by_our_own_clock_too(runtime: Runtime, facts: Facts, alice: Any) -> None:
    least_ms = (100 - RATE_SLACK_BLOCKS) * 12_000
    early = dataclasses.replace(GROUND, last_ms=NOW_MS - least_ms + 1, last_rate_limit=100)
    with pytest.raises(TooEarlyError):
        drafted(runtime, facts, alice, ground=early)
    drafted(runtime, facts, alice, ground=dataclasses.replace(early, last_ms=NOW_MS - least_ms))


def test_a_reveal_in_the_past_is_no_draft(runtime: Runtime, facts: Facts, alice: Any) -> None:
    late = dataclasses.replace(GROUND, now_ms=NOW_MS + 10**12)
    with pytest.raises(TimelockError, match="reveal round"):
        drafted(runtime, facts, alice, ground=late, commit_reveal=True)
