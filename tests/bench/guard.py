"""What the guard costs: time added to a weight request, cold start, memory. One machine, one chain, one run.

    python tests/bench/guard.py [--rounds 200] [--starts 10] [--clean-python PATH] [--write FILE]

Request → extrinsic handed to the chain: from the moment before the caller asks (the guard by HTTP on a kept
connection, the unmodified SDK by ``client.execute(bt.SetWeights(…))`` on a connected client with a local key) to the
moment that ``author_submit…`` passes a relay in front of the chain, which both go through. The two take turns, each
first in every other round; blocks are made by hand between rounds, so none disturbs, and a round begins when the one
before is finished to the end. fsync is on: the state folder is on the disk that the temporary folder is on.

Signer and gateway run in an environment of their own with wallet-guard, bittensor-core and PyNaCl and nothing else,
made here (or given by --clean-python), as in production; the chain process and the SDK in this interpreter's.
"""

import argparse
import asyncio
import contextlib
import http.client
import itertools
import json
import os
import platform
import queue
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import bittensor as bt
import bittensor_core
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve

from wallet_guard.ipc.blocking import RefusedError, ask
from wallet_guard.ipc.clients import ClientAdd
from wallet_guard.ipc.health import Health
from wallet_guard.ipc.intents import Show

REPOSITORY = Path(__file__).parents[2]
SECONDS = 60.0
WARM_UP_ROUNDS = 10
PLAIN, TIMELOCKED = 2, 3
UIDS, WEIGHTS = [1, 2, 3], [100, 200, 300]
VALUES = [21845, 43690, 65535]
TARGETS = {PLAIN: 10.0, TIMELOCKED: 20.0}
NAMES = {PLAIN: "plain", TIMELOCKED: "timelocked"}


# The relay ----------------------------------------------------------------------------------------------------------


async def relay(url: str) -> None:
    """Passes every message on, and prints when it came: connection, direction, nanoseconds, whether it submits."""

    async def pass_on(client: ServerConnection) -> None:
        number = id(client)

        async def pump(source: Any, sink: Any, direction: str) -> None:
            with contextlib.suppress(Exception):
                async for message in source:
                    now = time.monotonic_ns()
                    await sink.send(message)
                    submits = int(direction == ">" and "author_submit" in message[:300])
                    sys.stdout.write(f"{number} {direction} {now} {submits}\n")
                    sys.stdout.flush()
            await sink.close()

        async with connect(url, max_size=None, compression=None) as chain:
            await asyncio.gather(pump(client, chain, ">"), pump(chain, client, "<"))

    async with serve(pass_on, "127.0.0.1", 0, max_size=None, compression=None) as server:
        port = server.sockets[0].getsockname()[1]
        sys.stdout.write(f"ready ws://127.0.0.1:{port}\n")
        sys.stdout.flush()
        await asyncio.Event().wait()


class Seen(NamedTuple):
    """One message on the relay."""

    connection: str
    direction: str
    at_ns: int
    submits: bool


class Relay:
    """The relay's process, and what it saw."""

    def __init__(self, url: str) -> None:
        self.process = start([sys.executable, __file__, "--relay", url])
        assert self.process.stdout is not None
        self.url = self.process.stdout.readline().split()[1]
        self.lines: queue.SimpleQueue[Seen] = queue.SimpleQueue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            connection, direction, at, submits = line.split()
            self.lines.put(Seen(connection, direction, int(at), submits == "1"))

    def clear(self) -> None:
        with contextlib.suppress(queue.Empty):
            while True:
                self.lines.get_nowait()

    def until_submission(self, began: int) -> list[Seen]:
        """What passed since then, up to the next submission. What came before may be told late."""
        seen: list[Seen] = []
        while not (seen and seen[-1].submits):
            line = self.lines.get(timeout=SECONDS)
            if line.at_ns >= began:
                seen.append(line)
        return seen


# The house ----------------------------------------------------------------------------------------------------------


def start(command: list[str], **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command, env={**os.environ, **environment}, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
    )


def make_clean_python(folder: Path) -> str:
    """An interpreter whose environment holds wallet-guard, bittensor-core and PyNaCl only."""
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    python = str(folder / "bin" / "python")
    install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*install, "pynacl>=1.5,<2", "bittensor-core>=0.1.5,<0.2"], check=True)
    where = subprocess.run(
        [python, "-c", "import nacl, pathlib; print(pathlib.Path(nacl.__file__).parents[1])"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    shutil.copytree(REPOSITORY / "wallet_guard", Path(where) / "wallet_guard")
    subprocess.run([python, "-m", "compileall", "-q", where], check=True)
    return python


def make_hotkey(wallets: Path, wallet: str) -> str:
    pair = bittensor_core.Keypair.create_from_mnemonic(bittensor_core.Keypair.generate_mnemonic())
    hotkeys = wallets / wallet / "hotkeys"
    hotkeys.mkdir(parents=True, mode=0o700)
    with open(os.open(hotkeys / "default", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as keyfile:
        keyfile.write(bytes(bittensor_core.serialized_keypair_to_keyfile_data(pair)))
    return str(pair.ss58_address)


class House:
    """Chain, relay, guard; everything in one temporary folder."""

    def __init__(self, folder: Path, clean_python: str) -> None:
        self.folder, self.clean_python = folder, clean_python
        self.processes: dict[str, subprocess.Popen[str]] = {}
        wallets = folder / "wallets"
        self.address, self.other = make_hotkey(wallets, "validator"), make_hotkey(wallets, "other")
        for private in (wallets, wallets / "validator", folder / "state", folder / "run"):
            private.mkdir(mode=0o700, exist_ok=True)
            private.chmod(0o700)
        options = ["--listen", "127.0.0.1:0", "--block-time", "12", "--manual"]
        options += ["--validator", self.address, "--validator", self.other]
        chain = self.processes["devnet"] = start([sys.executable, "-m", "wallet_guard.devnet", *options])
        assert chain.stdout is not None
        self.chain_url, self.genesis = chain.stdout.readline().split()[3::2]
        self.relay = Relay(self.chain_url)
        self.processes["relay"] = self.relay.process
        self.config = folder / "wallet-guard.toml"
        self.config.write_text(
            f"""run = "{folder}/run"
[signer]
state = "{folder}/state"
wallets = "{wallets}"
hotkeys = ["validator/default"]
[chain]
network = "local"
endpoints = ["{self.relay.url}"]
genesis = "{self.genesis}"
[gateway]
tcp = []
"""
        )
        self.token = ""

    def command(self, name: str) -> list[str]:
        python = sys.executable if name == "chain" else self.clean_python
        return [python, "-m", f"wallet_guard.{name}", "--config", str(self.config)]

    def start_timed(self, name: str) -> float:
        """Starts a process of the guard; milliseconds until it says that it is ready."""
        path = self.folder / "notify"
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notified, self.logs(name) as log:
            notified.bind(str(path))
            notified.settimeout(SECONDS)
            environment = {**os.environ, "NOTIFY_SOCKET": str(path), "HOME": str(self.folder)}
            began = time.monotonic_ns()
            self.processes[name] = subprocess.Popen(
                self.command(name), env=environment, stderr=log, stdin=subprocess.DEVNULL, cwd=self.folder, text=True
            )
            while b"READY=1" not in notified.recv(4096):
                pass
            took = (time.monotonic_ns() - began) / 1e6
        path.unlink()
        return took

    def logs(self, name: str) -> Any:
        return (self.folder / f"{name}.log").open("a")

    def socket(self, name: str) -> str:
        return str(self.folder / "run" / f"signer-{name}.sock")

    def start_guard(self) -> None:
        for name in ("signer", "chain", "gateway"):
            self.start_timed(name)
        question = ClientAdd("bench", "validator", "default", ("set_weights",), None, 100_000, None)
        self.token = ask(self.socket("admin"), question).token
        wait_until(lambda: ask(self.socket("gateway"), Health()).runtime is not None)

    def end(self, name: str) -> None:
        process = self.processes.pop(name)
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)
        if process.stdout is not None:
            process.stdout.close()


def wait_until(truth: Callable[[], Any]) -> None:
    ends = time.monotonic() + SECONDS
    while not truth():
        if time.monotonic() > ends:
            raise TimeoutError("the guard did not get there")
        time.sleep(0.002)


# (a) Request → handed to the chain ----------------------------------------------------------------------------------


class Timing(NamedTuple):
    """Milliseconds from asking to the submission on the relay, and to the answer.

    ``parts``: to the first word to the chain, from there to its last answer, from there to the submission.
    """

    handed: float
    answered: float
    parts: tuple[float, float, float]


def timing(began: int, answered: int, seen: list[Seen]) -> Timing:
    own = [each for each in seen if each.connection == seen[-1].connection]
    first, submission = own[0].at_ns, own[-1].at_ns
    last = max((each.at_ns for each in own if each.direction == "<"), default=first)
    marks = (began, first, last, submission)
    parts = tuple((after - before) / 1e6 for before, after in itertools.pairwise(marks))
    return Timing((submission - began) / 1e6, (answered - began) / 1e6, parts)  # type: ignore[arg-type]


class GuardCaller:
    """A client with one kept connection to the gateway's Unix socket."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.intents: list[str] = []
        self._connection = http.client.HTTPConnection("localhost")
        self._connection.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._connection.sock.settimeout(SECONDS)
        self._connection.sock.connect(str(house.folder / "run" / "gateway.sock"))
        self._fields = {"Authorization": f"Bearer {house.token}", "Content-Type": "application/json"}

    def call(self, netuid: int) -> Timing:
        data = {"netuid": netuid, "uids": UIDS, "weights": WEIGHTS}
        body = json.dumps({"wallet_name": "validator", "hotkey_name": "default", "transaction_data": data})
        self.house.relay.clear()
        began = time.monotonic_ns()
        self._connection.request("POST", "/wallet/set_weights", body, self._fields)
        answer = self._connection.getresponse()
        content = json.loads(answer.read())
        answered = time.monotonic_ns()
        assert answer.status == 200, content
        self.intents.append(content["intent"])
        return timing(began, answered, self.house.relay.until_submission(began))

    def finish(self, netuid: int) -> None:
        """Until the last intent needs nobody any more."""
        goal = ("effective",) if netuid == PLAIN else ("finalized", "effective")

        def done() -> bool:
            with contextlib.suppress(RefusedError):
                return ask(self.house.socket("gateway"), Show(self.house.token, self.intents[-1])).state in goal
            return False

        wait_until(done)


class SdkCaller:
    """The unmodified SDK, connected, with a key in this process."""

    def __init__(self, house: House, client: Any) -> None:
        self.house, self.client = house, client
        self.wallet = bt.Wallet(name="other", hotkey="default", path=str(house.folder / "wallets"))

    async def call(self, netuid: int) -> Timing:
        self.house.relay.clear()
        began = time.monotonic_ns()
        intent = bt.SetWeights(netuid=netuid, uids=UIDS, weights=WEIGHTS)
        result = await self.client.execute(intent, self.wallet, wait_for_inclusion=False, wait_for_finalization=False)
        answered = time.monotonic_ns()
        assert result.success, result.message
        return timing(began, answered, self.house.relay.until_submission(began))


class Control:
    """The chain's own controls, past the relay."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    async def __call__(self, method: str, *params: Any) -> Any:
        await self._connection.send(json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}))
        message = json.loads(await self._connection.recv())
        assert "error" not in message, message
        return message["result"]


async def compare(house: House, rounds: int) -> dict[int, tuple[list[Timing], list[Timing]]]:
    """Per subnet: the guard's timings and the SDK's."""
    found: dict[int, tuple[list[Timing], list[Timing]]] = {PLAIN: ([], []), TIMELOCKED: ([], [])}
    guard = GuardCaller(house)
    async with bt.Subtensor(house.relay.url) as client, connect(house.chain_url, max_size=None) as connection:
        control, sdk = Control(connection), SdkCaller(house, client)
        for at in range(WARM_UP_ROUNDS + rounds):
            for netuid, (guards, sdks) in found.items():
                if at % 2:
                    ours, theirs = guard.call(netuid), await sdk.call(netuid)
                else:
                    theirs, ours = await sdk.call(netuid), guard.call(netuid)
                if at >= WARM_UP_ROUNDS:
                    guards.append(ours)
                    sdks.append(theirs)
                await control("devnet_seal", 4)
                guard.finish(netuid)
                if netuid == TIMELOCKED:
                    # At most ten commits may wait for their reveal.
                    for hotkey in (house.address, house.other):
                        order = {"netuid": netuid, "hotkey": hotkey, "uids": UIDS, "values": VALUES}
                        await control("devnet_reveal", order)
                # What blocks set off in the SDK's connection and in ours ends before the next round.
                await asyncio.sleep(0.02)
            if at % 50 == 49:
                print(f"  round {at + 1} of {WARM_UP_ROUNDS + rounds}", file=sys.stderr)
    return found


# (b) Cold start, (c) memory -----------------------------------------------------------------------------------------


def cold_starts(house: House, starts: int) -> list[float]:
    """Milliseconds from exec to READY=1 of the signer, its journal and one plaintext key included."""
    found = []
    for _ in range(starts + 1):
        found.append(house.start_timed("signer"))
        house.end("signer")
    return found[1:]


def memory(pid: int) -> tuple[float, float]:
    """Resident and proportional memory in MB (10^6 bytes)."""
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":" in line)
    resident = int(status["VmRSS"].split()[0]) * 1024 / 1e6
    proportional = float("nan")
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                proportional = int(line.split()[1]) * 1024 / 1e6
    return resident, proportional


def fsync_ms(folder: Path) -> float:
    """The median of a 4 KiB write and fsync in that folder: the floor of each durable step."""
    found = []
    with (folder / "fsync").open("wb", buffering=0) as file:
        for _ in range(200):
            began = time.monotonic_ns()
            file.write(bytes(4096))
            os.fsync(file.fileno())
            found.append((time.monotonic_ns() - began) / 1e6)
    return statistics.median(found)


# The report ---------------------------------------------------------------------------------------------------------


def percentile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def timing_rows(found: dict[int, tuple[list[Timing], list[Timing]]]) -> Iterator[str]:
    yield "| ms | guard median | guard p95 | SDK median | SDK p95 | added (guard - SDK, median of rounds) | target |"
    yield "|---|---:|---:|---:|---:|---:|---:|"
    for netuid, (guards, sdks) in found.items():
        ours, theirs = [each.handed for each in guards], [each.handed for each in sdks]
        added = statistics.median(one - other for one, other in zip(ours, theirs, strict=True))
        yield (
            f"| {NAMES[netuid]}: request → handed to the chain | {statistics.median(ours):.2f} "
            f"| {percentile(ours, 0.95):.2f} | {statistics.median(theirs):.2f} | {percentile(theirs, 0.95):.2f} "
            f"| {added:+.2f} | < {TARGETS[netuid]:g} |"
        )
    yield ""
    yield "| ms, medians | until the chain is first asked | until its last answer | until handed over | answer |"
    yield "|---|---:|---:|---:|---:|"
    for netuid, both in found.items():
        for who, timings in zip(("guard", "SDK"), both, strict=True):
            parts = [statistics.median(each.parts[at] for each in timings) for at in range(3)]
            rest = statistics.median(each.answered - each.handed for each in timings)
            yield f"| {NAMES[netuid]}, {who} | {' | '.join(f'{part:.2f}' for part in (*parts, rest))} |"


def own_version(house: House) -> str:
    done = subprocess.run(
        ["git", "-C", str(REPOSITORY), "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    )
    return done.stdout.strip() or "no git"


def machine() -> str:
    model = next(
        (
            line.split(":", 1)[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        platform.machine(),
    )
    return f"{os.cpu_count()} cores, {model}, Linux {platform.release()}, Python {platform.python_version()}"


def report(house: House, arguments: argparse.Namespace) -> Iterator[str]:
    load = os.getloadavg()[0]
    starts = cold_starts(house, arguments.starts)
    house.start_guard()
    idle = {name: memory(house.processes[name].pid) for name in ("signer", "gateway", "chain")}
    found = asyncio.run(compare(house, arguments.rounds))
    used = {name: memory(house.processes[name].pid) for name in ("signer", "gateway", "chain")}
    yield f"`{' '.join(['python', 'tests/bench/guard.py', *sys.argv[1:]])}`"
    yield ""
    yield f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, commit {own_version(house)}, bittensor {bt.__version__}"
    yield f"{machine()}; load average {load:.2f} before, {os.getloadavg()[0]:.2f} after (one of it is our own)"
    yield f"write and fsync of 4 KiB in the state folder: {fsync_ms(house.folder):.2f} ms (median of 200)"
    yield f"{arguments.rounds} rounds of each, interleaved, after {WARM_UP_ROUNDS} to warm up"
    yield ""
    yield from timing_rows(found)
    yield ""
    yield "| | found | target |"
    yield "|---|---:|---:|"
    yield (
        f"| signer, exec → READY, median of {len(starts)} (best {min(starts):.0f}, worst {max(starts):.0f}) "
        f"| {statistics.median(starts):.0f} ms | < 300 ms |"
    )
    targets = {"signer": "< 36 MB", "gateway": "< 40 MB", "chain": ""}
    for name, (resident, proportional) in used.items():
        yield (
            f"| {name}, resident after {2 * (WARM_UP_ROUNDS + arguments.rounds)} requests (at first "
            f"{idle[name][0]:.1f}; proportional {proportional:.1f}) | {resident:.1f} MB | {targets[name]} |"
        )


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--starts", type=int, default=10)
    parser.add_argument("--clean-python", default="", help="an interpreter without the SDK (default: make one)")
    parser.add_argument("--write", default="", metavar="FILE", help="write the report there too")
    parser.add_argument("--relay", default="", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.relay:
        with contextlib.suppress(KeyboardInterrupt):
            asyncio.run(relay(arguments.relay))
        return 0
    folder = Path(tempfile.mkdtemp(prefix="wg-bench-"))
    os.environ["BITTENSOR_RUNTIME_CACHE_DIR"] = str(folder / "cache")
    house = None
    try:
        house = House(folder, arguments.clean_python or make_clean_python(folder / "clean"))
        text = "\n".join(report(house, arguments))
        print(text)
        if arguments.write:
            Path(arguments.write).write_text(text + "\n")
    finally:
        for name in reversed(list(house.processes) if house else []):
            house.end(name)  # type: ignore[union-attr]
        shutil.rmtree(folder, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
