import asyncio
import gc
import logging
import weakref

import pytest

from wallet_guard.net import (
    Accept,
    Endpoint,
    Inbox,
    MessageLimits,
    Routes,
    Server,
    ServerLimits,
    WebSocket,
    WebSocketLimits,
    encode_text,
    open_websocket,
    parse_url,
)
from wallet_guard.wire.websocket.frames import BINARY, CLOSE, FIN, PING, PONG, TEXT, encode_frame
from wallet_guard.wire.websocket.handshake import encode_accept

OPENING = (
    b"GET /ws HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
KEY = b"\x01\x02\x03\x04"


class Echo(Endpoint):
    def __init__(self) -> None:
        self.opened: list[WebSocket] = []
        self.closed: list[tuple[int, str]] = []
        self.pongs: list[bytes] = []

    def on_open(self, websocket: WebSocket) -> None:
        self.opened.append(websocket)

    def on_message(self, websocket: WebSocket, data: str | bytes) -> None:
        if isinstance(data, bytes):
            websocket.send_binary(data)
        elif data == "fail":
            raise KeyError("secret")
        elif data == "close":
            websocket.close(4000, "asked for")
        else:
            websocket.send_text(data)

    def on_pong(self, websocket: WebSocket, payload: bytes) -> None:
        self.pongs.append(payload)

    def on_close(self, websocket: WebSocket, code: int, reason: str) -> None:
        self.closed.append((code, reason))


def server_of(endpoint: Endpoint, limits: WebSocketLimits = WebSocketLimits()) -> Server:  # noqa: B008 - immutable
    return Server(Routes(), websockets={"/ws": lambda _: Accept(endpoint)}, limits=ServerLimits(websocket=limits))


def masked(first: int, payload: bytes = b"") -> bytes:
    return encode_frame(first, payload, KEY)


async def opened(connect):
    raw = await connect()
    await raw.say(OPENING)
    assert (await raw.hear_until(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
    return raw


async def dial(connect, endpoint: Endpoint, **options) -> WebSocket:
    return await open_websocket(parse_url(f"ws://127.0.0.1:{connect.port}/ws"), endpoint, **options)


def test_frames_behind_the_opening_are_read(serve) -> None:
    async def main() -> None:
        async with serve(server_of(Echo())) as connect:
            raw = await connect()
            await raw.say(OPENING + masked(FIN | TEXT, b"early"))
            await raw.hear_until(encode_frame(FIN | TEXT, b"early"))

    asyncio.run(main())


def test_what_one_read_brings_is_answered_in_one_write(serve) -> None:
    async def main() -> None:
        async with serve(server_of(Echo())) as connect:
            raw = await opened(connect)
            await raw.say(masked(FIN | TEXT, b"a") * 100)
            assert await raw.hear() == encode_frame(FIN | TEXT, b"a") * 100

    asyncio.run(main())


def test_messages_of_every_size_come_back(serve) -> None:
    async def main() -> None:
        async with serve(server_of(Echo())) as connect:
            inbox = Inbox()
            websocket = await dial(connect, inbox)
            for size in (0, 1, 125, 126, 65535, 65536, 1_000_000):
                assert websocket.send_binary(b"x" * size)
                assert await inbox.receive() == b"x" * size
                assert websocket.send_text("\u00e4" * (size // 2))
                assert await inbox.receive() == "\u00e4" * (size // 2)
            websocket.close()
            assert await inbox.receive() is None
            assert (websocket.close_code, websocket.is_open) == (1000, False)
            assert not websocket.send_text("late")

    asyncio.run(main())


def test_the_server_ends_the_transport_after_the_closing_handshake(serve, eventually) -> None:
    async def main() -> None:
        echo = Echo()
        async with serve(server_of(echo)) as connect:
            raw = await opened(connect)
            await raw.say(masked(FIN | CLOSE, b"\x03\xe8bye"))
            assert await raw.hear_all() == encode_frame(FIN | CLOSE, b"\x03\xe8")
            assert echo.closed == [(1000, "bye")]

    asyncio.run(main())


def test_a_close_of_ours_waits_for_the_answer(serve) -> None:
    async def main() -> None:
        echo = Echo()
        async with serve(server_of(echo)) as connect:
            raw = await opened(connect)
            await raw.say(masked(FIN | TEXT, b"close"))
            assert await raw.hear() == encode_frame(FIN | CLOSE, b"\x0f\xa0asked for")
            assert echo.closed == []
            await raw.say(masked(FIN | CLOSE, b"\x0f\xa0"))
            assert await raw.hear_all() == b""
            assert echo.closed == [(4000, "")]

    asyncio.run(main())


def test_a_close_that_is_not_answered_has_a_deadline(serve, eventually) -> None:
    async def main() -> None:
        echo = Echo()
        server = server_of(echo, WebSocketLimits(close_seconds=0.1, ping_seconds=0.1, pong_seconds=9))
        async with serve(server) as connect:
            raw = await opened(connect)
            await raw.say(masked(FIN | TEXT, b"close"))
            await eventually(lambda: bool(echo.closed))
            assert echo.closed[0][0] == 1006
            assert server.counts["close_seconds"] == 1

    asyncio.run(main())


def test_a_fault_is_told_even_behind_unread_bytes(serve) -> None:
    async def main() -> None:
        server = server_of(Echo())
        async with serve(server) as connect:
            raw = await opened(connect)
            await raw.say(masked(FIN | TEXT, b"a") + masked(0xF1) + masked(FIN | BINARY, b"x" * 1_000_000))
            answer = await raw.hear_all()
            assert answer.startswith(encode_frame(FIN | TEXT, b"a") + bytes((FIN | CLOSE,)))
            assert answer[5:7] == b"\x03\xea"
            assert server.counts["websocket closed with 1002"] == 1

    asyncio.run(main())


def test_an_endpoint_that_fails_closes_with_1011_and_is_logged_once(serve, caplog) -> None:
    async def main() -> None:
        async with serve(server_of(Echo())) as connect:
            raw = await opened(connect)
            await raw.say(masked(FIN | TEXT, b"fail"))
            assert await raw.hear_all() == encode_frame(FIN | CLOSE, b"\x03\xf3internal error")

    with caplog.at_level(logging.ERROR, "wallet_guard.net"):
        asyncio.run(main())
    assert len(caplog.records) == 1


class Fails(Endpoint):
    def on_open(self, websocket: WebSocket) -> None:
        raise KeyError("open")

    def on_close(self, websocket: WebSocket, code: int, reason: str) -> None:
        raise KeyError("close")


def test_an_endpoint_that_fails_at_both_ends_ends_only_its_connection(serve, caplog) -> None:
    async def main() -> None:
        async with serve(server_of(Fails())) as connect:
            raw = await opened(connect)
            assert await raw.hear_all() == encode_frame(FIN | CLOSE, b"\x03\xf3internal error")

    with caplog.at_level(logging.ERROR, "wallet_guard.net"):
        asyncio.run(main())
    assert len(caplog.records) == 2


def test_silence_is_asked_and_then_ended(serve, eventually) -> None:
    async def main() -> None:
        echo = Echo()
        server = server_of(echo, WebSocketLimits(ping_seconds=0.1, pong_seconds=3))
        async with serve(server) as connect:
            raw = await opened(connect)
            for _ in range(2):
                assert await raw.hear_until(encode_frame(FIN | PING, b"")) == encode_frame(FIN | PING, b"")
                await raw.say(masked(FIN | PONG))
                await eventually(lambda: bool(echo.pongs))
            await eventually(lambda: bool(echo.closed))
            assert echo.closed[0][0] == 1006
            assert server.counts["pong_seconds"] == 1

    asyncio.run(main())


def test_the_client_asks_and_ends_as_well(script, eventually) -> None:
    async def main() -> None:
        async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            head = await reader.readuntil(b"\r\n\r\n")
            key = next(line for line in head.decode().split("\r\n") if line.lower().startswith("sec-websocket-key"))
            writer.write(encode_accept(key.partition(": ")[2]))
            await reader.read(-1)
            writer.close()

        async with script(accept) as port:
            echo = Echo()
            limits = WebSocketLimits(ping_seconds=0.1, pong_seconds=0.1)
            await open_websocket(parse_url(f"ws://127.0.0.1:{port}/"), echo, limits=limits)
            await eventually(lambda: bool(echo.closed))
            assert echo.closed[0][0] == 1006

    asyncio.run(main())


def test_a_ping_is_answered_to_the_handler(serve, eventually) -> None:
    async def main() -> None:
        async with serve(server_of(Echo())) as connect:
            echo = Echo()
            websocket = await dial(connect, echo)
            assert websocket.ping(b"x")
            await eventually(lambda: echo.pongs == [b"x"])
            websocket.abort()
            await eventually(lambda: websocket.is_lost)

    asyncio.run(main())


def test_a_slow_reader_is_dropped_by_rule(serve, eventually) -> None:
    async def main() -> None:
        echo = Echo()
        limits = WebSocketLimits(max_queued_bytes=100_000, pause_reading_bytes=50_000)
        server = server_of(echo, limits)
        async with serve(server) as connect:
            await opened(connect)
            await eventually(lambda: bool(echo.opened))
            sent = 0
            while echo.opened[0].send_binary(bytes(50_000)):
                sent += 1
                assert sent < 1000
            assert server.counts["max_queued_bytes"] == 1
            await eventually(lambda: bool(echo.closed))
            assert not echo.opened[0].send_binary(b"late")

    asyncio.run(main())


def test_a_reader_that_stopped_is_dropped_by_the_clock(serve, eventually) -> None:
    async def main() -> None:
        echo = Echo()
        big = 100_000_000
        limits = WebSocketLimits(max_queued_bytes=big, pause_reading_bytes=1000, stall_seconds=0.1, ping_seconds=0.1)
        server = server_of(echo, limits)
        async with serve(server) as connect:
            await opened(connect)
            await eventually(lambda: bool(echo.opened))
            echo.opened[0].send_binary(bytes(20_000_000))
            assert echo.opened[0].queued_bytes > 1000
            waiting = asyncio.create_task(echo.opened[0].drain())
            await eventually(lambda: server.counts["stall_seconds"] == 1)
            await asyncio.wait_for(waiting, 60)

    asyncio.run(main())


def test_a_server_reads_nothing_from_a_peer_that_does_not_read_until_it_does(serve) -> None:
    async def main() -> None:
        limits = WebSocketLimits(
            messages=MessageLimits(10**7, 10**7), max_queued_bytes=10**8, pause_reading_bytes=10_000
        )
        async with serve(server_of(Echo(), limits)) as connect:
            raw = await opened(connect)
            frame = masked(FIN | BINARY, bytes(1_000_000))
            sending = asyncio.create_task(raw.say(frame * 20))
            await asyncio.sleep(0.2)
            expected = 20 * (1_000_000 + 10)
            while expected > 0:
                data = await raw.hear()
                assert data
                expected -= len(data)
            await sending

    asyncio.run(main())


def test_drain_returns_once_the_peer_has_read(serve, eventually) -> None:
    async def main() -> None:
        echo = Echo()
        limits = WebSocketLimits(max_queued_bytes=10**8, pause_reading_bytes=1000)
        async with serve(server_of(echo, limits)) as connect:
            raw = await opened(connect)
            await eventually(lambda: bool(echo.opened))
            echo.opened[0].send_binary(bytes(20_000_000))
            waiting = asyncio.create_task(echo.opened[0].drain())
            left = 20_000_010
            while left:
                left -= len(await raw.hear())
            await asyncio.wait_for(waiting, 60)
            await echo.opened[0].drain()

    asyncio.run(main())


def test_an_inbox_that_is_full_stops_reading_and_goes_on(serve) -> None:
    async def main() -> None:
        inbox = Inbox(max_messages=2)
        async with serve(server_of(inbox)) as connect:
            raw = await opened(connect)
            for _ in range(20):
                await raw.say(masked(FIN | BINARY, bytes(100_000)))
            received = [await asyncio.wait_for(inbox.receive(), 60) for _ in range(20)]
            assert [len(message) for message in received] == [100_000] * 20
            await raw.say(masked(FIN | CLOSE))
            assert [message async for message in inbox] == []

    asyncio.run(main())


def test_a_handler_that_takes_its_time_is_not_the_peers_silence(serve) -> None:
    async def main() -> None:
        inbox = Inbox(max_messages=1)
        server = server_of(inbox, WebSocketLimits(ping_seconds=0.1, pong_seconds=0.1))
        async with serve(server) as connect:
            raw = await opened(connect)
            await raw.say(masked(FIN | TEXT, b"a"))
            await asyncio.sleep(1.5)
            await raw.say(masked(FIN | TEXT, b"b"))
            assert [await inbox.receive(), await inbox.receive()] == ["a", "b"]
            assert server.counts["pong_seconds"] == 0

    asyncio.run(main())


def test_an_encoded_frame_goes_to_many(serve, eventually) -> None:
    async def main() -> None:
        echo = Echo()
        async with serve(server_of(echo)) as connect:
            raws = [await opened(connect) for _ in range(3)]
            await eventually(lambda: len(echo.opened) == 3)
            frame = encode_text("all")
            assert frame == encode_frame(FIN | TEXT, b"all")
            assert all(websocket.send_encoded(frame) for websocket in echo.opened)
            assert [await raw.hear() for raw in raws] == [frame] * 3

    asyncio.run(main())


class Holding(Endpoint):
    """Keeps its connection, as an endpoint does that sends."""

    def on_open(self, websocket: WebSocket) -> None:
        self.websocket = websocket


@pytest.mark.parametrize("orderly", [True, False])
def test_a_connection_that_has_ended_is_freed_at_once(serve, eventually, orderly: bool) -> None:
    freed: list[weakref.finalize] = []

    def holding() -> Endpoint:
        endpoint = Holding()
        freed.append(weakref.finalize(endpoint, int))
        return endpoint

    async def main() -> None:
        server = Server(Routes(), websockets={"/ws": lambda _: Accept(holding())})
        async with serve(server) as connect:
            websocket = await dial(connect, holding())
            if orderly:
                websocket.close()
            else:
                websocket.abort()
            del websocket
            await eventually(lambda: not any(ending.alive for ending in freed))

    gc.disable()  # it would free them some time as well
    try:
        asyncio.run(main())
    finally:
        gc.enable()
    assert len(freed) == 2


@pytest.mark.parametrize("code", [1006, 1005 + 10_000])
def test_a_code_that_must_not_be_sent_is_refused(serve, eventually, code: int) -> None:
    async def main() -> None:
        echo = Echo()
        async with serve(server_of(echo)) as connect:
            await opened(connect)
            await eventually(lambda: bool(echo.opened))
            with pytest.raises(ValueError, match="cannot be sent"):
                echo.opened[0].close(code)

    asyncio.run(main())
