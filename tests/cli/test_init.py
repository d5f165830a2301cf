import stat
from pathlib import Path

import pytest

from wallet_guard.cli import init
from wallet_guard.host.config import ConfigurationError, load_config


def test_writes_a_configuration_that_loads_and_private_folders(tmp_path, parse, capsys):
    assert init.init(parse(init, "init", str(tmp_path / "g"))) == 0
    config = load_config(tmp_path / "g" / "wallet-guard.toml")
    assert config.chain.network == "finney"
    assert config.chain.genesis.startswith("0x2f05")
    assert config.signer.hotkeys == ("validator/default",)
    for folder in ("g", "g/state", "g/run"):
        assert stat.S_IMODE((tmp_path / folder).stat().st_mode) == 0o700
    assert "wallet-guard serve" in capsys.readouterr().out


def test_every_commented_key_is_one_that_the_loader_knows(tmp_path, parse):
    init.init(parse(init, "init", str(tmp_path / "g")))
    path = tmp_path / "g" / "wallet-guard.toml"
    lines = path.read_text().splitlines()
    uncommented = [line[1:] if line.startswith("#") and " = " in line else line for line in lines]
    path.write_text("\n".join(uncommented).replace('"0x…"', '""'))
    load_config(path)


def test_keeps_what_it_is_told(tmp_path, parse):
    words = ("--network", "local", "--endpoint", "ws://10.0.0.1:9944", "--endpoint", "wss://b", "--block-time", "0.25")
    init.init(parse(init, "init", str(tmp_path / 'a "quoted" g'), *words, "--hotkey", "a/b", "--hotkey", "c/d"))
    config = load_config(tmp_path / 'a "quoted" g' / "wallet-guard.toml")
    assert config.chain.endpoints == ("ws://10.0.0.1:9944", "wss://b")
    assert config.chain.block_time_seconds == 0.25
    assert config.signer.hotkeys == ("a/b", "c/d")
    assert config.run == str(tmp_path / 'a "quoted" g' / "run")


def test_refuses_to_replace_a_configuration(tmp_path, parse):
    init.init(parse(init, "init", str(tmp_path / "g")))
    before = (tmp_path / "g" / "wallet-guard.toml").read_text()
    with pytest.raises(ConfigurationError, match="is there already"):
        init.init(parse(init, "init", str(tmp_path / "g"), "--network", "test"))
    assert (tmp_path / "g" / "wallet-guard.toml").read_text() == before


def test_leaves_no_file_behind_that_would_not_load(tmp_path, parse):
    with pytest.raises(ConfigurationError, match="endpoints: expected ws:// or wss://"):
        init.init(parse(init, "init", str(tmp_path / "g"), "--endpoint", "http://x"))
    assert not (tmp_path / "g" / "wallet-guard.toml").exists()


def test_refuses_a_folder_that_others_can_enter(tmp_path: Path, parse):
    (tmp_path / "g").mkdir(mode=0o755)
    with pytest.raises(ConfigurationError, match="expected mode 0700, found 0755; run: chmod 0700"):
        init.init(parse(init, "init", str(tmp_path / "g")))
