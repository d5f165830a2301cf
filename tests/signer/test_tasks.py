"""What the chain process is asked to do: one row per state, when it is due, and never more than a packet takes."""

import json
from typing import Any

import bittensor_core
import pytest

from wallet_guard.ipc.chain import Action, Event
from wallet_guard.ipc.intents import State
from wallet_guard.ipc.packets import MAX_PACKET_BYTES
from wallet_guard.ipc.records import to_json
from wallet_guard.signer.tasks import pull

BLOCK = {"block_hash": "0xb1", "block_number": 5001}


def only(bench: Any) -> Any:
    (task,) = pull(bench.desk).tasks
    return task


def test_each_state_has_its_action(bench: Any) -> None:
    intent = bench.accepted()
    found = [only(bench).action]
    bench.sealed(intent)
    found.append(only(bench).action)
    bench.report(intent, Event.SUBMITTED)
    found.append(only(bench).action)
    bench.report(intent, Event.IN_BLOCK, **BLOCK)
    found.append(only(bench).action)
    bench.report(intent, Event.FINALIZED, **BLOCK)
    found.append(only(bench).action)
    assert found == [Action.FACTS, Action.SUBMIT, Action.FOLLOW, Action.FOLLOW, Action.READ_BACK]
    bench.report(intent, Event.WEIGHTS, weights=bench.intent(intent).weights)
    assert pull(bench.desk).tasks == ()


def test_the_bytes_go_with_what_sends_and_follows_only(bench: Any) -> None:
    intent = bench.accepted()
    assert only(bench).extrinsic is None
    sealed = bench.sealed(intent)
    assert only(bench).extrinsic == sealed.extrinsic
    bench.report(intent, Event.FINALIZED, **BLOCK)
    task = only(bench)
    assert (task.extrinsic, task.block_hash) == (None, "0xb1")


def test_hotkeys_go_with_the_search_for_facts(bench: Any) -> None:
    bob = bittensor_core.Keypair.create_from_uri("//Bob").ss58_address
    bench.accepted(uids=None, hotkeys=(bob,), weights=(1.0,))
    assert only(bench).hotkeys == (bob,)


def test_the_oldest_comes_first(bench: Any) -> None:
    names = []
    for _ in range(3):
        names.append(bench.accepted())
        bench.pass_time(1)
    assert [task.intent for task in pull(bench.desk).tasks] == names


def test_what_is_to_be_tried_again_later_is_not_listed_until_then(bench: Any) -> None:
    intent = bench.accepted()
    bench.seal(intent, nonce=3)
    assert pull(bench.desk).tasks == ()
    bench.pass_time(6)
    assert only(bench).action is Action.FACTS


def test_a_commit_is_read_back_from_its_reveal_on_at_the_head(bench: Any) -> None:
    intent = bench.accepted()
    bench.sealed(intent, commit_reveal=True)
    bench.report(intent, Event.FINALIZED, **BLOCK)
    assert pull(bench.desk).tasks == ()
    bench.clock[0] = 1_692_803_367_000 + (bench.intent(intent).reveal_round - 1) * 3000
    task = only(bench)
    assert (task.action, task.block_hash) == (Action.READ_BACK, None)


def test_a_signature_passed_by_waits_for_the_clock_alone(bench: Any) -> None:
    intent = bench.accepted()
    bench.sealed(intent)
    bench.report(intent, Event.OUTDATED)
    assert pull(bench.desk).tasks == ()
    assert bench.intent(intent).state is State.SIGNED


@pytest.mark.parametrize("sealed", [False, True])
def test_however_much_is_open_the_answer_fits_a_packet(bench: Any, sealed: bool) -> None:
    # 40 wishes of 4,096 hotkeys each were 8 MB once: more than a packet, and the end of the process at every pull.
    addresses = tuple(bittensor_core.ss58_encode(index.to_bytes(32, "little"), 42) for index in range(4096))
    weights = tuple(float(index + 1) for index in range(4096))
    names = [bench.accepted(uids=None, hotkeys=addresses, weights=weights) for _ in range(3)]
    if sealed:
        uids = tuple((address, uid) for uid, address in enumerate(addresses))
        for name in names:
            bench.sealed(name, uids=uids)
    journal = bench.desk.journal
    rows = journal.open_intents()
    journal.open_intents = lambda: rows * 100
    work = pull(bench.desk)
    assert 1 < len(work.tasks) < 300
    assert len(json.dumps(to_json(work))) < MAX_PACKET_BYTES
    assert [task.intent for task in work.tasks[:3]] == [row.id for row in rows]
