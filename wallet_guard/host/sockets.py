"""Listening Unix sockets: inherited from the service manager (sd_listen_fds(3)), or made here.

An inherited socket outlives its process: while the signer restarts, questions wait in the kernel's queue
instead of being refused.
"""

import contextlib
import os
import socket
import stat
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from wallet_guard.host.config import ConfigurationError

FIRST_FD = 3
"""SD_LISTEN_FDS_START of sd_listen_fds(3)."""

BACKLOG = 128


def inherited_sockets(environment: Mapping[str, str], pid: int) -> dict[str, socket.socket]:
    """The sockets that were passed to this process, by their LISTEN_FDNAMES; empty if none were.

    Of several with one name (a ``.socket`` unit with several ``ListenStream=``) the second is ``name-2``, and so on.

    Raises:
        ConfigurationError: the variables contradict each other.
    """
    if environment.get("LISTEN_PID") not in (str(pid), None) or "LISTEN_FDS" not in environment:
        return {}
    try:
        count = int(environment["LISTEN_FDS"])
    except ValueError as error:
        raise ConfigurationError(f"LISTEN_FDS: expected a number, found {environment['LISTEN_FDS']!r}") from error
    names = environment.get("LISTEN_FDNAMES", "").split(":")
    if len(names) != count:
        raise ConfigurationError(f"LISTEN_FDNAMES: expected {count} names, found {len(names)}")
    sockets: dict[str, socket.socket] = {}
    seen: Counter[str] = Counter()
    for fd, name in enumerate(names, FIRST_FD):
        bare = name.removesuffix(".socket")
        seen[bare] += 1
        try:
            os.set_inheritable(fd, False)
            sockets[bare if seen[bare] == 1 else f"{bare}-{seen[bare]}"] = socket.socket(fileno=fd)
        except OSError as error:
            raise ConfigurationError(f"LISTEN_FDS: expected a socket as descriptor {fd}: {error.strerror}") from error
    return sockets


def listen_unix(path: str | Path, mode: int) -> socket.socket:
    """A listening stream socket at ``path`` with exactly ``mode``; a dead socket file left there is replaced.

    Raises:
        ConfigurationError: another process listens there, something else than a socket is there, or it
            cannot be made.
    """
    _clear(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    # The umask decides the mode at bind(2); a chmod afterwards would leave a moment of openness.
    before = os.umask(0o777 & ~mode)
    try:
        listener.bind(str(path))
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise ConfigurationError(f"{path}: cannot listen: {error.strerror or error}") from error
    finally:
        os.umask(before)
    return listener


def _clear(path: str | Path) -> None:
    try:
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            raise ConfigurationError(f"{path}: expected a free place for a socket, found something else there")
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        with contextlib.suppress(ConnectionRefusedError):
            probe.connect(str(path))
            raise ConfigurationError(f"{path}: another process already listens there")
    os.unlink(path)
