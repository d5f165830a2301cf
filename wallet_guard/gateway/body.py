"""The body of ``POST /wallet/set_weights``: strict JSON into a typed order, or a refusal naming the field.

Shape (the seed's, and what we add)::

    {"wallet_name": "validator",
     "hotkey_name": "default",              optional
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

Refused on purpose: duplicate keys, NaN and infinities (also as 1e999), true for 1, "1" for 1, 1.0 for an
integer, null for a default, and every field not listed. Each of them is two parsers disagreeing about what
was asked for.
"""

import json
import math
import re
from dataclasses import dataclass
from typing import Any, Never

from wallet_guard.ipc.questions import MAX_NAME_CHARACTERS, MAX_TARGETS, SetWeights, State

MAX_BODY_BYTES = 1 << 20
"""1 MiB: 4,096 weights by hotkey are 0.3 MB, written generously."""

MAX_U8, MAX_U16, MAX_U64 = 2**8 - 1, 2**16 - 1, 2**64 - 1
"""``MechId``, ``NetUid`` and uids, ``version_key`` in the runtime's metadata."""

MAX_WEIGHT = 1e300
"""Weights are relative, so any scale will do, as long as the sum of them all stays finite."""

MAX_QUOTED_CHARACTERS = 40
"""Of what a stranger sent, in an answer or a log line."""

_UID = re.compile(r"0|[1-9][0-9]{0,4}", re.ASCII)
# Base58 without 0, O, I, l; 32 bytes with a prefix of one or two and a checksum of two. The signer decodes
# it.
_SS58 = re.compile(r"[1-9A-HJ-NP-Za-km-z]{46,50}", re.ASCII)


class BodyError(Exception):
    """Not an order: ``code`` is ``invalid_json`` or ``invalid_request``; the message names the field."""

    def __init__(self, message: str, code: str = "invalid_request") -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Order:
    """What the client wants: the request for the signer, and how far to wait for it.

    ``goal`` is the state that makes a 200. ``timeout_seconds`` is the client's own wish, None without one.
    """

    request: SetWeights
    queue: bool
    goal: State
    timeout_seconds: float | None


def parse_order(body: bytes) -> Order:
    """The order that a body spells.

    Raises:
        BodyError: not JSON, or not this shape.
    """
    outer = _Fields(_parse_json(body), "", ("wallet_name", "hotkey_name", "transaction_data"))
    inner = _Fields(outer.required("transaction_data"), "transaction_data", _TRANSACTION_FIELDS)
    uids, hotkeys, weights = _targets(inner)
    goal = State.SUBMITTED
    if inner.boolean("wait_for_inclusion"):
        goal = State.IN_BLOCK
    if inner.boolean("wait_for_finalization"):
        goal = State.FINALIZED
    request = SetWeights(
        wallet=_name(outer.required("wallet_name"), "wallet_name"),
        hotkey=_name(outer.get("hotkey_name", "default"), "hotkey_name"),
        netuid=_integer(inner.required("netuid"), "transaction_data.netuid", MAX_U16),
        mechid=_integer(inner.get("mechid", 0), "transaction_data.mechid", MAX_U8),
        uids=uids,
        hotkeys=hotkeys,
        weights=weights,
        version_key=_integer(inner.get("version_key", 0), "transaction_data.version_key", MAX_U64),
    )
    return Order(request=request, queue=inner.boolean("queue"), goal=goal, timeout_seconds=_timeout(inner))


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


class _Fields:
    """A JSON object whose keys are all known."""

    def __init__(self, value: Any, where: str, known: tuple[str, ...]) -> None:
        if not isinstance(value, dict):
            raise BodyError(f"{where or 'body'}: expected an object, found {_kind(value)}")
        self._prefix = f"{where}." if where else ""
        for name in value:
            if name not in known:
                raise BodyError(f"{self._prefix}{shortened(name)}: unknown field, expected one of {', '.join(known)}")
        self._value = value

    def __contains__(self, name: str) -> bool:
        return name in self._value

    def required(self, name: str) -> Any:
        if name not in self._value:
            raise BodyError(f"{self._prefix}{name}: missing")
        return self._value[name]

    def get(self, name: str, default: Any) -> Any:
        return self._value.get(name, default)

    def boolean(self, name: str) -> bool:
        value = self._value.get(name, False)
        if not isinstance(value, bool):
            raise BodyError(f"{self._prefix}{name}: expected true or false, found {_kind(value)}")
        return value


def _parse_json(body: bytes) -> Any:
    try:
        # Strict UTF-8 first: json.loads would also guess UTF-16 and UTF-32.
        return json.loads(body.decode(), parse_constant=_no_constant, object_pairs_hook=_no_duplicates)
    except UnicodeDecodeError as error:
        raise BodyError("body: expected UTF-8", "invalid_json") from error
    except json.JSONDecodeError as error:
        raise BodyError(
            f"body: expected JSON: {error.msg} at line {error.lineno}, column {error.colno}", "invalid_json"
        ) from error
    except RecursionError as error:
        raise BodyError("body: expected JSON, found it nested too deep", "invalid_json") from error
    except ValueError as error:
        # Python refuses to read integers of more than 4300 digits.
        raise BodyError("body: expected numbers of a sane length", "invalid_json") from error


def _no_constant(name: str) -> Never:
    raise BodyError(f"body: expected JSON numbers, found {name}", "invalid_json")


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise BodyError(f"body: expected each key once, found {shortened(key)!r} twice", "invalid_json")
            seen.add(key)
    return found


def _targets(inner: _Fields) -> tuple[tuple[int, ...] | None, tuple[str, ...] | None, tuple[float, ...]]:
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
        raise BodyError(f"transaction_data.weights: expected a list or an object, found {_kind(weights)}")
    uids = inner.required("uids")
    if not isinstance(uids, list):
        raise BodyError(f"transaction_data.uids: expected a list, found {_kind(uids)}")
    _check_count(len(uids), "transaction_data.uids")
    _check_count(len(weights), "transaction_data.weights")
    if len(weights) != len(uids):
        raise BodyError(f"transaction_data.weights: expected as many as uids ({len(uids)}), found {len(weights)}")
    return _uids(uids, "transaction_data.uids"), None, _weights(weights)


def _check_count(count: int, where: str) -> None:
    if not 1 <= count <= MAX_TARGETS:
        raise BodyError(f"{where}: expected 1 to {MAX_TARGETS} entries, found {count}")


def _uids(values: list[Any], where: str) -> tuple[int, ...]:
    uids = tuple(_integer(value, f"{where}[{at}]", MAX_U16) for at, value in enumerate(values))
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
        number = _number(value, f"{where}[{at}]")
        if not 0 <= number <= MAX_WEIGHT:
            raise BodyError(f"{where}[{at}]: expected 0 to {MAX_WEIGHT:g}, found {number:g}")
        weights.append(number)
    if not any(weights):
        raise BodyError(f"{where}: expected at least one weight above 0, found only zeros")
    return tuple(weights)


def _timeout(inner: _Fields) -> float | None:
    if "timeout" not in inner:
        return None
    seconds = _number(inner.required("timeout"), "transaction_data.timeout")
    if seconds <= 0:
        raise BodyError(f"transaction_data.timeout: expected seconds above 0, found {seconds:g}")
    return seconds


def _number(value: Any, where: str) -> float:
    if type(value) not in (int, float):
        raise BodyError(f"{where}: expected a number, found {_kind(value)}")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise BodyError(f"{where}: expected a finite number, found one beyond 1.8e308")
    return number


def _integer(value: Any, where: str, most: int) -> int:
    if type(value) is not int:
        raise BodyError(f"{where}: expected an integer, found {_kind(value)}")
    if not 0 <= value <= most:
        # A huge integer has up to 4300 digits; say only that it is out of range.
        found = str(value) if -(10**20) < value < 10**20 else "one of more than 20 digits"
        raise BodyError(f"{where}: expected 0 to {most}, found {found}")
    return value


def _name(value: Any, where: str) -> str:
    if not isinstance(value, str):
        raise BodyError(f"{where}: expected a string, found {_kind(value)}")
    if not 1 <= len(value) <= MAX_NAME_CHARACTERS:
        raise BodyError(f"{where}: expected 1 to {MAX_NAME_CHARACTERS} characters, found {len(value)}")
    if value in (".", "..") or "/" in value or not value.isprintable():
        raise BodyError(f"{where}: expected a plain name without '/' and control characters")
    return value


_KINDS = {
    type(None): "null",
    bool: "true or false",
    int: "an integer",
    float: "a fraction",
    str: "a string",
    list: "a list",
    dict: "an object",
}


def _kind(value: Any) -> str:
    return _KINDS.get(type(value), type(value).__name__)


def shortened(text: str) -> str:
    """A stranger's text, fit to be quoted in an answer or a log line."""
    shown = text if len(text) <= MAX_QUOTED_CHARACTERS else text[:MAX_QUOTED_CHARACTERS] + "…"
    return "".join(character if character.isprintable() else "?" for character in shown)
