"""``wallet-guard demo``: the whole story in under a minute, on this machine, without root and without a chain.

Every act checks what it shows; exit status 0 only if all came out as said. Everything lives in a temporary folder and
is gone afterwards.
"""

import argparse
import contextlib
import http.client
import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import bittensor_core

from wallet_guard.cli.errors import CommandError
from wallet_guard.cli.printing import add_json_option, for_people, tell
from wallet_guard.cli.supervisor import own_program
from wallet_guard.client import Result, WalletService
from wallet_guard.host.config import Config, load_config
from wallet_guard.ipc import blocking
from wallet_guard.ipc.clients import ClientAdd

START_SECONDS = 30.0
"""Importing the SDK takes two seconds on a quick machine and ten on a slow one."""

STOP_SECONDS = 10.0

NETUID = 2
UIDS, WEIGHTS = [1, 2, 3], [100, 200, 300]

RUNTIME_CACHE_VARIABLE = "BITTENSOR_RUNTIME_CACHE_DIR"
"""Where the SDK keeps metadata between runs; ours must not outlive us."""


def add_words(parsers: Any) -> None:
    """``demo``."""
    parser = parsers.add_parser("demo", help="everything on an embedded chain, in under a minute, nothing left behind")
    parser.add_argument("--verbose", action="store_true", help="show the logs of all processes")
    add_json_option(parser)
    parser.set_defaults(answer=demo)


def demo(chosen: argparse.Namespace) -> int:
    """Plays all acts; 0 if each came out as said.

    Raises:
        CommandError: one did not.
    """
    began = time.monotonic()
    with for_people(chosen), _Stage(verbose=chosen.verbose) as stage:
        for title, act in ACTS:
            print(f"\n{title}")
            act(stage)
    seconds = round(time.monotonic() - began)
    tell(
        chosen,
        {"acts": [title for title, _ in ACTS], "seconds": seconds},
        f"\nall came out as said, in {seconds} s; nothing is left behind",
    )
    return 0


@dataclass(slots=True)
class _Stage:
    """A temporary folder, the processes in it, and what the acts hand on to each other."""

    verbose: bool
    folder: Path = field(init=False)
    environment: dict[str, str] = field(init=False)
    processes: list[subprocess.Popen[str]] = field(default_factory=list)
    address: str = ""
    chain_url: str = ""
    token: str = ""

    def __enter__(self) -> Self:
        self.folder = Path(tempfile.mkdtemp(prefix="wallet-guard-demo-"))
        self.environment = {**os.environ, RUNTIME_CACHE_VARIABLE: str(self.folder / "cache")}
        return self

    def __exit__(self, *_: object) -> None:
        for process in reversed(self.processes):
            process.terminate()
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(STOP_SECONDS)
            if process.stdout is not None:
                process.stdout.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def config_file(self) -> Path:
        return self.folder / "guard" / "wallet-guard.toml"

    @property
    def config(self) -> Config:
        return load_config(self.config_file)

    def start(self, name: str, command: list[str]) -> subprocess.Popen[str]:
        """A process of ours; its log goes to a file in the folder, or with --verbose to the terminal."""
        log = None if self.verbose else open(self.folder / f"{name}.log", "w", encoding="utf-8")  # noqa: SIM115
        with log or contextlib.nullcontext():
            process = subprocess.Popen(
                command, env=self.environment, stdout=subprocess.PIPE, stderr=log, stdin=subprocess.DEVNULL, text=True
            )
        self.processes.append(process)
        return process

    def run(self, command: list[str]) -> str:
        """What a command of ours prints; it must end well."""
        done = subprocess.run(
            command, env=self.environment, capture_output=True, text=True, timeout=START_SECONDS, check=False
        )
        if done.returncode != 0:
            raise CommandError(f"{' '.join(command[3:])}: status {done.returncode}: {done.stderr.strip()}")
        return done.stdout.strip()

    def logs(self) -> str:
        """The last lines of every log, for a failure's message."""
        tails = [path.read_text(encoding="utf-8").splitlines()[-5:] for path in sorted(self.folder.glob("*.log"))]
        return "\n".join(line for tail in tails for line in tail)

    def service(self, token: str) -> WalletService:
        return WalletService(f"unix://{self.config.client_socket}", token)


def _expect(truth: bool, what: str, stage: _Stage) -> None:
    if not truth:
        raise CommandError(f"the demo expected {what}", stage.logs())


def _wait_for(ready: Callable[[], bool], what: str, stage: _Stage) -> None:
    ends = time.monotonic() + START_SECONDS
    while not ready():
        for process in stage.processes:
            _expect(process.poll() is None, f"{what}, but a process ended", stage)
        _expect(time.monotonic() < ends, f"{what} within {START_SECONDS:g} s", stage)
        time.sleep(0.05)


def _make_hotkey(stage: _Stage) -> None:
    pair = bittensor_core.Keypair.create_from_mnemonic(bittensor_core.Keypair.generate_mnemonic())
    hotkeys = stage.folder / "wallets" / "validator" / "hotkeys"
    hotkeys.mkdir(parents=True, mode=0o700)
    with open(os.open(hotkeys / "default", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as keyfile:
        keyfile.write(bytes(bittensor_core.serialized_keypair_to_keyfile_data(pair)))
    stage.address = str(pair.ss58_address)
    print(f"  hotkey validator/default {stage.address}, in a file of mode 0600")


def _start_chain(stage: _Stage) -> None:
    chain = stage.start(
        "devnet", own_program("wallet_guard.devnet", "--listen", "127.0.0.1:0", "--validator", stage.address)
    )
    assert chain.stdout is not None
    line = chain.stdout.readline()
    _expect(line.startswith("devnet ready on ws://"), f"the embedded chain to start, found {line!r}", stage)
    stage.chain_url = line.split()[3]
    print(f"  {line.strip()}")


def _start_guard(stage: _Stage) -> None:
    guard = str(stage.folder / "guard")
    init = ("init", guard, "--network", "local", "--endpoint", stage.chain_url, "--block-time", "1", "--tcp", "")
    stage.run(own_program("wallet_guard.cli.main", *init, "--wallets", str(stage.folder / "wallets")))
    stage.start("serve", own_program("wallet_guard.cli.main", "serve", "--config", str(stage.config_file)))
    with stage.service("wg_nobody-needs-a-token-to-look") as service:
        _wait_for(lambda: service.health().ready, "the guard to be ready", stage)
    print("  signer (keys, no network), chain (SDK, no keys) and gateway (tokens pass, no keys) are ready")


def _add_client(stage: _Stage) -> None:
    question = ClientAdd("demo-node", "validator", "default", ("set_weights",), (NETUID,), 60, None)
    stage.token = blocking.ask(stage.config.socket("admin"), question).token
    print(f"  client demo-node may set weights on subnet {NETUID}; its token is shown once and kept as a hash")


def _set_weights(stage: _Stage) -> None:
    with stage.service(stage.token) as service:
        result: Result = service.set_weights(
            NETUID, UIDS, WEIGHTS, wallet_name="validator", version_key=1, wait_for_finalization=True
        )
    _expect(result.success, f"the weights to be set, found: {result.message}", stage)
    print(f"  the node, which owns no key, asked for {dict(zip(UIDS, WEIGHTS, strict=True))}: {result.message}")
    shown: dict[str, Any] = json.loads(
        stage.run(own_program("wallet_guard.devnet.ask", stage.chain_url, "devnet_weights", str(NETUID)))
    )
    top = max(WEIGHTS)
    wanted = [[uid, round(weight / top * 65535)] for uid, weight in zip(UIDS, WEIGHTS, strict=True)]
    _expect(wanted in shown.values(), f"{wanted} on the chain, found {shown}", stage)
    print(f"  read back from the chain, not from the guard: {wanted}")


def _refusals(stage: _Stage) -> None:
    with stage.service("wg_" + "x7Jq2" * 8) as stranger:
        _expect_refusal(stranger, NETUID, "unauthorized", "a wrong token", stage)
    with stage.service(stage.token) as service:
        _expect_refusal(service, NETUID + 1, "netuid_not_allowed", "a wrong subnet", stage)
    status, answer = _post(stage, "/wallet/transfer", {"dest": stage.address, "amount_tao": 1})
    _expect(status == 404, f"a transfer to be refused, found {status}", stage)
    print(f"  a transfer: {answer['error']['message']}")


def _expect_refusal(service: WalletService, netuid: int, code: str, what: str, stage: _Stage) -> None:
    result = service.set_weights(netuid, UIDS, WEIGHTS, wallet_name="validator", version_key=1)
    _expect(not result and result.code == code, f"{what} to be refused as {code}, found {result}", stage)
    print(f"  {what}: {result.message}")


def _post(stage: _Stage, path: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    connection = http.client.HTTPConnection("localhost")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as unix:
        unix.settimeout(START_SECONDS)
        unix.connect(stage.config.client_socket)
        connection.sock = unix
        headers = {"Authorization": f"Bearer {stage.token}", "Content-Type": "application/json"}
        connection.request("POST", path, json.dumps(body), headers)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())


def _messages(stage: _Stage) -> None:
    for line in stage.run(own_program("wallet_guard.neurons.demo", "--mode", "act")).splitlines():
        print(f"  {line.strip()}")


def _verify_audit(stage: _Stage) -> None:
    said = stage.run(own_program("wallet_guard.cli.main", "audit", "verify", "--config", str(stage.config_file)))
    print(f"  {said}")


ACTS: tuple[tuple[str, Callable[[_Stage], None]], ...] = (
    ("1. A hotkey", _make_hotkey),
    ("2. An embedded chain with real runtime metadata", _start_chain),
    ("3. The guard", _start_guard),
    ("4. A client", _add_client),
    ("5. Weights, set by a node that owns no key", _set_weights),
    ("6. Three refusals", _refusals),
    ("7. Signed messages between a validator and three miners", _messages),
    ("8. The audit chain", _verify_audit),
)
