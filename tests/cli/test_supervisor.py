"""The supervisor keeps small programs that say in a file what they saw."""

import os
import signal
import socket
import sys
import textwrap
import threading
import time

import pytest

from wallet_guard.cli.supervisor import Service, StartError, Supervisor
from wallet_guard.host.sockets import listen_unix

READY = """
import os, socket, signal, sys, time
def say(what):
    with open({log!r}, "a") as log: log.write(what + "\\n")
def ready():
    if "NOTIFY_SOCKET" in os.environ:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            manager.connect(os.environ["NOTIFY_SOCKET"]); manager.send(b"READY=1")
signal.signal(signal.SIGTERM, lambda *_: (say({name!r} + " stopped"), sys.exit(0)))
say({name!r} + " started " + str(os.getpid()))
"""


@pytest.fixture
def log(tmp_path):
    (tmp_path / "log").write_text("")
    return tmp_path / "log"


@pytest.fixture
def program(tmp_path, log):
    def make(name, body="ready()\nwhile True: time.sleep(9)", **rest):
        text = READY.format(log=str(log), name=name) + textwrap.dedent(body)
        return Service(name, [sys.executable, "-c", text], **rest)

    return make


def wait_for(condition, seconds=15):
    ends = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < ends
        time.sleep(0.02)


def run_until(supervisor, condition):
    """The loop runs here, as signals are a main thread's; a helper thread waits for the condition, then stops it."""
    failures = []

    def watch():
        try:
            wait_for(condition)
        except AssertionError as error:
            failures.append(error)
        supervisor.stop()
        os.kill(os.getpid(), signal.SIGTERM)  # what wakes it in life, too

    watcher = threading.Thread(target=watch)
    watcher.start()
    supervisor.run()
    watcher.join()
    assert not failures


@pytest.fixture(autouse=True)
def signals():
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def test_starts_in_order_and_stops_in_reverse(program, tmp_path, log):
    supervisor = Supervisor([program("a"), program("b")], tmp_path)
    supervisor.start()
    assert list(supervisor.pids()) == ["a", "b"]
    run_until(supervisor, lambda: True)
    assert [line.split()[:2] for line in log.read_text().splitlines()] == [
        ["a", "started"],
        ["b", "started"],
        ["b", "stopped"],
        ["a", "stopped"],
    ]
    assert supervisor.status == 0


def test_restarts_what_was_killed(program, tmp_path, log):
    supervisor = Supervisor([program("a")], tmp_path)
    supervisor.start()
    os.kill(supervisor.pids()["a"], signal.SIGKILL)
    run_until(supervisor, lambda: log.read_text().count("a started") == 2)


def test_a_program_that_wants_its_operator_ends_everything(program, tmp_path, log):
    body = "ready()\nwhile not os.path.exists({!r}): time.sleep(0.02)\nsys.exit(78)".format(str(tmp_path / "go"))
    supervisor = Supervisor([program("a"), program("b", body)], tmp_path)
    supervisor.start()
    (tmp_path / "go").touch()
    supervisor.run()
    assert supervisor.status == 78
    assert log.read_text().splitlines()[-1] == "a stopped"


def test_what_never_becomes_ready_is_an_error_and_stops_the_rest(program, tmp_path, log):
    supervisor = Supervisor([program("a"), program("b", "sys.exit(3)")], tmp_path)
    with pytest.raises(StartError, match="b ended with status 3 before it was ready") as refused:
        supervisor.start()
    assert refused.value.status == 3
    assert log.read_text().splitlines()[-1] == "a stopped"


def test_sockets_are_inherited_by_name_and_outlive_a_crash(program, tmp_path, log):
    body = """
    from wallet_guard.host.sockets import inherited_sockets
    listeners = inherited_sockets(os.environ, os.getpid())
    say(" ".join(listeners))
    ready()
    while True:
        peer, _ = listeners["two"].accept()
        peer.sendall(str(os.getpid()).encode()); peer.close()
    """
    sockets = {name: listen_unix(tmp_path / name, 0o600) for name in ("one", "two")}
    supervisor = Supervisor([program("a", body, sockets=sockets)], tmp_path)
    supervisor.start()

    def ask():
        with socket.socket(socket.AF_UNIX) as peer:
            peer.settimeout(15)
            peer.connect(str(tmp_path / "two"))
            return int(peer.recv(32))

    first = supervisor.pids()["a"]
    assert ask() == first
    os.kill(first, signal.SIGKILL)
    answers = []
    asking = threading.Thread(target=lambda: answers.append(ask()))
    asking.start()  # while nobody runs: the kernel's queue holds it
    run_until(supervisor, lambda: answers)
    asking.join()
    assert answers[0] != first
    assert "one two" in log.read_text()
    for listener in sockets.values():
        listener.close()


def test_a_program_that_ignores_sigterm_is_killed(program, tmp_path, monkeypatch):
    monkeypatch.setattr("wallet_guard.cli.supervisor.STOP_SECONDS", 0.3)
    body = "signal.signal(signal.SIGTERM, signal.SIG_IGN)\nready()\nwhile True: time.sleep(9)"
    supervisor = Supervisor([program("a", body)], tmp_path)
    supervisor.start()
    pid = supervisor.pids()["a"]
    run_until(supervisor, lambda: True)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
