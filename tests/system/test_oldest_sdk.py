"""The oldest SDK that the extra `chain` allows, in its own environment: on the devnet, and in the chain process."""

import os
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

OLDEST = re.search(r"bittensor>=([\d.]+),", (ROOT / "setup.cfg").read_text())[1] + ".0"

SCRIPT = """
import asyncio, subprocess, sys
import bittensor as bt

wallet = bt.Wallet(name="v", hotkey="d", path=".")
wallet.create_new_hotkey(suppress=True)
wallet.create_new_coldkey(use_password=False, suppress=True)
command = [sys.executable, "-m", "wallet_guard.devnet", "--listen", "127.0.0.1:0", "--block-time", "0.25"]
devnet = subprocess.Popen([*command, "--validator", wallet.hotkey.ss58_address], stdout=subprocess.PIPE, text=True)
try:
    url = devnet.stdout.readline().split()[3]

    async def main():
        async with bt.Subtensor(url) as client:
            for netuid, mechid in ((2, 0), (3, 0), (4, 1), (6, 1)):
                intent = bt.SetWeights(netuid=netuid, uids=[1, 2, 3], weights=[100, 200, 300], mechid=mechid)
                result = await client.execute(intent, wallet)
                print(netuid, mechid, result.success)

    asyncio.run(asyncio.wait_for(main(), 60))
finally:
    devnet.terminate()
    devnet.wait(10)
"""


@pytest.fixture(scope="module")
def environment(sdk_environment) -> Path:
    return sdk_environment(f"bittensor=={OLDEST}", f"{ROOT}[chain]").parents[1]


def run(environment: Path, *command: str, cache: Path, seconds: int = 120) -> str:
    variables = {**os.environ, "BITTENSOR_RUNTIME_CACHE_DIR": str(cache)}
    variables.pop("PYTHONPATH", None)
    program = [str(environment / "bin" / command[0]), *command[1:]]
    done = subprocess.run(program, capture_output=True, text=True, timeout=seconds, env=variables, cwd=cache)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
def test_the_whole_guard_runs_on_it(environment, tmp_path):
    said = run(environment, "wallet-guard", "demo", cache=tmp_path)
    assert "all came out as said" in said


@pytest.mark.slow
def test_it_sets_weights_on_the_devnet_with_a_local_key(environment, tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT)
    said = run(environment, "python", str(tmp_path / "script.py"), cache=tmp_path)
    assert said.splitlines()[-4:] == ["2 0 True", "3 0 True", "4 1 True", "6 1 True"]
