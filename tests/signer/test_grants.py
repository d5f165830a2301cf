"""Grants: denied unless wallet, call and netuid were each given."""

import json
from typing import Any

import pytest

from wallet_guard.ipc.answers import Refusal
from wallet_guard.ipc.clients import CALLS, DEFAULT_CALLS, ClientView
from wallet_guard.signer.grants import PER_HOUR, Asked, Granted, check, grant, hour_of
from wallet_guard.signer.rules import PERMISSIONS

CLIENT = ClientView("node", "validator", "default", ("request", "session"), (1, 2), 2, 0, None)


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        (Asked("validator", "default", "request"), None),
        (Asked("validator", "default", "session", 2), None),
        (Asked("validator", "default", "session", 3), "netuid_not_allowed"),
        (Asked("validator", "default", "session", any_netuid=True), "netuid_not_allowed"),
        (Asked("validator", "default", "text"), "call_not_allowed"),
        (Asked("validator", "default", ""), "call_not_allowed"),
        (Asked("validator", "default", "Request"), "call_not_allowed"),
        (Asked("validator", "other", "request"), "wallet_not_allowed"),
        (Asked("other", "default", "request"), "wallet_not_allowed"),
        (Asked("../validator", "default", "request"), "wallet_not_allowed"),
    ],
)
def test_what_was_not_given_is_denied(bench: Any, asked: Asked, code: str | None) -> None:
    refusal = check(bench.desk, CLIENT, asked, PERMISSIONS)
    assert (refusal.code if refusal else None) == code


def test_a_client_without_netuids_may_use_none_that_is_named(bench: Any) -> None:
    client = ClientView("node", "validator", "default", ("session",), (), 2, 0, None)
    refusal = check(bench.desk, client, Asked("validator", "default", "session", 0), PERMISSIONS)
    assert refusal is not None
    assert refusal.code == "netuid_not_allowed"


def test_a_new_client_may_set_weights_and_no_more() -> None:
    assert DEFAULT_CALLS == ("set_weights",)
    assert set(DEFAULT_CALLS) < set(CALLS)


def test_nothing_dangerous_can_be_given() -> None:
    words = ("transfer", "stake", "swap", "evm", "root", "proxy", "batch", "commit_", "register", "sudo", "multisig")
    assert not [call for call in CALLS for word in words if word in call.lower()]


def test_the_ceilings_are_those_of_the_call_or_of_the_client(bench: Any) -> None:
    bench.token = bench.add_client("few", calls=("text", "request"), per_hour=2)
    journal, hour = bench.desk.journal, hour_of(bench.now)
    with journal.transaction() as writer:
        for _ in range(2):
            writer.count_signed("few", "text", hour)
            writer.count_signed("few", "request", hour)
    refusal = grant(bench.desk, bench.token, Asked("validator", "default", "text"))
    assert isinstance(refusal, Refusal)
    assert refusal.code == "rate_limited"
    assert PER_HOUR["request"] > 2
    assert isinstance(grant(bench.desk, bench.token, Asked("validator", "default", "request")), Granted)


def test_another_clients_signatures_do_not_count(bench: Any) -> None:
    bench.token = bench.add_client("few", calls=("text",), per_hour=1)
    with bench.desk.journal.transaction() as writer:
        writer.count_signed("node", "text", hour_of(bench.now))
    assert isinstance(grant(bench.desk, bench.token, Asked("validator", "default", "text")), Granted)


def test_hours_long_past_are_forgotten(bench: Any) -> None:
    hour = hour_of(bench.now)
    with bench.desk.journal.transaction() as writer:
        writer.count_signed("node", "text", hour - 3)
        writer.count_signed("node", "text", hour)
    assert bench.desk.journal.count_signed("node", "text", hour - 3) == 0
    assert bench.desk.journal.count_signed("node", "text", hour) == 1


def test_a_denial_is_written_before_it_is_told(bench: Any) -> None:
    grant(bench.desk, bench.token, Asked("validator", "default", "x" * 200, 2**40))
    record = list(bench.desk.journal.records())[-1]
    body = json.loads(record.body)
    assert record.kind == "denied"
    assert (body["code"], len(body["call"]), body["netuid"]) == ("call_not_allowed", 64, 2**32)


def test_a_revoked_token_is_a_strangers(bench: Any) -> None:
    with bench.desk.journal.transaction() as writer:
        writer.revoke_client("node", bench.now)
    refusal = grant(bench.desk, bench.token, Asked("validator", "default", "set_weights", 2))
    assert isinstance(refusal, Refusal)
    assert refusal.code == "unauthorized"
