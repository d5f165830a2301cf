"""Session certificates, as the signer gives them."""

import dataclasses
import json
from typing import Any

import bittensor_core
import pytest

from wallet_guard.ipc.answers import Refusal
from wallet_guard.ipc.signatures import IssueHubSession, IssueSession, SessionView
from wallet_guard.signed.certificate import CertificateError, Purpose, verify_certificate
from wallet_guard.signer.sessions import issue_hub_session, issue_session

BOB = bittensor_core.Keypair.create_from_uri("//Bob", 1).ss58_address


@pytest.fixture
def asking(bench: Any) -> Any:
    bench.token = bench.add_client("speaker", calls=("session",), netuids=(2,))
    return bench


def ask(bench: Any, **changes: Any) -> Any:
    fields: dict[str, Any] = {
        "token": bench.token,
        "wallet": "validator",
        "hotkey": "default",
        "key": bytes(range(32)),
        "netuid": 2,
        "receiver": BOB,
        "lifetime_seconds": 600,
    }
    return issue_session(bench.desk, IssueSession(**{**fields, **changes}))


def issued(bench: Any, **changes: Any) -> SessionView:
    view = ask(bench, **changes)
    assert isinstance(view, SessionView), view
    return view


def test_a_certificate_says_what_was_asked_for(asking: Any, alice: Any) -> None:
    view = issued(asking)
    found = verify_certificate(view.certificate, now_ms=asking.now, purpose=Purpose.NODE, netuid=2, receiver=BOB)
    assert (found.speaker, found.key, found.netuid, found.receiver) == (alice.ss58_address, bytes(range(32)), 2, BOB)
    assert (found.from_ms, found.until_ms) == (asking.now, asking.now + 600_000)
    assert (view.until_ms, view.serial) == (found.until_ms, found.serial)


def test_each_has_a_serial_of_its_own_that_the_audit_knows(asking: Any) -> None:
    first, second = issued(asking), issued(asking)
    assert first.serial != second.serial
    record = list(asking.desk.journal.records())[-1]
    assert record.kind == "session_issued"
    assert json.loads(record.body)["serial"] == second.serial


@pytest.mark.parametrize("lifetime", [0, -1, 3601, 86_400, 2**70])
def test_a_lifetime_is_capped_by_the_operator(asking: Any, lifetime: int) -> None:
    assert ask(asking, lifetime_seconds=lifetime).code == "invalid_request"


def test_a_client_for_one_subnet_gets_no_certificate_for_another_or_for_all(asking: Any) -> None:
    assert ask(asking, netuid=3).code == "netuid_not_allowed"
    assert ask(asking, netuid=None).code == "netuid_not_allowed"


def test_a_client_for_any_subnet_gets_one_for_all(bench: Any) -> None:
    bench.token = bench.add_client("any", calls=("session",), netuids=None)
    view = issued(bench, netuid=None, receiver=None)
    assert verify_certificate(view.certificate, now_ms=bench.now, purpose=Purpose.NODE, netuid=9, receiver=BOB)


@pytest.mark.parametrize("changes", [{"key": b""}, {"key": bytes(33)}, {"receiver": "*"}, {"receiver": "x\ny"}])
def test_refuses_what_would_read_otherwise(asking: Any, changes: dict[str, Any]) -> None:
    assert ask(asking, **changes).code == "invalid_request"


def test_only_who_was_granted_it_may(bench: Any) -> None:
    refusal = ask(bench)
    assert isinstance(refusal, Refusal)
    assert refusal.code == "call_not_allowed"
    assert bench.kinds()[-1] == "denied"


# The hub ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def greeting(bench: Any) -> Any:
    signer = dataclasses.replace(bench.desk.config.signer, hub_hotkeys=("validator/default",))
    bench.desk.config = dataclasses.replace(bench.desk.config, signer=signer)
    return bench


def ask_as_hub(bench: Any, **changes: Any) -> Any:
    fields: dict[str, Any] = {"wallet": "validator", "hotkey": "default", "key": bytes(range(32)), "netuid": 2}
    return issue_hub_session(bench.desk, IssueHubSession(**{**fields, **changes}))


def test_the_hub_gets_an_hour_for_greetings_and_no_more(greeting: Any) -> None:
    view = ask_as_hub(greeting)
    assert isinstance(view, SessionView)
    where = {"now_ms": greeting.now, "netuid": 2, "receiver": BOB}
    found = verify_certificate(view.certificate, purpose=Purpose.HUB, **where)
    assert found.until_ms - found.from_ms == 3_600_000
    with pytest.raises(CertificateError, match="expected a certificate for node"):
        verify_certificate(view.certificate, purpose=Purpose.NODE, **where)
    assert greeting.kinds()[-1] == "session_issued"


def test_the_hub_greets_only_for_hotkeys_that_are_named(bench: Any, greeting: Any) -> None:
    assert ask_as_hub(greeting, wallet="treasury").code == "wallet_not_allowed"
    assert greeting.kinds()[-1] == "denied"


def test_without_a_word_of_the_operator_the_hub_greets_for_nobody(bench: Any) -> None:
    assert ask_as_hub(bench).code == "wallet_not_allowed"


def test_a_hub_that_asks_without_end_is_stopped(greeting: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wallet_guard.signer.sessions.HUB_PER_HOUR", 2)
    outcomes = [ask_as_hub(greeting) for _ in range(3)]
    assert isinstance(outcomes[1], SessionView)
    assert outcomes[2].code == "rate_limited"


@pytest.mark.parametrize("changes", [{"key": b""}, {"netuid": -1}, {"netuid": 4096}])
def test_the_hub_gets_nothing_that_would_read_otherwise(greeting: Any, changes: dict[str, Any]) -> None:
    assert ask_as_hub(greeting, **changes).code == "invalid_request"


def test_a_locked_signer_lets_nobody_speak(greeting: Any, asking: Any) -> None:
    greeting.desk.lockdown.engage("a test")
    assert ask_as_hub(greeting).code == "locked"
    assert ask(greeting).code == "locked"


def test_a_node_cannot_get_the_hubs_certificate(asking: Any) -> None:
    with pytest.raises(ValueError, match="expected a certificate for hub"):
        verify_certificate(issued(asking).certificate, now_ms=asking.now, purpose=Purpose.HUB, netuid=2, receiver=BOB)
