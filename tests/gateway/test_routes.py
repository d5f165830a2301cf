"""Every route and every status, over real sockets, with a scripted signer behind the real process."""

import http.client
import json
import re
import socket
import threading
import time

import pytest

from wallet_guard.ipc.answers import Refusal
from wallet_guard.ipc.clients import ClientView, InfoView, KeyView
from wallet_guard.ipc.explanations import Composed, DryRun, Explanation, Ruling, Verdict
from wallet_guard.ipc.intents import Accept, Failure, State
from wallet_guard.ipc.wishes import ServeAxon, SetWeights
from wallet_guard.orders.weights import MAX_BODY_BYTES

TOKEN = "a-token-of-43-characters-like-the-signer-ma"
BEARER = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture
def at_once(signer, new_view):
    """A signer that accepts and has the extrinsic in the pool a moment later."""
    signer.script["accept"] = lambda _: new_view()
    signer.script["show"] = lambda _: new_view(State.SUBMITTED, 3, extrinsic_hash="0xab", call="set_weights")
    while not signer.asked.empty():
        signer.asked.get()
    return signer


@pytest.mark.parametrize("door", ["unix", "tcp"])
def test_the_body_of_the_seed_ends_in_success(gateway, at_once, door):
    status, headers, content = gateway.set_weights(door=door)
    assert status == 200
    assert headers["Content-Type"] == "application/json"
    assert headers["Cache-Control"] == "no-store"
    assert content["success"] is True
    assert content["message"] == "weights for netuid 2 handed to the chain"
    assert (content["intent"], content["extrinsic_hash"], content["block_hash"]) == ("intent-1", "0xab", None)


def test_the_signer_gets_what_the_client_meant(gateway, at_once):
    gateway.set_weights(headers={"Idempotency-Key": "key-7"}, queue=True, mechid=1)
    request = SetWeights("validator", "default", 2, 1, (1, 2, 3), None, (100.0, 200.0, 300.0), 1)
    assert at_once.next_asked("accept") == Accept(TOKEN, "key-7", True, request)


def test_no_field_invites_other_origins(gateway, at_once):
    _, headers, _ = gateway.set_weights(headers={"Origin": "https://elsewhere.example"})
    assert not [name for name in headers if name.lower().startswith("access-control")]


def test_a_wait_for_inclusion_ends_with_the_event(gateway, signer, new_view):
    signer.script["accept"] = lambda _: new_view()
    signer.script["show"] = lambda _: new_view(State.SUBMITTED, 3)
    in_block = new_view(State.IN_BLOCK, 4, block_hash="0xcd", block_number=12)
    threading.Timer(0.2, signer.tell, [in_block]).start()
    begun = time.monotonic()
    status, _, content = gateway.set_weights(wait_for_inclusion=True)
    assert (status, content["block_hash"], content["block_number"]) == (200, "0xcd", 12)
    assert 0.1 < time.monotonic() - begun < 2


def test_a_wait_survives_a_restart_of_the_signer(gateway, signer, new_view):
    signer.script["accept"] = lambda _: new_view()
    signer.script["show"] = lambda _: new_view()

    def restart():
        signer.script["show"] = lambda _: new_view(State.FINALIZED, 6, block_number=12)
        signer.cut()

    threading.Timer(0.2, restart).start()
    status, _, content = gateway.set_weights(wait_for_finalization=True)
    assert (status, content["state"]) == (200, "finalized")


def test_a_signer_that_dies_of_the_question_is_asked_again_with_the_same_key(gateway, signer, new_view):
    keys = []

    def die_first(question):
        keys.append(question.idempotency_key)
        if len(keys) == 1:
            signer.cut()
            return None
        return new_view(State.SUBMITTED, 2)

    signer.script["accept"] = die_first
    status, _, _ = gateway.set_weights()
    assert status == 200
    assert len(keys) == 2
    assert keys[0] == keys[1]


def test_a_deadline_is_named_and_the_intent_kept(gateway, signer, new_view):
    signer.script["accept"] = signer.script["show"] = lambda _: new_view()
    status, _, content = gateway.set_weights(timeout=0.1)
    assert status == 504
    assert content["success"] is False
    assert (content["error"]["code"], content["intent"], content["submitted"]) == ("deadline", "intent-1", "no")


REFUSALS = {
    "unauthorized": 401,
    "wallet_not_allowed": 403,
    "netuid_not_allowed": 403,
    "call_not_allowed": 403,
    "unknown_wallet": 404,
    "idempotency_conflict": 409,
    "invalid_request": 422,
    "rate_limited": 429,
    "too_many_open": 429,
    "locked": 503,
    "a_code_of_tomorrow": 502,
}


@pytest.mark.parametrize("code", REFUSALS)
def test_a_refusal_has_its_status(gateway, signer, code):
    signer.script["accept"] = lambda _: Refusal(code, "expected this, found that", "do this", intent="other")
    status, headers, content = gateway.set_weights()
    assert status == REFUSALS[code]
    assert content["success"] is False
    assert content["error"] == {"code": code, "message": "expected this, found that", "hint": "do this"}
    assert (content["submitted"], content["intent"]) == ("no", "other")
    assert ("WWW-Authenticate" in headers) == (status == 401)


def test_a_rate_limit_says_when_to_come_back(gateway, signer):
    signer.script["accept"] = lambda _: Refusal("rate_limited", "too soon", "", 42, 1234)
    status, headers, content = gateway.set_weights()
    assert (status, headers["Retry-After"], content["next_block"]) == (429, "42", 1234)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", content["next_time"])


FAILURES = {
    "not_registered": 422,
    "unknown_hotkey": 422,
    "too_few_weights": 422,
    "weights_shifted": 422,
    "unknown_mechanism": 422,
    "version_key_too_low": 422,
    "commit_reveal_disabled": 409,
    "wrong_genesis": 502,
    "facts_refused": 502,
    "chain_rejected": 502,
    "dispatch_failed": 502,
    "not_effective": 502,
    "expired": 504,
}


@pytest.mark.parametrize("code", FAILURES)
def test_a_failed_intent_has_the_status_of_its_code(gateway, signer, new_view, code):
    failed = new_view(State.FAILED, 5, failure=Failure(code, "why", "what next", may_be_submitted=True))
    signer.script["accept"] = lambda _: new_view()
    signer.script["show"] = lambda _: failed
    status, _, content = gateway.set_weights()
    assert status == FAILURES[code]
    assert content["error"] == {"code": code, "message": "why", "hint": "what next"}
    assert (content["submitted"], content["final"], content["state"]) == ("maybe", True, "failed")


BAD_REQUESTS = {
    "no token": ({"token": None, "headers": {"Authorization": None}}, 401, "unauthorized"),
    "another scheme": ({"headers": {"Authorization": "Basic YTpi"}}, 401, "unauthorized"),
    "a token with a space": ({"token": "two words"}, 401, "unauthorized"),
    "an empty token": ({"token": ""}, 401, "unauthorized"),
    "the default of the seed": ({"token": "default-token"}, 401, "unauthorized"),
    "a token too long": ({"token": "a" * 513}, 401, "unauthorized"),
    "no content type": ({"headers": {"Content-Type": None}}, 415, "unsupported_media_type"),
    "what curl sends by itself": (
        {"headers": {"Content-Type": "application/x-www-form-urlencoded"}},
        415,
        "unsupported_media_type",
    ),
    "Latin-1": ({"headers": {"Content-Type": "application/json; charset=latin-1"}}, 415, "unsupported_media_type"),
    "compressed": ({"headers": {"Content-Encoding": "gzip"}}, 415, "unsupported_media_type"),
    "a key with a space": ({"headers": {"Idempotency-Key": "a b"}}, 400, "invalid_header"),
    "a key too long": ({"headers": {"Idempotency-Key": "a" * 129}}, 400, "invalid_header"),
    "an empty key": ({"headers": {"Idempotency-Key": ""}}, 400, "invalid_header"),
    "no JSON": ({"body": b"wallet_name=validator"}, 400, "invalid_json"),
    "NaN": ({"weights": [1, 2, float("nan")]}, 400, "invalid_json"),
    "an empty body": ({"body": b""}, 400, "invalid_json"),
    "a million entries": ({"uids": [1] * 10**6, "weights": [1] * 10**6}, 413, "too_large"),
    "half a million entries": ({"body": b"[" + b"1," * 500_000 + b"1]"}, 422, "invalid_request"),
    "deep nesting": ({"body": b"[" * 10**6}, 400, "invalid_json"),
    "a negative uid": ({"uids": [-1, 2, 3]}, 422, "invalid_request"),
    "all zero": ({"weights": [0, 0, 0]}, 422, "invalid_request"),
}


@pytest.mark.parametrize("name", BAD_REQUESTS)
def test_a_bad_request_is_refused_before_the_signer_is_asked(gateway, at_once, name):
    request, status, code = BAD_REQUESTS[name]
    found, headers, content = gateway.set_weights(**request)
    assert (found, content["error"]["code"]) == (status, code)
    assert content["success"] is False
    assert content["submitted"] == "no"
    assert ("WWW-Authenticate" in headers) == (status == 401)
    assert at_once.asked.empty()


def test_json_with_utf8_named_is_taken(gateway, at_once):
    assert gateway.set_weights(headers={"Content-Type": 'Application/JSON; charset="UTF-8"'})[0] == 200


def test_a_body_of_exactly_the_ceiling_is_read(gateway, at_once):
    seed = {"wallet_name": "a", "transaction_data": {"netuid": 2, "uids": [1], "weights": [1]}}
    body = json.dumps(seed).encode().ljust(MAX_BODY_BYTES)
    assert gateway.set_weights(body)[0] == 200
    status, _, content = gateway.set_weights(body + b" ")
    assert (status, content["error"]["code"], content["submitted"]) == (413, "too_large", "no")


def test_a_refused_field_is_named(gateway, at_once):
    _, _, content = gateway.set_weights(netuid=-1)
    assert content["error"]["message"] == "transaction_data.netuid: expected 0 to 65535, found -1"


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/wallet/set_weights", "POST"),
        ("DELETE", "/wallet/set_weights", "POST"),
        ("POST", "/wallet/info", "GET"),
        ("POST", "/wallet/intents/x", "GET"),
        ("PUT", "/health", "GET"),
    ],
)
def test_another_method_is_told_which_is_allowed(gateway, method, path, allowed):
    status, headers, content = gateway.ask(method, path, headers=BEARER)
    assert (status, content["error"]["code"]) == (405, "method_not_allowed")
    assert allowed in headers["Allow"]


@pytest.mark.parametrize("path", ["/", "/wallet", "/wallet/unlock", "/wallet/set_weights/", "/wallet/intents", "/docs"])
def test_another_path_is_not_found(gateway, path):
    status, _, content = gateway.ask("POST", path, headers=BEARER)
    assert (status, content["success"], content["error"]["code"]) == (404, False, "not_found")


@pytest.mark.parametrize(
    "raw",
    [
        b"GET /../etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"nonsense\r\n\r\n",
        b"POST /wallet/set_weights HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
    ],
)
def test_what_is_no_http_is_answered_in_json(gateway, raw):
    with socket.create_connection(("127.0.0.1", gateway.tcp_port), 5) as connection:
        connection.sendall(raw)
        response = http.client.HTTPResponse(connection)
        response.begin()
        content = json.loads(response.read())
    assert response.status == 400
    assert (content["success"], content["error"]["code"]) == (False, "bad_request")


def test_an_intent_can_be_looked_at(gateway, signer, new_view):
    signer.script["show"] = lambda _: new_view(State.IN_BLOCK, 4, block_number=3, weights=((1, 65535), (2, 7)))
    status, _, content = gateway.ask("GET", "/wallet/intents/intent-1", headers=BEARER)
    assert (status, content["success"], content["state"]) == (200, True, "in_block")
    assert content["weights"] == [[1, 65535], [2, 7]]


def test_an_intent_of_another_is_not_found(gateway, signer):
    signer.script["show"] = lambda _: Refusal("unknown_intent", "expected one of yours, found none of that name")
    status, _, content = gateway.ask("GET", "/wallet/intents/intent-2", headers=BEARER)
    assert (status, content["error"]["code"]) == (404, "unknown_intent")
    assert "submitted" not in content


@pytest.mark.parametrize("intent", ["a%20b", "a" * 65, "%22", "..."])
def test_what_cannot_be_an_intent_is_not_asked_for(gateway, at_once, intent):
    status, _, content = gateway.ask("GET", f"/wallet/intents/{intent}", headers=BEARER)
    assert (status, content["error"]["code"]) == (404, "unknown_intent")
    assert at_once.asked.empty()


KEYS = (KeyView("validator", "default", "5Def", "sr25519"), KeyView("validator", "second", "5Sec", "sr25519"))
CLIENT = ClientView("node", "validator", "*", ("set_weights",), None, 60, 0, None)


@pytest.mark.parametrize(
    ("query", "address"),
    [
        ("", "5Def"),
        ("?hotkey_name=second", "5Sec"),
        ("?wallet_name=validator&hotkey_name=default", "5Def"),
    ],
)
def test_info_tells_what_the_token_may_do(gateway, signer, query, address):
    signer.script["info"] = lambda _: InfoView(CLIENT, KEYS)
    status, _, content = gateway.ask("GET", f"/wallet/info{query}", headers=BEARER)
    assert (status, content["hotkey_address"]) == (200, address)
    assert content["client"]["calls"] == ["set_weights"]
    assert len(content["keys"]) == 2


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ("?wallet_name=other", 404, "unknown_wallet"),
        ("?wallet=validator", 422, "invalid_request"),
        ("?wallet_name=a&wallet_name=validator", 422, "invalid_request"),
    ],
)
def test_info_refuses_what_it_cannot_tell(gateway, signer, query, status, code):
    signer.script["info"] = lambda _: InfoView(CLIENT, KEYS)
    found, _, content = gateway.ask("GET", f"/wallet/info{query}", headers=BEARER)
    assert (found, content["error"]["code"]) == (status, code)


@pytest.mark.parametrize("path", ["/wallet/info", "/wallet/intents/intent-1"])
def test_looking_needs_a_token(gateway, path):
    status, headers, content = gateway.ask("GET", path)
    assert (status, content["error"]["code"]) == (401, "unauthorized")
    assert headers["WWW-Authenticate"].startswith("Bearer")


def test_health_needs_no_token(gateway):
    status, _, content = gateway.ask("GET", "/health")
    assert (status, content["status"]) == (200, "ok")
    assert content["version"]


def test_readiness_needs_no_token_and_asks_the_signer_once_a_second(gateway, signer):
    time.sleep(1.1)
    while not signer.asked.empty():
        signer.asked.get()
    for _ in range(5):
        status, _, content = gateway.ask("GET", "/ready")
        assert (status, content["status"]) == (200, "ready")
    assert [question.ask for question in signer.asked.queue] == ["health"]


def test_a_client_that_leaves_is_forgotten_and_its_intent_is_not(gateway, signer, new_view):
    signer.script["accept"] = signer.script["show"] = lambda _: new_view()
    body = json.dumps({"wallet_name": "a", "transaction_data": {"netuid": 2, "uids": [1], "weights": [1]}})
    connection = gateway.connect()
    connection.request("POST", "/wallet/set_weights", body, BEARER | {"Content-Type": "application/json"})
    signer.next_asked("show")
    connection.close()
    ends = time.monotonic() + 5
    while "client left" not in gateway.log and time.monotonic() < ends:
        time.sleep(0.02)
    assert "client left" in gateway.log
    assert {question.ask for question in signer.asked.queue} <= {"accept", "show"}


def test_one_connection_carries_many_requests(gateway, at_once):
    connection = gateway.connect("tcp")
    for _ in range(20):
        connection.request("GET", "/health")
        response = connection.getresponse()
        assert (response.status, json.loads(response.read())["success"]) == (200, True)
    connection.close()


def test_the_log_has_one_line_per_request_and_no_secret(gateway, at_once):
    before = len(gateway.log.splitlines())
    gateway.set_weights(headers={"Idempotency-Key": "key-in-log"})
    gateway.set_weights(netuid=-1)
    first, second = gateway.log.splitlines()[before:]
    assert re.search(r"POST /wallet/set_weights 200 \d+ ms client=validator-node intent=intent-1 submitted$", first)
    assert re.search(r"POST /wallet/set_weights 422 \d+ ms invalid_request$", second)
    assert TOKEN not in gateway.log


def wish_body(data):
    return json.dumps({"wallet_name": "miner", "transaction_data": {"netuid": 2} | data}).encode()


def test_a_wish_goes_to_the_signer_as_it_was_meant(gateway, signer, new_view):
    signer.script["accept"] = signer.script["show"] = lambda _: new_view("submitted", kind="serve_axon")
    data, wish = {"ip": "203.0.113.7", "port": 8091}, ServeAxon("miner", "default", 2, "203.0.113.7", 8091, 4, 1)
    headers = {
        "Authorization": "Bearer a-token-of-43-characters-like-the-signer-ma",
        "Content-Type": "application/json",
        "Idempotency-Key": "axon-1",
    }
    status, _, content = gateway.ask("POST", "/wallet/serve_axon", wish_body(data), headers=headers)
    assert (status, content["kind"], content["message"]) == (
        200,
        "serve_axon",
        "serve_axon for netuid 2 handed to the chain",
    )
    asked = signer.next_asked("accept")
    while asked.idempotency_key != "axon-1":
        asked = signer.next_asked("accept")
    assert (asked.request, asked.queue) == (wish, False)


def test_a_refusal_says_that_nothing_was_submitted(gateway, signer):
    signer.script["accept"] = lambda _: Refusal("call_not_allowed", "expected set_weights, found serve_axon")
    headers = {"Authorization": "Bearer some-token", "Content-Type": "application/json"}
    status, _, content = gateway.ask("POST", "/wallet/reset_axon", wish_body({}), headers=headers)
    assert (status, content["error"]["code"], content["submitted"]) == (403, "call_not_allowed", "no")


EXPLAINED = Explanation(
    client="node",
    kind="set_weights",
    wallet="validator",
    hotkey="default",
    netuid=2,
    mechid=0,
    approved=False,
    code="policy_denied",
    message="max_share: expected at most 0.2 for one uid, found 0.5 for uid 3",
    rules=(Verdict("max_share", Ruling.REFUSE, "at most 0.2 for one uid", "0.5 for uid 3"),),
    call=Composed("SubtensorModule.set_weights", b"\x07\x00", ((1, 65535),), None, 461, b"\x22" * 32, 0),
)


@pytest.mark.parametrize("how", ["query", "body"])
def test_a_dry_run_is_asked_for_in_two_ways_and_never_accepted(gateway, signer, how):
    signer.script["dry_run"] = lambda _: EXPLAINED
    while not signer.asked.empty():
        signer.asked.get()
    body = {"wallet_name": "validator", "transaction_data": {"netuid": 2, "weights": {"1": 1}}}
    if how == "body":
        body["dry_run"] = True
    path = "/wallet/set_weights" + ("?dry_run=1" if how == "query" else "")
    fields = {**BEARER, "Content-Type": "application/json"}
    status, _, content = gateway.ask("POST", path, json.dumps(body), headers=fields)
    assert status == 200
    assert (content["dry_run"], content["approved"], content["submitted"]) == (True, False, "no")
    assert content["error"]["code"] == "policy_denied"
    assert content["call"]["data"] == "0x0700"
    assert content["call"]["fee_rao"] == 0
    assert content["rules"][0]["verdict"] == "refuse"
    request = SetWeights("validator", "default", 2, 0, (1,), None, (1,), 0)
    assert signer.next_asked("dry_run") == DryRun(TOKEN, request)
    assert signer.asked.empty()


@pytest.mark.parametrize("query", ["dry_run=0", "dry_run=true", "dry_run", "dry_run=1&dry_run=1", "dryrun=1"])
def test_a_dry_run_has_one_spelling(gateway, at_once, query):
    body = {"wallet_name": "validator", "transaction_data": {"netuid": 2, "weights": {"1": 1}}}
    fields = {**BEARER, "Content-Type": "application/json"}
    status, _, content = gateway.ask("POST", f"/wallet/set_weights?{query}", json.dumps(body), headers=fields)
    assert (status, content["error"]["code"]) == (422, "invalid_request")


def test_a_refusal_names_its_rule(gateway, signer):
    refusal = Refusal("policy_denied", "uids: expected 1 to 5, found uid 9", "", rule="uids")
    signer.script["accept"] = lambda _: refusal
    status, _, content = gateway.set_weights()
    assert (status, content["error"]["rule"], content["submitted"]) == (403, "uids", "no")


def test_a_locked_signer_is_not_unlocked(gateway, signer):
    signer.script["info"] = lambda _: InfoView(CLIENT, KEYS, "locked: by the operator")
    _, _, content = gateway.ask("GET", "/wallet/info", headers=BEARER)
    assert content["is_unlocked"] is False


def test_a_dry_run_with_a_key_that_is_none_is_refused_all_the_same(gateway, at_once):
    body = {"wallet_name": "w", "transaction_data": {"netuid": 2, "uids": [1], "weights": [1]}, "dry_run": True}
    status, _, content = gateway.set_weights(body, headers={"Idempotency-Key": "k" * 129})
    assert (status, content["error"]["code"]) == (400, "invalid_header")
