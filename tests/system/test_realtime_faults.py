"""A network that drops, delays, duplicates, reorders and cuts: nothing lost, nothing twice.

    python tests/system/test_realtime_faults.py 100000        the full run, with its figures
    python tests/system/test_realtime_faults.py 20000 kill    the sender is killed with SIGKILL again and again

The proxy stands between miner and validator as a WebSocket of its own and mistreats whole messages; it can read and
repeat them, but not sign.
"""

import asyncio
import contextlib
import logging
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from wallet_guard.net import Accept, Endpoint, Routes, Server, ServerLimits, open_websocket, parse_url
from wallet_guard.realtime import MinerWebSocketManager, RealtimeLimits, Speaker, ValidatorWebSocketManager
from wallet_guard.realtime.ends import QueueFullError

VALIDATOR, MINER = (Speaker.of_seed(bytes([number]) * 32) for number in (1, 2))
LIMITS = RealtimeLimits(
    rate_per_second=1e6, burst=1e6, resend_seconds=0.2, max_openings_per_address=200, attempts_per_minute=10**6,
    max_frame_bytes=256 * 1024, max_messages=4,
)  # fmt: skip


class Tunnel(Endpoint):
    """One direction of one connection through the proxy."""

    def __init__(self, proxy):
        self.proxy = proxy
        self.other = None
        self.held = []
        self.early = []  # what came before there was another side
        self.passed = 0

    def on_message(self, websocket, data):
        proxy, chance = self.proxy, self.proxy.chance
        self.passed += 1
        drawn = chance.random()
        # the opening's two messages come through, or nothing would ever begin
        if self.passed <= 1 or drawn >= sum(proxy.faults.values()):
            self.forward(data)
            return
        for fault, share in proxy.faults.items():
            drawn -= share
            if drawn < 0:
                proxy.done[fault] += 1
                getattr(self, fault)(data)
                return

    def forward(self, data):
        if self.other is None:
            self.early.append(data)
        else:
            self.other.send_text(data)

    def drop(self, data):
        pass

    def delay(self, data):
        asyncio.get_running_loop().call_later(self.proxy.chance.uniform(0.0, 0.3), self.forward, data)

    def duplicate(self, data):
        self.forward(data)
        self.forward(data)
        asyncio.get_running_loop().call_later(0.2, self.forward, data)

    def reorder(self, data):
        self.held.append(data)
        if len(self.held) >= 3:
            self.proxy.chance.shuffle(self.held)
            for held in self.held:
                self.forward(held)
            self.held.clear()

    def cut(self, data):
        if self.other is not None:
            self.other.abort()

    def on_close(self, websocket, code, reason):
        if self.other is not None:
            self.other.abort()


class Proxy:
    """Accepts, connects on, and mistreats."""

    def __init__(self, port, seed, **faults):
        self.port = port
        self.chance = random.Random(seed)
        self.faults = faults
        self.done = Counter()

    async def open(self, request):
        inner, outer = Tunnel(self), Tunnel(self)
        headers = tuple((name, value) for name, value in request.headers if name.lower().startswith(("x-bitt", "btws")))
        url = parse_url(f"ws://127.0.0.1:{self.port}/ws")
        inner_websocket = await open_websocket(url, inner, subprotocols=("btws.1",), headers=headers)
        outer.other = inner_websocket

        class Outer(Endpoint):
            def on_open(self, websocket):
                inner.other = websocket
                for data in inner.early:
                    websocket.send_text(data)

            on_message = staticmethod(outer.on_message)
            on_close = staticmethod(outer.on_close)

        return Accept(Outer(), "btws.1")


@contextlib.asynccontextmanager
async def network(seed, seen, **faults):
    """A validator that counts, behind a proxy: yields the proxy, its port and the manager."""
    manager = ValidatorWebSocketManager(VALIDATOR, netuid=2, limits=LIMITS)
    manager.register_handler("note", lambda hotkey, data: seen.__setitem__(data["n"], seen[data["n"]] + 1))
    port = await manager.start("127.0.0.1", 0)
    proxy = Proxy(port, seed, **faults)
    server = Server(
        Routes(),
        websockets={"/ws": proxy.open},
        limits=ServerLimits(max_connections=2000, max_connections_per_address=2000),
    )
    proxy_port = await server.listen_tcp("127.0.0.1", 0)
    try:
        yield proxy, proxy_port, manager
    finally:
        await server.stop(1)
        await manager.stop(1)


async def send_all(miner, numbers):
    for number in numbers:
        while True:
            try:
                miner.send(VALIDATOR.hotkey, "note", {"n": number, "x": "y" * 300}, reliable=True)
                break
            except QueueFullError:
                await asyncio.sleep(0.005)
        if number % 16 == 0:
            await asyncio.sleep(0)


async def run_both_ways(count, seed=1, seconds=900.0):
    """Both sides send `count` reliable messages each through the faults; what happened."""
    seen, heard = Counter(), Counter()
    faults = {"drop": 0.03, "delay": 0.03, "duplicate": 0.03, "reorder": 0.03, "cut": 0.002}
    async with network(seed, seen, **faults) as (proxy, port, manager):
        miner = MinerWebSocketManager(
            MINER, netuid=2, reconnect_base_interval=0.01, max_reconnect_interval=0.05, limits=LIMITS
        )  # fmt: skip
        miner.register_handler("note", lambda hotkey, data: heard.__setitem__(data["n"], heard[data["n"]] + 1))
        miner.add_validator(VALIDATOR.hotkey, f"127.0.0.1:{port}")
        await miner.start()

        async def answer():
            for number in range(count):
                while True:
                    try:
                        await manager.send(MINER.hotkey, "note", {"n": number}, reliable=True)
                        break
                    except QueueFullError:
                        await asyncio.sleep(0.005)
                if number % 16 == 0:
                    await asyncio.sleep(0)

        began = time.monotonic()
        async with asyncio.timeout(seconds):
            await asyncio.gather(send_all(miner, range(count)), answer())
            while any(p.keeps for m in (miner, manager) for p in m.party.peers.values()):
                await asyncio.sleep(0.01)
        elapsed = time.monotonic() - began
        await asyncio.sleep(0.4)  # what is delayed still comes
        refused = manager.party.metrics.verdicts + miner.party.metrics.verdicts
        duplicates = manager.party.metrics.duplicates + miner.party.metrics.duplicates
        await miner.stop(1)
    return seen, heard, proxy.done, refused, duplicates, elapsed


def check(counter, count):
    assert sorted(counter) == list(range(count)), f"{count - len(counter)} lost"
    assert set(counter.values()) == {1}, "some twice"


def test_nothing_is_lost_and_nothing_taken_twice_in_a_bad_network():
    seen, heard, done, _, _, _ = asyncio.run(run_both_ways(3000))
    check(seen, 3000)
    check(heard, 3000)
    assert all(done[fault] for fault in ("drop", "delay", "duplicate", "reorder", "cut")), done


SENDER = """
import asyncio, sys
sys.path.insert(0, {folder!r})
import test_realtime_faults as faults
asyncio.run(faults.send_for_ever(int(sys.argv[1]), sys.argv[2], *map(int, sys.argv[3:])))
"""


async def send_for_ever(port, spool, first, most):
    """The sender that is killed: says which number is promised once it is in the spool file, `most` at the most."""
    miner = MinerWebSocketManager(
        MINER, netuid=2, reconnect_base_interval=0.01, max_reconnect_interval=0.05, limits=LIMITS, spool_path=spool
    )
    miner.add_validator(VALIDATOR.hotkey, f"127.0.0.1:{port}")
    await miner.start()
    number = first
    while True:
        if number == first + most:
            await asyncio.sleep(3600)
        try:
            miner.send(VALIDATOR.hotkey, "note", {"n": number}, reliable=True)
            sys.stdout.write(f"{number}\n")
            sys.stdout.flush()
            number += 1
        except QueueFullError:
            pass
        await asyncio.sleep(0)


async def run_with_kills(count, kills_after, seed=2):
    """A sender that is killed again and again until `count` messages were promised; promised, seen, kills.

    None of its lives promises more than `kills_after`.
    """
    seen, promised, kills = Counter(), 0, 0
    chance = random.Random(seed)
    with tempfile.TemporaryDirectory() as folder:
        spool = str(Path(folder) / "spool")
        async with network(seed, seen, drop=0.02, duplicate=0.02, reorder=0.02, cut=0.002) as (_, port, _):
            while promised < count:
                code = SENDER.format(folder=str(Path(__file__).parent))
                # numbers may be promised or not when the kill comes: the next life begins behind every possible one
                process = await asyncio.create_subprocess_exec(
                    sys.executable,
                    "-c",
                    code,
                    str(port),
                    spool,
                    str(promised),
                    str(kills_after),
                    stdout=asyncio.subprocess.PIPE,
                )
                upto = promised + chance.randrange(kills_after // 2, kills_after)
                while promised < min(upto, count):
                    promised = int(await process.stdout.readline()) + 1
                process.send_signal(signal.SIGKILL)
                rest = (await process.stdout.read()).split(b"\n")
                promised = max([promised, *(int(line) + 1 for line in rest[:-1] if line)])
                await process.wait()
                kills += 1
            async with asyncio.timeout(180):
                # a new life has a new speaker: one that spoke before them all would count on from there, too low
                miner = MinerWebSocketManager(
                    Speaker.of_seed(bytes([2]) * 32), netuid=2, reconnect_base_interval=0.01,
                    max_reconnect_interval=0.05, limits=LIMITS, spool_path=spool,
                )  # fmt: skip
                miner.add_validator(VALIDATOR.hotkey, f"127.0.0.1:{port}")
                await miner.start()
                while any(number not in seen for number in range(promised)):
                    await asyncio.sleep(0.02)
                await miner.stop(1)
    return promised, seen, kills


def check_kills(promised, seen):
    lost = [number for number in range(promised) if number not in seen]
    assert lost == []
    # A number whose promise was cut off by the kill is written down but was not promised: the next life may use it
    # again, as a new message. Everything else was taken once.
    return [number for number, times in seen.items() if times > 1]


def test_what_was_promised_survives_the_kill_of_its_sender():
    promised, seen, kills = asyncio.run(run_with_kills(1500, 500))
    again = check_kills(promised, seen)
    assert kills >= 3
    assert len(again) <= kills


if __name__ == "__main__":
    logging.getLogger("asyncio").setLevel(logging.ERROR)  # writes to connections that the proxy has cut
    number = int(sys.argv[1])
    if "kill" in sys.argv:
        promised, seen, kills = asyncio.run(run_with_kills(number, number // 20))
        again = check_kills(promised, seen)
        print(f"{promised} promised, {kills} kills, 0 lost, {len(again)} numbers said again by a later life")
    else:
        seen, heard, done, refused, duplicates, elapsed = asyncio.run(run_both_ways(number))
        check(seen, number)
        check(heard, number)
        print(f"2 x {number} messages in {elapsed:.0f} s: 0 lost, 0 twice; faults {dict(done)}")
        print(f"refused or taken {dict(refused)}; reliable messages that came again {duplicates}")
