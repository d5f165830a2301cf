"""How fast is ``wallet-guard audit verify``? ``python tests/bench/audit.py [--records N]``.

Makes a journal of that many records as the signer writes them (bodies of about 200 characters), then verifies it with
the command's own code, several times. Prints records a second by the wall clock and by the processor's time used (the
machine may be busy with other things), and what bare SHA-256 and bare reading cost in the same run.
"""

import argparse
import hashlib
import json
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from wallet_guard.signed.audit import GENESIS_HASH, record_hash, verify_chain

SELECT = "SELECT seq, at_ms, kind, client, body, hash FROM audit ORDER BY seq"


def make(path: Path, count: int) -> None:
    journal = sqlite3.connect(path)
    journal.execute(
        "CREATE TABLE audit (seq INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, kind TEXT NOT NULL, client TEXT NOT NULL,"
        "body TEXT NOT NULL, hash BLOB NOT NULL) STRICT"
    )
    previous = GENESIS_HASH
    for seq in range(1, count + 1):
        body = json.dumps(
            {"code": "netuid_not_allowed", "key": "validator/default", "nonce": seq, "intent": f"{seq:032x}",
             "extrinsic": "0x" + hashlib.sha256(str(seq).encode()).hexdigest()}, separators=(",", ":"),
        )  # fmt: skip
        previous = record_hash(previous, seq, 1_780_000_000_000 + seq, "signed", "node", body)
        row = (seq, 1_780_000_000_000 + seq, "signed", "node", body, previous)
        journal.execute("INSERT INTO audit VALUES (?, ?, ?, ?, ?, ?)", row)
    journal.commit()
    journal.close()


def rates(count: int, work: Callable[[], object]) -> str:
    walls, cpus = [], []
    for _ in range(5):
        wall, cpu = time.perf_counter(), time.process_time()
        work()
        walls.append(count / (time.perf_counter() - wall))
        cpus.append(count / (time.process_time() - cpu))
    best, middle = max(walls), statistics.median(walls)
    return f"{middle:9,.0f}/s median, {best:9,.0f}/s best; by processor time {statistics.median(cpus):9,.0f}/s"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--records", type=int, default=400_000)
    count = parser.parse_args().records
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "journal.sqlite3")
        make(path, count)
        journal = sqlite3.connect(path)
        print(f"{count:,} records, {path.stat().st_size / count:.0f} bytes each on disk")
        print("verify       ", rates(count, lambda: verify_chain(journal.execute(SELECT))))
        print("bare reading ", rates(count, lambda: sum(1 for _ in journal.execute(SELECT))))
        block = bytes(320)
        print("bare SHA-256 ", rates(count, lambda: [hashlib.sha256(block).digest() for _ in range(count)]))
        journal.close()


if __name__ == "__main__":
    main()
