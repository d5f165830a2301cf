"""Answers as values; nothing that a service sends makes reading them fail in another way."""

import json

import pytest

from wallet_guard.client.results import Result, UnexpectedAnswer, read_answer, read_health, read_info, read_result
from wallet_guard.wire.http1.client import Response
from wallet_guard.wire.http1.fields import Fields


def response(content, status=200, fields=()):
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    return Response(status, "", Fields(fields), body, True)


def test_a_result_looks_like_the_sdks():
    good, bad = Result(True, "done"), Result(False, "no")
    success, message = good
    assert (success, message) == (True, "done")
    assert (good[0], good[1], len(good)) == (True, "done", 2)
    assert good
    assert not bad
    assert tuple(bad) == (False, "no")


@pytest.mark.parametrize("body", [b"", b"x", b"[]", b"{}", b'{"success": 1}', b"[" * 100_000, b"\xff"])
def test_what_is_no_answer_is_said_to_be_none(body):
    with pytest.raises(UnexpectedAnswer):
        read_answer(response(body))


@pytest.mark.parametrize(
    "content",
    [
        {"success": True, "message": 1, "intent": [], "block_number": "x", "final": "yes", "queued": 1},
        {"success": False, "error": "x", "next_block": 1.5, "state": None},
        {"success": False, "error": {"code": 1, "message": None}},
        {"success": False, "client": [], "missing": "x", "error": None},
        {"success": True, "client": {"calls": 1, "netuids": None, "per_hour": "x"}},
    ],
)
@pytest.mark.parametrize("status", [200, 500])
def test_fields_of_another_type_are_left_out(content, status):
    answer = read_answer(response(content, status))
    result = read_result(answer, None)
    assert isinstance(result.message, str)
    assert result.message
    assert (result.intent, result.block_number, result.next_block, result.queued) == (None, None, None, False)
    assert read_info(answer).calls == ()
    assert read_health(answer).missing == {}


def test_success_needs_both_the_status_and_the_word():
    assert not read_result(read_answer(response({"success": True, "message": "x"}, 500)), None)
    assert not read_result(read_answer(response({"success": False, "message": "x"}, 200)), None)


def test_what_is_not_denied_may_have_been_submitted():
    assert read_result(read_answer(response({"success": False}, 500)), None).submitted == "maybe"


@pytest.mark.parametrize(("value", "seconds"), [("7", 7), ("", None), ("-1", None), ("soon", None), ("9" * 10, None)])
def test_retry_after_is_whole_seconds(value, seconds):
    answer = read_answer(response({"success": False}, 429, [("Retry-After", value)]))
    assert answer.retry_after_seconds == seconds
