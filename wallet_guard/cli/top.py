"""``wallet-guard top``: the guard, live. On a terminal it is drawn anew each second; elsewhere it is told once.

Keys: q quits. Only ANSI sequences that every terminal knows are used (ECMA-48: cursor home, erase, alternate screen),
and the terminal is left as it was, however this ends.
"""

import argparse
import contextlib
import os
import selectors
import signal
import socket
import sys
import termios
import time
import tty
from collections.abc import Iterator
from typing import Any

from wallet_guard.cli import panel
from wallet_guard.cli.errors import CommandError
from wallet_guard.cli.place import add_config_option, ask_signer, find_config
from wallet_guard.cli.status import ask_hub, status
from wallet_guard.host.config import Config
from wallet_guard.ipc.oversight import Overview

MIN_INTERVAL_SECONDS = 0.2
"""The signer has better things to do than to be looked at."""

_ENTER, _LEAVE = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"
_HOME, _CLEAR_LINE, _CLEAR_BELOW = "\x1b[H", "\x1b[K", "\x1b[J"
_BOLD, _PLAIN = "\x1b[1m", "\x1b[m"

_QUIT = (b"q", b"Q", b"\x03", b"\x04")


def add_words(parsers: Any) -> None:
    """``top``."""
    parser = parsers.add_parser(
        "top",
        help="clients, intents, lanes, refusals and the chain, live",
        description="Live on a terminal (q quits); elsewhere the same once, like 'status'.",
    )
    parser.add_argument("--interval", type=float, default=1.0, metavar="SECONDS", help="between two looks (default 1)")
    add_config_option(parser)
    parser.set_defaults(answer=top, json=False)


def top(chosen: argparse.Namespace) -> int:
    """0 after q or SIGINT; without a terminal as ``status``.

    Raises:
        CommandError: the interval is too short.
    """
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        return status(chosen)
    if not chosen.interval >= MIN_INTERVAL_SECONDS:
        raise CommandError(f"--interval: expected {MIN_INTERVAL_SECONDS} or more, found {chosen.interval}")
    config = find_config(chosen)
    with _terminal() as events:
        while True:
            sys.stdout.write(frame(_look(config), *os.get_terminal_size(sys.stdout.fileno())))
            sys.stdout.flush()
            if not _wait(events, chosen.interval):
                break
    return 0


def frame(told: list[str], columns: int, rows: int) -> str:
    """What is written to show these lines on a screen of that size: cut to it, nothing older left on it."""
    now = time.strftime("%H:%M:%SZ", time.gmtime())
    head = f"wallet-guard top {now}, q quits"[:columns]
    more = len(told) - (rows - 1)
    shown = told if more <= 0 else [*told[: rows - 2], f"… {more + 1} more lines: a taller window shows them"]
    body = [_styled(each[:columns]) for each in shown[: max(rows - 1, 0)]]
    return _HOME + f"{_CLEAR_LINE}\r\n".join([_BOLD + head + _PLAIN, *body]) + _CLEAR_LINE + _CLEAR_BELOW


def _styled(line: str) -> str:
    # What is written in capitals (LOCKED, RUNTIME) is what must be seen.
    return f"{_BOLD}{line}{_PLAIN}" if line.partition(" ")[0].isupper() else line


def _look(config: Config) -> list[str]:
    """The guard now; a signer that does not answer is told, and asked again at the next look."""
    try:
        return panel.lines(ask_signer(config, Overview()), config, time.time_ns() // 1_000_000, ask_hub(config))
    except CommandError as error:
        return [f"SIGNER    {error}", f"          {error.hint}"]


@contextlib.contextmanager
def _terminal() -> Iterator[selectors.BaseSelector]:
    """A terminal in which keys come one by one and nothing is echoed; and where keys and resizes are waited for."""
    before = termios.tcgetattr(sys.stdin)
    wake, woken = socket.socketpair()
    wake.setblocking(False)
    woken.setblocking(False)
    resized = signal.signal(signal.SIGWINCH, lambda _number, _frame: None)
    stopped = {number: signal.signal(number, _interrupt) for number in (signal.SIGTERM, signal.SIGHUP)}
    signal.set_wakeup_fd(wake.fileno(), warn_on_full_buffer=False)
    try:
        tty.setcbreak(sys.stdin)
        sys.stdout.write(_ENTER)
        with selectors.DefaultSelector() as selector:
            selector.register(sys.stdin, selectors.EVENT_READ, "keys")
            selector.register(woken, selectors.EVENT_READ, woken)
            with contextlib.suppress(KeyboardInterrupt):
                yield selector
    finally:
        signal.set_wakeup_fd(-1)
        for number, handler in (*stopped.items(), (signal.SIGWINCH, resized)):
            signal.signal(number, handler)
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)
        sys.stdout.write(_LEAVE)
        sys.stdout.flush()
        wake.close()
        woken.close()


def _interrupt(_number: int, _frame: Any) -> None:
    raise KeyboardInterrupt


def _wait(events: selectors.BaseSelector, seconds: float) -> bool:
    """Until it is time to draw again, or the window changed; False if a key says to quit."""
    for key, _ in events.select(seconds):
        if key.data == "keys":
            # Past sys.stdin's own buffer, which select(2) does not see.
            try:
                typed = os.read(sys.stdin.fileno(), 64)
            except OSError:  # the terminal is gone
                return False
            if not typed or any(quitting in typed for quitting in _QUIT):
                return False
        else:
            key.data.recv(64)
    return True
