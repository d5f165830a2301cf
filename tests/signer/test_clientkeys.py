"""Requests that the client signed: what was signed counts, once, and the gateway's reading of it for nothing.

The SDK signs them (``bittensor.http_auth.sign``), with an Ed25519 key of the node's own.
"""

import json
from types import SimpleNamespace
from typing import Any

import bittensor_core
import pytest
from bittensor import http_auth

from wallet_guard.ipc.answers import Refusal
from wallet_guard.ipc.clients import ClientAdd, ClientRevoke, InfoView
from wallet_guard.ipc.clientsigned import ClientSigned
from wallet_guard.ipc.intents import IntentView
from wallet_guard.ipc.signatures import TextView
from wallet_guard.signer.admin import client_add
from wallet_guard.signer.keys import Key, Keyring
from wallet_guard.signer.monitor import ANSWERERS

NODE = bittensor_core.Keypair.create_from_uri("//node", 0)
OTHER = bittensor_core.Keypair.create_from_uri("//other", 0)
SR25519 = bittensor_core.Keypair.create_from_uri("//node", 1)
WEIGHTS = {
    "wallet_name": "validator",
    "transaction_data": {"netuid": 2, "uids": [1, 2, 3], "weights": [100, 200, 300]},
}
TEXT = {"wallet_name": "validator", "message": "hello"}


@pytest.fixture
def asking(bench: Any) -> Any:
    bench.add_client("signs", token=None, public_key=NODE.ss58_address, calls=("set_weights", "text"))
    return bench


def signed(bench: Any, path: str, body: dict[str, Any] | None = None, **changes: Any) -> ClientSigned:
    fields: dict[str, Any] = {
        "method": "POST" if body is not None else "GET",
        "receiver": next(iter(bench.desk.keys)).ss58_address,
        "nonce": bench.now * 10**6,
        "key": NODE,
    }
    fields |= changes
    raw = b"" if body is None else json.dumps(body).encode()
    headers = http_auth.sign(
        SimpleNamespace(coldkey=None, coldkeypub=None, hotkey=fields["key"]),
        method=fields["method"],
        path=path,
        body=raw,
        receiver_ss58=fields["receiver"],
        nonce_ns=fields["nonce"],
    )
    return ClientSigned(fields["method"], path, tuple(headers.items()), raw)


def ask(bench: Any, question: ClientSigned) -> Any:
    return ANSWERERS[ClientSigned](bench.desk, question)


def refused(bench: Any, question: ClientSigned) -> Refusal:
    refusal = ask(bench, question)
    assert isinstance(refusal, Refusal), refusal
    assert bench.desk.journal.count_open() == 0
    return refusal


def test_a_clients_key_is_never_a_hotkey_of_this_guard(bench: Any, alice: Key) -> None:
    own = Key("validator", "own", NODE)
    bench.desk.keys = Keyring([alice, own])
    wish = ClientAdd("other", "validator", "default", ("text",), None, 10, None, NODE.ss58_address)
    refusal = client_add(bench.desk, wish)
    assert isinstance(refusal, Refusal)
    assert "found a hotkey of this guard" in refusal.message


def test_what_was_signed_becomes_an_intent(asking: Any) -> None:
    view = ask(asking, signed(asking, "/wallet/set_weights", WEIGHTS))
    assert isinstance(view, IntentView), view
    assert (view.client, view.netuid, view.state) == ("signs", 2, "accepted")


def test_the_intents_id_is_the_hash_of_the_signed_bytes(asking: Any) -> None:
    first = signed(asking, "/wallet/set_weights", WEIGHTS)
    again = signed(asking, "/wallet/set_weights", WEIGHTS, nonce=asking.now * 10**6 + 1)
    assert ask(asking, first).intent == ask(asking, first).intent
    assert ask(asking, again).intent != ask(asking, first).intent
    assert asking.desk.journal.count_open() == 2


def test_the_same_bytes_give_the_same_intent_even_after_a_day(asking: Any) -> None:
    question = signed(asking, "/wallet/set_weights", WEIGHTS)
    intent = ask(asking, question).intent
    asking.pass_time(86_400)
    assert ask(asking, question).intent == intent


def test_an_idempotency_key_in_the_body_holds_over_signatures(asking: Any) -> None:
    body = WEIGHTS | {"idempotency_key": "epoch-7"}
    first = ask(asking, signed(asking, "/wallet/set_weights", body))
    asking.pass_time(60)
    second = ask(asking, signed(asking, "/wallet/set_weights", body))
    assert first.intent == second.intent


@pytest.mark.parametrize("seconds", [-10.1, -3600, 2.1, 3600])
def test_a_nonce_outside_the_window_is_refused(asking: Any, seconds: float) -> None:
    nonce = asking.now * 10**6 + int(seconds * 10**9)
    question = signed(asking, "/wallet/set_weights", WEIGHTS, nonce=nonce)
    assert refused(asking, question).code == "stale_request"


@pytest.mark.parametrize(
    "change",
    [
        {"body": json.dumps(WEIGHTS | {"wallet_name": "other"}).encode()},
        {"body": json.dumps(WEIGHTS).encode() + b" "},
        {"target": "/wallet/reset_axon"},
        {"target": "/wallet/set_weights?x=1"},
        {"method": "PUT"},
    ],
    ids=str,
)
def test_nothing_of_it_can_be_changed(asking: Any, change: dict[str, Any]) -> None:
    question = signed(asking, "/wallet/set_weights", WEIGHTS)
    fields = {name: getattr(question, name) for name in ("method", "target", "fields", "body")}
    assert refused(asking, ClientSigned(**{**fields, **change})).code == "unauthorized"


@pytest.mark.parametrize(
    "changes",
    [
        {"key": OTHER},
        {"key": SR25519},
        {"receiver": OTHER.ss58_address},
        {"receiver": None},
    ],
    ids=["a stranger's key", "sr25519", "another receiver", "no receiver"],
)
def test_refuses_who_is_not_meant(asking: Any, changes: dict[str, Any]) -> None:
    assert refused(asking, signed(asking, "/wallet/set_weights", WEIGHTS, **changes)).code == "unauthorized"
    assert asking.desk.strangers == 1


def test_fields_of_a_known_client_with_anothers_signature_are_a_stranger(asking: Any) -> None:
    question = signed(asking, "/wallet/set_weights", WEIGHTS, key=OTHER)
    fields = tuple(
        (name, NODE.ss58_address if name == "X-Bittensor-Hotkey" else value) for name, value in question.fields
    )
    assert refused(asking, ClientSigned("POST", question.target, fields, question.body)).code == "unauthorized"


def test_a_revoked_key_is_a_stranger(asking: Any) -> None:
    ANSWERERS[ClientRevoke](asking.desk, ClientRevoke("signs"))
    assert refused(asking, signed(asking, "/wallet/set_weights", WEIGHTS)).code == "unauthorized"


def test_one_signature_for_one_signed_request(asking: Any) -> None:
    question = signed(asking, "/wallet/sign", TEXT)
    assert isinstance(ask(asking, question), TextView)
    assert refused(asking, question).code == "replayed_request"
    records = [record.kind for record in asking.desk.journal.records()]
    assert records.count("text_signed") == 1
    assert "denied" in records


def test_the_grant_holds_as_it_does_for_a_token(asking: Any) -> None:
    body = {"wallet_name": "validator", "transaction_data": {"netuid": 2}}
    assert refused(asking, signed(asking, "/wallet/reset_axon", body)).code == "call_not_allowed"
    other = {**WEIGHTS, "transaction_data": {**WEIGHTS["transaction_data"], "netuid": 9}}  # type: ignore[dict-item]
    assert refused(asking, signed(asking, "/wallet/set_weights", other)).code == "netuid_not_allowed"


def test_a_body_that_is_none_is_refused_in_the_clients_name(asking: Any) -> None:
    assert refused(asking, signed(asking, "/wallet/set_weights", {"wallet_name": 1})).code == "invalid_request"
    assert refused(asking, signed(asking, "/wallet/nothing", {})).code == "invalid_request"


def test_looks_may_be_signed_too(asking: Any) -> None:
    info = ask(asking, signed(asking, "/wallet/info"))
    assert isinstance(info, InfoView)
    assert info.client.public_key == NODE.ss58_address
    intent = ask(asking, signed(asking, "/wallet/set_weights", WEIGHTS)).intent
    assert ask(asking, signed(asking, f"/wallet/intents/{intent}")).intent == intent


def test_a_token_that_is_good_for_one_question_is_gone_after_it(asking: Any) -> None:
    ask(asking, signed(asking, "/wallet/set_weights", WEIGHTS))
    assert asking.desk.admitted == {}


def test_nothing_is_signed_while_locked(asking: Any) -> None:
    asking.desk.lockdown.engage("a test")
    assert refused(asking, signed(asking, "/wallet/set_weights", WEIGHTS)).code == "locked"


def test_a_client_has_a_token_or_a_key_and_no_two_the_same_key(asking: Any) -> None:
    with pytest.raises(AssertionError, match="another client's"):
        asking.add_client("twin", public_key=NODE.ss58_address)
    with pytest.raises(AssertionError, match="expected none"):
        asking.add_client("both", public_key=OTHER.ss58_address, token="wg_" + "0123456789abcdefghij" * 2)
    with pytest.raises(AssertionError, match="ss58"):
        asking.add_client("wrong", public_key="5abc")
