"""What both clients do, over real sockets, against a service that follows a script."""

import re
import socket
import threading
import time
from hashlib import sha256
from types import SimpleNamespace

import pytest

from wallet_guard.client import (
    NotAuthorised,
    RateLimited,
    Refused,
    ServiceUnreachable,
    SettingsError,
    TransactionFailed,
    Undecided,
)

KEY = re.compile(r"[0-9a-f]{32}")


def test_sets_weights_over_unix(connect, unix_service):
    success, message = connect(unix_service.url).set_weights(2, [1, 2, 3], [100, 200, 300], version_key=1)
    assert success is True
    assert message == "weights for netuid 2 handed to the chain"
    (seen,) = unix_service.seen
    assert seen.line == "POST /wallet/set_weights HTTP/1.1"
    assert seen.fields["Authorization"] == "Bearer a-token-of-43-characters-like-the-signer-ma"
    assert seen.fields["Content-Type"] == "application/json"
    assert KEY.fullmatch(seen.fields["Idempotency-Key"])
    transaction = seen.content["transaction_data"]
    assert (seen.content["wallet_name"], seen.content["hotkey_name"]) == ("validator", "default")
    assert (transaction["netuid"], transaction["uids"], transaction["weights"]) == (2, [1, 2, 3], [100, 200, 300])
    assert (transaction["version_key"], transaction["mechid"]) == (1, 0)
    assert (transaction["wait_for_inclusion"], transaction["wait_for_finalization"]) == (False, False)


def test_sets_weights_over_tcp(connect, tcp_service):
    result = connect(tcp_service.url).set_weights(2, [1], [1])
    assert result
    assert (result.intent, result.extrinsic_hash, result.submitted) == ("i1", "0xab", "yes")
    assert tcp_service.seen[0].fields["Host"] == tcp_service.url.removeprefix("http://")


def test_a_prefix_in_the_url_goes_before_the_path(connect, tcp_service):
    connect(tcp_service.url + "/guard/").set_weights(2, [1], [1])
    assert tcp_service.seen[0].line == "POST /guard/wallet/set_weights HTTP/1.1"


def test_proxies_of_the_environment_are_not_used(connect, tcp_service, monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert connect(tcp_service.url).set_weights(2, [1], [1])


def test_each_call_has_a_key_of_its_own(connect, unix_service):
    service = connect(unix_service.url)
    first, second = service.set_weights(2, [1], [1]), service.set_weights(2, [1], [1])
    keys = [seen.fields["Idempotency-Key"] for seen in unix_service.seen]
    assert keys == [first.idempotency_key, second.idempotency_key]
    assert keys[0] != keys[1]


def test_a_key_that_is_given_is_used(connect, unix_service):
    connect(unix_service.url).set_weights(2, [1], [1], idempotency_key="epoch-7")
    assert unix_service.seen[0].fields["Idempotency-Key"] == "epoch-7"


@pytest.mark.parametrize("cuts", [1, 3])
def test_a_broken_connection_is_mended_with_the_same_key(connect, unix_service, say, cuts):
    unix_service.steps = [say.CUT] * cuts + [say.answer(say.SUCCESS)]
    assert connect(unix_service.url).set_weights(2, [1], [1])
    keys = [seen.fields["Idempotency-Key"] for seen in unix_service.seen]
    assert len(keys) == cuts + 1
    assert len(set(keys)) == 1


def test_half_an_answer_is_none(connect, unix_service, say):
    unix_service.steps = [b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\nConnection: close\r\n\r\n{", say.CUT]
    result = connect(unix_service.url).set_weights(2, [1], [1], timeout=0.5)
    assert (result.success, result.code, result.submitted, result.final) == (False, "unreachable", "maybe", False)


@pytest.mark.parametrize("code", ["stopping", "signer_unavailable"])
def test_a_service_that_restarts_is_asked_again_with_the_same_key(connect, unix_service, say, code):
    unix_service.steps = [say.failure(code, 503, submitted="maybe"), say.answer(say.SUCCESS)]
    assert connect(unix_service.url).set_weights(2, [1], [1])
    assert len({seen.fields["Idempotency-Key"] for seen in unix_service.seen}) == 1


def test_a_service_that_goes_on_stopping_is_believed(connect, unix_service, say):
    unix_service.steps = [say.failure("stopping", 503, submitted="maybe", intent="i1", state="signed", final=False)]
    result = connect(unix_service.url).set_weights(2, [1], [1], timeout=1.0)
    assert (result.code, result.submitted, result.intent) == ("stopping", "maybe", "i1")


def test_waiting_ends_with_the_calls_time(connect, unix_service, say):
    unix_service.steps = [say.SILENCE]
    begun = time.monotonic()
    result = connect(unix_service.url).set_weights(2, [1], [1], timeout=0.4)
    assert 0.3 < time.monotonic() - begun < 20  # the service's own time would be 35
    assert (result.success, result.code, result.submitted, result.final) == (False, "unreachable", "maybe", False)
    assert "the request may have arrived" in result.message


def test_an_answer_byte_by_byte_does_not_outlast_the_call(connect, unix_service, say):
    unix_service.steps = [b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{"]
    begun = time.monotonic()
    assert not connect(unix_service.url).set_weights(2, [1], [1], timeout=0.4)
    assert time.monotonic() - begun < 20


@pytest.mark.parametrize(
    ("waits", "total", "service"),
    [
        ({}, None, 35.0),
        ({"wait_for_inclusion": True}, None, 95.0),
        ({"wait_for_finalization": True}, None, 185.0),
        ({}, 5.0, 4.0),
    ],
)
def test_the_service_is_told_to_answer_before_we_stop_listening(connect, unix_service, waits, total, service):
    connect(unix_service.url).set_weights(2, [1], [1], timeout=total, **waits)
    assert service / 2 < unix_service.seen[0].content["transaction_data"]["timeout"] <= service


def test_nobody_listening_is_unreachable_and_nothing_was_submitted(connect, tmp_path):
    result = connect(f"unix://{tmp_path}/none.sock").set_weights(2, [1], [1], timeout=0.3)
    assert (result.success, result.code, result.submitted, result.final) == (False, "unreachable", "no", True)
    assert "nobody listens there" in result.message
    assert "the path of the socket" in result.hint


def test_a_port_without_a_listener_is_unreachable(connect):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
    result = connect(f"http://127.0.0.1:{port}").set_weights(2, [1], [1], timeout=0.3)
    assert (result.code, result.submitted) == ("unreachable", "no")
    assert "host and port" in result.hint


def test_a_service_that_starts_meanwhile_is_found(connect, tmp_path, say):
    with socket.socket(socket.AF_UNIX) as listener:

        def start():
            listener.bind(str(tmp_path / "late.sock"))
            listener.listen()
            connection, _ = listener.accept()
            with connection:
                connection.recv(1 << 16)
                connection.sendall(say.answer(say.SUCCESS))

        threading.Timer(0.3, start).start()
        assert connect(f"unix://{tmp_path}/late.sock").set_weights(2, [1], [1], timeout=60)


@pytest.mark.parametrize(
    "raw",
    [b"<html>502</html>", b"[]", b'{"detail": "Not Found"}', b'{"success": "yes"}', b""],
)
def test_what_is_no_wallet_service_is_unreachable(connect, tcp_service, say, raw):
    tcp_service.steps = [say.answer(None, 502, raw=raw)]
    result = connect(tcp_service.url).set_weights(2, [1], [1])
    assert (result.success, result.code, result.submitted) == (False, "unreachable", "maybe")
    assert "expected a wallet service's answer, found status 502" in result.message
    assert len(tcp_service.seen) == 1


def test_what_is_no_http_is_unreachable(connect, tcp_service, say):
    tcp_service.steps = [b"220 mail.example ESMTP\r\n\r\n"]
    assert connect(tcp_service.url).set_weights(2, [1], [1], timeout=0.3).code == "unreachable"


ERRORS = [
    (401, "unauthorized", {}, NotAuthorised),
    (403, "netuid_not_allowed", {}, NotAuthorised),
    (404, "unknown_wallet", {}, Refused),
    (409, "idempotency_conflict", {}, Refused),
    (422, "invalid_request", {}, Refused),
    (429, "rate_limited", {"next_block": 7}, RateLimited),
    (502, "chain_rejected", {"intent": "i1", "state": "failed", "final": True}, TransactionFailed),
    (502, "dispatch_failed", {"intent": "i1", "state": "in_block", "final": False}, TransactionFailed),
    (504, "expired", {"intent": "i1", "state": "expired", "final": True}, TransactionFailed),
    (504, "deadline", {"intent": "i1", "state": "submitted", "final": False}, Undecided),
    (503, "chain_unavailable", {"intent": "i1", "state": "accepted", "final": False}, Undecided),
    (503, "journal_unavailable", {}, ServiceUnreachable),
    (500, "internal", {"submitted": "maybe"}, ServiceUnreachable),
]


@pytest.mark.parametrize(("status", "code", "content", "error"), ERRORS)
def test_failures_come_back_as_results_or_as_errors(connect, unix_service, say, status, code, content, error):
    unix_service.steps = [say.failure(code, status, **{"submitted": "no"} | content)]
    service = connect(unix_service.url)
    success, message = result = service.set_weights(2, [1], [1])
    assert (success, message) == (False, f"{code} happened")
    assert (result.code, result.hint, result.status) == (code, "do this", status)
    with pytest.raises(error) as caught:
        service.set_weights(2, [1], [1], raise_errors=True)
    assert type(caught.value) is error
    assert str(caught.value) == f"{code} happened; do this"
    assert caught.value.result.code == code


def test_a_rate_limit_carries_block_and_time(connect, unix_service, say):
    limited = say.failure("rate_limited", 429, submitted="no", next_block=7, next_time="2027-01-15T08:00:00Z")
    unix_service.steps = [limited.replace(b"\r\n", b"\r\nRetry-After: 60\r\n", 1)]
    result = connect(unix_service.url).set_weights(2, [1], [1])
    assert (result.next_block, result.next_time) == (7, "2027-01-15T08:00:00Z")
    assert result.retry_after_seconds == 60
    assert result.final


def test_a_rule_of_the_operator_is_named(connect, unix_service, say):
    error = {"code": "policy_denied", "message": "m", "hint": "", "rule": "hours"}
    unix_service.steps = [say.answer({"success": False, "error": error, "message": "m", "submitted": "no"}, 403)]
    assert connect(unix_service.url).set_weights(2, [1], [1]).rule == "hours"


def test_a_queued_intent_is_a_success_that_says_so(connect, unix_service, say):
    queued = {
        "success": True,
        "message": "kept",
        "queued": True,
        "intent": "i1",
        "state": "accepted",
        "submitted": "no",
    }
    unix_service.steps = [say.answer(queued, 202)]
    result = connect(unix_service.url).set_weights(2, [1], [1], queue=True)
    assert (result.success, result.queued, result.submitted) == (True, True, "no")
    assert unix_service.seen[0].content["transaction_data"]["queue"] is True


def test_what_cannot_be_sent_is_refused_here(connect, unix_service):
    service = connect(unix_service.url)
    result = service.set_weights(2, [1], [float("nan")])
    assert (result.success, result.code, result.submitted, result.final) == (False, "invalid_request", "no", True)
    assert "found NaN" in result.message
    with pytest.raises(SettingsError):
        service.set_weights(2, [1], [float("nan")], raise_errors=True)
    assert unix_service.seen == []


@pytest.mark.parametrize("key", ["", "two words", "a\r\nX-Evil: 1", "ä", "a" * 129])
def test_a_key_that_would_break_out_of_its_field_is_refused_here(connect, unix_service, key):
    result = connect(unix_service.url).set_weights(2, [1], [1], idempotency_key=key)
    assert (result.success, result.code) == (False, "invalid_request")
    assert unix_service.seen == []


def test_no_wallet_name_is_refused_here(connect, unix_service):
    result = connect(unix_service.url, wallet_name=None).set_weights(2, [1], [1])
    assert (result.success, result.code) == (False, "invalid_request")
    assert "wallet_name" in result.message


def test_an_sdk_wallet_gives_its_names_and_nothing_else(connect, unix_service):
    class Wallet:
        name, hotkey_str = "main", "second"

        @property
        def hotkey(self):
            raise AssertionError("the key was touched")

    connect(unix_service.url).set_weights(2, [1], [1], wallet=Wallet())
    content = unix_service.seen[0].content
    assert (content["wallet_name"], content["hotkey_name"]) == ("main", "second")


def test_an_intent_can_be_looked_at(connect, unix_service, say):
    failed = {"error": {"code": "chain_rejected", "message": "Custom(6)", "hint": "wait"}, "state": "failed"}
    unix_service.steps = [
        say.answer(say.SUCCESS | {"error": None, "state": "finalized", "block_number": 9}),
        say.answer(say.SUCCESS | failed | {"message": "Custom(6)", "final": True, "submitted": "no"}),
    ]
    service = connect(unix_service.url)
    first, second = service.intent("i1"), service.intent("i 1/..")
    assert (first.success, first.block_number) == (True, 9)
    assert (second.success, second.code, second.message, second.final) == (False, "chain_rejected", "Custom(6)", True)
    lines = [seen.line for seen in unix_service.seen]
    assert lines == ["GET /wallet/intents/i1 HTTP/1.1", "GET /wallet/intents/i%201%2F.. HTTP/1.1"]


def test_looking_raises_what_the_service_refuses(connect, unix_service, say):
    unix_service.steps = [say.failure("unknown_intent", 404)]
    with pytest.raises(Refused, match="unknown_intent happened; do this"):
        connect(unix_service.url).intent("i1")


def test_looking_raises_where_nobody_answers(connect, tmp_path):
    with pytest.raises(ServiceUnreachable, match="nobody listens there"):
        connect(f"unix://{tmp_path}/none.sock", timeout=0.2).info()


def test_info_tells_what_the_token_may_do(connect, unix_service, say):
    content = {
        "success": True,
        "wallet_name": "validator",
        "hotkey_name": "default",
        "hotkey_address": "5F",
        "crypto_type": "sr25519",
        "client": {"name": "node", "calls": ["set_weights"], "netuids": [2], "per_hour": 60},
    }
    unix_service.steps = [say.answer(content)]
    info = connect(unix_service.url).info("validator")
    assert unix_service.seen[0].line == "GET /wallet/info?wallet_name=validator HTTP/1.1"
    assert (info.hotkey_address, info.client, info.calls, info.netuids) == ("5F", "node", ("set_weights",), (2,))


def test_health_tells_what_is_missing_and_never_raises(connect, unix_service, say, tmp_path):
    not_ready = {"success": False, "missing": {"chain": "silent"}, "error": {"code": "not_ready", "message": "x"}}
    unix_service.steps = [say.answer({"success": True, "status": "ready", "version": "1"}), say.answer(not_ready, 503)]
    service = connect(unix_service.url)
    first, second = service.health(), service.health()
    assert (first.alive, first.ready, first.version) == (True, True, "1")
    assert (second.alive, second.ready, second.missing) == (True, False, {"chain": "silent"})
    third = connect(f"unix://{tmp_path}/none.sock", timeout=0.2).health()
    assert (third.alive, third.ready) == (False, False)
    assert "nobody listens" in third.missing["gateway"]


@pytest.mark.parametrize("token", ["", " ", "default-token", "your-token", "your-secret-api-key", "two words", "ä"])
def test_a_token_that_is_none_is_refused_and_not_quoted(connect, token):
    with pytest.raises(SettingsError, match=r"^WALLET_SERVICE_TOKEN: expected") as caught:
        connect("http://localhost:1", token)
    assert token.strip() == "" or token not in str(caught.value)


# Every other route ---------------------------------------------------------------------------------------------------


WISHES = {
    "serve_axon": (
        lambda service, **how: service.serve_axon(2, "203.0.113.7", 8091, **how),
        {"ip": "203.0.113.7", "port": 8091, "protocol": 4, "version": 1},
    ),
    "serve_axon_tls": (
        lambda service, **how: service.serve_axon_tls(2, "2001:db8::7", 8092, b"\x01\xab", protocol=0, **how),
        {"ip": "2001:db8::7", "port": 8092, "protocol": 0, "version": 1, "certificate": "0x01ab"},
    ),
    "serve_prometheus": (
        lambda service, **how: service.serve_prometheus(2, "203.0.113.7", 9090, version=3, **how),
        {"ip": "203.0.113.7", "port": 9090, "version": 3},
    ),
    "reset_axon": (lambda service, **how: service.reset_axon(2, **how), {}),
    "set_commitment": (lambda service, **how: service.set_commitment(2, "https://x", **how), {"data": "https://x"}),
}


@pytest.mark.parametrize("kind", WISHES)
def test_a_call_beside_set_weights(connect, unix_service, kind):
    call, fields = WISHES[kind]
    result = call(connect(unix_service.url), wait_for_inclusion=True, hotkey_name="second", idempotency_key="k-1")
    assert result.success
    (seen,) = unix_service.seen
    assert seen.line == f"POST /wallet/{kind} HTTP/1.1"
    assert seen.fields["Idempotency-Key"] == "k-1"
    assert (seen.content["wallet_name"], seen.content["hotkey_name"]) == ("validator", "second")
    transaction = seen.content["transaction_data"]
    assert transaction.pop("timeout") == pytest.approx(95.0, abs=0.5)
    waits = {"wait_for_inclusion": True, "wait_for_finalization": False}
    assert transaction == {"netuid": 2} | fields | waits


def test_a_call_is_repeated_with_the_same_key(connect, unix_service, say):
    unix_service.steps = [say.CUT, say.answer(say.SUCCESS)]
    assert connect(unix_service.url).serve_axon(2, "203.0.113.7", 8091)
    assert len({seen.fields["Idempotency-Key"] for seen in unix_service.seen}) == 1


def test_a_call_that_fails_comes_back_or_is_raised(connect, unix_service, say):
    unix_service.steps = [say.failure("call_not_allowed", 403, submitted="no")]
    service = connect(unix_service.url)
    result = service.reset_axon(2)
    assert (result.success, result.code, result.submitted) == (False, "call_not_allowed", "no")
    with pytest.raises(NotAuthorised):
        service.reset_axon(2, raise_errors=True)


@pytest.mark.parametrize(
    "call",
    [
        lambda service: service.serve_axon(2, 7, 8091),
        lambda service: service.serve_axon(2, "203.0.113.7", "8091"),
        lambda service: service.serve_axon_tls(2, "203.0.113.7", 8091, "no hex"),
        lambda service: service.reset_axon("two"),
        lambda service: service.execute(object()),
    ],
)
def test_a_call_that_cannot_be_sent_is_refused_here(connect, unix_service, call):
    result = call(connect(unix_service.url))
    assert (result.success, result.code, result.submitted, result.final) == (False, "invalid_request", "no", True)
    assert unix_service.seen == []


def test_a_keyword_that_no_call_has_is_a_slip(connect, unix_service):
    service = connect(unix_service.url)
    for slip in (
        lambda: service.reset_axon(2, wait_for_inclusionn=True),
        lambda: service.set_weights(2, [1], [1], nonsense=1),
        lambda: service.sign("hello", wallet_nam="x"),
    ):
        with pytest.raises(TypeError, match="unexpected keyword argument"):
            slip()
    assert unix_service.seen == []


def test_takes_the_place_of_the_sdks_set_weights(connect, unix_service, say):
    """The keywords of bittensor 9.12 and 10.5, all of them."""
    unix_service.steps = [say.answer(say.SUCCESS), say.failure("rate_limited", 429, submitted="no")]
    service = connect(unix_service.url)
    both = {"netuid": 2, "uids": [1], "weights": [1.0], "mechid": 0, "block_time": 12.0, "commit_reveal_version": 4}
    both |= {"version_key": 9120200, "period": 8, "wait_for_inclusion": True, "wait_for_finalization": True}
    assert service.set_weights(wallet="validator", max_retries=5, **both)
    with pytest.raises(RateLimited):
        service.set_weights(
            wallet="validator",
            max_attempts=5,
            mev_protection=False,
            raise_error=True,
            wait_for_revealed_execution=True,
            **both,
        )
    assert unix_service.seen[0].content["transaction_data"]["version_key"] == 9120200


INTENTS = {
    "set_weights": {
        "netuid": 2,
        "uids": [1, 2],
        "weights": [0.5, 1.0],
        "mechid": 1,
        "version_key": 3,
    },
    "serve_axon": {"netuid": 2, "ip": "203.0.113.7", "port": 8091, "protocol": 4, "version": 1},
    "serve_axon_tls": {"netuid": 2, "ip": "203.0.113.7", "port": 8091, "certificate": "0x01ab", "protocol": 4},
    "serve_prometheus": {"netuid": 2, "ip": "203.0.113.7", "port": 9090, "version": 1},
    "reset_axon": {"netuid": 2},
}


@pytest.mark.parametrize("op", INTENTS)
def test_does_what_an_sdk_intent_means(connect, unix_service, op):
    assert connect(unix_service.url).execute(SimpleNamespace(op=op, **INTENTS[op]), idempotency_key="k")
    (seen,) = unix_service.seen
    assert (seen.line, seen.fields["Idempotency-Key"]) == (f"POST /wallet/{op} HTTP/1.1", "k")
    assert INTENTS[op].items() <= seen.content["transaction_data"].items()


@pytest.mark.parametrize(
    "intent", [SimpleNamespace(op="transfer"), SimpleNamespace(op="commit_weights"), "set_weights"]
)
def test_refuses_other_intents_by_name(connect, unix_service, intent):
    with pytest.raises(SettingsError, match="expected one of set_weights, serve_axon"):
        connect(unix_service.url).execute(intent, raise_errors=True)
    assert unix_service.seen == []


def test_refuses_exact_ratios(connect):
    intent = SimpleNamespace(op="set_weights", **INTENTS["set_weights"] | {"raw_u16": True})
    assert "raw_u16" in connect("unix:///none").execute(intent).message


SIGNATURE = "0x" + "ab" * 64


def test_asks_for_a_signed_request(connect, unix_service, say):
    headers = {"X-Bittensor-Version": "1"}
    unix_service.steps = [say.answer({"success": True, "headers": headers, "ss58_address": "5F", "nonce": "17"})]
    signed = connect(unix_service.url).request("POST", "/a?b=c", receiver="5G", body="hello")
    assert (signed.headers, signed.ss58_address, signed.nonce) == (headers, "5F", 17)
    (seen,) = unix_service.seen
    assert seen.line == "POST /wallet/request HTTP/1.1"
    assert "Idempotency-Key" not in seen.fields
    assert seen.content == {
        "wallet_name": "validator",
        "hotkey_name": "default",
        "method": "POST",
        "path": "/a?b=c",
        "body_sha256": sha256(b"hello").hexdigest(),
        "receiver": "5G",
    }


def test_a_request_for_anybody_is_refused_here(connect, unix_service):
    with pytest.raises(SettingsError, match="receiver"):
        connect(unix_service.url).request("GET", "/", receiver=None)
    assert unix_service.seen == []


def test_a_request_with_a_nonce_of_its_own_is_sent_once(connect, unix_service, say):
    unix_service.steps = [say.CUT]
    with pytest.raises(ServiceUnreachable):
        connect(unix_service.url).request("GET", "/", receiver="5G", nonce=17)
    assert len(unix_service.seen) == 1
    assert unix_service.seen[0].content["nonce"] == "17"


def test_asks_for_a_session(connect, unix_service, say):
    session = {"certificate": "c", "serial": "s", "until": "2027-01-15T08:00:00Z"}
    unix_service.steps = [say.answer({"success": True} | session)]
    found = connect(unix_service.url).session(b"\x11" * 32, netuid=2, lifetime=60)
    assert (found.certificate, found.serial, found.until) == tuple(session.values())
    content = unix_service.seen[0].content
    assert unix_service.seen[0].line == "POST /wallet/session HTTP/1.1"
    assert (content["key"], content["netuid"], content["receiver"], content["lifetime"]) == (
        "0x" + "11" * 32,
        2,
        None,
        60,
    )


def test_asks_for_a_text(connect, unix_service, say):
    text = {"signature": SIGNATURE, "signed": "<Bytes>…", "ss58_address": "5F", "scheme": "sr25519"}
    unix_service.steps = [say.CUT, say.answer({"success": True} | text)]
    found = connect(unix_service.url).sign("hello", wallet="other")
    assert (found.signature.hex(), found.signed, found.scheme) == ("ab" * 64, "<Bytes>…", "sr25519")
    assert unix_service.seen[1].line == "POST /wallet/sign HTTP/1.1"
    assert (unix_service.seen[1].content["wallet_name"], unix_service.seen[1].content["message"]) == ("other", "hello")


def test_asks_for_an_extrinsics_signature(connect, unix_service, say):
    unix_service.steps = [say.answer({"success": True, "signature": SIGNATURE, "crypto_type": 0, "ss58_address": "5F"})]
    found = connect(unix_service.url).extrinsic({"call_data": "0x07", "payload_json": {}})
    assert (found.signature.hex(), found.crypto_type) == ("ab" * 64, 0)
    assert unix_service.seen[0].content["extrinsic"] == {"call_data": "0x07"}


@pytest.mark.parametrize(
    "content",
    [{}, {"headers": [], "nonce": "1", "ss58_address": "5F"}, {"headers": {}, "nonce": "١", "ss58_address": "5F"}],
)
def test_an_answer_of_another_shape_is_none(connect, unix_service, say, content):
    unix_service.steps = [say.answer({"success": True} | content)]
    with pytest.raises(ServiceUnreachable, match="another version"):
        connect(unix_service.url).request("GET", "/", receiver="5G")


def test_a_refusal_to_sign_is_raised(connect, unix_service, say):
    unix_service.steps = [say.failure("call_not_allowed", 403)]
    with pytest.raises(NotAuthorised, match="call_not_allowed happened; do this"):
        connect(unix_service.url).sign("hello")


DRY = {
    "success": True,
    "dry_run": True,
    "approved": True,
    "message": "every rule passes; nothing was signed",
    "error": None,
    "submitted": "no",
    "call": {"name": "SubtensorModule.set_weights", "data": "0x0700", "fee_rao": 0, "weights": [[1, 65535]]},
    "rules": [{"rule": "netuids", "verdict": "pass", "passes": "2", "found": "2", "retry_after": None}, "nonsense"],
}


@pytest.mark.parametrize("kind", ["set_weights", *WISHES])
def test_a_dry_run_asks_what_would_be_signed(connect, unix_service, say, kind):
    unix_service.steps = [say.answer(DRY)]
    service = connect(unix_service.url)
    call = WISHES[kind][0] if kind in WISHES else lambda service, **how: service.set_weights(2, [1], [1], **how)
    result = call(service, dry_run=True)
    assert unix_service.seen[0].line == f"POST /wallet/{kind}?dry_run=1 HTTP/1.1"
    assert (result.success, result.submitted, result.explanation.call) == (True, "no", "SubtensorModule.set_weights")
    assert (result.explanation.call_data, result.explanation.fee_rao) == ("0x0700", 0)
    (rule,) = result.explanation.rules
    assert (rule.rule, rule.verdict, rule.passes, rule.found) == ("netuids", "pass", "2", "2")


def test_a_dry_run_that_would_be_refused_is_no_success(connect, unix_service, say):
    error = {"code": "netuid_not_allowed", "message": "subnet 2", "hint": ""}
    unix_service.steps = [say.answer(DRY | {"approved": False, "message": "subnet 2", "error": error, "call": None})]
    result = connect(unix_service.url).set_weights(2, [1], [1], dry_run=True)
    assert (result.success, result.code, result.submitted, result.final) == (False, "netuid_not_allowed", "no", True)
    assert result.explanation.call is None
