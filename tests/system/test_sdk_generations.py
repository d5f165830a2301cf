"""One script per SDK generation, as a user would write it: each sets weights through the guard, and holds no key.

The SDKs are the published ones, each in an environment of its own. The scripts run in an empty home.
"""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from wallet_guard.ipc.blocking import ask
from wallet_guard.ipc.clients import CALLS, ClientAdd

ROOT = Path(__file__).parents[2]
SCRIPTS = Path(__file__).with_name("sdk")
SECONDS = 180

UID = 6
"""The guard's own, on every subnet of the devnet: it comes after the dev accounts."""

SCORES = {1: 0.1, 2: 0.2, 3: 0.7}
"""What every script sets."""

NINE = ("bittensor==9.12.2", "async-substrate-interface<2")
"""The last of the ninth; with a newer transport it does not even import (two packages claim one name)."""

TEN = ("bittensor==10.5.0",)

ELEVEN = ("bittensor==11.1.0", f"{ROOT}[chain]")


@pytest.fixture(scope="module")
def house(make_house):
    house = make_house()
    question = ClientAdd("everything", house.guard.wallet, house.guard.hotkey, CALLS, None, 10_000, None)
    house.guard.token = ask(house.guard.signer_socket("admin"), question).token
    return house


@pytest.fixture
def run(house, tmp_path):
    """``run(python, script, *arguments)``: what the script prints, in an empty home, told URL and token alone."""

    def run(python: Path | str, script: str, *arguments: str) -> str:
        kept = {name: value for name, value in os.environ.items() if name in ("PATH", "LANG", "SSL_CERT_FILE")}
        variables = kept | {
            "HOME": str(tmp_path),
            "BITTENSOR_RUNTIME_CACHE_DIR": str(tmp_path),
            "WALLET_SERVICE_URL": f"unix://{house.guard.client_socket}",
            "WALLET_SERVICE_TOKEN": house.guard.token,
            "BT_NO_PARSE_CLI_ARGS": "false",
        }
        if python == sys.executable:
            variables["PYTHONPATH"] = str(ROOT)
        command = [str(python), str(SCRIPTS / script), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, env=variables, cwd=tmp_path)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


def assert_set(house: Any, netuid: int) -> None:
    """The weights that stand on the chain are the scores, to the precision of the chain."""
    found = house.devnet.row(netuid, UID)
    top = max(found.values())
    assert {uid: round(weight / top, 3) for uid, weight in found.items()} == {
        uid: round(score / 0.7, 3) for uid, score in SCORES.items()
    }


@pytest.mark.slow
def test_bittensor_9(house, run, sdk_environment):
    said = run(sdk_environment(*NINE), "bittensor_9.py", "--netuid", "2", "--wallet.name", "validator")
    assert "9.12.2 True" in said
    assert_set(house, 2)


@pytest.mark.slow
def test_bittensor_10_which_reads_the_chain_by_itself(house, run, sdk_environment):
    arguments = ("--netuid", "4", "--wallet.name", "validator", "--subtensor.chain_endpoint", house.devnet.url)
    said = run(sdk_environment(*TEN), "bittensor_10.py", *arguments, "--subtensor.network", house.devnet.url)
    assert "10.5.0 True" in said
    assert_set(house, 4)


@pytest.mark.slow
def test_bittensor_11_1_with_a_remote_signer(house, run, sdk_environment):
    said = run(sdk_environment(*ELEVEN), "bittensor_11_1.py", house.devnet.url, "5")
    assert "11.1.0 True True" in said
    assert_set(house, 5)


def test_the_newest_bittensor_11_with_intents(house, run):
    said = run(sys.executable, "bittensor_11.py", "1", "3")
    assert said.count(" True ") == 2
    assert "timelocked weights for netuid 3" in said
    assert f"request of {house.guard.address}" in said
    assert_set(house, 1)
