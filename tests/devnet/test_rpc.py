import json

import pytest

from wallet_guard.devnet import rpc
from wallet_guard.devnet.refusals import RpcError
from wallet_guard.devnet.rpc import MAX_SUBSCRIPTIONS, Request, Session


def session(*, silent: bool = False) -> tuple[Session, list[str]]:
    delivered: list[str] = []
    return Session(delivered.append, lambda: silent), delivered


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", -32700),
        ("{", -32700),
        ("[" * 100_000, -32700),
        ("[]", -32600),
        ("3", -32600),
        ('{"id":1}', -32600),
        ("[1]", -32600),
        ('{"method":5}', -32600),
        ('{"method":"a","params":3}', -32600),
    ],
)
def test_refuses_what_is_no_request(text, code):
    with pytest.raises(RpcError) as caught:
        rpc.parse(text)
    assert caught.value.code == code


def test_takes_single_requests_and_batches():
    assert rpc.parse('{"id":1,"method":"a"}') == ([Request(1, "a", [])], False)
    assert rpc.parse('[{"id":"x","method":"a","params":[2]}]') == ([Request("x", "a", [2])], True)
    assert rpc.parse('{"method":"a","params":{"b":2}}') == ([Request(None, "a", [2])], False)


def test_answers_before_it_notifies():
    made, delivered = session()

    def subscribe(who: Session, _params: list[object]) -> str:
        subscription = who.open("news")
        who.notify(subscription, "first")
        return subscription

    messages = rpc.answer({"subscribe": subscribe}, made, [Request(7, "subscribe", [])], batch=False)
    assert [json.loads(message) for message in messages] == [
        {"jsonrpc": "2.0", "id": 7, "result": "devnet-1"},
        {"jsonrpc": "2.0", "method": "news", "params": {"subscription": "devnet-1", "result": "first"}},
    ]
    assert delivered == []
    made.notify("devnet-1", "second")
    assert len(delivered) == 1


def test_answers_each_request_of_a_batch():
    def fail(_session: Session, _params: list[object]) -> None:
        raise RpcError(1010, "Invalid Transaction", "why")

    handlers = {"ok": lambda _session, params: params, "fail": fail}
    requests = [Request(1, "ok", [1]), Request(2, "fail", []), Request(3, "none", [])]
    (text,) = rpc.answer(handlers, session()[0], requests, batch=True)
    one, two, three = json.loads(text)
    assert one["result"] == [1]
    assert two["error"] == {"code": 1010, "message": "Invalid Transaction", "data": "why"}
    assert three["error"] == {"code": -32601, "message": "Method not found"}


def test_a_closed_subscription_is_silent():
    made, delivered = session()
    subscription = made.open("news")
    assert made.close(subscription)
    assert not made.close(subscription)
    made.notify(subscription, "late")
    assert delivered == []


def test_a_silent_session_gets_no_notifications():
    made, delivered = session(silent=True)
    made.notify(made.open("news"), "unheard")
    assert delivered == []


def test_subscriptions_have_a_ceiling():
    made, _ = session()
    for _ in range(MAX_SUBSCRIPTIONS):
        made.open("news")
    with pytest.raises(RpcError):
        made.open("news")
