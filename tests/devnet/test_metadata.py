import hashlib

import pytest

from wallet_guard.devnet import metadata
from wallet_guard.devnet.runtime import Runtime

RECORDED = metadata.RECORDING.read_bytes()


def test_the_recording_is_the_one_that_its_note_describes():
    note = (metadata.RECORDING.parent / "ORIGIN").read_text()
    assert hashlib.sha256(RECORDED).hexdigest() in note


def test_appends_the_epoch_consensus_item(runtime):
    entry = runtime.core.storage_entry("SubtensorModule", "SubnetEpochConsensus")
    tempo = runtime.core.storage_entry("SubtensorModule", "Tempo")
    assert (entry.param_hashers, entry.param_types) == (tempo.param_hashers, tempo.param_types)
    assert runtime.decode_value("SubtensorModule", "SubnetEpochConsensus", None) == "Yuma"
    assert runtime.decode_value("SubtensorModule", "SubnetEpochConsensus", b"\x01") == "Null"


def test_appending_twice_changes_nothing():
    once = metadata.with_epoch_consensus(RECORDED)
    assert metadata.with_epoch_consensus(once) == once


def test_keeps_every_other_item_of_the_recording(runtime):
    recorded = Runtime(RECORDED, 461)
    for pallet in recorded.core.metadata_ir()["pallets"]:
        for item in pallet["storage"]:
            key = (pallet["name"], item["name"])
            assert runtime.item(*key).default == recorded.item(*key).default
            assert runtime.key(*key) == recorded.key(*key)


def test_keeps_the_digest_of_the_recording(runtime):
    # Equal to EXPECTED_DIGEST of the SDK's own tests (tests/unit/test_ledger_signer.py of bittensor 11.3.0).
    assert runtime.digest.hex().startswith("affbcc25")
    assert runtime.digest.hex().endswith("fc11c0")
    assert runtime.digest == Runtime(RECORDED, 461).digest


@pytest.mark.parametrize("milliseconds", [250, 1000, 12_000])
def test_says_the_block_time(milliseconds):
    served = Runtime(metadata.served_metadata(milliseconds), 461)
    assert served.core.constant("Aura", "SlotDuration") == milliseconds
    assert served.core.constant("Timestamp", "MinimumPeriod") == milliseconds // 2


def test_says_another_spec_version_which_changes_the_digest(runtime):
    changed = metadata.with_spec_version(runtime.metadata, 462)
    upgraded = Runtime(changed, 462)
    assert upgraded.core.constant("System", "Version")["spec_version"] == 462
    assert upgraded.digest != runtime.digest


def test_swaps_the_indices_of_two_calls_which_changes_the_digest(runtime):
    forged = Runtime(metadata.with_calls_swapped(runtime.metadata, "SubtensorModule", "set_weights", "serve_axon"), 461)
    arguments = {"netuid": 2, "dests": [1], "weights": [1], "version_key": 0}
    call = bytes(forged.core.compose_call("SubtensorModule", "set_weights", arguments))
    true = bytes(runtime.core.compose_call("SubtensorModule", "set_weights", arguments))
    assert (call[1], true[1]) == (4, 0)
    assert call[2:] == true[2:]
    assert forged.digest != runtime.digest


def test_swaps_the_indices_of_two_pallets_which_the_digest_does_not_notice(runtime):
    forged = Runtime(metadata.with_pallets_swapped(runtime.metadata, "SubtensorModule", "Balances"), 461)
    arguments = {"netuid": 2, "dests": [1], "weights": [1], "version_key": 0}
    assert bytes(forged.core.compose_call("SubtensorModule", "set_weights", arguments))[0] == 5
    assert forged.digest == runtime.digest
    with pytest.raises(metadata.MetadataError):
        metadata.with_pallets_swapped(runtime.metadata, "SubtensorModule", "Nowhere")


def test_refuses_to_swap_what_is_no_call(runtime):
    with pytest.raises(metadata.MetadataError):
        metadata.with_calls_swapped(runtime.metadata, "SubtensorModule", "set_weights", "set_wates")
    with pytest.raises(metadata.MetadataError):
        metadata.with_calls_swapped(runtime.metadata, "Nowhere", "set_weights", "serve_axon")


@pytest.mark.parametrize("data", [b"", b"meta\x0e", b"atem\x0f\x00", RECORDED[:1000], RECORDED[:200_000]])
def test_refuses_what_is_no_whole_metadata(data):
    with pytest.raises(metadata.MetadataError):
        metadata.survey(data)


@pytest.mark.parametrize(
    ("value", "encoded"), [(0, "00"), (63, "fc"), (64, "0101"), (16383, "fdff"), (16384, "02000100")]
)
def test_encodes_compact_integers(value, encoded):
    assert metadata.compact(value).hex() == encoded
