import pytest

from wallet_guard.wire.errors import HttpError
from wallet_guard.wire.http1.fields import Fields, encode_fields, parse_fields


def test_names_are_found_in_any_case() -> None:
    fields = Fields([("Content-Type", "a")])
    assert fields.get("CONTENT-type") == "a"
    assert "content-TYPE" in fields
    assert 5 not in fields


def test_an_absent_field_is_empty_or_the_default() -> None:
    assert Fields().get("a") == ""
    assert Fields().get("a", "b") == "b"
    assert "a" not in Fields()


def test_a_field_sent_twice_equals_neither_of_its_values() -> None:
    fields = Fields([("A", "x"), ("b", "y"), ("a", "z")])
    assert fields.get("a") == "x, z"
    assert fields.get_all("A") == ("x", "z")
    assert list(fields) == [("a", "x"), ("b", "y"), ("a", "z")]
    assert len(fields) == 3


def test_tokens_are_lower_case_without_empty_members() -> None:
    assert Fields([("Connection", "Close,, \t,Upgrade"), ("connection", "X")]).tokens("connection") == (
        "close",
        "upgrade",
        "x",
    )
    assert Fields().tokens("connection") == ()


def test_equal_sections_are_equal() -> None:
    assert Fields([("A", "x")]) == Fields([("a", "x")])
    assert hash(Fields([("A", "x")])) == hash(Fields([("a", "x")]))
    assert Fields([("A", "x")]) != Fields([("a", "y")])
    assert Fields() != ()


def test_a_repr_shows_no_value() -> None:
    assert repr(Fields([("Authorization", "secret")])) == "Fields(authorization)"


def test_parses_values_without_their_whitespace() -> None:
    fields = parse_fields(["A: b c \t", "B:", "C:\td", "D:x\xe4"], 4)
    assert list(fields) == [("a", "b c"), ("b", ""), ("c", "d"), ("d", "x\xe4")]


@pytest.mark.parametrize(
    "line", ["A : b", " A: b", "A", ": b", "A\x00: b", "A: b\x00", "A: b\x7f", "A: b\nc", "\xe4: b", ""]
)
def test_refuses_a_malformed_line(line: str) -> None:
    with pytest.raises(HttpError, match="malformed") as caught:
        parse_fields([line], 1)
    assert caught.value.status == 400


def test_a_refusal_does_not_show_the_value() -> None:
    with pytest.raises(HttpError) as caught:
        parse_fields(["Authorization : Bearer secret"], 1)
    assert "secret" not in caught.value.reason


def test_refuses_too_many_fields() -> None:
    with pytest.raises(HttpError) as caught:
        parse_fields(["a:b", "c:d"], 1)
    assert caught.value.status == 431


def test_encodes_one_line_each() -> None:
    assert encode_fields([("A", "b"), ("C", "")]) == "A: b\r\nC: \r\n"


@pytest.mark.parametrize("name", ["", "a b", "a:", "a\r\n", "\xe4"])
def test_does_not_encode_what_is_no_name(name: str) -> None:
    with pytest.raises(ValueError, match="name"):
        encode_fields([(name, "x")])


@pytest.mark.parametrize("value", ["a\r\nSet-Cookie: b", "a\n", "\x00", " a", "a\t", "\u20ac"])
def test_does_not_encode_a_value_that_splits_the_response(value: str) -> None:
    with pytest.raises(ValueError, match="cannot be sent"):
        encode_fields([("A", value)])
