import pytest

from wallet_guard.wire.errors import HttpError
from wallet_guard.wire.http1.fields import Fields
from wallet_guard.wire.http1.framing import CHUNKED, UNTIL_CLOSE, request_length, response_length


def fields(**values: str) -> Fields:
    return Fields((name.replace("_", "-"), value) for name, value in values.items())


LENGTH = fields(content_length="5")
ZERO = fields(content_length="0")
CHUNKS = fields(transfer_encoding="Chunked")


def test_a_request_without_framing_has_no_body() -> None:
    assert request_length(Fields(), 1) == 0


def test_a_length_is_taken() -> None:
    assert request_length(LENGTH, 0) == 5
    assert request_length(fields(content_length="007"), 1) == 7


def test_chunked_is_taken_in_any_case() -> None:
    assert request_length(CHUNKS, 1) == CHUNKED


@pytest.mark.parametrize("value", ["", "-1", "+1", "1,1", "1, 1", "1 1", "0x1", "1.0", "\xb2", "\u0661", "1" * 16])
def test_refuses_a_length_that_is_no_digits(value: str) -> None:
    with pytest.raises(HttpError) as caught:
        request_length(fields(content_length=value), 1)
    assert caught.value.status == 400


def test_refuses_two_lengths() -> None:
    with pytest.raises(HttpError):
        request_length(Fields([("Content-Length", "5"), ("Content-Length", "5")]), 1)


def test_refuses_length_and_chunked_together() -> None:
    with pytest.raises(HttpError) as caught:
        request_length(fields(content_length="5", transfer_encoding="chunked"), 1)
    assert caught.value.status == 400


def test_refuses_chunked_in_http_1_0() -> None:
    with pytest.raises(HttpError) as caught:
        request_length(CHUNKS, 0)
    assert caught.value.status == 400


@pytest.mark.parametrize(
    ("value", "status"),
    [
        *(("gzip", 501), ("gzip, chunked", 501), ("chunked, gzip", 501), ("chunked;a=b", 501)),
        *(("", 400), ("chunked,", 400), (",chunked", 400), ("chunked,chunked", 400)),
    ],
)
def test_refuses_another_coding(value: str, status: int) -> None:
    with pytest.raises(HttpError) as caught:
        request_length(fields(transfer_encoding=value), 1)
    assert caught.value.status == status


def test_a_response_without_framing_lasts_until_close() -> None:
    assert response_length(Fields(), 1, 200, "GET") == UNTIL_CLOSE


def test_a_response_says_its_length() -> None:
    assert response_length(LENGTH, 1, 200, "GET") == 5
    assert response_length(ZERO, 1, 200, "GET") == 0
    assert response_length(CHUNKS, 1, 200, "GET") == CHUNKED


def test_answers_to_head_and_304_have_no_body() -> None:
    assert response_length(LENGTH, 1, 200, "HEAD") == 0
    assert response_length(LENGTH, 1, 304, "GET") == 0
    assert response_length(Fields(), 1, 304, "GET") == 0


@pytest.mark.parametrize("status", [100, 101, 204])
def test_some_answers_must_not_have_framing(status: int) -> None:
    assert response_length(Fields(), 1, status, "GET") == 0
    for framing in (ZERO, CHUNKS):
        with pytest.raises(HttpError):
            response_length(framing, 1, status, "GET")


def test_the_framing_of_an_answer_to_head_is_checked() -> None:
    with pytest.raises(HttpError):
        response_length(fields(content_length="x"), 1, 200, "HEAD")
