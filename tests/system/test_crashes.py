"""kill -9 of any process between any two steps, cut connections, lost answers, reorgs: one intent, one extrinsic.

Two kinds of moments. *Right after* a change became durable: the signer's own news of it pulls the trigger, so the
others are in the middle of their next step. *Held* at a step by a fault of the chain: the process dies while it is
certain that the step is not done.
"""

import concurrent.futures
import contextlib
import secrets
import time
from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip("bittensor")

pytestmark = pytest.mark.slow

UID = 6
EXACT = {1: 21845, 2: 43690, 3: 65535}
PROCESSES = ("signer", "chain", "gateway")


@pytest.fixture(scope="module")
def running(make_house):
    return make_house()


@pytest.fixture
def house(running, until):
    """A chain without faults, and a guard that is whole."""
    yield running
    running.devnet.heal()
    for name in PROCESSES:
        if not running.guard.alive(name):
            running.guard.restart(name)
    until(running.guard.connected, "the guard's connection to the chain")


@contextlib.contextmanager
def asked(guard: Any, netuid: int, key: str, **changed: Any) -> Iterator[None]:
    """Somebody asks, and does not mind whether an answer comes: whoever it is meant for may be killed."""

    def ask() -> None:
        with contextlib.suppress(OSError, ValueError):
            guard.insist(netuid, key, **changed)

    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        asking = pool.submit(ask)
        yield
        asking.result(120)


def hashes(house: Any) -> set[str]:
    return {each["hash"] for each in house.devnet.extrinsics(house.guard.address)}


def check_done_once(house: Any, before: set[str], key: str, netuid: int = 2, **changed: Any) -> Any:
    """The same request again gets the same intent; it ends well; the chain has one extrinsic of it."""
    goal = "finalized" if netuid == 3 else "effective"
    answer = house.guard.insist(netuid, key, **changed)
    assert answer.status == 200, answer
    view = house.guard.wait(answer.body["intent"], goal)
    again = house.guard.insist(netuid, key, **changed)
    assert (again.status, again.body["intent"]) == (200, view.intent)
    fresh = [each for each in house.devnet.extrinsics(house.guard.address) if each["hash"] not in before]
    assert [each["hash"] for each in fresh] == [view.extrinsic_hash]
    assert (fresh[0]["error"], fresh[0]["state"]) == (None, "finalized")
    return view


def new_weights() -> dict[str, list[int]]:
    # Different each time, so that what is read back is this request's and no other's.
    return {"weights": [1 + secrets.randbelow(1000) for _ in range(3)]}


# Right after a change -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("victim", PROCESSES)
@pytest.mark.parametrize("state", ["accepted", "signed", "submitted", "in_block", "finalized"])
def test_kill_9_right_after_a_plain_intent_is(house, state, victim):
    before, key, weights = hashes(house), f"after-{state}-{victim}", new_weights()
    with house.guard.observe() as observer:
        shot = observer.at(state, 2, lambda: house.guard.shoot(victim))
        with asked(house.guard, 2, key, **weights):
            assert shot.wait(60)
            house.guard.restart(victim)
    check_done_once(house, before, key, **weights)


@pytest.mark.parametrize(("state", "victim"), [("signed", "signer"), ("signed", "chain"), ("submitted", "signer")])
def test_kill_9_right_after_a_timelocked_intent_is(house, state, victim):
    before, key, weights = hashes(house), f"timelocked-{state}-{victim}", new_weights()
    with house.guard.observe() as observer:
        shot = observer.at(state, 3, lambda: house.guard.shoot(victim))
        with asked(house.guard, 3, key, **weights):
            assert shot.wait(60)
            house.guard.restart(victim)
    view = check_done_once(house, before, key, 3, **weights)
    (extrinsic,) = [each for each in house.devnet.extrinsics() if each["hash"] == view.extrinsic_hash]
    assert extrinsic["arguments"]["reveal_round"] == view.reveal_round


@pytest.mark.parametrize("state", ["accepted", "signed", "submitted", "in_block"])
def test_kill_9_of_all_three_right_after(house, state):
    before, key, weights = hashes(house), f"all-{state}", new_weights()
    with house.guard.observe() as observer:
        shot = observer.at(state, 2, lambda: house.guard.shoot(*PROCESSES))
        with asked(house.guard, 2, key, **weights):
            assert shot.wait(60)
            house.guard.restart(*PROCESSES)
    check_done_once(house, before, key, **weights)


@pytest.mark.parametrize("victim", PROCESSES)
def test_kill_9_at_any_instant(house, victim):
    """A few of the moments between the moments: the time from request to submission is about 20 ms."""
    for milliseconds in (1, 3, 6, 10, 15, 25):
        before, key, weights = hashes(house), f"instant-{victim}-{milliseconds}", new_weights()
        with asked(house.guard, 2, key, **weights):
            time.sleep(milliseconds / 1000)
            house.guard.shoot(victim)
            house.guard.restart(victim)
        check_done_once(house, before, key, **weights)


# Held at a step -----------------------------------------------------------------------------------------------------

HELD = {
    "accepted": {"kind": "mute", "methods": ["state_*", "account_*"]},
    "signed": {"kind": "mute", "methods": ["author_submit*"]},
    "submitted": {"kind": "no_mining"},
    "in_block": {"kind": "no_finality"},
}


@pytest.mark.parametrize("victim", ["signer", "chain"])
@pytest.mark.parametrize("state", HELD)
def test_kill_9_while_held(house, state, victim):
    before, key, weights = hashes(house), f"held-{state}-{victim}", new_weights()
    fault = dict(HELD[state])
    with house.guard.observe() as observer:
        house.devnet.fault(fault.pop("kind"), **fault)
        with asked(house.guard, 2, key, **weights):
            observer.wait_for(state, 2)
            house.guard.kill(victim)
            house.devnet.heal()
            house.guard.restart(victim)
    check_done_once(house, before, key, **weights)


def test_kill_9_of_the_chain_process_after_a_submission_whose_answer_was_lost(house):
    before, key, weights = hashes(house), "lost-and-killed", new_weights()
    house.devnet.fault("lose_answer", methods=["author_submit*"])
    with house.guard.observe() as observer, asked(house.guard, 2, key, **weights):
        observer.wait_for("signed", 2)
        house.guard.kill("chain")
        house.devnet.heal()
        house.guard.restart("chain")
    check_done_once(house, before, key, **weights)


# The connection to the chain ----------------------------------------------------------------------------------------

CUTS = {
    "the answer to the submission is lost": {"kind": "lose_answer", "methods": ["author_submit*"], "times": 1},
    "it is lost three times": {"kind": "lose_answer", "methods": ["author_submit*"], "times": 3},
    "cut at the submission": {"kind": "close", "methods": ["author_submit*"], "times": 1},
    "cut at the facts": {"kind": "close", "methods": ["account_nextIndex"], "times": 1},
    "cut while it is followed": {"kind": "close", "methods": ["chain_getBlock"], "times": 1},
    "slow": {"kind": "slow", "methods": ["*"], "milliseconds": 200, "times": 60},
    "swallowed by the pool": {"kind": "swallow", "methods": ["author_submit*"], "times": 1},
    "the pool is full": {
        "kind": "refuse",
        "methods": ["author_submit*"],
        "times": 1,
        "code": 1016,
        "message": "Immediately Dropped",
        "data": "The transaction couldn't enter the pool because of the limit",
    },
}


@pytest.mark.parametrize("name", CUTS)
def test_a_connection_that_breaks(house, name):
    before, key, weights = hashes(house), f"cut-{name}".replace(" ", "-"), new_weights()
    fault = dict(CUTS[name])
    house.devnet.fault(fault.pop("kind"), **fault)
    check_done_once(house, before, key, **weights)


def test_every_submission_answer_lost_leaves_one_extrinsic(house):
    before, key, weights = hashes(house), "always-lost", new_weights()
    house.devnet.fault("lose_answer", methods=["author_submit*"])
    with house.guard.observe() as observer, asked(house.guard, 2, key, **weights):
        # Never told that the pool has it; the block shows it.
        observer.wait_for("in_block", 2)
        house.devnet.heal()
    check_done_once(house, before, key, **weights)


@pytest.mark.parametrize("kind", ["half_open", "mute"])
def test_an_endpoint_that_falls_silent_gets_a_typed_answer_and_no_hang(house, until, kind):
    before, key, weights = hashes(house), f"silent-{kind}", new_weights()
    house.devnet.fault(kind)
    answer = house.guard.set_weights(2, key, timeout=3, **weights)
    assert answer.status in (503, 504)
    assert answer.code in ("chain_unavailable", "deadline")
    assert (answer.body["submitted"], answer.body["final"]) == ("no", False)
    house.devnet.heal()
    # The silence is noticed by what is overdue: within a request's deadline (20 s), not within a second.
    until(house.guard.connected, "the way back", 90)
    check_done_once(house, before, key, **weights)


# What the pool and the chain do -------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", ["dropped", "invalid", "usurped", "silent"])
def test_the_pool_drops_it(house, status):
    before, key, weights = hashes(house), f"drop-{status}", new_weights()
    house.devnet.fault("no_mining")
    answer = house.guard.set_weights(2, key, **weights)
    assert (answer.status, answer.body["state"]) == (200, "submitted")
    house.devnet.fault("drop_extrinsic", hash=answer.body["extrinsic_hash"], status=status)
    house.devnet.heal()
    check_done_once(house, before, key, **weights)
    (extrinsic,) = [each for each in house.devnet.extrinsics() if each["hash"] == answer.body["extrinsic_hash"]]
    assert extrinsic["submissions"] >= 2


@pytest.mark.parametrize("extrinsics", ["return", "hold", "drop"])
def test_a_reorg_takes_its_block_back(house, extrinsics):
    before, key, weights = hashes(house), f"reorg-{extrinsics}", new_weights()
    house.devnet.fault("no_finality")
    answer = house.guard.set_weights(2, key, wait_for_inclusion=True, **weights)
    assert answer.status == 200
    depth = house.devnet.block - answer.body["block_number"] + 1
    house.devnet.fault("reorg", depth=depth, extrinsics=extrinsics)
    assert house.devnet("chain_getBlockHash", answer.body["block_number"]) != answer.body["block_hash"]
    house.devnet.heal()
    view = check_done_once(house, before, key, **weights)
    assert view.block_hash != answer.body["block_hash"]


# The chain process away ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("state", "said"), [("accepted", "no"), ("signed", "maybe"), ("submitted", "yes")])
def test_the_chain_process_is_down_and_comes_back(house, state, said):
    before, key, weights = hashes(house), f"down-{state}", new_weights()
    if state in HELD:
        fault = dict(HELD[state])
        house.devnet.fault(fault.pop("kind"), **fault)
    with house.guard.observe() as observer:
        with asked(house.guard, 2, key, **weights):
            observer.wait_for(state, 2)
            house.guard.kill("chain")
            house.devnet.heal()
            answer = house.guard.set_weights(2, key, timeout=1, wait_for_finalization=True, **weights)
            assert (answer.status, answer.body["submitted"]) in ((504, said), (503, said)), answer
            assert (answer.body["state"], answer.body["final"]) == (state, False)
            assert answer.body["intent"] == observer.wait_for(state, 2).intent
            house.guard.restart("chain")
    check_done_once(house, before, key, **weights)


def test_the_signer_is_down_and_says_so(house):
    house.guard.kill("signer")
    answer = house.guard.set_weights(2, "no-signer", timeout=1)
    assert (answer.status, answer.code, answer.body["submitted"]) == (503, "signer_unavailable", "no")
    assert (answer.body["idempotency_key"], answer.fields["Retry-After"]) == ("no-signer", "5")


def test_an_intent_expires_that_could_not_be_signed_in_time(make_house):
    house = make_house(signer={"deadline_seconds": 2})
    house.devnet.fault("close", methods=["*"])
    answer = house.guard.set_weights(2, "late", timeout=1)
    assert (answer.status, answer.body["submitted"], answer.body["final"]) in ((503, "no", False), (504, "no", False))
    view = house.guard.wait(answer.body["intent"], "expired")
    assert view.failure.may_be_submitted is False
    house.devnet.heal()
    again = house.guard.set_weights(2, "late")
    assert (again.status, again.code, again.body["submitted"], again.body["final"]) == (504, "expired", "no", True)
    assert house.devnet.extrinsics(house.guard.address) == []


def test_the_journal_and_its_audit_chain_stand_after_all_that(house):
    assert "unbroken" in house.guard.audit()
