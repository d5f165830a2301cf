"""Files that nobody else may touch, checked on the descriptor that is then read.

The idea is OpenSSH's ``sshkey_perm_ok``, made strict: a file of another owner is refused, not waved
through. A path is walked folder by folder with O_NOFOLLOW, so that no symlink and no rename between check
and use leads elsewhere.
"""

import errno
import os
import stat
from pathlib import Path

from wallet_guard.host.config import ConfigurationError

MAX_PRIVATE_BYTES = 64 * 1024
"""64 KiB: a keyfile is about 1 kB, encrypted about 1.5 kB."""

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


def read_private(base: str | Path, *names: str) -> bytes:
    """The content of ``base/names…``, a file that only this process's uid (and root) can reach.

    The file must be a regular file owned by our uid without group or other bits (0600, 0400); every folder
    above it owned by our uid or root and not writable by others (a root-owned sticky folder such as /tmp
    passes). Below ``base`` no symlink is followed.

    Raises:
        ConfigurationError: names the file, the mode or owner found, the one wanted, and the command that
            mends it.
    """
    base = Path(os.path.realpath(base))
    for name in names:
        check_name(name)
    path = base.joinpath(*names)
    try:
        for folder in reversed(base.parents):
            _check_folder(os.stat(folder), folder)
        where = os.open(base, _FOLDER | os.O_NOFOLLOW)
        try:
            _check_folder(os.fstat(where), base)
            for depth, name in enumerate(names[:-1], 1):
                inner = os.open(name, _FOLDER | os.O_NOFOLLOW, dir_fd=where)
                os.close(where)
                where = inner
                _check_folder(os.fstat(where), base.joinpath(*names[:depth]))
            # O_NONBLOCK: opening a FIFO must not hang; regular files ignore it.
            file = os.open(names[-1], os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=where)
        finally:
            os.close(where)
    except OSError as error:
        raise ConfigurationError(_why_not_opened(path, error)) from error
    try:
        _check_file(os.fstat(file), path)
        with open(file, "rb", closefd=False) as opened:
            content = opened.read(MAX_PRIVATE_BYTES + 1)
    finally:
        os.close(file)
    if len(content) > MAX_PRIVATE_BYTES:
        raise ConfigurationError(f"{path}: expected at most {MAX_PRIVATE_BYTES} bytes, found more")
    return content


def check_name(name: str) -> None:
    """Refuses what is no plain file name.

    Raises:
        ConfigurationError: empty, ``.``, ``..``, with ``/`` or NUL, or over 255 bytes.
    """
    if name in ("", ".", "..") or "/" in name or "\0" in name or len(os.fsencode(name)) > 255:
        raise ConfigurationError(f"expected a plain file name without '/', '..' and NUL, found {name[:80]!r}")


def ensure_private_folder(path: str | Path) -> None:
    """Makes the folder with mode 0700 if it is missing, and refuses one that others can enter.

    Raises:
        ConfigurationError: cannot be made, not a folder, not ours, or not 0700.
    """
    try:
        os.makedirs(path, mode=0o700, exist_ok=True)
        found = os.stat(path, follow_symlinks=False)
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot make the folder: {error.strerror}") from error
    if not stat.S_ISDIR(found.st_mode):
        raise ConfigurationError(f"{path}: expected a folder, found {_kind(found.st_mode)}")
    if found.st_uid != os.getuid():
        raise ConfigurationError(_wrong_owner(path, found.st_uid))
    if found.st_mode & 0o077:
        raise ConfigurationError(_wrong_mode(path, found.st_mode, "0700"))


def _check_file(found: os.stat_result, path: Path) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise ConfigurationError(f"{path}: expected a regular file, found {_kind(found.st_mode)}")
    if found.st_uid != os.getuid():
        raise ConfigurationError(_wrong_owner(path, found.st_uid))
    if found.st_mode & 0o177:
        raise ConfigurationError(_wrong_mode(path, found.st_mode, "0600"))


def _check_folder(found: os.stat_result, path: Path) -> None:
    if found.st_uid not in (0, os.getuid()):
        raise ConfigurationError(_wrong_owner(path, found.st_uid))
    sticky = found.st_uid == 0 and found.st_mode & stat.S_ISVTX
    if found.st_mode & 0o022 and not sticky:
        mode = stat.S_IMODE(found.st_mode)
        raise ConfigurationError(
            f"{path}: expected a folder that only its owner can write, found mode {mode:04o}; run: chmod go-w {path}"
        )


def _wrong_owner(path: str | Path, uid: int) -> str:
    return f"{path}: expected owner uid {os.getuid()}, found uid {uid}; run: chown {os.getuid()} {path}"


def _wrong_mode(path: str | Path, mode: int, wanted: str) -> str:
    return f"{path}: expected mode {wanted}, found {stat.S_IMODE(mode):04o}; run: chmod {wanted} {path}"


def _why_not_opened(path: Path, error: OSError) -> str:
    if error.errno in (errno.ELOOP, errno.ENOTDIR):  # the last part is a symlink, a part of the path is one
        return f"{path}: expected real folders and a regular file, found a symlink or something else on the way"
    return f"{path}: cannot be opened: {error.strerror}"


def _kind(mode: int) -> str:
    for test, name in ((stat.S_ISDIR, "a folder"), (stat.S_ISLNK, "a symlink"), (stat.S_ISREG, "a file")):
        if test(mode):
            return name
    return "a device, socket or pipe"
