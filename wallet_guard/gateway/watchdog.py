"""Signs of life of the gateway: see ``net.watchdog``."""

from collections.abc import Mapping

from wallet_guard.host.readiness import notify
from wallet_guard.net import watchdog
from wallet_guard.net.server import Server

PATH = "/health"


async def keep_alive(server: Server, environment: Mapping[str, str]) -> None:
    """Tells ``WATCHDOG=1`` for each round trip, until cancelled; returns at once where nobody watches."""
    allowed = environment.get("WATCHDOG_USEC", "")
    await watchdog.keep_alive(server, PATH, allowed, lambda: notify("WATCHDOG=1", environment))
