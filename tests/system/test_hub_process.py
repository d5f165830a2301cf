"""The hub as a process, beside a real signer and a real chain process: certificates, members, restarts, lockdown."""

import asyncio
import contextlib
import json
import os
import re
import socket
import subprocess
import sys
import urllib.error
import urllib.request

import bittensor_core
import pytest

from wallet_guard.ipc.admin import Lock, Unlock
from wallet_guard.ipc.answers import RefusedError
from wallet_guard.ipc.blocking import ask
from wallet_guard.ipc.clients import ClientAdd
from wallet_guard.ipc.metagraph import Members
from wallet_guard.realtime import MinerWebSocketManager, PredictionHandler, ValidatorWebSocketManager
from wallet_guard.realtime.guard import Guard as Certifier
from wallet_guard.signed.schemes import address_of

SECONDS = 120.0
NETUID = 2
MINER, GONE = (bittensor_core.Keypair.create_from_uri(f"//{name}") for name in ("hub-miner", "gone-miner"))


def free_port():
    """One below those that systems hand out, so that nobody gets it while the hub restarts."""
    for port in range(20_000 + os.getpid() % 8000, 32_000):
        with contextlib.suppress(OSError), socket.socket() as opened:
            opened.bind(("127.0.0.1", port))
            return port
    raise AssertionError("no free port")


@pytest.fixture(scope="module")
def house(make_house, until):
    port = free_port()
    house = make_house(
        signer={"hub_hotkeys": ["validator/default"], "canary": "spare/default"},
        hub={"enabled": True, "hotkey": "validator/default", "netuid": NETUID, "tcp": [f"127.0.0.1:{port}"]},
    )
    for uid, pair in ((1, MINER), (2, GONE)):
        house.devnet.put("Keys", [NETUID, uid], pair.ss58_address)
    guard = house.guard
    guard.port = port
    guard.start("hub")
    until(lambda: "greets for" in guard.log("hub"), "a certificate for the hub", SECONDS)
    question = ClientAdd("application", "validator", "default", ("session",), (NETUID,), 1000, None)
    guard.session_token = ask(guard.signer_socket("admin"), question).token
    return house


def get(guard, path, **fields):
    request = urllib.request.Request(f"http://127.0.0.1:{guard.port}{path}", headers=fields)
    with urllib.request.urlopen(request, timeout=SECONDS) as answer:
        return answer.read().decode()


async def until_async(condition):
    async with asyncio.timeout(SECONDS):
        while not condition():
            await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def application(guard):
    """A validator's application with a session key that the signer has certified; it listens nowhere."""
    certifier = Certifier(f"unix://{guard.client_socket}", guard.session_token, wallet_name="validator", netuid=NETUID)
    manager = ValidatorWebSocketManager(await certifier.speaker(), netuid=NETUID, renew=certifier.speaker)
    manager.seen = []

    class Scores:
        def process_prediction(self, hotkey, data):
            manager.seen.append((hotkey, data["n"]))
            return {}

    PredictionHandler(Scores()).register_with_websocket_manager(manager)
    await manager.attach(f"ws://127.0.0.1:{guard.port}/ws")
    try:
        await until_async(lambda: manager.hub_problem is None)
        yield manager
    finally:
        await manager.stop(1.0)


@contextlib.asynccontextmanager
async def miner(guard, pair=MINER):
    manager = MinerWebSocketManager(
        pair, netuid=NETUID, reconnect_base_interval=0.1, max_reconnect_interval=0.5, heartbeat_interval=60.0
    )
    manager.updates = []
    manager.register_game_update_handler(lambda hotkey, data: manager.updates.append(data))
    manager.add_validator(guard.address, f"127.0.0.1:{guard.port}")
    await manager.start()
    try:
        yield manager
    finally:
        await manager.stop(1.0)


def run(scene):
    async def played():
        try:
            await asyncio.wait_for(scene, 2 * SECONDS)
        finally:
            # A transport that outlives its loop is found by the garbage collector in a later test.
            for transport in list(asyncio.get_running_loop()._transports.values()):
                transport.abort()
            await asyncio.sleep(0)

    asyncio.run(played())


def test_the_chain_process_says_who_is_registered_and_nothing_else(house, until):
    path = str(house.guard.run / "chain-hub.sock")
    assert os.stat(path).st_mode & 0o777 == 0o660

    def told():
        return [address_of(key) for key in ask(path, Members(NETUID)).keys]

    # An answer serves for some seconds.
    until(lambda: told()[1:3] == [MINER.ss58_address, GONE.ss58_address], "the new members", SECONDS)
    assert house.guard.address in told()
    with pytest.raises(RefusedError, match="expected netuid 2, found 3"):
        ask(path, Members(3))
    for question in (Lock("no"), Unlock()):
        with pytest.raises(ConnectionError):
            ask(path, question)


def test_predictions_go_through_and_a_restarted_application_loses_none(house):
    guard = house.guard

    async def scene():
        async with miner(guard) as sender:
            async with application(guard) as first:
                sent = await sender.send_prediction(guard.address, {"n": 1}, timeout_seconds=SECONDS)
                assert sent.confirmation["status"] == "success"
                assert first.seen == [(MINER.ss58_address, 1)]
            await until_async(lambda: not json.loads(get(guard, "/ws/health"))["application"])
            connections = sender.party.metrics.reconnects
            for number in range(2, 12):
                sender.send(guard.address, "prediction", {"n": number, "prediction_id": str(number)}, reliable=True)
            async with application(guard) as second:
                await until_async(lambda: len(second.seen) == 10)
                assert [number for _, number in second.seen] == list(range(2, 12))
                assert sender.party.metrics.reconnects == connections, "the miner stayed connected"

    run(scene())


def test_a_killed_hub_loses_no_reliable_message_either_way(house, until):
    guard = house.guard

    async def scene():
        async with miner(guard) as sender, application(guard) as receiver:
            got = []
            sender.register_handler("answer", lambda hotkey, data: got.append(data["n"]))
            await until_async(receiver.get_connected_hotkeys)
            await asyncio.to_thread(guard.kill, "hub")
            for number in range(20):
                sender.send(guard.address, "prediction", {"n": number, "prediction_id": str(number)}, reliable=True)
                await receiver.send(MINER.ss58_address, "answer", {"n": number}, reliable=True)
            await asyncio.to_thread(guard.start, "hub")
            await until_async(lambda: len(receiver.seen) >= 20 and len(got) >= 20)
            assert [number for _, number in receiver.seen] == list(range(20))
            assert got == list(range(20))

    run(scene())


def test_who_is_deregistered_is_dropped_and_a_stranger_never_enters(house, until):
    guard = house.guard

    async def scene():
        async with miner(guard, GONE) as leaving:
            await until_async(leaving.get_connected_validators)
            house.devnet.put("Keys", [NETUID, 2], bittensor_core.Keypair.create_from_uri("//new").ss58_address)
            await until_async(lambda: not leaving.get_connected_validators())
            await until_async(
                lambda: leaving.check_health()["problems"].get(guard.address, {}).get("code") == "authorisation"
            )

    run(scene())


def test_metrics_are_for_this_host_alone(house):
    text = get(house.guard, "/metrics")
    assert "btws_connections" in text
    assert "btws_application 0" in text
    with pytest.raises(urllib.error.HTTPError) as caught:
        get(house.guard, "/metrics", **{"X-Forwarded-For": "203.0.113.7"})
    assert caught.value.code == 404
    caught.value.close()


def test_a_locked_signer_ends_the_sessions_until_it_is_unlocked(house, until):
    guard = house.guard

    async def scene():
        async with miner(guard) as peer:
            await until_async(peer.get_connected_validators)
            await asyncio.to_thread(ask, guard.signer_socket("admin"), Lock("a drill"))
            await until_async(lambda: not peer.get_connected_validators())
            health = json.loads(await asyncio.to_thread(get, guard, "/ws/health"))
            assert health["status"] == "suspended"
            await asyncio.to_thread(ask, guard.signer_socket("admin"), Unlock())
            await until_async(peer.get_connected_validators)

    run(scene())


def test_it_starts_beside_a_locked_signer_and_serves_once_that_is_unlocked(house, until):
    guard = house.guard
    ask(guard.signer_socket("admin"), Lock("a drill"))
    guard.kill("hub")
    guard.start("hub")
    until(lambda: "no certificate yet: the signer is locked" in guard.log("hub"), "word of the lock", SECONDS)
    ask(guard.signer_socket("admin"), Unlock())
    greeted = guard.log("hub").count("greets for")
    until(lambda: guard.log("hub").count("greets for") > greeted or greeted >= 3, "a certificate", SECONDS)
    assert json.loads(get(guard, "/ws/health"))["status"] == "ok"


def test_it_stops_when_told_with_a_close_code_for_its_peers(house):
    guard = house.guard

    async def scene():
        async with miner(guard) as peer:
            await until_async(peer.get_connected_validators)
            assert await asyncio.to_thread(guard.programs["hub"].end) == 0
            await until_async(lambda: not peer.get_connected_validators())

    run(scene())
    assert guard.log("hub").rstrip().endswith("stopped")
    guard.start("hub")


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ("enabled = true|enabled = false", r"\[hub\] enabled: expected true, found false"),
        ("127.0.0.1|192.0.2.1", "is no loopback address: expected \\[hub\\] tls_certificate"),
        ("127.0.0.1|localhost", "expected address:port such as"),
        ('"validator/default"|"x/y"', "hub_hotkeys: expected some of hotkeys"),
    ],
)
def test_refuses_a_configuration_that_must_be_mended(house, tmp_path, change, problem):
    old, _, new = change.partition("|")
    head, mark, hub = house.guard.config.read_text().partition("[hub]")
    text = head.replace(f"hub_hotkeys = [{old}]", f"hub_hotkeys = [{new}]") + mark + hub.replace(old, new)
    (tmp_path / "c.toml").write_text(text)
    command = [sys.executable, "-m", "wallet_guard.hub", "--config", str(tmp_path / "c.toml")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert done.returncode == 78
    assert re.search(problem, done.stderr), done.stderr


def test_the_hub_has_no_cryptography_of_its_own_no_sdk_and_no_sql(house):
    code = (
        "import sys, wallet_guard.hub.__main__;"
        "print(sorted({'bittensor', 'sqlite3', 'websockets'} & sys.modules.keys()),"
        "[name for name in sys.modules if name.split('.')[1:2] in (['signer'], ['gateway'], ['chain'])])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=SECONDS, check=True)
    assert done.stdout.strip() == "[] []"


def test_the_reference_validator_runs_behind_the_hub(house, tmp_path):
    guard = house.guard
    command = [
        sys.executable,
        "-m",
        "wallet_guard.neurons.validator",
        "--netuid",
        str(NETUID),
        "--wallet.name",
        "validator",
    ]
    command += [
        "--hub",
        f"ws://127.0.0.1:{guard.port}/ws",
        "--miner",
        f"{MINER.ss58_address}=1",
        "--announce_seconds",
        "0.2",
    ]
    variables = {"WALLET_SERVICE_URL": f"unix://{guard.client_socket}", "WALLET_SERVICE_TOKEN": guard.session_token}

    async def scene():
        async with miner(guard) as peer:
            await until_async(lambda: peer.updates)
            sent = await peer.send_prediction(guard.address, {"game_id": "game-1"}, timeout_seconds=SECONDS)
            assert sent.confirmation["status"] == "success"

    with (tmp_path / "log").open("wb") as log:
        program = subprocess.Popen(command, env=os.environ | variables, stderr=log)
        try:
            run(scene())
        finally:
            program.terminate()
            program.wait(SECONDS)
    assert program.returncode == 0
    assert "miners are welcome at the hub" in (tmp_path / "log").read_text()
