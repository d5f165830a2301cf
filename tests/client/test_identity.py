"""A node's own key signs its requests, so that the SDK and the guard's signer verify them."""

import json
import os
import stat

import pytest

from wallet_guard.client import SettingsError, WalletService
from wallet_guard.client.identity import Identity

BOB = "5FHneW46xGXgs5mUiveU4sbTyGBzmstUspZC92UhjJM694ty"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "node.key"


def test_the_sdk_verifies_what_it_signs():
    http_auth = pytest.importorskip("bittensor").http_auth
    identity = Identity(b"\x01" * 32, BOB)
    fields = identity.fields("POST", "/wallet/sign?x=y", b"{}")
    caller = http_auth.verify(
        dict(fields),
        b"{}",
        method="POST",
        path="/wallet/sign?x=y",
        self_hotkey_ss58=BOB,
        nonce_store=http_auth.InMemoryNonceStore(),
    )
    assert caller.hotkey_ss58 == identity.address


def test_every_request_has_a_nonce_of_its_own():
    identity = Identity(b"\x01" * 32, BOB)
    nonces = [dict(identity.fields("GET", "/", b""))["X-Bittensor-Nonce"] for _ in range(100)]
    assert len(set(nonces)) == 100


def test_a_new_key_is_its_owners_alone_and_can_be_loaded(path):
    made = Identity.create(path, BOB)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    loaded = Identity.load(path)
    assert (loaded.address, loaded.receiver) == (made.address, BOB)


def test_does_not_write_over_a_key(path):
    Identity.create(path, BOB)
    with pytest.raises(SettingsError, match="expected to make a new file: File exists"):
        Identity.create(path, BOB)


def test_refuses_a_key_that_others_may_read(path):
    Identity.create(path, BOB)
    path.chmod(0o640)
    with pytest.raises(SettingsError, match="found mode 0640; chmod 600"):
        Identity.load(path)


def test_refuses_a_link(path, tmp_path):
    Identity.create(path, BOB)
    (tmp_path / "link").symlink_to(path)
    with pytest.raises(SettingsError, match="expected a key file"):
        Identity.load(tmp_path / "link")


@pytest.mark.parametrize("text", ["", "{", "[]", '{"seed": "zz", "receiver": "x"}', '{"seed": 5}', "\xff"])
def test_refuses_what_is_no_key_and_quotes_nothing(path, text):
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(SettingsError, match="expected a key file of 'wallet-guard client keygen'"):
        Identity.load(path)


def test_refuses_a_short_seed_and_a_receiver_that_is_none(path):
    with pytest.raises(SettingsError, match="32 bytes"):
        Identity(b"\x01" * 31, BOB)
    with pytest.raises(SettingsError, match="SS58"):
        Identity.create(path, "bob")
    assert not path.exists()


def test_shows_no_secret(path):
    identity = Identity.create(path, BOB)
    seed = json.loads(path.read_text())["seed"]
    assert seed not in repr(identity)
    assert seed not in repr(WalletService("http://localhost:1", identity=identity))


def test_the_key_of_the_environment_is_used_where_no_token_is_given(path, monkeypatch, unix_service):
    identity = Identity.create(path, BOB)
    monkeypatch.setenv("WALLET_SERVICE_KEY", os.fspath(path))
    with WalletService(unix_service.url) as service:
        assert service.set_weights(2, [1], [1], wallet_name="v", idempotency_key="epoch-7").success
    (seen,) = unix_service.seen
    assert seen.fields["X-Bittensor-Hotkey"] == identity.address
    assert "Authorization" not in seen.fields
    assert "Idempotency-Key" not in seen.fields
    assert json.loads(seen.body)["idempotency_key"] == "epoch-7"
    with WalletService(unix_service.url, "a-token-of-the-node") as service:
        assert service.set_weights(2, [1], [1], wallet_name="v").success
    assert unix_service.seen[1].fields["Authorization"] == "Bearer a-token-of-the-node"
