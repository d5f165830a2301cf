"""Keeping processes running: start in order, restart what crashes, stop in reverse order.

What a service manager does, for development: listening sockets are made here, once, and passed on by
sd_listen_fds(3), so that a restart refuses nobody; readiness comes by sd_notify(3). A process that ends with 78
(EX_CONFIG) wants its operator, not a restart.
"""

import contextlib
import fcntl
import logging
import os
import selectors
import signal
import socket
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from wallet_guard.host.process import SUPERVISOR_VARIABLE
from wallet_guard.host.sockets import FIRST_FD

log = logging.getLogger("wallet_guard.cli")

EX_CONFIG = 78

READY_SECONDS = 60.0
"""A signer that decrypts $NACL keys takes 4 s for each."""

STOP_SECONDS = 5.0
"""After SIGTERM, then SIGKILL."""

RESTART_SECONDS = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
"""Pause before a restart, by the number of crashes in a row; the last one repeats."""

STEADY_SECONDS = 30.0
"""A process that ran this long has not crashed in a row."""

_HIGH_FD = 100


class StartError(Exception):
    """A process did not become ready; ``status`` is its exit status, None if it only took too long."""

    def __init__(self, message: str, status: int | None) -> None:
        super().__init__(message)
        self.status = status


@dataclass(slots=True)
class Service:
    """One process to keep.

    It has a name, a command line, sockets to inherit (by name), and additions to its environment.
    """

    name: str
    command: list[str]
    sockets: dict[str, socket.socket] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)
    pid: int = 0
    pidfd: int = -1
    crashes: int = 0
    started: float = 0.0
    restart_at: float | None = None


class Supervisor:
    """Runs services until told to stop. ``folder`` is private; the notification sockets live there."""

    def __init__(self, services: list[Service], folder: str | Path) -> None:
        self._services = services
        self._folder = Path(folder)
        self._selector = selectors.DefaultSelector()
        self._stopping = False
        # A signal writes a byte here, which ends the wait in `run`.
        self._wake, self._woken = socket.socketpair()
        self.status = 0
        """Exit status of the whole, once ``run`` returned."""

    def stop(self) -> None:
        """Ends ``run``; safe in a signal handler."""
        self._stopping = True

    def start(self) -> None:
        """Starts everything in order, each when the one before it is ready.

        Raises:
            StartError: one did not become ready; those before it were stopped.
        """
        self._wake.setblocking(False)
        self._selector.register(self._woken, selectors.EVENT_READ, None)
        signal.set_wakeup_fd(self._wake.fileno(), warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda _number, _frame: self.stop())
        try:
            for service in self._services:
                self._start_ready(service)
        except StartError:
            self._stop_all()
            raise

    def run(self) -> None:
        """Restarts what crashes, until ``stop`` or until a process wants its operator; then stops all.

        The last one started is stopped first.
        """
        while not self._stopping:
            now = time.monotonic()
            due = [service.restart_at for service in self._services if service.restart_at is not None]
            wait = max(0.0, min(due) - now) if due else None
            for key, _ in self._selector.select(wait):
                if key.data is None:
                    key.fileobj.recv(64)  # type: ignore[union-attr]
                else:
                    self._reap(key.data)
            for service in self._services:
                if service.restart_at is not None and service.restart_at <= time.monotonic() and not self._stopping:
                    service.restart_at = None
                    self._spawn(service, None)
        self._stop_all()

    def pids(self) -> dict[str, int]:
        """The processes that run, by name."""
        return {service.name: service.pid for service in self._services if service.pid}

    def _start_ready(self, service: Service) -> None:
        path = self._folder / f"notify-{service.name}.sock"
        with contextlib.suppress(FileNotFoundError):
            path.unlink()
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notified:
            notified.bind(str(path))
            notified.settimeout(0.2)
            self._spawn(service, str(path))
            ends = time.monotonic() + READY_SECONDS
            while not self._stopping:
                with contextlib.suppress(TimeoutError):
                    if b"READY=1" in notified.recv(4096):
                        break
                status = _ended(service)
                if status is not None:
                    self._forget(service)
                    raise StartError(f"{service.name} ended with status {status} before it was ready", status)
                if time.monotonic() > ends:
                    raise StartError(f"{service.name} was not ready within {READY_SECONDS:g} s", None)
        path.unlink()

    def _spawn(self, service: Service, notify: str | None) -> None:
        environment = {**os.environ, **service.environment, SUPERVISOR_VARIABLE: str(os.getpid())}
        environment.pop("NOTIFY_SOCKET", None)
        if notify:
            environment["NOTIFY_SOCKET"] = notify
        actions = []
        if service.sockets:
            environment["LISTEN_FDS"] = str(len(service.sockets))
            environment["LISTEN_FDNAMES"] = ":".join(service.sockets)
            # Copies far up first: descriptors 3, 4, … of ours may be among those to pass on.
            high = [fcntl.fcntl(each.fileno(), fcntl.F_DUPFD_CLOEXEC, _HIGH_FD) for each in service.sockets.values()]
            actions = [(os.POSIX_SPAWN_DUP2, fd, FIRST_FD + at) for at, fd in enumerate(high)]
        else:
            high = []
        service.pid = os.posix_spawn(
            service.command[0],
            service.command,
            environment,
            file_actions=actions,
            setsigdef=[signal.SIGTERM, signal.SIGINT, signal.SIGPIPE],
            setpgroup=0,
        )
        for fd in high:
            os.close(fd)
        service.pidfd = os.pidfd_open(service.pid)
        service.started = time.monotonic()
        self._selector.register(service.pidfd, selectors.EVENT_READ, service)
        log.info(f"started {service.name}, pid {service.pid}")

    def _reap(self, service: Service) -> None:
        status = _ended(service)
        if status is None:
            return
        steady = time.monotonic() - service.started > STEADY_SECONDS
        self._forget(service)
        if self._stopping:
            return
        if status == EX_CONFIG:
            log.critical(f"{service.name} wants its configuration mended; stopping")
            self.status = EX_CONFIG
            self._stopping = True
            return
        service.crashes = 1 if steady else service.crashes + 1
        pause = RESTART_SECONDS[min(service.crashes, len(RESTART_SECONDS)) - 1]
        log.error(f"{service.name} ended with status {status}; restarting in {pause:g} s")
        service.restart_at = time.monotonic() + pause

    def _forget(self, service: Service) -> None:
        if service.pidfd >= 0:
            self._selector.unregister(service.pidfd)
            os.close(service.pidfd)
        service.pid, service.pidfd = 0, -1

    def _stop_all(self) -> None:
        signal.set_wakeup_fd(-1)
        for service in reversed(self._services):
            if not service.pid:
                continue
            with contextlib.suppress(ProcessLookupError):
                os.kill(service.pid, signal.SIGTERM)
            if not _wait(service.pidfd, STOP_SECONDS):
                log.error(f"{service.name} did not stop within {STOP_SECONDS:g} s; killing it")
                os.kill(service.pid, signal.SIGKILL)
                _wait(service.pidfd, STOP_SECONDS)
            log.info(f"stopped {service.name}, status {_ended(service)}")
            self._forget(service)
        self._selector.close()
        self._wake.close()
        self._woken.close()


def _wait(pidfd: int, seconds: float) -> bool:
    """Whether the process behind ``pidfd`` ended within ``seconds``."""
    with selectors.DefaultSelector() as selector:
        selector.register(pidfd, selectors.EVENT_READ)
        return bool(selector.select(seconds))


def _ended(service: Service) -> int | None:
    """The exit status (negative: the signal), None while it runs."""
    pid, status = os.waitpid(service.pid, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if pid else None


def own_program(module: str, *arguments: str) -> list[str]:
    """The command line of one of our own modules, with the interpreter that runs us.

    ``-P``: a file in the working directory must not be imported in the place of a module.
    """
    return [sys.executable, "-P", "-m", module, *arguments]
