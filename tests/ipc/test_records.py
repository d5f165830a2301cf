"""Records: exactly what was meant, or refused."""

import dataclasses
import json
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar

import pytest

from wallet_guard.ipc.records import RecordError, from_json, to_json
from wallet_guard.ipc.wishes import SetWeights


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


@dataclass(frozen=True, slots=True)
class Inner:
    name: str


@dataclass(frozen=True, slots=True)
class Outer:
    ask: ClassVar[str] = "outer"
    yes: bool
    count: int
    share: float
    text: str
    colour: Colour
    data: bytes
    maybe: int | None
    numbers: tuple[int, ...]
    words: tuple[str, ...]
    pairs: tuple[tuple[str, int], ...]
    inner: Inner
    inners: tuple[Inner, ...]
    perhaps: Inner | None
    vectors: tuple[tuple[int, float], ...] | None


RECORD = Outer(
    yes=True,
    count=-(2**70),
    share=1.5,
    text="é",
    colour=Colour.BLUE,
    data=bytes(range(256)),
    maybe=None,
    numbers=(1, 2),
    words=("a", "b"),
    pairs=(("a", 1),),
    inner=Inner("x"),
    inners=(Inner("y"),),
    perhaps=Inner("z"),
    vectors=((1, 0.5), (2, 0.25)),
)


def test_there_and_back_through_json() -> None:
    assert from_json(Outer, json.loads(json.dumps(to_json(RECORD)))) == RECORD


def test_lists_of_pairs_are_written_pair_by_pair() -> None:
    assert to_json(RECORD)["vectors"] == [[1, 0.5], [2, 0.25]]
    assert to_json(RECORD)["pairs"] == [["a", 1]]
    assert to_json(dataclasses.replace(RECORD, vectors=None))["vectors"] is None
    assert to_json(dataclasses.replace(RECORD, vectors=()))["vectors"] == []


def test_a_float_field_takes_a_whole_number_and_makes_it_a_float() -> None:
    found = from_json(Outer, {**to_json(RECORD), "share": 3})
    assert (found.share, type(found.share)) == (3.0, float)


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("yes", 1, "Outer.yes: expected bool, found int"),
        ("yes", None, "found null"),
        ("count", True, "Outer.count: expected int, found bool"),
        ("count", 1.0, "expected int, found float"),
        ("count", "1", "expected int, found str"),
        ("share", True, "expected float, found bool"),
        ("share", "1.5", "expected float, found str"),
        ("share", 10**400, "expected a number below 1.8e308"),
        ("share", float("inf"), "expected a finite number, found inf"),
        ("text", 5, "expected str, found int"),
        ("text", "\ud800", "Outer.text: expected text, found lone surrogates"),
        ("colour", "green", "expected one of red, blue, found 'green'"),
        ("colour", ["red"], "expected one of red, blue"),
        ("data", "***", "Outer.data: expected base64"),
        ("data", "YQ", "expected base64"),
        ("data", "é", "expected base64"),
        ("data", [1], "expected base64, found list"),
        ("maybe", "x", "Outer.maybe: expected int, found str"),
        ("numbers", 5, "expected a list, found int"),
        ("numbers", "ab", "expected a list, found str"),
        ("numbers", [1, True], "Outer.numbers[1]: expected int, found bool"),
        ("numbers", [1, 2.0], "Outer.numbers[1]: expected int, found float"),
        ("words", ["a", None], "Outer.words[1]: expected str, found null"),
        ("words", ["a", "\udfff"], "Outer.words[1]: expected text"),
        ("pairs", [["a"]], "Outer.pairs[0]: expected 2 items, found 1"),
        ("pairs", [["a", 1, 2]], "expected 2 items, found 3"),
        ("pairs", [["a", "b"]], "Outer.pairs[0][1]: expected int, found str"),
        ("pairs", [{"a": 1}], "expected a list, found dict"),
        ("inner", None, "Outer.inner: expected an object, found null"),
        ("inner", {}, "Outer.inner: missing field 'name'"),
        ("inner", {"name": "x", "more": 1}, "Outer.inner: unknown field 'more'"),
        ("inners", [{"name": 1}], "Outer.inners[0].name: expected str, found int"),
        ("perhaps", [], "Outer.perhaps: expected an object, found list"),
    ],
)
def test_refuses_and_names_the_field(field: str, value: Any, says: str) -> None:
    with pytest.raises(RecordError) as caught:
        from_json(Outer, {**to_json(RECORD), field: value})
    assert says in str(caught.value)


@pytest.mark.parametrize("field", [entry.name for entry in dataclasses.fields(Outer)])
def test_every_field_must_be_there(field: str) -> None:
    value = to_json(RECORD)
    del value[field]
    with pytest.raises(RecordError, match=f"missing field '{field}'"):
        from_json(Outer, value)


def test_an_unknown_field_is_refused_and_its_name_cut() -> None:
    with pytest.raises(RecordError) as caught:
        from_json(Outer, {**to_json(RECORD), "x" * 1000: 1})
    assert "unknown field" in str(caught.value)
    assert len(str(caught.value)) < 100


@pytest.mark.parametrize("value", [None, [], 1, "x", True])
def test_a_record_is_an_object(value: Any) -> None:
    with pytest.raises(RecordError, match="Outer: expected an object"):
        from_json(Outer, value)


def test_a_long_vector_is_read_in_order() -> None:
    wish = SetWeights("w", "h", 1, 0, tuple(range(4096)), None, tuple(i / 7 for i in range(4096)), 0)
    assert from_json(SetWeights, json.loads(json.dumps(to_json(wish)))) == wish
