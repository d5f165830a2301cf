"""Addresses, and the doors that are opened for clients."""

import contextlib
import os
import socket
import stat

import pytest

from wallet_guard.gateway.listeners import open_listeners, parse_address, shown_address
from wallet_guard.host.config import ConfigurationError, parse_config


def config_of(folder, *tcp):
    table = {"run": str(folder), "signer": {"state": "x"}, "gateway": {"tcp": list(tcp)}, "chain": {"network": "local"}}
    return parse_config(table, "file.toml")


@pytest.fixture
def opened():
    with contextlib.ExitStack() as stack:

        def opened(listeners):
            for listener in listeners:
                stack.enter_context(listener)
            return listeners

        yield opened


@pytest.mark.parametrize(
    ("text", "address"),
    [("127.0.0.1:8000", ("127.0.0.1", 8000)), ("[::1]:0", ("::1", 0)), ("127.8.8.8:65535", ("127.8.8.8", 65535))],
)
def test_takes_addresses(text, address):
    assert parse_address(text, "here") == address


@pytest.mark.parametrize(
    "text",
    [
        "",
        "8000",
        ":8000",
        "localhost:8000",
        "127.0.0.1",
        "127.0.0.1:",
        "127.0.0.1:-1",
        "127.0.0.1:65536",
        "127.0.0.1:80x",
        "127.0.0.1:٣",
        "::1:8000",
        "[127.0.0.1]:8000",
        "[::1:8000",
        "127.0.0.1 :8000",
    ],
)
def test_refuses_what_is_no_address_with_a_port(text):
    with pytest.raises(ConfigurationError, match="here: expected address:port"):
        parse_address(text, "here")


def test_warns_of_an_address_that_is_not_loopback(caplog):
    assert parse_address("10.0.0.1:8000", "here") == ("10.0.0.1", 8000)
    assert "10.0.0.1:8000 is no loopback address" in caplog.text


def test_opens_a_socket_for_owner_and_group_and_tcp(tmp_path, opened):
    listeners = opened(open_listeners(config_of(tmp_path, "127.0.0.1:0"), {}, os.getpid()))
    assert [listener.family for listener in listeners] == [socket.AF_UNIX, socket.AF_INET]
    assert stat.S_IMODE(os.stat(tmp_path / "gateway.sock").st_mode) == 0o660
    assert shown_address(listeners[0]) == f"unix:{tmp_path}/gateway.sock"
    assert shown_address(listeners[1]).startswith("127.0.0.1:")


def test_no_tcp_where_none_is_configured(tmp_path, opened):
    assert len(opened(open_listeners(config_of(tmp_path), {}, os.getpid()))) == 1


def test_a_port_that_is_taken_is_a_configuration_error(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as other:
        address = shown_address(other)
        with pytest.raises(ConfigurationError, match=rf"file.toml: \[gateway\] tcp: cannot listen on {address}: "):
            open_listeners(config_of(tmp_path, address), {}, os.getpid())
