"""Verification in one form, against the library that is more generous."""

import pickle

import bittensor_core
import pytest

from wallet_guard.signed.schemes import (
    ED25519,
    SR25519,
    AddressError,
    Ed25519Key,
    address_of,
    public_key_of,
    verify,
)

MESSAGE = b"a message"
WRAPPED = b"<Bytes>" + MESSAGE + b"</Bytes>"
SCHEMES = {SR25519: bittensor_core.CRYPTO_SR25519, ED25519: bittensor_core.CRYPTO_ED25519}


def keypair(scheme, uri="//Alice"):
    return bittensor_core.Keypair.create_from_uri(uri, SCHEMES[scheme])


@pytest.fixture(params=SCHEMES)
def scheme(request):
    return request.param


def test_takes_a_signature_over_exactly_these_bytes(scheme):
    pair = keypair(scheme)
    assert verify(scheme, bytes(pair.public_key), MESSAGE, pair.sign(MESSAGE))


def test_refuses_a_wrapped_signature_that_the_library_takes(scheme):
    pair = keypair(scheme)
    wrapped = pair.sign(WRAPPED)
    assert bittensor_core.verify(MESSAGE, wrapped, pair.ss58_address, SCHEMES[scheme])
    assert not verify(scheme, bytes(pair.public_key), MESSAGE, wrapped)


def test_takes_a_signature_over_a_message_that_is_itself_wrapped(scheme):
    pair = keypair(scheme)
    assert verify(scheme, bytes(pair.public_key), WRAPPED, pair.sign(WRAPPED))


def test_refuses_a_signature_over_a_message_wrapped_twice(scheme):
    pair = keypair(scheme)
    twice = b"<Bytes>" + WRAPPED + b"</Bytes>"
    assert bittensor_core.verify(WRAPPED, pair.sign(twice), pair.ss58_address, SCHEMES[scheme])
    assert not verify(scheme, bytes(pair.public_key), WRAPPED, pair.sign(twice))


def test_refuses_a_bare_signature_for_the_wrapped_message(scheme):
    pair = keypair(scheme)
    assert not verify(scheme, bytes(pair.public_key), WRAPPED, pair.sign(MESSAGE))


def test_refuses_every_flipped_bit_of_a_signature(scheme):
    pair = keypair(scheme)
    good = bytes(pair.sign(MESSAGE))
    for at in range(0, 512, 7):
        bad = bytearray(good)
        bad[at // 8] ^= 1 << at % 8
        assert not verify(scheme, bytes(pair.public_key), MESSAGE, bytes(bad)), at


def test_refuses_another_message_and_another_key(scheme):
    pair, other = keypair(scheme), keypair(scheme, "//Bob")
    signature = pair.sign(MESSAGE)
    assert not verify(scheme, bytes(pair.public_key), MESSAGE + b" ", signature)
    assert not verify(scheme, bytes(other.public_key), MESSAGE, signature)


@pytest.mark.parametrize("length", [0, 1, 32, 63, 65, 66])
def test_refuses_signatures_of_other_lengths(scheme, length):
    pair = keypair(scheme)
    signature = (bytes(pair.sign(MESSAGE)) + b"\1\1")[:length]
    assert not verify(scheme, bytes(pair.public_key), MESSAGE, signature)


def test_refuses_a_signature_under_the_other_scheme(scheme):
    pair = keypair(scheme)
    (other,) = SCHEMES.keys() - {scheme}
    assert not verify(other, bytes(pair.public_key), MESSAGE, pair.sign(MESSAGE))


@pytest.mark.parametrize("name", ["", "SR25519", "ecdsa", "1"])
def test_refuses_other_names_of_schemes(name):
    pair = keypair(SR25519)
    assert not verify(name, bytes(pair.public_key), MESSAGE, pair.sign(MESSAGE))


@pytest.mark.parametrize("key", [b"", bytes(31), bytes(33), bytes(32), b"\x01" + bytes(31), b"\xff" * 32])
def test_refuses_keys_that_are_none_without_raising(scheme, key):
    assert not verify(scheme, key, MESSAGE, bytes(64))
    assert not verify(scheme, key, MESSAGE, b"\x01" + bytes(63))


def test_an_address_reads_back():
    key = bytes(keypair(SR25519).public_key)
    assert public_key_of(address_of(key)) == key


@pytest.mark.parametrize(
    "address",
    [
        "",
        "5",
        "x" * 47,
        "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQZ",
        " 5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY",
        "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY\n",
        "15oF4uVJwmo4TdGW7VfQxNLavjCXviqxT9S1MgbjMNHr6Sp5",
        "0xd43593c715fdd31c61141abd04a99fd6822c8558854ccde39a5684e7a56da27d",
        "1" * 10_000,
        "é" * 48,
    ],
)
def test_refuses_what_is_no_canonical_address(address):
    with pytest.raises(AddressError):
        public_key_of(address)


def test_our_own_key_signs_what_the_library_verifies():
    key = Ed25519Key(bytes(range(32)))
    signature = key.sign(MESSAGE)
    assert bittensor_core.verify(MESSAGE, signature, address_of(key.public_key), bittensor_core.CRYPTO_ED25519)
    assert verify(ED25519, key.public_key, MESSAGE, signature)


def test_a_key_shows_and_gives_away_nothing():
    key = Ed25519Key(bytes(range(32)))
    assert repr(key) == f"Ed25519Key({key.public_key.hex()})"
    with pytest.raises(TypeError):
        pickle.dumps(key)


@pytest.mark.parametrize("length", [0, 31, 33, 64])
def test_refuses_seeds_of_other_lengths(length):
    with pytest.raises(ValueError, match="expected a seed of 32 bytes"):
        Ed25519Key(bytes(length))
