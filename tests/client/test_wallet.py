"""A wallet without keys."""

import pytest

from wallet_guard.client import Refused, RemoteSigner, RemoteWallet, SettingsError
from wallet_guard.client.orders import name_of

TOKEN = "a-token-of-43-characters-like-the-signer-ma"
ALICE = "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY"
BOB = "5FHneW46xGXgs5mUiveU4sbTyGBzmstUspZC92UhjJM694ty"


@pytest.fixture
def make(unix_service, say):
    info = {"success": True, "hotkey_address": ALICE, "crypto_type": "sr25519", "client": {}}
    unix_service.steps = [say.answer(info)]
    wallets = []

    def make(**keywords):
        wallets.append(RemoteWallet(unix_service.url, TOKEN, "main", "second", **keywords))
        return wallets[-1]

    yield make
    for wallet in wallets:
        wallet.close()


def test_has_names_and_public_keys(make, unix_service):
    wallet = make(coldkey_address=BOB)
    assert (wallet.name, wallet.hotkey_str) == ("main", "second")
    assert isinstance(wallet.hotkey, RemoteSigner)
    assert wallet.unlock_hotkey() is wallet.hotkey
    assert wallet.hotkey.ss58_address == wallet.hotkeypub.ss58_address == ALICE
    assert wallet.hotkeypub.public_key == wallet.hotkey.public_key
    assert wallet.coldkeypub.ss58_address == BOB
    assert unix_service.seen[0].line == "GET /wallet/info?wallet_name=main&hotkey_name=second HTTP/1.1"
    assert TOKEN not in repr(wallet)


def test_a_coldkey_that_nobody_named_says_so_when_it_is_used(make):
    wallet = make()
    assert hasattr(wallet, "coldkey"), "the SDK looks whether there is one"
    with pytest.raises(SettingsError, match="coldkey_address"):
        _ = wallet.coldkeypub.ss58_address


def test_a_coldkey_never_signs(make):
    wallet = make(coldkey_address=BOB)
    for refused in (lambda: wallet.coldkey.sign(b"x"), lambda: wallet.hotkeypub.sign(b"x"), wallet.unlock_coldkey):
        with pytest.raises(Refused, match="coldkey"):
            refused()


def test_an_address_that_is_none_is_refused(make):
    with pytest.raises(SettingsError, match="SS58"):
        make(coldkey_address="5nonsense")


def test_gives_its_names_to_the_service(make):
    wallet = make()
    assert (name_of(wallet, "name"), name_of(wallet, "hotkey_str")) == ("main", "second")
