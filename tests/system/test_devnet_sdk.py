"""The unmodified Bittensor SDK on the devnet: connect, read, set weights plainly and sealed, on both mechanisms."""

import asyncio
import re
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

bt = pytest.importorskip("bittensor")

from bittensor.intents.weights import normalize  # noqa: E402 - after the skip
from bittensor.result import ChainError, ErrorCode  # noqa: E402

SECONDS = 30
READY = re.compile(r"devnet ready on (ws://\S+:\d+) genesis (0x[0-9a-f]{64})\n")
UID = 6  # the first uid after the dev accounts
EXACT = {1: 21845, 2: 43690, 3: 65535}


class Devnet(NamedTuple):
    url: str
    wallet: Any


@pytest.fixture(scope="module")
def devnet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Devnet]:
    """A chain with quick blocks, and a wallet whose hotkey is a validator on it."""
    folder = tmp_path_factory.mktemp("sdk")
    with pytest.MonkeyPatch.context() as patch:
        # The SDK keeps metadata on disk by genesis and spec version; a test must not read what another run wrote.
        patch.setenv("BITTENSOR_RUNTIME_CACHE_DIR", str(folder / "cache"))
        patch.setenv("HOME", str(folder))
        wallet = bt.Wallet(name="validator", hotkey="default", path=str(folder / "wallets"))
        wallet.create_new_hotkey(suppress=True)
        wallet.create_new_coldkey(use_password=False, suppress=True)
        yield from _running(wallet, folder)


def _running(wallet: Any, folder: Path) -> Iterator[Devnet]:
    options = ["--listen", "127.0.0.1:0", "--block-time", "0.25", "--validator", wallet.hotkey.ss58_address]
    command = [sys.executable, "-m", "wallet_guard.devnet", *options]
    with (folder / "errors").open("w") as errors:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True)
    try:
        assert process.stdout is not None
        ready = READY.fullmatch(process.stdout.readline())
        assert ready, (folder / "errors").read_text()
        yield Devnet(ready[1], wallet)
    finally:
        process.terminate()
        code = process.wait(SECONDS)
        process.stdout.close() if process.stdout else None
    assert code == 0
    assert (folder / "errors").read_text() == ""


def with_client(devnet: Devnet, work: Callable[[Any], Awaitable[Any]]) -> Any:
    async def run() -> Any:
        async with bt.Subtensor(devnet.url) as client:
            return await work(client)

    return asyncio.run(asyncio.wait_for(run(), SECONDS))


def set_weights(devnet: Devnet, netuid: int, **changed: Any) -> Any:
    intent = bt.SetWeights(**{"netuid": netuid, "uids": [1, 2, 3], "weights": [100, 200, 300]} | changed)
    return with_client(devnet, lambda client: client.execute(intent, devnet.wallet))


def rows(devnet: Devnet, index: int) -> dict[int, int]:
    row = with_client(devnet, lambda client: client.query(("SubtensorModule", "Weights"), [index, UID]))
    return dict(row)


def alone(program: str, url: str) -> str:
    """What a program prints that uses the SDK in a process of its own, ended at once."""
    # The blocking client never closes its event loop, and a stream of blocks that was left dials again when it is
    # collected: neither is wanted in the process of the tests.
    command = [sys.executable, "-c", program + "\nsys.stdout.flush()\nimport os\nos._exit(0)", url]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def test_the_blocking_client_connects(devnet):
    program = "import sys, bittensor as bt\nwith bt.Subtensor(sys.argv[1]) as client: print(client.block)"
    assert int(alone(program, devnet.url)) > 0


@pytest.mark.parametrize(("netuid", "mechid"), [(2, 0), (4, 0), (4, 1)])
def test_sets_plain_weights(devnet, netuid, mechid):
    result = set_weights(devnet, netuid, mechid=mechid)
    assert result.success, result.message
    assert (
        rows(devnet, mechid * 4096 + netuid) == EXACT == dict(zip(*normalize([1, 2, 3], [100, 200, 300]), strict=True))
    )


@pytest.mark.parametrize(("netuid", "mechid"), [(3, 0), (6, 0), (6, 1)])
def test_commits_sealed_weights(devnet, netuid, mechid):
    result = set_weights(devnet, netuid, mechid=mechid)
    assert result.success, result.message
    commits = with_client(devnet, lambda client: client.read("timelocked_weight_commits", netuid=netuid, mechid=mechid))
    ((commit,),) = commits.values()
    assert commit["hotkey"] == devnet.wallet.hotkey.ss58_address
    assert commit["reveal_round"] == result.data["reveal_round"]
    assert rows(devnet, mechid * 4096 + netuid) == {}


def test_is_told_of_the_rate_limit_before_it_signs(devnet):
    assert set_weights(devnet, 5).success
    with pytest.raises(ChainError) as caught:
        set_weights(devnet, 5)
    assert caught.value.code == ErrorCode.RATE_LIMITED


def test_is_told_that_it_may_not_weigh_a_uid_that_is_not(devnet):
    result = set_weights(devnet, 2, uids=[1, 2, 99])
    assert not result.success
    assert "UidVecContainInvalidOne" in str(result.error.name) + str(result.error)


def test_serves_an_axon_that_the_metagraph_shows(devnet):
    async def work(client: Any) -> Any:
        served = await client.execute(bt.ServeAxon(netuid=2, ip="8.8.8.8", port=8091), devnet.wallet)
        assert served.success, served.message
        return await client.subnets.metagraph(2)

    graph = with_client(devnet, work)
    assert len(graph) == 16
    neuron = graph.by_hotkey(devnet.wallet.hotkey.ss58_address)
    assert (neuron.uid, neuron.axon, neuron.validator_permit) == (UID, "8.8.8.8:8091", True)


READS = {
    "weights": {"netuid": 2},
    "neurons": {"netuid": 2},
    "metagraph": {"netuid": 2},
    "subnets": {},
    "subnet_names": {},
    "subnet_hyperparameters": {"netuid": 2},
    "epoch_status": {"netuid": 3},
    "next_epoch_start_block": {"netuid": 3},
    "mechanism_count": {"netuid": 4},
    "weights_rate_limit": {"netuid": 5},
    "min_allowed_weights": {"netuid": 2},
    "max_weight_limit": {"netuid": 2},
    "reveal_period": {"netuid": 3},
    "blocks_since_last_update": {"netuid": 2, "uid": UID},
}


@pytest.mark.parametrize("name", READS)
def test_reads(devnet, name):
    value = with_client(devnet, lambda client: client.read(name, **READS[name]))
    assert value is not None


THREE_BLOCKS = """
import asyncio, sys
import bittensor as bt

async def three():
    numbers = []
    async with bt.Subtensor(sys.argv[1]) as client:
        async for header in client.blocks(finalized=True):
            numbers.append(header.number)
            if len(numbers) == 3:
                print(*numbers)
                sys.stdout.flush()
                os._exit(0)

import os
asyncio.run(three())
"""


def test_hears_of_final_blocks(devnet):
    first, second, third = map(int, alone(THREE_BLOCKS, devnet.url).split())
    assert (second, third) == (first + 1, first + 2)
