"""The SDK's own arithmetic, value for value: ``bittensor.intents.weights`` is the oracle."""

import math
import random
from typing import Any

import pytest
from bittensor.intents import weights as sdk
from hypothesis import given, settings
from hypothesis import strategies as st

from wallet_guard.signer.weights import (
    U16_MAX,
    WeightsError,
    check_weights,
    clip_to_max_weight,
    conform,
    normalize,
    shift,
)

LARGEST = 1.7976931348623157e308


def oracle(uids: list[int], weights: list[float], own_uid: int, limit: int, least: int) -> Any:
    """What the SDK makes of it; None where it refuses, or fails by itself."""
    preflight = sdk._Preflight(uid=own_uid, commit_reveal=False, min_allowed_weights=least, max_weight_limit=limit)
    try:
        return sdk._conform(uids, weights, preflight, 1)
    except (ValueError, ZeroDivisionError, sdk.BittensorError):
        return None


def ours(uids: list[int], weights: list[float], own_uid: int, limit: int, least: int) -> Any:
    try:
        return conform(uids, weights, own_uid=own_uid, max_weight_limit=limit, min_allowed_weights=least)
    except WeightsError:
        return None


def test_equals_the_sdk_on_many_random_vectors() -> None:
    rnd = random.Random(20_260_901)
    taken = 0
    for _ in range(3_000):
        count = rnd.choice((1, 2, 3, 5, 16, 64, 256))
        uids = rnd.sample(range(U16_MAX + 1), count)
        kind = rnd.randrange(5)
        weights: list[float] = [
            (
                rnd.random(),
                float(rnd.randrange(1000)),
                rnd.expovariate(1) ** 6,
                rnd.choice((0.0, 1.0)),
                rnd.random() * 1e-9,
            )[kind]
            for _ in range(count)
        ]
        if not any(weights):
            continue
        limit = rnd.choice((0, 1, 655, 6553, 21845, 32768, 65534, U16_MAX, rnd.randrange(U16_MAX)))
        own = rnd.choice((uids[0], 70_000))
        least = rnd.choice((0, 1, 8, 256))
        expected = oracle(uids, weights, own, limit, least)
        assert ours(uids, weights, own, limit, least) == expected, (uids, weights, own, limit, least)
        taken += expected is not None
    assert taken > 1_500


FLOATS = st.one_of(
    st.floats(min_value=0, max_value=LARGEST, allow_subnormal=True),
    st.floats(min_value=0, max_value=1),
    st.integers(min_value=0, max_value=2**53).map(float),
    st.sampled_from([0.0, 5e-324, 1e-320, 2.2e-308, 1e-7, 1.0, 65535.0, 1e300, LARGEST]),
)


@settings(max_examples=600, deadline=None)
@given(
    weights=st.lists(FLOATS, min_size=1, max_size=24),
    limit=st.one_of(st.integers(0, U16_MAX), st.sampled_from([0, 1, 21845, 32767, 32768, 65534, 65535])),
    least=st.integers(0, 12),
    own=st.integers(0, 3),
)
def test_equals_the_sdk_whatever_the_numbers(weights: list[float], limit: int, least: int, own: int) -> None:
    uids = list(range(len(weights)))
    found = ours(uids, weights, own, limit, least)
    if found is None and not math.isfinite(sum(weights)):
        return  # we refuse a sum that overflows; the SDK computes with infinity
    try:
        math.fsum(weights)
    except OverflowError:
        assert found is None
        return
    assert found == oracle(uids, weights, own, limit, least)
    if found is not None:
        assert 0 <= shift(uids, weights, *found) <= 1


@settings(max_examples=200, deadline=None)
@given(weights=st.lists(FLOATS, min_size=1, max_size=12), limit=st.floats(0, 1))
def test_clipping_equals_the_sdk(weights: list[float], limit: float) -> None:
    if not any(weights) or not math.isfinite(sum(weights)):
        return
    try:
        expected = sdk.clip_to_max_weight(weights, limit)
    except ZeroDivisionError:
        with pytest.raises(ZeroDivisionError):
            clip_to_max_weight(weights, limit)
        return
    assert clip_to_max_weight(weights, limit) == expected


def test_the_documents_example() -> None:
    assert normalize([1, 2, 3], [100, 200, 300]) == sdk.normalize([1, 2, 3], [100, 200, 300])
    assert normalize([1, 2, 3], [100, 200, 300]) == ([1, 2, 3], [21845, 43690, 65535])


def test_drops_what_rounds_to_zero() -> None:
    assert normalize([4, 5, 6], [1.0, 1e-9, 0.0]) == ([4], [65535])


def test_a_single_weight_on_oneself_is_exempt_from_both_limits() -> None:
    alone: dict[str, Any] = {"max_weight_limit": 100, "min_allowed_weights": 8}
    assert conform([7], [1.0], own_uid=7, **alone) == ([7], [65535])
    with pytest.raises(WeightsError, match="at least 8"):
        conform([7], [1.0], own_uid=8, **alone)


def test_a_limit_that_none_can_meet_gives_equal_shares() -> None:
    kept, values = conform([1, 2], [9.0, 1.0], own_uid=5, max_weight_limit=100, min_allowed_weights=0)
    assert (kept, values) == ([1, 2], [65535, 65535])
    assert shift([1, 2], [9.0, 1.0], kept, values) == pytest.approx(0.4)


def test_weights_that_vanish_when_clipped_are_refused_not_divided() -> None:
    # Chosen so that limit * share equals the clipping's epsilon; it ended the process, and again at each restart.
    with pytest.raises(WeightsError, match="vanish"):
        conform(
            [1, 2],
            [1.0000915625143066e-07, 0.9999998999908437],
            own_uid=0,
            max_weight_limit=65529,
            min_allowed_weights=0,
        )


@pytest.mark.parametrize(
    ("uids", "weights", "says"),
    [
        ([1, 2], [1.0], "equal lengths, found 2 and 1"),
        ([-1], [1.0], "uids: expected 0 to 65535, found -1"),
        ([65536], [1.0], "found 65536"),
        ([10**30], [1.0], "found 100000000000000000000000"),
        ([1, 2, 1], [1.0, 1.0, 1.0], "each uid once, found 1 twice"),
        ([1], [-1.0], "at least 0, found -1.0"),
        ([1], [math.nan], "finite numbers of at least 0, found nan"),
        ([1], [math.inf], "finite numbers of at least 0, found inf"),
        ([1, 2], [0.0, 0.0], "at least one above 0"),
        ([], [], "at least one above 0"),
        ([1, 2], [LARGEST, LARGEST], "finite sum"),
        # Rounded to something finite step by step, infinite in truth.
        ([1, 2, 3], [LARGEST, 9.97e291, 9.97e291], "finite sum"),
    ],
)
def test_refuses_and_says_why(uids: list[int], weights: list[float], says: str) -> None:
    with pytest.raises(WeightsError) as caught:
        check_weights(uids, weights)
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("weights", "kept", "values", "moved"),
    [
        ([1.0, 1.0], [1, 2], [65535, 65535], 0.0),
        ([1.0, 0.0], [2], [65535], 1.0),
        ([3.0, 1.0], [1, 2], [65535, 65535], 0.25),
    ],
)
def test_shift_is_half_the_distance_of_shares(
    weights: list[float], kept: list[int], values: list[int], moved: float
) -> None:
    assert shift([1, 2], weights, kept, values) == pytest.approx(moved)
