"""SCALE by hand: the runtime's own codec is the judge."""

import bittensor_core
import pytest

from wallet_guard.signer.scale import HASHED_ABOVE_BYTES, compact, encode_call, encode_era, encode_payload

ARGUMENTS = {
    "netuid": 4095,
    "mecid": 15,
    "dests": [0, 1, 65535],
    "weights": [65535, 1, 2],
    "version_key": 2**64 - 1,
    "commit": bytes(range(200)),
    "reveal_round": 2**40,
    "commit_reveal_version": 4,
}
NAMES = {
    "set_weights": ("netuid", "dests", "weights", "version_key"),
    "set_mechanism_weights": ("netuid", "mecid", "dests", "weights", "version_key"),
    "commit_timelocked_weights": ("netuid", "commit", "reveal_round", "commit_reveal_version"),
    "commit_timelocked_mechanism_weights": ("netuid", "mecid", "commit", "reveal_round", "commit_reveal_version"),
}


@pytest.fixture(scope="module")
def codec(metadata: bytes) -> bittensor_core.Runtime:
    return bittensor_core.Runtime(metadata, 461, 1)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("count", [0, 1, 63, 64, 256, 4096])
def test_encodes_each_call_as_the_runtime_does(codec: bittensor_core.Runtime, name: str, count: int) -> None:
    arguments = {
        **ARGUMENTS,
        "dests": list(range(count)),
        "weights": [value * 15 % 65536 for value in range(count)],
        "commit": bytes(count),
    }
    arguments = {key: arguments[key] for key in NAMES[name]}
    assert encode_call(name, arguments) == bytes(codec.compose_call("SubtensorModule", name, arguments))


def test_knows_no_other_call() -> None:
    with pytest.raises(KeyError):
        encode_call("transfer_all", ARGUMENTS)


@pytest.mark.parametrize(("key", "value"), [("netuid", 65536), ("mecid", 256), ("weights", [65536]), ("netuid", -1)])
def test_refuses_what_does_not_fit_its_type(key: str, value: object) -> None:
    with pytest.raises(OverflowError):
        encode_call("set_mechanism_weights", {**ARGUMENTS, key: value})


@pytest.mark.parametrize("value", [0, 63, 64, 2**14 - 1, 2**14, 2**30 - 1, 2**30, 2**31, 2**32 - 1])
def test_compact_integers_are_those_of_the_runtime(codec: bittensor_core.Runtime, value: int) -> None:
    assert compact(value) == bytes(codec.encode("Compact<u32>", value))


@pytest.mark.parametrize("period", [4, 8, 16, 32, 64, 128])
@pytest.mark.parametrize("current", [0, 1, 3, 127, 128, 5_000_000, 2**32 - 1])
def test_eras_are_those_of_the_runtime(codec: bittensor_core.Runtime, period: int, current: int) -> None:
    assert encode_era(period, current) == bytes(codec.encode_era({"period": period, "current": current}))


@pytest.mark.parametrize("digest", [None, bytes(range(32))])
@pytest.mark.parametrize("nonce", [0, 63, 64, 20_000, 2**31])
@pytest.mark.parametrize("size", [0, 1, 40, 110, 111, 112, 113, 256, 4096])
def test_payloads_are_those_of_the_runtime(
    codec: bittensor_core.Runtime, digest: bytes | None, nonce: int, size: int
) -> None:
    call = b"\x07\x00" + bytes(size)
    hashes = (b"\x11" * 32, b"\x22" * 32)
    era = {"period": 16, "current": 4999}
    ours = encode_payload(call, era=encode_era(16, 4999), nonce=nonce, versions=(461, 1), hashes=hashes, digest=digest)
    theirs = codec.signature_payload(
        call,
        era=era,
        nonce=nonce,
        tip=0,
        tip_asset_id=None,
        genesis_hash=hashes[0],
        era_block_hash=hashes[1],
        metadata_hash=digest,
    )
    assert ours == bytes(theirs)
    assert len(ours) == 32 or len(ours) <= HASHED_ABOVE_BYTES
