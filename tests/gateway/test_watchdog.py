"""Signs of life come of answered requests, not of a timer."""

import asyncio
import socket

import pytest

from wallet_guard.gateway.watchdog import keep_alive
from wallet_guard.net.exchange import Response
from wallet_guard.net.limits import ServerLimits
from wallet_guard.net.routes import Route, Routes
from wallet_guard.net.server import Server

FAST = {"WATCHDOG_USEC": "60000"}


def server_of(handler, **limits):
    return Server(Routes([Route("GET", "/health", handler)]), limits=ServerLimits(**limits))


def ok(_request):
    return Response(200, b"{}")


@pytest.fixture
def manager(tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as opened:
        opened.bind(str(tmp_path / "notify"))
        opened.settimeout(0.01)
        yield opened


async def told(manager, server, seconds):
    """What the manager hears within that time."""
    watching = asyncio.ensure_future(keep_alive(server, {**FAST, "NOTIFY_SOCKET": manager.getsockname()}))
    await asyncio.sleep(seconds)
    watching.cancel()
    heard = []
    while True:
        try:
            heard.append(manager.recv(100))
        except TimeoutError:
            return heard


def test_the_manager_is_told_again_and_again(manager):
    heard = asyncio.run(told(manager, server_of(ok), 0.5))
    assert len(heard) >= 3
    assert set(heard) == {b"WATCHDOG=1"}


def test_the_manager_is_told_nothing_while_requests_hang(manager, caplog):
    async def hang(_request):
        await asyncio.sleep(60)

    assert asyncio.run(told(manager, server_of(hang), 0.5)) == []
    assert "no answer to a request of our own: TimeoutError" in caplog.text


@pytest.mark.parametrize("environment", [{}, {"WATCHDOG_USEC": "0"}, {"WATCHDOG_USEC": "soon"}])
def test_nothing_is_done_where_nobody_watches(environment):
    async def one():
        async with asyncio.timeout(1):
            await keep_alive(server_of(ok), environment)

    asyncio.run(one())
