"""What an HTTP request asks, from method, target and body alone."""

import json
from pathlib import Path

import pytest

from wallet_guard.ipc.clients import Info
from wallet_guard.ipc.explanations import DryRun
from wallet_guard.ipc.intents import Accept, Show
from wallet_guard.ipc.wishes import ResetAxon
from wallet_guard.orders.fields import BodyError
from wallet_guard.orders.reading import read_question
from wallet_guard.orders.signatures import SIGNATURES
from wallet_guard.orders.wishes import KINDS

WEIGHTS = {"wallet_name": "v", "transaction_data": {"netuid": 2, "uids": [1], "weights": [1]}}
RESET = {"wallet_name": "v", "transaction_data": {"netuid": 2}}
PARTS = json.loads((Path(__file__).parents[1] / "vectors/unsigned_extrinsic.json").read_text())
SIGNED = {
    "/wallet/request": {"wallet_name": "v", "method": "POST", "path": "/", "receiver": PARTS["address"]},
    "/wallet/session": {"wallet_name": "v", "key": "0x" + "11" * 32, "netuid": 2, "receiver": None, "lifetime": 60},
    "/wallet/extrinsic": {"wallet_name": "v", "extrinsic": PARTS},
    "/wallet/sign": {"wallet_name": "v", "message": "hello"},
}


def read(method, target, body=None):
    return read_question("token", method, target, b"" if body is None else json.dumps(body).encode())


def test_weights_and_the_key_in_the_body():
    question = read("POST", "/wallet/set_weights", WEIGHTS | {"idempotency_key": "k"})
    assert isinstance(question, Accept)
    assert (question.token, question.idempotency_key, question.request.uids) == ("token", "k", (1,))
    assert read("POST", "/wallet/set_weights", WEIGHTS).idempotency_key is None


def test_every_other_call():
    assert read("POST", "/wallet/reset_axon", RESET).request == ResetAxon("v", "default", 2)
    for kind in KINDS:
        with pytest.raises(BodyError, match="transaction_data: missing"):
            read("POST", f"/wallet/{kind}", {"wallet_name": "v"})


@pytest.mark.parametrize("path", SIGNATURES)
def test_every_signature_at_once(path):
    assert read("POST", path, SIGNED[path]).token == "token"


def test_looks():
    assert read("GET", "/wallet/intents/0a-B_") == Show("token", "0a-B_")
    assert read("GET", "/wallet/info?wallet_name=v&hotkey_name=h") == read("GET", "/wallet/info") == Info("token")


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("PUT", "/wallet/set_weights"),
        ("post", "/wallet/set_weights"),
        ("POST", "/wallet/set_weights?netuid=3"),
        ("POST", "/wallet/set_weights/"),
        ("POST", "/wallet/%73et_weights"),
        ("POST", "set_weights"),
        ("POST", "reset_axon"),
        ("POST", "/wallet/wallet/reset_axon"),
        ("POST", "/wallet/info"),
        ("GET", "/wallet/set_weights"),
        ("GET", "/wallet/info?wallet=v"),
        ("GET", "/wallet/intents/a?x=1"),
        ("GET", "/wallet/intents/a/b"),
        ("GET", "/wallet/intents/"),
        ("GET", "/health"),
        ("", ""),
    ],
)
def test_refuses_what_has_no_meaning(method, target):
    with pytest.raises(BodyError):
        read(method, target, WEIGHTS)


@pytest.mark.parametrize("key", ["", "a b", "é", "x" * 129, 5, None, "a\n"])
def test_a_wrong_key_in_the_body(key):
    with pytest.raises(BodyError, match="idempotency_key: expected"):
        read("POST", "/wallet/set_weights", WEIGHTS | {"idempotency_key": key})


@pytest.mark.parametrize("kind", ["set_weights", "reset_axon"])
def test_a_dry_run_is_never_an_order(kind):
    inner = {"netuid": 2, "weights": {"1": 1}} if kind == "set_weights" else {"netuid": 2}
    body = {"wallet_name": "w", "transaction_data": inner}
    for question in (
        read("POST", f"/wallet/{kind}?dry_run=1", body),
        read("POST", f"/wallet/{kind}", {**body, "dry_run": True}),
        read("POST", f"/wallet/{kind}?dry_run=1", {**body, "dry_run": False}),
    ):
        assert isinstance(question, DryRun)
        assert question.token == "token"
    assert isinstance(read("POST", f"/wallet/{kind}", {**body, "dry_run": False}), Accept)
    for query in ("?dry_run=0", "?dry_run=true", "?dry_run", "?dry_run=1&dry_run=1", "?Dry_run=1", "?"):
        with pytest.raises(BodyError):
            read("POST", f"/wallet/{kind}{query}", body)
