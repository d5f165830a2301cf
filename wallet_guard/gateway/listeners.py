"""Where clients come in: the Unix socket, TCP addresses, or what the service manager opened for us.

A token never travels in clear beyond this host, unless the operator says so in so many words.
"""

import ipaddress
import socket
import ssl
from collections.abc import Mapping
from pathlib import Path

from wallet_guard.host.addresses import listen_tcp, parse_address
from wallet_guard.host.addresses import shown_address as shown_address
from wallet_guard.host.config import Config, ConfigurationError
from wallet_guard.host.private import read_private
from wallet_guard.host.sockets import inherited_sockets, listen_unix
from wallet_guard.net.tls import server_context

SOCKET_MODE = 0o660
"""Owner and group: the group is who may ask; the token is what they may."""

INHERITED_PREFIX = "http"
"""Of the names (FileDescriptorName= of systemd.socket(5)) of the sockets that are for clients."""


def open_listeners(config: Config, environment: Mapping[str, str], pid: int) -> list[socket.socket]:
    """Listening sockets: the inherited ones if there are any, else those of the configuration.

    Raises:
        ConfigurationError: an address is none, cannot be had, or would carry tokens in clear beyond this host.
    """
    passed = inherited_sockets(environment, pid)
    inherited = [opened for name, opened in passed.items() if name.startswith(INHERITED_PREFIX)]
    if inherited:
        for listener in inherited:
            if listener.family != socket.AF_UNIX:
                _check_clear(listener.getsockname()[0], "a socket of the service manager", config)
        return inherited
    opened: list[socket.socket] = []
    try:
        opened.append(listen_unix(config.client_socket, SOCKET_MODE))
        opened += [_listen_tcp(address, config) for address in config.gateway.tcp]
    except BaseException:
        for listener in opened:
            listener.close()
        raise
    return opened


def tls_context(config: Config) -> ssl.SSLContext | None:
    """What the TCP listeners speak TLS with; None where none is configured.

    Raises:
        ConfigurationError: a file cannot be read, does not fit the others, or the key is open to others.
    """
    gateway, where = config.gateway, f"{config.path}: [gateway] tls"
    if not gateway.tls_certificate:
        return None
    key = Path(gateway.tls_key)
    read_private(key.parent, key.name)
    try:
        return server_context(gateway.tls_certificate, gateway.tls_key, gateway.tls_client_ca or None)
    except OSError as error:
        raise ConfigurationError(f"{where}: expected PEM files that fit each other: {error}") from error


def _check_clear(host: str, where: str, config: Config) -> None:
    gateway = config.gateway
    if not (gateway.tls_certificate or gateway.tokens_in_clear or ipaddress.ip_address(host).is_loopback):
        raise ConfigurationError(
            f"{where}: {host} is no loopback address: expected [gateway] tls_certificate and tls_key, found none; "
            "tokens would travel in clear (inside a tunnel, tokens_in_clear = true accepts that)"
        )


def _listen_tcp(text: str, config: Config) -> socket.socket:
    where = f"{config.path}: [gateway] tcp"
    _check_clear(parse_address(text, where)[0], where, config)
    return listen_tcp(text, where)
