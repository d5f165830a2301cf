"""What neurons have at hand, as JSON."""

import json
from decimal import Decimal
from fractions import Fraction

import pytest

from wallet_guard.client.errors import SettingsError
from wallet_guard.client.orders import SetWeights, name_of


class Array:
    """What numpy arrays and torch tensors have in common."""

    def __init__(self, values):
        self._values = values

    def tolist(self):
        return self._values


class Scalar:
    """What their single numbers have in common."""

    def __init__(self, value):
        self._value = value

    def item(self):
        return self._value


def encoded(uids, weights, **changes):
    order = SetWeights(2, uids, weights, "validator", "default", **changes)
    return json.loads(order.encode(30.0))["transaction_data"]


@pytest.mark.parametrize(
    ("uids", "weights"),
    [
        ([1, 2], [0.5, 1]),
        ((1, 2), (0.5, 1)),
        (range(1, 3), [0.5, 1]),
        (Array([1, 2]), Array([0.5, 1])),
        ([Scalar(1), Scalar(2)], [Scalar(0.5), Scalar(1)]),
        (Array([1.0, 2.0]), iter([0.5, 1])),
        ([1, 2], [Fraction(1, 2), Decimal(1)]),
    ],
)
def test_takes_every_row_of_numbers(uids, weights):
    transaction = encoded(uids, weights)
    assert (transaction["uids"], transaction["weights"]) == ([1, 2], [0.5, 1])
    assert [type(uid) for uid in transaction["uids"]] == [int, int]


def test_takes_mappings_by_uid_and_by_hotkey():
    assert encoded(None, {1: 2, Scalar(3): 4})["weights"] == {"1": 2, "3": 4}
    assert encoded(None, {"5F": 0.5})["weights"] == {"5F": 0.5}
    assert "uids" not in encoded(None, {1: 2})


def test_large_integers_keep_their_digits():
    assert encoded([1], [2**63 + 1], version_key=2**64 - 1)["weights"] == [2**63 + 1]


def test_says_how_far_to_wait():
    order = encoded([1], [1], wait_for_finalization=True, queue=True)
    assert (order["wait_for_inclusion"], order["wait_for_finalization"], order["queue"]) == (False, True, True)
    assert order["timeout"] == 30.0


@pytest.mark.parametrize(
    ("uids", "weights", "message"),
    [
        (None, [1], "uids: expected a list"),
        ([1], None, "weights: expected a list"),
        ("12", [1, 2], "uids: expected a list"),
        ([1], "1", "weights: expected a list"),
        ([True], [1], "uids: expected an integer"),
        ([1.5], [1], "uids: expected an integer"),
        (["1"], [1], "uids: expected an integer"),
        ([1], ["1"], "weights: expected numbers"),
        ([1], [True], "weights: expected numbers"),
        ([1], [None], "weights: expected numbers"),
        ([1], [[1]], "weights: expected numbers"),
        ([1], [float("nan")], "weights: expected finite numbers"),
        ([1], [float("-inf")], "weights: expected finite numbers"),
        ([1], {1: 1}, "uids: expected None"),
        (None, {1.5: 1}, "weights: expected an integer"),
    ],
)
def test_refuses_what_are_no_numbers(uids, weights, message):
    with pytest.raises(SettingsError, match=f"^{message}"):
        encoded(uids, weights)


@pytest.mark.parametrize(
    ("changes", "seconds"),
    [
        ({}, 30),
        ({"wait_for_inclusion": True}, 90),
        ({"wait_for_finalization": True}, 180),
        ({"wait_for_inclusion": True, "wait_for_finalization": True}, 180),
    ],
)
def test_the_farthest_goal_takes_longest(changes, seconds):
    assert SetWeights(2, [1], [1], "v", "d", **changes).goal_seconds == seconds


def test_a_wallet_is_a_name_or_has_one():
    assert name_of("validator", "name") == "validator"
    assert name_of("validator", "hotkey_str") is None
    assert name_of(None, "name") is None
