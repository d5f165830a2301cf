"""Reliable messages on disk, so that they outlive kill -9 of their sender.

One file of JSON lines, appended before a message is sent and after it was acknowledged; it is rewritten when most of it
is history. A process that is killed loses nothing that was written; against loss of power `sync` makes each addition
durable, at the price of a disk's latency. A torn last line is what was never promised. One process at a time holds it.
"""

import fcntl
import json
import os
import secrets
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final, NamedTuple

_MIN_HISTORY: Final = 2000  # dead records that are never worth a rewrite
_MODE: Final = 0o600


class SpoolError(Exception):
    """The file cannot be used; names it and says why."""


class Kept(NamedTuple):
    """One message that was not acknowledged."""

    id: str
    priority: int
    line: str


class PeerRecord:
    """What is kept for one peer: the name of our stream to it, the next number, the messages by id."""

    __slots__ = ("kept", "next_number", "stream")

    def __init__(self, stream: str) -> None:
        self.stream = stream
        self.next_number = 1
        self.kept: dict[str, Kept] = {}


class Spool:
    """An open spool file; read at once, held until `close`.

    Raises:
        SpoolError: another process holds it, or it is damaged before its last line.
        OSError: it cannot be opened.
    """

    def __init__(self, path: str | Path, *, sync: bool = False) -> None:
        self._path = Path(path)
        self._sync = sync
        self._file = self._open()
        self.peers: dict[str, PeerRecord] = {}
        self._records = 0
        self._load()

    def peer(self, hotkey: str) -> PeerRecord:
        """The record of a peer; a new stream begins if there is none."""
        record = self.peers.get(hotkey)
        if record is None:
            record = self.peers[hotkey] = PeerRecord(secrets.token_hex(8))
            self._write(["peer", hotkey, record.stream, 1])
        return record

    def put(self, hotkey: str, number: int, kept: Kept) -> None:
        """Keeps a message; it is in the kernel's hands (with `sync`, on the disk) when this returns."""
        record = self.peer(hotkey)
        record.kept[kept.id] = kept
        record.next_number = max(record.next_number, number + 1)
        self._write(["put", hotkey, number, *kept])

    def acknowledge(self, hotkey: str, ids: Iterable[str]) -> None:
        """Lets go of messages."""
        record = self.peer(hotkey)
        done = [id_ for id_ in ids if record.kept.pop(id_, None) is not None]
        if not done:
            return
        self._write(["ack", hotkey, done])
        if self._records > _MIN_HISTORY + 4 * sum(len(peer.kept) for peer in self.peers.values()):
            self._rewrite()

    def close(self) -> None:
        """Gives it back; what is kept stays."""
        os.close(self._file)

    # ---

    def _open(self, path: Path | None = None) -> int:
        file = os.open(path or self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, _MODE)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(file)
            raise SpoolError(f"{self._path}: another process uses this spool file; give each its own") from None
        return file

    def _load(self) -> None:
        size = os.fstat(self._file).st_size
        data = os.pread(self._file, size, 0)
        whole = data.rfind(b"\n") + 1
        if whole < size:
            os.ftruncate(self._file, whole)  # torn: a write that was cut was never answered for
        for number, line in enumerate(data[:whole].splitlines(), 1):
            try:
                self._apply(json.loads(line))
            except (ValueError, KeyError, TypeError, IndexError):
                os.close(self._file)
                raise SpoolError(f"{self._path}: line {number} is damaged; move the file away to begin anew") from None
        self._records = data.count(b"\n")

    def _apply(self, record: list[Any]) -> None:
        what, hotkey, *rest = record
        if what == "peer":
            made = self.peers[hotkey] = PeerRecord(str(rest[0]))
            made.next_number = int(rest[1])
        elif what == "put":
            number, id_, priority, line = rest
            peer = self.peers[hotkey]
            peer.kept[id_] = Kept(str(id_), int(priority), str(line))
            peer.next_number = max(peer.next_number, int(number) + 1)
        elif what == "ack":
            for id_ in rest[0]:
                self.peers[hotkey].kept.pop(id_, None)
        else:
            raise ValueError(what)

    def _write(self, record: list[Any]) -> None:
        data = json.dumps(record, separators=(",", ":")).encode() + b"\n"
        _write_all(self._file, data)
        if self._sync:
            os.fdatasync(self._file)
        self._records += 1

    def _rewrite(self) -> None:
        """Writes what is alive to a new file and puts it in the place of the old one."""
        fresh = self._path.with_name(self._path.name + ".new")
        fresh.unlink(missing_ok=True)
        file = self._open(fresh)
        records: list[list[Any]] = []
        for hotkey, peer in self.peers.items():
            records.append(["peer", hotkey, peer.stream, peer.next_number])
            records += [["put", hotkey, int(kept.id.rpartition(".")[2]), *kept] for kept in peer.kept.values()]
        _write_all(file, b"".join(json.dumps(record, separators=(",", ":")).encode() + b"\n" for record in records))
        os.fsync(file)
        os.replace(fresh, self._path)
        os.close(self._file)
        self._file, self._records = file, len(records)


def _write_all(file: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(file, view) :]
