"""The requests that a client sends, from whatever a neuron has at hand.

Lists, tuples, dicts, numpy arrays and torch tensors are taken without importing either: both know
``tolist()``, and their numbers ``item()``.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from wallet_guard.client.errors import SettingsError

GOAL_SECONDS = {"submitted": 30.0, "in_block": 90.0, "finalized": 180.0}
"""How long the service waits at most for the pool, a block, finality; the gateway's own constants."""


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

    @property
    def goal_seconds(self) -> float:
        """How long the service may wait for the goal."""
        if self.wait_for_finalization:
            return GOAL_SECONDS["finalized"]
        return GOAL_SECONDS["in_block" if self.wait_for_inclusion else "submitted"]

    def encode(self, seconds: float) -> bytes:
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
        content = {
            "wallet_name": self.wallet_name,
            "hotkey_name": self.hotkey_name,
            "transaction_data": transaction,
        }
        try:
            return json.dumps(content, allow_nan=False, separators=(",", ":")).encode()
        except ValueError as error:
            raise SettingsError("weights: expected finite numbers, found NaN or an infinity") from error


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
