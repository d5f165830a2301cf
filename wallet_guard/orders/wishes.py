"""The bodies of the calls beside ``set_weights``: ``POST /wallet/serve_axon`` and its like.

The same shape, with the call's own fields in ``transaction_data``::

    {"wallet_name": "miner", "hotkey_name": "default",
     "transaction_data": {"netuid": 2, "ip": "203.0.113.7", "port": 8091, "wait_for_inclusion": true}}

| path                     | fields beside netuid, wait_for_inclusion, wait_for_finalization and timeout     |
|--------------------------|----------------------------------------------------------------------------------|
| /wallet/serve_axon       | ip, port, protocol (4), version (1)                                              |
| /wallet/serve_axon_tls   | the same, and certificate: 0x-hex, an algorithm byte and the public key          |
| /wallet/serve_prometheus | ip, port, version (1)                                                            |
| /wallet/reset_axon       | none                                                                             |
| /wallet/set_commitment   | data (text) or data_hex (0x-hex)                                                 |
"""

from collections.abc import Callable

from wallet_guard.ipc.wishes import (
    MAX_CERTIFICATE_BYTES,
    MAX_COMMITMENT_BYTES,
    ResetAxon,
    ServeAxon,
    ServeAxonTls,
    ServePrometheus,
    SetCommitment,
    Wish,
)
from wallet_guard.orders.fields import BodyError, Fields, parse_json, read_name
from wallet_guard.orders.weights import (
    MAX_U8,
    MAX_U16,
    OUTER_FIELDS,
    Order,
    read_goal,
    read_idempotency_key,
    read_timeout,
)

MAX_U32 = 2**32 - 1

MAX_IP_CHARACTERS = 64

_WAITING = ("netuid", "wait_for_inclusion", "wait_for_finalization", "timeout")

_Place = tuple[str, str, int]
"""Wallet, hotkey, netuid."""


def _serve_axon(place: _Place, inner: Fields) -> Wish:
    return ServeAxon(*place, _ip(inner), _port(inner), inner.integer("protocol", MAX_U8, 4), _version(inner))


def _serve_axon_tls(place: _Place, inner: Fields) -> Wish:
    certificate = inner.hex("certificate", MAX_CERTIFICATE_BYTES)
    protocol = inner.integer("protocol", MAX_U8, 4)
    return ServeAxonTls(*place, _ip(inner), _port(inner), protocol, _version(inner), certificate)


def _serve_prometheus(place: _Place, inner: Fields) -> Wish:
    return ServePrometheus(*place, _ip(inner), _port(inner), _version(inner))


def _reset_axon(place: _Place, inner: Fields) -> Wish:  # noqa: ARG001 -- one shape for all
    return ResetAxon(*place)


def _set_commitment(place: _Place, inner: Fields) -> Wish:
    if ("data" in inner) == ("data_hex" in inner):
        raise BodyError("transaction_data: expected either data or data_hex")
    if "data" in inner:
        return SetCommitment(*place, inner.text("data", MAX_COMMITMENT_BYTES).encode())
    return SetCommitment(*place, inner.hex("data_hex", MAX_COMMITMENT_BYTES))


def _ip(inner: Fields) -> str:
    return inner.text("ip", MAX_IP_CHARACTERS)


def _port(inner: Fields) -> int:
    return inner.integer("port", MAX_U16)


def _version(inner: Fields) -> int:
    return inner.integer("version", MAX_U32, 1)


_WISHES: dict[str, tuple[tuple[str, ...], Callable[[_Place, Fields], Wish]]] = {
    ServeAxon.kind: (("ip", "port", "protocol", "version"), _serve_axon),
    ServeAxonTls.kind: (("ip", "port", "protocol", "version", "certificate"), _serve_axon_tls),
    ServePrometheus.kind: (("ip", "port", "version"), _serve_prometheus),
    ResetAxon.kind: ((), _reset_axon),
    SetCommitment.kind: (("data", "data_hex"), _set_commitment),
}

KINDS = tuple(_WISHES)
"""Each has a route of its name."""


def parse_wish(kind: str, body: bytes) -> Order:
    """The order that a body spells, for a call of ``KINDS``.

    Raises:
        BodyError: not JSON, or not this shape.
    """
    known, read = _WISHES[kind]
    outer = Fields(parse_json(body), "", OUTER_FIELDS)
    inner = Fields(outer.required("transaction_data"), "transaction_data", (*_WAITING, *known))
    wallet = read_name(outer.required("wallet_name"), "wallet_name")
    hotkey = read_name(outer.get("hotkey_name", "default"), "hotkey_name")
    wish = read((wallet, hotkey, inner.integer("netuid", MAX_U16)), inner)
    return Order(
        request=wish,
        queue=False,
        goal=read_goal(inner),
        timeout_seconds=read_timeout(inner),
        idempotency_key=read_idempotency_key(outer),
        dry_run=outer.boolean("dry_run"),
    )
