"""Lockdown: one state in which nothing is signed, with three doors in and one way out.

In: ``wallet-guard lock`` (admin socket), SIGUSR1, or a file named ``lock`` in the state folder. Out: ``wallet-guard
unlock`` only, at the signer's own machine; removing the file alone does not unlock. A request for the canary key is a
fourth door.

``check`` is asked by every ``Key`` right before it signs (``Desk`` puts it there), so no route can forget it; it costs
one look at the folder. Memory is closed first, then the file is made, then the journal is written: whatever a crash or
a full disk leaves of these three, the next start finds it closed. Opening goes the other way round.
"""

import contextlib
import logging
import os

from wallet_guard.signer.journal import Journal, JournalError

log = logging.getLogger(__name__)

LOCK_FILE = "lock"

LOCK_META = "locked"

MAX_REASON_CHARACTERS = 200
"""A sentence; it is shown in status and kept in the audit chain."""

BY_FILE = f"the file '{LOCK_FILE}' in the state folder"


class LockedError(Exception):
    """Nothing is signed now; the message says why."""


class Lockdown:
    """Open or locked, durably. ``journal`` tells where the state folder is and remembers."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._file = str(journal.path.with_name(LOCK_FILE))
        self._why = journal.meta(LOCK_META) or ""
        self._settled = bool(self._why)

    @property
    def why(self) -> str:
        """The reason while locked, "" while open."""
        if not self._why and os.path.lexists(self._file):
            self._why = BY_FILE
        return self._why

    def check(self) -> None:
        """Returns while open.

        Raises:
            LockedError: locked.
        """
        if self.why:
            raise LockedError(f"the signer is locked: {self._why}")

    def engage(self, why: str) -> None:
        """Locks at once; ``settle`` makes it durable. Safe in a signal handler: no journal is touched."""
        if not self._why:
            self._why = why[:MAX_REASON_CHARACTERS] or "no reason given"
        # The file alone outlives a crash before the journal is written, and a journal that cannot be.
        with contextlib.suppress(OSError):
            os.close(os.open(self._file, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))

    def settle(self, now_ms: int) -> None:
        """Writes a lock that is not in the journal yet into it, and into the audit chain.

        Raises:
            JournalError: it could not be written; locked it is all the same.
        """
        if self._settled or not self.why:
            return
        # The journal is where it stands in the end; this only makes a third door leave what the others leave.
        self.engage(self._why)
        log.critical(f"locked: {self._why}; nothing is signed until 'wallet-guard unlock'")
        try:
            with self._journal.transaction() as writer:
                writer.set_meta(LOCK_META, self._why)
                writer.record(now_ms, "locked", "", why=self._why)
        except JournalError:
            # A full disk passes. With a journal that is broken nothing is signed anyway, and the file stays.
            self._settled = bool(self._journal.error)
            raise
        self._settled = True

    def release(self, now_ms: int, *, forced: bool = False) -> None:
        """Opens again; ``forced``, before it should be, is written down.

        Raises:
            JournalError: it could not be written; it stays locked.
            OSError: the file could not be removed; it stays locked.
        """
        with self._journal.transaction() as writer:
            writer.set_meta(LOCK_META, "")
            writer.record(now_ms, "unlocked", "", was=self._why, **({"forced": True} if forced else {}))
        try:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._file)
        except OSError:
            self._settled = False
            raise
        self._why, self._settled = "", False
        log.warning("unlocked")
