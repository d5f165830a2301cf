"""What the pallet knows about its subnets: membership, stake, limits, and the epoch schedule.

Rules follow `pallets/subtensor` (`subnets/weights.rs`, `subnets/mechanism.rs`, `coinbase/run_coinbase`) as of spec
455 to
461. Left out: consensus, emission and bonds; a neuron's stake is its alpha on the subnet, root stake does not count.
"""

from __future__ import annotations

from wallet_guard.devnet.runtime import State

PALLET = "SubtensorModule"
ROOT = 0
MECHANISM_STRIDE = 4096
"""Weights, commits and last updates of mechanism m of netuid n live under `m * 4096 + n` (GLOBAL_MAX_SUBNET_COUNT)."""

MAX_UNREVEALED_COMMITS = 10


class CallError(Exception):
    """A pallet's refusal of a call, by the name that the metadata gives it."""

    def __init__(self, name: str, pallet: str = PALLET) -> None:
        super().__init__(f"{pallet}.{name}")
        self.name = name
        self.pallet = pallet


def ensure(condition: bool, name: str, pallet: str = PALLET) -> None:
    """Nothing when `condition` holds. Raises: CallError `name` otherwise."""
    if not condition:
        raise CallError(name, pallet)


def storage_index(netuid: int, mechid: int) -> int:
    """The key under which a mechanism's weights are kept; the netuid itself for mechanism 0."""
    return mechid * MECHANISM_STRIDE + netuid


def current_block(state: State) -> int:
    """The number of the block that is being made."""
    return int(state.get("System", "Number"))


def exists(state: State, netuid: int) -> bool:
    """Whether the subnet exists."""
    return bool(state.get(PALLET, "NetworksAdded", netuid))


def ensure_mechanism_exists(state: State, netuid: int, mechid: int) -> None:
    """Raises: CallError when there is no such subnet, or it has no such mechanism."""
    ensure(exists(state, netuid), "SubnetNotExists")
    ensure(mechid < state.get(PALLET, "MechanismCountCurrent", netuid), "MechanismDoesNotExist")


def uid_of(state: State, netuid: int, hotkey: str) -> int | None:
    """The hotkey's uid on the subnet, None when it is not registered there."""
    uid = state.get(PALLET, "Uids", netuid, hotkey)
    return None if uid is None else int(uid)


def size(state: State, netuid: int) -> int:
    """How many uids the subnet has: they are 0 to size - 1."""
    return int(state.get(PALLET, "SubnetworkN", netuid))


def has_stake_for_weights(state: State, netuid: int, hotkey: str) -> bool:
    """Whether the hotkey's stake on the subnet reaches `StakeThreshold`."""
    return bool(state.get(PALLET, "TotalHotkeyAlpha", hotkey, netuid) >= state.get(PALLET, "StakeThreshold"))


def commit_reveal(state: State, netuid: int) -> bool:
    """Whether the subnet takes commitments instead of plain weights."""
    return bool(state.get(PALLET, "CommitRevealWeightsEnabled", netuid))


def last_update(state: State, index: int, uid: int) -> int:
    """The block at which a uid last set or committed weights; 0 when it never did."""
    blocks = state.get(PALLET, "LastUpdate", index)
    return int(blocks[uid]) if uid < len(blocks) else 0


def touch(state: State, index: int, uid: int) -> None:
    """Record that a uid has set or committed weights in the current block."""
    blocks = list(state.get(PALLET, "LastUpdate", index))
    if uid < len(blocks):
        blocks[uid] = current_block(state)
        state.put(PALLET, "LastUpdate", index, value=blocks)


def weights_rate_allows(state: State, netuid: int, mechid: int, uid: int) -> bool:
    """Whether the uid's last weights are at least `WeightsSetRateLimit` blocks old, or it has set none yet."""
    last = last_update(state, storage_index(netuid, mechid), uid)
    return last == 0 or current_block(state) - last >= int(state.get(PALLET, "WeightsSetRateLimit", netuid))


def netuids(state: State) -> list[int]:
    """Every subnet, the root included, in order; netuids are taken without gaps in this emulator."""
    return list(range(int(state.get(PALLET, "TotalNetworks")) + 1))


def next_epoch(state: State, netuid: int) -> int | None:
    """The block at which the subnet's next epoch is due; None when it runs none (tempo 0)."""
    tempo = int(state.get(PALLET, "Tempo", netuid))
    if not tempo:
        return None
    automatic = int(state.get(PALLET, "LastEpochBlock", netuid)) + tempo
    pending = int(state.get(PALLET, "PendingEpochAt", netuid))
    return min(automatic, pending) if pending else automatic


def epoch_is_due(state: State, netuid: int) -> bool:
    """Whether the subnet's epoch runs in the current block."""
    due = next_epoch(state, netuid)
    if due is None:
        return False
    overdue = state.get(PALLET, "BlocksSinceLastStep", netuid) > state.get(PALLET, "Tempo", netuid)
    return bool(overdue or current_block(state) >= due)


def current_epoch(state: State, netuid: int) -> int:
    """The epoch that a commit made in the current block belongs to: already the next one when it is due now."""
    return int(state.get(PALLET, "SubnetEpochIndex", netuid)) + epoch_is_due(state, netuid)


def run_epochs(state: State) -> list[dict[str, object]]:
    """Advance every subnet's schedule by one block; what is returned are the pallet's events for it.

    At most `MaxEpochsPerBlock` epochs run in a block, the others move to the next one.
    """
    events: list[dict[str, object]] = []
    block = current_block(state)
    budget = int(state.get(PALLET, "MaxEpochsPerBlock"))
    for netuid in netuids(state)[1:]:
        _expire_commits(state, netuid)
        tempo = int(state.get(PALLET, "Tempo", netuid))
        since = min(int(state.get(PALLET, "BlocksSinceLastStep", netuid)) + 1, tempo + 1)
        state.put(PALLET, "BlocksSinceLastStep", netuid, value=since)
        if not epoch_is_due(state, netuid):
            continue
        if not budget:
            state.put(PALLET, "PendingEpochAt", netuid, value=block + 1)
            events.append({"EpochDeferred": {"netuid": netuid, "from_block": block, "to_block": block + 1}})
            continue
        budget -= 1
        state.put(PALLET, "BlocksSinceLastStep", netuid, value=0)
        state.put(PALLET, "LastMechansimStepBlock", netuid, value=block)
        state.put(PALLET, "LastEpochBlock", netuid, value=block)
        state.put(PALLET, "PendingEpochAt", netuid, value=0)
        state.put(PALLET, "SubnetEpochIndex", netuid, value=int(state.get(PALLET, "SubnetEpochIndex", netuid)) + 1)
    return events


def _expire_commits(state: State, netuid: int) -> None:
    # A commit is revealed in the epoch `RevealPeriodEpochs` after its own and forgotten in the one after that. Epochs
    # advance by one, so only the one that has just passed can be stored.
    reveal_epoch = current_epoch(state, netuid) - int(state.get(PALLET, "RevealPeriodEpochs", netuid))
    if reveal_epoch < 1:
        return
    for mechid in range(int(state.get(PALLET, "MechanismCountCurrent", netuid))):
        index = storage_index(netuid, mechid)
        if state.has(PALLET, "TimelockedWeightCommits", index, reveal_epoch - 1):
            state.remove(PALLET, "TimelockedWeightCommits", index, reveal_epoch - 1)
