"""Failing over, backing off, and saying why."""

import asyncio
from typing import Any

import pytest

from wallet_guard.chain.endpoints import Endpoints, endpoint_urls, shown
from wallet_guard.chain.errors import Unavailable
from wallet_guard.host.config import ConfigurationError


def test_tries_fallbacks_after_the_configured_and_each_once() -> None:
    environment = {"BT_FALLBACK_ENDPOINTS": "wss://b, ws://a ,,wss://c"}
    assert endpoint_urls(("ws://a",), environment) == ("ws://a", "wss://b", "wss://c")
    assert endpoint_urls(("ws://a",), {}) == ("ws://a",)


def test_refuses_a_fallback_that_is_no_websocket() -> None:
    with pytest.raises(ConfigurationError, match=r"BT_FALLBACK_ENDPOINTS: expected ws:// or wss:// URLs, found"):
        endpoint_urls((), {"BT_FALLBACK_ENDPOINTS": "https://rpc/secret-key"})


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("wss://user:pass@rpc.example:443/v1/key?token=x", "wss://rpc.example:443"),
        ("ws://[::1]:9944/", "ws://[::1]:9944"),
        ("wss://rpc.example/key", "wss://rpc.example"),
        ("ws://host:port", "an endpoint that is no URL"),
    ],
)
def test_never_shows_the_secret_parts_of_a_url(url: str, text: str) -> None:
    assert shown(url) == text


class World:
    """Endpoints by URL: a scripted chain, or the reason why it cannot be reached."""

    def __init__(self, **endpoints: Any) -> None:
        self.endpoints = endpoints
        self.dialled: list[str] = []
        self.changes = 0

    async def dial(self, url: str) -> Any:
        self.dialled.append(url)
        found = self.endpoints[url.removeprefix("ws://")]
        if isinstance(found, str):
            raise Unavailable(found)
        return found

    def pool(self, chain: Any, genesis: str = "") -> Endpoints:
        urls = tuple(f"ws://{name}" for name in self.endpoints)
        pool = Endpoints(urls, genesis, self.dial, chain.make_codec, lambda: 1.0)

        def count() -> None:
            self.changes += 1

        pool.on_change = count
        return pool


def run_beside(pool: Endpoints, body: Any) -> None:
    async def run() -> None:
        job = asyncio.ensure_future(pool.run())
        try:
            await body()
        finally:
            job.cancel()
            await asyncio.gather(job, return_exceptions=True)

    asyncio.run(run())


def test_takes_the_next_endpoint_when_one_cannot_be_reached(chain: Any) -> None:
    world = World(dead="connection refused", good=chain)
    pool = world.pool(chain)

    async def body() -> None:
        assert (await pool.link(1.0)).url == "ws://good"
        assert pool.trouble == ""
        assert world.changes == 2

    run_beside(pool, body)


def test_refuses_the_wrong_chain_with_its_reason_and_takes_the_next(chain: Any, kit: Any) -> None:
    other = kit.chain()
    other.take_back(1)
    other.blocks.clear()
    other.make_block()
    world = World(other=other, good=chain)
    pool = world.pool(chain, chain.blocks[0].header.hash)
    troubles: list[str] = []
    pool.on_change = lambda: troubles.append(pool.trouble)

    async def body() -> None:
        assert (await pool.link(1.0)).url == "ws://good"

    run_beside(pool, body)
    assert troubles[0].startswith("ws://other: wrong chain: expected genesis 0x")
    assert other.closed


def test_keeps_to_the_chain_of_the_first_contact(chain: Any, kit: Any) -> None:
    other = kit.chain()
    other.blocks.clear()
    other.make_block()
    world = World(good=chain, other=other)
    pool = world.pool(chain)

    async def body() -> None:
        await pool.link(1.0)
        chain.cut()
        while "wrong chain" not in pool.trouble:
            await asyncio.sleep(0)

    run_beside(pool, body)


def test_fails_over_when_a_link_breaks(chain: Any, kit: Any) -> None:
    second = kit.chain()
    world = World(first=chain, second=second)
    pool = world.pool(chain)

    async def body() -> None:
        first = await pool.link(1.0)
        chain.cut()
        while pool.current is first:
            await asyncio.sleep(0)
        assert (await pool.link(1.0)).url == "ws://second"
        assert chain.closed

    run_beside(pool, body)


def test_a_dead_chain_is_unavailable_with_its_reason_and_no_hang(chain: Any) -> None:
    world = World(dead="connection refused")
    pool = world.pool(chain)

    async def body() -> None:
        with pytest.raises(Unavailable, match="ws://dead: connection refused"):
            await pool.link(0.05)

    run_beside(pool, body)
    assert len(world.dialled) == 1, "a pause follows each round"


def test_comes_back_when_the_only_endpoint_does(chain: Any) -> None:
    world = World(only="connection refused")
    pool = world.pool(chain)

    async def body() -> None:
        with pytest.raises(Unavailable):
            await pool.link(0.01)
        world.endpoints["only"] = chain
        assert (await pool.link(2.0)).url == "ws://only"

    run_beside(pool, body)
