"""Live on a real terminal: drawn, drawn anew after a resize, and left as it was."""

import fcntl
import os
import pty
import select
import signal
import struct
import sys
import termios
import time

import pytest

from wallet_guard.cli.main import main
from wallet_guard.cli.top import frame

SECONDS = 60


class Screen:
    """``wallet-guard top`` on a terminal of a given size."""

    def __init__(self, config, rows=24, columns=80, *more):
        self.master, self.slave = pty.openpty()
        self.resize(rows, columns, tell=False)
        self.before = termios.tcgetattr(self.slave)
        self.shown = ""
        words = [sys.executable, "-P", "-m", "wallet_guard.cli.main", "top", "--config", config.path, *more]
        actions = [(os.POSIX_SPAWN_DUP2, self.slave, fd) for fd in (0, 1, 2)]
        self.pid = os.posix_spawn(words[0], words, {**os.environ, "TERM": "dumb"}, file_actions=actions)
        self.status = None

    def resize(self, rows, columns, tell=True):
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        if tell:
            os.kill(self.pid, signal.SIGWINCH)

    def read_until(self, wanted, since=0):
        ends = time.monotonic() + SECONDS
        while wanted not in self.shown[since:]:
            assert time.monotonic() < ends, self.shown[since:]
            if select.select([self.master], [], [], 1)[0]:
                self.shown += os.read(self.master, 65536).decode()

    def wait(self):
        ends = time.monotonic() + SECONDS
        while self.status is None:
            assert time.monotonic() < ends
            if select.select([self.master], [], [], 0.05)[0]:
                self.shown += os.read(self.master, 65536).decode()
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.status = os.waitstatus_to_exitcode(status)
        return self.status

    def close(self):
        if self.status is None:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self.master)
        os.close(self.slave)


@pytest.fixture
def screen(config, signer):
    made = []

    def show(*words):
        made.append(Screen(config, *words))
        made[-1].read_until("q quits")
        return made[-1]

    yield show
    for each in made:
        each.close()


def test_q_quits_and_leaves_the_terminal_as_it_was(screen):
    top = screen()
    top.read_until("key       validator/default")
    os.write(top.master, b"q")
    assert top.wait() == 0
    top.read_until("\x1b[?25h\x1b[?1049l")
    assert termios.tcgetattr(top.slave) == top.before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_a_signal_quits_as_cleanly(screen, number):
    top = screen()
    os.kill(top.pid, number)
    assert top.wait() == 0
    top.read_until("\x1b[?25h\x1b[?1049l")
    assert termios.tcgetattr(top.slave) == top.before


def test_a_resize_draws_at_once_in_the_new_size(screen):
    # An interval that does not pass: what is drawn again is drawn because of the resize.
    top = screen(24, 80, "--interval", "86400")
    top.read_until("genesis")
    so_far = len(top.shown)
    top.resize(4, 30)
    top.read_until("more lines: a ", so_far)
    assert "genesis" not in top.shown[so_far:]


def test_a_signer_that_goes_away_is_told_and_waited_for(config, capsys):
    top = Screen(config, 24, 250)
    try:
        top.read_until("SIGNER    ")
        top.read_until("no signer listens there")
        os.write(top.master, b"q")
        assert top.wait() == 0
    finally:
        top.close()


def test_without_a_terminal_it_is_told_once(config, signer, capsys):
    assert main(["top", "--config", config.path]) == 1
    said = capsys.readouterr().out
    assert said.startswith("signer    version ")
    assert "\x1b" not in said


def test_a_frame_fits_its_screen():
    told = [f"line {number} " + "x" * 100 for number in range(50)]
    shown = frame(told, 20, 5)
    assert shown.count("\r\n") == 4
    assert "line 3" not in shown
    assert "… 47 more lines: a t\x1b[K" in shown
    assert "line 2 xxxxxxxxxxxxx\x1b[K" in shown
    assert "x" * 21 not in shown


def test_what_is_locked_stands_out():
    assert "\x1b[1mLOCKED    why\x1b[m" in frame(["LOCKED    why", "signer    x"], 80, 24)
    assert "\x1b[1msigner" not in frame(["LOCKED    why", "signer    x"], 80, 24)
