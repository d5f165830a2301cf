from itertools import pairwise

import pytest

from wallet_guard.devnet import metadata
from wallet_guard.devnet.chain import Chain
from wallet_guard.devnet.refusals import RpcError
from wallet_guard.devnet.runtime import Runtime

START = 1_700_000_000_000


def refused(chain, raw: bytes) -> tuple[int, str | None]:
    with pytest.raises(RpcError) as caught:
        chain.submit(raw)
    return caught.value.code, caught.value.data


def events(chain) -> list[tuple[int | None, str]]:
    state = chain.state_at(chain.best.number)
    found = state.get("System", "Events")
    return [(event["extrinsic_idx"], f"{event['module_id']}.{event['event_id']}") for event in found]


def test_sets_weights(chain, alice):
    chain.submit(alice.weights())
    chain.seal(START)
    assert chain.state_at(chain.best.number).get("SubtensorModule", "Weights", 2, 0) == [
        (1, 21845),
        (2, 43690),
        (3, 65535),
    ]
    assert events(chain) == [
        (0, "System.ExtrinsicSuccess"),
        (1, "SubtensorModule.WeightsSet"),
        (1, "System.ExtrinsicSuccess"),
    ]


def test_a_failed_call_uses_its_nonce_and_changes_nothing_else(chain, alice):
    chain.submit(alice.weights(netuid=3))  # commit-reveal is on there
    chain.seal(START)
    assert events(chain)[1:] == [(1, "System.ExtrinsicFailed")]
    assert chain.nonce(alice.address) == 1
    (record,) = chain.records.values()
    assert record.error == "SubtensorModule.CommitRevealEnabled"


def test_other_calls_are_filtered(chain, alice):
    chain.submit(alice.sign("Balances", "transfer_keep_alive", {"dest": alice.address, "value": 1}))
    chain.seal(START)
    assert next(iter(chain.records.values())).error == "System.CallFiltered"


@pytest.mark.parametrize(
    "wrong",
    [
        {"genesis_hash": b"\x01" * 32},
        {"birth_hash": b"\x01" * 32},
        {"digest": b"\x01" * 32},
        {"wrap": lambda payload: payload + b"\0"},
        {"wrap": lambda payload: b"<Bytes>" + payload + b"</Bytes>"},
        {"era": {"period": 64, "current": 3}, "birth_hash": b"\0" * 32},
    ],
    ids=["genesis", "birth block", "metadata digest", "signature", "wrapped", "era"],
)
def test_refuses_what_the_signed_payload_does_not_agree_with(chain, alice, wrong):
    assert refused(chain, alice.weights(**wrong)) == (1010, "Transaction has a bad signature")


def test_refuses_a_signature_for_another_spec_version(chain, runtime, alice):
    other = Runtime(metadata.with_spec_version(runtime.metadata, 462), 462)
    assert refused(chain, alice.weights(runtime=other)) == (1010, "Transaction has a bad signature")


def test_takes_the_digest_of_the_metadata_that_is_served(chain, runtime, alice):
    chain.submit(alice.weights(digest=runtime.digest))
    chain.seal(START)
    assert next(iter(chain.records.values())).state == "in_block"


def test_refuses_a_nonce_that_is_used(chain, alice):
    chain.submit(alice.weights())
    chain.seal(START)
    assert refused(chain, alice.weights(nonce=0)) == (1010, "Transaction is outdated")


def test_refuses_a_tip_that_the_account_cannot_pay(chain, signer):
    code, data = refused(chain, signer("//Bob").weights(tip=1))
    assert (code, data) == (1010, "Inability to pay some fees (e.g. account balance too low)")


def test_refuses_an_era_that_begins_in_the_future(chain, alice):
    raw = alice.weights(era={"period": 64, "current": 50}, birth_hash=b"\0" * 32)
    assert refused(chain, raw) == (1010, "Transaction has an ancient birth block")


def test_a_nonce_ahead_waits_until_the_gap_closes(chain, alice, seen):
    late = chain.submit(alice.weights(nonce=1))
    chain.seal(START)
    assert late.hash in chain.pool
    early = chain.submit(alice.weights(nonce=0))
    chain.seal(START)
    assert seen == [
        (late.hash, "future"),
        (early.hash, "ready"),
        (late.hash, "ready"),
        (early.hash, "inBlock"),
        (late.hash, "inBlock"),
    ]


def test_refuses_the_same_bytes_while_they_wait(chain, alice):
    raw = alice.weights()
    signed = chain.submit(raw)
    assert refused(chain, raw) == (1013, signed.hash)
    assert chain.records[signed.hash].submissions == 2
    assert refused(chain, alice.weights(nonce=0))[0] == 1014


def test_throws_out_what_outlives_its_era(chain, alice, seen):
    signed = chain.submit(alice.weights(nonce=1, era={"period": 4, "current": 3}))
    for _ in range(4):
        chain.seal(START)
    assert seen == [(signed.hash, "future"), (signed.hash, "invalid")]
    assert signed.hash not in chain.pool


def test_refuses_what_outlived_its_era(chain, alice):
    raw = alice.weights(era={"period": 4, "current": 3})
    for _ in range(4):
        chain.seal(START)
    assert refused(chain, raw)[0] == 1010


def test_becomes_final_after_the_lag(chain, alice, seen):
    signed = chain.submit(alice.weights())
    chain.seal(START)
    included = chain.best.number
    assert chain.finalized.number == included - 2
    chain.seal(START)
    chain.seal(START)
    assert chain.finalized.number == included
    assert [status for _, status in seen] == ["ready", "inBlock", "finalized"]
    assert chain.records[signed.hash].state == "finalized"


def test_a_reorganisation_returns_extrinsics_to_the_pool(chain, alice, seen):
    signed = chain.submit(alice.weights())
    chain.seal(START)
    old = chain.best
    chain.retract(1)
    assert chain.number_of(old.hash) is None
    assert signed.hash in chain.pool
    assert chain.nonce(alice.address) == 0
    chain.seal(START)
    assert chain.best.number == old.number
    assert chain.best.hash != old.hash
    assert [status for _, status in seen] == ["ready", "inBlock", "retracted", "ready", "inBlock"]


def test_a_reorganisation_may_lose_extrinsics(chain, alice):
    signed = chain.submit(alice.weights())
    chain.seal(START)
    chain.retract(1, keep_extrinsics=False)
    assert signed.hash not in chain.pool
    assert (chain.records[signed.hash].state, chain.records[signed.hash].block_hash) == ("dropped", None)


def test_final_blocks_are_not_taken_back(chain):
    with pytest.raises(ValueError, match="not final"):
        chain.retract(3)


def test_an_upgrade_governs_the_block_after_its_own(chain, runtime, alice):
    upgraded = Runtime(metadata.with_spec_version(runtime.metadata, 462), 462)
    chain.upgrade(upgraded)
    chain.submit(alice.weights())
    chain.seal(START)  # still made by the old code
    assert chain.records[next(iter(chain.records))].state == "in_block"
    assert chain.best.runtime.spec_version == 462
    assert refused(chain, alice.weights(runtime=runtime)) == (1010, "Transaction has a bad signature")
    chain.submit(alice.weights())
    chain.seal(START)
    assert [record.error for record in chain.records.values()] == [None, None]


def test_what_was_signed_for_the_old_code_becomes_invalid(chain, runtime, alice, seen):
    chain.submit(alice.weights(nonce=1))
    chain.upgrade(Runtime(metadata.with_spec_version(runtime.metadata, 462), 462))
    chain.seal(START)
    assert [status for _, status in seen] == ["future", "invalid"]


def test_old_blocks_answer_for_their_own_state(chain, alice):
    chain.submit(alice.weights())
    before = chain.best.number
    chain.seal(START)
    assert chain.state_at(before).get("SubtensorModule", "Weights", 2, 0) == []
    assert chain.state_at(before).get("System", "Number") == before


def test_time_advances_by_a_slot_at_least_and_follows_the_clock(chain):
    times = [chain.seal(START).timestamp, chain.seal(START).timestamp, chain.seal(START + 60_000).timestamp]
    assert times[1] == times[0] + 1000
    assert times[2] == START + 60_000
    assert chain.state_at(chain.best.number).get("Timestamp", "Now") == times[2]


def test_blocks_are_linked_by_their_hashes(chain):
    for parent, child in pairwise(chain.blocks.values()):
        assert child.parent_hash == parent.hash


def test_old_blocks_are_forgotten_but_not_the_first(runtime, items):
    chain = Chain(runtime, items, slot_milliseconds=1000, finality_lag=2, kept_blocks=5)
    for _ in range(20):
        chain.seal(START)
    assert sorted(chain.blocks) == [0, *range(14, 21)]
    assert chain.state_at(15).get("System", "Number") == 15
    assert chain.state_at(15).get("SubtensorModule", "SubnetworkN", 2) == 16
    for number in (0, 14):
        with pytest.raises(RpcError, match="State already discarded"):
            chain.state_at(number)
    assert chain.block_of(chain.genesis.hash) is chain.genesis


def test_blocks_that_were_taken_back_are_still_known_by_their_hash(chain):
    old = chain.seal(START)
    chain.retract(1)
    assert chain.block_of(old.hash) is old
    assert chain.number_of(old.hash) is None


def test_an_extrinsic_of_the_pool_survives_blocks_that_do_not_concern_it(chain, alice):
    signed = chain.submit(alice.weights(nonce=1))
    for _ in range(5):
        chain.seal(START)
    assert signed.hash in chain.pool


def test_what_the_pool_holds_is_thrown_out_when_it_may_no_longer_be_done(chain, alice, client, seen):
    chain.submit(alice.weights(nonce=1))
    chain.on_status = lambda extrinsic_hash, status: seen.append((extrinsic_hash, status))
    client("devnet_set", {"item": "StakeThreshold", "value": 10**18})
    assert seen[-1][1] == "invalid"


def test_two_commits_for_one_mechanism_exclude_each_other_where_a_limit_is_set(chain, alice, client):
    client("devnet_set", {"item": "WeightsSetRateLimit", "keys": [3], "value": 10})
    chain.submit(alice.commit(nonce=0))
    assert refused(chain, alice.commit(nonce=1))[0] == 1014


def test_two_commits_for_one_mechanism_may_wait_together_where_no_limit_is_set(chain, alice):
    chain.submit(alice.commit(nonce=0))
    chain.submit(alice.commit(nonce=1))
    chain.seal(START)
    assert [record.error for record in chain.records.values()] == [None, None]
