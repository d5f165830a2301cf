"""Strict JSON bodies: what no two parsers can disagree about."""

import pytest

from wallet_guard.orders.fields import BodyError, Fields, kind_of, parse_json, read_integer, read_name, read_number


def fields(**values):
    return Fields(values, "", (*values, "absent"))


def test_names_an_unknown_field():
    with pytest.raises(BodyError, match=r"inner\.b: unknown field, expected one of a, c"):
        Fields({"a": 1, "b": 2}, "inner", ("a", "c"))


@pytest.mark.parametrize("value", [None, [], "x", 1, True])
def test_refuses_what_is_no_object(value):
    with pytest.raises(BodyError, match="body: expected an object"):
        Fields(value, "", ())


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b'{"a":1,"a":2}', b'{"a":NaN}', b"[" * 100_000, b"1" * 5000])
def test_refuses_what_is_no_json(body):
    with pytest.raises(BodyError) as caught:
        parse_json(body)
    assert caught.value.code == "invalid_json"


def test_an_integer_is_one():
    assert fields(a=7).integer("a", 7) == 7
    assert fields().integer("absent", 7, 3) == 3
    for value in (8, -1, True, 7.0, "7", None, 10**30):
        with pytest.raises(BodyError, match=r"^a: expected"):
            fields(a=value).integer("a", 7)
    with pytest.raises(BodyError, match="absent: missing"):
        fields().integer("absent", 7)


def test_a_text_is_one():
    assert fields(a="é").text("a", 1) == "é"
    assert fields().text("absent", 1, "") == ""
    for value in ("ab", 1, None, ["a"], "\ud800"):
        with pytest.raises(BodyError, match=r"^a: expected"):
            fields(a=value).text("a", 1)


def test_hex_has_its_prefix_and_whole_bytes():
    assert fields(a="0x00fF").hex("a", 2) == b"\x00\xff"
    assert fields(a="0x").hex("a", 2) == b""
    for value in ("00ff", "0x0", "0X00", "0x00ff00", "0x0g", "0x 0", "", None, 0):
        with pytest.raises(BodyError, match=r"^a: expected"):
            fields(a=value).hex("a", 2)


def test_the_plain_readers_name_their_field():
    assert read_integer(5, "x", 5) == 5
    assert read_number(5, "x") == 5.0
    assert read_name("default", "x") == "default"
    for read, value in ((read_integer, 1.5), (read_number, "1"), (read_name, "a/b")):
        with pytest.raises(BodyError, match=r"^x: expected"):
            read(value, "x", *([5] if read is read_integer else []))


def test_kinds_have_the_names_of_json():
    assert [kind_of(value) for value in (None, True, 1, 1.5, "", [], {})] == [
        *("null", "true or false", "an integer", "a fraction", "a string", "a list", "an object")
    ]
