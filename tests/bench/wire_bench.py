"""Our server beside the ones people take, one job each, one machine, one load client.

    python tests/bench/wire_bench.py [--rounds 5] [--seconds 1.5] [--only NAME] [--idle]

Rounds are interleaved: every peer is measured once per round and case, and a figure is the median over the rounds of
the ratio within a round, so that a noisy neighbour hits both sides. The unit is messages (requests) per second of the
server's CPU time. Needs gcc, and websockets, aiohttp, uvicorn, httptools, h11 and fastapi in this interpreter.
Server on core 0, load client on core 1.
"""

import argparse
import json
import os
import secrets
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from wallet_guard.wire.websocket.frames import BINARY, FIN, encode_frame

HERE = Path(__file__).parent
TOKEN = "Bearer 0123456789abcdef0123456789abcdef"


class Case(NamedTuple):
    name: str
    kind: str  # ws or http
    size: int  # of a message
    connections: int
    window: int  # in flight per connection
    targets: dict[str, float]  # peer: ratio to reach
    unix: bool = False


WS = ("ours", "websockets", "aiohttp")
HTTP = ("ours", "aiohttp", "asgi/httptools", "fastapi/httptools", "asgi/h11")
HTTP_TARGETS = {"aiohttp": 3.0, "asgi/httptools": 1.8, "fastapi/httptools": 5.0}

CASES = (
    Case("echo 125 B, 1 connection, ping-pong", "ws", 125, 1, 1, {}),
    Case("echo 125 B, 10 connections, ping-pong", "ws", 125, 10, 1, {}),
    Case("echo 125 B, 100 connections, ping-pong", "ws", 125, 100, 1, {"websockets": 2.5, "aiohttp": 1.5}),
    Case("echo 1 KiB, 100 connections, ping-pong", "ws", 1024, 100, 1, {"websockets": 2.0, "aiohttp": 1.3}),
    Case("echo 125 B, 1 connection, x32", "ws", 125, 1, 32, {}),
    Case("echo 125 B, 100 connections, x32", "ws", 125, 100, 32, {"websockets": 8.0, "aiohttp": 4.0}),
    Case("echo 1 KiB, 100 connections, x32", "ws", 1024, 100, 32, {"websockets": 5.0, "aiohttp": 2.5}),
    Case("echo 16 KiB, 100 connections, ping-pong", "ws", 16384, 100, 1, {"websockets": 1.0}),
    Case("echo 16 KiB, 10 connections, x8", "ws", 16384, 10, 8, {"websockets": 1.0}),
    Case("echo 1 MiB, 1 connection, ping-pong", "ws", 1048576, 1, 1, {"websockets": 0.5}),
    Case("echo 1 MiB, 10 connections, ping-pong", "ws", 1048576, 10, 1, {"websockets": 0.5}),
    Case("JSON POST, TCP, 1 connection", "http", 0, 1, 1, {}),
    Case("JSON POST, TCP, 32 connections", "http", 0, 32, 1, HTTP_TARGETS),
    Case("JSON POST, TCP, 256 connections", "http", 0, 256, 1, {}),
    Case("JSON POST, Unix, 1 connection", "http", 0, 1, 1, {}, unix=True),
    Case("JSON POST, Unix, 32 connections", "http", 0, 32, 1, HTTP_TARGETS, unix=True),
)


def main() -> int:
    """Prints the tables; exits with 1 if a ratio is not reached."""
    options = arguments()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        load = folder / "wire_load"
        subprocess.run(["gcc", "-O2", "-Wall", "-o", str(load), str(HERE / "wire_load.c")], check=True)
        missed = 0
        if not options.idle:
            for case in CASES:
                if options.only in case.name:
                    missed += measure(case, load, folder, options)
        if options.idle or not options.only:
            missed += measure_idle(load, folder)
    return int(missed > 0)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.5)
    parser.add_argument("--only", default="", help="part of a case's name")
    parser.add_argument("--idle", action="store_true", help="only the 10,000 idle WebSockets")
    return parser.parse_args()


@contextmanager
def serving(peer: str, kind: str, folder: Path, unix: bool = False):
    """A running server: its address and pid."""
    address = str(folder / f"{secrets.token_hex(4)}.sock") if unix else str(free_port())
    environment = {**os.environ, "PYTHONPATH": str(HERE.parent.parent)}
    command = ["taskset", "-c", "0", sys.executable, str(HERE / "wire_peers.py"), peer, kind, address]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment)
    try:
        assert process.stdout is not None
        if process.stdout.readline().strip() != "ready":
            raise RuntimeError(f"{peer} did not start")
        yield address, process.pid
    finally:
        process.kill()
        process.wait()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def requests_file(case: Case, folder: Path) -> tuple[Path, int]:
    """What to send, and the length of one."""
    path = folder / "requests"
    if case.kind == "http":
        body = json.dumps({"netuid": 2, "uids": list(range(12)), "weights": [0.1] * 12, "version_key": 0}).encode()
        head = f"POST /v1/echo HTTP/1.1\r\nHost: localhost\r\nAuthorization: {TOKEN}\r\n"
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        path.write_bytes(head.encode() + body)
    else:
        count = max(4, min(256, 4_000_000 // case.size))
        frames = (
            encode_frame(FIN | BINARY, secrets.token_bytes(case.size), secrets.token_bytes(4)) for _ in range(count)
        )
        path.write_bytes(b"".join(frames))
        return path, path.stat().st_size // count
    return path, path.stat().st_size


def measure(case: Case, load: Path, folder: Path, options: argparse.Namespace) -> int:
    """Prints one case; the number of ratios not reached."""
    path, unit = requests_file(case, folder)
    peers = WS if case.kind == "ws" else HTTP
    figures: dict[str, list[dict[str, float]]] = {peer: [] for peer in peers}
    for _ in range(options.rounds):
        for peer in peers:
            with serving(peer, case.kind, folder, case.unix) as (address, pid):
                command = [str(load), "load", address, case.connections, path, unit, case.window, 0.4]
                command += [options.seconds, case.kind, pid]
                done = subprocess.run(
                    ["taskset", "-c", "1", *map(str, command)], capture_output=True, text=True, timeout=60, check=False
                )
                if done.returncode:
                    raise RuntimeError(f"{peer}, {case.name}: {done.stderr}")
                figures[peer].append(json.loads(done.stdout))
    print(f"\n{case.name}")
    print(f"  {'':18} {'per CPU s':>10} {'p50 us':>8} {'p99 us':>8} {'ours is':>8} {'to reach':>8}")
    missed = 0
    for peer in peers:
        rates = [figure["per_cpu_second"] for figure in figures[peer]]
        pairs = zip(figures["ours"], figures[peer], strict=True)
        ratio = statistics.median(our["per_cpu_second"] / its["per_cpu_second"] for our, its in pairs)
        target = case.targets.get(peer)
        missed += target is not None and ratio < target
        p50, p99 = (statistics.median(figure[key] for figure in figures[peer]) for key in ("p50_us", "p99_us"))
        mark = "" if target is None else f"{target:8.1f} {'ok' if ratio >= target else 'MISSED'}"
        print(f"  {peer:18} {statistics.median(rates):10.0f} {p50:8.0f} {p99:8.0f} {ratio:7.2f}x {mark}", flush=True)
    return missed


def resident_kib(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS")).split()[1])


def measure_idle(load: Path, folder: Path, count: int = 10_000, seconds: float = 20.0) -> int:
    """Memory and heartbeat CPU of 10,000 idle WebSockets; the number of ceilings not kept."""
    print(f"\n{count} idle WebSockets, heartbeat of 5 s")
    cpu = {}
    ours_kib = 0.0
    for peer in WS:
        with serving(peer, "ws", folder) as (address, pid):
            # one connection first, so that what is loaded lazily does not count
            command = [str(load), "idle", address, "1", "0.2", str(pid)]
            warm = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
            time.sleep(0.5)
            warm.communicate(timeout=10)
            before = resident_kib(pid)
            command = ["taskset", "-c", "1", str(load), "idle", address, str(count), str(seconds), str(pid)]
            process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            assert process.stdout is not None
            figures = json.loads(process.stdout.readline() or "{}")
            each = (resident_kib(pid) - before) / count
            process.communicate(timeout=10)
            cpu[peer] = figures["cpu"]
            if peer == "ours":
                ours_kib = each
            print(f"  {peer:18} {each:6.2f} KiB each, {figures}", flush=True)
    ratio = cpu["ours"] / cpu["websockets"]
    print(f"  ours: {ours_kib:.2f} KiB (to reach: 4), heartbeat {ratio:.2f} of websockets (to reach: 0.25)")
    return int(ours_kib > 4) + int(ratio > 0.25)


if __name__ == "__main__":
    sys.exit(main())
