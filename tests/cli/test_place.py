import argparse

import pytest

from wallet_guard.cli import place
from wallet_guard.cli.errors import CommandError
from wallet_guard.host.config import ConfigurationError
from wallet_guard.ipc.admin import AllowPlain, StatusAsk


def chosen(path=None):
    return argparse.Namespace(config=path)


def test_the_command_line_wins_over_the_environment(config, monkeypatch):
    monkeypatch.setenv(place.CONFIG_VARIABLE, "/nonexistent.toml")
    assert place.find_config(chosen(config.path)).path == config.path


def test_the_environment_names_the_configuration(config, monkeypatch):
    monkeypatch.setenv(place.CONFIG_VARIABLE, config.path)
    assert place.find_config(chosen()).path == config.path


def test_the_home_folder_is_looked_at_last(config, monkeypatch, tmp_path):
    monkeypatch.delenv(place.CONFIG_VARIABLE, raising=False)
    monkeypatch.setattr(place, "HOME", tmp_path / "guard")
    assert place.find_config(chosen()).path == config.path


def test_no_configuration_says_how_to_write_one(monkeypatch, tmp_path):
    monkeypatch.delenv(place.CONFIG_VARIABLE, raising=False)
    monkeypatch.setattr(place, "HOME", tmp_path / "a")
    monkeypatch.setattr(place, "SYSTEM", tmp_path / "b")
    with pytest.raises(ConfigurationError, match="found none; 'wallet-guard init' writes one"):
        place.find_config(chosen())


def test_asks_a_running_signer(config, signer):
    assert place.ask_signer(config, StatusAsk()).health.keys == 1


def test_a_refusal_becomes_a_message(config, signer):
    with pytest.raises(CommandError, match="subnet 7 is not known to have had commit-reveal on"):
        place.ask_signer(config, AllowPlain(7))


def test_no_signer_is_said_plainly(config):
    with pytest.raises(CommandError, match="no signer listens there"):
        place.ask_signer(config, StatusAsk())
