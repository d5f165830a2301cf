"""The bodies of the calls beside weights."""

import json

import pytest

from wallet_guard.ipc.intents import State
from wallet_guard.ipc.wishes import WISHES, ResetAxon, ServeAxon, ServeAxonTls, ServePrometheus, SetCommitment
from wallet_guard.orders.fields import BodyError
from wallet_guard.orders.weights import Order
from wallet_guard.orders.wishes import KINDS, parse_wish

WHO = ("miner", "default", 2)
GOOD = {
    "serve_axon": ({"ip": "203.0.113.7", "port": 8091}, ServeAxon(*WHO, "203.0.113.7", 8091, 4, 1)),
    "serve_axon_tls": (
        {"ip": "::1", "port": 1, "protocol": 0, "version": 7, "certificate": "0x01ff"},
        ServeAxonTls(*WHO, "::1", 1, 0, 7, b"\x01\xff"),
    ),
    "serve_prometheus": ({"ip": "203.0.113.7", "port": 9090}, ServePrometheus(*WHO, "203.0.113.7", 9090, 1)),
    "reset_axon": ({}, ResetAxon(*WHO)),
    "set_commitment": ({"data": "é"}, SetCommitment(*WHO, "é".encode())),
}


def body_of(data, **outer):
    return json.dumps({"wallet_name": "miner", "transaction_data": {"netuid": 2} | data} | outer).encode()


def test_every_wish_has_a_route_but_weights_which_have_their_own():
    assert set(KINDS) | {"set_weights"} == set(WISHES)
    assert set(GOOD) == set(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_reads_a_wish_with_its_defaults(kind):
    data, wish = GOOD[kind]
    assert parse_wish(kind, body_of(data)) == Order(wish, queue=False, goal=State.SUBMITTED, timeout_seconds=None)


def test_reads_a_commitment_in_hex():
    assert parse_wish("set_commitment", body_of({"data_hex": "0x00ff"})).request == SetCommitment(*WHO, b"\x00\xff")


def test_reads_how_far_to_wait():
    order = parse_wish("reset_axon", body_of({"wait_for_finalization": True, "timeout": 3}))
    assert (order.goal, order.timeout_seconds) == (State.FINALIZED, 3.0)


@pytest.mark.parametrize(
    ("kind", "data", "why"),
    [
        ("serve_axon", {"port": 1}, "transaction_data.ip: missing"),
        ("serve_axon", {"ip": "x", "port": 65536}, "transaction_data.port: expected 0 to 65535"),
        ("serve_axon", {"ip": 5, "port": 1}, "transaction_data.ip: expected a string"),
        ("serve_axon", {"ip": "1" * 65, "port": 1}, "transaction_data.ip: expected at most 64"),
        ("serve_axon", {"ip": "x", "port": 1, "certificate": "0x01"}, "unknown field"),
        ("serve_axon", {"ip": "x", "port": 1, "queue": True}, "unknown field"),
        ("serve_axon_tls", {"ip": "x", "port": 1, "certificate": "01ff"}, "certificate: expected 0x"),
        ("serve_axon_tls", {"ip": "x", "port": 1, "certificate": "0x" + "00" * 66}, "certificate: expected at most"),
        ("reset_axon", {"ip": "x"}, "unknown field"),
        ("set_commitment", {}, "either data or data_hex"),
        ("set_commitment", {"data": "x", "data_hex": "0x00"}, "either data or data_hex"),
        ("set_commitment", {"data": "x" * 513}, "data: expected at most 512"),
    ],
)
def test_refuses_other_shapes(kind, data, why):
    with pytest.raises(BodyError, match=why):
        parse_wish(kind, body_of(data))
