"""Session certificates, as the signer gives them."""

import json
from typing import Any

import bittensor_core
import pytest

from wallet_guard.ipc.questions import Refusal
from wallet_guard.ipc.signatures import IssueSession, SessionView
from wallet_guard.signed.certificate import Purpose, verify_certificate
from wallet_guard.signer.sessions import issue_session

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


def test_a_node_cannot_get_the_hubs_certificate(asking: Any) -> None:
    with pytest.raises(ValueError, match="expected a certificate for hub"):
        verify_certificate(issued(asking).certificate, now_ms=asking.now, purpose=Purpose.HUB, netuid=2, receiver=BOB)
