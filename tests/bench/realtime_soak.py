"""A long run: miners that come, go, are cut and read slowly; memory, descriptors, and whether anything was lost.

    python tests/bench/realtime_soak.py --minutes 30 --peers 1000 --log soak.jsonl

The validator is a process of its own, the miners share this one. Each second some miners say a reliable note, the
validator sends as many back, some connections are cut without a word, some miners end and begin anew; every quarter of
a minute there is a broadcast of 20 KiB, which twenty further peers read at a kilobyte a second. Every note is numbered:
none may be missing at the end, none may come twice to one life of a miner. Ends with status 1 if one did, if the
validator's memory grew by 5 % or more behind the warm-up (a fifth of the time), or if it holds more descriptors than
connections.
"""

import argparse
import asyncio
import contextlib
import json
import os
import random
import resource
import secrets
import socket
import statistics
import sys
import time
from pathlib import Path

import bittensor_core

from wallet_guard.realtime import (
    MinerWebSocketManager,
    QueueFullError,
    RealtimeLimits,
    Speaker,
    ValidatorWebSocketManager,
)
from wallet_guard.signed.certificate import Certificate, Purpose, encode_certificate
from wallet_guard.signed.frames import encode_message
from wallet_guard.signed.schemes import Ed25519Key
from wallet_guard.wire.websocket.frames import FIN, TEXT, encode_frame

VALIDATOR = bittensor_core.Keypair.create_from_uri("//soak")
LIMITS = RealtimeLimits(
    max_openings=2000, max_openings_per_address=2000, max_connections=4000, max_connections_per_address=4000,
    attempts_per_minute=10**6, resend_seconds=2.0,
)  # fmt: skip
HEARTBEAT_SECONDS = 30.0
NOTES_PER_SECOND = 60  # each way
CUTS_PER_SECOND = 3
CHURN_PER_SECOND = 1
BROADCAST_SECONDS = 15.0
SLOW_READERS = 20
NOTE = "n" * 300


class Ledger:
    """The numbers 1, 2, 3, … that came from one side to the other: what is missing, what came twice.

    The memory of a miner ends with its life: what its last life took, but could not acknowledge, comes again.
    """

    def __init__(self):
        self.floor, self.above, self.twice, self.again, self.life = 0, set(), 0, 0, set()

    def take(self, number):
        if number in self.life:
            self.twice += 1
            return
        self.life.add(number)
        if number <= self.floor or number in self.above:
            self.again += 1
            return
        self.above.add(number)
        while self.floor + 1 in self.above:
            self.floor += 1
            self.above.remove(self.floor)


def session(hotkey, seconds=4 * 3600):
    """A speaker with a session key that the hotkey has certified."""
    key = Ed25519Key(secrets.token_bytes(32))
    now_ms = time.time_ns() // 10**6
    fields = (Purpose.NODE, 2, None, now_ms, now_ms + 1000 * seconds, "0" * 32)
    body = Certificate(hotkey.ss58_address, "sr25519", key.public_key, *fields).body()
    return Speaker.of_session(key, encode_certificate(body, hotkey.sign(body)))


def measured(process="self"):
    """Resident KiB and open descriptors."""
    folder = Path(f"/proc/{process}")
    resident = int((folder / "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 1024
    return resident, len(list((folder / "fd").iterdir()))


# --- the validator's process


async def serve():
    """Prints its port; then answers each line on its input with what it has sent, seen and holds."""
    manager = ValidatorWebSocketManager(VALIDATOR, netuid=2, limits=LIMITS, heartbeat_interval=HEARTBEAT_SECONDS)
    ledgers, sent, chance = {}, {}, random.Random(1)

    def on_note(hotkey, data):
        if hotkey not in ledgers:
            ledgers[hotkey] = Ledger()
            ledgers[hotkey].life = _Forgetful()  # the validator lives through: its ledger alone tells
        ledgers[hotkey].take(data["n"])

    manager.register_handler("note", on_note)
    say({"port": await manager.start("127.0.0.1", 0)})
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)

    async def speak():
        broadcast_at = 0.0
        while True:
            await asyncio.sleep(1.0)
            miners = list(ledgers)  # who has said something: the slow readers do not, and would acknowledge nothing
            for hotkey in chance.choices(miners, k=NOTES_PER_SECOND) if miners else ():
                with contextlib.suppress(QueueFullError):
                    await manager.send(hotkey, "note", {"n": sent.get(hotkey, 0) + 1, "x": NOTE}, reliable=True)
                    sent[hotkey] = sent.get(hotkey, 0) + 1
            if time.monotonic() - broadcast_at > BROADCAST_SECONDS:
                broadcast_at = time.monotonic()
                manager.broadcast("game_update", {"at": time.time(), "games": ["x" * 1000] * 20})

    speaking = asyncio.create_task(speak())
    while line := await reader.readline():
        if line == b"quiet\n":
            speaking.cancel()
        resident, descriptors = measured()
        say({
            "resident": resident, "descriptors": descriptors, "connections": len(manager._links),
            "waiting": sum(peer.keeps for peer in manager.party.peers.values()),
            "ends": dict(manager.party.metrics.ends), "verdicts": dict(manager.party.metrics.verdicts),
            "duplicates": manager.party.metrics.duplicates, "cpu": time.process_time(),
            "seen": {hotkey: [one.floor, len(one.above), one.again] for hotkey, one in ledgers.items()}, "sent": sent,
        })  # fmt: skip
    await manager.stop(5)


class _Forgetful(set):
    """Holds nothing."""

    def add(self, item):
        pass


def say(value):
    print(json.dumps(value), flush=True)


# --- the miners' process


class Miners:
    """A thousand miners, their ledgers, and what is done to them."""

    def __init__(self, count, port):
        self.port = port
        self.hotkeys = [bittensor_core.Keypair.create_from_uri(f"//soaked{number}") for number in range(count)]
        self.ledgers = {hotkey.ss58_address: Ledger() for hotkey in self.hotkeys}
        self.sent = dict.fromkeys(self.ledgers, 0)
        self.managers = []
        self.chance = random.Random(2)
        self.cuts = self.lives = 0

    async def begin(self):
        for at, hotkey in enumerate(self.hotkeys):
            self.managers.append(self.make(hotkey))
            await self.managers[-1].start()
            if at % 20 == 19:
                await asyncio.sleep(0.2)

    def make(self, hotkey):
        intervals = {"heartbeat_interval": HEARTBEAT_SECONDS, "reconnect_base_interval": 0.1}
        one = MinerWebSocketManager(session(hotkey), netuid=2, limits=LIMITS, max_reconnect_interval=2.0, **intervals)
        ledger = self.ledgers[hotkey.ss58_address]
        ledger.life = set()
        one.register_handler("note", lambda _validator, data: ledger.take(data["n"]))
        one.add_validator(VALIDATOR.ss58_address, f"127.0.0.1:{self.port}")
        self.lives += 1
        return one

    async def second(self):
        """What happens in one."""
        for one in self.chance.choices(self.managers, k=NOTES_PER_SECOND):
            hotkey = one.party.hotkey
            with contextlib.suppress(QueueFullError):
                one.send(VALIDATOR.ss58_address, "note", {"n": self.sent[hotkey] + 1, "x": NOTE}, reliable=True)
                self.sent[hotkey] += 1
        for one in self.chance.choices(self.managers, k=CUTS_PER_SECOND):
            self.cuts += 1
            one.cut(VALIDATOR.ss58_address)
        for at in self.chance.sample(range(len(self.managers)), k=CHURN_PER_SECOND):
            if not any(peer.keeps for peer in self.managers[at].party.peers.values()):
                await self.managers[at].stop(5)
                self.managers[at] = self.make(self.hotkeys[at])
                await self.managers[at].start()

    @property
    def waiting(self):
        return sum(peer.keeps for one in self.managers for peer in one.party.peers.values())


async def read_slowly(port, number):
    """A peer that answers nothing and reads a kilobyte a second, opened again whenever it is thrown out."""
    speaker = session(bittensor_core.Keypair.create_from_uri(f"//slow{number}"))
    loop = asyncio.get_running_loop()
    while True:
        connection = socket.socket()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.setblocking(False)
        with contextlib.suppress(OSError), connection:
            await loop.sock_connect(connection, ("127.0.0.1", port))
            headers, _ = speaker.sign_opening("/ws", VALIDATOR.ss58_address, time.time_ns())
            fields = (("Host", "h"), ("Upgrade", "websocket"), ("Connection", "Upgrade"),
                      ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="), ("Sec-WebSocket-Version", "13"),
                      ("Sec-WebSocket-Protocol", "btws.1"), *headers)  # fmt: skip
            head = "GET /ws HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in fields) + "\r\n"
            await loop.sock_sendall(connection, head.encode())
            data = b""
            while b"</Bytes>" not in data and (received := await loop.sock_recv(connection, 4096)):
                data += received
            line = encode_message("hello", "", {"challenge": data.partition(b'"challenge":"')[2][:64].decode()})
            hello = speaker.frame(VALIDATOR.ss58_address, [line], time.time_ns())
            await loop.sock_sendall(connection, encode_frame(FIN | TEXT, hello, secrets.token_bytes(4)))
            while await loop.sock_recv(connection, 1024):
                await asyncio.sleep(1.0)
        await asyncio.sleep(5.0)


class Server:
    """The validator's process."""

    async def start(self):
        environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
        pipes = {"stdin": asyncio.subprocess.PIPE, "stdout": asyncio.subprocess.PIPE}
        arguments = (sys.executable, __file__, "--serve")
        self.process = await asyncio.create_subprocess_exec(*arguments, env=environment, limit=1 << 24, **pipes)
        return json.loads(await self.process.stdout.readline())["port"]

    async def ask(self, what=b"report\n"):
        self.process.stdin.write(what)
        return json.loads(await self.process.stdout.readline())

    async def stop(self):
        self.process.stdin.close()
        await self.process.wait()


async def soak(seconds, peers, log):
    server = Server()
    port = await server.start()
    miners = Miners(peers, port)
    await miners.begin()
    slow = [asyncio.create_task(read_slowly(port, number)) for number in range(SLOW_READERS)]
    began, points = time.monotonic(), []
    while (now := time.monotonic() - began) < seconds:
        await miners.second()
        if now >= len(points) * max(5.0, seconds / 120):
            points.append(await point(now, server, miners, log))
        await asyncio.sleep(max(0.0, 1.0 - (time.monotonic() - began - now)))
    for task in slow:
        task.cancel()
    told = await server.ask(b"quiet\n")
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(300):
            while told["waiting"] or miners.waiting:
                await asyncio.sleep(1.0)
                told = await server.ask()
    faults = verdict(points, told, miners, seconds)
    await asyncio.gather(*(one.stop(5) for one in miners.managers))
    await server.stop()
    return faults


async def point(now, server, miners, log):
    """One point of the curve: resident KiB, descriptors, connections of the validator; resident KiB of the miners."""
    told = await server.ask()
    seen, ours = told.pop("seen"), measured()
    sent = told.pop("sent")
    made = {
        "seconds": round(now), **told, "miners_resident": ours[0], "miners_descriptors": ours[1], "cuts": miners.cuts,
        "lives": miners.lives, "sent": sum(miners.sent.values()), "seen": sum(one[0] + one[1] for one in seen.values()),
        "sent_back": sum(sent.values()),
    }  # fmt: skip
    log.write(json.dumps(made) + "\n")
    log.flush()
    print(
        f"{made['seconds']:5} s: {made['resident']} KiB, {made['descriptors']} descriptors, {made['connections']} "
        f"connections; miners {ours[0]} KiB, {ours[1]}; {made['sent']} + {made['sent_back']} notes, {miners.cuts} cuts"
    )
    return made


def verdict(points, told, miners, seconds):
    """What went wrong, after printing what there is to know."""
    lost = sum(sent - told["seen"].get(hotkey, (0, 0, 0))[0] for hotkey, sent in miners.sent.items())
    lost_back = sum(sent - miners.ledgers[hotkey].floor for hotkey, sent in told["sent"].items())
    twice = sum(one.twice for one in miners.ledgers.values()) + sum(again for _, _, again in told["seen"].values())
    again = sum(one.again for one in miners.ledgers.values())
    after = [made for made in points if made["seconds"] >= seconds / 5]
    part = max(1, len(after) // 4)
    first, last = ([made["resident"] for made in some] for some in (after[:part], after[-part:]))
    growth = 100 * (statistics.mean(last) / statistics.mean(first) - 1)
    most = max(made["descriptors"] - made["connections"] for made in after)
    print(
        f"{sum(miners.sent.values())} + {sum(told['sent'].values())} notes, {miners.cuts} cuts, {miners.lives} lives:"
    )
    print(f"{lost} + {lost_back} lost, {twice} twice, {again} again to a new life, which cannot know")
    print(f"memory of the validator behind the warm-up: {first[0]} to {last[-1]} KiB, growth {growth:.1f} %")
    print(f"at most {most} descriptors beside the connections; {told['cpu']:.0f} s of CPU")
    print(f"ends {told['ends']}, verdicts {told['verdicts']}, came again {told['duplicates']}")
    faults = {"lost": lost + lost_back, "twice": twice, "growth": growth >= 5, "descriptors": most > 100}
    return [name for name, found in faults.items() if found]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30.0, help="how long (default 30)")
    parser.add_argument("--peers", type=int, default=1000, help="miners (default 1000)")
    parser.add_argument("--log", default="/dev/null", help="a file for the points, as JSON lines")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if options.serve:
        asyncio.run(serve())
        return 0
    with open(options.log, "a") as log:
        faults = asyncio.run(soak(60 * options.minutes, options.peers, log))
    print("faults:", ", ".join(faults) or "none")
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main())
