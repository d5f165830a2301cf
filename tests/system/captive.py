"""A real signer, and a program that took over one of the processes that talk to it: its socket, and what it overheard.

For the attack drills. What the other processes would say is said here in their place, on their sockets.
"""

import contextlib
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import bittensor_core

from wallet_guard.ipc.blocking import ask
from wallet_guard.ipc.chain import Pulse, Runtime
from wallet_guard.ipc.clients import ClientAdd
from wallet_guard.ipc.health import Health
from wallet_guard.ipc.packets import PacketReader, encode_packet
from wallet_guard.ipc.records import to_json

ROOT = Path(__file__).parents[2]
METADATA = (ROOT / "wallet_guard/devnet/data/subtensor-spec461-v15.scale").read_bytes()
GENESIS = b"\x33" * 32
HEAD = 5_000
SECONDS = 60.0
"""For everything that is waited for: a deadline, not a measure."""

ALICE = bittensor_core.Keypair.create_from_uri("//Alice")

CUT = "cut off"
"""The signer ended the connection: the peer spoke nonsense."""

DONE = "allowed"
"""Answered: exactly what policy allows."""


def framed(body: bytes) -> bytes:
    """A packet of these bytes, whatever they are."""
    return len(body).to_bytes(4, "big") + body


class Captive:
    """The attacker, on the socket of the process that it took over (``taken``), and the signer before it."""

    def __init__(self, folder: Path, taken: str) -> None:
        self.folder, self.taken = folder, taken
        self.tokens: dict[str, str] = {}
        self.process: subprocess.Popen[str]
        self._connection: socket.socket | None = None
        self._number = 0

    # The signer's life -------------------------------------------------------------------------------------------

    def prepare(self) -> None:
        """One hotkey, //Alice, as validator/default; the genesis is pinned."""
        key = self.folder / "wallets/validator/hotkeys/default"
        key.parent.mkdir(parents=True, mode=0o700)
        with open(os.open(key, os.O_WRONLY | os.O_CREAT, 0o600), "w") as file:
            file.write(bytes(bittensor_core.serialized_keypair_to_keyfile_data(ALICE)).decode())
        (self.folder / "g.toml").write_text(
            f"run = '{self.folder}'\n[signer]\nstate = '{self.folder}/state'\nwallets = '{self.folder}/wallets'\n"
            f"hotkeys = ['validator/default']\n[chain]\nnetwork = 'local'\ngenesis = '0x{GENESIS.hex()}'\n"
        )

    def start(self) -> None:
        """The signer answers, and has the runtime and the head from an honest chain process."""
        command = [sys.executable, "-m", "wallet_guard.signer", "--config", str(self.folder / "g.toml")]
        with (self.folder / "signer.log").open("a") as log:
            self.process = subprocess.Popen([*command, "--development"], cwd=ROOT, stderr=log, text=True)
        ends = time.monotonic() + SECONDS
        while True:
            try:
                ask(self.path("admin"), Health(), seconds=5)
            except OSError:
                assert self.process.poll() is None, self.log()
                assert time.monotonic() < ends, self.log()
                time.sleep(0.02)
            else:
                break
        ask(self.path("chain"), Runtime(GENESIS, "node-subtensor", 461, 1, METADATA), seconds=SECONDS)
        ask(self.path("chain"), Pulse("ws://test", HEAD, HEAD - 2, ""), seconds=SECONDS)

    def stop(self, number: int = signal.SIGTERM) -> None:
        """Ends the signer by that signal."""
        self.leave()
        self.process.send_signal(number)
        self.process.wait(SECONDS)

    def path(self, name: str) -> str:
        """The socket of that asker."""
        return str(self.folder / f"signer-{name}.sock")

    def add(self, name: str, *calls: str, netuids: tuple[int, ...] | None = (2,), per_hour: int = 1000) -> None:
        """A new client; its token is kept under its name."""
        question = ClientAdd(name, "validator", "default", calls, netuids, per_hour, None)
        self.tokens[name] = ask(self.path("admin"), question, seconds=SECONDS).token

    def audit(self) -> list[tuple[str, str, dict[str, Any]]]:
        """Kind, client and body of every audit record."""
        return [(kind, client, json.loads(body)) for kind, client, body in self.rows("kind, client, body", "audit")]

    def rows(self, columns: str, table: str) -> list[tuple[Any, ...]]:
        """Those columns of the journal, in the order in which they were written."""
        uri = f"file:{self.folder}/state/journal.sqlite3?mode=ro"
        with contextlib.closing(sqlite3.connect(uri, uri=True, timeout=SECONDS)) as journal:
            return journal.execute(f"SELECT {columns} FROM {table} ORDER BY rowid").fetchall()

    def log(self) -> str:
        """What the signers wrote to standard error so far."""
        return (self.folder / "signer.log").read_text()

    def verify_audit(self) -> None:
        """The audit chain is whole: by the command that an operator would use."""
        command = [sys.executable, "-m", "wallet_guard.cli.main", "audit", "verify"]
        command += ["--config", str(self.folder / "g.toml")]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=SECONDS)
        assert "unbroken" in done.stdout, done.stderr

    # Talking -----------------------------------------------------------------------------------------------------

    @property
    def connection(self) -> socket.socket:
        """The attacker's connection, made where there is none."""
        if self._connection is None:
            self._connection = self.connect()
        return self._connection

    def connect(self) -> socket.socket:
        """One more connection to the socket of the process that was taken over."""
        made = socket.socket(socket.AF_UNIX)
        made.settimeout(SECONDS)
        ends = time.monotonic() + SECONDS
        while True:
            try:
                made.connect(self.path(self.taken))
            except BlockingIOError:
                # The signer has not come to those before it.
                assert time.monotonic() < ends, self.log()
                time.sleep(0.001)
            else:
                return made

    def leave(self) -> None:
        """Closes the attacker's connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def raw(self, data: bytes) -> Any:
        """The next packet that is an answer, or CUT."""
        reader = PacketReader()
        try:
            self.connection.sendall(data)
            while True:
                received = self.connection.recv(1 << 18)
                if not received:
                    raise ConnectionError
                for message in reader.feed(received):
                    if "event" not in message:
                        return message
        except ConnectionError:
            self.leave()
            return CUT

    def tell(self, name: str, body: Any) -> Any:
        """The outcome of a question by its wire form: CUT, a refusal's code, or the answer."""
        self._number += 1
        message = self.raw(encode_packet({"id": self._number, "ask": name, "body": body}))
        if message == CUT:
            return CUT
        return message["refusal"]["code"] if "refusal" in message else message["answer"]

    def say(self, question: Any) -> Any:
        """The outcome of a question."""
        return self.tell(question.ask, to_json(question))
