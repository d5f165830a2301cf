"""The journal's file: opened, checked, written in durable steps, closed."""

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from wallet_guard.host.config import ConfigurationError
from wallet_guard.host.private import ensure_private_folder
from wallet_guard.signed.audit import BrokenChainError, Point
from wallet_guard.signer.disk import Disk
from wallet_guard.signer.journal.auditchain import AuditChain, check_newest_records
from wallet_guard.signer.journal.reading import Reading
from wallet_guard.signer.journal.schema import SCHEMA, SCHEMA_VERSION
from wallet_guard.signer.journal.upgrade import UPGRADABLE, upgrade
from wallet_guard.signer.journal.writer import Writer

JOURNAL_FILE = "journal.sqlite3"

MAX_LOG_BYTES = 4 * 1024 * 1024
"""4 MiB: SQLite's own default, a thousand pages. Then the log is copied into the file, and written from its beginning.
"""

COMMITS_BETWEEN = 32
"""Before the log is copied again: it keeps its length, so that alone does not say how much of it is new."""


class JournalError(Exception):
    """The journal cannot be written. Nothing may be signed until a restart has checked it."""


@dataclass(slots=True)
class _Group:
    """Steps that one commit will make durable."""

    head: Point
    """The audit chain's before the first of them."""
    begun: bool = False
    lost: str = ""
    """Why nothing of them can be kept."""


class Journal(Reading):
    """The open file. One process, one connection; every write goes through ``transaction``.

    Raises (on opening):
        ConfigurationError: the folder or file is not private, is in use, is damaged, or is of a later version.
    """

    def __init__(self, folder: str | Path) -> None:
        ensure_private_folder(folder)
        self.path = Path(folder) / JOURNAL_FILE
        self._lock = _lock_folder(Path(folder))
        self._group: _Group | None = None
        self._commits = 0
        """Since the log was last copied into the file."""
        self.error = ""
        """Why nothing can be written any more; "" while all is well."""
        try:
            super().__init__(sqlite3.connect(self.path, isolation_level=None, timeout=2.0))
            try:
                self._open()
                self._chain = AuditChain(self._db)
            except BaseException:
                self.close()
                raise
        except sqlite3.Error as error:
            raise ConfigurationError(f"{self.path}: expected a sound journal: {error}") from error
        self.path.chmod(0o600)
        self.disk = Disk(self.path)
        self.disk.hold()

    def _open(self) -> None:
        for pragma in (
            "journal_mode = WAL",
            "synchronous = FULL",
            "foreign_keys = ON",
            # 256 KiB of cache: a transaction touches about ten pages of 4 KiB, and the signer is meant to stay small.
            "cache_size = -256",
            "wal_autocheckpoint = 0",
        ):
            self._db.execute(f"PRAGMA {pragma}")
        (version,) = self._db.execute("PRAGMA user_version").fetchone()
        if version == 0:
            self._db.executescript(f"BEGIN IMMEDIATE; {SCHEMA} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;")
        elif version != SCHEMA_VERSION and version not in UPGRADABLE:
            raise ConfigurationError(
                f"{self.path}: expected journal version {SCHEMA_VERSION}, found {version}: another version of this "
                "program made it; run that one, or restore a backup that this one made"
            )
        else:
            (sound,) = self._db.execute("PRAGMA quick_check(1)").fetchone()
            if sound != "ok":
                raise ConfigurationError(f"{self.path}: expected a sound journal, found: {sound}")
            try:
                check_newest_records(self._db)
            except BrokenChainError as error:
                why = f"the audit chain is broken: {error}; restore a backup"
                raise ConfigurationError(f"{self.path}: {why}") from error
            if version in UPGRADABLE:
                upgrade(self._db)
        # What a crash left in the log is written and synced once more, before anything is decided on it: after a failed
        # sync the system may show what it could not write.
        self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def close(self) -> None:
        """Closes the file; what was committed stays."""
        self._db.close()
        os.close(self._lock)

    @contextmanager
    def transaction(self) -> Iterator[Writer]:
        """One step: all of what the writer was told, or nothing. Durable on return, or with its group (``together``).

        Raises:
            JournalError: it could not be written; from then on every transaction raises (unless the disk is full).
        """
        group = self._group
        if group is None:
            with self.together(), self.transaction() as writer:
                yield writer
            return
        if group.lost:
            raise JournalError(group.lost)
        head, is_first = self._chain.head, not group.begun
        # Once for all of a group: whether the files are still there is looked at again when it is committed.
        self._check_place(look=is_first)
        writer = Writer(self._db, self._chain)
        try:
            self._db.execute("BEGIN IMMEDIATE" if is_first else "SAVEPOINT step")
            group.begun = True
            try:
                yield writer
            except sqlite3.Error:
                raise  # SQLite may have rolled back everything by itself
            except BaseException:
                self._db.execute("ROLLBACK" if is_first else "ROLLBACK TO step")
                if is_first:
                    group.begun = False
                else:
                    self._db.execute("RELEASE step")
                self._chain.head = head
                raise
            if not is_first:
                self._db.execute("RELEASE step")
        except sqlite3.Error as error:
            raise self._give_up(group, error) from error
        finally:
            if writer.changed_clients:
                self._clients = None

    @contextmanager
    def together(self) -> Iterator[None]:
        """Transactions inside become durable in one sync, at the end. One of them that fails leaves the others alone.

        Nobody may be told of what they did before this returned.

        Raises:
            JournalError: nothing of what was written inside is there.
        """
        assert self._group is None, "groups do not nest"
        group = self._group = _Group(self._chain.head)
        try:
            try:
                yield
                if group.lost:
                    raise JournalError(group.lost)
                if group.begun:
                    self._db.execute("COMMIT")
                    group.begun = False
                    self._commits += 1
                    self._check_place()
            except sqlite3.Error as error:
                raise self._give_up(group, error) from error
            finally:
                if group.begun and not group.lost:
                    self._undo(group)
        finally:
            self._group = None
        if self._commits >= COMMITS_BETWEEN and self.disk.log_bytes() > MAX_LOG_BYTES:
            self._empty_log()

    def _give_up(self, group: _Group, error: sqlite3.Error) -> JournalError:
        """Nothing of the group is kept."""
        self._undo(group)
        group.lost = f"the journal cannot be written: {error}"
        if _is_full(error):
            self.disk.release()
        else:
            self.error = group.lost
        return JournalError(group.lost)

    def _undo(self, group: _Group) -> None:
        # A commit that failed may leave its transaction open, and then this connection would read, and the signer
        # give out, what is on no disk.
        with suppress(sqlite3.Error):
            self._db.execute("ROLLBACK")
        self._chain.head, self._clients = group.head, None

    def _check_place(self, *, look: bool = True) -> None:
        if look and not self.error:
            self.error = self.disk.why_moved()
            if self.error:
                # Where only the log was removed, what it holds can still be saved into the file.
                with suppress(sqlite3.Error):
                    self._db.execute("PRAGMA wal_checkpoint(PASSIVE)")
        if self.error:
            raise JournalError(self.error)

    def _empty_log(self) -> None:
        """Copies the log into the file. The transaction before it is safe whatever comes of this; the next is not."""
        self._commits = 0
        try:
            self._db.execute("PRAGMA wal_checkpoint(PASSIVE)")
        except sqlite3.Error as error:
            if _is_full(error):
                self.disk.release()
            else:
                self.error = f"the journal cannot be written: {error}"

    @property
    def audit_head(self) -> Point:
        """Number and hash of the newest audit record."""
        return self._chain.head


def _is_full(error: sqlite3.Error) -> bool:
    # Errors that SQLite itself did not raise have no code.
    return getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL


def _lock_folder(folder: Path) -> int:
    # A second signer on the same journal would be a second clock and a second nonce lane. SQLite's own exclusive mode
    # would also keep out readers such as `audit verify`.
    lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(lock)
        raise ConfigurationError(f"{folder}: expected no other signer on this journal, found one running") from error
    return lock
