import bittensor_core
import pytest

from wallet_guard.devnet.extrinsic import Era, decode, extrinsic_hash, signed_payload, verifies
from wallet_guard.devnet.refusals import RpcError


def refusal(runtime, raw: bytes) -> int:
    with pytest.raises(RpcError) as caught:
        decode(runtime, raw)
    return caught.value.code


def test_takes_an_extrinsic_apart(runtime, alice):
    raw = alice.weights(nonce=7, digest=runtime.digest)
    signed = decode(runtime, raw)
    assert (signed.name, signed.signer, signed.nonce, signed.tip) == (
        "SubtensorModule.set_weights",
        alice.address,
        7,
        0,
    )
    assert signed.arguments == {"netuid": 2, "dests": [1, 2, 3], "weights": [100, 200, 300], "version_key": 0}
    assert signed.metadata_hash
    assert signed.era == Era(64, 3)


def test_hash_and_parts_equal_the_codecs_own(runtime, alice):
    raw = alice.weights()
    assert extrinsic_hash(raw) == runtime.core.decode_extrinsic(raw)["extrinsic_hash"]


@pytest.mark.parametrize("nonce", [0, 63, 64, 16_383, 16_384, 2**30 - 1, 2**30, 2**32 - 1])
def test_reads_every_size_of_nonce(runtime, alice, nonce):
    assert decode(runtime, alice.weights(nonce=nonce)).nonce == nonce


def test_immortal_extrinsics_have_no_era(runtime, alice):
    assert decode(runtime, alice.weights(era="00")).era is None


@pytest.mark.parametrize("period", [4, 8, 64, 128, 4096, 65536])
@pytest.mark.parametrize("current", [0, 3, 1000, 123_456])
def test_birth_of_an_era_equals_the_codecs(runtime, period, current):
    encoded = bytes(runtime.core.encode_era({"period": period, "current": current}))
    number = int.from_bytes(encoded, "little")
    era = Era(2 << number % 16, (number >> 4) * max((2 << number % 16) >> 12, 1))
    assert era.period == period
    assert era.birth(current) == bittensor_core.era_birth(period, current)
    assert era.birth(current) <= current < era.death(current)


def test_refuses_wrong_length_prefixes_as_bad_format(runtime, alice):
    raw = alice.weights()
    assert refusal(runtime, raw + b"\0") == 1001
    assert refusal(runtime, raw[:-1]) == 1001
    assert refusal(runtime, b"") == 1001


def test_refuses_whatever_does_not_decode(runtime, alice):
    body = alice.weights()[2:]

    def framed(data: bytes) -> bytes:
        return (len(data) << 2 | 1).to_bytes(2, "little") + data

    assert refusal(runtime, framed(b"\x04" + body[1:])) == 1002  # not signed
    assert refusal(runtime, framed(body[:1] + b"\x01" + body[2:])) == 1002  # not an account id
    assert refusal(runtime, framed(body + b"\0")) == 1002  # a byte after the call
    for size in range(len(body)):
        assert refusal(runtime, framed(body[:size])) in (1001, 1002)


@pytest.mark.parametrize("scheme", [bittensor_core.CRYPTO_ED25519, bittensor_core.CRYPTO_SR25519])
def test_verifies_exactly_the_payload(chain, runtime, signer, scheme):
    who = signer("//Alice", scheme)
    genesis_hash = bytes.fromhex(chain.genesis.hash[2:])
    birth_hash = bytes.fromhex(chain.blocks[3].hash[2:])

    def ok(raw: bytes) -> bool:
        signed = decode(runtime, raw)
        return verifies(signed, signed_payload(signed, runtime, genesis_hash, birth_hash))

    assert ok(who.weights())
    assert not ok(who.weights(genesis_hash=b"\x02" * 32))
    assert not ok(who.weights(birth_hash=b"\x02" * 32))
    # The library's own verification takes a signature over wrapped bytes; a node does not.
    assert not ok(who.weights(wrap=lambda payload: b"<Bytes>" + payload + b"</Bytes>"))


def test_long_payloads_are_signed_by_their_hash(chain, runtime, alice):
    uids = list(range(16))
    weights = {"netuid": 2, "mecid": 0, "dests": uids * 8, "weights": [1] * 128, "version_key": 0}
    signed = decode(runtime, alice.sign("SubtensorModule", "set_mechanism_weights", weights))
    payload = signed_payload(
        signed, runtime, bytes.fromhex(chain.genesis.hash[2:]), bytes.fromhex(chain.blocks[3].hash[2:])
    )
    assert len(payload) == 32
    assert verifies(signed, payload)
