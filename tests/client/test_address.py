"""SS58 by the standard library, judged by the SDK's own library."""

import bittensor_core
import pytest

from wallet_guard.client.address import public_key_of
from wallet_guard.client.errors import SettingsError

ALICE = "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY"


@pytest.mark.parametrize("uri", ["//Alice", "//Bob", *(f"//{number}" for number in range(50))])
def test_finds_the_key_in_an_address(uri):
    pair = bittensor_core.Keypair.create_from_uri(uri, 1)
    assert public_key_of(pair.ss58_address) == bytes(pair.public_key)


@pytest.mark.parametrize("key", [bytes(32), b"\xff" * 32])
def test_finds_keys_at_the_edges(key):
    address = bittensor_core.Keypair(public_key=key, ss58_format=42).ss58_address
    assert public_key_of(address) == key


@pytest.mark.parametrize(
    "address",
    [
        "",
        "5",
        ALICE[:-1],
        ALICE + "1",
        ALICE[:-1] + "Z",
        "6" + ALICE[1:],
        ALICE.replace("z", "0", 1),
        "1" * 48,
        "z" * 64,
        "z" * 5000,
        # Polkadot's own format of the same key
        "15oF4uVJwmo4TdGW7VfQxNLavjCXviqxT9S1MgbjMNHr6Sp5",
    ],
)
def test_refuses_what_is_no_address(address):
    with pytest.raises(SettingsError, match="expected an SS58 address"):
        public_key_of(address)
