"""The requests that a client sends, from whatever a neuron has at hand.

Lists, tuples, dicts, numpy arrays and torch tensors are taken without importing either: both know
``tolist()``, and their numbers ``item()``.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Protocol

from wallet_guard.client.errors import SettingsError

GOAL_SECONDS = {"submitted": 30.0, "in_block": 90.0, "finalized": 180.0}
"""How long the service waits at most for the pool, a block, finality; the gateway's own constants."""


SDK_SETTINGS = frozenset(
    {
        *("max_retries", "max_attempts", "block_time", "period", "commit_reveal_version", "mev_protection"),
        *("wait_for_revealed_execution", "prompt"),
    }
)
"""What ``set_weights`` of bittensor 9 and 10 also takes and the service decides by itself: taken, and not used."""


_DRY_RUN = "?dry_run=1"


class Order(Protocol):
    """Something to be submitted."""

    @property
    def path(self) -> str:
        """Where it is posted."""

    @property
    def goal_seconds(self) -> float:
        """How long the service may wait for the goal."""

    def encode(self, seconds: float, key: str = "") -> bytes:
        """The JSON body; ``seconds`` is how long the service shall wait at most, ``key`` an idempotency key.

        Raises:
            SettingsError: something in it cannot be sent.
        """


@dataclass(frozen=True, slots=True)
class SetWeights:
    """One ``set_weights`` in the caller's own terms; see ``WalletService.set_weights``."""

    netuid: int
    uids: Any
    weights: Any
    wallet_name: str
    hotkey_name: str
    mechid: int = 0
    version_key: int = 0
    wait_for_inclusion: bool = False
    wait_for_finalization: bool = False
    queue: bool = False
    dry_run: bool = False

    @property
    def path(self) -> str:
        """Where it is posted."""
        return "/wallet/set_weights" + _DRY_RUN * bool(self.dry_run)

    @property
    def goal_seconds(self) -> float:
        """How long the service may wait for the goal."""
        return _goal_seconds(self.wait_for_inclusion, self.wait_for_finalization)

    def encode(self, seconds: float, key: str = "") -> bytes:
        """The JSON body; ``seconds`` is how long the service shall wait at most.

        Raises:
            SettingsError: something in it is no number, or NaN or infinite.
        """
        transaction: dict[str, Any] = {"netuid": _integer(self.netuid, "netuid")}
        if isinstance(self.weights, Mapping):
            if self.uids is not None:
                raise SettingsError("uids: expected None where weights is a mapping")
            transaction["weights"] = {
                key if isinstance(key, str) else str(_integer(key, "weights")): _number(weight, "weights")
                for key, weight in self.weights.items()
            }
        else:
            transaction["uids"] = [_integer(uid, "uids") for uid in _plain(self.uids, "uids")]
            transaction["weights"] = [_number(weight, "weights") for weight in _plain(self.weights, "weights")]
        transaction |= {
            "mechid": _integer(self.mechid, "mechid"),
            "version_key": _integer(self.version_key, "version_key"),
            "wait_for_inclusion": bool(self.wait_for_inclusion),
            "wait_for_finalization": bool(self.wait_for_finalization),
            "queue": bool(self.queue),
            "timeout": round(seconds, 3),
        }
        return _encode(self.wallet_name, self.hotkey_name, {"transaction_data": transaction} | _keyed(key))


@dataclass(frozen=True, slots=True)
class Wish:
    """One of the other calls of a hotkey: ``kind`` is the route's name, ``fields`` what it takes beside netuid."""

    kind: str
    netuid: int
    fields: Mapping[str, Any]
    wallet_name: str
    hotkey_name: str
    wait_for_inclusion: bool = False
    wait_for_finalization: bool = False
    dry_run: bool = False

    @property
    def path(self) -> str:
        """Where it is posted."""
        return f"/wallet/{self.kind}" + _DRY_RUN * bool(self.dry_run)

    @property
    def goal_seconds(self) -> float:
        """How long the service may wait for the goal."""
        return _goal_seconds(self.wait_for_inclusion, self.wait_for_finalization)

    def encode(self, seconds: float, key: str = "") -> bytes:
        """The JSON body; ``seconds`` is how long the service shall wait at most.

        Raises:
            SettingsError: something in it is not of its type.
        """
        transaction = {"netuid": _integer(self.netuid, "netuid"), **self.fields}
        transaction |= {
            "wait_for_inclusion": bool(self.wait_for_inclusion),
            "wait_for_finalization": bool(self.wait_for_finalization),
            "timeout": round(seconds, 3),
        }
        return _encode(self.wallet_name, self.hotkey_name, {"transaction_data": transaction} | _keyed(key))


@dataclass(frozen=True, slots=True)
class Question:
    """What one of the routes that sign at once is asked; ``fields`` go beside the names."""

    path: str
    fields: Mapping[str, Any]
    wallet_name: str
    hotkey_name: str
    once: bool = field(default=False, kw_only=True)

    def encode(self, _seconds: float, _key: str = "") -> bytes:
        """The JSON body.

        Raises:
            SettingsError: something in it has no JSON form.
        """
        return _encode(self.wallet_name, self.hotkey_name, self.fields)


def endpoint_fields(ip: str, port: int, **more: int) -> dict[str, Any]:
    """The fields of ``serve_axon`` and its like; raises SettingsError."""
    if not isinstance(ip, str):
        raise SettingsError(f"ip: expected a string, found {_found(ip)}")
    return {"ip": ip, "port": _integer(port, "port")} | {name: _integer(each, name) for name, each in more.items()}


def hex_of(data: bytes | str, where: str) -> str:
    """Bytes, or their hex form with or without 0x, as the service wants them; raises SettingsError."""
    if isinstance(data, str):
        try:
            data = bytes.fromhex(data.removeprefix("0x"))
        except ValueError as error:
            raise SettingsError(f"{where}: expected bytes or hex digits, found {_found(data)}") from error
    return "0x" + bytes(data).hex()


def commitment_fields(data: bytes | str) -> dict[str, Any]:
    """The field of ``set_commitment`` that holds a text, or bytes."""
    return {"data": data} if isinstance(data, str) else {"data_hex": hex_of(data, "data")}


def request_fields(
    method: str, path: str, body: bytes | str, receiver: str | None, nonce: int | None
) -> dict[str, Any]:
    """The fields of a btauth/1 request; of its body only the hash travels.

    Raises:
        SettingsError: no receiver.
    """
    if not isinstance(receiver, str):
        raise SettingsError(
            "receiver: expected the hotkey's address that the request is for, found none: "
            "a request for anybody can be replayed to anybody"
        )
    digest = sha256(body.encode() if isinstance(body, str) else body).hexdigest()
    fields = {"method": method, "path": path, "body_sha256": digest, "receiver": receiver}
    return fields if nonce is None else fields | {"nonce": str(_integer(nonce, "nonce"))}


def session_fields(key: bytes | str, netuid: int | None, receiver: str | None, lifetime: int) -> dict[str, Any]:
    """The fields of a session certificate's request; raises SettingsError."""
    return {
        "key": hex_of(key, "key"),
        "netuid": netuid,
        "receiver": receiver,
        "lifetime": _integer(lifetime, "lifetime"),
    }


def extrinsic_fields(unsigned: Any) -> dict[str, Any]:
    """The SDK's ``UnsignedExtrinsic`` (or what its ``to_dict`` gives), without what the service passes over.

    Raises:
        SettingsError: it is none.
    """
    to_dict = getattr(unsigned, "to_dict", None)
    parts = to_dict() if callable(to_dict) else unsigned
    if not isinstance(parts, Mapping):
        raise SettingsError(f"extrinsic: expected the SDK's UnsignedExtrinsic, found {type(unsigned).__name__}")
    return {"extrinsic": {name: part for name, part in parts.items() if name != "payload_json"}}


def read_intent(intent: Any) -> tuple[str, dict[str, Any]]:
    """The name and the arguments of the client's method that does what an SDK intent (``bt.SetWeights`` …) means.

    Read by the names of its fields; the SDK is not imported.

    Raises:
        SettingsError: none of the intents that a service can do.
    """
    kind = getattr(intent, "op", None)
    names = _INTENTS.get(kind) if isinstance(kind, str) else None
    if names is None or kind is None:
        raise SettingsError(
            f"intent: expected one of {', '.join(_INTENTS)}, found {_found(kind if kind else intent)}; "
            "commits are made by the service itself where set_weights needs one"
        )
    if getattr(intent, "raw_u16", False):
        raise SettingsError("raw_u16: expected False, the service conforms weights to the subnet's limits")
    return kind, {name: getattr(intent, name) for name in names if hasattr(intent, name)}


_INTENTS = {
    "set_weights": ("netuid", "uids", "weights", "mechid", "version_key"),
    "serve_axon": ("netuid", "ip", "port", "protocol", "version"),
    "serve_axon_tls": ("netuid", "ip", "port", "certificate", "protocol", "version"),
    "serve_prometheus": ("netuid", "ip", "port", "version"),
    "reset_axon": ("netuid",),
}
"""``op`` of an SDK 11 intent, which is also the client's method → the fields that both have."""


def _keyed(key: str) -> dict[str, str]:
    return {"idempotency_key": key} if key else {}


def _goal_seconds(inclusion: bool, finalization: bool) -> float:
    if finalization:
        return GOAL_SECONDS["finalized"]
    return GOAL_SECONDS["in_block" if inclusion else "submitted"]


def _encode(wallet_name: str, hotkey_name: str, fields: Mapping[str, Any]) -> bytes:
    content = {"wallet_name": wallet_name, "hotkey_name": hotkey_name, **fields}
    try:
        return json.dumps(content, allow_nan=False, separators=(",", ":")).encode()
    except ValueError as error:
        raise SettingsError("weights: expected finite numbers, found NaN or an infinity") from error
    except (TypeError, UnicodeEncodeError) as error:
        raise SettingsError(f"expected what JSON can say: {error}") from error


def name_of(wallet: Any, attribute: str) -> str | None:
    """A wallet given as its name, or as an SDK wallet object (``name``, ``hotkey_str``)."""
    if isinstance(wallet, str):
        return wallet if attribute == "name" else None
    value = getattr(wallet, attribute, None)
    return value if isinstance(value, str) else None


def _plain(values: Any, where: str) -> Iterable[Any]:
    tolist = getattr(values, "tolist", None)
    if callable(tolist):
        values = tolist()
    if isinstance(values, (str, bytes)) or not isinstance(values, Iterable):
        raise SettingsError(f"{where}: expected a list, tuple, array or tensor, found {type(values).__name__}")
    return values


def _scalar(value: Any) -> Any:
    item = getattr(value, "item", None)
    return item() if callable(item) else value


def _integer(value: Any, where: str) -> int:
    value = _scalar(value)
    if isinstance(value, bool) or not (isinstance(value, int) or (isinstance(value, float) and value.is_integer())):
        raise SettingsError(f"{where}: expected an integer, found {_found(value)}")
    return int(value)


def _number(value: Any, where: str) -> int | float:
    value = _scalar(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, (str, bytes, bool)):
        raise SettingsError(f"{where}: expected numbers, found {_found(value)}")
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise SettingsError(f"{where}: expected numbers, found {_found(value)}") from error


def _found(value: Any) -> str:
    return f"{type(value).__name__} {value!r}"[:40]
