"""Composing and signing against the recorded metadata of spec 461, true and forged."""

import dataclasses
from hashlib import blake2b
from typing import Any

import bittensor_core
import pytest

from wallet_guard.devnet import metadata as forge
from wallet_guard.devnet.metadata import compact
from wallet_guard.ipc import chain as ipc
from wallet_guard.signer.compose import Runtime, RuntimeUnusableError, TimelockError, reveal_ms
from wallet_guard.signer.keys import Key

DIGEST = "affbcc25b1cb6847bc94dcf3a7f35fb8d6a5c59d9d47da92063a9399a5fc11c0"
"""Of the recorded metadata, as the SDK's own tests expect it."""


@pytest.fixture
def uids() -> tuple[list[int], list[int]]:
    return [1, 2, 3], [21845, 43690, 65535]


def told(said: ipc.Runtime, metadata: bytes, **options: Any) -> Runtime:
    return Runtime(
        dataclasses.replace(said, metadata=metadata), **{"with_digest": True, "pinned_sha256": (), **options}
    )


def payload_by_hand(call: bytes, facts: ipc.Facts, nonce: int, digest: bytes | None) -> bytes:
    """Written out once more, from the table of extensions of spec 461, without the code under test."""
    era = facts.era_block_number % 16 * 16 + 3
    extra = bytes([era & 255, era >> 8, nonce << 2, 0, 1 if digest else 0])
    implied = (461).to_bytes(4, "little") + (1).to_bytes(4, "little") + facts.genesis_hash + facts.era_block_hash
    whole = call + extra + implied + (b"\1" + digest if digest else b"\0")
    return blake2b(whole, digest_size=32).digest() if len(whole) > 256 else whole


def test_the_digest_is_the_one_that_the_sdk_computes(runtime: Runtime) -> None:
    assert runtime.digest is not None
    assert runtime.digest.hex() == DIGEST


def test_mechanism_zero_takes_the_plain_call(runtime: Runtime, uids: Any) -> None:
    call = runtime.set_weights(2, 0, *uids, 5)
    assert call.name == "SubtensorModule.set_weights"
    assert call.data.hex() == "07000200" + "0c010002000300" + "0c5555aaaaffff" + "0500000000000000"
    assert call.reveal_round is None


def test_other_mechanisms_take_the_mechanism_call(runtime: Runtime, uids: Any) -> None:
    call = runtime.set_weights(2, 1, *uids, 0)
    assert call.name == "SubtensorModule.set_mechanism_weights"
    assert call.data[:5].hex() == "0777020001"


@pytest.mark.parametrize(
    ("mechid", "name", "head"),
    [(0, "commit_timelocked_weights", "07710200"), (1, "commit_timelocked_mechanism_weights", "0776020001")],
)
def test_commits_hold_no_plaintext_and_a_round_to_come(
    runtime: Runtime, alice: Key, facts: ipc.Facts, uids: Any, mechid: int, name: str, head: str
) -> None:
    call = runtime.commit_timelocked(alice.public_key, facts, (2, mechid), uids, 0)
    assert call.name == f"SubtensorModule.{name}"
    assert call.data.hex().startswith(head)
    assert bytes.fromhex("5555aaaaffff") not in call.data
    assert call.reveal_round is not None
    assert call.data.endswith(call.reveal_round.to_bytes(8, "little") + b"\x04\x00")


def test_an_impossible_schedule_is_a_timelock_error(runtime: Runtime, alice: Key, facts: ipc.Facts, uids: Any) -> None:
    with pytest.raises(TimelockError):
        runtime.commit_timelocked(alice.public_key, dataclasses.replace(facts, tempo=0), (2, 0), uids, 0)


@pytest.mark.parametrize("count", [3, 300])
def test_the_signature_fits_a_payload_written_by_hand(
    runtime: Runtime, alice: Key, facts: ipc.Facts, metadata: bytes, count: int
) -> None:
    call = runtime.set_weights(2, 0, list(range(count)), [65535] * count, 0)
    signed = runtime.sign(call, alice, facts, nonce=9, era_blocks=16)
    codec = bittensor_core.Runtime(metadata, 461, 1)
    read = codec.decode_extrinsic(signed.data)
    signature = bytes.fromhex(read["signature"]["Sr25519"].removeprefix("0x"))
    payload = payload_by_hand(call.data, facts, 9, bytes.fromhex(DIGEST))
    assert bittensor_core.verify(payload, signature, alice.ss58_address, 1)
    assert not bittensor_core.verify(payload + b"x", signature, alice.ss58_address, 1)


def test_what_is_signed_is_mortal_free_of_tip_and_bound_to_the_digest(
    runtime: Runtime, alice: Key, facts: ipc.Facts, uids: Any, metadata: bytes
) -> None:
    signed = runtime.sign(runtime.set_weights(2, 0, *uids, 0), alice, facts, nonce=9, era_blocks=16)
    read = bittensor_core.Runtime(metadata, 461, 1).decode_extrinsic(signed.data)
    assert read["nonce"] == 9
    assert read["tip"] == 0
    assert read["mode"] == {"mode": "Enabled"}
    assert read["era"] == (16, facts.era_block_number % 16)
    assert read["address"] == alice.ss58_address
    assert (signed.era_birth, signed.era_death) == (facts.era_block_number, facts.era_block_number + 16)
    assert signed.hash == "0x" + blake2b(signed.data, digest_size=32).hexdigest()


def test_an_ed25519_key_signs_as_one(runtime: Runtime, facts: ipc.Facts, uids: Any) -> None:
    pair = bittensor_core.Keypair.create_from_uri("//Alice", crypto_type=bittensor_core.CRYPTO_ED25519)
    key = Key("validator", "ed", pair)
    call = runtime.set_weights(2, 0, *uids, 0)
    signed = runtime.sign(call, key, facts, nonce=9, era_blocks=16)
    payload = payload_by_hand(call.data, facts, 9, bytes.fromhex(DIGEST))
    at = signed.data.index(key.public_key) + 32
    assert signed.data[at] == 0
    assert bittensor_core.verify(payload, signed.data[at + 1 : at + 65], key.ss58_address, 0)


# Runtimes that are refused ------------------------------------------------------------------------------------------


def test_refuses_metadata_of_another_version(said: ipc.Runtime, metadata: bytes) -> None:
    with pytest.raises(RuntimeUnusableError, match="expected V15"):
        told(said, metadata[:4] + b"\x0e" + metadata[5:])


def test_refuses_metadata_over_the_ceiling(said: ipc.Runtime, metadata: bytes) -> None:
    with pytest.raises(RuntimeUnusableError, match="at most 3145728 bytes"):
        told(said, metadata + bytes(3 * 1024 * 1024))


@pytest.mark.parametrize("length", [5, 6, 100, 10_000, 300_000, 386_000])
def test_refuses_metadata_that_was_cut(said: ipc.Runtime, metadata: bytes, length: int) -> None:
    with pytest.raises(RuntimeUnusableError):
        told(said, metadata[:length])


def test_refuses_metadata_that_is_not_pinned(said: ipc.Runtime, metadata: bytes) -> None:
    with pytest.raises(RuntimeUnusableError, match="pinned SHA-256"):
        told(said, metadata, pinned_sha256=("00" * 32,))


def test_takes_pinned_metadata_with_the_digest_off(
    said: ipc.Runtime, metadata: bytes, runtime: Runtime, alice: Key, facts: ipc.Facts, uids: Any
) -> None:
    pinned = told(said, metadata, with_digest=False, pinned_sha256=(runtime.metadata_sha256,))
    assert pinned.digest is None
    call = pinned.set_weights(2, 0, *uids, 0)
    signed = pinned.sign(call, alice, facts, nonce=9, era_blocks=16)
    at = signed.data.index(alice.public_key) + 33
    payload = payload_by_hand(call.data, facts, 9, None)
    assert bittensor_core.verify(payload, signed.data[at : at + 64], alice.ss58_address, 1)


@pytest.mark.parametrize("version", [-1, 2**32, 2**70])
def test_refuses_versions_that_cannot_be(said: ipc.Runtime, version: int) -> None:
    with pytest.raises(RuntimeUnusableError):
        Runtime(dataclasses.replace(said, spec_version=version), with_digest=True, pinned_sha256=())


def test_refuses_a_runtime_without_the_digest_extension(said: ipc.Runtime, metadata: bytes) -> None:
    renamed = metadata.replace(b"\x44CheckMetadataHash", b"\x44CheckMetadataHush")
    assert renamed != metadata
    with pytest.raises(RuntimeUnusableError):
        told(said, renamed)


def test_refuses_a_runtime_without_the_call(said: ipc.Runtime, metadata: bytes, uids: Any) -> None:
    renamed = metadata.replace(b"\x2cset_weights", b"\x2cset_heights")
    with pytest.raises(RuntimeUnusableError, match="set_weights"):
        told(said, renamed).set_weights(2, 0, *uids, 0)


def test_refuses_calls_that_changed_their_places(said: ipc.Runtime, metadata: bytes, uids: Any) -> None:
    swapped = forge.with_calls_swapped(metadata, "SubtensorModule", "set_weights", "serve_axon")
    with pytest.raises(RuntimeUnusableError, match="expected the call that was meant"):
        told(said, swapped).set_weights(2, 0, *uids, 0)


def with_pallet_index(metadata: bytes, index: int) -> bytes:
    """SubtensorModule under another pallet's number, in the list that the digest does not cover."""
    at = metadata.index(b"\x07\x00\x1cUtility", forge.survey(metadata).pallets["SubtensorModule"].entries_end)
    return metadata[:at] + bytes([index]) + metadata[at + 1 :]


def with_weights_before_uids(metadata: bytes, codec: bittensor_core.Runtime) -> bytes:
    """A call type of its own for the pallet, in which the two lists changed places; no digest reaches it."""
    layout = forge.survey(metadata)
    pallet = layout.pallets["SubtensorModule"]
    word, words, key = (codec.type_id_of(name) for name in ("u16", "Vec<u16>", "u64"))

    def text(value: str) -> bytes:
        return compact(len(value)) + value.encode()

    fields = (("netuid", word), ("weights", words), ("dests", words), ("version_key", key))
    variant = text("set_weights") + compact(4)
    variant += b"".join(b"\x01" + text(name) + compact(kind) + b"\x00\x00" for name, kind in fields) + b"\x00\x00"
    kind = compact(layout.type_count) + b"\x00\x00\x01" + compact(1) + variant + b"\x00"
    assert pallet.call_type is not None
    points = b"\x01" + compact(pallet.call_type)
    assert metadata.startswith(points, pallet.entries_end)
    return (
        metadata[: layout.type_count_at.start]
        + compact(layout.type_count + 1)
        + metadata[layout.type_count_at.end : layout.types_end]
        + kind
        + metadata[layout.types_end : pallet.entries_end]
        + b"\x01"
        + compact(layout.type_count)
        + metadata[pallet.entries_end + len(points) :]
    )


def test_another_pallet_under_the_same_digest_is_refused(said: ipc.Runtime, metadata: bytes, uids: Any) -> None:
    # 5 is Balances. The digest alone does not see it: the list of pallets is not part of it.
    runtime = told(said, with_pallet_index(metadata, 5))
    assert runtime.digest is not None
    assert runtime.digest.hex() == DIGEST
    with pytest.raises(RuntimeUnusableError, match="forged"):
        runtime.set_weights(2, 0, *uids, 0)


def test_arguments_in_another_order_under_the_same_digest_are_refused(
    said: ipc.Runtime, metadata: bytes, uids: Any
) -> None:
    codec = bittensor_core.Runtime(metadata, 461, 1)
    runtime = told(said, with_weights_before_uids(metadata, codec))
    assert runtime.digest is not None
    assert runtime.digest.hex() == DIGEST
    with pytest.raises(RuntimeUnusableError, match="forged"):
        runtime.set_weights(2, 0, *uids, 0)


@pytest.mark.parametrize(
    ("true", "forged"),
    [(b"CheckMortality", b"CheckImmortals"), (b"CheckNonce", b"CheckOnces")],
)
def test_extensions_under_other_names_are_not_signed(
    said: ipc.Runtime, metadata: bytes, alice: Key, facts: ipc.Facts, uids: Any, true: bytes, forged: bytes
) -> None:
    changed = metadata.replace(true, forged)
    assert changed != metadata
    runtime = told(said, changed)
    with pytest.raises(RuntimeUnusableError):
        runtime.sign(runtime.set_weights(2, 0, *uids, 0), alice, facts, nonce=9, era_blocks=16)


def test_reveal_times_follow_the_beacon() -> None:
    assert reveal_ms(1) == 1_692_803_367_000
    assert reveal_ms(101) == 1_692_803_367_000 + 300_000
