"""How commands print: for people, for programs (``--json``), and on the way (progress, to a terminal only)."""

import argparse
import contextlib
import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

SHOW_AFTER_SECONDS = 1.0
"""What is done sooner needs no telling."""

TICK_SECONDS = 0.5
"""Between two looks of the line: the seconds in it are seen to run."""

_CLEAR_LINE = "\r\x1b[K"

MAX_SHOWN = 70
"""Characters of what is told: one line of a narrow terminal, with the seconds."""


def add_json_option(parser: argparse.ArgumentParser) -> None:
    """Adds ``--json``."""
    parser.add_argument("--json", action="store_true", help="one JSON value on standard output, for programs")


def print_json(value: Any) -> None:
    """One value on one line, with what is text as text. Records are given as ``ipc.records.to_json`` makes them."""
    print(json.dumps(value, ensure_ascii=False))


def tell(chosen: argparse.Namespace, value: Any, *lines: str) -> None:
    """The outcome of a command: ``value`` with ``--json``, else the lines."""
    if chosen.json:
        print_json(value)
        return
    for line in lines:
        print(line)


@contextlib.contextmanager
def for_people(chosen: argparse.Namespace) -> Iterator[None]:
    """With ``--json``, what is printed on the way goes to standard error: standard output is the value's alone."""
    with contextlib.redirect_stdout(sys.stderr) if chosen.json else contextlib.nullcontext():
        yield


@contextlib.contextmanager
def progress() -> Iterator[Callable[[str], None]]:
    """Gives a function that is told what is being done; shown on standard error if it takes over a second.

    Only on a terminal; the line is gone when the context ends.
    """
    if not sys.stderr.isatty():
        yield lambda _what: None
        return
    now, ended, began = [""], threading.Event(), time.monotonic()

    def show() -> None:
        ended.wait(SHOW_AFTER_SECONDS)
        while not ended.is_set():
            seconds = time.monotonic() - began
            sys.stderr.write(f"{_CLEAR_LINE}{now[0][:MAX_SHOWN]} … {seconds:.0f} s")
            sys.stderr.flush()
            ended.wait(TICK_SECONDS)

    def tell(what: str) -> None:
        now[0] = what

    shower = threading.Thread(target=show, daemon=True)
    shower.start()
    try:
        yield tell
    finally:
        ended.set()
        shower.join()
        if time.monotonic() - began > SHOW_AFTER_SECONDS:
            sys.stderr.write(_CLEAR_LINE)
            sys.stderr.flush()
