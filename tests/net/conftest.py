"""What the tests of the shells share: a server on loopback for the length of a test, and raw connections to it."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from wallet_guard.net import Server

# For what must come: long, since a loaded machine may stand still for seconds. Nothing waits so long where all is well.
PATIENCE_SECONDS = 60


class Raw:
    """A connection that says exactly what it is told."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def say(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def hear(self, count: int = 65536) -> bytes:
        return await asyncio.wait_for(self.reader.read(count), PATIENCE_SECONDS)

    async def hear_all(self) -> bytes:
        """Until the other side ends."""
        return await asyncio.wait_for(self.reader.read(-1), PATIENCE_SECONDS)

    async def hear_until(self, mark: bytes) -> bytes:
        return await asyncio.wait_for(self.reader.readuntil(mark), PATIENCE_SECONDS)

    def close(self) -> None:
        self.writer.close()


@asynccontextmanager
async def serving(server: Server, **options: Any):
    """The server on a free port, stopped at the end; gives a function that connects."""
    port = await server.listen_tcp("127.0.0.1", 0, **options)
    opened: list[Raw] = []

    async def connect(**more: Any) -> Raw:
        raw = Raw(*await asyncio.open_connection("127.0.0.1", port, **more))
        opened.append(raw)
        return raw

    connect.port = port  # type: ignore[attr-defined]
    try:
        yield connect
    finally:
        for raw in opened:
            raw.close()
        await server.stop(1)
        await cut_connections()


async def cut_connections() -> None:
    """Ends what is still open, on whichever side: a transport that outlives its loop fails a later test.

    The garbage collector finds it at some time and warns then.
    """
    for transport in list(asyncio.get_running_loop()._transports.values()):  # type: ignore[attr-defined]
        transport.abort()
    await asyncio.sleep(0)


@asynccontextmanager
async def scripted(handle: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]):
    """A server whose connections are handled by this function; gives its port."""
    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await cut_connections()


@pytest.fixture
def script() -> Callable[..., Any]:
    return scripted


@pytest.fixture
def serve() -> Callable[..., Any]:
    return serving


@pytest.fixture
def eventually() -> Callable[[Callable[[], bool]], Awaitable[None]]:
    async def wait(condition: Callable[[], bool]) -> None:
        """Returns as soon as the condition holds; fails after a minute."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not condition():
                await asyncio.sleep(0.01)

    return wait
