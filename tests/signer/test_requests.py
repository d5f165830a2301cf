"""btauth/1 requests: built here, of this moment, once. The SDK's verifier is the judge."""

import dataclasses
import json
from hashlib import sha256
from typing import Any

import bittensor_core
import pytest
from bittensor import http_auth

from wallet_guard.ipc.answers import Refusal
from wallet_guard.ipc.signatures import RequestView, SignRequest
from wallet_guard.signer.grants import PER_HOUR
from wallet_guard.signer.requests import NONCE_WINDOW_NS, sign_request

BOB = bittensor_core.Keypair.create_from_uri("//Bob", 1).ss58_address
BODY = b'{"prompt": "hello"}'


@pytest.fixture
def asking(bench: Any) -> Any:
    bench.token = bench.add_client("sender", calls=("request",), netuids=(2,))
    return bench


def question(bench: Any, **changes: Any) -> SignRequest:
    fields: dict[str, Any] = {
        "token": bench.token,
        "wallet": "validator",
        "hotkey": "default",
        "method": "POST",
        "target": "/generate?stream=false",
        "body_sha256": sha256(BODY).digest(),
        "receiver": BOB,
        "nonce_ns": None,
    }
    return SignRequest(**{**fields, **changes})


def signed(bench: Any, **changes: Any) -> RequestView:
    view = sign_request(bench.desk, question(bench, **changes))
    assert isinstance(view, RequestView), view
    return view


def refused(bench: Any, **changes: Any) -> Refusal:
    refusal = sign_request(bench.desk, question(bench, **changes))
    assert isinstance(refusal, Refusal), refusal
    return refusal


def judge(bench: Any, view: RequestView) -> http_auth.Caller:
    return http_auth.verify(
        dict(view.headers),
        BODY,
        method="POST",
        path="/generate?stream=false",
        self_hotkey_ss58=BOB,
        nonce_store=http_auth.InMemoryNonceStore(),
        now_ns=bench.now * 10**6,
    )


def test_the_sdk_takes_what_is_signed(asking: Any, alice: Any) -> None:
    assert judge(asking, signed(asking)).hotkey_ss58 == alice.ss58_address


def test_the_sdk_takes_it_with_the_nodes_nonce(asking: Any) -> None:
    nonce = asking.now * 10**6 + 123_456
    assert judge(asking, signed(asking, nonce_ns=nonce)).nonce_ns == nonce


def test_each_stamped_nonce_is_another(asking: Any) -> None:
    nonces = [signed(asking).nonce_ns for _ in range(50)]
    assert len(set(nonces)) == 50
    assert max(nonces) - min(nonces) < 10**6


@pytest.mark.parametrize("distance", [-NONCE_WINDOW_NS, NONCE_WINDOW_NS])
def test_a_nodes_nonce_may_be_at_the_edge_of_the_window(asking: Any, distance: int) -> None:
    assert signed(asking, nonce_ns=asking.now * 10**6 + distance)


@pytest.mark.parametrize("distance", [-NONCE_WINDOW_NS - 1, NONCE_WINDOW_NS + 1, 3600 * 10**9])
def test_nothing_can_be_stockpiled(asking: Any, distance: int) -> None:
    assert refused(asking, nonce_ns=asking.now * 10**6 + distance).code == "nonce_refused"


@pytest.mark.parametrize("nonce", [0, -1, 1, 2**64, 2**70])
def test_a_nonce_that_is_none_is_refused(asking: Any, nonce: int) -> None:
    assert refused(asking, nonce_ns=nonce).code in ("nonce_refused", "invalid_request")


def test_a_nonce_is_used_once_whatever_is_signed(asking: Any) -> None:
    nonce = asking.now * 10**6
    signed(asking, nonce_ns=nonce)
    assert refused(asking, nonce_ns=nonce).code == "nonce_refused"
    assert refused(asking, nonce_ns=nonce, target="/other").code == "nonce_refused"
    assert asking.kinds()[-1] == "denied"


def test_a_nonce_stays_used_as_long_as_it_could_come_again(asking: Any) -> None:
    nonce = asking.now * 10**6 + NONCE_WINDOW_NS
    signed(asking, nonce_ns=nonce)
    for _ in range(4):
        asking.clock[0] += 1000
        signed(asking)
        assert refused(asking, nonce_ns=nonce).code == "nonce_refused"


def test_stamped_nonces_give_way_to_those_of_nodes(asking: Any) -> None:
    nonce = asking.now * 10**6 + 5
    signed(asking, nonce_ns=nonce)
    assert signed(asking).nonce_ns == nonce + 1


@pytest.mark.parametrize(
    "receiver", ["", "-", "*", "5Grwva", BOB + "\n", "15oF4uVJwmo4TdGW7VfQxNLavjCXviqxT9S1MgbjMNHr6Sp5"]
)
def test_a_request_has_a_receiver(asking: Any, receiver: str) -> None:
    assert refused(asking, receiver=receiver).code == "invalid_request"


@pytest.mark.parametrize(
    "changes",
    [
        {"target": "/a\n" + "0" * 64},
        {"target": "a"},
        {"target": ""},
        {"target": "/" + "a" * 8192},
        {"method": "POST\n/"},
        {"method": ""},
        {"body_sha256": b""},
        {"body_sha256": bytes(31)},
    ],
)
def test_a_line_cannot_become_two(asking: Any, changes: dict[str, Any]) -> None:
    assert refused(asking, **changes).code == "invalid_request"


def test_what_is_signed_is_written_down(asking: Any) -> None:
    view = signed(asking)
    record = list(asking.desk.journal.records())[-1]
    body = json.loads(record.body)
    assert (record.kind, record.client) == ("request_signed", "sender")
    assert (body["nonce"], body["receiver"], body["target"]) == (view.nonce_ns, BOB, "/generate?stream=false")


def test_what_cannot_be_written_down_is_not_signed(asking: Any) -> None:
    asking.desk.journal.error = "the disk is full"
    with pytest.raises(Exception, match="disk is full"):
        sign_request(asking.desk, question(asking))


def test_a_client_has_so_many_an_hour(asking: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PER_HOUR, "request", 3)
    for _ in range(3):
        signed(asking)
    refusal = refused(asking)
    assert refusal.code == "rate_limited"
    assert refusal.retry_after_seconds is not None
    asking.clock[0] += refusal.retry_after_seconds * 1000
    assert signed(asking)


def test_only_who_was_granted_it_may(bench: Any) -> None:
    assert refused(bench).code == "call_not_allowed"


def test_a_stranger_is_counted_and_told_nothing(asking: Any) -> None:
    before = asking.kinds()
    assert refused(asking, token="wg_invented").code == "unauthorized"
    assert asking.desk.strangers == 1
    assert asking.kinds() == before


def test_another_wallets_key_is_not_for_this_token(asking: Any) -> None:
    assert refused(asking, hotkey="other").code == "wallet_not_allowed"


def test_a_token_is_not_shown(asking: Any) -> None:
    assert asking.token not in repr(question(asking))
    assert asking.token not in str(dataclasses.replace(question(asking), target="/"))
