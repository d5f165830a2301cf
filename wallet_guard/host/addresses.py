"""TCP addresses of the configuration, and sockets that listen there; the signer has no use for either."""

import ipaddress
import socket

from wallet_guard.host.config import ConfigurationError
from wallet_guard.host.sockets import BACKLOG


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
    return str(address), number


def shown_address(listener: socket.socket) -> str:
    """Where a listener listens, for a log line."""
    name = listener.getsockname()
    if listener.family == socket.AF_UNIX:
        return f"unix:{name}"
    return f"[{name[0]}]:{name[1]}" if listener.family == socket.AF_INET6 else f"{name[0]}:{name[1]}"


def listen_tcp(text: str, where: str) -> socket.socket:
    """A listening socket at an address with a port; ``where`` begins the message of an error.

    Raises:
        ConfigurationError: the address is none, or cannot be had.
    """
    host, port = parse_address(text, where)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        raise ConfigurationError(f"{where}: cannot listen on {text}: {error.strerror}") from error
