import io
import stat

import bittensor_core
import pytest

from wallet_guard.cli import keys
from wallet_guard.cli.errors import CommandError
from wallet_guard.host.config import ConfigurationError

KEYFILE = bytes(bittensor_core.serialized_keypair_to_keyfile_data(bittensor_core.Keypair.create_from_uri("//Bob")))


@pytest.fixture
def sealed(monkeypatch, tmp_path):
    """No look at this environment (the tests have the SDK), and a store that seals by turning around."""
    monkeypatch.setattr(keys, "refuse_sdk", lambda: None)
    monkeypatch.setattr(keys, "forbid_dumps", lambda: None)
    monkeypatch.setattr(keys, "STORE", tmp_path / "store")

    def turn(word, _name, source, target, given=""):
        if word == "encrypt":
            (tmp_path / "store" / keys.CREDENTIAL).write_text(given[::-1])
            return ""
        return (tmp_path / "store" / keys.CREDENTIAL).read_text()[::-1]

    monkeypatch.setattr(keys, "_systemd_creds", turn)
    return tmp_path / "store" / keys.CREDENTIAL


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "node" / "miner" / "hotkeys" / "second"
    path.parent.mkdir(parents=True)
    path.write_bytes(KEYFILE)
    return path


@pytest.fixture
def bring(config, parse, sealed, monkeypatch):
    def bring(*words, password=""):
        monkeypatch.setattr("sys.stdin", io.StringIO(password + "\n"))
        return keys.import_key(parse(keys, "key", "import", *map(str, words), "--config", config.path))

    return bring


def test_an_environment_with_the_sdk_is_refused(config, parse, source, monkeypatch):
    def refuse():
        raise ConfigurationError("the SDK is here")

    monkeypatch.setattr(keys, "forbid_dumps", lambda: None)
    monkeypatch.setattr(keys, "refuse_sdk", refuse)
    with pytest.raises(ConfigurationError, match="the SDK is here"):
        keys.import_key(parse(keys, "key", "import", str(source), "--config", config.path))


def test_the_key_is_copied_for_the_signer_alone(bring, source, wallets, capsys):
    assert bring(source) == 0
    target = wallets / "miner" / "hotkeys" / "second"
    assert target.read_bytes() == KEYFILE
    for path in (target, target.parent, target.parents[1]):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0
    said = capsys.readouterr().out
    assert f"shred --remove {source}" in said
    assert 'add "miner/second" to [signer] hotkeys' in said
    assert "btcli wallet swap-hotkey" in said


def test_another_name_is_taken_where_given(bring, source, wallets):
    (wallets / "validator").chmod(0o700)
    bring(source, "--as", "validator/third")
    assert (wallets / "validator" / "hotkeys" / "third").exists()


def test_a_key_that_is_there_is_not_replaced(bring, source):
    bring(source)
    with pytest.raises(CommandError, match="is there already"):
        bring(source)


@pytest.mark.parametrize("name", ["../x", "a/../b", "a/", "/b", "a/b/c"])
def test_a_name_that_leads_elsewhere_is_refused(bring, source, name):
    with pytest.raises((CommandError, ConfigurationError), match="expected"):
        bring(source, "--as", name)


@pytest.mark.parametrize("content", [b"", b"{}", b"not a key", b"\0" * 70_000])
def test_what_is_no_private_key_is_refused(bring, source, content):
    source.write_bytes(content)
    with pytest.raises(CommandError, match="expected"):
        bring(source)


def test_a_symlink_is_not_followed(bring, source):
    (source.parent / "link").symlink_to(source)
    with pytest.raises(CommandError, match="cannot be read"):
        bring(source.parent / "link")


@pytest.mark.slow
def test_encrypted_at_rest_its_password_is_sealed(bring, source, sealed, wallets):
    bring(source, "--encrypt")
    data = (wallets / "miner" / "hotkeys" / "second").read_bytes()
    assert data.startswith(b"$NACL")
    password = sealed.read_text()[::-1]
    assert len(password) >= 43
    assert bytes(bittensor_core.decrypt_keyfile_data(data, password)) == KEYFILE
    assert stat.S_IMODE(sealed.stat().st_mode) == 0o600
    # A further key shares it.
    bring(source, "--as", "miner/other", "--encrypt")
    assert sealed.read_text()[::-1] == password


@pytest.mark.slow
def test_a_key_that_is_encrypted_already_comes_with_its_password(bring, source, sealed, wallets):
    source.write_bytes(bytes(bittensor_core.encrypt_keyfile_data(KEYFILE, "correct horse")))
    with pytest.raises(CommandError, match="expected the password that opens it"):
        bring(source, "--password-stdin", password="wrong")
    assert not sealed.exists()
    bring(source, "--password-stdin", password="correct horse")
    assert sealed.read_text()[::-1] == "correct horse"
    assert (wallets / "miner" / "hotkeys" / "second").read_bytes().startswith(b"$NACL")
