"""A node that lies: whatever it says, nothing is signed that the true chain takes wrongly, and the truth heals it.

Each lie stands alone, on one chain and one guard. What is asked meanwhile is refused or delayed, with a reason; what is
asked after the lie has ended works at once, and what was delayed is done in the end.
"""

import contextlib
from typing import Any

import pytest

pytest.importorskip("bittensor")

pytestmark = pytest.mark.slow

UID = 6
PLAIN, TIMELOCKED, TIMELOCKED_TOO = 2, 3, 6
EXACT = {1: 21845, 2: 43690, 3: 65535}


@pytest.fixture(scope="module")
def running(make_house):
    house = make_house()
    # One honest intent on each: from now on the guard knows nonces, and that subnet 3 has commit-reveal on.
    for netuid in (PLAIN, TIMELOCKED, TIMELOCKED_TOO):
        answer = house.guard.insist(netuid, f"first-{netuid}", wait_for_finalization=True)
        assert answer.status == 200
    return house


@pytest.fixture
def house(running, until):
    yield running
    running.devnet.heal()
    until(running.guard.connected, "the guard's connection to the chain")


@pytest.fixture(scope="module")
def delayed():
    """Intents that a lie delayed: a later test sees that each was done."""
    return []


def reconnect(house: Any, until: Any) -> None:
    """Cuts the guard's connection; the next one hears the lie from the beginning."""
    said = house.guard.log("chain").count("endpoint ws://")
    house.devnet.fault("close", methods=["account_nextIndex"], times=1)
    with contextlib.suppress(OSError):
        house.guard.set_weights(PLAIN, timeout=0.1)
    until(lambda: house.guard.log("chain").count("endpoint ws://") > said, "a new connection")


def ours(house: Any) -> list[dict[str, Any]]:
    return house.devnet.extrinsics(house.guard.address)


def ask_under_the_lie(house: Any, until: Any, netuid: int, **changed: Any) -> Any:
    """The view of an intent once it has failed or is told what stands in its way."""
    answer = house.guard.set_weights(netuid, timeout=0.2, **changed)
    assert answer.status != 200, answer
    assert answer.body["intent"], answer

    def told() -> Any:
        view = house.guard.view(answer.body["intent"])
        return view if view.failure or view.trouble else None

    return until(told, "a word on what stands in the way")


def reveal(house: Any, netuid: int) -> None:
    # At most ten commits may wait for their reveal.
    order = {"netuid": netuid, "hotkey": house.guard.address, "uids": list(EXACT), "values": list(EXACT.values())}
    while any(each["hotkey"] == house.guard.address for each in house.devnet("devnet_commits", netuid)):
        assert house.devnet("devnet_reveal", order)["error"] is None


def check_truth_heals(house: Any, netuid: int) -> None:
    house.devnet.heal()
    house.devnet("devnet_seal")  # a head of the truth
    answer = house.guard.insist(netuid)
    assert answer.status == 200, answer
    view = house.guard.wait(answer.body["intent"], "effective" if netuid == PLAIN else "finalized")
    (extrinsic,) = [each for each in ours(house) if each["hash"] == view.extrinsic_hash]
    assert extrinsic["error"] is None
    if netuid != PLAIN:
        reveal(house, netuid)
    assert house.devnet.row(netuid, UID) == EXACT


# Storage ------------------------------------------------------------------------------------------------------------

# name: (subnet, item, value, what is said; the keys are the subnet's)
ABSURD = {
    # Those that end an intent come first: later, they could meet one that another lie has delayed.
    "commit-reveal off": (TIMELOCKED, "CommitRevealWeightsEnabled", False, "commit_reveal_disabled"),
    "all weights made equal": (PLAIN, "MaxWeightsLimit", 1, "weights_shifted"),
    "65,535 weights wanted": (PLAIN, "MinAllowedWeights", 65_535, "too_few_weights"),
    "a version from the future": (PLAIN, "WeightsVersionKey", 2**63, "version_key_too_low"),
    "a stranger's hotkey": (PLAIN, "Uids", None, "not_registered"),
    # Those that delay it.
    "an epoch of no blocks": (TIMELOCKED, "Tempo", 0, "facts_refused: tempo"),
    "an epoch of nine days": (TIMELOCKED_TOO, "Tempo", 65_535, "facts_refused: tempo"),
    "an epoch that ended in the future": (TIMELOCKED, "LastEpochBlock", 2**40, "facts_refused: last_epoch_block"),
    "an epoch that ended after the head": (TIMELOCKED_TOO, "LastEpochBlock", 10**6, "facts_refused: last_epoch_block"),
    "an epoch due in 2^62 blocks": (TIMELOCKED, "PendingEpochAt", 2**62, "facts_refused: pending_epoch_at"),
    "an epoch due in a year": (TIMELOCKED_TOO, "PendingEpochAt", 2_600_000, "facts_refused: pending_epoch_at"),
    "epoch 2^63": (TIMELOCKED, "SubnetEpochIndex", 2**63, "facts_refused: subnet_epoch_index"),
    "a step longer ago than the chain is old": (
        TIMELOCKED_TOO,
        "BlocksSinceLastStep",
        10**7,
        "facts_refused: blocks_since_last_step",
    ),
    "a reveal at once": (TIMELOCKED, "RevealPeriodEpochs", 0, "facts_refused: reveal_period_epochs"),
    "a reveal in a million epochs": (
        TIMELOCKED_TOO,
        "RevealPeriodEpochs",
        10**6,
        "facts_refused: reveal_period_epochs",
    ),
    "a rate limit of 2^60 blocks": (PLAIN, "WeightsSetRateLimit", 2**60, "facts_refused: rate_limit"),
    "255 mechanisms": (PLAIN, "MechanismCountCurrent", 255, "facts_refused: mechanisms"),
    "an update in the future": (PLAIN, "LastUpdate", [2**40] * 16, "facts_refused: last_update"),
    "an update after the head": (PLAIN, "LastUpdate", [10**6] * 16, "facts_refused: last_update"),
}


@pytest.mark.parametrize("name", ABSURD)
def test_absurd_storage_is_refused_before_anything_is_signed(house, until, delayed, name):
    netuid, item, value, said = ABSURD[name]
    keys = [netuid, house.guard.address] if item == "Uids" else [netuid]
    house.devnet.fault("lie_storage", item=item, keys=keys, value=value)
    # For mostly one target: to make them equal would move more than half of the weight.
    changed = {"weights": [1, 1, 1000]} if item == "MaxWeightsLimit" else {}
    view = ask_under_the_lie(house, until, netuid, **changed)
    found = f"{view.failure.code}: {view.failure.message}" if view.failure else view.trouble
    assert found.startswith(said), found
    assert (view.nonce, view.extrinsic_hash) == (None, None)
    if not view.failure:
        delayed.append(view.intent)
    check_truth_heals(house, netuid)


def test_commit_reveal_where_there_is_none_has_no_effect(house):
    """Off to on is the careful side and is believed; the true chain refuses the commit."""
    row = house.devnet.row(PLAIN, UID)
    house.devnet.fault("lie_storage", item="CommitRevealWeightsEnabled", keys=[1], value=True)
    answer = house.guard.set_weights(1, wait_for_inclusion=True)
    assert answer.status == 502, answer
    assert answer.code in ("chain_rejected", "dispatch_failed")
    assert house.devnet.row(PLAIN, UID) == row


# Nonce --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lie", [{"value": 0}, {"offset": -15}, {"value": 2**40}, {"offset": 20_000}], ids=str)
def test_a_nonce_that_cannot_be_is_refused(house, until, delayed, lie):
    house.devnet.fault("lie_nonce", **lie)
    view = ask_under_the_lie(house, until, PLAIN)
    assert view.trouble.startswith("facts_refused: nonce"), view
    assert (view.nonce, view.extrinsic_hash) == (None, None)
    delayed.append(view.intent)
    check_truth_heals(house, PLAIN)


def test_a_nonce_too_high_waits_until_the_gap_is_filled_and_goes_out_once(house, delayed):
    """It might be true, since the hotkey may sign elsewhere: so it is signed, and can only wait."""
    for intent in delayed:  # one that is tried again under this lie would take a nonce of the gap
        house.guard.wait(intent, "effective", "finalized")
    house.devnet.fault("lie_nonce", offset=2)
    high = house.guard.insist(PLAIN, "gap")
    assert high.status == 200
    assert house.guard.view(high.body["intent"]).state == "submitted"
    house.devnet.heal()
    fillers = [house.guard.insist(PLAIN, f"filler-{at}").body["intent"] for at in range(2)]
    views = [house.guard.wait(intent, "effective") for intent in (*fillers, high.body["intent"])]
    assert sorted(view.nonce for view in views) == [views[0].nonce, views[0].nonce + 1, views[0].nonce + 2]
    assert views[-1].nonce == max(view.nonce for view in views)
    assert len([each for each in ours(house) if each["hash"] == views[-1].extrinsic_hash]) == 1


def test_what_lies_delayed_was_done_in_the_end(house, delayed):
    assert delayed
    for intent in delayed:
        view = house.guard.wait(intent, "effective", "finalized")
        assert len([each for each in ours(house) if each["hash"] == view.extrinsic_hash]) == 1


# Runtime, genesis, head ---------------------------------------------------------------------------------------------


def test_another_genesis_is_no_endpoint(house, until):
    before = len(ours(house))
    house.devnet.fault("lie_genesis", hash="0x" + "11" * 32)
    reconnect(house, until)
    until(lambda: "wrong chain" in house.guard.health().chain_trouble, "a word on the wrong chain")
    ready = house.guard.request("GET", "/ready")
    assert (ready.status, "1111" in str(ready.body)) == (503, False)
    answer = house.guard.set_weights(PLAIN, timeout=0.5)
    assert (answer.status, answer.body["submitted"]) in ((503, "no"), (504, "no"))
    assert len(ours(house)) == before
    check_truth_heals(house, PLAIN)


def test_a_runtime_version_that_is_not_moves_nothing(house, until):
    before = [each["hash"] for each in ours(house) if each["state"] != "invalid"]
    house.devnet.fault("lie_version", spec_version=999)
    answer = house.guard.set_weights(PLAIN, timeout=2)
    assert answer.status != 200, answer
    assert [each["hash"] for each in ours(house) if each["state"] != "invalid"] == before
    check_truth_heals(house, PLAIN)


@pytest.mark.parametrize(
    "swap",
    [["add_stake", "remove_stake"], ["set_weights", "burned_register"], ["set_weights", "commit_timelocked_weights"]],
    ids="-".join,
)
def test_forged_metadata_moves_nothing_on_the_true_chain(house, until, swap):
    house.devnet.fault("lie_metadata", swap=swap)
    reconnect(house, until)
    answer = house.guard.set_weights(PLAIN, timeout=2)
    assert answer.status != 200, answer
    assert answer.body["submitted"] == "no"
    calls = {each["call"] for each in ours(house)}
    assert calls == {"SubtensorModule.set_weights", "SubtensorModule.commit_timelocked_weights"}
    check_truth_heals(house, PLAIN)


@pytest.mark.parametrize("offset", [1_000_000, 2_000, -10])
def test_a_head_that_is_not_moves_nothing(house, until, offset):
    before = len(ours(house))
    house.devnet.fault("lie_head", offset=offset)
    answer = house.guard.set_weights(PLAIN, timeout=3)
    if answer.status == 200:
        # Asked before the first head that lies came: then by true facts.
        assert house.guard.wait(answer.body["intent"], "submitted", "in_block", "finalized", "effective")
    else:
        assert len(ours(house)) == before
    check_truth_heals(house, PLAIN)


# The end ------------------------------------------------------------------------------------------------------------


def test_a_runtime_upgrade_in_the_middle_of_the_run(house):
    spec = house.devnet("devnet_info")["spec_version"]
    house.devnet.fault("upgrade")
    for netuid in (PLAIN, TIMELOCKED):
        check_truth_heals(house, netuid)
    assert house.devnet("devnet_info")["spec_version"] == spec + 1
    assert f"node-subtensor {spec + 1}" in house.guard.log("signer")


def test_every_refusal_of_facts_is_in_the_audit_chain(house):
    assert "unbroken" in house.guard.audit()
    log = house.guard.log("signer")
    assert "facts_refused: tempo" in log
    assert "facts_refused: nonce" in log
