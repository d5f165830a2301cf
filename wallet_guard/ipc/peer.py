"""Who is on the other side of a Unix socket: the kernel's answer, not the peer's."""

import socket
import struct
from typing import NamedTuple

_CREDENTIALS = struct.Struct("3i")


class Peer(NamedTuple):
    """Process, user and group that opened the connection, at the moment it did (unix(7), SO_PEERCRED)."""

    pid: int
    uid: int
    gid: int


def peer_of(connection: socket.socket) -> Peer:
    """The credentials behind a connected Unix socket.

    Raises:
        OSError: not a connected Unix socket.
    """
    packed = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    return Peer(*_CREDENTIALS.unpack(packed))
