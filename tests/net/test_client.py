import asyncio

import pytest

from wallet_guard.net import Endpoint, HttpClient, Response, Routes, Server, open_websocket, parse_url
from wallet_guard.net.client import Address
from wallet_guard.wire.errors import HttpError


@pytest.mark.parametrize(
    ("url", "expected", "authority"),
    [
        ("http://a", Address("a", 80, "/", False), "a"),
        ("https://a:444/b?c", Address("a", 444, "/b?c", True), "a:444"),
        ("ws://[::1]:9944", Address("::1", 9944, "/", False), "[::1]:9944"),
        ("wss://a/x", Address("a", 443, "/x", True), "a"),
    ],
)
def test_urls(url: str, expected: Address, authority: str) -> None:
    assert parse_url(url) == expected
    assert parse_url(url).authority == authority


@pytest.mark.parametrize("url", ["ftp://a", "a", "http://", "http://u:p@a/", "http://a/#b", "ws://a:99999999/"])
def test_refuses_another_url(url: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_url(url)


def saying(answer: bytes):
    """Answers whatever comes with these bytes and hangs up."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(answer)
        await writer.drain()
        writer.close()

    return handle


def at(port: int) -> Address:
    return parse_url(f"http://127.0.0.1:{port}/")


def test_a_connection_is_kept_for_the_next_request(serve) -> None:
    async def main() -> None:
        routes = Routes([("POST", "/a", lambda request: Response(200, request.body[::-1], close=request.body == b"x"))])
        async with serve(Server(routes)) as connect:
            client = await HttpClient.connect(parse_url(f"http://127.0.0.1:{connect.port}/"))
            assert (await client.request("POST", "/a", body=b"ab")).body == b"ba"
            assert client.is_usable
            assert (await client.request("POST", "/a", body=b"x")).keep_alive is False
            assert not client.is_usable
            with pytest.raises(ConnectionResetError):
                await client.request("POST", "/a")

    asyncio.run(main())


@pytest.mark.parametrize(
    "answer", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell", b"HTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n"]
)
def test_a_broken_answer_is_the_servers_fault(script, answer: bytes) -> None:
    async def main() -> None:
        async with script(saying(answer)) as port:
            client = await HttpClient.connect(at(port))
            with pytest.raises(HttpError) as caught:
                await client.request("GET", "/")
            assert caught.value.status == 502
            assert not client.is_usable

    asyncio.run(main())


def test_an_answer_without_length_ends_with_the_connection(script) -> None:
    async def main() -> None:
        async with script(saying(b"HTTP/1.1 200 OK\r\n\r\nhello")) as port:
            client = await HttpClient.connect(at(port))
            assert (await client.request("GET", "/")).body == b"hello"

    asyncio.run(main())


def test_an_answer_has_a_deadline_and_then_no_other_request(serve) -> None:
    async def never(_request) -> Response:
        await asyncio.sleep(30)
        raise AssertionError

    async def main() -> None:
        async with serve(Server(Routes([("GET", "/", never)]))) as connect:
            client = await HttpClient.connect(parse_url(f"http://127.0.0.1:{connect.port}/"))
            with pytest.raises(TimeoutError):
                await client.request("GET", "/", timeout_seconds=0.05)
            assert not client.is_usable

    asyncio.run(main())


def test_an_upgrade_is_never_redirected(script) -> None:
    async def main() -> None:
        answer = b"HTTP/1.1 302 Found\r\nLocation: ws://evil/\r\nContent-Length: 0\r\n\r\n"
        async with script(saying(answer)) as port:
            with pytest.raises(HttpError, match="expected status 101, found 302"):
                await open_websocket(at(port), Endpoint())

    asyncio.run(main())


def test_an_upgrade_without_proof_is_refused(script) -> None:
    async def main() -> None:
        answer = (
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
        )
        async with script(saying(answer)) as port:
            with pytest.raises(HttpError, match="does not prove"):
                await open_websocket(at(port), Endpoint())

    asyncio.run(main())


def test_nobody_listens(script) -> None:
    async def main() -> None:
        async with script(saying(b"")) as port:
            pass
        with pytest.raises(OSError, match=r"."):
            await HttpClient.connect(at(port))

    asyncio.run(main())


def test_a_secure_address_needs_a_context() -> None:
    with pytest.raises(ValueError, match="TLS"):
        asyncio.run(HttpClient.connect(parse_url("https://127.0.0.1:1/")))
