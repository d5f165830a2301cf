"""Hostile clients against a server in a process of its own: it drops them by rule, and serves the others meanwhile.

python tests/system/test_wire_hostile.py serve      the server: prints its port, then its counts when told to stop
"""

import asyncio
import json
import os
import resource
import secrets
import select
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from wallet_guard.net import (
    Accept,
    Endpoint,
    Request,
    Response,
    Routes,
    Server,
    ServerLimits,
    WebSocket,
    WebSocketLimits,
)
from wallet_guard.wire.websocket.frames import BINARY, FIN, PONG, TEXT, encode_frame

ROOT = Path(__file__).parents[2]
IDLE_CONNECTIONS = 10_000
MAX_KIB_PER_IDLE_CONNECTION = 4
GET = b"GET /hello HTTP/1.1\r\nHost: h\r\n\r\n"
OPENING = (
    b"GET /ws HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
LIMITS = ServerLimits(
    websocket=WebSocketLimits(ping_seconds=3.0, pong_seconds=6.0, stall_seconds=1.0, max_queued_bytes=1 << 20),
    head_seconds=1.0,
    body_seconds=1.0,
    min_body_rate=1000,
    stall_seconds=1.0,
    idle_seconds=30.0,
    max_connections=IDLE_CONNECTIONS + 500,
    max_connections_per_address=IDLE_CONNECTIONS + 400,
)


class Echo(Endpoint):
    def on_message(self, websocket: WebSocket, data: str | bytes) -> None:
        if isinstance(data, str):
            websocket.send_text(data)
        else:
            websocket.send_binary(data)


async def serve() -> None:
    def hello(request: Request) -> Response:
        return Response(200, request.body or b"hello", "text/plain")

    echo = Echo()
    routes = Routes(
        [("GET", "/hello", hello), ("POST", "/hello", hello), ("GET", "/big", lambda _: Response(200, bytes(8 << 20)))]
    )
    server = Server(routes, websockets={"/ws": lambda _: Accept(echo)}, limits=LIMITS)
    port = await server.listen_tcp("127.0.0.1", 0)
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    print(port, flush=True)
    await stopped.wait()
    await server.stop(2)
    print(json.dumps(server.counts), flush=True)


class Running:
    def __init__(self, process: subprocess.Popen[str], port: int) -> None:
        self.process, self.port = process, port
        self.counts: dict[str, int] = {}

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=10)

    def upgrade(self) -> socket.socket:
        connection = self.connect()
        connection.sendall(OPENING)
        answer = b""
        while not answer.endswith(b"\r\n\r\n"):
            answer += connection.recv(1)
        assert answer.startswith(b"HTTP/1.1 101 ")
        return connection

    def check_alive(self) -> None:
        """A well-behaved client is answered promptly."""
        started = time.monotonic()
        with self.connect() as connection:
            connection.sendall(GET)
            assert connection.recv(4096).endswith(b"hello")
        assert time.monotonic() - started < 2


@contextmanager
def running() -> Iterator[Running]:
    """A server process; once it has stopped, in order, its counts are filled in."""
    command = [sys.executable, __file__, "serve"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdout is not None
        server = Running(process, int(process.stdout.readline()))
        try:
            yield server
            server.check_alive()
        finally:
            process.terminate()
            output, errors = process.communicate(timeout=20)
        assert errors == "", errors
        server.counts = json.loads(output)


def read_to_end(connection: socket.socket) -> bytes:
    answer = b""
    try:
        while data := connection.recv(65536):
            answer += data
    except ConnectionResetError:
        pass
    return answer


def reset(connection: socket.socket) -> None:
    """Ends it by a reset instead of in order."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


@pytest.mark.slow
def test_slow_lorises_are_ended_and_hold_up_nobody() -> None:
    with running() as server:
        heads = [server.connect() for _ in range(50)]
        bodies = [server.connect() for _ in range(50)]
        for body in bodies:
            body.sendall(b"POST /hello HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\n")
        started = time.monotonic()
        alive = set(heads + bodies)
        while alive and time.monotonic() - started < 15:
            for connection in list(alive):
                try:
                    # one byte each 50 ms: 20 a second, far below the minimum rate
                    connection.sendall(b"G" if connection in heads else b"x")
                except OSError:
                    alive.discard(connection)
            server.check_alive()
            time.sleep(0.05)
        assert not alive
        for connection in heads + bodies:
            connection.close()
    assert server.counts["head_seconds"] == 50
    assert server.counts["body_seconds"] == 50


@pytest.mark.slow
def test_a_body_that_keeps_the_rate_is_waited_for() -> None:
    with running() as server, server.connect() as connection:
        connection.sendall(b"POST /hello HTTP/1.1\r\nHost: h\r\nContent-Length: 6000\r\n\r\n")
        for _ in range(6):
            time.sleep(0.4)
            connection.sendall(b"x" * 1000)
        assert connection.recv(100_000).startswith(b"HTTP/1.1 200 ")


@pytest.mark.slow
def test_half_open_connections_are_found_by_the_heartbeat() -> None:
    # to the server, a peer that vanished and one that never answers a ping are the same
    with running() as server:
        silent = [server.upgrade() for _ in range(20)]
        for connection in silent:
            connection.settimeout(20)
            assert read_to_end(connection).startswith(b"\x89\x00")
            connection.close()
    assert server.counts["pong_seconds"] == 20


def test_half_closed_clients_are_gone() -> None:
    with running() as server:
        for say in (b"", GET[:10], b"POST /hello HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhe"):
            with server.connect() as connection:
                connection.sendall(say)
                connection.shutdown(socket.SHUT_WR)
                assert read_to_end(connection) == b""
        with server.upgrade() as connection:
            connection.shutdown(socket.SHUT_WR)
            assert read_to_end(connection) == b""


def test_resets_in_the_middle_of_anything_leave_no_trace() -> None:
    frame = encode_frame(FIN | BINARY, bytes(100_000), b"abcd")
    with running() as server:
        for cut in (1, 5, 6, 10, 50_000, len(frame)):
            for _ in range(20):
                connection = server.upgrade()
                connection.sendall(frame[:cut])
                reset(connection)
        for cut in range(1, len(OPENING), 7):
            connection = server.connect()
            connection.sendall(OPENING[:cut])
            reset(connection)
        for _ in range(20):
            connection = server.connect()
            connection.sendall(b"GET /big HTTP/1.1\r\nHost: h\r\n\r\n")
            connection.recv(1000)
            reset(connection)


@pytest.mark.slow
def test_floods_of_garbage_are_refused() -> None:
    with running() as server:
        for _ in range(100):
            with server.connect() as connection:
                try:
                    for _ in range(20):
                        connection.sendall(secrets.token_bytes(50_000))
                except OSError:
                    pass
            with server.upgrade() as connection:
                try:
                    for _ in range(20):
                        connection.sendall(b"\xff" + secrets.token_bytes(50_000))
                except OSError:
                    pass
        server.check_alive()
    assert server.counts["websocket closed with 1002"] == 100
    assert server.counts["refused with 400"] + server.counts.get("refused with 431", 0) == 100


def test_readers_that_stop_are_dropped() -> None:
    with running() as server:
        slow = []
        for _ in range(5):
            connection = server.connect()
            connection.sendall(b"GET /big HTTP/1.1\r\nHost: h\r\n\r\n" * 3)
            slow.append(connection)
            websocket = server.upgrade()
            websocket.settimeout(0.3)
            with pytest.raises(TimeoutError):
                for _ in range(1000):
                    websocket.sendall(encode_frame(FIN | BINARY, bytes(60_000), b"abcd"))
            slow.append(websocket)
        time.sleep(3)
        server.check_alive()
        for connection in slow:
            connection.close()
    assert server.counts["stall_seconds"] + server.counts.get("max_queued_bytes", 0) == 10


def resident_kib(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS")).split()[1])


@pytest.mark.slow
def test_ten_thousand_idle_websockets() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = IDLE_CONNECTIONS + 600
    if hard < wanted:
        pytest.skip(f"IDLE CONNECTIONS NOT TESTED: at most {hard} open files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    try:
        with running() as server:
            with server.upgrade(), select.epoll() as poll:
                before = resident_kib(server.process.pid)
                connections: dict[int, socket.socket] = {}
                for _ in range(IDLE_CONNECTIONS):
                    connection = server.upgrade()
                    connections[connection.fileno()] = connection
                    poll.register(connection, select.EPOLLIN)
                    if len(connections) % 100 == 0:
                        answer_pings(poll, connections, 0)
                each = (resident_kib(server.process.pid) - before) / IDLE_CONNECTIONS
                end = time.monotonic() + 8
                answered = 0
                while time.monotonic() < end:
                    answered += answer_pings(poll, connections, 0.1)
                assert answered > IDLE_CONNECTIONS
                for connection in list(connections.values())[::500]:
                    connection.setblocking(True)
                    connection.sendall(encode_frame(FIN | TEXT, b"still here", b"abcd"))
                    answer = b""
                    while b"still here" not in answer:  # a ping may come before it
                        more = connection.recv(100)
                        assert more
                        answer += more
                server.check_alive()
                for connection in connections.values():
                    connection.close()
            assert each < MAX_KIB_PER_IDLE_CONNECTION
        assert server.counts.get("pong_seconds", 0) <= 1
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def answer_pings(poll: select.epoll, connections: dict[int, socket.socket], seconds: float) -> int:
    """The number of pings that came and were answered."""
    answered = 0
    for number, _ in poll.poll(seconds):
        data = connections[number].recv(4096)
        assert data, "an idle connection was ended"
        for _ in range(data.count(b"\x89\x00")):
            connections[number].sendall(encode_frame(FIN | PONG, b"", b"abcd"))
            answered += 1
    return answered


if __name__ == "__main__":
    asyncio.run(serve())
