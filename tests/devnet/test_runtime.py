import pytest

from wallet_guard.devnet.runtime import State

S = "SubtensorModule"


def test_absent_items_have_their_default_or_are_none(runtime):
    state = State(runtime, lambda _key: None)
    assert state.get(S, "WeightsSetRateLimit", 2) == 100
    assert state.get(S, "Uids", 2, "5C62Ck4UrFPiBtoCmeSrgF7x9yv9mn38446dhCpsi2mLHiFT") is None
    assert not state.has(S, "WeightsSetRateLimit", 2)


def test_reads_back_what_was_written(runtime):
    state = State(runtime, lambda _key: None)
    state.put(S, "Weights", 2, 0, value=[(1, 2), (3, 4)])
    assert state.get(S, "Weights", 2, 0) == [(1, 2), (3, 4)]
    state.remove(S, "Weights", 2, 0)
    assert not state.has(S, "Weights", 2, 0)


def test_a_fork_changes_nothing_until_it_is_merged(runtime):
    state = State(runtime, lambda _key: None)
    state.put(S, "Tempo", 2, value=1)
    fork = state.fork()
    fork.put(S, "Tempo", 2, value=5)
    assert (state.get(S, "Tempo", 2), fork.get(S, "Tempo", 2)) == (1, 5)
    state.merge(fork)
    assert state.get(S, "Tempo", 2) == 5


def test_refuses_values_that_do_not_fit(runtime):
    state = State(runtime, lambda _key: None)
    with pytest.raises((ValueError, OverflowError)):
        state.put(S, "Tempo", 2, value=65_536)
    with pytest.raises(KeyError):
        state.get(S, "Nothing")


def test_names_module_errors_as_the_metadata_does(runtime):
    found = runtime.module_error(S, "SettingWeightsTooFast")["Module"]
    assert runtime.core.module_error(found["index"], found["error"][0])[0] == "SettingWeightsTooFast"


def test_the_version_record_is_a_nodes(runtime):
    version = runtime.version()
    assert (version["specName"], version["specVersion"], version["transactionVersion"]) == ("node-subtensor", 461, 1)
