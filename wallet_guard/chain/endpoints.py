"""One link kept alive out of several endpoints: fail over, back off, say what is wrong."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Mapping
from urllib.parse import urlsplit

from wallet_guard.chain.errors import Unavailable
from wallet_guard.chain.link import Link, MakeCodec
from wallet_guard.chain.ports import Connection
from wallet_guard.host.config import ConfigurationError

log = logging.getLogger(__name__)

OPEN_SECONDS = 60.0
"""From the first byte to a usable link: handshakes, heads and 0.8 MB of metadata over a thin line."""

FIRST_PAUSE_SECONDS = 0.25
LONGEST_PAUSE_SECONDS = 30.0
"""Pauses after a round of all endpoints failed: doubling, and cut by up to half at random so that guards spread."""

STABLE_SECONDS = 60.0
"""A link that lived as long as this begins the pauses anew."""

FALLBACK_VARIABLE = "BT_FALLBACK_ENDPOINTS"
"""The SDK's own variable (comma separated)."""

Dial = Callable[[str], Awaitable[Connection]]
"""Opens a connection to a URL; raises Unavailable."""


def endpoint_urls(configured: tuple[str, ...], environment: Mapping[str, str]) -> tuple[str, ...]:
    """The configured URLs, then those of BT_FALLBACK_ENDPOINTS, each once.

    Raises:
        ConfigurationError: the variable holds something else than ws:// or wss:// URLs.
    """
    fallbacks = [url.strip() for url in environment.get(FALLBACK_VARIABLE, "").split(",") if url.strip()]
    for url in fallbacks:
        if not url.startswith(("ws://", "wss://")):
            raise ConfigurationError(f"{FALLBACK_VARIABLE}: expected ws:// or wss:// URLs, found {shown(url)!r}")
    return tuple(dict.fromkeys((*configured, *fallbacks)))


def shown(url: str) -> str:
    """The URL as it may be logged: paths and queries of endpoints hold access keys."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return "an endpoint that is no URL"
    host = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{host}" + (f":{port}" if port else "")


class Endpoints:
    """The one link, whichever endpoint it leads to now.

    ``genesis`` "" takes the chain of the first endpoint that answers, and then keeps to it. ``on_change`` is called
    when the link comes, goes, or cannot be had for another reason than before. ``jitter()`` gives 0 ≤ x < 1.
    """

    def __init__(
        self, urls: tuple[str, ...], genesis: str, dial: Dial, make_codec: MakeCodec, jitter: Callable[[], float]
    ) -> None:
        self.trouble = "not connected yet"
        """Why there is no link; "" while there is one."""
        self.connections = 0
        """Links that stood, so far."""
        self.on_change: Callable[[], None] = lambda: None
        self._urls = urls
        self._genesis = genesis
        self._dial = dial
        self._make_codec = make_codec
        self._jitter = jitter
        self._link: Link | None = None
        self._change = asyncio.Event()

    @property
    def current(self) -> Link | None:
        """The live link, None while there is none."""
        return None if self._link is None or self._link.broken else self._link

    async def link(self, seconds: float) -> Link:
        """The live link, waiting for one if need be.

        Raises:
            Unavailable: none within that time; the message is the trouble.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self.current is None:
                    await self._change.wait()
        link = self.current
        if link is None:
            raise Unavailable(self.trouble)
        return link

    async def run(self) -> None:
        """Connects, follows, fails over, until cancelled."""
        loop = asyncio.get_running_loop()
        rounds = 0
        while True:
            for url in self._urls:
                started = loop.time()
                await self._use(url)
                if loop.time() - started > STABLE_SECONDS:
                    rounds = 0
            pause = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2.0**rounds)
            rounds = min(rounds + 1, 10)
            await asyncio.sleep(pause * (1 - self._jitter() / 2))

    async def _use(self, url: str) -> None:
        """Returns when this endpoint cannot be used, or no longer; ``trouble`` says why."""
        connection: Connection | None = None
        try:
            try:
                async with asyncio.timeout(OPEN_SECONDS):
                    connection = await self._dial(url)
                    link = await Link.open(url, connection, self._make_codec, self._genesis)
                why = await self._follow(link)
            except TimeoutError:
                why = f"not usable within {OPEN_SECONDS:g} s"
            except Unavailable as error:
                why = str(error)
            trouble = f"{shown(url)}: {why}"
            if trouble != self.trouble:
                log.warning(f"endpoint {trouble}")
            self._set(None, trouble)
        finally:
            if connection is not None:
                await connection.close()

    async def _follow(self, link: Link) -> str:
        self._genesis = self._genesis or link.genesis
        block, version = link.heads.best.number, link.runtime.version
        log.info(f"endpoint {shown(link.url)}: connected, block {block}, {version.spec_name} {version.spec_version}")
        self.connections += 1
        self._set(link, "")
        return await link.run()

    def _set(self, link: Link | None, trouble: str) -> None:
        changed = (link, trouble) != (self._link, self.trouble)
        self._link, self.trouble = link, trouble
        if changed:
            self._change.set()
            self._change = asyncio.Event()
            self.on_change()
