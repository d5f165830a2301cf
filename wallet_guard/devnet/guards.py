"""The checks that the pool makes before it takes a call, and block production once more before dispatch.

They are those of `SubtensorTransactionExtension`: `CheckWeights`, `CheckRateLimits`, `CheckServingEndpoints` and the
commitments' `CanCommit` (`pallets/subtensor/src/guards/`). Since some version between spec 425 and 455
`CheckRateLimits` covers the timelocked commits too, and two commits for the same mechanism exclude each other in the
pool.
"""

from __future__ import annotations

from wallet_guard.devnet import subnets
from wallet_guard.devnet.runtime import State, Value
from wallet_guard.devnet.subnets import PALLET, ensure

TIMELOCKED = frozenset(
    {"commit_timelocked_weights", "commit_timelocked_mechanism_weights", "commit_crv3_mechanism_weights"}
)
PLAIN = frozenset({"set_weights", "set_mechanism_weights"})
SERVING = frozenset({"serve_axon", "serve_axon_tls", "serve_prometheus"})

_IPV4_LOCALHOST = 0x7F000001


def check(state: State, pallet: str, function: str, hotkey: str, arguments: dict[str, Value]) -> None:
    """Nothing when the pool may take the call. Raises: CallError with the pallet's name for what is wrong."""
    if (pallet, function) == ("Commitments", "set_commitment"):
        ensure(subnets.exists(state, arguments["netuid"]), "SubnetNotExists")
        ensure(subnets.uid_of(state, arguments["netuid"], hotkey) is not None, "HotKeyNotRegisteredInSubNet")
    elif pallet == PALLET and function in TIMELOCKED | PLAIN:
        _check_weights(state, function, hotkey, arguments)
    elif pallet == PALLET and function in SERVING:
        check_serving(state, function, hotkey, arguments)


def pool_tag(state: State, pallet: str, function: str, hotkey: str, arguments: dict[str, Value]) -> object:
    """What no other pending extrinsic may provide besides this one; None for a call that excludes no other."""
    if (
        pallet != PALLET
        or function not in TIMELOCKED
        or not state.get(PALLET, "WeightsSetRateLimit", arguments["netuid"])
    ):
        return None
    return hotkey, subnets.storage_index(arguments["netuid"], arguments.get("mecid", 0))


def _check_weights(state: State, function: str, hotkey: str, arguments: dict[str, Value]) -> None:
    netuid = arguments["netuid"]
    ensure(subnets.has_stake_for_weights(state, netuid, hotkey), "NotEnoughStakeToSetWeights")
    if function in TIMELOCKED:
        ensure(arguments["reveal_round"] >= state.get("Drand", "LastStoredRound"), "InvalidRevealRound")
        error = "CommittingWeightsTooFast"
    else:
        # Where commit-reveal is on, plain weights are refused at dispatch, for that reason and no other.
        if subnets.commit_reveal(state, netuid):
            return
        error = "SettingWeightsTooFast"
    uid = subnets.uid_of(state, netuid, hotkey)
    if uid is not None:
        ensure(subnets.weights_rate_allows(state, netuid, arguments.get("mecid", 0), uid), error)


def check_serving(state: State, function: str, hotkey: str, arguments: dict[str, Value]) -> None:
    """The checks of `serve_axon`, `serve_axon_tls` and `serve_prometheus`. Raises: CallError."""
    netuid, kind = arguments["netuid"], arguments["ip_type"]
    prometheus = function == "serve_prometheus"
    if not prometheus:
        ensure(subnets.uid_of(state, netuid, hotkey) is not None, "HotKeyNotRegisteredInNetwork")
    ensure(kind in (4, 6), "InvalidIpType")
    ensure(_is_address(kind, arguments["ip"], allow_zero=not prometheus), "InvalidIpAddress")
    ensure(subnets.uid_of(state, netuid, hotkey) is not None, "HotKeyNotRegisteredInNetwork")
    previous = state.get(PALLET, "Prometheus" if prometheus else "Axons", netuid, hotkey)
    limit = state.get(PALLET, "ServingRateLimit", netuid)
    if previous is not None and previous["block"]:
        ensure(subnets.current_block(state) - previous["block"] >= limit, "ServingRateLimitExceeded")
    ensure(arguments["port"] != 0, "InvalidPort")


def _is_address(kind: int, address: int, *, allow_zero: bool) -> bool:
    if address == 0:
        return allow_zero
    if kind == 4:
        return address < (1 << 32) - 1 and address != _IPV4_LOCALHOST
    return address not in (1, (1 << 128) - 1)
