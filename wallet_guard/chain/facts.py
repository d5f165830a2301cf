"""Facts: which storage items the signer's seal needs, how they are keyed, and what stands for one a runtime lacks.

Only these items are read. ``SubnetEpochConsensus``, which SDK 11.3.0 asks for before every SetWeights, is not among
them: a guard works with the runtimes before and after it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from wallet_guard.chain.errors import Unavailable
from wallet_guard.chain.ports import Codec
from wallet_guard.ipc.chain import Task

PALLET = "SubtensorModule"

MAX_SUBNETS = 4096
"""``GLOBAL_MAX_SUBNET_COUNT``: mechanism m of subnet n is stored under m * 4096 + n (``NetUidStorageIndex``)."""


class Item(NamedTuple):
    """A storage item of SubtensorModule.

    ``keyed`` names the parts of its key; ``default`` is what it counts as in a runtime that lacks it; ``kind`` the type
    that its value must have.
    """

    name: str
    keyed: tuple[str, ...]
    default: Any
    kind: type


ITEMS: dict[str, Item] = {
    # Not registered: nothing can be sealed.
    "uid": Item("Uids", ("netuid", "hotkey"), None, int),
    # A runtime from before mechanisms has the one (pallet: DefaultMechanismCount).
    "mechanisms": Item("MechanismCountCurrent", ("netuid",), 1, int),
    # On is the pallet's default, and the careful side: plain weights where commits are wanted would be refused.
    "commit_reveal": Item("CommitRevealWeightsEnabled", ("netuid",), True, bool),
    # DefaultCommitRevealWeightsVersion; the SDK's DEFAULT_COMMIT_REVEAL_VERSION.
    "commit_reveal_version": Item("CommitRevealWeightsVersion", (), 4, int),
    # DefaultWeightsSetRateLimit.
    "rate_limit": Item("WeightsSetRateLimit", ("netuid",), 100, int),
    # Never set: the chain itself checks the interval again.
    "last_update": Item("LastUpdate", ("index",), [], list),
    # No lower bound.
    "min_allowed_weights": Item("MinAllowedWeights", ("netuid",), 0, int),
    # u16::MAX: no clipping. The SDK's own default.
    "max_weight_limit": Item("MaxWeightsLimit", ("netuid",), 65535, int),
    # 0 accepts every version key.
    "weights_version_key": Item("WeightsVersionKey", ("netuid",), 0, int),
    # InitialTempo of mainnet.
    "tempo": Item("Tempo", ("netuid",), 360, int),
    # DefaultRevealPeriodEpochs.
    "reveal_period_epochs": Item("RevealPeriodEpochs", ("netuid",), 1, int),
    # The epoch schedule's state is newer than the commit itself; the SDK takes 0 for each (intents.weights).
    "last_epoch_block": Item("LastEpochBlock", ("netuid",), 0, int),
    "pending_epoch_at": Item("PendingEpochAt", ("netuid",), 0, int),
    "subnet_epoch_index": Item("SubnetEpochIndex", ("netuid",), 0, int),
    "blocks_since_last_step": Item("BlocksSinceLastStep", ("netuid",), 0, int),
}


def storage_index(netuid: int, mechid: int) -> int:
    """The index under which LastUpdate and Weights of a mechanism are stored."""
    return mechid * MAX_SUBNETS + netuid


@dataclass(frozen=True, slots=True)
class Plan:
    """What to read for a task: the items that the runtime has, then the uids of the task's hotkeys."""

    fields: tuple[str, ...]
    hotkeys: tuple[str, ...]
    keys: tuple[bytes, ...]


def plan(codec: Codec, task: Task) -> Plan:
    """The storage keys whose values ``read`` takes, in order."""
    parts = {
        "netuid": task.netuid,
        "hotkey": task.ss58_address,
        "index": storage_index(task.netuid, task.mechid),
    }
    fields = tuple(field for field, item in ITEMS.items() if codec.has(PALLET, item.name))
    keys = [codec.key(PALLET, ITEMS[field].name, [parts[part] for part in ITEMS[field].keyed]) for field in fields]
    hotkeys = task.hotkeys if "uid" in fields else ()
    keys += [codec.key(PALLET, ITEMS["uid"].name, [task.netuid, hotkey]) for hotkey in hotkeys]
    return Plan(fields, hotkeys, tuple(keys))


@dataclass(frozen=True, slots=True)
class Reading:
    """The values of a plan, by the names of ``Facts``: ``values`` of the items, ``uids`` of the registered hotkeys."""

    values: dict[str, Any]
    uids: tuple[tuple[str, int], ...]


def read(codec: Codec, wanted: Plan, raws: Sequence[bytes | None]) -> Reading:
    """The values, with defaults for what the runtime lacks.

    Raises:
        Unavailable: a value is not of its item's type.
    """
    values: dict[str, Any] = {field: item.default for field, item in ITEMS.items()}
    for field, raw in zip(wanted.fields, raws, strict=False):
        values[field] = _checked(ITEMS[field], codec.value(PALLET, ITEMS[field].name, raw))
    uids = []
    for hotkey, raw in zip(wanted.hotkeys, raws[len(wanted.fields) :], strict=True):
        found = _checked(ITEMS["uid"], codec.value(PALLET, ITEMS["uid"].name, raw))
        if found is not None:
            uids.append((hotkey, found))
    uid, updates = values["uid"], values["last_update"]
    values["last_update"] = updates[uid] if uid is not None and uid < len(updates) else 0
    return Reading(values, tuple(uids))


def _checked(item: Item, value: Any) -> Any:
    if value is None and item.default is None:
        return None
    fits: bool = type(value) is item.kind
    if fits and item.kind is list:
        fits = all(type(entry) is int for entry in value)
    if not fits:
        raise Unavailable(f"{item.name}: expected {item.kind.__name__}, found {str(value)[:80]!r}")
    return value
