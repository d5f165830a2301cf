"""Seal: signed once, signed only what was meant, and never a second live signature."""

import dataclasses
import json
from typing import Any

import bittensor_core
import pytest
from bittensor.intents import weights as sdk

from wallet_guard.ipc import chain as ipc
from wallet_guard.ipc.admin import AllowPlain
from wallet_guard.ipc.answers import Done, Refusal
from wallet_guard.ipc.chain import Action, Event, Seal, Task
from wallet_guard.ipc.clients import ClientRevoke
from wallet_guard.ipc.intents import State
from wallet_guard.signer import admin, seal
from wallet_guard.signer.desk import Desk
from wallet_guard.signer.drafts import RATE_SLACK_BLOCKS
from wallet_guard.signer.follow import report
from wallet_guard.signer.journal import JournalError
from wallet_guard.signer.upgrades import Upgrades

BLOCK = {"block_hash": "0xb1", "block_number": 5001}


@pytest.fixture(scope="module")
def codec(metadata: bytes) -> bittensor_core.Runtime:
    return bittensor_core.Runtime(metadata, 461, 1)


def code(found: Any) -> str:
    assert isinstance(found, Refusal), found
    return found.code


def read(codec: bittensor_core.Runtime, task: Task) -> tuple[str, dict[str, Any], int]:
    """Name, arguments and nonce of what was signed."""
    found = codec.decode_extrinsic(task.extrinsic)
    call = found["call"]
    return call["call_function"], {entry["name"]: entry["value"] for entry in call["call_args"]}, found["nonce"]


# What is signed -------------------------------------------------------------------------------------------------------


def test_plain_weights_are_those_of_the_sdk(bench: Any, codec: Any) -> None:
    task = bench.sealed(bench.accepted())
    name, arguments, nonce = read(codec, task)
    uids, values = sdk.normalize([1, 2, 3], [100.0, 200.0, 300.0])
    assert (name, nonce) == ("set_weights", 7)
    assert arguments == {"netuid": 2, "dests": uids, "weights": values, "version_key": 0}
    assert (task.action, task.nonce, task.era_death - task.era_birth) == (Action.SUBMIT, 7, 16)


@pytest.mark.parametrize("seed", range(8))
def test_the_whole_way_equals_the_sdk(bench: Any, codec: Any, seed: int) -> None:
    uids = tuple((seed * 7 + index * 13) % 256 for index in range(3 + seed))
    weights = tuple(((seed + 3) * (index + 1) ** 2) / 7 for index in range(len(uids)))
    limit = 65535 if seed % 2 else 30_000
    _, arguments, _ = read(codec, bench.sealed(bench.accepted(uids=uids, weights=weights), max_weight_limit=limit))
    preflight = sdk._Preflight(uid=1, commit_reveal=False, min_allowed_weights=1, max_weight_limit=limit)
    assert (arguments["dests"], arguments["weights"]) == sdk._conform(list(uids), list(weights), preflight, 2)


def test_a_mechanism_gets_its_own_call(bench: Any, codec: Any) -> None:
    name, arguments, _ = read(codec, bench.sealed(bench.accepted(mechid=1), mechanisms=2))
    assert (name, arguments["mecid"]) == ("set_mechanism_weights", 1)


def test_commit_reveal_gets_a_timelocked_commit(bench: Any, codec: Any) -> None:
    intent = bench.accepted()
    name, arguments, _ = read(codec, bench.sealed(intent, commit_reveal=True))
    assert (name, arguments["commit_reveal_version"]) == ("commit_timelocked_weights", 4)
    stored = bench.intent(intent)
    assert stored.reveal_round == arguments["reveal_round"]
    assert stored.weights == ((1, 21845), (2, 43690), (3, 65535))
    assert stored.reveal_by_ms > 1_692_803_367_000 + stored.reveal_round * 3000


def test_hotkeys_become_the_uids_that_they_have_now(bench: Any, codec: Any) -> None:
    addresses = tuple(bittensor_core.Keypair.create_from_uri(f"//{name}").ss58_address for name in ("Bob", "Dave"))
    intent = bench.accepted(uids=None, hotkeys=addresses, weights=(1.0, 2.0))
    uids = ((addresses[0], 9), (addresses[1], 4))
    _, arguments, _ = read(codec, bench.sealed(intent, uids=uids))
    assert (arguments["dests"], arguments["weights"]) == ([4, 9], [65535, 32768])


def test_every_signature_is_in_the_audit_chain_with_its_weights(bench: Any) -> None:
    task = bench.sealed(bench.accepted())
    (*_, record) = bench.desk.journal.records()
    body = json.loads(record.body)
    assert record.kind == "signed"
    assert (body["extrinsic"], body["nonce"], body["call"]) == (task.extrinsic_hash, 7, "SubtensorModule.set_weights")
    assert body["weights"] == [[1, 21845], [2, 43690], [3, 65535]]


# Once -----------------------------------------------------------------------------------------------------------------


def test_asked_again_the_same_bytes_come_back(bench: Any) -> None:
    intent = bench.accepted()
    first = bench.sealed(intent)
    records = bench.desk.journal.audit_head
    # Other facts, another nonce, another chain's block: nothing is signed anew.
    again = bench.sealed(intent, nonce=50, block_number=5_500, era_block_number=5_499, era_block_hash=b"z" * 32)
    assert (again.extrinsic, again.nonce) == (first.extrinsic, 7)
    assert bench.desk.journal.audit_head == records


def test_after_a_restart_the_same_bytes_come_back(bench: Any) -> None:
    intent = bench.accepted()
    first = bench.sealed(intent)
    old = bench.desk
    bench.desk = Desk(old.config, old.keys, old.journal, now_ms=old.now_ms, random_hex=old.random_hex)
    assert bench.sealed(intent).extrinsic == first.extrinsic


@pytest.mark.parametrize("fails_at", [1, 2, 3, 4, 5])
def test_no_bytes_leave_unless_they_are_on_disk(bench: Any, fails_at: int) -> None:
    """BEGIN, subnet, intent, audit, COMMIT: whichever fails, nothing is given out, then or later."""
    import sqlite3

    intent = bench.accepted()
    journal, left = bench.desk.journal, [fails_at]
    true = journal._db

    class Faulty:
        def execute(self, query: str, *values: Any) -> Any:
            if not query.startswith(("SELECT", "ROLLBACK")):
                left[0] -= 1
                if left[0] == 0:
                    raise sqlite3.OperationalError("disk I/O error")
            return true.execute(query, *values)

    journal._db = Faulty()
    with pytest.raises(JournalError):
        bench.seal(intent)
    journal._db = true
    assert bench.intent(intent).state is State.ACCEPTED
    assert bench.intent(intent).extrinsic is None
    with pytest.raises(JournalError):
        bench.seal(intent)


# Refused --------------------------------------------------------------------------------------------------------------


def test_an_unknown_intent(bench: Any) -> None:
    assert code(bench.seal("nothing")) == "unknown_intent"


def test_a_runtime_that_was_not_told(bench: Any) -> None:
    intent = bench.accepted()
    assert code(bench.seal(intent, spec_version=462)) == "runtime_unknown"
    assert code(bench.seal(intent, transaction_version=2)) == "runtime_unknown"
    assert bench.intent(intent).state is State.ACCEPTED


@pytest.mark.parametrize(
    ("changes", "facts", "expected"),
    [
        ({"mechid": 1}, {}, "unknown_mechanism"),
        ({"mechid": 2}, {"mechanisms": 2}, "unknown_mechanism"),
        ({"mechid": 1}, {"mechanisms": 0}, "unknown_mechanism"),
        ({}, {"uid": None}, "not_registered"),
        ({}, {"weights_version_key": 1}, "version_key_too_low"),
        ({}, {"min_allowed_weights": 4}, "too_few_weights"),
        ({"weights": (1000.0, 1.0, 1.0)}, {"max_weight_limit": 0}, "weights_shifted"),
        ({}, {"rate_limit": 100, "last_update": 4_950}, "rate_limited"),
    ],
)
def test_what_the_subnet_will_not_take_ends_the_intent(
    bench: Any, changes: dict[str, Any], facts: dict[str, Any], expected: str
) -> None:
    intent = bench.accepted(**changes)
    refusal = bench.seal(intent, **facts)
    assert (code(refusal), refusal.intent) == (expected, intent)
    stored = bench.intent(intent)
    assert stored.state is State.FAILED
    assert (stored.failure.code, stored.failure.may_be_submitted) == (expected, False)
    assert stored.extrinsic is None
    assert bench.kinds()[-1] == "failed"
    assert code(bench.seal(intent)) == "finished"


@pytest.mark.parametrize("uids", [(), (("5Bob", 3),)])
def test_a_hotkey_that_is_not_registered_ends_the_intent(bench: Any, uids: Any) -> None:
    dave = bittensor_core.Keypair.create_from_uri("//Dave").ss58_address
    assert code(bench.seal(bench.accepted(uids=None, hotkeys=(dave,), weights=(1.0,)), uids=uids)) == "unknown_hotkey"


def test_one_uid_for_two_hotkeys_is_a_lie(bench: Any) -> None:
    pair = tuple(bittensor_core.Keypair.create_from_uri(f"//{name}").ss58_address for name in ("Bob", "Dave"))
    intent = bench.accepted(uids=None, hotkeys=pair, weights=(1.0, 2.0))
    assert code(bench.seal(intent, uids=((pair[0], 3), (pair[1], 3)))) == "unknown_hotkey"


def test_a_deadline_that_passed_expires_the_intent(bench: Any) -> None:
    intent = bench.accepted()
    bench.clock[0] += 300_001
    assert code(bench.seal(intent)) == "expired"
    assert bench.intent(intent).state is State.EXPIRED


def test_a_client_revoked_meanwhile_has_nothing_signed(bench: Any) -> None:
    intent = bench.accepted()
    admin.client_revoke(bench.desk, ClientRevoke("node"))
    assert code(bench.seal(intent)) == "unauthorized"
    assert bench.intent(intent).state is State.FAILED


def test_a_key_that_is_gone_or_another_signs_nothing(bench: Any) -> None:
    intent = bench.accepted()
    other = bittensor_core.Keypair.create_from_uri("//Bob")
    (key,) = bench.desk.keys
    bench.desk.keys._keys["validator", "default"] = dataclasses.replace(key, _pair=other)
    assert code(bench.seal(intent)) == "unknown_wallet"


# Lies -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "lie",
    [
        {"genesis_hash": bytes(32)},
        {"era_block_hash": b""},
        {"nonce": 2**40},
        {"nonce": 3},
        {"block_number": 2**32},
        {"tempo": 2**60, "commit_reveal": True},
        {"pending_epoch_at": 2**31, "commit_reveal": True},
        {"block_time_ms": 1},
        {"rate_limit": 2**40},
        {"max_weight_limit": -1},
        {"uids": (("x", 2**70),)},
    ],
)
def test_facts_that_cannot_be_leave_the_intent_as_it_was(bench: Any, lie: dict[str, Any]) -> None:
    intent = bench.accepted()
    assert code(bench.seal(intent, **lie)) == "facts_refused"
    stored = bench.intent(intent)
    assert (stored.state, stored.extrinsic, stored.attempt) == (State.ACCEPTED, None, 0)
    assert bench.kinds()[-1] == "facts_refused"
    assert bench.desk.view(stored).trouble.startswith("facts_refused")
    bench.pass_time(seal.RETRY_SECONDS)
    bench.sealed(intent)


def test_lies_repeated_do_not_fill_the_audit_chain(bench: Any) -> None:
    intent = bench.accepted()
    bench.seal(intent, nonce=0)
    head = bench.desk.journal.audit_head
    for nonce in range(50):
        assert code(bench.seal(intent, nonce=-nonce - 1)) == "too_early"
    assert bench.desk.journal.audit_head == head


@pytest.mark.parametrize(
    "schedule",
    [
        {"last_epoch_block": 0, "blocks_since_last_step": 0, "tempo": 50_400, "reveal_period_epochs": 100},
        {"tempo": 1, "reveal_period_epochs": 1},
        {"pending_epoch_at": 5_361},
    ],
)
def test_whatever_the_schedule_the_reveal_lies_ahead_and_within_what_it_can_mean(
    bench: Any, schedule: dict[str, Any]
) -> None:
    intent = bench.accepted()
    found = bench.seal(intent, commit_reveal=True, **schedule)
    if isinstance(found, Refusal):
        assert found.code == "facts_refused"
        assert bench.intent(intent).extrinsic is None
        return
    ahead = 1_692_803_367_000 + (bench.intent(intent).reveal_round - 1) * 3000 - bench.now
    tempo, period = schedule.get("tempo", 360), schedule.get("reveal_period_epochs", 1)
    assert 0 < ahead <= (period + 1) * (tempo + 1) * 12_000 + 60_000


@pytest.mark.parametrize("hours", [-2_000, 2_000])
def test_a_reveal_round_far_from_our_own_clock_is_refused(bench: Any, hours: int) -> None:
    bench.clock[0] += hours * 3_600_000
    intent = bench.accepted()
    refusal = bench.seal(intent, commit_reveal=True)
    assert code(refusal) == "facts_refused"
    assert "reveal round" in refusal.message


def test_commit_reveal_switched_off_needs_the_operator(bench: Any, codec: Any) -> None:
    bench.sealed(bench.accepted(), commit_reveal=True)
    bench.report(bench.desk.journal.newest_intents(1)[0].id, Event.REJECTED, code="x")
    second = bench.accepted()
    assert code(bench.seal(second)) == "commit_reveal_disabled"
    assert bench.intent(second).state is State.FAILED
    assert admin.allow_plain(bench.desk, AllowPlain(2)) == Done()
    assert read(codec, bench.sealed(bench.accepted()))[0] == "set_weights"
    assert "plain_allowed" in bench.kinds()
    # Once on again, it is guarded again.
    third = bench.accepted()
    bench.sealed(third, commit_reveal=True)
    bench.report(third, Event.REJECTED, code="x")
    assert code(bench.seal(bench.accepted())) == "commit_reveal_disabled"


# The nonce lane -------------------------------------------------------------------------------------------------------


def test_several_in_flight_take_one_place_each(bench: Any) -> None:
    # The pool has seen none of them yet: each time the chain says 7.
    nonces = [bench.sealed(bench.accepted(netuid=netuid)).nonce for netuid in (1, 2, 3)]
    assert nonces == [7, 8, 9]


def test_a_gap_that_a_refused_extrinsic_left_is_filled_first(bench: Any) -> None:
    intents = [bench.accepted(netuid=netuid) for netuid in (1, 2, 3)]
    for intent in intents:
        bench.sealed(intent)
    bench.report(intents[0], Event.SUBMITTED)
    bench.report(intents[1], Event.REJECTED, code="x")
    # The pool's next index stops before the gap.
    assert bench.sealed(bench.accepted(netuid=2), nonce=8).nonce == 8


def test_what_the_pool_already_counts_is_not_counted_twice(bench: Any) -> None:
    first = bench.accepted(netuid=1)
    bench.sealed(first)
    bench.report(first, Event.SUBMITTED)
    assert bench.sealed(bench.accepted(netuid=2), nonce=8).nonce == 8


# The interval ---------------------------------------------------------------------------------------------------------


def test_a_rate_limit_by_the_chains_blocks(bench: Any) -> None:
    intent = bench.accepted()
    refusal = bench.seal(intent, rate_limit=100, last_update=4_950)
    assert (refusal.code, refusal.next_block, refusal.retry_after_seconds) == ("rate_limited", 5_050, 600)
    stored = bench.intent(intent)
    assert (stored.not_before_block, stored.not_before_ms) == (5_050, bench.now + 600_000)


@pytest.mark.parametrize("facts", [{"last_update": 0}, {"last_update": 4_900}, {"rate_limit": 0, "last_update": 5_000}])
def test_no_wait_where_the_chain_asks_for_none(bench: Any, facts: dict[str, Any]) -> None:
    bench.sealed(bench.accepted(), **{"rate_limit": 100, **facts})


def test_the_interval_holds_by_our_own_clock_whatever_the_chain_says(bench: Any) -> None:
    bench.sealed(bench.accepted(), rate_limit=100)
    bench.pass_time(900)
    # A chain that forgets the last update, and says that there is no limit.
    second = bench.accepted()
    assert code(bench.seal(second, rate_limit=0, last_update=0, nonce=8)) == "rate_limited"
    bench.pass_time((100 - RATE_SLACK_BLOCKS) * 12 - 900)
    bench.sealed(bench.accepted(), rate_limit=0, nonce=8)


def test_the_interval_is_one_slots_own(bench: Any) -> None:
    bench.sealed(bench.accepted(), rate_limit=100)
    bench.sealed(bench.accepted(netuid=1), rate_limit=100)
    bench.sealed(bench.accepted(mechid=1), rate_limit=100, mechanisms=2)


def test_a_queued_wish_waits_and_is_signed_then(bench: Any) -> None:
    intent = bench.accepted(queue=True)
    refusal = bench.seal(intent, rate_limit=100, last_update=4_950)
    assert code(refusal) == "rate_limited"
    stored = bench.intent(intent)
    assert stored.state is State.ACCEPTED
    assert stored.deadline_ms == bench.now + 600_000 + 300_000
    bench.pass_time(599)
    assert code(bench.seal(intent, rate_limit=100, last_update=4_950)) == "too_early"
    assert bench.pass_time(1)
    bench.sealed(intent, rate_limit=100, last_update=4_950, block_number=5_050, era_block_number=5_048)


# Runtimes -------------------------------------------------------------------------------------------------------------


def test_a_runtime_is_learnt_and_the_two_newest_are_kept(bench: Any, said: ipc.Runtime) -> None:
    for version in (461, 462, 463):
        assert seal.learn_runtime(bench.desk, dataclasses.replace(said, spec_version=version)) == Done()
    assert [spec for spec, _ in bench.desk.chain.runtimes] == [462, 463]


@pytest.mark.parametrize("genesis", [bytes(32), b"", bytes(31), bytes(1000)])
def test_a_runtime_of_another_chain_is_refused(bench: Any, said: ipc.Runtime, genesis: bytes) -> None:
    refusal = seal.learn_runtime(bench.desk, dataclasses.replace(said, genesis_hash=genesis))
    assert code(refusal) == "wrong_genesis"
    assert len(refusal.message) < 200


def test_metadata_that_cannot_be_used_is_refused(bench: Any, said: ipc.Runtime) -> None:
    forged = dataclasses.replace(said, metadata=b"meta\x0fnonsense")
    assert code(seal.learn_runtime(bench.desk, forged)) == "runtime_refused"


def test_genesis_is_pinned_at_first_contact_and_stays(bench: Any, said: ipc.Runtime) -> None:
    desk = bench.desk
    desk.config = dataclasses.replace(desk.config, chain=dataclasses.replace(desk.config.chain, genesis=""))
    assert desk.genesis == ""
    first = dataclasses.replace(said, genesis_hash=b"\x01" * 32)
    assert seal.learn_runtime(desk, first) == Done()
    assert desk.genesis == "0x" + "01" * 32
    assert bench.kinds()[-1] == "genesis_pinned"
    assert code(seal.learn_runtime(desk, dataclasses.replace(said, genesis_hash=b"\x02" * 32))) == "wrong_genesis"


@pytest.mark.parametrize(
    ("true", "forged"),
    [(b"\x2cset_weights", b"\x2cset_heights"), (b"CheckMortality", b"CheckImmortals"), (b"CheckNonce", b"CheckOnces")],
)
def test_a_forged_runtime_is_refused_at_the_seal_and_the_intent_waits(
    bench: Any, said: ipc.Runtime, true: bytes, forged: bytes
) -> None:
    swapped = said.metadata.replace(true, forged)
    assert swapped != said.metadata
    # Otherwise it would be refused before.
    bench.desk.upgrades = Upgrades(bench.desk.journal, "follow")
    assert seal.learn_runtime(bench.desk, dataclasses.replace(said, metadata=swapped)) == Done()
    intent = bench.accepted()
    assert code(bench.seal(intent)) == "runtime_refused"
    assert bench.intent(intent).state is State.ACCEPTED


def test_the_end_of_one_intent_does_not_move_another(bench: Any) -> None:
    first, second = bench.accepted(), bench.accepted()
    bench.sealed(first)
    report(bench.desk, ipc.Report(first, Event.FINALIZED, **BLOCK))
    assert bench.intent(second).state is State.ACCEPTED
    assert isinstance(seal.seal(bench.desk, Seal("", None)), Refusal)  # type: ignore[arg-type]


def test_a_lie_about_the_head_is_forgotten(bench: Any) -> None:
    liar, honest = bench.accepted(), bench.accepted(netuid=3)
    bench.sealed(liar, block_number=900_000, era_block_number=899_998)
    assert bench.seal(honest).code == "facts_refused"
    bench.pass_time(601)
    again = bench.accepted(netuid=3)
    assert isinstance(bench.seal(again), Task)


def test_a_lie_about_the_rate_limit_holds_a_slot_for_one_tempo_at_most(bench: Any) -> None:
    first = bench.accepted()
    bench.sealed(first, rate_limit=50_400)
    bench.pass_time(360 * 12)
    second = bench.accepted()
    assert isinstance(bench.seal(second, rate_limit=0), Task)
