import pytest

from wallet_guard.devnet import subnets
from wallet_guard.devnet.subnets import CallError

S = "SubtensorModule"


def at(state, block: int):
    state.put("System", "Number", value=block)
    return subnets.run_epochs(state)


def test_knows_the_mechanisms_of_a_subnet(state):
    subnets.ensure_mechanism_exists(state, 4, 1)
    with pytest.raises(CallError, match="MechanismDoesNotExist"):
        subnets.ensure_mechanism_exists(state, 4, 2)
    with pytest.raises(CallError, match="SubnetNotExists"):
        subnets.ensure_mechanism_exists(state, 7, 0)


def test_an_epoch_runs_when_the_tempo_has_passed(state):
    state.put(S, "Tempo", 2, value=10)
    state.put(S, "LastEpochBlock", 2, value=100)
    at(state, 109)
    assert (state.get(S, "SubnetEpochIndex", 2), subnets.next_epoch(state, 2)) == (0, 110)
    at(state, 110)
    assert state.get(S, "SubnetEpochIndex", 2) == 1
    assert state.get(S, "LastEpochBlock", 2) == 110
    assert state.get(S, "BlocksSinceLastStep", 2) == 0
    assert subnets.next_epoch(state, 2) == 120


def test_a_pending_epoch_runs_earlier(state):
    state.put(S, "PendingEpochAt", 2, value=20)
    assert subnets.next_epoch(state, 2) == 20
    at(state, 20)
    assert (state.get(S, "LastEpochBlock", 2), state.get(S, "PendingEpochAt", 2)) == (20, 0)


def test_without_a_tempo_there_are_no_epochs(state):
    state.put(S, "Tempo", 2, value=0)
    assert subnets.next_epoch(state, 2) is None
    at(state, 100_000)
    assert state.get(S, "SubnetEpochIndex", 2) == 0


def test_epochs_beyond_the_blocks_budget_wait_a_block(state):
    state.put(S, "MaxEpochsPerBlock", value=1)
    events = at(state, 360)
    assert [event["EpochDeferred"]["netuid"] for event in events] == [2, 3, 4, 5, 6]
    assert state.get(S, "SubnetEpochIndex", 1) == 1
    at(state, 361)
    assert state.get(S, "SubnetEpochIndex", 2) == 1


def test_a_commit_in_the_block_of_an_epoch_belongs_to_the_next(state):
    state.put("System", "Number", value=359)
    assert subnets.current_epoch(state, 3) == 0
    state.put("System", "Number", value=360)
    assert subnets.current_epoch(state, 3) == 1


def test_commits_are_forgotten_an_epoch_after_that_of_their_reveal(state):
    account = state.get(S, "Keys", 3, 1)
    state.put(S, "TimelockedWeightCommits", 3, 0, value=[(account, 1, "0x00", 9)])
    state.put(S, "Tempo", 3, value=10)
    for block in range(4, 20):
        at(state, block)
    assert state.get(S, "SubnetEpochIndex", 3) == 1
    assert state.has(S, "TimelockedWeightCommits", 3, 0)
    at(state, 20)
    assert state.get(S, "SubnetEpochIndex", 3) == 2
    assert not state.has(S, "TimelockedWeightCommits", 3, 0)


def test_the_first_weights_are_never_too_fast(state):
    state.put(S, "WeightsSetRateLimit", 2, value=100)
    assert subnets.weights_rate_allows(state, 2, 0, 1)
    subnets.touch(state, 2, 1)
    assert not subnets.weights_rate_allows(state, 2, 0, 1)
    assert subnets.weights_rate_allows(state, 2, 0, 2)
