"""Defect 14 of the original: figures that nobody measured."""

import re
from pathlib import Path


def test_every_figure_of_the_evidence_names_a_command_that_exists():
    root = Path(__file__).parents[2]
    text = (root / "hardening" / "realtime-evidence.md").read_text()
    named = set(re.findall(r"tests/(?:bench|system)/\w+\.py", text))
    assert named
    assert [path for path in sorted(named) if not (root / path).is_file()] == []
