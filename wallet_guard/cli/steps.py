"""A plan: steps that say what they would do, know whether it is done, and do it.

Shown before anything happens, and done again without harm: a step that is done is left alone.
"""

import os
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from wallet_guard.cli.errors import CommandError

STANDARD_ERROR = 2
"""The descriptor."""

COMMAND_SECONDS = 900.0
"""The longest is pip, which downloads the SDK and its dependencies: tens of megabytes."""


@dataclass(frozen=True, slots=True)
class Step:
    """``text`` says what it does, ``done`` whether there is nothing to do, ``do`` does it."""

    text: str
    done: Callable[[], bool]
    do: Callable[[], None]


def run_plan(steps: Iterable[Step], *, apply: bool) -> int:
    """Shows every step, and with ``apply`` does what is not done; how many were not."""
    count = 0
    for step in steps:
        if step.done():
            print(f"  is so    {step.text}")
            continue
        count += 1
        print(f"  {'doing' if apply else 'to do'}    {step.text}", flush=True)
        if apply:
            step.do()
    return count


def write_file(path: Path, content: bytes, mode: int = 0o644) -> Step:
    """The file with that content, in place at once or not at all; folders above it are made (0755)."""

    def do() -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(path.name + ".part")
        part.unlink(missing_ok=True)
        with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as opened:
            os.fchmod(opened.fileno(), mode)
            opened.write(content)
            opened.flush()
            os.fsync(opened.fileno())
        part.rename(path)

    return Step(
        f"write {path} (mode {mode:04o}, {len(content)} bytes)",
        lambda: path.is_file() and path.read_bytes() == content and path.stat().st_mode & 0o7777 == mode,
        do,
    )


def keep_file(path: Path, content: bytes, mode: int = 0o644) -> Step:
    """The file with that content where there is none yet: what the operator changed stays."""
    written = write_file(path, content, mode)
    return Step(f"{written.text}, unless it is there", path.exists, written.do)


def link(path: Path, target: str) -> Step:
    """A symbolic link, switched at once."""

    def do() -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(path.name + ".part")
        part.unlink(missing_ok=True)
        part.symlink_to(target)
        part.rename(path)

    return Step(f"link {path} -> {target}", lambda: path.is_symlink() and os.readlink(path) == target, do)


def remove(path: Path) -> Step:
    """No such file."""
    return Step(
        f"remove {path}", lambda: not path.exists() and not path.is_symlink(), lambda: path.unlink(missing_ok=True)
    )


def command(*words: str, done: Callable[[], bool] = lambda: False) -> Step:
    """A program that is run; it must end with 0."""
    return Step(f"run {' '.join(words)}", done, lambda: run(*words))


def run(*words: str, environment: dict[str, str] | None = None) -> None:
    """Runs a program with our standard output; its environment is ours and ``environment``.

    Raises:
        CommandError: it cannot be run, takes longer than COMMAND_SECONDS or ends with another status than 0.
    """
    try:
        done = subprocess.run(
            words,
            env={**os.environ, **(environment or {})},
            check=False,
            timeout=COMMAND_SECONDS,
            umask=0o022,
            # Standard output is a value's alone (printing.for_people).
            stdout=STANDARD_ERROR if sys.stdout is sys.stderr else None,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CommandError(f"{words[0]}: {error}") from error
    if done.returncode != 0:
        raise CommandError(f"'{' '.join(words)[:300]}' ended with status {done.returncode}")
