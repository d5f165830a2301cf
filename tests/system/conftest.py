"""Real processes for the system tests: an embedded chain, and a guard whose processes start, die and start again.

``make_house`` gives both at once; everything ends with the module, by pid. Waits are by event or by looking again
until a generous deadline, never by sleeping a fixed time: the machine may be busy.
"""

import contextlib
import http.client
import itertools
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import bittensor_core
import pytest
from websockets.sync.client import connect

from wallet_guard.ipc.blocking import RefusedError, ask
from wallet_guard.ipc.clients import ClientAdd
from wallet_guard.ipc.health import Health
from wallet_guard.ipc.intents import IntentView, Show, State
from wallet_guard.ipc.packets import PacketReader
from wallet_guard.ipc.records import from_json

SECONDS = 60.0
"""For anything at all: ten times what a busy machine needs."""

NAMES = ("signer", "chain", "gateway")

ALL_NAMES = (*NAMES, "hub")
"""With what runs only where a test starts it."""

READY = re.compile(r"devnet ready on (ws://\S+:\d+) genesis (0x[0-9a-f]{64})\n")

BUG = re.compile(r"Traceback|\[\w+ at \w+\.py:\d+|bug while", re.ASCII)
"""What a process's log shows where something went wrong that nobody foresaw."""


def environment(folder: Path) -> dict[str, str]:
    """Ours, without a setting of the developer's own, and with every cache in the test's folder."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("BT_", "WALLET_", "LISTEN_"))}
    return kept | {"HOME": str(folder), "BITTENSOR_RUNTIME_CACHE_DIR": str(folder / "cache")}


def wait_until(truth: Callable[[], Any], what: str, seconds: float = SECONDS) -> Any:
    """The first true value of ``truth()``."""
    ends = time.monotonic() + seconds
    while True:
        found = truth()
        if found:
            return found
        assert time.monotonic() < ends, f"{what} did not happen within {seconds:g} s"
        time.sleep(0.01)


class Program:
    """One process, its log in a file."""

    def __init__(self, folder: Path, name: str, command: list[str], **changed: str) -> None:
        self.log_path = folder / f"{name}.log"
        with self.log_path.open("a") as log:
            self.process = subprocess.Popen(
                command,
                env=environment(folder) | changed,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )

    @property
    def pid(self) -> int:
        return self.process.pid

    def log(self) -> str:
        return self.log_path.read_text()

    def end(self, number: int = signal.SIGTERM, seconds: float = SECONDS) -> int:
        """The exit status, after that signal."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            return self.process.wait(seconds)
        finally:
            if self.process.poll() is None:
                self.process.kill()
                self.process.wait(SECONDS)
            if self.process.stdout is not None:
                self.process.stdout.close()


class Devnet:
    """An embedded chain in a process of its own. Calling it asks one JSON-RPC question."""

    def __init__(self, folder: Path, *options: str) -> None:
        command = [sys.executable, "-m", "wallet_guard.devnet", "--listen", "127.0.0.1:0", *options]
        self.program = Program(folder, "devnet", command)
        assert self.program.process.stdout is not None
        ready = READY.fullmatch(self.program.process.stdout.readline())
        assert ready, self.program.log()
        self.url, self.genesis = ready[1], ready[2]
        self._connection = connect(self.url, max_size=1 << 24, open_timeout=SECONDS, close_timeout=1)
        self._ids = itertools.count()

    def __call__(self, method: str, *params: Any) -> Any:
        number = next(self._ids)
        self._connection.send(json.dumps({"jsonrpc": "2.0", "id": number, "method": method, "params": params}))
        while True:
            message = json.loads(self._connection.recv(timeout=SECONDS))
            if message.get("id") == number:
                assert "error" not in message, (method, params, message["error"])
                return message["result"]

    def end(self) -> None:
        self._connection.close()
        assert self.program.end() == 0
        assert self.program.log() == ""

    def fault(self, kind: str, **fields: Any) -> int:
        return self("devnet_fault", {"kind": kind, **fields})

    def heal(self) -> None:
        self("devnet_heal")

    def put(self, item: str, keys: list[Any], value: Any) -> None:
        """Sets a storage item of SubtensorModule; makes a block."""
        self("devnet_set", [{"item": item, "keys": keys, "value": value}])

    def extrinsics(self, signer: str | None = None) -> list[dict[str, Any]]:
        """Everything the pool ever took, or what one hotkey signed of it."""
        return [found for found in self("devnet_extrinsics") if signer in (None, found["signer"])]

    def row(self, netuid: int, uid: int, mechid: int = 0) -> dict[int, int]:
        """The weights that stand on the chain: target to u16."""
        rows = self("devnet_weights", netuid, mechid)
        return dict(rows.get(str(uid), []))

    @property
    def block(self) -> int:
        return self("devnet_info")["best"]["number"]


class Answer(NamedTuple):
    """An HTTP answer."""

    status: int
    fields: dict[str, str]
    body: dict[str, Any]

    @property
    def code(self) -> str:
        return self.body["error"]["code"]


class Observer:
    """Listens to what the signer tells gateways: every change of every intent, as it becomes durable."""

    def __init__(self, path: str) -> None:
        self.seen: list[IntentView] = []
        self._path = path
        self._news = threading.Condition()
        self._actions: list[tuple[State, int, Callable[[], None], threading.Event]] = []
        self._ended = threading.Event()
        self._listening = threading.Event()
        self._thread = threading.Thread(target=self._listen)

    def __enter__(self) -> "Observer":
        self._thread.start()
        assert self._listening.wait(SECONDS)
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join(SECONDS)

    def at(self, state: str, netuid: int, action: Callable[[], None]) -> threading.Event:
        """Does ``action`` at once when an intent for that subnet is first told to be in that state."""
        done = threading.Event()
        with self._news:
            self._actions.append((State(state), netuid, action, done))
        return done

    def wait_for(self, state: str, netuid: int, seconds: float = SECONDS) -> IntentView:
        """The first news of an intent for that subnet in that state, past or to come."""

        def find() -> IntentView | None:
            return next((view for view in self.seen if view.state == state and view.netuid == netuid), None)

        with self._news:
            assert self._news.wait_for(find, seconds), f"no {state} on subnet {netuid} within {seconds:g} s"
            found = find()
        assert found is not None
        return found

    def _listen(self) -> None:
        while not self._ended.is_set():
            with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
                connection.connect(self._path)
                connection.settimeout(0.1)
                self._listening.set()
                self._read(connection)
            self._ended.wait(0.02)

    def _read(self, connection: socket.socket) -> None:
        reader = PacketReader()
        while not self._ended.is_set():
            with contextlib.suppress(TimeoutError):
                data = connection.recv(1 << 16)
                if not data:
                    return
                for message in reader.feed(data):
                    if message.get("event") == "intent":
                        self._take(from_json(IntentView, message["body"]))

    def _take(self, view: IntentView) -> None:
        with self._news:
            due = [each for each in self._actions if each[:2] == (view.state, view.netuid)]
            for each in due:
                self._actions.remove(each)
                each[2]()
                each[3].set()
            self.seen.append(view)
            self._news.notify_all()


class Guard:
    """A guard: wallet, configuration, and three processes that start and end one by one.

    ``signer`` and ``chain`` are keys of those sections of the configuration.
    """

    wallet, hotkey = "validator", "default"

    def __init__(self, folder: Path, address: str, urls: list[str], genesis: str, **settings: Any) -> None:
        self.folder = folder
        self.address = address
        self.programs: dict[str, Program] = {}
        self.token = ""
        self.statuses: dict[str, int] = {}
        self.config = folder / "wallet-guard.toml"
        self.run = folder / "run"
        for private in (self.run, folder / "state"):
            private.mkdir(mode=0o700)
        self.config.write_text(_config(folder, urls, genesis, settings))
        self._keys = itertools.count()

    @property
    def client_socket(self) -> str:
        return str(self.run / "gateway.sock")

    def signer_socket(self, name: str) -> str:
        return str(self.run / f"signer-{name}.sock")

    # Life and death ------------------------------------------------------------------------------------------------

    def start(self, *names: str) -> None:
        """Starts these processes (all, if none is named), each ready before the next."""
        for name in names or NAMES:
            command = [sys.executable, "-m", f"wallet_guard.{name}", "--config", str(self.config)]
            command += ["--development"] if name == "signer" else []
            # Gone once the process is ready: the signer's signs of life would fill it, and then wait.
            path = self.folder / "notify"
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notified:
                notified.bind(str(path))
                self.programs[name] = Program(self.folder, name, command, NOTIFY_SOCKET=str(path))
                # The chain process is ready once it has met the signer.
                if name != "chain" or self.alive("signer"):
                    self._wait_ready(name, notified)
            path.unlink()

    def _wait_ready(self, name: str, notified: socket.socket) -> None:
        notified.settimeout(0.1)
        ends = time.monotonic() + SECONDS
        while True:
            with contextlib.suppress(TimeoutError):
                if b"READY=1" in notified.recv(4096):
                    return
            assert self.alive(name), f"{name} ended: {self.log(name)[-2000:]}"
            assert time.monotonic() < ends, f"{name} is not ready: {self.log(name)[-2000:]}"

    def alive(self, name: str) -> bool:
        return name in self.programs and self.programs[name].process.poll() is None

    def shoot(self, *names: str) -> None:
        """SIGKILL, at once, for all of these; returns before they are gone."""
        for name in names:
            self.programs[name].process.kill()

    def kill(self, *names: str) -> None:
        """SIGKILL; returns when they are gone."""
        self.shoot(*names)
        for name in names:
            self.programs[name].end(signal.SIGKILL)

    def restart(self, *names: str) -> None:
        """After ``shoot``: once they are gone, starts them again, each before what depends on it."""
        self.kill(*names)
        self.start(*[name for name in ALL_NAMES if name in names])

    def end(self) -> None:
        for name in reversed(ALL_NAMES):
            if name in self.programs:
                self.statuses[name] = self.programs[name].end(signal.SIGTERM)

    def log(self, name: str) -> str:
        return self.programs[name].log()

    # As a client ---------------------------------------------------------------------------------------------------

    def add_client(self, name: str = "node", netuids: tuple[int, ...] | None = None, per_hour: int = 10_000) -> str:
        question = ClientAdd(name, self.wallet, self.hotkey, ("set_weights",), netuids, per_hour, None)
        return ask(self.signer_socket("admin"), question).token

    def request(
        self, method: str, path: str, body: Any = None, *, key: str | None = None, token: str | None = None
    ) -> Answer:
        """One request over the Unix socket. Raises: OSError, HTTPException where there is no whole answer."""
        fields = {"Authorization": f"Bearer {token or self.token}", "Content-Type": "application/json"}
        if key is not None:
            fields["Idempotency-Key"] = key
        connection = http.client.HTTPConnection("localhost")
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as unix:
            unix.settimeout(SECONDS)
            unix.connect(self.client_socket)
            connection.sock = unix
            connection.request(method, path, None if body is None else json.dumps(body), fields)
            answer = connection.getresponse()
            return Answer(answer.status, dict(answer.getheaders()), json.loads(answer.read()))

    def set_weights(self, netuid: int = 2, key: str | None = None, **changed: Any) -> Answer:
        """The seed's body, for another subnet or with other fields where those are given; None leaves one out."""
        data = {"netuid": netuid, "uids": [1, 2, 3], "weights": [100, 200, 300]} | changed
        data = {name: value for name, value in data.items() if value is not None}
        body = {"wallet_name": self.wallet, "hotkey_name": self.hotkey, "transaction_data": data}
        return self.request("POST", "/wallet/set_weights", body, key=key)

    def insist(self, netuid: int = 2, key: str | None = None, **changed: Any) -> Answer:
        """As a client does that retries: the first answer that is 200 or cannot get better."""
        key = key or f"insist-{next(self._keys)}"

        def attempt() -> Answer | None:
            with contextlib.suppress(OSError, http.client.HTTPException, json.JSONDecodeError):
                answer = self.set_weights(netuid, key, **changed)
                if answer.status == 200 or answer.body.get("final"):
                    return answer
            return None

        return wait_until(attempt, f"an answer to {key}")

    def view(self, intent: str) -> IntentView:
        """How an intent fares, asked of the signer itself."""
        return ask(self.signer_socket("gateway"), Show(self.token, intent))

    def wait(self, intent: str, *states: str, seconds: float = SECONDS) -> IntentView:
        """Its view once it is in one of these states; another state that is final is a failure."""

        def look() -> IntentView | None:
            with contextlib.suppress(OSError, RefusedError):
                view = self.view(intent)
                final = view.state in ("effective", "failed", "expired")
                assert not final or view.state in states, f"expected {states}, found {view}"
                return view if view.state in states else None
            return None

        return wait_until(look, f"intent {intent} {' or '.join(states)}", seconds)

    def health(self) -> Any:
        return ask(self.signer_socket("gateway"), Health())

    def connected(self) -> bool:
        """Does the chain process reach its endpoint, by the signer's word, and does the signer know a runtime?"""
        health = self.health()
        return health.chain_trouble == "" and health.chain_seconds is not None and health.runtime is not None

    def observe(self) -> Observer:
        return Observer(self.signer_socket("gateway"))

    def audit(self) -> str:
        """What ``wallet-guard audit verify`` prints; it must end well."""
        command = [sys.executable, "-m", "wallet_guard.cli.main", "audit", "verify", "--config", str(self.config)]
        done = subprocess.run(
            command, env=environment(self.folder), capture_output=True, text=True, timeout=SECONDS, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


def _config(folder: Path, urls: list[str], genesis: str, settings: dict[str, Any]) -> str:
    signer = {"state": str(folder / "state"), "wallets": str(folder / "wallets"), "hotkeys": ["validator/default"]}
    # The longest era: on a chain of quick blocks a restart must not outlast it.
    signer |= {"era_blocks": 128} | settings.get("signer", {})
    chain = {"network": "local", "endpoints": urls, "genesis": genesis} | settings.get("chain", {})
    sections = {"signer": signer, "chain": chain, "gateway": {"tcp": []} | settings.get("gateway", {})}
    sections |= {"hub": settings["hub"]} if "hub" in settings else {}
    lines = [f"run = {json.dumps(str(folder / 'run'))}"]
    for name, section in sections.items():
        # JSON's strings, numbers, booleans and lists of strings are TOML's.
        lines += [f"[{name}]", *(f"{key} = {json.dumps(value)}" for key, value in section.items())]
    return "\n".join(lines) + "\n"


def make_hotkey(folder: Path, wallet: str = "validator", hotkey: str = "default") -> str:
    """A new hotkey in a wallet's folder, with the right modes; its address."""
    pair = bittensor_core.Keypair.create_from_mnemonic(bittensor_core.Keypair.generate_mnemonic())
    hotkeys = folder / "wallets" / wallet / "hotkeys"
    for private in (folder / "wallets", folder / "wallets" / wallet, hotkeys):
        private.mkdir(mode=0o700, exist_ok=True)
    with open(os.open(hotkeys / hotkey, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as keyfile:
        keyfile.write(bytes(bittensor_core.serialized_keypair_to_keyfile_data(pair)))
    return str(pair.ss58_address)


class House(NamedTuple):
    """A chain, a guard on it, and the address of a second validator whose key is in wallet ``other``."""

    devnet: Devnet
    guard: Guard
    other: str


@pytest.fixture(scope="module")
def make_house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., House]]:
    """``make_house(*devnet_options, block_time=0.25, start=True, **settings)``."""
    with contextlib.ExitStack() as stack:

        def make(*options: str, block_time: float = 0.25, start: bool = True, **settings: Any) -> House:
            # A short path: a Unix socket's has room for 107 bytes.
            folder = tmp_path_factory.mktemp("h")
            address, other = make_hotkey(folder), make_hotkey(folder, "other")
            devnet = Devnet(
                folder, "--block-time", str(block_time), "--validator", address, "--validator", other, *options
            )
            stack.callback(devnet.end)
            settings["chain"] = {"block_time_seconds": block_time} | settings.get("chain", {})
            guard = Guard(folder, address, [devnet.url], devnet.genesis, **settings)
            stack.callback(_end_guard, guard)
            if start:
                guard.start()
                guard.token = guard.add_client()
                wait_until(guard.connected, "the guard's connection to the chain")
            return House(devnet, guard, other)

        yield make


def _end_guard(guard: Guard) -> None:
    guard.end()
    for name, program in guard.programs.items():
        assert not BUG.search(program.log()), f"{name}: {program.log()[-4000:]}"


@pytest.fixture(scope="session")
def until() -> Callable[..., Any]:
    """``until(truth, what, seconds)``: looks again until it is true."""
    return wait_until


@pytest.fixture(scope="session")
def sdk_environment(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """``sdk_environment("bittensor==10.5.0", …)``: the Python of an environment with these and our client; made once.

    Skips where the registry has no such release.
    """
    made: dict[tuple[str, ...], Path] = {}
    root = Path(__file__).parents[2]

    def make(*requirements: str) -> Path:
        if requirements not in made:
            folder = tmp_path_factory.mktemp("sdk")
            # Our own pip fills it, and compiles nothing: a tenth of an SDK is ever imported.
            subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True, timeout=240)
            python = folder / "bin" / "python"
            for install in (requirements, ("--no-deps", str(root))):
                command = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-compile"]
                command += install
                done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
                if "No matching distribution" in done.stderr:
                    pytest.skip(f"the registry does not have {', '.join(requirements)}: {done.stderr[-300:]}")
                assert done.returncode == 0, done.stderr
            made[requirements] = python
        return made[requirements]

    return make
