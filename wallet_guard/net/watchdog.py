"""Signs of life to the service manager, each earned by a request that was read, routed and answered.

A timer alone would go on while requests hang. The request goes through a socket pair into the same server as
everybody's; so it costs no file, no permission and no network. A connection that is closed at once, because the
ceilings are reached, is a sign of life too: a crowd is no reason to be killed.
"""

import asyncio
import logging
import socket
from collections.abc import Callable

from wallet_guard.net.connection import HttpConnection
from wallet_guard.net.server import Server

log = logging.getLogger(__name__)

MAX_PERIOD_SECONDS = 10.0
"""Between two looks at oneself; never more than a third of what the manager allows."""


async def keep_alive(server: Server, path: str, allowed_usec: str, tell: Callable[[], None]) -> None:
    """Calls ``tell`` for each round trip, until cancelled; returns at once where nobody watches.

    ``path`` must be answered without waiting for others; ``allowed_usec`` is $WATCHDOG_USEC (sd_watchdog_enabled(3)).
    """
    if not allowed_usec.isdecimal() or int(allowed_usec) == 0:
        return
    period = min(MAX_PERIOD_SECONDS, int(allowed_usec) / 3_000_000)
    while True:
        try:
            async with asyncio.timeout(period):
                await round_trip(server, path)
        except (OSError, TimeoutError) as error:
            log.warning(f"no answer to a request of our own: {type(error).__name__}")
        else:
            tell()
        await asyncio.sleep(period)


async def round_trip(server: Server, path: str) -> bytes:
    """What the server says to GET: the first bytes of an answer, or none if it closes the connection."""
    loop = asyncio.get_running_loop()
    ours, theirs = socket.socketpair()
    with ours:
        ours.setblocking(False)
        theirs.setblocking(False)
        # Before anybody reads: a server that closes at once must not break the writing.
        ours.send(f"GET {path} HTTP/1.1\r\nHost: watchdog\r\nConnection: close\r\n\r\n".encode())
        await loop.connect_accepted_socket(lambda: HttpConnection(server), theirs)
        try:
            return await loop.sock_recv(ours, 32)
        except ConnectionResetError:
            return b""
