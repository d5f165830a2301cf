"""A scripted signer and a real gateway in front of it."""

import contextlib
import dataclasses
import http.client
import json
import os
import queue
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from wallet_guard.ipc.answers import Refusal
from wallet_guard.ipc.health import HealthView
from wallet_guard.ipc.intents import IntentView, State
from wallet_guard.ipc.packets import PacketReader, encode_packet
from wallet_guard.ipc.questions import GATEWAY
from wallet_guard.ipc.records import from_json, to_json

TOKEN = "a-token-of-43-characters-like-the-signer-ma"


def view_of(state=State.ACCEPTED, version=1, **changes):
    now_ms = time.time_ns() // 1_000_000
    view = IntentView(
        intent="intent-1",
        client="validator-node",
        state=State(state),
        version=version,
        wallet="validator",
        hotkey="default",
        netuid=2,
        mechid=0,
        accepted_ms=now_ms,
        deadline_ms=now_ms + 300_000,
        not_before_ms=None,
        not_before_block=None,
        call=None,
        weights=None,
        nonce=None,
        reveal_round=None,
        extrinsic_hash=None,
        block_hash=None,
        block_number=None,
        failure=None,
        trouble="",
    )
    return dataclasses.replace(view, **changes)


HEALTHY = HealthView(
    version="0", keys=1, clients=1, open_intents=0, journal_error="", runtime=461, chain_trouble="", chain_seconds=1.0
)


class FakeSigner:
    """Answers by ``script[ask]``, a function of the question; None leaves it without an answer."""

    def __init__(self, path):
        self.path = path
        self.script = {"health": lambda _: HEALTHY}
        self.asked = queue.Queue()
        self._connections = []
        self._listener = None
        self.start()

    def start(self):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.path)
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self.path))
        self._listener.listen()
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def stop(self):
        # shutdown wakes the thread in accept, close alone does not.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()

    def cut(self):
        """Breaks the gateway's connection."""
        for connection in self._connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self._connections.clear()

    def tell(self, view):
        for connection in self._connections:
            connection.sendall(encode_packet({"event": "intent", "body": to_json(view)}))

    def next_asked(self, kind):
        """The next question of this kind, the others passed over."""
        while True:
            question = self.asked.get(timeout=5)
            if question.ask == kind:
                return question

    def _accept(self, listener):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                self._connections.append(connection)
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        reader = PacketReader()
        with contextlib.suppress(OSError), connection:
            while data := connection.recv(1 << 16):
                for packet in reader.feed(data):
                    question = from_json(GATEWAY[packet["ask"]], packet["body"])
                    self.asked.put(question)
                    answer = self.script[question.ask](question)
                    if answer is not None:
                        kind = "refusal" if isinstance(answer, Refusal) else "answer"
                        connection.sendall(encode_packet({"id": packet["id"], kind: to_json(answer)}))


class Gateway:
    """The process, its two doors and its log."""

    def __init__(self, folder, environment=(), keys=""):
        self.config = folder / "wallet-guard.toml"
        self.config.write_text(
            f'run = "{folder}"\n[signer]\nstate = "{folder}/state"\n[chain]\nnetwork = "local"\n'
            f'[gateway]\ntcp = ["127.0.0.1:0"]\n{keys}'
        )
        self.unix = folder / "gateway.sock"
        self._log = folder / "gateway.log"
        with self._log.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "wallet_guard.gateway", "--config", str(self.config)],
                stderr=log,
                env={**os.environ, **dict(environment)},
            )
        try:
            self.tcp_port = self._find_port()
        except BaseException:
            self.stop()
            raise

    @property
    def log(self):
        return self._log.read_text()

    def _find_port(self):
        ends = time.monotonic() + 10
        while time.monotonic() < ends and self.process.poll() is None:
            found = re.search(r"listening on .*127\.0\.0\.1:(\d+)", self.log)
            if found:
                return int(found[1])
            time.sleep(0.02)
        raise AssertionError(f"the gateway did not start: {self.log}")

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=5)

    def connect(self, door="unix"):
        if door == "tcp":
            return http.client.HTTPConnection("127.0.0.1", self.tcp_port, timeout=10)
        connection = http.client.HTTPConnection("localhost", timeout=10)
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.settimeout(10)
        connection.sock.connect(str(self.unix))
        return connection

    def ask(self, method, path, body=None, *, door="unix", headers=()):
        """(status, headers, JSON content)."""
        connection = self.connect(door)
        with contextlib.closing(connection):
            connection.request(method, path, body, dict(headers))
            response = connection.getresponse()
            content = response.read()
            return response.status, response.headers, json.loads(content) if content else None

    def set_weights(self, body=None, *, token=TOKEN, door="unix", headers=(), **transaction):
        """POST /wallet/set_weights with the seed's body, or another."""
        if body is None:
            seed = {"netuid": 2, "uids": [1, 2, 3], "weights": [100, 200, 300], "version_key": 1}
            body = {"wallet_name": "validator", "hotkey_name": "default", "transaction_data": seed | transaction}
        if not isinstance(body, bytes):
            body = json.dumps(body).encode()
        fields = {"Content-Type": "application/json", "Authorization": f"Bearer {token}", **dict(headers)}
        fields = {name: value for name, value in fields.items() if value is not None}
        return self.ask("POST", "/wallet/set_weights", body, door=door, headers=fields)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("g")


@pytest.fixture(scope="module")
def signer(folder):
    signer = FakeSigner(folder / "signer-gateway.sock")
    yield signer
    signer.stop()


@pytest.fixture(scope="module")
def gateway(folder, signer):
    gateway = Gateway(Path(folder))
    yield gateway
    gateway.stop()
    assert TOKEN not in gateway.log
    assert "bug" not in gateway.log
    assert "Traceback" not in gateway.log


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """A gateway whose figures can be read, and its scripted signer."""
    folder = tmp_path_factory.mktemp("m")
    signer = FakeSigner(folder / "signer-gateway.sock")
    gateway = Gateway(folder, keys='metrics = "127.0.0.1:0"\n')
    yield gateway, signer
    gateway.stop()
    signer.stop()
    assert "Traceback" not in gateway.log


@pytest.fixture
def new_view():
    """Makes an intent's view."""
    return view_of


@pytest.fixture
def new_signer():
    """Makes scripted signers that end with the test."""
    with contextlib.ExitStack() as stack:

        def make(path):
            signer = FakeSigner(path)
            stack.callback(signer.stop)
            return signer

        yield make


@pytest.fixture
def new_gateway():
    """Makes gateways that end with the test."""
    with contextlib.ExitStack() as stack:

        def make(folder, environment=()):
            gateway = Gateway(folder, environment)
            stack.callback(gateway.stop)
            return gateway

        yield make
