"""When a call is tried again, and what is said when it is given up."""

import errno
import ssl

import pytest

from wallet_guard.client.attempts import PAUSES_SECONDS, Attempts, Bearer, Call
from wallet_guard.client.errors import ServiceUnreachable
from wallet_guard.client.settings import parse_url
from wallet_guard.wire.errors import HttpError

BROKEN = ConnectionResetError(errno.ECONNRESET, "Connection reset by peer")
REFUSED = ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused")


def attempts(seconds=100.0, key="key-1", url="http://localhost:8000/prefix"):
    return Attempts(Call("POST", "/path", lambda _: b"{}", key, seconds), parse_url(url), Bearer("the-token"))


def given_up(tries, error):
    try:
        while True:
            tries.pause(error)
    except ServiceUnreachable as unreachable:
        return unreachable.result


def test_pauses_grow_and_the_last_one_repeats():
    tries = attempts()
    tries.sent = True
    assert [tries.pause(BROKEN) for _ in range(8)] == [*PAUSES_SECONDS, *[PAUSES_SECONDS[-1]] * 3]


def test_ends_when_the_next_pause_would_outlast_the_call():
    tries = attempts(seconds=0.1)
    tries.sent = True
    assert tries.pause(BROKEN) == PAUSES_SECONDS[0]
    with pytest.raises(ServiceUnreachable):
        tries.pause(BROKEN)


def test_what_was_sent_may_have_arrived():
    tries = attempts(seconds=0.01)
    tries.sent = True
    result = given_up(tries, BROKEN)
    assert (result.submitted, result.final, result.idempotency_key) == ("maybe", False, "key-1")
    assert "the request may have arrived" in result.message


def test_what_was_never_sent_did_not_arrive():
    result = given_up(attempts(seconds=0.01), REFUSED)
    assert (result.submitted, result.final) == ("no", True)


def test_a_look_submits_nothing():
    tries = attempts(seconds=0.01, key=None)
    tries.sent = True
    result = given_up(tries, BROKEN)
    assert (result.submitted, result.final) == ("no", True)


@pytest.mark.parametrize(
    "error", [ssl.SSLCertVerificationError("certificate verify failed"), PermissionError(errno.EACCES, "denied")]
)
def test_what_waiting_cannot_mend_is_not_tried_again(error):
    with pytest.raises(ServiceUnreachable):
        attempts().pause(error)


@pytest.mark.parametrize(
    ("error", "message", "hint"),
    [
        (REFUSED, "nobody listens there", "host and port"),
        (FileNotFoundError(errno.ENOENT, "no"), "nobody listens there", "the service runs"),
        (TimeoutError("timed out"), "no answer in time", "GET /ready"),
        (PermissionError(errno.EACCES, "denied"), "may not connect", "group"),
        (ssl.SSLCertVerificationError("bad"), "no TLS", "ca_file"),
        (HttpError(502, "the connection ended before the response did"), "a broken answer", "between"),
        (OSError(errno.EHOSTUNREACH, "No route to host"), "No route to host", "network"),
    ],
)
def test_says_what_happened_and_what_to_check(error, message, hint):
    result = given_up(attempts(seconds=0.01), error)
    assert result.code == "unreachable"
    assert result.message.startswith("http://localhost:8000/prefix: ")
    assert message in result.message
    assert hint in result.hint
    assert "the-token" not in result.message + result.hint


def test_the_request_carries_token_key_and_prefix():
    head, _, body = attempts().request().partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    assert lines[0] == b"POST /prefix/path HTTP/1.1"
    assert {b"Host: localhost:8000", b"Authorization: Bearer the-token", b"Idempotency-Key: key-1"} < set(lines)
    assert body == b"{}"
