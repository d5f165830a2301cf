"""The table of codes."""

import http

import pytest

from wallet_guard.gateway.codes import CODES, UNKNOWN_CODE_STATUS, status_of


@pytest.mark.parametrize("code", CODES)
def test_every_code_is_a_failure_with_a_meaning(code):
    assert CODES[code].status in {status.value for status in http.HTTPStatus}
    assert 400 <= CODES[code].status <= 504
    assert len(CODES[code].meaning) > 10


def test_unknown_codes_are_the_fault_of_what_is_behind_us():
    assert status_of("SomethingNew") == UNKNOWN_CODE_STATUS == 502


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("unauthorized", 401),
        ("netuid_not_allowed", 403),
        ("unknown_intent", 404),
        ("idempotency_conflict", 409),
        ("too_large", 413),
        ("unsupported_media_type", 415),
        ("invalid_request", 422),
        ("rate_limited", 429),
        ("dispatch_failed", 502),
        ("journal_unavailable", 503),
        ("expired", 504),
    ],
)
def test_codes_have_the_status_that_clients_know(code, status):
    assert status_of(code) == status
