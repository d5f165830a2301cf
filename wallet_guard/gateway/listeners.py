"""Where clients come in: the Unix socket, TCP addresses, or what the service manager opened for us."""

import ipaddress
import logging
import socket
from collections.abc import Mapping

from wallet_guard.host.config import Config, ConfigurationError
from wallet_guard.host.sockets import BACKLOG, inherited_sockets, listen_unix

log = logging.getLogger(__name__)

SOCKET_MODE = 0o660
"""Owner and group: the group is who may ask; the token is what they may."""

INHERITED_PREFIX = "http"
"""Of the names (FileDescriptorName= of systemd.socket(5)) of the sockets that are for clients."""


def open_listeners(config: Config, environment: Mapping[str, str], pid: int) -> list[socket.socket]:
    """Listening sockets: the inherited ones if there are any, else those of the configuration.

    Raises:
        ConfigurationError: an address is none, or cannot be had.
    """
    passed = inherited_sockets(environment, pid)
    inherited = [opened for name, opened in passed.items() if name.startswith(INHERITED_PREFIX)]
    if inherited:
        return inherited
    opened: list[socket.socket] = []
    try:
        opened.append(listen_unix(config.client_socket, SOCKET_MODE))
        opened += [_listen_tcp(address, f"{config.path}: [gateway] tcp") for address in config.gateway.tcp]
    except BaseException:
        for listener in opened:
            listener.close()
        raise
    return opened


def parse_address(text: str, where: str) -> tuple[str, int]:
    """Host and port of ``127.0.0.1:8000`` or ``[::1]:8000``; port 0 means any free one.

    Raises:
        ConfigurationError: a name instead of an address (it could resolve to anything), or no port.
    """
    host, _, port = text.rpartition(":")
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    try:
        address = ipaddress.ip_address(bare)
        number = int(port) if port.isascii() and port.isdigit() else -1
    except ValueError:
        number = -1
    if not 0 <= number <= 65535 or (":" in bare) != (bare != host):
        raise ConfigurationError(f"{where}: expected address:port such as 127.0.0.1:8000, found {text!r}")
    if not address.is_loopback:
        log.warning(f"{where}: {text} is no loopback address; tokens travel in clear, so only behind a tunnel")
    return bare, number


def shown_address(listener: socket.socket) -> str:
    """Where a listener listens, for a log line."""
    name = listener.getsockname()
    if listener.family == socket.AF_UNIX:
        return f"unix:{name}"
    return f"[{name[0]}]:{name[1]}" if listener.family == socket.AF_INET6 else f"{name[0]}:{name[1]}"


def _listen_tcp(text: str, where: str) -> socket.socket:
    host, port = parse_address(text, where)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        raise ConfigurationError(f"{where}: cannot listen on {text}: {error.strerror}") from error
