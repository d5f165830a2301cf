"""Telling the service manager how we are: the notification protocol of sd_notify(3), without a library.

The protocol is part of systemd's interface stability promise: datagrams of ``KEY=value`` lines to
$NOTIFY_SOCKET.
"""

import contextlib
import socket
from collections.abc import Mapping


def notify(state: str, environment: Mapping[str, str]) -> None:
    """Sends ``state`` ("READY=1", "STOPPING=1", "WATCHDOG=1"), or does nothing where nobody asked."""
    address = environment.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    # A manager that went away must not take us along: readiness is news, not work.
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.settimeout(1.0)
        manager.connect(address)
        manager.sendall(state.encode())
