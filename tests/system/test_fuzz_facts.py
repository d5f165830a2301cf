"""Some lives with a chain process that says anything at all; ``fuzz_facts.py`` by hand lives thousands."""

import dataclasses
import logging
import random
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))

import fuzz_facts

CHECKS = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example]


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    """What the signer warns of would fill the memory of a failed run's report."""
    caplog.set_level(logging.CRITICAL + 1)


# The same lives in every run: what is new is looked for by hand, not while something else is being tested.
@settings(max_examples=8, deadline=None, derandomize=True, database=None, suppress_health_check=CHECKS)
@given(chance=st.randoms(use_true_random=False))
def test_no_stall_no_crash_no_signature_outside_the_rules(chance: random.Random) -> None:
    fuzz_facts.live(chance, 40)


@pytest.mark.parametrize("seed", range(3))
def test_a_longer_life(seed: int) -> None:
    life = fuzz_facts.live(random.Random(seed), 200)
    assert life.outcomes["seal: answered"] > 0
    assert life.outcomes["seal: facts_refused"] > 0


def test_the_judge_sees_another_subnet_than_was_asked_for(tmp_path: Path) -> None:
    """What judges must be able to say no."""
    life = fuzz_facts.Life(tmp_path, random.Random(1))
    intent = life.intend()
    life.wishes[intent] = dataclasses.replace(life.wishes[intent], netuid=900)
    with pytest.raises(AssertionError):
        life.seal(intent, life.true_facts())
    life.desk.journal.close()


def test_the_judge_sees_a_second_live_signature(tmp_path: Path) -> None:
    life = fuzz_facts.Life(tmp_path, random.Random(1))
    intent = life.intend()
    life.seal(intent, life.true_facts())
    life.signatures[intent][0].data = b"another"
    with pytest.raises(AssertionError, match="two live signatures"):
        life.seal(intent, life.true_facts())
    life.desk.journal.close()
