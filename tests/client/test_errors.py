"""Which error a failed result means."""

import pytest

from wallet_guard.client.errors import (
    NotAuthorised,
    RateLimited,
    Refused,
    ServiceUnreachable,
    SettingsError,
    TransactionFailed,
    Undecided,
    WalletServiceError,
    error_of,
)
from wallet_guard.client.results import Result


@pytest.mark.parametrize(
    ("result", "error"),
    [
        (Result(False, "m", "invalid_request", status=0), SettingsError),
        (Result(False, "m", "unreachable", status=0), ServiceUnreachable),
        (Result(False, "m", "unauthorized", status=401), NotAuthorised),
        (Result(False, "m", "call_not_allowed", status=403), NotAuthorised),
        (Result(False, "m", "rate_limited", status=429), RateLimited),
        (Result(False, "m", "invalid_request", status=422), Refused),
        (Result(False, "m", "locked", status=503), ServiceUnreachable),
        (Result(False, "m", "deadline", status=504, intent="i"), Undecided),
        (Result(False, "m", "expired", status=504, intent="i", final=True), TransactionFailed),
        (Result(False, "m", "dispatch_failed", status=502, intent="i"), TransactionFailed),
    ],
)
def test_a_failed_result_means_one_error(result, error):
    found = error_of(result)
    assert type(found) is error
    assert found.result is result


def test_a_rate_limit_is_a_refusal_and_all_are_one_family():
    assert issubclass(RateLimited, Refused)
    for error in (SettingsError, ServiceUnreachable, NotAuthorised, Refused, TransactionFailed, Undecided):
        assert issubclass(error, WalletServiceError)
    assert issubclass(SettingsError, ValueError)


def test_the_message_says_what_to_do():
    assert str(error_of(Result(False, "it failed", hint="look there", status=500))) == "it failed; look there"
    assert str(error_of(Result(False, "it failed", status=500))) == "it failed"
