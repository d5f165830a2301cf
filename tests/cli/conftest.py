"""A signer that really answers, in a thread of the test's process, for the commands that ask it."""

import argparse
import contextlib
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import bittensor_core
import pytest

from wallet_guard.cli import init
from wallet_guard.host.config import Config, load_config
from wallet_guard.host.sockets import listen_unix
from wallet_guard.signer.desk import Desk
from wallet_guard.signer.journal import Journal
from wallet_guard.signer.keys import load_keys
from wallet_guard.signer.server import Server

ALICE = bittensor_core.Keypair.create_from_uri("//Alice")


@pytest.fixture
def wallets(tmp_path: Path) -> Path:
    hotkeys = tmp_path / "wallets" / "validator" / "hotkeys"
    hotkeys.mkdir(parents=True, mode=0o700)
    keyfile = hotkeys / "default"
    keyfile.write_bytes(bytes(bittensor_core.serialized_keypair_to_keyfile_data(ALICE)))
    keyfile.chmod(0o600)
    return tmp_path / "wallets"


@pytest.fixture
def parse() -> Callable[..., argparse.Namespace]:
    """Arguments as the command line would give them, for the words of one module."""

    def parsed(module: object, *words: str) -> argparse.Namespace:
        parser = argparse.ArgumentParser()
        module.add_words(parser.add_subparsers())  # type: ignore[attr-defined]
        return parser.parse_args(words)

    return parsed


@pytest.fixture
def config(tmp_path: Path, wallets: Path, parse: Callable[..., argparse.Namespace]) -> Config:
    words = ("init", str(tmp_path / "guard"), "--network", "local", "--wallets", str(wallets), "--tcp", "")
    init.init(parse(init, *words))
    return load_config(tmp_path / "guard" / "wallet-guard.toml")


@pytest.fixture
def signer(config: Config) -> Iterator[Desk]:
    made: list[Desk] = []
    ready, stop = threading.Event(), threading.Event()

    def serve() -> None:
        # SQLite wants its connection used in the thread that made it.
        journal = Journal(config.signer.state)
        desk = Desk(config, load_keys(config.signer), journal, lambda: time.time_ns() // 10**6, secrets.token_hex)
        made.append(desk)
        listeners = {name: listen_unix(config.socket(name), 0o600) for name in ("gateway", "chain", "admin")}
        everybody = frozenset({os.getuid()})
        server = Server(
            desk, listeners, dict.fromkeys(listeners, everybody), alive=lambda: stop.is_set() and server.stop()
        )
        ready.set()
        server.run()
        journal.close()
        for listener in listeners.values():
            listener.close()

    thread = threading.Thread(target=serve)
    thread.start()
    assert ready.wait(10)
    yield made[0]
    stop.set()
    # Any question wakes the loop, which then sees that it shall stop; it may have seen it by itself.
    with contextlib.suppress(ConnectionRefusedError), socket.socket(socket.AF_UNIX) as knock:
        knock.connect(config.socket("admin"))
    thread.join(10)
    assert not thread.is_alive()
