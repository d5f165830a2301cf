"""Each module of the wire is covered by its own test module alone, branches included: 100 %.

So a test says what its module does without help from others. By hand: python tests/wire/test_coverage.py
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "wallet_guard" / "wire"
MODULES = sorted(str(path.relative_to(PACKAGE)) for path in PACKAGE.rglob("*.py") if path.name != "__init__.py")


def missing(module: str, folder: Path) -> str:
    """What the tests of this module leave out of it; "" if nothing."""
    path = Path(module)
    test = ROOT / "tests" / "wire" / path.with_name(f"test_{path.name}")
    environment = {**os.environ, "COVERAGE_FILE": str(folder / "data")}
    coverage = [sys.executable, "-m", "coverage"]
    run = [
        *coverage,
        "run",
        "--branch",
        f"--include={PACKAGE / path}",
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        test,
    ]
    done = subprocess.run(run, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout[-2000:]
    report = folder / "report.json"
    subprocess.run([*coverage, "json", "-q", "-o", report], cwd=ROOT, env=environment, timeout=60, check=True)
    found = next(iter(json.loads(report.read_text())["files"].values()))
    if found["summary"]["percent_covered"] == 100:
        return ""
    return f"lines {found['missing_lines']}, branches {found['missing_branches']}"


@pytest.mark.slow
@pytest.mark.parametrize("module", MODULES)
def test_a_module_is_covered_by_its_own_tests(module: str, tmp_path: Path) -> None:
    pytest.importorskip("coverage", reason="COVERAGE NOT MEASURED: coverage is not installed")
    assert missing(module, tmp_path) == ""


def main() -> int:
    """Prints one line per module."""
    failed = False
    for module in MODULES:
        with tempfile.TemporaryDirectory() as folder:
            left_out = missing(module, Path(folder))
        failed = failed or bool(left_out)
        print(f"{module:28} {left_out or '100 %, branches included'}", flush=True)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
