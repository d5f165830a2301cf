"""Wishes on the wire: told apart by their kind, and by nothing else."""

from typing import Any

import pytest

from wallet_guard.ipc.intents import Accept
from wallet_guard.ipc.records import RecordError, from_json, to_json
from wallet_guard.ipc.wishes import (
    WISHES,
    ResetAxon,
    ServeAxon,
    ServeAxonTls,
    ServePrometheus,
    SetCommitment,
    SetWeights,
)

EXAMPLES: tuple[Any, ...] = (
    SetWeights("w", "h", 2, 0, (1,), None, (1.0,), 0),
    ServeAxon("w", "h", 2, "203.0.113.7", 8091, 4, 1),
    ServeAxonTls("w", "h", 2, "203.0.113.7", 8091, 4, 1, b"\x01k"),
    ServePrometheus("w", "h", 2, "203.0.113.7", 9090, 1),
    ResetAxon("w", "h", 2),
    SetCommitment("w", "h", 2, b"\0\xff"),
)


@pytest.mark.parametrize("wish", EXAMPLES, ids=lambda wish: wish.kind)
def test_comes_through_as_it_was(wish: Any) -> None:
    accept = Accept("t", None, False, wish)
    spelled = to_json(accept)
    assert spelled["request"]["kind"] == wish.kind
    assert from_json(Accept, spelled) == accept
    assert from_json(WISHES[wish.kind], to_json(wish)) == wish


def test_every_kind_has_an_example() -> None:
    assert {wish.kind for wish in EXAMPLES} == set(WISHES)


@pytest.mark.parametrize("kind", [None, "", "transfer", 5, ["serve_axon"], {"serve_axon": 1}])
def test_refuses_an_unknown_kind(kind: Any) -> None:
    spelled = to_json(Accept("t", None, False, EXAMPLES[1]))
    spelled["request"]["kind"] = kind
    with pytest.raises(RecordError, match="expected an object of a kind of"):
        from_json(Accept, spelled)


def test_refuses_one_kind_with_the_fields_of_another() -> None:
    spelled = to_json(Accept("t", None, False, EXAMPLES[1]))
    spelled["request"]["kind"] = "reset_axon"
    with pytest.raises(RecordError, match="unknown field"):
        from_json(Accept, spelled)


def test_refuses_a_wish_that_is_no_object() -> None:
    spelled = to_json(Accept("t", None, False, EXAMPLES[1]))
    for request in (None, [], "serve_axon", 1):
        with pytest.raises(RecordError):
            from_json(Accept, spelled | {"request": request})


def test_refuses_a_kind_in_another_kinds_place() -> None:
    with pytest.raises(RecordError, match="expected the kind 'reset_axon', found 'serve_axon'"):
        from_json(ResetAxon, to_json(EXAMPLES[1]))
