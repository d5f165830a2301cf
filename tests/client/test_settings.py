"""URL, token and command line."""

import argparse
from types import SimpleNamespace

import pytest

from wallet_guard.client import AsyncWalletService, SettingsError, WalletService, add_args
from wallet_guard.client.settings import Place, choose_token, choose_url, parse_url, setting

TOKEN = "a-token-of-43-characters-like-the-signer-ma"


@pytest.fixture(autouse=True)
def no_environment(monkeypatch):
    monkeypatch.delenv("WALLET_SERVICE_URL", raising=False)
    monkeypatch.delenv("WALLET_SERVICE_TOKEN", raising=False)


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("unix:///run/g.sock", Place("/run/g.sock", "", 0, False, "localhost", "")),
        ("unix:/run/g.sock", Place("/run/g.sock", "", 0, False, "localhost", "")),
        ("unix:///run/a%20b", Place("/run/a b", "", 0, False, "localhost", "")),
        ("http://localhost:8000", Place("", "localhost", 8000, False, "localhost:8000", "")),
        ("http://wallet-service", Place("", "wallet-service", 80, False, "wallet-service", "")),
        ("https://guard.example", Place("", "guard.example", 443, True, "guard.example", "")),
        ("HTTPS://guard.example:8443/a/", Place("", "guard.example", 8443, True, "guard.example:8443", "/a")),
        ("http://[::1]:8000/", Place("", "::1", 8000, False, "[::1]:8000", "")),
        (" http://localhost:8000 ", Place("", "localhost", 8000, False, "localhost:8000", "")),
    ],
)
def test_takes_urls(url, place):
    assert parse_url(url) == place


@pytest.mark.parametrize(
    "url",
    [
        "localhost:8000",
        "8000",
        "ws://localhost:8000",
        "ftp://localhost",
        "http://",
        "http://:8000",
        "http://host:port",
        "http://host:99999",
        "http://user:secret@host",
        "http://host/?token=x",
        "http://host/#x",
        "http://[::1",
        "unix://run/g.sock",
        "unix:g.sock",
        "unix:///a%00b",
    ],
)
def test_refuses_other_urls(url):
    with pytest.raises(SettingsError, match="WALLET_SERVICE_URL: expected") as caught:
        parse_url(url)
    assert "secret" not in str(caught.value)


def test_the_argument_comes_before_the_environment_before_the_default(monkeypatch):
    assert str(choose_url(None)) == "http://localhost:8000"
    monkeypatch.setenv("WALLET_SERVICE_URL", "unix:///from/environment")
    assert str(choose_url(None)) == "unix:///from/environment"
    assert str(choose_url("unix:///from/argument")) == "unix:///from/argument"
    monkeypatch.setenv("WALLET_SERVICE_TOKEN", "from-environment")
    assert choose_token(None) == "from-environment"
    assert choose_token("from-argument") == "from-argument"


def test_an_empty_argument_does_not_fall_back_to_the_environment(monkeypatch):
    monkeypatch.setenv("WALLET_SERVICE_TOKEN", TOKEN)
    with pytest.raises(SettingsError, match="found an empty one"):
        choose_token("")


def test_no_token_at_all_says_whom_to_ask():
    with pytest.raises(SettingsError, match="found none; ask the service's operator"):
        choose_token(None)


@pytest.mark.parametrize("token", ["", "default-token", "your-token", "your-secret-api-key"])
def test_a_known_default_of_the_environment_is_refused(monkeypatch, token):
    monkeypatch.setenv("WALLET_SERVICE_TOKEN", token)
    with pytest.raises(SettingsError):
        choose_token(None)


@pytest.mark.parametrize(
    ("url", "warned"),
    [("http://wallet-service:8000", True), ("http://localhost:8000", False), ("https://a.example", False)],
)
def test_warns_where_a_token_travels_in_clear(caplog, url, warned):
    choose_url(url)
    assert ("in clear" in caplog.text) is warned


def test_arguments_of_the_command_line():
    parser = argparse.ArgumentParser()
    add_args(parser)
    add_args(parser)
    args = parser.parse_args(["--wallet.service_url", "unix:///s", "--wallet.service_token", TOKEN])
    service = WalletService.from_args(args, wallet_name="validator")
    assert repr(service) == "WalletService('unix:///s')"


def test_the_token_of_the_environment_shows_in_no_help(monkeypatch):
    monkeypatch.setenv("WALLET_SERVICE_TOKEN", TOKEN)
    parser = argparse.ArgumentParser(formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    add_args(parser)
    assert TOKEN not in parser.format_help()
    assert TOKEN not in str(parser.parse_args([]))
    assert repr(AsyncWalletService.from_args(parser.parse_args([]))) == "AsyncWalletService('http://localhost:8000')"


def test_a_nested_configuration_object_is_read_too():
    config = SimpleNamespace(wallet=SimpleNamespace(service_url="unix:///n", service_token=TOKEN, name="v", hotkey="h"))
    service = WalletService.from_args(config)
    assert repr(service) == "WalletService('unix:///n')"
    assert (setting(config, "name"), setting(config, "hotkey"), setting(config, "path")) == ("v", "h", None)
    assert service._names(None, None, None) == ("v", "h")


@pytest.mark.parametrize("token", ["", "default-token"])
def test_a_default_token_on_the_command_line_is_refused(token):
    parser = argparse.ArgumentParser()
    add_args(parser)
    with pytest.raises(SettingsError):
        WalletService.from_args(parser.parse_args(["--wallet.service_token", token]))


def test_certificates_that_are_none_are_refused(tmp_path):
    (tmp_path / "ca.pem").write_text("no certificate")
    with pytest.raises(SettingsError, match="ca_file"):
        WalletService("https://localhost", TOKEN, ca_file=str(tmp_path / "ca.pem"))
