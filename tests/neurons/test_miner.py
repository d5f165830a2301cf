"""The reference miner and validator, with their keys in a (scripted) wallet service."""

import asyncio
import os
import signal
import socket
import sys

from wallet_guard.neurons import miner, validator


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def common(service):
    return [
        "--netuid",
        "2",
        "--wallet.name",
        "w",
        "--wallet.service_url",
        service.url,
        "--wallet.service_token",
        service.token,
    ]


def test_games_are_announced_predicted_scored_and_weighed_without_a_key_at_a_neuron(service_of):
    async def scene():
        async with service_of(1).running() as of_validator, service_of(2).running() as of_miner:
            port = free_port()
            more = ("--miner", f"{of_miner.hotkey}=7", "--epoch_seconds", "0.5", "--announce_seconds", "0.1")
            arguments = validator.parse_args([*common(of_validator), "--port", str(port), *more])
            judging = asyncio.create_task(validator.main(arguments))
            at = (
                "--validator",
                f"{of_validator.hotkey}=127.0.0.1:{port}",
                "--websocket_reconnect_base_interval",
                "0.1",
            )
            program = (sys.executable, "-W", "error", "-m", "wallet_guard.neurons.miner")
            mining = await asyncio.create_subprocess_exec(*program, *common(of_miner), *at)
            try:
                async with asyncio.timeout(15):
                    while not any("transaction_data" in question for question in of_validator.asked):
                        await asyncio.sleep(0.02)
            finally:
                mining.terminate()
                code = await asyncio.wait_for(mining.wait(), 10)
            os.kill(os.getpid(), signal.SIGTERM)
            assert (code, await asyncio.wait_for(judging, 10)) == (0, 0)
            asked = (question["transaction_data"] for question in of_validator.asked if "transaction_data" in question)
            weights = next(asked)
            assert (weights["netuid"], weights["uids"], weights["weights"]) == (2, [7], [3])

    asyncio.run(asyncio.wait_for(scene(), 40))


def test_without_a_certificate_a_neuron_says_why_and_ends(service_of, caplog):
    async def scene():
        async with service_of(1).running() as service:
            service.refuse = True
            arguments = [*common(service), "--validator", "5X=127.0.0.1:1"]
            assert await miner.main(miner.parse_args(arguments)) == 1
            assert await validator.main(validator.parse_args(common(service))) == 1

    asyncio.run(scene())
    assert caplog.text.count("refuses with 403: this token may not") == 2
