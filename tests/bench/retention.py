"""A journal of many intents: what a step of retention takes, and the questions on the way to a signature.

python tests/bench/retention.py [--intents 200000]
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from wallet_guard.ipc.intents import State
from wallet_guard.signer.journal import Intent, Journal
from wallet_guard.signer.retention import DAY_MS, PAUSE_SECONDS, Retention
from wallet_guard.signer.shape import shape_of

METADATA = Path(__file__).parents[2] / "wallet_guard/devnet/data/subtensor-spec461-v15.scale"
KEEP_DAYS, STEPS = 90, 50


def main() -> None:
    """Prints one line for each figure."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--intents", type=int, default=200_000)
    count = parser.parse_args().intents
    metadata = METADATA.read_bytes()
    say("shape of a runtime", measure(lambda: shape_of(metadata), 10))
    with tempfile.TemporaryDirectory() as folder:
        journal = Journal(Path(folder, "state"))
        fill(journal, count)
        address = "5" + "G" * 47
        say(f"nonces in flight, of {count} intents", measure(lambda: journal.nonces_in_flight(address, ""), 50))
        say("lowest nonce", measure(lambda: journal.lowest_nonce(address), 50))
        say("last weights of a slot", measure(lambda: journal.last_signed(address, 5, 0), 50))
        say("newest 20 intents", measure(lambda: journal.newest_intents(20), 50))
        retention, now = Retention(journal, KEEP_DAYS), (KEEP_DAYS + 1) * DAY_MS
        times = []
        for step in range(STEPS):
            began = time.perf_counter()
            assert retention.step(now + step * int(PAUSE_SECONDS * 1000)) == 100
            times.append(time.perf_counter() - began)
        say("a step of retention (100 intents, synced)", times)
        journal.close()


def fill(journal: Journal, count: int) -> None:
    for start in range(0, count, 1_000):
        with journal.transaction() as writer:
            for at in range(start, start + 1_000):
                writer.add_intent(an_intent(at))


def an_intent(at: int) -> Intent:
    return Intent(
        id=f"{at:032x}",
        client="node",
        wallet="validator",
        hotkey="default",
        ss58_address="5" + "G" * 47,
        netuid=at % 128,
        mechid=0,
        request='{"kind":"set_weights","weights":[' + "1.0," * 255 + "1.0]}",
        request_sha256=bytes(32),
        idempotency_key=f"key-{at}",
        queue=False,
        accepted_ms=at,
        deadline_ms=at,
        state=State.EFFECTIVE,
        nonce=at,
        signed_ms=at,
        extrinsic=bytes(1_200),
        extrinsic_hash="0x" + "ab" * 32,
        block_hash="0x" + "cd" * 32,
        block_number=at,
    )


def measure(job: Callable[[], object], rounds: int) -> list[float]:
    times = []
    for _ in range(rounds):
        began = time.perf_counter()
        job()
        times.append(time.perf_counter() - began)
    return times


def say(what: str, times: list[float]) -> None:
    print(f"{what}: median {statistics.median(times) * 1000:.2f} ms, slowest {max(times) * 1000:.2f} ms")


if __name__ == "__main__":
    main()
