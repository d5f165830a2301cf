"""Ceilings and deadlines of servers and connections; each is counted under its name when it ends something.

Sizes of single messages are `wallet_guard.wire`'s; here is what needs a clock, a count of connections or a
buffer.
"""

from typing import NamedTuple

from wallet_guard.wire.http1.head import Limits as HttpLimits
from wallet_guard.wire.websocket.machine import Limits as MessageLimits

__all__ = [
    "DEFAULT_SERVER_LIMITS",
    "DEFAULT_WEBSOCKET_LIMITS",
    "READ_BYTES",
    "HttpLimits",
    "MessageLimits",
    "ServerLimits",
    "WebSocketLimits",
]

READ_BYTES = 64 * 1024
"""Read at once at the most, into a buffer that all connections of a server share.

A plain asyncio.Protocol has 256 KiB allocated for each read, which malloc maps and unmaps as a rule: three times the
cost of an echo of 125 B.
"""


class WebSocketLimits(NamedTuple):
    """One WebSocket connection, either role."""

    messages: MessageLimits = MessageLimits()
    # client role: to connect, TLS and opening; in the server it is a request's head
    handshake_seconds: float = 10.0
    ping_seconds: float = 20.0  # silence after which we ask; websockets 20 s
    pong_seconds: float = 20.0  # silence after that which ends the connection, abnormally; websockets 20 s
    close_seconds: float = 5.0  # for the peer's half of a closing handshake
    stall_seconds: float = 30.0  # for a peer that takes none of what we have queued
    # Queued for a peer that reads too slowly; above it the peer is dropped, by rule and not by memory.
    max_queued_bytes: int = 4 * 1024 * 1024
    # The server reads nothing further from a peer that has this much unread (the client always reads, or both
    # wait).
    pause_reading_bytes: int = 256 * 1024


class ServerLimits(NamedTuple):
    """One server."""

    http: HttpLimits = HttpLimits()
    read_bytes: int = READ_BYTES
    """Of one connection before the others have their turn; less where a byte costs much to handle."""
    websocket: WebSocketLimits = WebSocketLimits()
    # 408; from the first byte of a head (of the connection: from accept) to its last
    head_seconds: float = 10.0
    body_seconds: float = 10.0  # 408; for a body, on top of what the minimum rate allows it
    min_body_rate: int = 1024  # bytes a second; so 1 MiB may take 17 minutes at most, and nothing for ever
    idle_seconds: float = 75.0  # between requests; nginx 75 s
    handler_seconds: float = 120.0  # 504; for a handler, cancelled then
    stall_seconds: float = 30.0  # for a peer that takes none of its answer
    # after an error, so that the answer is read before the reset (RFC 9112, section 9.6)
    linger_seconds: float = 2.0
    requests_per_connection: int = 10_000  # then `Connection: close`, so that balancing and reloads take hold
    max_connections: int = 1024  # beyond it a connection is closed at once
    max_connections_per_address: int = 64  # the same, per IP address or uid


DEFAULT_SERVER_LIMITS = ServerLimits()
DEFAULT_WEBSOCKET_LIMITS = WebSocketLimits()
