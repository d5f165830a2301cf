"""``wallet-guard demo`` as a newcomer runs it: ends well, soon, as often as wanted, and leaves nothing behind."""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

pytest.importorskip("bittensor")

pytestmark = pytest.mark.slow

SECONDS = 60
"""What the README promises."""


def processes_in(folder: Path) -> list[str]:
    """The command lines of processes that know this folder, by environment or argument."""
    found = []
    for place in Path("/proc").iterdir():
        if place.name.isdecimal() and int(place.name) != os.getpid():
            try:
                known = (place / "cmdline").read_bytes() + (place / "environ").read_bytes()
            except OSError:
                continue
            if os.fsencode(str(folder)) in known:
                found.append(known[:200].decode(errors="replace"))
    return found


def test_ends_well_twice_in_a_row_and_leaves_nothing_behind(tmp_path):
    # A short one of its own: sockets lie in it, and their paths have room for 107 bytes.
    with tempfile.TemporaryDirectory(prefix="wg") as name:
        folder = Path(name)
        home = folder / "home"
        home.mkdir()
        environment = {**os.environ, "TMPDIR": name, "HOME": str(home)}
        environment.pop("BITTENSOR_RUNTIME_CACHE_DIR", None)
        for _ in range(2):
            began = time.monotonic()
            done = subprocess.run(
                [sys.executable, "-m", "wallet_guard.cli.main", "demo"],
                env=environment,
                cwd=tmp_path,
                capture_output=True,
                text=True,
                timeout=2 * SECONDS,
                check=False,
            )
            assert done.returncode == 0, done.stderr + done.stdout
            assert time.monotonic() - began < SECONDS
            assert "Traceback" not in done.stderr
            for said in ("read back from the chain", "a wrong token", "a wrong subnet", "a transfer", "unbroken"):
                assert said in done.stdout
            assert [str(path) for path in folder.iterdir()] == [str(home)]
            assert [str(path) for path in home.rglob("*") if path.is_file()] == []
            assert list(tmp_path.iterdir()) == []
            assert processes_in(folder) == []
