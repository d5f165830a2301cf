"""Addresses, and the doors that are opened for clients."""

import contextlib
import fcntl
import os
import socket
import stat

import pytest

from wallet_guard.gateway.listeners import is_loopback, open_doors, shown_address
from wallet_guard.host.config import ConfigurationError, parse_config


def config_of(folder, *tcp, **gateway):
    gateway = {"tcp": list(tcp), **gateway}
    table = {"run": str(folder), "signer": {"state": "x"}, "gateway": gateway, "chain": {"network": "local"}}
    return parse_config(table, "file.toml")


@pytest.fixture
def opened():
    with contextlib.ExitStack() as stack:

        def opened(listeners):
            for listener in listeners:
                stack.enter_context(listener)
            return listeners

        yield opened


@pytest.mark.parametrize("address", ["0.0.0.0:0", "10.0.0.1:8000", "[::]:0", "[::ffff:127.0.0.1]:0"])
def test_refuses_tokens_in_clear_beyond_this_host(tmp_path, address):
    with pytest.raises(ConfigurationError, match=r"is no loopback address: expected \[gateway\] tls_certificate"):
        open_doors(config_of(tmp_path, address), {}, os.getpid())


def test_takes_tokens_in_clear_where_it_is_told_so_in_so_many_words(tmp_path, opened):
    config = config_of(tmp_path, "0.0.0.0:0", tokens_in_clear=True)
    assert len(opened(open_doors(config, {}, os.getpid()).clients)) == 2


def refused_or_taken(config, *listeners):
    """What a child makes of these, inherited under one name as sd_listen_fds(3) has it: how many, or "refused"."""
    told, tell = os.pipe()
    pid = os.fork()
    if pid == 0:
        for fd, listener in enumerate(listeners, 3):
            os.dup2(listener.fileno(), fd)
        names = ":".join(["http-tcp"] * len(listeners))
        try:
            taken = open_doors(config, {"LISTEN_FDS": str(len(listeners)), "LISTEN_FDNAMES": names}, os.getpid())
            os.write(tell, b"%d" % len(taken.clients))
        except ConfigurationError:
            os.write(tell, b"refused")
        finally:
            os._exit(0)
    os.close(tell)
    os.waitpid(pid, 0)
    with open(told, encoding="ascii") as answer:
        return answer.read()


def high_sockets(opened, *hosts):
    """Listening sockets with descriptors that are out of the way of 3, 4, …"""
    made = []
    for host in hosts:
        with socket.create_server((host, 0)) as listener:
            made.append(socket.socket(fileno=fcntl.fcntl(listener.fileno(), fcntl.F_DUPFD_CLOEXEC, 100)))
    return opened(made)


@pytest.mark.parametrize(("host", "said"), [("0.0.0.0", "refused"), ("127.0.0.1", "1")])
def test_refuses_an_inherited_address_in_clear_beyond_this_host(tmp_path, opened, host, said):
    assert refused_or_taken(config_of(tmp_path), *high_sockets(opened, host)) == said


def test_takes_every_socket_of_a_unit_that_has_several(tmp_path, opened):
    assert refused_or_taken(config_of(tmp_path), *high_sockets(opened, "127.0.0.1", "127.0.0.1")) == "2"


def test_opens_a_socket_for_owner_and_group_and_tcp(tmp_path, opened):
    listeners = opened(open_doors(config_of(tmp_path, "127.0.0.1:0"), {}, os.getpid()).clients)
    assert [listener.family for listener in listeners] == [socket.AF_UNIX, socket.AF_INET]
    assert stat.S_IMODE(os.stat(tmp_path / "gateway.sock").st_mode) == 0o660
    assert shown_address(listeners[0]) == f"unix:{tmp_path}/gateway.sock"
    assert shown_address(listeners[1]).startswith("127.0.0.1:")


def test_no_tcp_where_none_is_configured(tmp_path, opened):
    assert len(opened(open_doors(config_of(tmp_path), {}, os.getpid()).clients)) == 1


def test_a_port_that_is_taken_is_a_configuration_error(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as other:
        address = shown_address(other)
        with pytest.raises(ConfigurationError, match=rf"file.toml: \[gateway\] tcp: cannot listen on {address}: "):
            open_doors(config_of(tmp_path, address), {}, os.getpid())


@pytest.mark.parametrize("address", ["0.0.0.0:0", "[::]:0", "10.0.0.1:9464"])
def test_figures_are_not_told_beyond_this_host_to_who_shows_no_certificate(tmp_path, address):
    with pytest.raises(ConfigurationError, match=r"metrics: \S+ is no loopback address: expected .* tls_client_ca"):
        open_doors(config_of(tmp_path, metrics=address), {}, os.getpid())


def test_figures_have_a_door_where_one_is_configured_and_none_otherwise(tmp_path, opened):
    doors = open_doors(config_of(tmp_path, metrics="127.0.0.1:0"), {}, os.getpid())
    opened([*doors.clients, doors.metrics])
    assert is_loopback(doors.metrics)
    assert (len(doors.clients), doors.metrics.getsockname()[0]) == (1, "127.0.0.1")


def test_where_the_service_manager_opens_the_doors_it_opens_that_one_too(tmp_path, opened):
    config = config_of(tmp_path, metrics="127.0.0.1:0", tokens_in_clear=True)
    (client,) = high_sockets(opened, "127.0.0.1")
    assert refused_or_taken(config, client) == "refused"
    assert refused_or_taken(config_of(tmp_path), client) == "1"
