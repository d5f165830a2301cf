"""A healthy guard in a scratch root, to be spoilt by a test."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from doctor_faults import Guard, build_guard


@pytest.fixture
def guard(tmp_path: Path) -> Guard:
    return build_guard(tmp_path / "host")
