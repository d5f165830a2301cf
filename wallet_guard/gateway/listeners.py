"""Where clients come in: the Unix socket, TCP addresses, or what the service manager opened for us.

A token never travels in clear beyond this host, unless the operator says so in so many words.
"""

import ipaddress
import socket
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from wallet_guard.host.addresses import listen_tcp, parse_address
from wallet_guard.host.addresses import shown_address as shown_address
from wallet_guard.host.config import Config, ConfigurationError
from wallet_guard.host.private import read_private
from wallet_guard.host.sockets import inherited_sockets, listen_unix
from wallet_guard.net.tls import server_context

SOCKET_MODE = 0o660
"""Owner and group: the group is who may ask; the token is what they may."""

METRICS_NAME = "metrics"
"""Of the inherited socket where the figures are told."""

INHERITED_PREFIX = "http"
"""Of the names (FileDescriptorName= of systemd.socket(5)) of the sockets that are for clients."""


class Doors(NamedTuple):
    """Listening sockets: for clients, and for who reads the figures (None if nobody shall)."""

    clients: list[socket.socket]
    metrics: socket.socket | None


def open_doors(config: Config, environment: Mapping[str, str], pid: int) -> Doors:
    """The inherited sockets if there are any, else those of the configuration.

    Raises:
        ConfigurationError: an address is none, cannot be had, or would tell strangers what is not for them.
    """
    passed = inherited_sockets(environment, pid)
    clients = [opened for name, opened in passed.items() if name.startswith(INHERITED_PREFIX)]
    if clients:
        for listener in clients:
            if listener.family != socket.AF_UNIX:
                _check_clear(listener.getsockname()[0], "a socket of the service manager", config)
        metrics = passed.get(METRICS_NAME)
        if metrics is not None:
            _check_readers(metrics.getsockname()[0], "the metrics socket of the service manager", config)
        elif config.gateway.metrics:
            raise ConfigurationError(
                f"{config.path}: [gateway] metrics: expected the service manager to pass its socket, found none: "
                "stop wallet-guard, then start wallet-guard-metrics.socket with it"
            )
        return Doors(clients, metrics)
    opened: list[socket.socket] = []
    try:
        opened.append(listen_unix(config.client_socket, SOCKET_MODE))
        opened += [_listen_tcp(address, config) for address in config.gateway.tcp]
        return Doors(opened, _listen_metrics(config))
    except BaseException:
        for listener in opened:
            listener.close()
        raise


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


def is_loopback(listener: socket.socket) -> bool:
    """Only programs of this host reach it."""
    return ipaddress.ip_address(listener.getsockname()[0]).is_loopback


def _check_readers(host: str, where: str, config: Config) -> None:
    if not (ipaddress.ip_address(host).is_loopback or config.gateway.tls_client_ca):
        raise ConfigurationError(
            f"{where}: {host} is no loopback address: expected [gateway] tls_client_ca, found none; there is no token "
            "on /metrics, so beyond this host its readers show a certificate"
        )


def _listen_metrics(config: Config) -> socket.socket | None:
    where = f"{config.path}: [gateway] metrics"
    if not config.gateway.metrics:
        return None
    _check_readers(parse_address(config.gateway.metrics, where)[0], where, config)
    return listen_tcp(config.gateway.metrics, where)


def _listen_tcp(text: str, config: Config) -> socket.socket:
    where = f"{config.path}: [gateway] tcp"
    _check_clear(parse_address(text, where)[0], where, config)
    return listen_tcp(text, where)
