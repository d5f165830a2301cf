"""Some of the crash points of one life (``crash_points.py`` by hand tries all), full disks, and the lock's speed."""

import collections
import contextlib
import json
import os
import random
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import crash_points
from crash_points import FAILURES, READ_ONLY, new_life

from wallet_guard.ipc.admin import Lock, Unlock
from wallet_guard.ipc.answers import Refusal
from wallet_guard.ipc.blocking import RefusedError
from wallet_guard.ipc.clients import ClientAdd
from wallet_guard.ipc.health import Health
from wallet_guard.ipc.intents import Accept
from wallet_guard.ipc.packets import PacketReader, encode_packet
from wallet_guard.ipc.records import to_json
from wallet_guard.ipc.signatures import SignText
from wallet_guard.ipc.wishes import SetWeights
from wallet_guard.signed.audit import verify_chain

needs_strace = pytest.mark.skipif(
    not crash_points.has_strace(),
    reason="STRACE IS MISSING: no crash point of the journal is tested; apt install strace",
)

KILLED = {"pwrite64": 12, "fdatasync": 6, "write": 2, "unlink": 2, "rename": 1, "fsync": 1, "ftruncate": 2}
"""How many of each call's occurrences are tried here."""

FAILED = {"pwrite64": 5, "fdatasync": 5}

STATES_PER_STEP = 10
"""Of the disk, where power fails: about a thousand in all."""


@pytest.fixture(scope="module")
def counted() -> collections.Counter[str]:
    found = crash_points.count_calls()
    assert found["pwrite64"] > 100
    return found


def spread(count: int, wanted: int) -> list[int]:
    """That many places from 1 to ``count``, one in each equal part, at random within it."""
    chosen = random.Random(count)
    parts = min(count, wanted)
    return sorted({chosen.randrange(part * count // parts, (part + 1) * count // parts) + 1 for part in range(parts)})


@needs_strace
@pytest.mark.slow
@pytest.mark.parametrize("call", KILLED)
def test_killed_on_entering_a_call_that_writes(counted: collections.Counter[str], call: str) -> None:
    places = spread(counted[call], KILLED[call])
    assert places
    assert all(crash_points.run_killed(call, place) for place in places)


@needs_strace
@pytest.mark.slow
@pytest.mark.parametrize(("call", "error"), FAILURES)
def test_a_call_that_fails(counted: collections.Counter[str], call: str, error: str) -> None:
    for place in spread(counted[call], FAILED.get(call, 1)):
        crash_points.run_failing(call, error, str(place))


@needs_strace
@pytest.mark.slow
def test_a_file_system_that_turns_read_only(counted: collections.Counter[str]) -> None:
    for place in spread(counted["pwrite64"], 4):
        crash_points.run_failing(READ_ONLY, "EROFS", f"{place}+")


@needs_strace
@pytest.mark.slow
@pytest.mark.parametrize(
    ("how", "call", "at"),
    [("killed", "pwrite64", 2), ("killed", "pwrite64", 9), ("killed", "fdatasync", 2), ("EIO", "fdatasync", 2)],
)
def test_the_first_start_on_a_journal_from_a_backup_is_cut(how: str, call: str, at: int) -> None:
    assert crash_points.run_restored(how, call, at)


@needs_strace
@pytest.mark.slow
def test_power_fails_and_what_was_not_synced_is_lost_in_part(monkeypatch: pytest.MonkeyPatch) -> None:
    # The reserve of each of a thousand journals would be most of the work.
    monkeypatch.setattr(crash_points.disk, "RESERVE_BYTES", 4096)
    states = crash_points.replay(crash_points.record_life(), most=STATES_PER_STEP)
    assert states > 500


def test_a_lost_write_that_was_synced_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The checker checks: with syncs that do nothing, what was acknowledged is not there."""
    if not crash_points.has_strace():
        pytest.skip("STRACE IS MISSING: apt install strace")
    monkeypatch.setattr(crash_points.disk, "RESERVE_BYTES", 4096)
    recording = crash_points.record_life()
    recording.ops = [op for op in recording.ops if op.kind != "sync"]
    with pytest.raises(AssertionError, match=r"was lost|broken"):
        crash_points.replay(recording, most=2)


# Without strace -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("answers", [1, 40, 100])
def test_killed_while_many_are_on_their_way(answers: int) -> None:
    """Questions that share a sync: whoever was answered is remembered, and once."""
    with new_life() as (signer, life):
        assert signer.start()
        life.pending.pop(0)()
        wish = SetWeights("validator", "default", 2, 0, (1, 2, 3), None, (100.0, 200.0, 300.0), 0)
        questions = {at: Accept(crash_points.TOKEN, f"key {at}", False, wish) for at in range(200)}
        told: dict[int, str] = {}
        with socket.socket(socket.AF_UNIX) as gateway:
            gateway.settimeout(60)
            gateway.connect(str(signer.folder / "run/signer-gateway.sock"))
            gateway.sendall(
                b"".join(
                    encode_packet({"id": at, "ask": question.ask, "body": to_json(question)})
                    for at, question in questions.items()
                )
            )
            reader = PacketReader()
            while len(told) < answers:
                for message in reader.feed(gateway.recv(1 << 12)):
                    if "answer" in message:
                        told[message["id"]] = message["answer"]["intent"]
            signer.kill()
        assert signer.start()
        for at, intent in told.items():
            assert signer.ask("gateway", questions[at]).intent == intent
        assert signer.stop() == 0
        with contextlib.closing(sqlite3.connect(signer.state / "journal.sqlite3")) as journal:
            rows = journal.execute("SELECT seq, at_ms, kind, client, body, hash FROM audit ORDER BY seq").fetchall()
            intents = journal.execute("SELECT id FROM intents").fetchall()
        verify_chain(rows)
        accepted = [json.loads(body)["intent"] for _, _, kind, _, body, _ in rows if kind == "accepted"]
        assert sorted(accepted) == sorted(intent for (intent,) in intents)


@pytest.mark.parametrize("name", ["journal.sqlite3", "journal.sqlite3-wal"])
def test_a_removed_file_stops_signing_at_once(name: str) -> None:
    with new_life() as (signer, life):
        assert signer.start()
        for _ in range(3):
            life.pending.pop(0)()
        (signer.state / name).unlink()
        with pytest.raises(RefusedError, match="was removed or replaced"):
            life.pending[0]()
        signer.kill()
        if name == "journal.sqlite3":
            # A new journal would know nothing of what was signed: the signer does not begin one.
            assert not signer.start()
            assert "restore it from a backup" in signer.log()
        else:
            assert signer.start()
            assert life.go_on()
            assert signer.stop() == 0
            life.check()


@pytest.fixture
def small_disk(tmp_path: Path):
    """A file system of 24 MiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=24m,mode=0700", "none", str(folder)]
    if os.getuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("CANNOT MOUNT HERE: the full disk is tested with injected errors only; run as root")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def fill(folder: Path) -> Path:
    path = folder / "garbage"
    with path.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(1 << 16))
    with path.open("ab", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(512))
    return path


def test_a_full_disk_refuses_cleanly_records_refusals_and_goes_on(small_disk: Path) -> None:
    with new_life(small_disk / "state") as (signer, life):
        assert signer.start()
        for _ in range(3):
            life.pending.pop(0)()
        garbage = fill(small_disk)
        refused = []
        for at in range(200):
            with pytest.raises(RefusedError) as caught:
                life._accept(f"full-{at}", 2) if at % 2 else life._accept("denied", 9)
                # What still fits is accepted; the disk is full soon.
                life.views.pop(f"full-{at}")
                raise RefusedError(Refusal("accepted", ""))
            refused.append(caught.value.refusal.code)
        assert "journal_unavailable" in refused
        # The reserve makes room for refusals.
        assert refused[-2:] == ["netuid_not_allowed", "journal_unavailable"], refused[-10:]
        assert signer.ask("gateway", Health()).journal_error == ""
        garbage.unlink()

        def retry(error: RefusedError) -> bool:
            time.sleep(0.1)
            return error.refusal.code in ("journal_unavailable", "too_early")

        assert life.go_on(retry)
        assert signer.stop() == 0


def signing(signer, life, stop: threading.Event, made: list[tuple[float, float]]) -> None:
    number = 0
    while not stop.is_set():
        number += 1
        body = SignText(crash_points.TOKEN, "validator", "default", f"text {number}")
        began = time.monotonic()
        try:
            signer.ask("gateway", body)
        except RefusedError as error:
            assert error.refusal.code == "locked", error.refusal
            continue
        made.append((began, time.monotonic()))


@pytest.mark.parametrize("door", ["signal", "file", "command"])
def test_no_signature_later_than_50_ms_after_a_door_falls_shut(door: str) -> None:
    with new_life() as (signer, life):
        assert signer.start()
        question = ClientAdd("t", "validator", "default", ("text",), None, 100_000, crash_points.TOKEN)
        signer.ask("admin", question)
        made: list[tuple[float, float]] = []
        stop = threading.Event()
        threads = [threading.Thread(target=signing, args=(signer, life, stop, made)) for _ in range(3)]
        for thread in threads:
            thread.start()
        while len(made) < 50:
            time.sleep(0.01)
        if door == "signal":
            assert signer.process is not None
            signer.process.send_signal(signal.SIGUSR1)
        elif door == "file":
            (signer.state / "lock").touch()
        else:
            signer.ask("admin", Lock("a test"))
        shut = time.monotonic()
        time.sleep(0.5)
        stop.set()
        for thread in threads:
            thread.join()
        late = max(0.0, max(ended for _, ended in made) - shut)
        print(f"{door}: the last signature came {late * 1000:.1f} ms after the door fell shut")
        assert late < 0.05
        # And it stays shut.
        signer.kill()
        assert signer.start()
        with pytest.raises(RefusedError, match="locked"):
            signer.ask("gateway", SignText(crash_points.TOKEN, "validator", "default", "again"))
        assert signer.ask("gateway", Health()).locked
        signer.ask("admin", Unlock())
        signer.ask("gateway", SignText(crash_points.TOKEN, "validator", "default", "again"))
        assert signer.stop() == 0
