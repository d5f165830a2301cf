"""TCP addresses: numbers with a port, nothing that must be resolved."""

import socket

import pytest

from wallet_guard.host.addresses import listen_tcp, parse_address, shown_address
from wallet_guard.host.config import ConfigurationError


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


@pytest.mark.parametrize(("text", "shown"), [("127.0.0.1:0", "127.0.0.1:"), ("[::1]:0", "[::1]:")])
def test_listens_where_it_is_told(text, shown):
    try:
        listener = listen_tcp(text, "here")
    except ConfigurationError:
        if "::1" in text:
            pytest.skip("no IPv6 on this machine")
        raise
    with listener:
        assert shown_address(listener) == f"{shown}{listener.getsockname()[1]}"
        with socket.socket(listener.family) as client:
            client.connect(listener.getsockname()[:2])


def test_an_address_that_cannot_be_had_is_the_operators_to_mend():
    with listen_tcp("127.0.0.1:0", "here") as held, pytest.raises(ConfigurationError, match="here: cannot listen on"):
        listen_tcp(f"127.0.0.1:{held.getsockname()[1]}", "here")
