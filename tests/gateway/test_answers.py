"""What answers say, for every way in which an intent can stand."""

import json

import pytest

from wallet_guard.gateway import answers
from wallet_guard.ipc.answers import Refusal
from wallet_guard.ipc.clients import ClientView, InfoView, KeyView
from wallet_guard.ipc.health import HealthView
from wallet_guard.ipc.intents import Failure, IntentView, State

NOW_MS = 1_800_000_000_000  # 2027-01-15T08:00:00Z


def a_view(state, **changes):
    fields = {
        "intent": "i1",
        "client": "node",
        "state": state,
        "version": 1,
        "wallet": "validator",
        "hotkey": "default",
        "netuid": 2,
        "mechid": 0,
        "accepted_ms": NOW_MS,
        "deadline_ms": NOW_MS + 300_000,
        "not_before_ms": None,
        "not_before_block": None,
        "call": "SubtensorModule.set_weights",
        "weights": ((1, 65535),),
        "nonce": 1,
        "reveal_round": None,
        "extrinsic_hash": None,
        "block_hash": None,
        "block_number": None,
        "failure": None,
        "trouble": "",
    }
    return IntentView(**(fields | changes))


def failure(code, may_be_submitted=False):
    return Failure(code, f"{code} happened", "do this", may_be_submitted)


def content_of(answer):
    return json.loads(answer.body)


@pytest.mark.parametrize(
    ("view", "submitted"),
    [
        (a_view(State.ACCEPTED), "no"),
        (a_view(State.SIGNED), "maybe"),
        (a_view(State.SUBMITTED), "yes"),
        (a_view(State.IN_BLOCK), "yes"),
        (a_view(State.IN_BLOCK, failure=failure("dispatch_failed")), "yes"),
        (a_view(State.FINALIZED), "yes"),
        (a_view(State.EFFECTIVE), "yes"),
        (a_view(State.FAILED, failure=failure("too_few_weights")), "no"),
        (a_view(State.FAILED, failure=failure("chain_rejected", may_be_submitted=True)), "maybe"),
        (a_view(State.FAILED, failure=failure("dispatch_failed"), block_hash="0x01"), "yes"),
        (a_view(State.EXPIRED), "no"),
        (a_view(State.EXPIRED, extrinsic_hash="0x01"), "maybe"),
        (a_view(State.EXPIRED, failure=failure("expired", may_be_submitted=True)), "maybe"),
    ],
)
def test_says_whether_anything_may_have_been_submitted(view, submitted):
    assert answers.submitted(view) == submitted
    assert answers.intent_content(view)["submitted"] == submitted


@pytest.mark.parametrize("state", State)
def test_only_final_states_are_final(state):
    final = answers.intent_content(a_view(state))["final"]
    assert final == (state in (State.EFFECTIVE, State.FAILED, State.EXPIRED))


def test_a_success_carries_hashes_and_block():
    answer = answers.answer_reached(a_view(State.IN_BLOCK, extrinsic_hash="0xab", block_hash="0xcd", block_number=7))
    content = content_of(answer)
    assert answer.status == 200
    assert content["success"] is True
    assert content["message"] == "weights for netuid 2 in block 7"
    assert (content["extrinsic_hash"], content["block_hash"], content["block_number"]) == ("0xab", "0xcd", 7)
    assert content["deadline"] == "2027-01-15T08:05:00Z"


def test_a_timelocked_commit_says_when_it_is_revealed():
    view = a_view(State.SUBMITTED, call="SubtensorModule.commit_timelocked_weights", reveal_round=99)
    message = content_of(answers.answer_reached(view))["message"]
    assert message == "timelocked weights for netuid 2 handed to the chain; the chain reveals them at drand round 99"


def test_a_failed_intent_has_the_status_of_its_code():
    answer = answers.answer_ended(a_view(State.FAILED, failure=failure("unknown_hotkey")), now_ms=NOW_MS)
    content = content_of(answer)
    assert answer.status == 422
    assert content["error"] == {"code": "unknown_hotkey", "message": "unknown_hotkey happened", "hint": "do this"}
    assert (content["success"], content["intent"], content["submitted"]) == (False, "i1", "no")


def test_a_rate_limit_of_the_chain_says_when_it_ends():
    view = a_view(State.FAILED, failure=failure("rate_limited"), not_before_block=1200, not_before_ms=NOW_MS + 60_001)
    answer = answers.answer_ended(view, now_ms=NOW_MS)
    assert answer.status == 429
    assert ("Retry-After", "61") in answer.fields
    assert content_of(answer)["next_block"] == 1200
    assert content_of(answer)["next_time"] == "2027-01-15T08:01:00Z"


def test_a_rate_limit_that_has_passed_meanwhile_still_says_a_second():
    view = a_view(State.FAILED, failure=failure("rate_limited"), not_before_ms=NOW_MS - 60_000)
    assert ("Retry-After", "1") in answers.answer_ended(view, now_ms=NOW_MS).fields


def test_a_rate_limit_of_the_client_says_when_it_ends():
    refusal = Refusal("rate_limited", "expected at most 10 an hour", "", retry_after_seconds=90)
    answer = answers.answer_refusal(refusal, now_ms=NOW_MS, submitted="no")
    assert ("Retry-After", "90") in answer.fields
    assert content_of(answer)["next_time"] == "2027-01-15T08:01:30Z"


def test_an_expired_intent_without_a_failure_is_a_timeout():
    answer = answers.answer_ended(a_view(State.EXPIRED), now_ms=NOW_MS)
    assert answer.status == 504
    assert content_of(answer)["error"]["code"] == "expired"


@pytest.mark.parametrize(
    ("state", "trouble", "code", "status", "submitted"),
    [
        (State.ACCEPTED, "", "deadline", 504, "no"),
        (State.ACCEPTED, "cannot connect", "chain_unavailable", 503, "no"),
        (State.SIGNED, "cannot connect", "chain_unavailable", 503, "maybe"),
        (State.SUBMITTED, "", "deadline", 504, "yes"),
        (State.SUBMITTED, "the block was retracted", "deadline", 504, "yes"),
    ],
)
def test_a_wait_that_ended_says_what_is_kept(state, trouble, code, status, submitted):
    answer = answers.answer_late(a_view(state, trouble=trouble), State.IN_BLOCK, 90.0, now_ms=NOW_MS)
    content = content_of(answer)
    assert answer.status == status
    assert (content["error"]["code"], content["submitted"], content["final"]) == (code, submitted, False)
    assert "not in block after 90 s" in content["message"]
    assert "kept until 2027-01-15T08:05:00Z" in content["message"]
    assert "/wallet/intents/i1" in content["error"]["hint"]
    assert trouble in content["message"]


def test_a_queued_intent_is_accepted_and_says_from_when():
    view = a_view(State.ACCEPTED, not_before_block=1200, not_before_ms=NOW_MS + 600_000)
    answer = answers.answer_queued(view)
    content = content_of(answer)
    assert answer.status == 202
    assert (content["success"], content["queued"], content["next_block"]) == (True, True, 1200)
    assert content["next_time"] == "2027-01-15T08:10:00Z"


def test_a_limit_that_was_waited_out_is_not_told_any_more():
    waited = {"not_before_block": 1200, "not_before_ms": NOW_MS}
    assert "next_block" not in answers.intent_content(a_view(State.SUBMITTED, **waited))
    assert answers.intent_content(a_view(State.ACCEPTED, **waited))["next_block"] == 1200


def test_without_the_signer_the_key_is_told():
    answer = answers.answer_unsure("signer_unavailable", "the signer closed the connection", "key-1", asked=True)
    content = content_of(answer)
    assert answer.status == 503
    assert (content["submitted"], content["idempotency_key"]) == ("maybe", "key-1")
    assert content_of(answers.answer_unsure("stopping", "x", "k", asked=False))["submitted"] == "no"


def test_a_look_at_a_failed_intent_succeeds():
    answer = answers.answer_intent(a_view(State.FAILED, failure=failure("chain_rejected")))
    content = content_of(answer)
    assert answer.status == 200
    assert content["success"] is True
    assert content["error"]["code"] == "chain_rejected"
    assert content["weights"] == [[1, 65535]]


@pytest.mark.parametrize("state", State)
def test_every_state_can_be_looked_at(state):
    content = content_of(answers.answer_intent(a_view(state)))
    assert content["state"] == state.value
    assert content["error"] is None


def test_info_keeps_the_names_of_the_seed():
    key = KeyView("validator", "default", "5F", "sr25519")
    client = ClientView("node", "validator", "default", ("set_weights",), (2,), 60, NOW_MS, None)
    content = content_of(answers.answer_info(InfoView(client, (key,)), key))
    assert content["wallet_name"] == "validator"
    assert content["hotkey_name"] == "default"
    assert content["hotkey_address"] == "5F"
    assert content["coldkey_address"] is None
    assert content["is_unlocked"] is True
    assert content["client"]["netuids"] == [2]


def a_health(**changes):
    fields = {
        "version": "0",
        "keys": 1,
        "clients": 1,
        "open_intents": 0,
        "journal_error": "",
        "runtime": 461,
        "chain_trouble": "",
        "chain_seconds": 1.0,
    }
    return HealthView(**(fields | changes))


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        ({}, []),
        ({"runtime": None}, []),
        ({"journal_error": "/var/lib/secret: no space"}, ["journal"]),
        ({"keys": 0}, ["keys"]),
        ({"chain_seconds": None}, ["chain"]),
        ({"chain_seconds": 31.0}, ["chain"]),
        ({"chain_trouble": "wss://key@endpoint: refused"}, ["chain"]),
        ({"journal_error": "x", "chain_trouble": "x"}, ["journal", "chain"]),
    ],
)
def test_readiness_names_what_is_missing_and_no_more(changes, parts):
    missing = answers.missing_parts(a_health(**changes))
    answer = answers.answer_ready(missing, "0")
    assert list(missing) == parts
    assert answer.status == (503 if parts else 200)
    assert b"secret" not in answer.body
    assert b"endpoint:" not in answer.body


@pytest.mark.parametrize("code", ["unauthorized"])
def test_a_stranger_is_challenged(code):
    answer = answers.answer_refusal(Refusal(code, "no"), now_ms=NOW_MS)
    assert answer.status == 401
    assert ("WWW-Authenticate", 'Bearer realm="wallet-guard"') in answer.fields
