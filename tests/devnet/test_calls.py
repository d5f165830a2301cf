from hashlib import blake2b

import pytest

from wallet_guard.devnet import calls
from wallet_guard.devnet.subnets import CallError

S = "SubtensorModule"
BOB = "5FHneW46xGXgs5mUiveU4sbTyGBzmstUspZC92UhjJM694ty"
CHARLIE = "5FLSigC9HGRKVhB9FiEo4Y3koPsNmBmLJbpXg2mp1hXcS59Y"
STRANGER = "5C62Ck4UrFPiBtoCmeSrgF7x9yv9mn38446dhCpsi2mLHiFT"


def weights(**changed):
    return {"netuid": 2, "dests": [1, 2, 3], "weights": [10, 20, 30], "version_key": 0} | changed


def refused(state, function, hotkey, arguments, pallet=S) -> str:
    with pytest.raises(CallError) as caught:
        calls.dispatch(state, pallet, function, hotkey, arguments)
    return caught.value.name


def put(state, **items):
    for name, (netuid, value) in items.items():
        state.put(S, name, netuid, value=value)


@pytest.mark.parametrize(
    ("values", "scaled"),
    [
        ([], []),
        ([0], [0]),
        ([65535, 3], [65535, 3]),
        ([1, 2], [32768, 65535]),
        ([100, 200, 300], [21845, 43690, 65535]),
    ],
)
def test_scales_weights_to_the_whole_u16(values, scaled):
    assert calls.upscaled(values) == scaled


@pytest.mark.parametrize(
    ("values", "limit", "within"),
    [([0, 0], 1, True), ([1, 1], 32768, True), ([1, 1], 32767, False), ([2, 1], 43690, True), ([2, 1], 43689, False)],
)
def test_measures_the_greatest_weight_against_the_sum(values, limit, within):
    assert calls.within_weight_limit(values, limit) is within


def test_sets_weights_and_the_block_of_the_last_update(state):
    events = calls.dispatch(state, S, "set_weights", BOB, weights())
    assert events == [{S: {"WeightsSet": (2, 1)}}]
    assert state.get(S, "Weights", 2, 1) == [(1, 21845), (2, 43690), (3, 65535)]
    assert state.get(S, "LastUpdate", 2)[1] == 4


def test_sets_weights_of_one_mechanism_only(state):
    calls.dispatch(state, S, "set_mechanism_weights", BOB, weights(netuid=4, mecid=1))
    assert state.get(S, "Weights", 4096 + 4, 1) != []
    assert state.get(S, "Weights", 4, 1) == []
    assert (state.get(S, "LastUpdate", 4100)[1], state.get(S, "LastUpdate", 4)[1]) == (4, 0)


REFUSALS = {
    "root": ({"CommitRevealWeightsEnabled": (0, False)}, weights(netuid=0), "CanNotSetRootNetworkWeights"),
    "unequal lengths": ({}, weights(weights=[1]), "WeightVecNotEqualSize"),
    "no subnet": ({"CommitRevealWeightsEnabled": (9, False)}, weights(netuid=9), "SubnetNotExists"),
    "no subnet, as it is": ({}, weights(netuid=9), "CommitRevealEnabled"),  # which is the item's default
    "no mechanism": ({}, weights(mecid=1), "MechanismDoesNotExist"),
    "more uids than there are": ({}, weights(dests=list(range(17)), weights=[1] * 17), "UidsLengthExceedUidsInSubNet"),
    "old version key": ({"WeightsVersionKey": (2, 5)}, weights(version_key=4), "IncorrectWeightVersionKey"),
    "no permit": ({"ValidatorPermit": (2, [False] * 16)}, weights(), "NeuronNoValidatorPermit"),
    "a uid twice": ({}, weights(dests=[1, 1, 2]), "DuplicateUids"),
    "a uid that is not": ({}, weights(dests=[1, 2, 16]), "UidVecContainInvalidOne"),
    "too few": ({"MinAllowedWeights": (2, 4)}, weights(), "WeightVecLengthIsLow"),
    "too much for one": ({"MaxWeightsLimit": (2, 20_000)}, weights(), "MaxWeightExceeded"),
    "commit-reveal": ({"CommitRevealWeightsEnabled": (2, True)}, weights(), "CommitRevealEnabled"),
}


@pytest.mark.parametrize(("settings", "arguments", "error"), REFUSALS.values(), ids=REFUSALS)
def test_refuses_weights(state, settings, arguments, error):
    put(state, **settings)
    assert refused(state, "set_weights", BOB, arguments) == error


def test_refuses_weights_of_who_is_not_registered_or_has_no_stake(state):
    assert refused(state, "set_weights", STRANGER, weights()) == "HotKeyNotRegisteredInSubNet"
    assert refused(state, "set_weights", CHARLIE, weights()) == "NotEnoughStakeToSetWeights"


def test_refuses_weights_that_come_too_fast(state):
    put(state, WeightsSetRateLimit=(2, 10))
    calls.dispatch(state, S, "set_weights", BOB, weights())
    state.put("System", "Number", value=13)
    assert refused(state, "set_weights", BOB, weights()) == "SettingWeightsTooFast"
    state.put("System", "Number", value=14)
    calls.dispatch(state, S, "set_weights", BOB, weights())


def test_a_self_weight_needs_neither_permit_nor_number(state):
    put(state, ValidatorPermit=(2, [False] * 16), MinAllowedWeights=(2, 4), MaxWeightsLimit=(2, 1))
    calls.dispatch(state, S, "set_weights", BOB, weights(dests=[1], weights=[7]))
    assert state.get(S, "Weights", 2, 1) == [(1, 65535)]


def test_the_subnets_owner_needs_no_permit(state):
    put(state, ValidatorPermit=(2, [False] * 16), SubnetOwnerHotkey=(2, BOB))
    calls.dispatch(state, S, "set_weights", BOB, weights())


def commit(**changed):
    return {"netuid": 3, "commit": "0x01fe", "reveal_round": 9, "commit_reveal_version": 4} | changed


def test_keeps_a_commit_as_ciphertext_under_its_epoch(state):
    (event,) = calls.dispatch(state, S, "commit_timelocked_weights", BOB, commit())
    hotkey, index, digest, reveal_round = event[S]["TimelockedWeightsCommitted"]
    assert (hotkey, index, reveal_round) == (BOB, 3, 9)
    assert digest == "0x" + blake2b(b"\x01\xfe", digest_size=32).hexdigest()
    assert state.get(S, "TimelockedWeightCommits", 3, 0) == [(BOB, 4, "0x01fe", 9)]
    assert state.get(S, "Weights", 3, 1) == []
    assert state.get(S, "LastUpdate", 3)[1] == 4


def test_refuses_commits(state):
    assert refused(state, "commit_timelocked_weights", BOB, commit(netuid=2)) == "CommitRevealDisabled"
    assert refused(state, "commit_timelocked_weights", BOB, commit(netuid=9)) == "SubnetNotExists"
    wrong_version = commit(commit_reveal_version=3)
    assert refused(state, "commit_timelocked_weights", BOB, wrong_version) == "IncorrectCommitRevealVersion"
    assert refused(state, "commit_timelocked_weights", STRANGER, commit()) == "HotKeyNotRegisteredInSubNet"
    mechanism = commit(mecid=1)
    assert refused(state, "commit_timelocked_mechanism_weights", BOB, mechanism) == "MechanismDoesNotExist"


def test_refuses_an_eleventh_commit_of_an_epoch(state):
    for _ in range(10):
        calls.dispatch(state, S, "commit_timelocked_weights", BOB, commit())
    assert refused(state, "commit_timelocked_weights", BOB, commit()) == "TooManyUnrevealedCommits"


def axon(**changed):
    fixed = {"version": 1, "protocol": 0, "placeholder1": 0, "placeholder2": 0}
    return {"netuid": 2, "ip": 0x08080808, "port": 8091, "ip_type": 4} | fixed | changed


def test_serves_an_axon_and_a_certificate(state):
    calls.dispatch(state, S, "serve_axon_tls", BOB, axon(certificate="0x01aabb"))
    assert state.get(S, "Axons", 2, BOB) | {"block": 4, "port": 8091} == state.get(S, "Axons", 2, BOB)
    assert state.get(S, "NeuronCertificates", 2, BOB) == {"public_key": "0xaabb", "algorithm": 1}


def test_a_certificate_that_does_not_fit_is_ignored(state):
    calls.dispatch(state, S, "serve_axon_tls", BOB, axon(certificate="0x" + "aa" * 66))
    assert state.has(S, "Axons", 2, BOB)
    assert not state.has(S, "NeuronCertificates", 2, BOB)


def test_serves_a_prometheus_endpoint(state):
    arguments = {"netuid": 2, "version": 1, "ip": 1 << 40, "port": 9100, "ip_type": 6}
    assert calls.dispatch(state, S, "serve_prometheus", BOB, arguments) == [{S: {"PrometheusServed": (2, BOB)}}]
    assert state.get(S, "Prometheus", 2, BOB)["port"] == 9100


def test_keeps_a_commitment(state):
    info = {"fields": [{"Raw3": "0x616263"}]}
    (event,) = calls.dispatch(state, "Commitments", "set_commitment", BOB, {"netuid": 2, "info": info})
    assert event == {"Commitments": {"Commitment": {"netuid": 2, "who": BOB}}}
    assert state.get("Commitments", "CommitmentOf", 2, BOB) == {"deposit": 0, "block": 4, "info": info}
    assert state.get("Commitments", "LastCommitment", 2, BOB) == 4


def test_a_timelocked_commitment_names_its_round(state):
    info = {"fields": [{"TimelockEncrypted": {"encrypted": "0x01ff", "reveal_round": 77}}]}
    (event,) = calls.dispatch(state, "Commitments", "set_commitment", BOB, {"netuid": 2, "info": info})
    assert event["Commitments"]["TimelockCommitment"]["reveal_round"] == 77


def test_commitments_have_a_space_for_each_epoch(state):
    arguments = {"netuid": 2, "info": {"fields": [{"Raw3": "0x616263"}]}}
    for _ in range(31):  # 3100 bytes, at least 100 a time
        calls.dispatch(state, "Commitments", "set_commitment", BOB, arguments)
    assert refused(state, "set_commitment", BOB, arguments, "Commitments") == "SpaceLimitExceeded"
    put(state, SubnetEpochIndex=(2, 1))
    calls.dispatch(state, "Commitments", "set_commitment", BOB, arguments)


def test_refuses_commitments_of_strangers(state):
    arguments = {"netuid": 2, "info": {"fields": []}}
    assert refused(state, "set_commitment", STRANGER, arguments, "Commitments") == "AccountNotAllowedCommit"


def test_other_calls_are_filtered(state):
    assert refused(state, "transfer_keep_alive", BOB, {}, "Balances") == "CallFiltered"
