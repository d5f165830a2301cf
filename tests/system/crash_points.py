"""One whole life of a signer's journal, cut off at every point: real processes, their real sockets, a scripted chain.

Three kinds of cut, all on the real signer:

- ``run_killed``: SIGKILL on entering the K-th system call that writes (strace injects it);
- ``run_failing``: the K-th such call fails (EIO, ENOSPC; or all from the K-th on with EROFS);
- ``Recording``: the system calls of one life are recorded; then every state is made that a disk may be in when power
  fails at any of them: what was synced, and any part of what was not.

After each, the signer is started again and the life goes on to its end; ``Life.check`` says what must be true then.
By hand, about ten minutes: ``python tests/system/crash_points.py`` (all of it: ``--minutes 40``).
"""

import argparse
import base64
import collections
import contextlib
import dataclasses
import hashlib
import itertools
import json
import os
import random
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import bittensor_core

from wallet_guard.ipc.admin import AuditCheckpoint, Lock, Unlock
from wallet_guard.ipc.blocking import RefusedError, ask
from wallet_guard.ipc.chain import Event, Facts, Pull, Report, Runtime, Seal
from wallet_guard.ipc.clients import ClientAdd
from wallet_guard.ipc.health import Health
from wallet_guard.ipc.intents import Accept, IntentView, Show, State
from wallet_guard.ipc.packets import PacketError, PacketReader
from wallet_guard.ipc.wishes import SetWeights
from wallet_guard.signed.audit import Point, verify_chain
from wallet_guard.signed.checkpoint import open_checkpoint, parse_verifier
from wallet_guard.signer import disk
from wallet_guard.signer.auditkey import check_not_lost
from wallet_guard.signer.journal import Journal

METADATA = Path(__file__).parents[2] / "wallet_guard/devnet/data/subtensor-spec461-v15.scale"
GENESIS = hashlib.sha256(b"a chain for crashes").digest()
HEAD = 5_000
TOKEN = "wg_a-token-of-the-crash-tests-0123456789"
RECOVERY_SECONDS = 2.0

WRITES = "write,pwrite64,fsync,fdatasync,ftruncate,unlink,rename,fallocate"
"""What changes the state folder; the log on standard error and the sockets' files are among them."""

FAILURES = (
    *(("pwrite64", "EIO"), ("fdatasync", "EIO"), ("fsync", "EIO"), ("ftruncate", "EIO")),
    *(("pwrite64", "ENOSPC"), ("fallocate", "ENOSPC"), ("unlink", "EIO"), ("rename", "EIO")),
)
"""System call and error; each is tried at each of its occurrences."""

RESTORED = (
    *(("killed", "pwrite64", 24), ("killed", "fdatasync", 6), ("killed", "ftruncate", 2), ("killed", "unlink", 1)),
    *(("EIO", "pwrite64", 24), ("EIO", "fdatasync", 6), ("ENOSPC", "pwrite64", 24)),
)
"""Cut, call, and how many of its first occurrences: in the first start on a journal from a backup."""

READ_ONLY = "pwrite64,ftruncate,fallocate,unlink,rename"

FACTS = Facts(
    genesis_hash=GENESIS,
    spec_version=461,
    transaction_version=1,
    block_number=HEAD,
    era_block_number=HEAD - 2,
    era_block_hash=bytes(range(32)),
    block_time_ms=12_000,
    nonce=7,
    finalized_nonce=7,
    uid=1,
    uids=(),
    mechanisms=1,
    commit_reveal=False,
    commit_reveal_version=4,
    rate_limit=0,
    last_update=0,
    min_allowed_weights=1,
    max_weight_limit=65535,
    weights_version_key=0,
    tempo=360,
    reveal_period_epochs=1,
    last_epoch_block=HEAD - 100,
    pending_epoch_at=0,
    subnet_epoch_index=13,
    blocks_since_last_step=100,
)

RECOVERIES: list[tuple[float, float]] = []
"""Of all lives of this run; see ``Signer.recoveries``."""

GONE = (OSError, PacketError)


def has_strace() -> bool:
    """Can system calls be counted and made to fail here?"""
    if shutil.which("strace") is None:
        return False
    return (
        subprocess.run(["strace", "-qq", "-o", "/dev/null", "true"], capture_output=True, check=False).returncode == 0
    )


class Signer:
    """A signer's process on one folder, under strace where ``inject`` says so."""

    def __init__(self, folder: Path, state: Path | None = None) -> None:
        self.folder, self.state = folder, state or folder / "state"
        hotkeys = folder / "wallets/validator/hotkeys"
        hotkeys.mkdir(parents=True, mode=0o700)
        pair = bittensor_core.Keypair.create_from_uri("//Alice")
        with open(os.open(hotkeys / "default", os.O_WRONLY | os.O_CREAT, 0o600), "wb") as keyfile:
            keyfile.write(bytes(bittensor_core.serialized_keypair_to_keyfile_data(pair)))
        (folder / "run").mkdir(mode=0o700)
        (folder / "guard.toml").write_text(
            f"run = '{folder}/run'\n[signer]\nstate = '{self.state}'\nwallets = '{folder}/wallets'\n"
            "hotkeys = ['validator/default']\n[chain]\nnetwork = 'local'\n"
        )
        self.process: subprocess.Popen[bytes] | None = None
        self.recoveries: list[tuple[float, float]] = []
        """Seconds from each start to the first answer: by the clock, and of the processor."""

    def start(self, *strace: str) -> bool:
        """True once it answers; False if it ended before that."""
        command = [sys.executable, "-m", "wallet_guard.signer", "--config", str(self.folder / "guard.toml")]
        if strace:
            command = ["strace", "-f", "-qq", *strace, *command]
        environment = dict(os.environ) | {"PYTHONDONTWRITEBYTECODE": "1"}
        began = time.monotonic()
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen([*command, "--development"], stderr=log, env=environment)
        while self.process.poll() is None:
            with contextlib.suppress(*GONE):
                self.ask("admin", Health())
                if not strace:
                    self.recoveries.append((time.monotonic() - began, _processor_seconds(self.process.pid)))
                return True
            assert time.monotonic() < began + 60, self.log()
            time.sleep(0.01)
        return False

    def ask(self, name: str, question: Any) -> Any:
        return ask(str(self.folder / f"run/signer-{name}.sock"), question, seconds=20)

    def kill(self) -> None:
        """SIGKILL to the signer itself (its strace ends with it)."""
        assert self.process is not None
        for pid in [*_children(self.process.pid), self.process.pid]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait(30)

    def stop(self) -> int:
        """SIGTERM; the exit status."""
        assert self.process is not None
        for pid in _children(self.process.pid) or [self.process.pid]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
        return self.process.wait(30)

    def log(self) -> str:
        return (self.folder / "log").read_text()[-3000:]


def _processor_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _children(pid: int) -> list[int]:
    with contextlib.suppress(OSError):
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


class Life:
    """What a gateway, a chain process and an operator ask, in order; and all that they were told."""

    def __init__(self, signer: Signer) -> None:
        self.signer = signer
        self.runtime = Runtime(GENESIS, "node-subtensor", 461, 1, METADATA.read_bytes())
        self.views: dict[str, IntentView] = {}
        self.extrinsics: dict[str, set[bytes]] = collections.defaultdict(set)
        self.points: list[Point] = []
        self.denied = 0
        self.pending = self._steps()
        self.refuse_until_restart = False

    def go_on(self, retry: Callable[[RefusedError], bool] = lambda _error: False) -> bool:
        """Steps until the end (True) or until the signer is gone (False); a step cut off is asked again next time."""
        while self.pending:
            try:
                self.pending[0]()
            except GONE:
                return False
            except RefusedError as error:
                if retry(error):
                    continue
                raise
            self.pending.pop(0)
        return True

    def _steps(self) -> list[Callable[[], None]]:
        def report(key: str, event: Event, **changed: Any) -> Callable[[], None]:
            return lambda: self._report(key, event, changed)

        place = {"block_hash": "0x" + "ab" * 32, "block_number": HEAD + 1}
        return [
            *(self._add, lambda: self._accept("one", 2), self._deny, lambda: self._seal("one", 7)),
            *(report("one", Event.SUBMITTED), report("one", Event.IN_BLOCK, **place)),
            *(report("one", Event.FINALIZED, **place), self._read_back, self._checkpoint),
            *(lambda: self._accept("two", 3), self._lock, self._find_locked, self._unlock),
            *(lambda: self._seal("two", 8), report("two", Event.REJECTED, code="BadProof", message="no")),
            # Somebody else signs with the same hotkey.
            *(lambda: self._accept("three", 2), lambda: self._seal("three", 9)),
            *(report("three", Event.SUPERSEDED), self._find_key_locked, self._unlock_key),
        ]

    def _add(self) -> None:
        question = ClientAdd("node", "validator", "default", ("set_weights",), (2, 3), 1000, TOKEN)
        try:
            self.signer.ask("admin", question)
        except RefusedError as error:
            if "is taken" not in error.refusal.message:
                raise

    def _accept(self, key: str, netuid: int) -> None:
        wish = SetWeights("validator", "default", netuid, 0, (1, 2, 3), None, (100.0, 200.0, 300.0), 0)
        view = self.signer.ask("gateway", Accept(TOKEN, key, False, wish))
        known = self.views.get(key)
        assert known is None or known.intent == view.intent, "the same key gave a second intent"
        self.views[key] = view

    def _deny(self) -> None:
        try:
            self._accept("denied", 9)
        except RefusedError as error:
            if error.refusal.code != "netuid_not_allowed":
                raise
            self.denied += 1
            return
        raise AssertionError("what policy refuses was accepted")

    def _seal(self, key: str, nonce: int) -> None:
        facts = dataclasses.replace(FACTS, nonce=nonce, finalized_nonce=nonce)
        intent = self.views[key].intent
        for _ in range(2):
            try:
                task = self.signer.ask("chain", Seal(intent, facts))
                break
            except RefusedError as error:
                if error.refusal.code != "runtime_unknown":
                    raise
                self.signer.ask("chain", self.runtime)
        assert task.extrinsic is not None
        self.extrinsics[intent].add(task.extrinsic)
        for other in self.signer.ask("chain", Pull()).tasks:
            if other.extrinsic is not None:
                self.extrinsics[other.intent].add(other.extrinsic)
        self._show(key)

    def _report(self, key: str, event: Event, changed: dict[str, Any]) -> None:
        self.signer.ask("chain", Report(self.views[key].intent, event, **changed))
        self._show(key)

    def _read_back(self) -> None:
        view = self._show("one")
        self._report("one", Event.WEIGHTS, {"weights": view.weights, "block_number": HEAD + 1})

    def _show(self, key: str) -> IntentView:
        view = self.signer.ask("gateway", Show(TOKEN, self.views[key].intent))
        assert view.version >= self.views[key].version, "an acknowledged step was lost"
        self.views[key] = view
        return view

    def _checkpoint(self) -> None:
        said = self.signer.ask("admin", AuditCheckpoint())
        self.points.append(open_checkpoint(said.note, parse_verifier(said.key)).point)

    def _lock(self) -> None:
        self.signer.ask("admin", Lock("a crash test"))

    def _find_locked(self) -> None:
        for attempt in (lambda: self._accept("locked", 2), lambda: self._seal("two", 8)):
            try:
                attempt()
            except RefusedError as error:
                if error.refusal.code != "locked":
                    raise
            else:
                raise AssertionError("a locked signer took on work")

    def _unlock(self) -> None:
        self.signer.ask("admin", Unlock())

    def _find_key_locked(self) -> None:
        try:
            self._accept("locked", 3)
        except RefusedError as error:
            if error.refusal.code != "locked":
                raise
            assert "hotkey validator/default is locked: nonce 9 was taken" in error.refusal.message, error.refusal
        else:
            raise AssertionError("a locked key took on work")

    def _unlock_key(self) -> None:
        self.signer.ask("admin", Unlock(key="validator/default"))

    def check(self) -> None:
        """What must be true at the end, of a signer that was stopped."""
        with contextlib.closing(sqlite3.connect(self.signer.state / "journal.sqlite3")) as journal:
            rows = journal.execute("SELECT seq, at_ms, kind, client, body, hash FROM audit ORDER BY seq").fetchall()
            intents = journal.execute("SELECT id, idempotency_key, state, extrinsic, extrinsic_hash FROM intents")
            found = {key: (intent, *rest) for intent, key, *rest in intents}
        verify_chain(rows, known=self.points)
        assert found.keys() == {"one", "two", "three"}, "an intent too many, or one that was lost"
        said = [(kind, json.loads(body)) for _, _, kind, _, body, _ in rows]
        kinds = collections.Counter(kind for kind, _ in said)
        for key, state in (("one", State.EFFECTIVE), ("two", State.FAILED), ("three", State.SIGNED)):
            intent, stands, extrinsic, digest = found[key]
            assert (intent, stands) == (self.views[key].intent, state)
            assert self.extrinsics[intent] == {extrinsic}, "two extrinsics for one intent"
            signed = [body["extrinsic"] for kind, body in said if kind == "signed" and body["intent"] == intent]
            assert signed == [digest], "a signature without a record, or a second one"
            accepted = [body for kind, body in said if kind == "accepted" and body["intent"] == intent]
            assert len(accepted) == 1
        assert kinds["denied"] >= self.denied > 0
        assert kinds["locked"] >= 1
        assert kinds["unlocked"] >= 1
        assert (kinds["key_locked"], kinds["key_unlocked"], kinds["runtime_seen"]) == (1, 1, 1)
        assert "Traceback" not in self.signer.log(), self.signer.log()


def _finish(signer: Signer, life: Life) -> None:
    """Starts it again, lives on to the end, checks."""
    for _ in range(3):
        assert signer.start(), signer.log()
        if life.go_on():
            break
    assert signer.stop() == 0, signer.log()
    life.check()
    RECOVERIES.extend(signer.recoveries)
    # By the clock where this machine has the time; a busy one is not the signer's fault.
    for wall, processor in signer.recoveries:
        assert min(wall, 2 * processor) < RECOVERY_SECONDS, f"recovery took {wall:.2f} s, {processor:.2f} s of work"


@contextlib.contextmanager
def new_life(state: Path | None = None) -> Iterator[tuple[Signer, Life]]:
    folder = Path(tempfile.mkdtemp(prefix="crash"))
    signer = Signer(folder, state)
    try:
        yield signer, Life(signer)
    finally:
        if signer.process is not None and signer.process.poll() is None:
            signer.kill()
        shutil.rmtree(folder)


def count_calls() -> collections.Counter[str]:
    """How often each call of WRITES is made in one life, start and stop included."""
    with new_life() as (signer, life):
        trace = signer.folder / "trace"
        assert signer.start("-o", str(trace), "-e", f"trace={WRITES}")
        assert life.go_on()
        assert signer.stop() == 0
        life.check()
        return collections.Counter(re.findall(r"^\d+ +(\w+)\(", trace.read_text(), re.MULTILINE))


def run_killed(call: str, at: int) -> bool:
    """SIGKILL on entering the ``at``-th of this call. False if the life ended before it."""
    with new_life() as (signer, life):
        inject = f"inject={call}:signal=KILL:when={at}"
        if signer.start("-o", "/dev/null", "-e", f"trace={call}", "-e", inject) and life.go_on():
            signer.stop()
        assert signer.process is not None
        killed = signer.process.wait(30) != 0
        _finish(signer, life)
        return killed


def run_failing(calls: str, error: str, at: str) -> None:
    """The ``at``-th of each call fails (``3+``: and all after it). After a failed write or sync nothing is signed."""
    with new_life() as (signer, life):
        inject = f"inject={calls}:error={error}:when={at}"
        refused: list[str] = []

        def retry(found: RefusedError) -> bool:
            refused.append(found.refusal.code)
            # An intent that was refused because the disk was full is due again some seconds later.
            assert found.refusal.code in ("journal_unavailable", "too_early", "lock_file"), found.refusal
            # A full disk passes; anything else lasts until a restart.
            time.sleep(0.05)
            return (error == "ENOSPC" or found.refusal.code == "lock_file") and len(refused) < 200

        with contextlib.suppress(RefusedError):
            if signer.start("-o", "/dev/null", "-e", f"trace={calls}", "-e", inject):
                life.go_on(retry)
        if "journal_unavailable" in refused and error != "ENOSPC":
            _check_refuses(signer, life)
        signer.kill()
        _finish(signer, life)


def _check_refuses(signer: Signer, life: Life) -> None:
    wish = SetWeights("validator", "default", 2, 0, (1,), None, (1.0,), 0)
    asked = [("gateway", Accept(TOKEN, "later", False, wish)), ("admin", AuditCheckpoint())]
    asked += [("chain", Seal(view.intent, FACTS)) for view in life.views.values() if view.state is State.ACCEPTED]
    for name, question in asked:
        code = _refusal_code(signer, name, question)
        # A client that was not added is a stranger.
        assert code in ("journal_unavailable", "unauthorized", "runtime_unknown", "locked"), code


def _refusal_code(signer: Signer, name: str, question: Any) -> str:
    try:
        return f"not refused but answered: {signer.ask(name, question)}"
    except RefusedError as error:
        return error.refusal.code


# Lost writes --------------------------------------------------------------------------------------------------------

LINE = re.compile(r"^(\d+) +(\w+)\((.*)\) += (-?\d+)", re.DOTALL)
FD = re.compile(r"(-?\d+)<([^>]*)>")
QUOTED = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')


@dataclasses.dataclass
class Op:
    """One recorded step. ``kind``: write, truncate, create, remove, rename, sync, sync_folder, told."""

    kind: str
    name: str = ""
    at: int = 0
    data: bytes = b""


class Recording:
    """What one life did to its state folder, and what it said, in one order."""

    def __init__(self, text: str, state: Path) -> None:
        self.ops: list[Op] = []
        self._state, self._reader = str(state), {}
        for line in text.splitlines():
            found = LINE.match(line)
            if found and int(found[4]) >= 0:
                self._take(found[2], found[3])

    def _take(self, call: str, text: str) -> None:
        strings = [bytes.fromhex(each.replace("\\x", "")) for each in QUOTED.findall(text)]
        fd = FD.search(text)
        path = _unescape(fd[2]) if fd else ""
        name = path.removeprefix(self._state + "/") if path.startswith(self._state + "/") else ""
        if name.endswith("-shm") or name == disk.RESERVE_FILE:
            return
        numbers = [int(number) for number in re.findall(r", (\d+)", QUOTED.sub("", text))]
        if call == "sendto" and strings:
            self.ops.append(Op("told", data=strings[0]))
        elif call == "openat" and strings and "O_CREAT" in text:
            self._create(strings[0].decode())
        elif call in ("unlink", "rename") and strings:
            self._rearrange(call, [each.decode() for each in strings])
        elif path == self._state and call in ("fsync", "fdatasync"):
            self.ops.append(Op("sync_folder"))
        elif name and call in ("fsync", "fdatasync"):
            self.ops.append(Op("sync", name))
        elif name and call == "pwrite64":
            self.ops.append(Op("write", name, numbers[-1], strings[0]))
        elif name and call == "write":
            self.ops.append(Op("write", name, -1, strings[0]))
        elif name and call == "ftruncate":
            self.ops.append(Op("truncate", name, numbers[-1]))

    def _create(self, path: str) -> None:
        name = path.removeprefix(self._state + "/")
        if name != path and not name.endswith("-shm") and name != disk.RESERVE_FILE:
            self.ops.append(Op("create", name))

    def _rearrange(self, call: str, paths: list[str]) -> None:
        names = [path.removeprefix(self._state + "/") for path in paths]
        if names != paths and not names[0].endswith("-shm"):
            self.ops.append(Op("remove" if call == "unlink" else "rename", names[0], data=names[-1].encode()))


def _unescape(text: str) -> str:
    return bytes.fromhex(text.replace("\\x", "")).decode() if text.startswith("\\x") else text


def record_life() -> Recording:
    with new_life() as (signer, life):
        trace = signer.folder / "trace"
        calls = f"trace=openat,sendto,{WRITES}"
        assert signer.start("-o", str(trace), "-y", "-xx", "-s", "4194304", "-e", calls)
        assert life.go_on()
        assert signer.stop() == 0
        life.check()
        return Recording(trace.read_text(), signer.state)


@dataclasses.dataclass
class Told:
    """What had been said when the power failed: it must be true afterwards."""

    versions: dict[str, int] = dataclasses.field(default_factory=dict)
    extrinsics: dict[str, bytes] = dataclasses.field(default_factory=dict)
    points: list[Point] = dataclasses.field(default_factory=list)
    added: bool = False

    def take(self, data: bytes) -> None:
        for message in PacketReader().feed(data):
            body = message.get("answer") or message.get("body") or {}
            if "accepted_ms" in body:
                self.versions[body["intent"]] = max(body["version"], self.versions.get(body["intent"], 0))
            for task in [body, *body.get("tasks", ())]:
                if task.get("extrinsic"):
                    self.extrinsics[task["intent"]] = base64.b64decode(task["extrinsic"])
            if "note" in body:
                self.points.append(open_checkpoint(body["note"], parse_verifier(body["key"])).point)
            self.added = self.added or "token" in body


class Disk:
    """A disk that keeps what was synced, and of the rest what it likes."""

    def __init__(self) -> None:
        self.durable: dict[str, bytes] = {}
        self.pending: list[Op] = []

    def take(self, op: Op) -> None:
        if op.kind == "create" and op.name in self.names():
            return
        if op.kind == "sync":
            own = [each for each in self.pending if each.name == op.name and each.kind in ("write", "truncate")]
            # Its name is not synced with it: that takes the folder.
            created = any(each.kind == "create" and each.name == op.name for each in self.pending)
            if created:
                at = next(at for at, each in enumerate(self.pending) if each.kind == "create" and each.name == op.name)
                content = self.pending[at].data
                for each in own:
                    content = changed(content, each)
                self.pending[at] = dataclasses.replace(self.pending[at], data=content)
            else:
                content = self.durable.get(op.name, b"")
                for each in own:
                    content = changed(content, each)
                self.durable[op.name] = content
            self.pending = [each for each in self.pending if each not in own]
        elif op.kind == "sync_folder":
            names = [each for each in self.pending if each.kind in ("create", "remove", "rename")]
            rest = [each for each in self.pending if each not in names]
            self.durable = applied(self.durable, names)
            self.pending = [each for each in rest if each.name in self.durable]
        else:
            self.pending.append(op)

    def names(self) -> set[str]:
        return set(applied(self.durable, self.pending))

    def states(self, chosen: random.Random, most: int) -> Iterator[dict[str, bytes]]:
        """Ways in which the disk may be found: all of what is pending, none, and parts of it, the last write torn."""
        count = len(self.pending)
        subsets: Iterator[tuple[int, ...]]
        if 2**count <= most:
            subsets = itertools.chain.from_iterable(itertools.combinations(range(count), n) for n in range(count + 1))
        else:
            ends = [tuple(range(n)) for n in range(count + 1)]
            without = [tuple(k for k in range(count) if k != n) for n in range(count)]
            mixed = (tuple(k for k in range(count) if chosen.random() < 0.5) for _ in range(most))
            subsets = itertools.islice(itertools.chain(ends, without, mixed), most)
        for subset in subsets:
            kept = [self.pending[k] for k in subset]
            yield applied(self.durable, kept)
            if kept and kept[-1].kind == "write" and len(kept[-1].data) > 512:
                cut = 512 * chosen.randrange(1, len(kept[-1].data) // 512 + 1)
                torn = dataclasses.replace(kept[-1], data=kept[-1].data[:cut])
                yield applied(self.durable, [*kept[:-1], torn])


def changed(content: bytes, op: Op) -> bytes:
    if op.kind == "truncate":
        return content[: op.at].ljust(op.at, b"\0")
    at = len(content) if op.at < 0 else op.at
    return content[:at].ljust(at, b"\0") + op.data + content[at + len(op.data) :]


def applied(files: dict[str, bytes], ops: list[Op]) -> dict[str, bytes]:
    found = dict(files)
    for op in ops:
        if op.kind == "create":
            found.setdefault(op.name, op.data)
        elif op.kind == "remove":
            found.pop(op.name, None)
        elif op.kind == "rename":
            if op.name in found:
                found[op.data.decode()] = found.pop(op.name)
        elif op.name in found:
            found[op.name] = changed(found[op.name], op)
    return found


def replay(recording: Recording, *, most: int, seed: int = 1) -> int:
    """Opens the journal in every state (at most ``most`` per step); how many distinct ones there were."""
    chosen, seen = random.Random(seed), set()
    made, told = Disk(), Told()
    base = Path("/dev/shm") if Path("/dev/shm").is_dir() else None
    with tempfile.TemporaryDirectory(dir=base) as folder:
        for op in recording.ops:
            if op.kind == "told":
                told.take(op.data)
            else:
                made.take(op)
            for files in made.states(chosen, most):
                key = _digest(files, told)
                if key not in seen:
                    seen.add(key)
                    check_state(Path(folder, "state"), files, told)
    return len(seen)


def _digest(files: dict[str, bytes], told: Told) -> bytes:
    digest = hashlib.blake2b(repr(told).encode())
    for name, content in sorted(files.items()):
        digest.update(f"\0{name} {len(content)} ".encode())
        digest.update(content)
    return digest.digest()


def check_state(folder: Path, files: dict[str, bytes], told: Told) -> None:
    """Opens a journal on these files as the signer does; everything told must be there."""
    folder.mkdir(mode=0o700)
    try:
        for name, content in files.items():
            with open(os.open(folder / name, os.O_WRONLY | os.O_CREAT, 0o600), "wb") as file:
                file.write(content)
        check_not_lost(folder)
        journal = Journal(folder)
        try:
            records = list(journal.records())
            verify_chain(records, known=told.points)
            assert not told.added or journal.clients(), "an acknowledged client was lost"
            signed = {json.loads(record.body)["extrinsic"] for record in records if record.kind == "signed"}
            for intent, version in told.versions.items():
                stands = journal.intent(intent)
                assert stands is not None, "an acknowledged intent was lost"
                assert stands.version >= version, "an acknowledged step was lost"
            for intent, extrinsic in told.extrinsics.items():
                stands = journal.intent(intent)
                assert stands is not None
                assert stands.extrinsic == extrinsic, "an extrinsic that was given out was lost"
            for stands in journal.newest_intents(100):
                assert stands.extrinsic_hash is None or stands.extrinsic_hash in signed, "a signature without a record"
                _check_lane(journal, stands)
            locks = [record.kind for record in records if record.kind in ("key_locked", "key_unlocked")]
            assert bool(journal.locked_lanes()) == (locks[-1:] == ["key_locked"]), "a lock and its record differ"
        finally:
            journal.close()
    finally:
        shutil.rmtree(folder)


def _check_lane(journal: Journal, intent: Any) -> None:
    """Whatever was signed is ours to the lanes, until its key was unlocked."""
    lane = journal.lane(intent.ss58_address)
    if lane is not None and intent.nonce is not None and intent.nonce >= lane:
        assert journal.count_signatures(intent.ss58_address, intent.nonce) > 0, (
            "a signature that its lane does not know"
        )


# A journal from a backup --------------------------------------------------------------------------------------------


def run_restored(how: str, call: str, at: int) -> bool:
    """The first start on a copy is cut at the ``at``-th call (``how``: killed, or an error). True if it was cut there.

    However it ends: the generation is opened exactly once, before anything else is decided.
    """
    with new_life() as (signer, life):
        assert signer.start()
        while life.pending[0] != life._read_back:
            life.pending.pop(0)()
        life._accept("two", 3)
        assert signer.stop() == 0
        with contextlib.closing(sqlite3.connect(signer.state / "journal.sqlite3")) as journal:
            # As ``wallet-guard backup`` marks what it copies.
            journal.execute("INSERT INTO meta VALUES ('copied_ms', '1')")
            journal.commit()
        inject = f"inject={call}:signal=KILL:when={at}" if how == "killed" else f"inject={call}:error={how}:when={at}"
        trace = signer.folder / "trace"
        started = signer.start("-o", str(trace), "-e", f"trace={WRITES}", "-e", inject)
        cut = not started or "INJECTED" in trace.read_text()
        signer.kill()
        assert signer.start(), signer.log()
        _check_restored(signer, life)
        return cut


def _check_restored(signer: Signer, life: Life) -> None:
    for name, question in (
        ("gateway", Accept(TOKEN, "new", False, SetWeights("validator", "default", 2, 0, (1,), None, (1.0,), 0))),
        ("chain", Seal(life.views["two"].intent, FACTS)),
    ):
        assert _refusal_code(signer, name, question) in ("locked", "finished")
    assert _refusal_code(signer, "admin", Unlock()) == "too_early"
    assert signer.ask("gateway", Show(TOKEN, life.views["two"].intent)).failure.code == "restored"
    assert signer.ask("gateway", Show(TOKEN, life.views["one"].intent)).state is State.FINALIZED
    assert signer.stop() == 0
    with contextlib.closing(sqlite3.connect(signer.state / "journal.sqlite3")) as journal:
        rows = journal.execute("SELECT seq, at_ms, kind, client, body, hash FROM audit ORDER BY seq").fetchall()
        numbers = dict(journal.execute("SELECT key, value FROM meta WHERE key IN ('generation', 'copied_ms')"))
    verify_chain(rows, known=life.points)
    assert numbers == {"generation": "2", "copied_ms": ""}
    assert [kind for _, _, kind, _, _, _ in rows].count("restored") == 1
    assert "Traceback" not in signer.log(), signer.log()


def main() -> None:
    """The long run."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--most", type=int, default=200, help="states of the disk per step; 0 for none")
    parser.add_argument("--seed", type=int, default=1, help="another seed begins with other points")
    chosen = parser.parse_args()
    ends = time.monotonic() + chosen.minutes * 60
    disk.RESERVE_BYTES = 4096
    began = time.monotonic()
    if chosen.most:
        states = replay(record_life(), most=chosen.most, seed=chosen.seed)
        print(f"lost writes: {states} distinct states of the disk, {time.monotonic() - began:.0f} s", flush=True)
    counted = count_calls()
    print(f"system calls of one life: {dict(counted)}", flush=True)
    plan = [("killed", call, str(at)) for call, count in counted.items() for at in range(1, count + 1)]
    for call, error in FAILURES:
        plan += [(error, call, str(at)) for at in range(1, counted[call] + 1)]
    # As after a remount: everything that writes fails from there on.
    plan += [("EROFS", READ_ONLY, f"{at}+") for at in range(1, counted["pwrite64"] + 1, 4)]
    # The first start on a copy writes about 20 times until it answers.
    plan += [("restored", f"{how} {call}", str(at)) for how, call, most in RESTORED for at in range(1, most + 1)]
    random.Random(chosen.seed).shuffle(plan)
    done: collections.Counter[str] = collections.Counter()
    failed = 0
    for how, call, at in plan:
        if time.monotonic() > ends:
            break
        try:
            if how == "restored":
                run_restored(*call.split(), int(at))
            elif how == "killed":
                run_killed(call, int(at))
            else:
                run_failing(call, how, at)
        except Exception as error:
            failed += 1
            print(f"FAILED: {how} {call} {at}: {type(error).__name__}: {str(error)[:2000]}", flush=True)
        done[f"{how} {call}"] += 1
    print(f"processes: {sum(done.values())} of {len(plan)} points, {failed} failed: {dict(done)}")
    walls = sorted(wall for wall, _ in RECOVERIES)
    if walls:
        work = max(processor for _, processor in RECOVERIES)
        print(f"recovery: median {walls[len(walls) // 2]:.2f} s, slowest {walls[-1]:.2f} s, most work {work:.2f} s")
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
