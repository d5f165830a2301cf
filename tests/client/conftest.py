"""A wallet service that follows a script, one step per request."""

import asyncio
import contextlib
import json
import socket
import ssl
import threading
from http.client import HTTPMessage, parse_headers
from io import BytesIO
from typing import NamedTuple

import pytest

from wallet_guard.client import AsyncWalletService, WalletService

TOKEN = "a-token-of-43-characters-like-the-signer-ma"

SUCCESS = {
    "success": True,
    "message": "weights for netuid 2 handed to the chain",
    "intent": "i1",
    "state": "submitted",
    "final": False,
    "submitted": "yes",
    "call": "set_weights",
    "extrinsic_hash": "0xab",
    "block_hash": None,
    "block_number": None,
}


class Seen(NamedTuple):
    """A request that arrived."""

    line: str
    fields: HTTPMessage
    body: bytes
    connection: int

    @property
    def content(self):
        return json.loads(self.body)


CUT = object()
"""A step: close the connection instead of answering."""

SILENCE = object()
"""A step: keep the connection and say nothing."""


def answer(content, status=200, fields=(), raw=None):
    """The bytes of a response."""
    body = raw if raw is not None else json.dumps(content).encode()
    lines = [f"HTTP/1.1 {status} x", f"Content-Length: {len(body)}", *(f"{name}: {value}" for name, value in fields)]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def failure(code, status, **content):
    """The bytes of a failed answer."""
    error = {"code": code, "message": f"{code} happened", "hint": "do this"}
    return answer({"success": False, "message": error["message"], "error": error} | content, status)


class ScriptedService:
    """Answers the n-th request by the n-th step; the last step repeats."""

    def __init__(self, listener, tls=None):
        self.steps = [answer(SUCCESS)]
        self.seen = []
        self.connections = 0
        self._listener = listener
        self._tls = tls
        self._open = []
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in self._open:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self.connections += 1
                threading.Thread(target=self._serve, args=(connection, self.connections), daemon=True).start()

    def _serve(self, connection, number):
        with contextlib.suppress(OSError, ssl.SSLError):
            if self._tls is not None:
                connection = self._tls.wrap_socket(connection, server_side=True)
            self._open.append(connection)
            with connection, connection.makefile("rb") as stream:
                while line := stream.readline():
                    fields = parse_headers(BytesIO(b"".join(iter(stream.readline, b"\r\n")) + b"\r\n"))
                    body = stream.read(int(fields.get("Content-Length", 0)))
                    self.seen.append(Seen(line.decode().strip(), fields, body, number))
                    step = self.steps.pop(0) if len(self.steps) > 1 else self.steps[0]
                    if step is CUT:
                        connection.shutdown(socket.SHUT_RDWR)
                        return
                    if step is not SILENCE:
                        connection.sendall(step)


@pytest.fixture
def unix_service(tmp_path):
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / "s.sock"))
    listener.listen()
    service = ScriptedService(listener)
    service.url = f"unix://{tmp_path}/s.sock"
    yield service
    service.close()


@pytest.fixture
def tcp_service():
    service = ScriptedService(socket.create_server(("127.0.0.1", 0)))
    service.url = f"http://127.0.0.1:{service._listener.getsockname()[1]}"
    yield service
    service.close()


class _Together:
    """An asyncio client that is used like the blocking one."""

    def __init__(self, service):
        self._service = service

    def __getattr__(self, name):
        method = getattr(self._service, name)
        return lambda *arguments, **keywords: asyncio.run(method(*arguments, **keywords))


@pytest.fixture(params=["blocking", "asyncio"])
def connect(request):
    """Makes a client of either kind, to be used like the blocking one."""
    with contextlib.ExitStack() as stack:

        def make(url, token=TOKEN, **keywords):
            keywords.setdefault("wallet_name", "validator")
            if request.param == "asyncio":
                return _Together(AsyncWalletService(url, token, **keywords))
            return stack.enter_context(WalletService(url, token, **keywords))

        yield make


@pytest.fixture
def say():
    """What steps are made of: ``say.answer``, ``say.failure``, ``say.CUT``, ``say.SILENCE``, ``say.SUCCESS``."""

    class Say:
        pass

    Say.answer, Say.failure = staticmethod(answer), staticmethod(failure)
    Say.CUT, Say.SILENCE, Say.SUCCESS = CUT, SILENCE, SUCCESS
    return Say


@pytest.fixture
def serve_tls():
    """Makes TLS services from a context."""
    with contextlib.ExitStack() as stack:

        def make(context):
            service = ScriptedService(socket.create_server(("127.0.0.1", 0)), context)
            service.url = f"https://localhost:{service._listener.getsockname()[1]}"
            stack.callback(service.close)
            return service

        yield make
