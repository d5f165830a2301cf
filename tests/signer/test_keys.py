"""Hotkeys from every format a wallet holds; no secret in any printable form; coldkeys never opened."""

import copy
import dataclasses
import json
import logging
import os
import pickle
import traceback
from pathlib import Path
from typing import Any

import bittensor_core
import pytest

from wallet_guard.host.config import ConfigurationError, SignerConfig
from wallet_guard.signer.keys import Key, Keyring, load_keys

VECTORS = json.loads((Path(__file__).parents[1] / "vectors/keyfiles/keyfiles.json").read_text())
ALICE = VECTORS["alice_plain_keyfile"]
ABANDON = VECTORS["abandon_about_plain_keyfile"]
SECRETS = [
    value.removeprefix("0x")
    for record in (ALICE, ABANDON)
    for name, value in record.items()
    if name in ("privateKey", "secretSeed", "secretPhrase")
]


class Wallets:
    """A wallets folder with a hotkey "validator/default" and whatever else a test puts there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "validator" / "hotkeys").mkdir(parents=True, mode=0o700)

    def put(self, data: bytes | dict[str, Any], name: str = "hotkeys/default", mode: int = 0o600) -> Path:
        path = self.folder / "validator" / name
        path.write_bytes(data if isinstance(data, bytes) else json.dumps(data).encode())
        path.chmod(mode)
        return path

    def load(self, *hotkeys: str, **more: Any) -> Keyring:
        return load_keys(
            SignerConfig(state="", wallets=str(self.folder), hotkeys=hotkeys or ("validator/default",), **more)
        )


@pytest.fixture
def wallets(tmp_path: Path) -> Wallets:
    return Wallets(tmp_path / "wallets")


def refused(wallets: Wallets, *hotkeys: str, **more: Any) -> str:
    with pytest.raises(ConfigurationError) as caught:
        wallets.load(*hotkeys, **more)
    shown = "".join(traceback.format_exception(caught.value))
    assert not any(secret in shown for secret in SECRETS)
    assert VECTORS["password"] not in shown
    return str(caught.value)


def address(keys: Keyring) -> str:
    (key,) = keys
    return key.ss58_address


FORMATS: dict[str, tuple[Any, str]] = {
    "plain": (ALICE, ALICE["ss58Address"]),
    "plain with seed and phrase": (ABANDON, ABANDON["ss58Address"]),
    "without crypto type": ({k: v for k, v in ALICE.items() if k != "cryptoType"}, ALICE["ss58Address"]),
    "address under a name with a space": (
        {(" " + k if k == "ss58Address" else k): v for k, v in ABANDON.items() if k != "cryptoType"},
        ABANDON["ss58Address"],
    ),
    "phrase alone": (ABANDON["secretPhrase"].encode(), ABANDON["ss58Address"]),
    "seed alone": (ABANDON["secretSeed"].encode(), ABANDON["ss58Address"]),
}


@pytest.mark.parametrize("name", FORMATS)
def test_loads_what_wallets_hold(wallets: Wallets, name: str) -> None:
    data, expected = FORMATS[name]
    wallets.put(data)
    keys = wallets.load()
    assert address(keys) == expected
    key = keys.find("validator", "default")
    assert key is not None
    assert bittensor_core.verify(b"text", key.sign(b"text"), expected, key.crypto_type)


@pytest.mark.slow
def test_loads_a_nacl_keyfile_with_a_password_file(wallets: Wallets, tmp_path: Path) -> None:
    wallets.put(bytes.fromhex(VECTORS["alice_nacl_keyfile_hex"]))
    password = tmp_path / "password"
    password.write_text(VECTORS["password"] + "\n")
    password.chmod(0o600)
    assert address(wallets.load(password_file=str(password))) == ALICE["ss58Address"]


@pytest.mark.slow
def test_a_wrong_password_is_named_not_shown(wallets: Wallets, tmp_path: Path) -> None:
    wallets.put(bytes.fromhex(VECTORS["alice_nacl_keyfile_hex"]))
    password = tmp_path / "password"
    password.write_text("another-password")
    password.chmod(0o600)
    said = refused(wallets, password_file=str(password))
    assert said == "validator/default: the password of [signer] password_file does not open it"


def test_an_encrypted_key_wants_a_password_file(wallets: Wallets) -> None:
    wallets.put(bytes.fromhex(VECTORS["alice_nacl_keyfile_hex"]))
    assert "is encrypted: expected [signer] password_file, found none" in refused(wallets)


@pytest.mark.parametrize(
    ("mode", "content", "says"), [(0o644, b"x", "expected mode 0600"), (0o600, b"\xff\xfe", "UTF-8")]
)
def test_a_password_file_is_private_text(
    wallets: Wallets, tmp_path: Path, mode: int, content: bytes, says: str
) -> None:
    wallets.put(bytes.fromhex(VECTORS["alice_nacl_keyfile_hex"]))
    password = tmp_path / "password"
    password.write_bytes(content)
    password.chmod(mode)
    said = refused(wallets, password_file=str(password))
    assert says in said
    assert str(password) in said


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"nonsense", id="nonsense"),
        pytest.param(b"\xff\xfe\x00", id="no text"),
        pytest.param(b"{}", id="an empty object"),
        pytest.param(b"[]", id="a list"),
        pytest.param(b"{" * 5000, id="deep"),
        pytest.param({**ALICE, "ss58Address": ABANDON["ss58Address"]}, id="another's address"),
        pytest.param({**ALICE, "privateKey": "0x00"}, id="a short key"),
        pytest.param({**ALICE, "privateKey": 5}, id="a number for a key"),
    ],
)
def test_refuses_what_is_no_key(wallets: Wallets, data: Any) -> None:
    wallets.put(data)
    assert refused(wallets).startswith("validator/default: expected a")


def test_refuses_a_key_that_cannot_sign(wallets: Wallets) -> None:
    wallets.put(VECTORS["alice_pub_keyfile"])
    assert refused(wallets) == "validator/default: expected a private key, found only a public one"


@pytest.mark.parametrize("mode", [0o640, 0o644, 0o666, 0o700])
def test_refuses_a_key_that_others_could_read(wallets: Wallets, mode: int) -> None:
    path = wallets.put(ALICE, mode=mode)
    assert refused(wallets) == f"{path}: expected mode 0600, found {mode:04o}; run: chmod 0600 {path}"


@pytest.mark.parametrize(
    "name",
    ["validator", "", "validator/", "/default", "validator/../coldkey", "../validator/default", "validator/a/b", "./x"],
)
def test_refuses_names_that_lead_elsewhere(wallets: Wallets, name: str) -> None:
    wallets.put(ALICE)
    wallets.put(ABANDON, "coldkey")
    assert "expected" in refused(wallets, name)


def test_the_coldkey_is_never_opened(wallets: Wallets) -> None:
    wallets.put(ALICE)
    cold = wallets.put(ABANDON, "coldkey")
    os.utime(cold, (1, 1))
    # A pipe blocks whoever opens it to read; a coldkey that is one would hang a process that looks.
    os.mkfifo(wallets.folder / "validator" / "coldkeypub.txt", 0o600)
    assert address(wallets.load()) == ALICE["ss58Address"]
    assert cold.stat().st_atime == 1


def test_loads_several_and_finds_them_by_name(wallets: Wallets) -> None:
    wallets.put(ALICE)
    wallets.put(ABANDON, "hotkeys/other")
    keys = wallets.load("validator/default", "validator/other")
    assert len(keys) == 2
    assert keys.find("validator", "other") is not None
    assert keys.find("validator", "third") is None


def test_none_is_none(wallets: Wallets) -> None:
    assert len(load_keys(SignerConfig(state="", wallets=str(wallets.folder)))) == 0


# No printable form ----------------------------------------------------------------------------------------------------


@pytest.fixture
def key(wallets: Wallets) -> Key:
    wallets.put(ABANDON)
    (key,) = wallets.load()
    return key


def test_no_way_to_print_shows_a_secret(key: Key, bench: Any, caplog: pytest.LogCaptureFixture) -> None:
    holders = [key, [key], {"k": key}, Keyring([key]), bench.desk, bench.desk.keys, key.view()]
    with caplog.at_level(logging.DEBUG):
        for holder in holders:
            logging.getLogger("wallet_guard.x").error("%s %r", holder, holder)
    shown = caplog.text + "".join(f"{holder} {holder!r} {holder!s:>10}" for holder in holders)
    shown += ascii(key) + f"{key}" + str(vars(bench.desk.keys)) + str(key.view())
    assert ABANDON["ss58Address"] in shown
    for secret in SECRETS:
        assert secret not in shown
        assert bytes.fromhex(secret).hex() not in shown if " " not in secret else True
    assert "abandon" not in shown


@pytest.mark.parametrize(
    "leak", [pickle.dumps, copy.copy, copy.deepcopy, dataclasses.asdict, json.dumps], ids=lambda leak: leak.__name__
)
def test_a_key_is_not_copied_or_serialised(key: Key, leak: Any) -> None:
    with pytest.raises(TypeError) as caught:
        leak(key)
    assert not any(secret in str(caught.value) for secret in SECRETS)


@pytest.mark.parametrize("leak", [pickle.dumps, copy.deepcopy], ids=lambda leak: leak.__name__)
def test_nor_is_what_holds_it(key: Key, leak: Any) -> None:
    for holder in (Keyring([key]), [key], {"k": key}):
        with pytest.raises(TypeError):
            leak(holder)


def test_a_key_has_no_other_words_than_these(key: Key) -> None:
    public = {name for name in dir(key) if not name.startswith("_")}
    assert public <= {"wallet", "hotkey", "ss58_address", "public_key", "crypto_type", "scheme", "sign", "view"}


def test_a_signature_that_does_not_verify_is_not_given_out(key: Key) -> None:
    class Broken:
        crypto_type = 1

        def sign(self, _payload: bytes) -> bytes:
            return bytes(64)

        def verify(self, _payload: bytes, _signature: bytes) -> bool:
            return False

    with pytest.raises(ValueError, match="does not verify"):
        Key("w", "h", Broken()).sign(b"x")
