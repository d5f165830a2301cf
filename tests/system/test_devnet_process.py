"""The devnet as a process of its own: how it starts and stops, and what a client on the wire sees of its faults."""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import bittensor_core
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

SECONDS = 10
READY = re.compile(r"devnet ready on (ws://\S+:\d+) genesis (0x[0-9a-f]{64})\n")


@contextlib.contextmanager
def devnet(*options: str) -> Iterator[tuple[subprocess.Popen[str], str, str]]:
    """A running devnet: its process, URL and genesis hash."""
    command = [sys.executable, "-m", "wallet_guard.devnet", "--listen", "127.0.0.1:0", *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        ready = READY.fullmatch(process.stdout.readline())
        assert ready, process.stderr.read() if process.stderr else ""
        yield process, ready[1], ready[2]
    finally:
        process.kill()
        process.communicate(timeout=SECONDS)


class Client:
    """JSON-RPC by hand."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection
        self.updates: list[Any] = []
        self._id = 0

    def ask(self, method: str, *params: Any) -> dict[str, Any]:
        self._id += 1
        self.connection.send(json.dumps({"jsonrpc": "2.0", "id": self._id, "method": method, "params": params}))
        while True:
            message = json.loads(self.connection.recv(timeout=SECONDS))
            if message.get("id") == self._id:
                return message
            self.updates.append(message["params"]["result"])

    def __call__(self, method: str, *params: Any) -> Any:
        return self.ask(method, *params)["result"]


@contextlib.contextmanager
def client(url: str) -> Iterator[Client]:
    with connect(url, max_size=1 << 24, open_timeout=SECONDS, close_timeout=1) as connection:
        yield Client(connection)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with devnet("--manual") as (_, address, _):
        yield address


@pytest.fixture
def chain(url: str) -> Iterator[Client]:
    with client(url) as made:
        yield made
        made("devnet_heal")


def signed(chain: Client, nonce: int, netuid: int = 2) -> str:
    """Weights by //Alice, made from what the chain itself serves."""
    metadata = bytes.fromhex(chain("state_getMetadata")[2:])
    runtime = bittensor_core.Runtime(metadata, chain("state_getRuntimeVersion")["specVersion"], 1)
    pair = bittensor_core.Keypair.create_from_uri("//Alice")
    arguments = {"netuid": netuid, "dests": [1, 2, 3], "weights": [1, 2, 3], "version_key": 0}
    call = bytes(runtime.compose_call("SubtensorModule", "set_weights", arguments))
    genesis = bytes.fromhex(chain("chain_getBlockHash", 0)[2:])
    extra = {"era": "00", "nonce": nonce, "tip": 0, "tip_asset_id": None}
    payload = runtime.signature_payload(call, genesis_hash=genesis, era_block_hash=genesis, **extra)
    signature = bytes(pair.sign(bytes(payload)))
    raw, _ = runtime.encode_signed_extrinsic(
        call, public_key=pair.public_key, signature=signature, signature_version=1, **extra
    )
    return "0x" + bytes(raw).hex()


def nonce(chain: Client) -> int:
    return int(chain("account_nextIndex", bittensor_core.Keypair.create_from_uri("//Alice").ss58_address))


def test_is_ready_soon_and_ends_with_0_on_each_signal():
    for number in (signal.SIGTERM, signal.SIGINT):
        before = time.monotonic()
        with devnet() as (process, address, genesis), client(address) as made:
            assert time.monotonic() - before < 3  # alone it takes 0.5 s
            assert made("chain_getBlockHash", 0) == genesis
            process.send_signal(number)
            assert process.wait(SECONDS) == 0


def test_ends_with_1_when_the_address_is_taken():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        command = [sys.executable, "-m", "wallet_guard.devnet", "--listen", listen]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert ended.returncode == 1
    assert ended.stderr.startswith(f"devnet: cannot listen on {listen}: ")


def test_the_same_options_give_the_same_genesis():
    with (
        devnet("--manual") as (_, _, one),
        devnet("--manual") as (_, _, two),
        devnet("--chain-id", "x") as (_, _, other),
    ):
        assert one == two != other


def test_makes_blocks_by_itself_and_finalises_them():
    with devnet("--block-time", "0.1") as (_, address, _), client(address) as made:
        made("chain_subscribeFinalizedHeads")
        numbers: list[int] = []
        while len(numbers) < 4:
            message = json.loads(made.connection.recv(timeout=SECONDS))
            numbers.append(int(message["params"]["result"]["number"], 16))
        assert numbers == list(range(numbers[0], numbers[0] + 4))
        made("devnet_fault", {"kind": "no_mining"})
        head = made("chain_getHead")
        time.sleep(0.3)
        assert made("chain_getHead") == head


def test_follows_an_extrinsic_to_finality(chain):
    chain("author_submitAndWatchExtrinsic", signed(chain, nonce(chain)))
    chain("devnet_seal", 3)
    chain("chain_getHead")
    assert [update if isinstance(update, str) else next(iter(update)) for update in chain.updates] == [
        "ready",
        "inBlock",
        "finalized",
    ]


def test_refuses_a_used_nonce_with_a_nodes_words(chain):
    raw = signed(chain, nonce(chain))
    chain("author_submitExtrinsic", raw)
    again = chain.ask("author_submitExtrinsic", raw)["error"]
    assert (again["code"], again["message"]) == (1013, "Transaction Already Imported")
    chain("devnet_seal")
    error = chain.ask("author_submitExtrinsic", raw)["error"]
    assert error == {"code": 1010, "message": "Invalid Transaction", "data": "Transaction is outdated"}


def test_a_lost_answer_leaves_the_extrinsic_in_the_pool(url, chain):
    raw = signed(chain, nonce(chain))
    chain("devnet_fault", {"kind": "lose_answer", "methods": ["author_*"], "times": 1})
    with client(url) as other, pytest.raises(ConnectionClosed):
        other("author_submitExtrinsic", raw)
    assert chain("author_pendingExtrinsics") == [raw]
    chain("devnet_seal")
    assert chain("devnet_extrinsics")[-1]["state"] == "in_block"


def test_half_open_connections_stay_open_and_say_nothing(url, chain):
    with client(url) as other:
        chain("devnet_fault", {"kind": "half_open"})
        other.connection.send('{"jsonrpc":"2.0","id":1,"method":"chain_getHead","params":[]}')
        with pytest.raises(TimeoutError):
            other.connection.recv(timeout=0.3)
        chain("devnet_heal")
        assert other("chain_getHead")


def test_slow_methods_delay_no_others(chain):
    chain("devnet_fault", {"kind": "slow", "methods": ["chain_getHead"], "milliseconds": 300})
    chain.connection.send('{"jsonrpc":"2.0","id":1000,"method":"chain_getHead","params":[]}')
    before = time.monotonic()
    chain("chain_getFinalizedHead")
    assert time.monotonic() - before < 0.25
    assert json.loads(chain.connection.recv(timeout=SECONDS))["id"] == 1000


def test_a_stopped_process_answers_nobody():
    with devnet() as (process, address, _), client(address) as made:
        os.kill(process.pid, signal.SIGSTOP)
        made.connection.send('{"jsonrpc":"2.0","id":1,"method":"chain_getHead","params":[]}')
        with pytest.raises(TimeoutError):
            made.connection.recv(timeout=0.3)
        os.kill(process.pid, signal.SIGCONT)
        assert json.loads(made.connection.recv(timeout=SECONDS))["result"]
