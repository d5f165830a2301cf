import asyncio
import os
import socket
import stat

import pytest

from wallet_guard.net import (
    Accept,
    Endpoint,
    HttpClient,
    Inbox,
    RefusedError,
    Response,
    Routes,
    Server,
    ServerLimits,
    json_response,
    open_websocket,
    parse_url,
)
from wallet_guard.net.server import encode_date

ROUTES = Routes([("GET", "/who", lambda request: json_response([request.peer.uid, request.scheme]))])
GET = b"GET /who HTTP/1.1\r\nHost: h\r\n\r\n"


def test_the_date_of_the_rfc() -> None:
    # RFC 9110, section 5.6.7
    assert encode_date(784111777) == b"Sun, 06 Nov 1994 08:49:37 GMT"


def test_a_unix_socket_tells_the_uid_and_keeps_strangers_out(tmp_path) -> None:
    async def main() -> None:
        server = Server(ROUTES)
        path = str(tmp_path / "s")
        await server.listen_unix(path)
        assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
        client = await HttpClient.connect(parse_url("http://localhost/", path))
        assert (await client.request("GET", "/who")).body == b'[%d,"http"]' % os.getuid()
        client.close()
        await server.stop(1)

    asyncio.run(main())


def test_a_dead_unix_socket_is_replaced_and_a_living_one_is_not(tmp_path) -> None:
    async def main() -> None:
        path = str(tmp_path / "s")
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(path)
        first, second = Server(ROUTES), Server(ROUTES)
        await first.listen_unix(path)
        with pytest.raises(OSError, match="somebody listens"):
            await second.listen_unix(path)
        await first.stop(1)

    asyncio.run(main())


def test_an_inherited_socket_is_used() -> None:
    async def main() -> None:
        server = Server(ROUTES)
        inherited = socket.create_server(("127.0.0.1", 0))
        port = inherited.getsockname()[1]
        await server.listen_socket(inherited)
        client = await HttpClient.connect(parse_url(f"http://127.0.0.1:{port}/"))
        assert (await client.request("GET", "/who")).body == b'[-1,"http"]'
        client.close()
        await server.stop(1)
        with pytest.raises(OSError, match=r"refused|Connect"):
            await HttpClient.connect(parse_url(f"http://127.0.0.1:{port}/"))

    asyncio.run(main())


def test_unknown_paths_and_methods_are_told_apart(serve) -> None:
    async def main() -> None:
        errors = []

        def on_error(status: int, reason: str) -> Response:
            errors.append(status)
            return json_response({"success": False, "reason": reason}, status)

        async with serve(Server(ROUTES, on_error=on_error)) as connect:
            raw = await connect()
            await raw.say(GET.replace(b"who", b"nobody"))
            assert (await raw.hear()).startswith(b"HTTP/1.1 404 ")
            await raw.say(GET.replace(b"GET", b"PUT"))
            answer = await raw.hear()
            assert answer.startswith(b"HTTP/1.1 405 ")
            assert b"\r\nAllow: GET\r\n" in answer
            assert errors == [404, 405]

    asyncio.run(main())


def test_a_route_gets_its_parameters(serve) -> None:
    async def main() -> None:
        routes = Routes([("GET", "/jobs/{id}", lambda request: json_response(request.parameters))])
        async with serve(Server(routes)) as connect:
            raw = await connect()
            await raw.say(GET.replace(b"who", b"jobs/a%20b"))
            assert (await raw.hear()).endswith(b'["a b"]')

    asyncio.run(main())


@pytest.mark.parametrize(
    ("limits", "counted"),
    [
        (ServerLimits(max_connections=2), "max_connections"),
        (ServerLimits(max_connections_per_address=2), "max_connections_per_address"),
    ],
)
def test_connections_have_ceilings(serve, eventually, limits, counted: str) -> None:
    async def main() -> None:
        server = Server(ROUTES, limits=limits)
        async with serve(server) as connect:
            first, second = await connect(), await connect()
            await eventually(lambda: server.connection_count == 2)
            third = await connect()
            with pytest.raises((ConnectionResetError, AssertionError)):
                assert await third.hear() != b""
            assert server.counts[counted] == 1
            first.close()
            await eventually(lambda: server.connection_count == 1)
            fourth = await connect()
            await fourth.say(GET)
            assert (await fourth.hear()).startswith(b"HTTP/1.1 200 ")
            second.close()

    asyncio.run(main())


def test_a_websocket_may_be_refused_or_accepted_later(serve) -> None:
    async def main() -> None:
        async def decide(request) -> Response | Accept:
            await asyncio.sleep(0)
            if request.headers.get("authorization") == "Bearer x":
                return Accept(Endpoint(), "btws.1", (("X-A", "b"),))
            return Response(401, b"no", "text/plain")

        async with serve(Server(Routes(), websockets={"/ws": decide})) as connect:
            address = parse_url(f"ws://127.0.0.1:{connect.port}/ws")
            with pytest.raises(RefusedError) as caught:
                await open_websocket(address, Endpoint())
            assert (caught.value.response.status, caught.value.response.body) == (401, b"no")
            fields = (("Authorization", "Bearer x"),)
            websocket = await open_websocket(address, Endpoint(), subprotocols=("a", "btws.1"), headers=fields)
            assert websocket.subprotocol == "btws.1"

    asyncio.run(main())


def test_a_stop_finishes_what_is_in_flight_and_closes_the_rest(serve, eventually) -> None:
    begun = asyncio.Event()

    async def slow(_request) -> Response:
        begun.set()
        await asyncio.sleep(0.2)
        return Response(200, b"done", "text/plain")

    async def main() -> None:
        server = Server(Routes([("GET", "/who", slow)]), websockets={"/ws": lambda _: Accept(Endpoint())})
        async with serve(server) as connect:
            inbox = Inbox()
            websocket = await open_websocket(parse_url(f"ws://127.0.0.1:{connect.port}/ws"), inbox)
            idle, busy = await connect(), await connect()
            await busy.say(GET)
            await eventually(lambda: server.connection_count == 3)
            await eventually(begun.is_set)
            await server.stop(60)
            answer = await busy.hear_all()
            assert b"Connection: close" in answer
            assert answer.endswith(b"done")
            assert await idle.hear_all() == b""
            assert await inbox.receive() is None
            assert (websocket.close_code, server.connection_count) == (1001, 0)
            assert server.counts["cut at stop"] == 0

    asyncio.run(main())


def test_a_stop_has_a_deadline(serve, eventually) -> None:
    begun = asyncio.Event()

    async def endless(_request) -> Response:
        begun.set()
        await asyncio.sleep(30)
        raise AssertionError

    async def main() -> None:
        server = Server(Routes([("GET", "/who", endless)]))
        async with serve(server) as connect:
            raw = await connect()
            await raw.say(GET)
            await eventually(begun.is_set)
            await server.stop(0.1)
            assert server.counts["cut at stop"] == 1
            await eventually(lambda: server.connection_count == 0)

    asyncio.run(main())
