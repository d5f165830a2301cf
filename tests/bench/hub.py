"""What a hub costs: CPU of its process for each message that it hands on, its memory, and how soon it is back.

    python tests/bench/hub.py [MESSAGES]

The hub runs in a process of its own (relay, links, signatures; no signer, no chain process). One miner with a session
key sends; the application acknowledges nothing, so that each message is one frame in and one out.
"""

import asyncio
import importlib.util
import os
import signal
import subprocess
import sys
from pathlib import Path
from time import perf_counter

_spec = importlib.util.spec_from_file_location("hub_kit", Path(__file__).parents[1] / "hub" / "conftest.py")
kit = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(kit)

from wallet_guard.realtime import MINER_LIMITS, RealtimeLimits  # noqa: E402
from wallet_guard.signed.frames import encode_message  # noqa: E402

FAST = {"rate_per_second": 1e9, "burst": 1e9}
LINE = encode_message("note", "", {"game_id": 1, "home_score": 2, "away_score": 1, "note": "x" * 380})
"""About 500 bytes, as the other figures of realtime have them."""


async def serve(port: int) -> None:
    """The hub, until it is killed."""
    async with kit.relay(port=port, limits=RealtimeLimits(**FAST)) as hub:
        print(hub.port, flush=True)
        await asyncio.Event().wait()


def start(port: int = 0) -> tuple[subprocess.Popen[str], int]:
    process = subprocess.Popen(
        [sys.executable, __file__, "--serve", str(port)], stdout=subprocess.PIPE, text=True, env=os.environ
    )
    return process, int(process.stdout.readline())


def cpu_of(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_of(pid: int) -> float:
    (line,) = [line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS")]
    return int(line.split()[1]) / 1024


async def measure(count: int) -> None:
    process, port = start()
    try:
        async with kit.application(port, limits=RealtimeLimits(**FAST)) as application:
            async with kit.miner(port, kit.session(kit.MINER, 9), limits=MINER_LIMITS) as miner:
                await kit.until(application.get_connected_hotkeys)
                link = miner.party.peers[kit.VALIDATOR.ss58_address].link
                speaker = miner.party.speaker
                frames = [speaker.frame(kit.VALIDATOR.ss58_address, [LINE], kit.time.time_ns()) for _ in range(count)]
                print(f"idle, one miner and the application: {resident_of(process.pid):.1f} MB")
                before, began = cpu_of(process.pid), perf_counter()
                for at, frame in enumerate(frames):
                    link.transmit(frame)
                    if at % 64 == 0:
                        await link.websocket.drain()
                        await asyncio.sleep(0)
                await kit.until(lambda: len(application.seen) == count)
                spent = cpu_of(process.pid) - before
                print(f"{count} messages of {len(frames[0])} B in {perf_counter() - began:.1f} s; "
                      f"hub {spent / count * 1e6:.0f} us of CPU each, {count / spent:.0f} a CPU second; "
                      f"{resident_of(process.pid):.1f} MB")  # fmt: skip
                process.send_signal(signal.SIGKILL)
                process.wait()
                began = perf_counter()
                miner.send(kit.VALIDATOR.ss58_address, "note", {"n": -1}, reliable=True)
                process.stdout.close()
                process, _ = start(port)
                await kit.until(lambda: application.seen[-1][-1] == {"n": -1})
                print(f"killed and started again: the message that was sent meanwhile is there after "
                      f"{perf_counter() - began:.1f} s")  # fmt: skip
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--serve"]:
        asyncio.run(serve(int(sys.argv[2])))
    else:
        asyncio.run(measure(int(sys.argv[1]) if sys.argv[1:] else 5000))
