"""The body of ``POST /wallet/set_weights``: strict JSON into a typed order, or a refusal naming the field.

Shape (the seed's, and what we add)::

    {"wallet_name": "validator",
     "hotkey_name": "default",              optional
     "idempotency_key": "…",                optional: the header of that name, for requests that a client signs
     "dry_run": false,                      optional: explain what would be signed, and sign nothing
     "transaction_data": {
        "netuid": 2,
        "uids": [1, 2, 3],                  left out where weights is an object
        "weights": [100, 200, 300],         or {"1": 100, …} by uid, or {"5F…": 100, …} by hotkey
        "mechid": 0,                        optional
        "version_key": 0,                   optional
        "wait_for_inclusion": false,        optional
        "wait_for_finalization": false,     optional
        "queue": false,                     optional: wait out a rate limit instead of failing
        "timeout": 30}}                     optional: seconds to wait for the answer, at most the goal's own

What is refused on purpose, whatever the body: see ``fields``.
"""

import re
from dataclasses import dataclass
from typing import Any

from wallet_guard.ipc.intents import MAX_IDEMPOTENCY_KEY_CHARACTERS, State
from wallet_guard.ipc.wishes import MAX_TARGETS, SetWeights, Wish
from wallet_guard.orders.fields import (
    BodyError,
    Fields,
    kind_of,
    parse_json,
    read_integer,
    read_name,
    read_number,
    shortened,
)

MAX_BODY_BYTES = 1 << 20
"""1 MiB: 4,096 weights by hotkey are 0.3 MB, written generously."""

MAX_U8, MAX_U16, MAX_U64 = 2**8 - 1, 2**16 - 1, 2**64 - 1
"""``MechId``, ``NetUid`` and uids, ``version_key`` in the runtime's metadata."""

MAX_WEIGHT = 1e300
"""Weights are relative, so any scale will do, as long as the sum of them all stays finite."""

_IDEMPOTENCY_KEY = re.compile(r"[!-~]+")
_UID = re.compile(r"0|[1-9][0-9]{0,4}", re.ASCII)
# Base58 without 0, O, I, l; 32 bytes with a prefix of one or two and a checksum of two. The signer decodes
# it.
_SS58 = re.compile(r"[1-9A-HJ-NP-Za-km-z]{46,50}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Order:
    """What the client wants: the request for the signer, and how far to wait for it.

    ``goal`` is the state that makes a 200. ``timeout_seconds`` is the client's own wish, None without one.
    ``idempotency_key`` is the one in the body, None without one. ``dry_run``: explain it, and sign nothing.
    """

    request: Wish
    queue: bool
    goal: State
    timeout_seconds: float | None
    idempotency_key: str | None = None
    dry_run: bool = False


def parse_order(body: bytes) -> Order:
    """The order that a body spells.

    Raises:
        BodyError: not JSON, or not this shape.
    """
    outer = Fields(parse_json(body), "", OUTER_FIELDS)
    inner = Fields(outer.required("transaction_data"), "transaction_data", _TRANSACTION_FIELDS)
    uids, hotkeys, weights = _targets(inner)
    request = SetWeights(
        wallet=read_name(outer.required("wallet_name"), "wallet_name"),
        hotkey=read_name(outer.get("hotkey_name", "default"), "hotkey_name"),
        netuid=read_integer(inner.required("netuid"), "transaction_data.netuid", MAX_U16),
        mechid=read_integer(inner.get("mechid", 0), "transaction_data.mechid", MAX_U8),
        uids=uids,
        hotkeys=hotkeys,
        weights=weights,
        version_key=read_integer(inner.get("version_key", 0), "transaction_data.version_key", MAX_U64),
    )
    return Order(
        request=request,
        queue=inner.boolean("queue"),
        goal=read_goal(inner),
        timeout_seconds=read_timeout(inner),
        idempotency_key=read_idempotency_key(outer),
        dry_run=outer.boolean("dry_run"),
    )


OUTER_FIELDS = ("wallet_name", "hotkey_name", "transaction_data", "idempotency_key", "dry_run")

_TRANSACTION_FIELDS = (
    "netuid",
    "uids",
    "weights",
    "mechid",
    "version_key",
    "wait_for_inclusion",
    "wait_for_finalization",
    "queue",
    "timeout",
)


def _targets(inner: Fields) -> tuple[tuple[int, ...] | None, tuple[str, ...] | None, tuple[float, ...]]:
    """(uids, None, weights) or (None, hotkeys, weights)."""
    weights = inner.required("weights")
    if isinstance(weights, dict):
        if "uids" in inner:
            raise BodyError("transaction_data.uids: expected no uids where weights is an object")
        _check_count(len(weights), "transaction_data.weights")
        values = _weights(weights.values())
        if all(_UID.fullmatch(key) for key in weights):
            return _uids([int(key) for key in weights], "transaction_data.weights"), None, values
        for key in weights:
            if not _SS58.fullmatch(key):
                raise BodyError(
                    "transaction_data.weights: expected only uids or only hotkey addresses as keys, "
                    f"found {shortened(key)!r}"
                )
        return None, tuple(weights), values
    if not isinstance(weights, list):
        raise BodyError(f"transaction_data.weights: expected a list or an object, found {kind_of(weights)}")
    uids = inner.required("uids")
    if not isinstance(uids, list):
        raise BodyError(f"transaction_data.uids: expected a list, found {kind_of(uids)}")
    _check_count(len(uids), "transaction_data.uids")
    _check_count(len(weights), "transaction_data.weights")
    if len(weights) != len(uids):
        raise BodyError(f"transaction_data.weights: expected as many as uids ({len(uids)}), found {len(weights)}")
    return _uids(uids, "transaction_data.uids"), None, _weights(weights)


def _check_count(count: int, where: str) -> None:
    if not 1 <= count <= MAX_TARGETS:
        raise BodyError(f"{where}: expected 1 to {MAX_TARGETS} entries, found {count}")


def _uids(values: list[Any], where: str) -> tuple[int, ...]:
    uids = tuple(read_integer(value, f"{where}[{at}]", MAX_U16) for at, value in enumerate(values))
    seen: set[int] = set()
    for uid in uids:
        if uid in seen:
            raise BodyError(f"{where}: expected each uid once, found {uid} twice")
        seen.add(uid)
    return uids


def _weights(values: Any) -> tuple[float, ...]:
    where = "transaction_data.weights"
    weights = []
    for at, value in enumerate(values):
        number = read_number(value, f"{where}[{at}]")
        if not 0 <= number <= MAX_WEIGHT:
            raise BodyError(f"{where}[{at}]: expected 0 to {MAX_WEIGHT:g}, found {number:g}")
        weights.append(number)
    if not any(weights):
        raise BodyError(f"{where}: expected at least one weight above 0, found only zeros")
    return tuple(weights)


def read_goal(inner: Fields) -> State:
    """How far the client waits: ``wait_for_inclusion``, ``wait_for_finalization``, else to the pool."""
    inclusion, finalization = inner.boolean("wait_for_inclusion"), inner.boolean("wait_for_finalization")
    if finalization:
        return State.FINALIZED
    return State.IN_BLOCK if inclusion else State.SUBMITTED


def read_idempotency_key(outer: Fields) -> str | None:
    """``idempotency_key``; None if it is left out."""
    if "idempotency_key" not in outer:
        return None
    key = outer.text("idempotency_key", MAX_IDEMPOTENCY_KEY_CHARACTERS)
    if not _IDEMPOTENCY_KEY.fullmatch(key):
        raise BodyError("idempotency_key: expected visible ASCII characters")
    return key


def read_timeout(inner: Fields) -> float | None:
    """``timeout``, in seconds above 0; None if it is left out."""
    if "timeout" not in inner:
        return None
    seconds = read_number(inner.required("timeout"), "transaction_data.timeout")
    if seconds <= 0:
        raise BodyError(f"transaction_data.timeout: expected seconds above 0, found {seconds:g}")
    return seconds
