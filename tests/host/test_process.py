"""What a key holder's process must not have, looked at in real processes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def run(code: str, *, path: Path | None = None) -> str:
    environment = {**os.environ, **({"PYTHONPATH": str(path)} if path else {})}
    shown = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=30, check=False
    )
    assert shown.returncode == 0, shown.stderr
    return shown.stdout.strip()


def test_no_core_and_not_dumpable() -> None:
    code = """
import ctypes, resource
from wallet_guard.host.process import forbid_dumps
libc = ctypes.CDLL(None)
before = libc.prctl(3, 0, 0, 0, 0)
forbid_dumps()
print(before, libc.prctl(3, 0, 0, 0, 0), resource.getrlimit(resource.RLIMIT_CORE))
"""
    assert run(code) == "1 0 (0, 0)"


def test_another_process_of_the_same_uid_cannot_look_inside() -> None:
    if os.getuid() != 0:
        pytest.skip("NOT CHECKED: only root can become another uid")
    code = """
import os
from wallet_guard.host.process import forbid_dumps
os.setgroups([]); os.setgid(65534); os.setuid(65534)
forbid_dumps()
pid, (here, there) = os.getpid(), os.pipe()
if os.fork() == 0:
    try:
        open(f"/proc/{pid}/mem", "rb").close()
        os.write(there, b"open")
    except PermissionError:
        os.write(there, b"closed")
    os._exit(0)
os.wait()
print(os.read(here, 10).decode(), os.stat("/proc/self/mem").st_uid)
"""
    assert run(code) == "closed 0"


def test_an_environment_with_the_sdk_is_refused(tmp_path: Path) -> None:
    (tmp_path / "bittensor").mkdir()
    (tmp_path / "bittensor" / "__init__.py").write_text("raise SystemExit('it must not be imported')")
    code = """
from wallet_guard.host.config import ConfigurationError
from wallet_guard.host.process import refuse_sdk
try:
    refuse_sdk()
except ConfigurationError as error:
    print(error)
"""
    said = run(code, path=tmp_path)
    assert said.startswith("expected an environment without the bittensor SDK, found it in")
    assert "--development" in said


def test_an_environment_without_the_sdk_passes() -> None:
    code = """
import sys
sys.path[:] = [entry for entry in sys.path if "site-packages" not in entry]
from wallet_guard.host.process import refuse_sdk
refuse_sdk()
print("passed")
"""
    assert run(code) == "passed"


def test_returns_freed_memory_below_what_is_in_use() -> None:
    code = """
import re
from wallet_guard.host.process import return_memory
resident = lambda: int(re.search(r"VmRSS:\\s+(\\d+)", open("/proc/self/status").read())[1])
held = [bytes(1000) for _ in range(30_000)]
del held[:-1]
before = resident()
return_memory()
print(before - resident() > 20_000)
"""
    assert run(code) == "True"
