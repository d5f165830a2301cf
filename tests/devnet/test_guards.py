import pytest

from wallet_guard.devnet import guards
from wallet_guard.devnet.refusals import custom_error
from wallet_guard.devnet.subnets import CallError

S = "SubtensorModule"
BOB = "5FHneW46xGXgs5mUiveU4sbTyGBzmstUspZC92UhjJM694ty"
CHARLIE = "5FLSigC9HGRKVhB9FiEo4Y3koPsNmBmLJbpXg2mp1hXcS59Y"
STRANGER = "5C62Ck4UrFPiBtoCmeSrgF7x9yv9mn38446dhCpsi2mLHiFT"
WEIGHTS = {"netuid": 2, "dests": [1], "weights": [1], "version_key": 0}
COMMIT = {"netuid": 3, "commit": "0x00", "reveal_round": 9, "commit_reveal_version": 4}
AXON = {"netuid": 2, "version": 1, "ip": 0x08080808, "port": 8091, "ip_type": 4}


def custom(state, function, hotkey, arguments, pallet=S) -> str | None:
    """What the pool says."""
    with pytest.raises(CallError) as caught:
        guards.check(state, pallet, function, hotkey, arguments)
    return custom_error(caught.value.name).data


def test_passes_what_may_be_done(state):
    guards.check(state, S, "set_weights", BOB, WEIGHTS)
    guards.check(state, S, "commit_timelocked_weights", BOB, COMMIT)
    guards.check(state, S, "serve_axon", CHARLIE, AXON)
    guards.check(state, "Commitments", "set_commitment", CHARLIE, {"netuid": 2})
    guards.check(state, "Balances", "transfer_keep_alive", STRANGER, {})


def test_refuses_weights_without_stake(state):
    for function, arguments in (("set_weights", WEIGHTS), ("commit_timelocked_weights", COMMIT)):
        assert custom(state, function, CHARLIE, arguments) == "Custom error: 1"


def test_refuses_weights_within_the_rate_limit(state):
    state.put(S, "LastUpdate", 2, value=[0, 3] + [0] * 14)
    state.put(S, "WeightsSetRateLimit", 2, value=2)
    assert custom(state, "set_weights", BOB, WEIGHTS) == "Custom error: 6"
    state.put(S, "WeightsSetRateLimit", 2, value=1)
    guards.check(state, S, "set_weights", BOB, WEIGHTS)


def test_refuses_commits_within_the_rate_limit(state):
    state.put(S, "LastUpdate", 3, value=[0, 3] + [0] * 14)
    state.put(S, "WeightsSetRateLimit", 3, value=100)
    assert custom(state, "commit_timelocked_weights", BOB, COMMIT) == "Custom error: 6"


def test_plain_weights_for_commit_reveal_are_refused_at_dispatch_only(state):
    state.put(S, "LastUpdate", 3, value=[0, 3] + [0] * 14)
    state.put(S, "WeightsSetRateLimit", 3, value=100)
    guards.check(state, S, "set_weights", BOB, WEIGHTS | {"netuid": 3})


def test_refuses_a_reveal_round_that_has_passed(state):
    state.put("Drand", "LastStoredRound", value=10)
    assert custom(state, "commit_timelocked_weights", BOB, COMMIT) == "Custom error: 15"


SERVING = {
    "stranger": (STRANGER, {}, "Custom error: 10"),
    "no such subnet": (BOB, {"netuid": 9}, "Custom error: 10"),
    "ip type": (BOB, {"ip_type": 5}, "Custom error: 255"),
    "localhost": (BOB, {"ip": 0x7F000001}, "Custom error: 11"),
    "broadcast": (BOB, {"ip": 0xFFFFFFFF}, "Custom error: 11"),
    "six, localhost": (BOB, {"ip_type": 6, "ip": 1}, "Custom error: 11"),
    "no port": (BOB, {"port": 0}, "Custom error: 13"),
}


@pytest.mark.parametrize(("hotkey", "changed", "data"), SERVING.values(), ids=SERVING)
def test_refuses_endpoints(state, hotkey, changed, data):
    assert custom(state, "serve_axon", hotkey, AXON | changed) == data
    assert custom(state, "serve_prometheus", hotkey, AXON | changed) == data


def test_an_axon_may_have_no_address_but_prometheus_must(state):
    guards.check(state, S, "serve_axon", BOB, AXON | {"ip": 0})
    assert custom(state, "serve_prometheus", BOB, AXON | {"ip": 0}) == "Custom error: 11"


def test_refuses_endpoints_within_the_rate_limit(state):
    state.put(S, "ServingRateLimit", 2, value=10)
    extra = {"protocol": 0, "placeholder1": 0, "placeholder2": 0}
    served = {name: value for name, value in AXON.items() if name != "netuid"} | extra
    state.put(S, "Axons", 2, BOB, value=served | {"block": 1})
    assert custom(state, "serve_axon", BOB, AXON) == "Custom error: 12"
    state.put("System", "Number", value=11)
    guards.check(state, S, "serve_axon", BOB, AXON)


def test_refuses_commitments_of_strangers_and_for_no_subnet(state):
    assert custom(state, "set_commitment", STRANGER, {"netuid": 2}, "Commitments") == "Custom error: 19"
    assert custom(state, "set_commitment", BOB, {"netuid": 9}, "Commitments") == "Custom error: 3"


def test_only_limited_commits_have_a_tag(state):
    assert guards.pool_tag(state, S, "commit_timelocked_weights", BOB, COMMIT) is None
    state.put(S, "WeightsSetRateLimit", 3, value=1)
    assert guards.pool_tag(state, S, "commit_timelocked_weights", BOB, COMMIT) == (BOB, 3)
    assert guards.pool_tag(state, S, "commit_timelocked_mechanism_weights", BOB, COMMIT | {"mecid": 1}) == (BOB, 4099)
    assert guards.pool_tag(state, S, "set_weights", BOB, WEIGHTS) is None
