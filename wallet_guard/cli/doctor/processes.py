"""Our processes as /proc shows them."""

import itertools
import re
from dataclasses import dataclass
from pathlib import Path

NAMES = ("signer", "gateway", "chain", "hub")

_RELEASE = re.compile(r"/opt/wallet-guard/(?!current/)([^/\s]+)/")


@dataclass(frozen=True, slots=True)
class Process:
    """One of our processes. ``release`` is the installed one it has loaded, "" where nobody can tell.

    ``core_bytes`` is its limit for core dumps, None for none known, -1 for unlimited. ``environment`` is the folder of
    the interpreter's environment.
    """

    name: str
    pid: int
    uid: int
    command: tuple[str, ...]
    release: str
    core_bytes: int | None

    @property
    def in_development(self) -> bool:
        """Was it started by ``wallet-guard serve``?"""
        return "--development" in self.command

    @property
    def environment(self) -> Path:
        """The virtual environment it runs in."""
        return Path(self.command[0]).parent.parent


def read_processes(proc: Path) -> tuple[Process, ...]:
    """Every process whose command line runs one of our modules; those of other users only as far as they may be seen.

    ``proc`` is /proc or a folder like it.
    """
    if not proc.is_dir():
        return ()
    found = [_process(folder) for folder in proc.iterdir() if folder.name.isdecimal()]
    return tuple(sorted((each for each in found if each is not None), key=lambda each: (each.name, each.pid)))


def _process(folder: Path) -> Process | None:
    words = _text(folder / "cmdline").split("\0")
    module = next((following for word, following in itertools.pairwise(words) if word == "-m"), "")
    name = module.removeprefix("wallet_guard.")
    if not module.startswith("wallet_guard.") or name not in NAMES:
        return None
    uids = re.search(r"^Uid:\s+(\d+)", _text(folder / "status"), re.MULTILINE)
    core = re.search(r"^Max core file size\s+(\d+|unlimited)", _text(folder / "limits"), re.MULTILINE)
    release = _RELEASE.search(_text(folder / "maps"))
    return Process(
        name=name,
        pid=int(folder.name),
        uid=int(uids[1]) if uids else -1,
        command=tuple(words),
        release=release[1] if release else "",
        core_bytes=None if core is None else -1 if core[1] == "unlimited" else int(core[1]),
    )


def _text(path: Path) -> str:
    # A process may end while it is looked at, or be another's.
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
