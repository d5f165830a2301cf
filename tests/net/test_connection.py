import asyncio
import logging

import pytest

from wallet_guard.net import (
    Accept,
    Endpoint,
    HttpLimits,
    Request,
    Response,
    Routes,
    Server,
    ServerLimits,
    json_response,
)
from wallet_guard.wire.errors import HttpError

GET = b"GET /%b HTTP/1.1\r\nHost: h\r\n\r\n"


def echo(request: Request) -> Response:
    return Response(200, request.body or request.path.encode(), "text/plain")


async def later(request: Request) -> Response:
    await asyncio.sleep(0.01)
    return echo(request)


def broken(_request: Request) -> Response:
    raise KeyError("secret")


async def broken_later(_request: Request) -> Response:
    await asyncio.sleep(0)
    raise KeyError("secret")


async def refusing(_request: Request) -> Response:
    raise HttpError(409, "not now")


def split(_request: Request) -> Response:
    return Response(200, b"", headers=(("A", "b\r\nC: d"),))


HANDLERS = {
    "/echo": echo,
    "/later": later,
    "/broken": broken,
    "/broken_later": broken_later,
    "/refusing": refusing,
    "/split": split,
}
ROUTES = Routes([(method, path, handler) for path, handler in HANDLERS.items() for method in ("GET", "POST")])


def bodies(answers: bytes) -> list[bytes]:
    """The last lines of answers with bodies of one line."""
    return [part.split(b"HTTP/1.1")[0] for part in answers.split(b"\r\n\r\n")[1:]]


def run(coroutine) -> None:
    asyncio.run(coroutine)


def test_pipelined_requests_are_answered_in_order(serve) -> None:
    async def main() -> None:
        async with serve(Server(ROUTES)) as connect:
            raw = await connect()
            last = GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
            await raw.say(GET % b"later" + GET % b"echo" + GET % b"later" + last % b"echo")
            assert bodies(await raw.hear_all()) == [b"/later", b"/echo", b"/later", b"/echo"]

    run(main())


def test_a_request_byte_by_byte(serve) -> None:
    async def main() -> None:
        async with serve(Server(ROUTES)) as connect:
            raw = await connect()
            for octet in b"POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello":
                await raw.say(bytes((octet,)))
            assert (await raw.hear()).endswith(b"\r\n\r\nhello")

    run(main())


@pytest.mark.parametrize("path", [b"broken", b"broken_later", b"split"])
def test_a_handler_that_fails_gives_a_bare_500_and_is_logged_once(serve, caplog, path: bytes) -> None:
    async def main() -> None:
        async with serve(Server(ROUTES)) as connect:
            raw = await connect()
            await raw.say(GET % path + GET % b"echo")
            await raw.hear_until(b"/echo")

    with caplog.at_level(logging.ERROR, "wallet_guard.net"):
        run(main())
    assert len(caplog.records) == 1


def test_a_failure_shows_nothing_of_itself(serve) -> None:
    async def main() -> None:
        async with serve(
            Server(ROUTES, on_error=lambda status, reason: json_response([status, reason], status))
        ) as connect:
            raw = await connect()
            await raw.say(GET % b"broken")
            answer = await raw.hear_until(b"]")
            assert answer.startswith(b"HTTP/1.1 500 ")
            assert answer.endswith(b'[500,"internal error"]')

    run(main())


def test_a_handler_may_refuse_with_a_status(serve) -> None:
    async def main() -> None:
        async with serve(Server(ROUTES)) as connect:
            raw = await connect()
            await raw.say(GET % b"refusing")
            assert (await raw.hear()).startswith(b"HTTP/1.1 409 Conflict\r\n")

    run(main())


def test_a_malformed_request_is_answered_and_the_connection_ended(serve) -> None:
    async def main() -> None:
        server = Server(ROUTES)
        async with serve(server) as connect:
            raw = await connect()
            await raw.say(GET % b"echo" + b"GET / HTTP/1.1\nHost: h\r\n\r\n" + GET % b"echo")
            answer = await raw.hear_all()
            assert answer.count(b"HTTP/1.1 ") == 2
            assert b"HTTP/1.1 400 " in answer
            assert b"Connection: close" in answer
            assert server.counts["refused with 400"] == 1

    run(main())


def test_a_body_above_the_ceiling_is_refused_before_it_comes(serve) -> None:
    async def main() -> None:
        async with serve(Server(ROUTES, limits=ServerLimits(http=HttpLimits(max_body_bytes=10)))) as connect:
            raw = await connect()
            await raw.say(b"POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 11\r\n\r\n")
            assert (await raw.hear_all()).startswith(b"HTTP/1.1 413 ")

    run(main())


def test_the_answer_survives_a_body_that_nobody_reads(serve) -> None:
    async def main() -> None:
        async with serve(Server(ROUTES, limits=ServerLimits(http=HttpLimits(max_body_bytes=10)))) as connect:
            raw = await connect()
            await raw.say(b"POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000\r\n\r\n" + b"x" * 1000000)
            assert (await raw.hear_all()).startswith(b"HTTP/1.1 413 ")

    run(main())


def test_continue_is_sent_to_who_waits_for_it(serve) -> None:
    async def main() -> None:
        async with serve(Server(ROUTES)) as connect:
            raw = await connect()
            await raw.say(b"POST /echo HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
            assert await raw.hear() == b"HTTP/1.1 100 Continue\r\n\r\n"
            await raw.say(b"ab")
            assert (await raw.hear()).endswith(b"\r\n\r\nab")

    run(main())


def test_http_1_0_is_answered_and_closed(serve) -> None:
    async def main() -> None:
        async with serve(Server(ROUTES)) as connect:
            raw = await connect()
            await raw.say(b"GET /echo HTTP/1.0\r\n\r\n")
            assert (await raw.hear_all()).endswith(b"\r\n\r\n/echo")

    run(main())


def test_head_has_no_body(serve) -> None:
    async def main() -> None:
        async with serve(Server(ROUTES)) as connect:
            raw = await connect()
            await raw.say(b"HEAD /echo HTTP/1.0\r\n\r\n")
            answer = await raw.hear_all()
            assert b"Content-Length: 5\r\n" in answer
            assert answer.endswith(b"\r\n\r\n")

    run(main())


@pytest.mark.parametrize("cancels", [True, False])
def test_a_client_that_leaves_is_noticed_while_the_handler_waits(serve, eventually, cancels: bool) -> None:
    ended: list[str] = []
    begun, left = asyncio.Event(), asyncio.Event()

    async def patient(request: Request) -> Response:
        begun.set()
        try:
            await left.wait()
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise
        ended.append("finished")
        return echo(request)

    async def main() -> None:
        server = Server(Routes([("GET", "/patient", patient)]), cancel_on_disconnect=cancels)
        async with serve(server) as connect:
            raw = await connect()
            await raw.say(GET % b"patient")
            await eventually(begun.is_set)
            raw.close()
            await eventually(lambda: server.connection_count == 0)
            if not cancels:
                left.set()
            await eventually(lambda: bool(ended))
            assert ended == ["cancelled" if cancels else "finished"]

    run(main())


def test_a_handler_has_a_deadline(serve) -> None:
    async def stubborn(request: Request) -> Response:
        try:
            await asyncio.sleep(30)
        except asyncio.CancelledError:
            return echo(request)
        raise AssertionError

    async def main() -> None:
        server = Server(Routes([("GET", "/x", stubborn)]), limits=ServerLimits(handler_seconds=0.1))
        async with serve(server) as connect:
            raw = await connect()
            await raw.say(GET % b"x")
            answer = await raw.hear_all()
            assert answer.startswith(b"HTTP/1.1 504 ")
            assert answer.count(b"HTTP/1.1") == 1
            assert server.counts["handler_seconds"] == 1

    run(main())


@pytest.mark.parametrize(
    ("limits", "said", "expected", "counted"),
    [
        (ServerLimits(head_seconds=0.1), b"", b"", "head_seconds"),
        (ServerLimits(head_seconds=1.0), b"GET / HTTP/1.1\r\n", b"HTTP/1.1 408 ", "head_seconds"),
        (
            ServerLimits(body_seconds=0.1),
            b"POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nx",
            b"HTTP/1.1 408 ",
            "body_seconds",
        ),
        (ServerLimits(idle_seconds=0.1), GET % b"echo", b"HTTP/1.1 200 ", "idle_seconds"),
    ],
)
def test_every_wait_for_the_client_has_a_deadline(serve, limits, said: bytes, expected: bytes, counted: str) -> None:
    async def main() -> None:
        server = Server(ROUTES, limits=limits)
        async with serve(server) as connect:
            raw = await connect()
            await raw.say(said)
            answer = await raw.hear_all()
            assert answer.startswith(expected)
            assert answer.count(b"HTTP/1.1") == bool(expected)
            assert server.counts[counted] == 1

    run(main())


def test_a_connection_has_a_number_of_requests(serve) -> None:
    async def main() -> None:
        async with serve(Server(ROUTES, limits=ServerLimits(requests_per_connection=2))) as connect:
            raw = await connect()
            await raw.say(GET % b"echo" * 3)
            answer = await raw.hear_all()
            assert answer.count(b"HTTP/1.1 200 ") == 2
            assert answer.count(b"Connection: close") == 1

    run(main())


def test_a_client_that_does_not_read_is_dropped(serve, eventually) -> None:
    async def main() -> None:
        big = Routes([("GET", "/big", lambda _: Response(200, bytes(4_000_000)))])
        server = Server(big, limits=ServerLimits(stall_seconds=0.1))
        async with serve(server) as connect:
            raw = await connect(limit=1024)
            await raw.say(GET % b"big" * 5)
            await eventually(lambda: server.counts["stall_seconds"] == 1)
            await eventually(lambda: server.connection_count == 0)

    run(main())


def test_a_client_that_pipelines_and_does_not_read_is_read_no_further(serve, eventually) -> None:
    async def main() -> None:
        big = Routes([("GET", "/big", lambda _: Response(200, bytes(1_000_000)))])
        server = Server(big)
        async with serve(server) as connect:
            raw = await connect()
            raw.reader._transport.pause_reading()
            held = asyncio.create_task(raw.say(GET % b"big" * 1_000_000))
            await eventually(lambda: bool(server._connections))
            (connection,) = server._connections
            await eventually(lambda: connection._parser.buffered > 64 * 1024)
            await asyncio.sleep(0.2)
            assert connection._parser.buffered < 200_000
            assert not held.done()
            held.cancel()

    run(main())


def test_answers_that_nobody_reads_are_not_gathered_in_memory(serve, eventually) -> None:
    answered = []

    def big(_request: Request) -> Response:
        answered.append(1)
        return Response(200, bytes(1_000_000))

    async def main() -> None:
        async with serve(Server(Routes([("GET", "/big", big)]))) as connect:
            raw = await connect()
            raw.reader._transport.pause_reading()
            await raw.say(GET % b"big" * 1000)
            await eventually(lambda: bool(answered))
            await asyncio.sleep(0.1)
            # what the kernel's buffers take (a few MB) and one more
            assert len(answered) < 20

    run(main())


def test_an_answer_that_closes_may_take_its_time(serve) -> None:
    async def main() -> None:
        body = bytes(20_000_000)
        big = Routes([("GET", "/big", lambda _: Response(200, body, close=True))])
        async with serve(Server(big, limits=ServerLimits(linger_seconds=0.1, stall_seconds=60))) as connect:
            raw = await connect()
            await raw.say(GET % b"big")
            received = 0
            while data := await raw.hear():
                received += len(data)
                await asyncio.sleep(0.005)
            assert received > len(body)

    run(main())


def test_what_waits_behind_a_handler_is_bounded(serve, eventually) -> None:
    release = asyncio.Event()

    async def waiting(request: Request) -> Response:
        await release.wait()
        return echo(request)

    async def main() -> None:
        async with serve(Server(Routes([("GET", "/x", waiting), ("GET", "/echo", echo)]))) as connect:
            raw = await connect()
            count = 3000  # beyond what we hold
            sending = asyncio.create_task(raw.say(GET % b"x" + GET % b"echo" * count))
            await asyncio.sleep(0.1)
            release.set()
            heard = b""
            while heard.count(b"HTTP/1.1 200 ") < count + 1:
                data = await raw.hear()
                assert data
                heard += data
            await sending

    run(main())


def test_an_upgrade_is_for_the_paths_that_have_one(serve) -> None:
    async def main() -> None:
        opening = GET % b"echo"
        fields = b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 8\r\n"
        async with serve(Server(ROUTES, websockets={"/ws": lambda _: Accept(Endpoint())})) as connect:
            raw = await connect()
            await raw.say(opening.replace(b"\r\n\r\n", b"\r\n" + fields + b"\r\n"))
            assert (await raw.hear()).startswith(b"HTTP/1.1 200 ")
            await raw.say((GET % b"ws").replace(b"\r\n\r\n", b"\r\n" + fields + b"\r\n"))
            answer = await raw.hear()
            assert answer.startswith(b"HTTP/1.1 426 ")
            assert b"Sec-WebSocket-Version: 13\r\n" in answer
            await raw.say(GET % b"ws")
            answer = await raw.hear()
            assert answer.startswith(b"HTTP/1.1 426 ")
            assert b"Upgrade: websocket\r\n" in answer

    run(main())
