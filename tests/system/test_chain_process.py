"""The chain process with a real signer and the embedded chain: every fault that an endpoint can have, and a crash."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import bittensor_core
import pytest
from websockets.sync.client import connect

from wallet_guard.ipc import blocking
from wallet_guard.ipc.admin import StatusAsk
from wallet_guard.ipc.clients import ClientAdd
from wallet_guard.ipc.health import Health
from wallet_guard.ipc.intents import FINAL_STATES, Accept, IntentView, Show, State
from wallet_guard.ipc.wishes import SetWeights

BOB = "5FHneW46xGXgs5mUiveU4sbTyGBzmstUspZC92UhjJM694ty"
NORMAL = [[1, 21845], [2, 43690], [3, 65535]]
"""100, 200, 300 as the SDK normalises them: the largest is u16::MAX."""

STARTING = 15.0
LASTING = 30.0


class Devnet:
    """The embedded chain as a process, held by its control methods."""

    def __init__(self, *options: str) -> None:
        defaults = ["--listen", "127.0.0.1:0", "--block-time", "0.25", "--finality-lag", "2"]
        command = [sys.executable, "-m", "wallet_guard.devnet", *defaults, *options]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        words = self.process.stdout.readline().split()
        assert words[:3] == ["devnet", "ready", "on"]
        self.url, self.genesis = words[3], words[5]
        self.seen = 0
        """Extrinsics of earlier tests."""

    def control(self, method: str, *params: Any) -> Any:
        with connect(self.url) as socket:
            socket.send(json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)}))
            answer = json.loads(socket.recv(timeout=10))
        assert "error" not in answer, answer
        return answer["result"]

    def fault(self, kind: str, **fields: Any) -> Any:
        return self.control("devnet_fault", {"kind": kind, **fields})

    def extrinsics(self) -> list[Any]:
        found = self.control("devnet_extrinsics")
        assert isinstance(found, list)
        return found[self.seen :]

    def weights(self, netuid: int, mechid: int = 0) -> Any:
        return self.control("devnet_weights", netuid, mechid).get("1")

    def stop(self) -> None:
        end(self.process)
        assert self.process.stdout is not None
        self.process.stdout.close()


def end(process: "subprocess.Popen[str]") -> float:
    """Seconds that it took to stop."""
    started = time.monotonic()
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    return time.monotonic() - started


class Guard:
    """Signer and chain process, with //Bob's key and one client."""

    def __init__(self, folder: Path, urls: list[str], genesis: str, environment: dict[str, str]) -> None:
        self.folder = folder
        self.environment = {**os.environ, **environment}
        hotkeys = folder / "wallets" / "validator" / "hotkeys"
        for path in (folder, folder / "wallets", folder / "wallets" / "validator", hotkeys, folder / "run"):
            path.mkdir(mode=0o700, exist_ok=True)
        key = bittensor_core.serialized_keypair_to_keyfile_data(bittensor_core.Keypair.create_from_uri("//Bob"))
        file = hotkeys / "default"
        file.write_bytes(bytes(key))
        file.chmod(0o600)
        self.config = folder / "guard.toml"
        self.config.write_text(
            f'run = "{folder / "run"}"\n'
            f'[signer]\nstate = "{folder / "state"}"\nwallets = "{folder / "wallets"}"\n'
            'hotkeys = ["validator/default"]\n'
            f'deadline_seconds = 120\n[chain]\nnetwork = "local"\nendpoints = {json.dumps(urls)}\n'
            f'genesis = "{genesis}"\nblock_time_seconds = 0.25\n'
        )
        self.signer = self._start("signer", "--development")
        self.chain = self._start("chain")
        until(lambda: Path(self.socket("admin")).exists(), STARTING)
        added = blocking.ask(
            self.socket("admin"), ClientAdd("v", "validator", "default", ("set_weights",), None, 1000, None)
        )
        self.token = added.token

    def _start(self, name: str, *options: str) -> "subprocess.Popen[str]":
        command = [sys.executable, "-m", f"wallet_guard.{name}", "--config", str(self.config), *options]
        return subprocess.Popen(command, text=True, env=self.environment)

    def socket(self, name: str) -> str:
        return str(self.folder / "run" / f"signer-{name}.sock")

    def start_chain(self) -> None:
        self.chain = self._start("chain")

    def start_signer(self) -> None:
        self.signer = self._start("signer", "--development")

    def trouble(self) -> str:
        return str(blocking.ask(self.socket("gateway"), Health()).chain_trouble)

    def connected(self) -> bool:
        status = blocking.ask(self.socket("admin"), StatusAsk())
        return status.best_block is not None and status.health.runtime is not None

    def accept(self, netuid: int = 2, mechid: int = 0) -> IntentView:
        wish = SetWeights("validator", "default", netuid, mechid, (1, 2, 3), None, (100.0, 200.0, 300.0), 0)
        return self._view(Accept(self.token, None, False, wish))

    def show(self, intent: str) -> IntentView:
        return self._view(Show(self.token, intent))

    def _view(self, question: Any) -> IntentView:
        view = blocking.ask(self.socket("gateway"), question)
        assert isinstance(view, IntentView)
        return view

    def until(self, intent: str, wanted: Callable[[IntentView], bool], seconds: float = LASTING) -> IntentView:
        ends = time.monotonic() + seconds
        while True:
            view = self.show(intent)
            if wanted(view):
                return view
            assert view.state not in FINAL_STATES, view
            assert time.monotonic() < ends, view
            time.sleep(0.05)

    def until_state(self, intent: str, state: State, seconds: float = LASTING) -> IntentView:
        return self.until(intent, lambda view: view.state is state, seconds)

    def stop(self) -> None:
        for process in (self.chain, self.signer):
            end(process)


def until(wanted: Callable[[], bool], seconds: float) -> None:
    ends = time.monotonic() + seconds
    while True:
        with contextlib.suppress(OSError):
            if wanted():
                return
        assert time.monotonic() < ends
        time.sleep(0.05)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Devnet, Guard]]:
    devnet = Devnet()
    guard = Guard(tmp_path_factory.mktemp("guard"), [devnet.url], devnet.genesis, {})
    yield devnet, guard
    guard.stop()
    devnet.stop()


@pytest.fixture
def devnet(shared: tuple[Devnet, Guard]) -> Iterator[Devnet]:
    devnet, guard = shared
    until(guard.connected, STARTING)
    devnet.seen += len(devnet.extrinsics())
    devnet.control("devnet_set", [{"item": "Weights", "keys": [2, 1], "value": None}])
    yield devnet
    devnet.control("devnet_heal")


@pytest.fixture
def guard(devnet: Devnet, shared: tuple[Devnet, Guard]) -> Guard:
    return shared[1]


@pytest.fixture
def make_devnet() -> Iterator[Callable[..., Devnet]]:
    running: list[Devnet] = []

    def make(*options: str) -> Devnet:
        running.append(Devnet(*options))
        return running[-1]

    yield make
    for devnet in running:
        devnet.stop()


@pytest.fixture
def make_guard(tmp_path: Path) -> Iterator[Callable[..., Guard]]:
    running: list[Guard] = []

    def make(*devnets: Devnet | str, genesis: str = "", wait: bool = True, **environment: str) -> Guard:
        urls = [found if isinstance(found, str) else found.url for found in devnets]
        guard = Guard(tmp_path, urls, genesis, environment)
        running.append(guard)
        if wait:
            until(guard.connected, STARTING)
        return guard

    yield make
    for guard in running:
        guard.stop()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def check_one_extrinsic(devnet: Devnet, view: IntentView) -> None:
    (only,) = devnet.extrinsics()
    assert only["hash"] == view.extrinsic_hash
    assert only["state"] == "finalized"


def test_plain_weights_become_effective_on_every_mechanism(devnet: Devnet, guard: Guard) -> None:
    for netuid, mechid in ((2, 0), (4, 1)):
        view = guard.until_state(guard.accept(netuid, mechid).intent, State.EFFECTIVE)
        assert view.trouble == ""
        assert devnet.weights(netuid, mechid) == NORMAL
    assert [found["call"] for found in devnet.extrinsics()] == [
        "SubtensorModule.set_weights",
        "SubtensorModule.set_mechanism_weights",
    ]


def test_a_timelocked_commit_becomes_effective_when_it_is_revealed(
    make_devnet: Callable[..., Devnet], make_guard: Callable[..., Guard]
) -> None:
    devnet = make_devnet("--tempo", "40")
    guard = make_guard(devnet, genesis=devnet.genesis)
    intent = guard.accept(3).intent
    view = guard.until_state(intent, State.FINALIZED)
    assert view.call == "SubtensorModule.commit_timelocked_weights"
    (commit,) = devnet.control("devnet_commits", 3)
    assert commit["reveal_round"] == view.reveal_round
    uids, values = zip(*NORMAL, strict=True)
    devnet.control("devnet_reveal", {"netuid": 3, "hotkey": BOB, "uids": uids, "values": values})
    guard.until_state(intent, State.EFFECTIVE, 60)


def test_many_intents_at_once_each_get_a_nonce_and_a_block(devnet: Devnet, guard: Guard) -> None:
    intents = [guard.accept(netuid).intent for netuid in (1, 2, 4) for _ in range(4)]
    for intent in intents:
        guard.until(intent, lambda view: view.state in FINAL_STATES or view.block_number is not None)
    nonces = sorted(found["nonce"] for found in devnet.extrinsics())
    assert nonces == list(range(nonces[0], nonces[0] + len(intents)))


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "lose_answer", "methods": ["author_*"], "times": 1},
        {"kind": "close", "methods": ["author_*"], "times": 2},
        {"kind": "close", "methods": ["state_query*"], "times": 2},
        {"kind": "slow", "milliseconds": 400},
        {"kind": "swallow", "times": 1},
        {"kind": "refuse", "methods": ["author_*"], "times": 2},
        {"kind": "refuse", "methods": ["author_*"], "code": 1014, "message": "Priority is too low", "times": 1},
        {"kind": "refuse", "methods": ["state_query*", "account_*"], "code": 4003, "message": "no", "times": 1},
    ],
    ids=lambda fault: "-".join(str(fault.get(name, "")) for name in ("kind", "methods", "code")),
)
def test_a_fault_of_the_endpoint_delays_and_never_doubles(devnet: Devnet, guard: Guard, fault: dict[str, Any]) -> None:
    devnet.control("devnet_fault", fault)
    view = guard.until_state(guard.accept().intent, State.EFFECTIVE, 40)
    check_one_extrinsic(devnet, view)
    assert devnet.weights(2) == NORMAL


def test_a_refusal_of_the_pool_is_named(devnet: Devnet, guard: Guard) -> None:
    refusal = {"code": 1010, "message": "Invalid Transaction", "data": "Custom error: 6"}
    devnet.fault("refuse", methods=["author_*"], **refusal)
    view = guard.until_state(guard.accept().intent, State.FAILED)
    assert view.failure is not None
    assert (view.failure.code, view.failure.may_be_submitted) == ("chain_rejected", False)
    assert "RateLimitExceeded" in view.failure.message


def test_forged_metadata_signs_nothing(make_devnet: Callable[..., Devnet], make_guard: Callable[..., Guard]) -> None:
    devnet = make_devnet()
    devnet.fault("lie_metadata", swap=["set_weights", "serve_axon"])
    guard = make_guard(devnet, genesis=devnet.genesis, wait=False)
    guard.until(guard.accept().intent, lambda view: "it is forged, or newer" in view.trouble)
    assert devnet.extrinsics() == []


@pytest.mark.parametrize("extrinsics", ["return", "hold", "drop"])
def test_a_reorg_is_survived(devnet: Devnet, guard: Guard, extrinsics: str) -> None:
    devnet.fault("no_finality")
    intent = guard.accept().intent
    guard.until_state(intent, State.IN_BLOCK)
    devnet.fault("reorg", depth=3, extrinsics=extrinsics)
    devnet.control("devnet_heal")
    view = guard.until_state(intent, State.EFFECTIVE)
    assert devnet.weights(2) == NORMAL
    (only,) = [found for found in devnet.extrinsics() if found["state"] == "finalized"]
    assert only["hash"] == view.extrinsic_hash


def test_a_runtime_upgrade_is_followed(make_devnet: Callable[..., Devnet], make_guard: Callable[..., Guard]) -> None:
    devnet = make_devnet()
    guard = make_guard(devnet, genesis=devnet.genesis)
    guard.until_state(guard.accept().intent, State.EFFECTIVE)
    devnet.fault("upgrade", spec_version=470)
    until(lambda: devnet.control("devnet_info")["spec_version"] == 470, STARTING)
    guard.until_state(guard.accept().intent, State.EFFECTIVE)
    assert blocking.ask(guard.socket("gateway"), Health()).runtime == 470
    assert [found["state"] for found in devnet.extrinsics()] == ["finalized"] * 2


def test_a_chain_that_is_not_there_yet_is_told_and_waited_for(
    make_devnet: Callable[..., Devnet], make_guard: Callable[..., Guard]
) -> None:
    port = free_port()
    guard = make_guard(f"ws://127.0.0.1:{port}", wait=False)
    intent = guard.accept().intent
    view = guard.until(intent, lambda view: view.trouble != "")
    assert view.state is State.ACCEPTED
    assert view.trouble.startswith("unavailable: the chain cannot be reached")
    until(lambda: f"ws://127.0.0.1:{port}: " in guard.trouble(), STARTING)
    make_devnet("--listen", f"127.0.0.1:{port}")
    assert guard.until_state(intent, State.EFFECTIVE).trouble == ""
    assert guard.trouble() == ""


def test_fails_over_along_the_list_and_the_sdks_variable(
    make_devnet: Callable[..., Devnet], make_guard: Callable[..., Guard]
) -> None:
    devnet, other = make_devnet(), make_devnet("--chain-id", "another chain")
    dead = f"ws://127.0.0.1:{free_port()}"
    guard = make_guard(dead, other, genesis=devnet.genesis, wait=False, BT_FALLBACK_ENDPOINTS=devnet.url)
    until(guard.connected, STARTING)
    check_one_extrinsic(devnet, guard.until_state(guard.accept().intent, State.EFFECTIVE))
    assert other.extrinsics() == []


def test_the_wrong_chain_is_refused_and_said(
    make_devnet: Callable[..., Devnet], make_guard: Callable[..., Guard]
) -> None:
    devnet = make_devnet("--chain-id", "another chain")
    guard = make_guard(devnet, genesis="0x" + "ab" * 32, wait=False)
    until(lambda: "wrong chain: expected genesis 0xabab" in guard.trouble(), STARTING)
    view = guard.until(guard.accept().intent, lambda view: view.trouble != "")
    assert "wrong chain" in view.trouble
    assert devnet.extrinsics() == []


@pytest.mark.slow
def test_an_endpoint_that_falls_silent_is_left_within_its_deadline(devnet: Devnet, guard: Guard) -> None:
    devnet.fault("half_open")
    started = time.monotonic()
    intent = guard.accept().intent
    guard.until(intent, lambda view: "no answer to" in view.trouble, 15)
    assert time.monotonic() - started < 15
    devnet.control("devnet_heal")
    check_one_extrinsic(devnet, guard.until_state(intent, State.EFFECTIVE, 45))


def test_absurd_facts_stop_one_attempt_and_nothing_else(devnet: Devnet, guard: Guard) -> None:
    devnet.fault("lie_nonce", offset=2**40)
    intent = guard.accept().intent
    view = guard.until(intent, lambda view: view.trouble != "")
    assert "nonce" in view.trouble
    devnet.control("devnet_heal")
    check_one_extrinsic(devnet, guard.until_state(intent, State.EFFECTIVE))


def test_heads_with_false_numbers_are_not_believed(devnet: Devnet, guard: Guard) -> None:
    devnet.fault("lie_head", offset=1000)
    until(lambda: guard.trouble() != "", STARTING)
    devnet.control("devnet_heal")
    check_one_extrinsic(devnet, guard.until_state(guard.accept().intent, State.EFFECTIVE))


@pytest.mark.parametrize("moment", ["before_the_answer", "after_the_pool", "in_block"])
def test_kill_9_of_the_chain_process_loses_and_doubles_nothing(devnet: Devnet, guard: Guard, moment: str) -> None:
    devnet.fault("no_finality")
    if moment == "before_the_answer":
        devnet.fault("slow", methods=["author_*"], milliseconds=700, times=1)
    intent = guard.accept().intent
    wanted = {
        "before_the_answer": State.SIGNED,
        "after_the_pool": State.SUBMITTED,
        "in_block": State.IN_BLOCK,
    }[moment]
    guard.until_state(intent, wanted)
    if moment == "before_the_answer":
        time.sleep(0.2)
    guard.chain.send_signal(signal.SIGKILL)
    guard.chain.wait()
    time.sleep(0.8)
    guard.start_chain()
    devnet.control("devnet_heal")
    check_one_extrinsic(devnet, guard.until_state(intent, State.EFFECTIVE))


def test_kill_9_of_the_signer_is_only_a_pause(devnet: Devnet, guard: Guard) -> None:
    devnet.fault("no_finality")
    intent = guard.accept().intent
    guard.until_state(intent, State.SUBMITTED)
    guard.signer.send_signal(signal.SIGKILL)
    guard.signer.wait()
    guard.start_signer()
    devnet.control("devnet_heal")
    until(guard.connected, STARTING)
    check_one_extrinsic(devnet, guard.until_state(intent, State.EFFECTIVE))


@pytest.mark.parametrize("silent", [False, True])
def test_stops_within_two_seconds(devnet: Devnet, guard: Guard, silent: bool) -> None:
    guard.until_state(guard.accept().intent, State.EFFECTIVE)
    if silent:
        devnet.process.send_signal(signal.SIGSTOP)
        intent = guard.accept().intent
        time.sleep(0.3)
    try:
        assert end(guard.chain) < 2.0
        assert guard.chain.returncode == 0
    finally:
        devnet.process.send_signal(signal.SIGCONT)
        guard.start_chain()
    if silent:
        guard.until_state(intent, State.EFFECTIVE)


def test_a_configuration_mistake_is_named_and_ends_with_78(tmp_path: Path) -> None:
    config = tmp_path / "guard.toml"
    config.write_text('run = "/nowhere"\n[signer]\nstate = "/nowhere"\n')
    command = [sys.executable, "-m", "wallet_guard.chain", "--config", str(config)]
    environment = {**os.environ, "BT_FALLBACK_ENDPOINTS": "https://rpc"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=20)
    assert done.returncode == 78
    assert "BT_FALLBACK_ENDPOINTS: expected ws:// or wss:// URLs" in done.stderr
