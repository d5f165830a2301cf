"""The calls that the emulator executes: what a hotkey does on a real chain, rule by rule in the pallet's own order.

Every function here gets a fork of the state, writes to it and returns the events; on a `CallError` the caller forgets
the fork. A call that is not in `CALLS` is included and fails with `System.CallFiltered`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import blake2b

from wallet_guard.devnet import guards, subnets
from wallet_guard.devnet.runtime import State, Value
from wallet_guard.devnet.subnets import PALLET, CallError, ensure

Arguments = dict[str, Value]
Event = dict[str, Value]
"""One event as the codec takes it: `{pallet: {event: fields}}`."""

_U16_MAX = 0xFFFF
_MIN_COMMITMENT_SPACE = 100
_MAX_COMMITMENT_FIELDS = 3


def _subtensor(name: str, *fields: Value) -> Event:
    return {PALLET: {name: fields[0] if len(fields) == 1 else fields}}


def upscaled(values: Sequence[int]) -> list[int]:
    """`values` scaled so that the greatest is 65535, rounded as the pallet does (`vec_u16_max_upscale_to_u16`)."""
    top = max(values, default=0)
    if top in (0, _U16_MAX):
        return list(values)
    return [(value * _U16_MAX + top // 2) // top for value in values]


def within_weight_limit(values: Sequence[int], limit: int) -> bool:
    """Whether no weight is more than `limit` / 65535 of the sum (`check_vec_max_limited`)."""
    total = sum(values)
    return total == 0 or max(values) * _U16_MAX <= limit * total


def apply_weights(state: State, hotkey: str, arguments: Arguments) -> list[Event]:
    """Set plain weights: `internal_set_weights`. Commit-reveal is not looked at, as reveals come this way too."""
    netuid, mechid = arguments["netuid"], arguments.get("mecid", 0)
    uids, values = list(arguments["dests"]), list(arguments["weights"])
    ensure(netuid != subnets.ROOT, "CanNotSetRootNetworkWeights")
    ensure(len(uids) == len(values), "WeightVecNotEqualSize")
    subnets.ensure_mechanism_exists(state, netuid, mechid)
    count = subnets.size(state, netuid)
    ensure(len(uids) <= count, "UidsLengthExceedUidsInSubNet")
    uid = subnets.uid_of(state, netuid, hotkey)
    if uid is None:
        raise CallError("HotKeyNotRegisteredInSubNet")
    ensure(subnets.has_stake_for_weights(state, netuid, hotkey), "NotEnoughStakeToSetWeights")
    required = state.get(PALLET, "WeightsVersionKey", netuid)
    ensure(required == 0 or arguments["version_key"] >= required, "IncorrectWeightVersionKey")
    plain = not subnets.commit_reveal(state, netuid)
    if plain:
        ensure(subnets.weights_rate_allows(state, netuid, mechid, uid), "SettingWeightsTooFast")
    self_weight = uids == [uid]
    ensure(self_weight or _may_weigh_others(state, netuid, uid, hotkey), "NeuronNoValidatorPermit")
    ensure(len(set(uids)) == len(uids), "DuplicateUids")
    ensure(all(target < count for target in uids), "UidVecContainInvalidOne")
    minimum = min(count, state.get(PALLET, "MinAllowedWeights", netuid))
    ensure(self_weight or len(values) >= minimum, "WeightVecLengthIsLow")
    scaled = upscaled(values)
    limit = state.get(PALLET, "MaxWeightsLimit", netuid)
    ensure(self_weight or limit == _U16_MAX or within_weight_limit(scaled, limit), "MaxWeightExceeded")
    index = subnets.storage_index(netuid, mechid)
    state.put(PALLET, "Weights", index, uid, value=list(zip(uids, scaled, strict=True)))
    if plain:
        subnets.touch(state, index, uid)
    return [_subtensor("WeightsSet", index, uid)]


def _may_weigh_others(state: State, netuid: int, uid: int, hotkey: str) -> bool:
    permits = state.get(PALLET, "ValidatorPermit", netuid)
    return bool(uid < len(permits) and permits[uid]) or state.get(PALLET, "SubnetOwnerHotkey", netuid) == hotkey


def set_weights(state: State, hotkey: str, arguments: Arguments) -> list[Event]:
    """`set_weights` and `set_mechanism_weights`."""
    ensure(not subnets.commit_reveal(state, arguments["netuid"]), "CommitRevealEnabled")
    return apply_weights(state, hotkey, arguments)


def commit_timelocked(state: State, hotkey: str, arguments: Arguments) -> list[Event]:
    """`commit_timelocked_weights` and `commit_timelocked_mechanism_weights`: the ciphertext is kept, not opened."""
    netuid, mechid = arguments["netuid"], arguments.get("mecid", 0)
    subnets.ensure_mechanism_exists(state, netuid, mechid)
    ensure(subnets.commit_reveal(state, netuid), "CommitRevealDisabled")
    version = state.get(PALLET, "CommitRevealWeightsVersion")
    ensure(arguments["commit_reveal_version"] == version, "IncorrectCommitRevealVersion")
    uid = subnets.uid_of(state, netuid, hotkey)
    if uid is None:
        raise CallError("HotKeyNotRegisteredInSubNet")
    ensure(subnets.weights_rate_allows(state, netuid, mechid, uid), "CommittingWeightsTooFast")
    index, epoch = subnets.storage_index(netuid, mechid), subnets.current_epoch(state, netuid)
    commits = list(state.get(PALLET, "TimelockedWeightCommits", index, epoch))
    unrevealed = sum(1 for committer, *_ in commits if committer == hotkey)
    ensure(unrevealed < subnets.MAX_UNREVEALED_COMMITS, "TooManyUnrevealedCommits")
    commit, reveal_round = arguments["commit"], arguments["reveal_round"]
    commits.append((hotkey, subnets.current_block(state), commit, reveal_round))
    state.put(PALLET, "TimelockedWeightCommits", index, epoch, value=commits)
    subnets.touch(state, index, uid)
    digest = "0x" + blake2b(_octets(commit), digest_size=32).hexdigest()
    return [_subtensor("TimelockedWeightsCommitted", hotkey, index, digest, reveal_round)]


def _octets(value: Value) -> bytes:
    """A decoded `Vec<u8>`, which the codec gives as text, as 0x-hex or as a list."""
    if isinstance(value, str):
        return bytes.fromhex(value[2:]) if value.startswith("0x") else value.encode()
    return bytes(value)


def serve_axon(state: State, hotkey: str, arguments: Arguments) -> list[Event]:
    """`serve_axon` and `serve_axon_tls`."""
    netuid = arguments["netuid"]
    ensure(subnets.exists(state, netuid), "SubnetNotExists")
    guards.check_serving(state, "serve_axon", hotkey, arguments)
    certificate = _octets(arguments["certificate"]) if "certificate" in arguments else b""
    # The first byte names the algorithm, the rest is the key; what does not fit is ignored, as the pallet does.
    if 2 <= len(certificate) <= 65:
        stored = {"public_key": list(certificate[1:]), "algorithm": certificate[0]}
        state.put(PALLET, "NeuronCertificates", netuid, hotkey, value=stored)
    names = ("version", "ip", "port", "ip_type", "protocol", "placeholder1", "placeholder2")
    axon = {"block": subnets.current_block(state)} | {name: arguments[name] for name in names}
    state.put(PALLET, "Axons", netuid, hotkey, value=axon)
    return [_subtensor("AxonServed", netuid, hotkey)]


def serve_prometheus(state: State, hotkey: str, arguments: Arguments) -> list[Event]:
    """`serve_prometheus`."""
    netuid = arguments["netuid"]
    ensure(subnets.exists(state, netuid), "SubnetNotExists")
    guards.check_serving(state, "serve_prometheus", hotkey, arguments)
    names = ("version", "ip", "port", "ip_type")
    record = {"block": subnets.current_block(state)} | {name: arguments[name] for name in names}
    state.put(PALLET, "Prometheus", netuid, hotkey, value=record)
    return [_subtensor("PrometheusServed", netuid, hotkey)]


def set_commitment(state: State, hotkey: str, arguments: Arguments) -> list[Event]:
    """`Commitments.set_commitment`; no deposit is taken, and timelocked fields are kept as ciphertext."""
    netuid, info = arguments["netuid"], arguments["info"]
    ensure(subnets.uid_of(state, netuid, hotkey) is not None, "AccountNotAllowedCommit", "Commitments")
    fields = list(info["fields"])
    ensure(len(fields) <= _MAX_COMMITMENT_FIELDS, "TooManyFieldsInCommitmentInfo", "Commitments")
    block, epoch = subnets.current_block(state), int(state.get(PALLET, "SubnetEpochIndex", netuid))
    usage = state.get("Commitments", "UsedSpaceOf", netuid, hotkey)
    used = usage["used_space"] if usage is not None and usage["last_epoch"] == epoch else 0
    used += max(sum(_field_size(field) for field in fields), _MIN_COMMITMENT_SPACE)
    ensure(used <= state.get("Commitments", "MaxSpace"), "SpaceLimitExceeded", "Commitments")
    state.put("Commitments", "UsedSpaceOf", netuid, hotkey, value={"last_epoch": epoch, "used_space": used})
    registration = {"deposit": 0, "block": block, "info": info}
    state.put("Commitments", "CommitmentOf", netuid, hotkey, value=registration)
    state.put("Commitments", "LastCommitment", netuid, hotkey, value=block)
    rounds = [field["TimelockEncrypted"]["reveal_round"] for field in fields if _is(field, "TimelockEncrypted")]
    if rounds:
        fields_of_event = {"netuid": netuid, "who": hotkey, "reveal_round": rounds[0]}
        return [{"Commitments": {"TimelockCommitment": fields_of_event}}]
    return [{"Commitments": {"Commitment": {"netuid": netuid, "who": hotkey}}}]


def _is(field: Value, name: str) -> bool:
    return isinstance(field, dict) and name in field


def _field_size(field: Value) -> int:
    if not isinstance(field, dict):
        return 0
    ((name, value),) = field.items()
    if name == "TimelockEncrypted":
        return len(_octets(value["encrypted"]))
    return 32 if value is None else len(_octets(value))


def remark(state: State, hotkey: str, arguments: Arguments) -> list[Event]:  # noqa: ARG001 - one shape for all calls
    """`System.remark`: nothing, which is what it is for."""
    return []


CALLS: dict[tuple[str, str], Callable[[State, str, Arguments], list[Event]]] = {
    (PALLET, "set_weights"): set_weights,
    (PALLET, "set_mechanism_weights"): set_weights,
    (PALLET, "commit_timelocked_weights"): commit_timelocked,
    (PALLET, "commit_timelocked_mechanism_weights"): commit_timelocked,
    (PALLET, "serve_axon"): serve_axon,
    (PALLET, "serve_axon_tls"): serve_axon,
    (PALLET, "serve_prometheus"): serve_prometheus,
    ("Commitments", "set_commitment"): set_commitment,
    ("System", "remark"): remark,
}
"""The calls that are executed, by pallet and function; the first argument is a fork that the caller merges or forgets.
"""


def dispatch(state: State, pallet: str, function: str, hotkey: str, arguments: Arguments) -> list[Event]:
    """The events of a call that succeeded. Raises: CallError when it is refused."""
    call = CALLS.get((pallet, function))
    if call is None:
        raise CallError("CallFiltered", "System")
    return call(state, hotkey, arguments)
