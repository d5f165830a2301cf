"""Bodies of set_weights: what is taken, and which field a refusal names."""

import json

import pytest

from wallet_guard.ipc.intents import State
from wallet_guard.ipc.wishes import SetWeights
from wallet_guard.orders.weights import BodyError, Order, parse_order, shortened

SEED = b"""{
    "wallet_name": "validator",
    "hotkey_name": "default",
    "transaction_data": {
        "netuid": 2,
        "uids": [1, 2, 3],
        "weights": [100, 200, 300],
        "version_key": 1,
        "wait_for_finalization": false,
        "wait_for_inclusion": false
    }
}"""

ALICE = "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY"
BOB = "5FHneW46xGXgs5mUiveU4sbTyGBzmstUspZC92UhjJM694ty"


def body(outer=None, /, without=(), **transaction):
    content = {"wallet_name": "validator", "transaction_data": {"netuid": 2, "uids": [1], "weights": [1]}}
    content["transaction_data"] |= transaction
    for name in without:
        del content["transaction_data"][name]
    content |= outer or {}
    return json.dumps(content).encode()


def test_takes_the_body_of_the_seed_as_it_stands():
    request = SetWeights("validator", "default", 2, 0, (1, 2, 3), None, (100.0, 200.0, 300.0), 1)
    assert parse_order(SEED) == Order(request, False, State.SUBMITTED, None)


def test_defaults_are_those_of_the_seed():
    order = parse_order(body())
    assert order.request.hotkey == "default"
    assert (order.request.mechid, order.request.version_key) == (0, 0)
    assert (order.queue, order.goal, order.timeout_seconds) == (False, State.SUBMITTED, None)


def test_takes_weights_by_uid():
    request = parse_order(body(without=["uids"], weights={"3": 0.5, "0": 2})).request
    assert (request.uids, request.hotkeys, request.weights) == ((3, 0), None, (0.5, 2.0))


def test_takes_weights_by_hotkey():
    request = parse_order(body(without=["uids"], weights={ALICE: 1, BOB: 2})).request
    assert (request.uids, request.hotkeys, request.weights) == (None, (ALICE, BOB), (1.0, 2.0))


@pytest.mark.parametrize(
    ("inclusion", "finalization", "goal"),
    [
        (False, False, State.SUBMITTED),
        (True, False, State.IN_BLOCK),
        (False, True, State.FINALIZED),
        (True, True, State.FINALIZED),
    ],
)
def test_the_farther_of_two_waits_is_the_goal(inclusion, finalization, goal):
    order = parse_order(body(wait_for_inclusion=inclusion, wait_for_finalization=finalization))
    assert order.goal is goal


def test_takes_queue_timeout_mechid_and_fractions():
    order = parse_order(body(queue=True, timeout=2.5, mechid=1, weights=[0.25], version_key=2**64 - 1))
    assert (order.queue, order.timeout_seconds) == (True, 2.5)
    assert (order.request.mechid, order.request.weights, order.request.version_key) == (1, (0.25,), 2**64 - 1)


def test_takes_as_many_targets_as_may_be():
    order = parse_order(body(uids=list(range(4096)), weights=[1] * 4096))
    assert len(order.request.weights) == 4096


BAD_FIELDS = {
    "no wallet": (SEED.replace(b'"wallet_name": "validator",', b""), "wallet_name"),
    "wallet a number": (body({"wallet_name": 1}), "wallet_name"),
    "wallet null": (body({"wallet_name": None}), "wallet_name"),
    "wallet empty": (body({"wallet_name": ""}), "wallet_name"),
    "wallet a path": (body({"wallet_name": "../validator"}), "wallet_name"),
    "wallet dots": (body({"wallet_name": ".."}), "wallet_name"),
    "wallet with NUL": (body({"wallet_name": "a\0b"}), "wallet_name"),
    "wallet with a lone surrogate": (body({"wallet_name": "\ud800"}), "wallet_name"),
    "wallet too long": (body({"wallet_name": "a" * 65}), "wallet_name"),
    "hotkey null": (body({"hotkey_name": None}), "hotkey_name"),
    "unknown field outside": (body({"password": "x"}), "password"),
    "unknown field inside": (body(password="x"), "transaction_data.password"),
    "transaction a list": (body({"transaction_data": []}), "transaction_data"),
    "no transaction": (b'{"wallet_name": "a"}', "transaction_data"),
    "no netuid": (body(without=["netuid"]), "transaction_data.netuid"),
    "netuid true": (body(netuid=True), "transaction_data.netuid"),
    "netuid a fraction": (body(netuid=2.0), "transaction_data.netuid"),
    "netuid a string": (body(netuid="2"), "transaction_data.netuid"),
    "netuid negative": (body(netuid=-1), "transaction_data.netuid"),
    "netuid huge": (body(netuid=65536), "transaction_data.netuid"),
    "mechid huge": (body(mechid=256), "transaction_data.mechid"),
    "version_key negative": (body(version_key=-1), "transaction_data.version_key"),
    "version_key huge": (body(version_key=2**64), "transaction_data.version_key"),
    "version_key null": (body(version_key=None), "transaction_data.version_key"),
    "no uids": (body(without=["uids"]), "transaction_data.uids"),
    "uids a string": (body(uids="1"), "transaction_data.uids"),
    "uids empty": (body(uids=[], weights=[]), "transaction_data.uids"),
    "uid negative": (body(uids=[-1]), "transaction_data.uids[0]"),
    "uid huge": (body(uids=[10**400]), "transaction_data.uids[0]"),
    "uid a string": (body(uids=["1"]), "transaction_data.uids[0]"),
    "uid null": (body(uids=[None]), "transaction_data.uids[0]"),
    "uid true": (body(uids=[True]), "transaction_data.uids[0]"),
    "uids twice": (body(uids=[7, 7], weights=[1, 1]), "transaction_data.uids"),
    "uids longer": (body(uids=[1, 2]), "transaction_data.weights"),
    "too many": (body(uids=[1] * 4097, weights=[1] * 4097), "transaction_data.uids"),
    "no weights": (body(without=["weights"]), "transaction_data.weights"),
    "weights null": (body(weights=None), "transaction_data.weights"),
    "weight a string": (body(weights=["1"]), "transaction_data.weights[0]"),
    "weight true": (body(weights=[True]), "transaction_data.weights[0]"),
    "weight a list": (body(weights=[[1]]), "transaction_data.weights[0]"),
    "weight negative": (body(weights=[-1]), "transaction_data.weights[0]"),
    "weight a little negative": (body(weights=[-5e-324]), "transaction_data.weights[0]"),
    "weight an integer beyond floats": (body(weights=[10**309]), "transaction_data.weights[0]"),
    "weight that reads as infinity": (body(weights=[1]).replace(b"[1]}", b"[1e999]}"), "transaction_data.weights[0]"),
    "weights whose sum is no number": (body(weights=[1.1e300]), "transaction_data.weights[0]"),
    "all zero": (body(weights=[0]), "transaction_data.weights"),
    "all zero by uid": (body(without=["uids"], weights={"1": 0}), "transaction_data.weights"),
    "both ways": (body(weights={"1": 1}), "transaction_data.uids"),
    "both ways with null": (body(uids=None, weights={"1": 1}), "transaction_data.uids"),
    "by uid, none": (body(without=["uids"], weights={}), "transaction_data.weights"),
    "by uid with a zero before": (body(without=["uids"], weights={"01": 1}), "transaction_data.weights"),
    "by uid in other digits": (body(without=["uids"], weights={"１": 1}), "transaction_data.weights"),
    "by uid, negative": (body(without=["uids"], weights={"-1": 1}), "transaction_data.weights"),
    "by uid, huge": (body(without=["uids"], weights={"65536": 1}), "transaction_data.weights[0]"),
    "uids and hotkeys": (body(without=["uids"], weights={"1": 1, ALICE: 1}), "transaction_data.weights"),
    "too many by hotkey": (
        body(without=["uids"], weights={f"{at}{ALICE}": 1 for at in range(4097)}),
        "transaction_data.weights",
    ),
    "wait a number": (body(wait_for_inclusion=1), "transaction_data.wait_for_inclusion"),
    "wait a string": (body(wait_for_finalization="true"), "transaction_data.wait_for_finalization"),
    "queue null": (body(queue=None), "transaction_data.queue"),
    "timeout zero": (body(timeout=0), "transaction_data.timeout"),
    "timeout a string": (body(timeout="1"), "transaction_data.timeout"),
    "a list": (b"[]", "body"),
    "a string": (b'"x"', "body"),
    "null": (b"null", "body"),
}


@pytest.mark.parametrize("name", BAD_FIELDS)
def test_refuses_and_names_the_field(name):
    bad, field = BAD_FIELDS[name]
    with pytest.raises(BodyError) as caught:
        parse_order(bad)
    assert caught.value.code == "invalid_request"
    assert str(caught.value).startswith(f"{field}: ")
    assert len(str(caught.value)) < 400


BAD_JSON = {
    "nothing": b"",
    "half": b'{"wallet_name": ',
    "two objects": SEED + SEED,
    "NaN": body(weights=[float("nan")]),
    "Infinity": body(weights=[float("inf")]),
    "minus Infinity": body(weights=[float("-inf")]),
    "single quotes": b"{'wallet_name': 'validator'}",
    "a comma too much": SEED.replace(b"300]", b"300,]"),
    "duplicate key inside": SEED.replace(b'"netuid": 2', b'"netuid": 2, "netuid": 3'),
    "duplicate key outside": SEED.replace(b"{", b'{"wallet_name": "other",', 1),
    "duplicate key spelt otherwise": SEED.replace(b'"netuid": 2', b'"netuid": 2, "netu\\u0069d": 3'),
    "duplicate uid key": body(without=["uids"], weights={"1": 1}).replace(b'{"1": 1}', b'{"1": 1, "1": 2}'),
    "nested too deep": b"[" * 500_000,
    "nested too deep, closed": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "an integer of 5000 digits": body(uids=[1]).replace(b"[1]", b"[" + b"9" * 5000 + b"]"),
    "UTF-16": SEED.decode().encode("utf-16"),
    "Latin-1": body({"wallet_name": "x"}).replace(b'"x"', b'"\xe4"'),
    "a byte order mark": b"\xef\xbb\xbf" + SEED,
    "a raw NUL": SEED.replace(b"validator", b"a\0b"),
}


@pytest.mark.parametrize("name", BAD_JSON)
def test_refuses_what_is_no_json(name):
    with pytest.raises(BodyError) as caught:
        parse_order(BAD_JSON[name])
    assert caught.value.code == "invalid_json"
    assert str(caught.value).startswith("body: ")


def test_names_the_key_that_comes_twice():
    with pytest.raises(BodyError, match="'netuid' twice"):
        parse_order(BAD_JSON["duplicate key inside"])


def test_quotes_little_of_what_a_stranger_sent():
    assert shortened("a\n\x1b[31m" + "b" * 100) == "a??[31m" + "b" * 33 + "…"


@pytest.mark.parametrize("cut", range(len(SEED)))
def test_refuses_every_beginning_of_a_body(cut):
    with pytest.raises(BodyError):
        parse_order(SEED[:cut])
