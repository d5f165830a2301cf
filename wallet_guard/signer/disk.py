"""The disk under the journal: are its files still in their place, and is there room left?

SQLite goes on writing to a file that was removed or replaced under it: everything would be acknowledged, and nothing
would be there after a restart. So the two files are looked at before and after each transaction.

Room is reserved by a file of real blocks. When the disk is full, that file is given back: then there is room to write
down refusals and what becomes of extrinsics under way, while nothing new is accepted or signed; as soon as the disk has
room for it again, the file is made anew and signing goes on.
"""

import contextlib
import os
from pathlib import Path

RESERVE_FILE = "reserve"

RESERVE_BYTES = 8 * 1024 * 1024
"""8 MiB: 20,000 refusals of 400 bytes, or the ends of all intents that can be open."""


class Disk:
    """The journal's two files and its reserve; ``path`` is the main file, which must be open in WAL mode."""

    def __init__(self, path: Path) -> None:
        self._path = str(path)
        self._log = f"{path}-wal"
        self._reserve = str(path.with_name(RESERVE_FILE))
        self._places = (_place(self._path), _place(self._log))
        self.is_short = False
        """The disk was full; nothing new is signed until ``hold`` finds room."""

    def why_moved(self) -> str:
        """What is no longer where it was, "" while both files are in place."""
        for path, place in zip((self._path, self._log), self._places, strict=True):
            if _place(path) != place:
                return f"{path} was removed or replaced"
        return ""

    def log_bytes(self) -> int:
        """How long SQLite's log is."""
        try:
            return os.stat(self._log).st_size
        except OSError:
            return 0

    def hold(self) -> bool:
        """Makes sure of the reserve; False if there is no room for it."""
        try:
            reserve = os.open(self._reserve, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            try:
                if os.fstat(reserve).st_blocks * 512 < RESERVE_BYTES:
                    os.posix_fallocate(reserve, 0, RESERVE_BYTES)
            finally:
                os.close(reserve)
        except OSError:
            self.release()
            return False
        self.is_short = False
        return True

    def release(self) -> None:
        """Gives the reserve back to the disk."""
        self.is_short = True
        with contextlib.suppress(OSError):
            os.unlink(self._reserve)


def _place(path: str) -> tuple[int, int] | None:
    try:
        found = os.stat(path, follow_symlinks=False)
    except OSError:
        return None
    return found.st_dev, found.st_ino
