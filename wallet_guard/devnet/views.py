"""The runtime calls (`state_call`) that the SDK's reads need, answered from the state.

Everything that comes out of consensus (rank, trust, incentive, emission, bonds …) is zero here: there is none.
"""

from __future__ import annotations

from collections.abc import Callable

from bittensor_core import ss58_encode

from wallet_guard.devnet import subnets
from wallet_guard.devnet.metadata import compact
from wallet_guard.devnet.refusals import CLIENT_ERROR, RpcError
from wallet_guard.devnet.runtime import State, Value
from wallet_guard.devnet.subnets import PALLET

METADATA_VERSION = 15

_FREE_CALL = {"weight": {"ref_time": 1_000_000, "proof_size": 0}, "class": "Normal", "partial_fee": 0}
_NO_AXON = dict.fromkeys(("block", "version", "ip", "port", "ip_type", "protocol", "placeholder1", "placeholder2"), 0)
_NO_PROMETHEUS = dict.fromkeys(("block", "version", "ip", "port", "ip_type"), 0)


def opaque(metadata: bytes) -> bytes:
    """Metadata as the runtime hands it out: `OpaqueMetadata`, its length before it."""
    length = len(metadata)
    return compact(length) + metadata


def metadata_at_version(metadata: bytes, version: int) -> bytes:
    """`Option<OpaqueMetadata>`: only version 15 was recorded."""
    return b"\x01" + opaque(metadata) if version == METADATA_VERSION else b"\x00"


def call(state: State, method: str, arguments: bytes) -> bytes:
    """The SCALE result of a runtime call on a block's state.

    Raises: RpcError as a node gives it for a method that the runtime lacks, or for arguments that do not decode.
    """
    view = VIEWS.get(method)
    if view is None:
        raise RpcError(CLIENT_ERROR, f"Client error: Execution failed: Exported method {method} is not found")
    kinds, result = state.runtime.api_types[method]
    try:
        decoded = _arguments(state, kinds, arguments)
    except ValueError as error:
        raise RpcError(CLIENT_ERROR, f"Client error: Execution failed: {str(error)[:120]}") from None
    return bytes(state.runtime.core.encode(result, view(state, *decoded)))


def _arguments(state: State, kinds: list[str], raw: bytes) -> list[Value]:
    """The arguments of those kinds that are asked for here: account ids, and integers of one, two or four bytes."""
    values: list[Value] = []
    for kind in kinds:
        name = state.runtime.core.type_name_of(int(kind.partition("::")[2])) or ""
        width = {"AccountId32": 32, "NetUid": 2, "u16": 2, "MechId": 1, "u8": 1, "u32": 4}.get(name)
        if width is None or len(raw) < width:
            raise ValueError(f"expected a {name} in the arguments, found {len(raw)} bytes")
        taken, raw = raw[:width], raw[width:]
        values.append(ss58_encode(taken, 42) if width == 32 else int.from_bytes(taken, "little"))
    return values


def _get(state: State, name: str, *keys: Value) -> Value:
    return state.get(PALLET, name, *keys)


def _columns(state: State, netuid: int) -> list[tuple[int, str, str]]:
    rows = []
    for uid in range(subnets.size(state, netuid)):
        hotkey = _get(state, "Keys", netuid, uid)
        rows.append((uid, hotkey, _get(state, "Owner", hotkey)))
    return rows


def metagraph(state: State, netuid: int, mechid: int = 0) -> Value:
    """`Option<Metagraph>` of a subnet or of one of its mechanisms."""
    if not subnets.exists(state, netuid):
        return None
    index = subnets.storage_index(netuid, mechid)
    rows = _columns(state, netuid)
    count = len(rows)
    zeros = [0] * count
    stakes = [_get(state, "TotalHotkeyAlpha", hotkey, netuid) for _, hotkey, _ in rows]
    identity = _get(state, "SubnetIdentitiesV3", netuid)
    return {
        **_metagraph_subnet(state, netuid),
        "netuid": index,
        "name": list((identity or {}).get("subnet_name", "").encode()),
        "symbol": list(str(_get(state, "TokenSymbol", netuid)).encode()),
        "identity": identity,
        "num_uids": count,
        "hotkeys": [hotkey for _, hotkey, _ in rows],
        "coldkeys": [coldkey for *_, coldkey in rows],
        "identities": [None] * count,
        "axons": [_get(state, "Axons", netuid, hotkey) or _NO_AXON for _, hotkey, _ in rows],
        "active": _get(state, "Active", netuid),
        "validator_permit": _get(state, "ValidatorPermit", netuid),
        "last_update": _get(state, "LastUpdate", index),
        "block_at_registration": [_get(state, "BlockAtRegistration", netuid, uid) for uid, *_ in rows],
        "alpha_stake": stakes,
        "total_stake": stakes,
        "tao_dividends_per_hotkey": [],
        "alpha_dividends_per_hotkey": [],
        **dict.fromkeys(("pruning_score", "emission", "dividends", "incentives", "consensus"), zeros),
        **dict.fromkeys(("trust", "rank", "tao_stake"), zeros),
        **dict.fromkeys(("collateral_locked", "collateral_min", "collateral_earned"), zeros),
    }


def _metagraph_subnet(state: State, netuid: int) -> dict[str, Value]:
    hyper = hyperparams(state, netuid)
    assert hyper is not None, "asked for only when the subnet exists"
    same = (
        "rho", "kappa", "min_allowed_weights", "max_weights_limit", "weights_version", "weights_rate_limit",
        "activity_cutoff", "max_validators", "difficulty", "registration_allowed", "immunity_period", "min_difficulty",
        "max_difficulty", "min_burn", "max_burn", "adjustment_alpha", "adjustment_interval", "target_regs_per_interval",
        "max_regs_per_block", "serving_rate_limit", "commit_reveal_weights_enabled", "commit_reveal_period",
        "liquid_alpha_enabled", "alpha_high", "alpha_low", "bonds_moving_avg", "tempo",
    )  # fmt: skip
    nothing = (
        "subnet_emission", "alpha_out_emission", "alpha_in_emission", "tao_in_emission", "pending_alpha_emission",
        "pending_root_emission", "subnet_volume",
    )  # fmt: skip
    return {
        **{name: hyper[name] for name in same},
        **dict.fromkeys(nothing, 0),
        "network_registered_at": _get(state, "NetworkRegisteredAt", netuid),
        "owner_hotkey": _get(state, "SubnetOwnerHotkey", netuid),
        "owner_coldkey": _get(state, "SubnetOwner", netuid),
        "block": subnets.current_block(state),
        "last_step": _get(state, "LastMechansimStepBlock", netuid),
        "blocks_since_last_step": _get(state, "BlocksSinceLastStep", netuid),
        "alpha_in": _get(state, "SubnetAlphaIn", netuid),
        "alpha_out": _get(state, "SubnetAlphaOut", netuid),
        "tao_in": _get(state, "SubnetTAO", netuid),
        "moving_price": {"bits": 1 << 32},
        "max_uids": _get(state, "MaxAllowedUids", netuid),
        "burn": _get(state, "Burn", netuid),
        "pow_registration_allowed": False,
    }


def hyperparams(state: State, netuid: int) -> Value:
    """`Option<SubnetHyperparamsV2>`, which has every field of the first version too."""
    if not subnets.exists(state, netuid):
        return None
    tempo = int(_get(state, "Tempo", netuid))
    low, high = _get(state, "AlphaValues", netuid)
    named = {
        "rho": "Rho",
        "kappa": "Kappa",
        "immunity_period": "ImmunityPeriod",
        "min_allowed_weights": "MinAllowedWeights",
        "max_weights_limit": "MaxWeightsLimit",
        "min_difficulty": "MinDifficulty",
        "max_difficulty": "MaxDifficulty",
        "weights_version": "WeightsVersionKey",
        "weights_rate_limit": "WeightsSetRateLimit",
        "adjustment_interval": "AdjustmentInterval",
        "registration_allowed": "NetworkRegistrationAllowed",
        "target_regs_per_interval": "TargetRegistrationsPerInterval",
        "min_burn": "MinBurn",
        "max_burn": "MaxBurn",
        "bonds_moving_avg": "BondsMovingAverage",
        "max_regs_per_block": "MaxRegistrationsPerBlock",
        "serving_rate_limit": "ServingRateLimit",
        "max_validators": "MaxAllowedValidators",
        "adjustment_alpha": "AdjustmentAlpha",
        "difficulty": "Difficulty",
        "commit_reveal_period": "RevealPeriodEpochs",
        "commit_reveal_weights_enabled": "CommitRevealWeightsEnabled",
        "liquid_alpha_enabled": "LiquidAlphaOn",
        "subnet_is_active": "SubtokenEnabled",
        "transfers_enabled": "TransferToggle",
        "bonds_reset_enabled": "BondsResetOn",
    }
    factor = int(_get(state, "ActivityCutoffFactorMilli", netuid))
    return {
        **{field: _get(state, item, netuid) for field, item in named.items()},
        "tempo": tempo,
        "activity_cutoff": tempo * factor // 1000,
        "alpha_low": low,
        "alpha_high": high,
        "alpha_sigmoid_steepness": {"bits": int(_get(state, "AlphaSigmoidSteepness", netuid)) << 32},
        "yuma_version": 3 if _get(state, "Yuma3On", netuid) else 2,
        "user_liquidity_enabled": False,
    }


def hyperparams_v3(state: State, netuid: int) -> Value:
    """`Option<Vec<HyperparamEntry>>`: the same, each with its name and kind."""
    values = hyperparams(state, netuid)
    if values is None:
        return None
    return [
        {"name": name, "value": {"Bool" if isinstance(value, bool) else "U64": value}}
        for name, value in values.items()
        if isinstance(value, int)
    ]


def _neuron(state: State, netuid: int, uid: int, hotkey: str, coldkey: str, *, lite: bool) -> dict[str, Value]:
    permits = _get(state, "ValidatorPermit", netuid)
    scores = ("rank", "emission", "incentive", "consensus", "trust", "validator_trust", "dividends", "pruning_score")
    neuron = {
        "hotkey": hotkey,
        "coldkey": coldkey,
        "uid": uid,
        "netuid": netuid,
        "active": True,
        "axon_info": _get(state, "Axons", netuid, hotkey) or _NO_AXON,
        "prometheus_info": _get(state, "Prometheus", netuid, hotkey) or _NO_PROMETHEUS,
        "stake": [(coldkey, _get(state, "TotalHotkeyAlpha", hotkey, netuid))],
        "last_update": subnets.last_update(state, netuid, uid),
        "validator_permit": bool(uid < len(permits) and permits[uid]),
        **dict.fromkeys(scores, 0),
    }
    return neuron if lite else neuron | {"weights": _get(state, "Weights", netuid, uid), "bonds": []}


def _neurons(state: State, netuid: int, *, lite: bool) -> list[Value]:
    if not subnets.exists(state, netuid):
        return []
    return [_neuron(state, netuid, *row, lite=lite) for row in _columns(state, netuid)]


def _one_neuron(state: State, netuid: int, uid: int, *, lite: bool) -> Value:
    return next((neuron for neuron in _neurons(state, netuid, lite=lite) if neuron["uid"] == uid), None)


VIEWS: dict[str, Callable[..., Value]] = {
    "AccountNonceApi_account_nonce": lambda state, account: state.get("System", "Account", account)["nonce"],
    "Metadata_metadata_versions": lambda _state: [METADATA_VERSION],
    "Core_version": lambda state: state.runtime.core.constant("System", "Version"),
    "AuraApi_slot_duration": lambda state: state.runtime.core.constant("Aura", "SlotDuration"),
    "SubnetInfoRuntimeApi_get_metagraph": metagraph,
    "SubnetInfoRuntimeApi_get_mechagraph": metagraph,
    "SubnetInfoRuntimeApi_get_subnet_hyperparams": hyperparams,
    "SubnetInfoRuntimeApi_get_subnet_hyperparams_v2": hyperparams,
    "SubnetInfoRuntimeApi_get_subnet_hyperparams_v3": hyperparams_v3,
    "SubnetInfoRuntimeApi_get_next_epoch_start_block": subnets.next_epoch,
    "NeuronInfoRuntimeApi_get_neurons": lambda state, netuid: _neurons(state, netuid, lite=False),
    "NeuronInfoRuntimeApi_get_neurons_lite": lambda state, netuid: _neurons(state, netuid, lite=True),
    "NeuronInfoRuntimeApi_get_neuron": lambda state, netuid, uid: _one_neuron(state, netuid, uid, lite=False),
    "NeuronInfoRuntimeApi_get_neuron_lite": lambda state, netuid, uid: _one_neuron(state, netuid, uid, lite=True),
}
"""The runtime calls that are answered from the state alone, by their name in `state_call`."""


def payment_info(state: State) -> bytes:
    """`RuntimeDispatchInfo` of any call: those of a hotkey are free on this chain."""
    return bytes(state.runtime.core.encode(state.runtime.api_types["TransactionPaymentApi_query_info"][1], _FREE_CALL))
