"""Whatever comes, cut however, ends in the same events or the same one refusal, within the ceilings; in nothing else.

One harness per parser, seeds are the vectors. In the test run a bounded number of inputs from a fixed seed; by hand as
long as wished, with atheris where it is installed (coverage-guided) and the mutator of this file otherwise:

    python tests/wire/test_fuzz.py [SECONDS] [http1_requests|http1_responses|websocket_server|websocket_client]
"""

import contextlib
import inspect
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from wallet_guard.wire.errors import HttpError
from wallet_guard.wire.http1.client import ResponseParser
from wallet_guard.wire.http1.head import HeadCache, Limits
from wallet_guard.wire.http1.server import RequestParser
from wallet_guard.wire.websocket.machine import CLOSED, Machine
from wallet_guard.wire.websocket.machine import Limits as MessageLimits

VECTORS = Path(__file__).parents[1] / "vectors" / "wire"
HTTP_LIMITS = Limits(512, 20, 100, 300, 100, 50)
MESSAGE_LIMITS = MessageLimits(300, 200, 5, 8)
BOUNDED_RUNS = 3000
CHUNKED = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\nX: y\r\n\r\n"
GOOD = {
    "http1_requests": [
        b"GET /a?b HTTP/1.1\r\nHost: a\r\n\r\n",
        b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
        CHUNKED,
        CHUNKED + b"GET / HTTP/1.0\r\n\r\n",
    ],
    "http1_responses": [
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        b"HTTP/1.0 200 OK\r\n\r\nhello",
    ],
    "websocket_server": [
        bytes.fromhex("818537fa213d7f9f4d5158"),
        bytes.fromhex("018237fa213d569e 898037fa213d 808137fa213d56 888237fa213d3412"),
    ],
    "websocket_client": [bytes.fromhex("810548656c6c6f"), bytes.fromhex("0103c3a461 8a00 800162 880203e8")],
}


def read_requests(pieces: list[bytes]) -> list[object]:
    parser = RequestParser(HeadCache(HTTP_LIMITS))
    events: list[object] = []
    try:
        for piece in pieces:
            parser.receive(piece)
            while (request := parser.next_request()) is not None:
                assert len(request.body) <= HTTP_LIMITS.max_body_bytes
                assert request.head.path.startswith("/") or request.head.path == "*"
                events.append(request)
            assert parser.buffered <= HTTP_LIMITS.max_head_bytes + 4
    except HttpError as error:
        events.append((error.status, error.reason))
    return events


def read_responses(pieces: list[bytes]) -> list[object]:
    parser = ResponseParser(HTTP_LIMITS)
    events: list[object] = []
    parser.begin("GET")
    try:
        for piece in pieces:
            parser.receive(piece)
            response = parser.next_response()
            if response is not None:
                assert len(response.body) <= HTTP_LIMITS.max_body_bytes
                events.append(response)
        parser.receive_eof()
        events.append(parser.next_response())
        events.append(parser.next_response())
    except HttpError as error:
        events.append((error.status, error.reason))
    return [event for event in events if event is not None]


class Log:
    def __init__(self) -> None:
        self.events: list[object] = []

    def on_message(self, data: str | bytes) -> None:
        assert len(data) <= MESSAGE_LIMITS.max_message_bytes
        self.events.append(data)

    def on_ping(self, payload: bytes) -> None:
        assert len(payload) <= 125
        self.events.append(("ping", payload))

    def on_pong(self, payload: bytes) -> None:
        self.events.append(("pong", payload))

    def on_close(self, code: int, reason: str) -> None:
        self.events.append(("close", code, reason))


def read_frames(pieces: list[bytes], new_key: Callable[[], bytes] | None = None) -> list[object]:
    log = Log()
    machine = Machine(log, MESSAGE_LIMITS, new_key)
    for piece in pieces:
        machine.receive(piece)
    machine.receive_eof()
    assert machine.state == CLOSED
    assert sum(isinstance(event, tuple) and event[0] == "close" for event in log.events) == 1
    return [*log.events, b"".join(machine.outgoing)]


READERS: dict[str, Callable[[list[bytes]], list[object]]] = {
    "http1_requests": read_requests,
    "http1_responses": read_responses,
    "websocket_server": read_frames,
    "websocket_client": lambda pieces: read_frames(pieces, lambda: b"\x00\x01\x02\x03"),
}


def check(name: str, data: bytes) -> None:
    """The invariant of the first line."""
    read = READERS[name]
    whole = read([data])
    assert read([data[index : index + 1] for index in range(len(data))]) == whole, data
    middle = len(data) // 2
    assert read([data[:middle], data[middle:]]) == whole, data


def seeds(name: str) -> list[bytes]:
    """The vectors that are short enough, and some input that is in order."""
    found = list(GOOD[name])
    for path in sorted((VECTORS / name).glob("*.txt")):
        lines = path.read_text().splitlines()[3:]
        if name.startswith("websocket"):
            data = bytes.fromhex("".join(lines))
        else:
            data = "".join(lines).encode("ascii").decode("unicode_escape").encode("latin-1")
        if len(data) <= 400:
            found.append(data)
    return found


SPICE = (
    b"\r\n",
    b"\r",
    b"\n",
    b"\x00",
    b" ",
    b":",
    b"0\r\n\r\n",
    b"Content-Length: 1\r\n",
    b"\xff",
    b"\x80\x80",
    b"\x7f",
)


def mutate(source: random.Random, corpus: list[bytes]) -> bytes:
    """One of the corpus, with up to five changes."""
    data = bytearray(source.choice(corpus))
    for _ in range(source.randrange(6)):
        at = source.randrange(len(data) + 1)
        match source.randrange(6):
            case 0 if at < len(data):
                data[at] ^= 1 << source.randrange(8)
            case 1 if at < len(data):
                data[at] = source.randrange(256)
            case 2:
                del data[at : at + source.randrange(1, 9)]
            case 3:
                data[at:at] = source.choice(SPICE)
            case 4:
                other = source.choice(corpus)
                data[at:] = other[source.randrange(len(other) + 1) :]
            case _:
                data[at:at] = data[at : at + source.randrange(1, 20)]
    return bytes(data[:2000])


@pytest.mark.parametrize("name", READERS)
def test_mutated_vectors_keep_the_invariant(name: str) -> None:
    source, corpus = random.Random(6455), seeds(name)
    for data in corpus:
        check(name, data)
    for _ in range(BOUNDED_RUNS):
        check(name, mutate(source, corpus))


def fuzz_with_atheris(name: str, seconds: int) -> None:
    """Does not return: libFuzzer ends the process, with its figures on stderr."""
    import atheris

    for module in [module for key, module in sys.modules.items() if key.startswith("wallet_guard.wire")]:
        for owner in [module, *filter(inspect.isclass, vars(module).values())]:
            for function in filter(inspect.isfunction, vars(owner).values()):
                if function.__module__ == module.__name__:
                    atheris.instrument_func(function)
    with tempfile.TemporaryDirectory() as folder:
        for index, data in enumerate(seeds(name)):
            (Path(folder) / str(index)).write_bytes(data)
        options = [f"-max_total_time={seconds}", "-max_len=2000", "-print_final_stats=1", "-verbosity=0", folder]
        atheris.Setup([sys.argv[0], *options], lambda data: check(name, data))
        atheris.Fuzz()


def fuzz_with_our_mutator(name: str, seconds: int) -> int:
    """The number of inputs that broke the invariant."""
    source, corpus, runs, failures = random.Random(time.time_ns()), seeds(name), 0, 0
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        data = mutate(source, corpus)
        runs += 1
        try:
            check(name, data)
        except Exception as error:
            failures += 1
            print(f"{name}: {error!r} for {data!r}")
    print(f"{name}: {runs} executions of {seconds} s, {failures} failures", flush=True)
    return failures


def main() -> int:
    """One parser in this process, or all of them one after the other."""
    seconds = int(sys.argv[1]) if len(sys.argv) > 1 else 60
    if len(sys.argv) < 3:
        runs = [subprocess.run([sys.executable, __file__, str(seconds), name], check=False) for name in READERS]
        return max(run.returncode for run in runs)
    with contextlib.suppress(ImportError):
        fuzz_with_atheris(sys.argv[2], seconds)
    return int(fuzz_with_our_mutator(sys.argv[2], seconds) > 0)


if __name__ == "__main__":
    sys.exit(main())
