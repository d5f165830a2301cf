"""The state at block 0: which subnets there are, who is registered on them, and with what stake.

| netuid | commit-reveal | mechanisms | weights rate limit | serving rate limit |
|--------|---------------|------------|--------------------|--------------------|
| 1      | off           | 1          | 0                  | 0                  |
| 2      | off           | 1          | 0                  | 0                  |
| 3      | on            | 1          | 0                  | 0                  |
| 4      | off           | 2          | 0                  | 0                  |
| 5      | off           | 1          | 100                | 50                 |
| 6      | on            | 2          | 0                  | 0                  |

On every subnet uids 0 to 5 are the well-known keys //Alice (owner of the subnets), //Bob, //Charlie, //Dave, //Eve and
//Ferdie, then come the validators given on the command line in their order, then miners without a known key up to uid
15. //Alice, //Bob and the given validators hold stake and a permit; the others hold neither.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import NamedTuple

from bittensor_core import Keypair, ss58_encode

from wallet_guard.devnet.block import digest
from wallet_guard.devnet.runtime import Runtime, State
from wallet_guard.devnet.subnets import PALLET, storage_index

RAO = 10**9
UIDS = 16
STAKE_THRESHOLD_RAO = 1_000 * RAO
DEFAULT_STAKE = 10_000
TEMPO_BLOCKS = 360
MAX_VALIDATORS = 128
DEV_ACCOUNTS = ("//Alice", "//Bob", "//Charlie", "//Dave", "//Eve", "//Ferdie")
_STAKED_DEV_ACCOUNTS = 2
_ALICE_BALANCE_RAO = 1_000_000 * RAO


class Subnet(NamedTuple):
    """The settings that differ between the subnets of the genesis."""

    netuid: int
    name: str
    commit_reveal: bool = False
    mechanisms: int = 1
    weights_rate_limit: int = 0
    serving_rate_limit: int = 0


SUBNETS = (
    Subnet(1, "plain"),
    Subnet(2, "demo"),
    Subnet(3, "sealed", commit_reveal=True),
    Subnet(4, "pair", mechanisms=2),
    Subnet(5, "limited", weights_rate_limit=100, serving_rate_limit=50),
    Subnet(6, "sealed pair", commit_reveal=True, mechanisms=2),
)


class Validator(NamedTuple):
    """A hotkey that is registered on every subnet with a permit; `stake` in alpha."""

    hotkey: str
    stake: int = DEFAULT_STAKE


@dataclass(frozen=True, slots=True)
class Genesis:
    """What the chain starts from. `chain_id` is any text: another one gives another genesis hash."""

    validators: tuple[Validator, ...] = ()
    chain_id: str = "devnet"
    tempo: int = TEMPO_BLOCKS
    rate_limits: tuple[tuple[int, int], ...] = ()
    """Pairs (netuid, blocks) that replace the weights rate limit of the table."""


class Neuron(NamedTuple):
    """One registered uid of the genesis."""

    hotkey: str
    coldkey: str
    stake_rao: int


def _made_up(name: str) -> str:
    """The address of an account whose private key nobody has."""
    return str(ss58_encode(blake2b(name.encode(), digest_size=32).digest(), 42))


def _neurons(validators: Sequence[Validator]) -> list[Neuron]:
    neurons = [
        Neuron(
            Keypair.create_from_uri(uri).ss58_address,
            Keypair.create_from_uri(uri + "//stash").ss58_address,
            DEFAULT_STAKE * RAO if uid < _STAKED_DEV_ACCOUNTS else 0,
        )
        for uid, uri in enumerate(DEV_ACCOUNTS)
    ]
    known = {neuron.hotkey for neuron in neurons}
    for validator in validators:
        if validator.hotkey in known:
            continue
        known.add(validator.hotkey)
        coldkey = _made_up("coldkey of " + validator.hotkey)
        neurons.append(Neuron(validator.hotkey, coldkey, validator.stake * RAO))
    return neurons + [made_up_neuron(f"miner {number}") for number in range(len(neurons), UIDS)]


def build(runtime: Runtime, genesis: Genesis) -> dict[bytes, bytes]:
    """Every storage item of block 0.

    Raises: ValueError when a validator's address is not one.
    """
    state = State(runtime, lambda _key: None)
    neurons = _neurons(genesis.validators)
    limits = dict(genesis.rate_limits)
    state.put("System", "Number", value=0)
    state.put(
        "System", "LastRuntimeUpgrade", value={"spec_version": runtime.spec_version, "spec_name": "node-subtensor"}
    )
    state.put(PALLET, "TotalNetworks", value=len(SUBNETS))
    state.put(PALLET, "StakeThreshold", value=STAKE_THRESHOLD_RAO)
    state.put(PALLET, "NetworksAdded", 0, value=True)
    state.put(PALLET, "TokenSymbol", 0, value="\N{GREEK CAPITAL LETTER TAU}".encode())
    for subnet in SUBNETS:
        limit = limits.get(subnet.netuid, subnet.weights_rate_limit)
        _put_subnet(state, subnet._replace(weights_rate_limit=limit), neurons, genesis.tempo)
    for neuron in neurons:
        state.put(PALLET, "Owner", neuron.hotkey, value=neuron.coldkey)
        _put_account(state, neuron.hotkey, 0)
    _put_account(state, neurons[0].hotkey, _ALICE_BALANCE_RAO)
    changes = {key: value for key, value in state.changes.items() if value is not None}
    # Both only have to enter the state root, so that another runtime or another id makes another chain: clients keep
    # metadata by genesis hash and spec version.
    changes[b":code"] = digest(runtime.metadata)
    changes[b":devnet-chain-id"] = genesis.chain_id.encode()
    return changes


def _put_account(state: State, address: str, free: int) -> None:
    data = {"free": free, "reserved": 0, "frozen": 0, "flags": 1 << 127}
    account = {"nonce": 0, "consumers": 0, "providers": 1, "sufficients": 0, "data": data}
    state.put("System", "Account", address, value=account)


def _put_subnet(state: State, subnet: Subnet, neurons: Sequence[Neuron], tempo: int) -> None:
    netuid, count = subnet.netuid, len(neurons)
    scalars = {
        "NetworksAdded": True,
        "NetworkRegistrationAllowed": True,
        "SubtokenEnabled": True,
        "SubnetMechanism": 1,
        "SubnetworkN": count,
        "MaxAllowedUids": 256,
        "MaxAllowedValidators": MAX_VALIDATORS,
        "Tempo": tempo,
        "LastEpochBlock": 0,
        "BlocksSinceLastStep": 0,
        "MinAllowedWeights": 1,
        "MaxWeightsLimit": 0xFFFF,
        "WeightsSetRateLimit": subnet.weights_rate_limit,
        "ServingRateLimit": subnet.serving_rate_limit,
        "CommitRevealWeightsEnabled": subnet.commit_reveal,
        "RevealPeriodEpochs": 1,
        "MechanismCountCurrent": subnet.mechanisms,
        "SubnetOwner": neurons[0].coldkey,
        "SubnetOwnerHotkey": neurons[0].hotkey,
        "FirstEmissionBlockNumber": 1,
        "TokenSymbol": chr(ord("\N{GREEK SMALL LETTER ALPHA}") + netuid - 1).encode(),
        "SubnetTAO": 1_000 * RAO,
        "SubnetAlphaIn": 1_000 * RAO,
        "SubnetAlphaOut": sum(neuron.stake_rao for neuron in neurons),
        "ValidatorPermit": [neuron.stake_rao > 0 for neuron in neurons],
        "Active": [True] * count,
        "Emission": [0] * count,
        "Consensus": [0] * count,
        "Dividends": [0] * count,
        "ValidatorTrust": [0] * count,
    }
    for name, value in scalars.items():
        state.put(PALLET, name, netuid, value=value)
    texts = ("github_repo", "subnet_contact", "subnet_url", "discord", "description", "logo_url", "additional")
    identity = {"subnet_name": subnet.name} | dict.fromkeys(texts, "")
    state.put(PALLET, "SubnetIdentitiesV3", netuid, value=identity)
    for mechid in range(subnet.mechanisms):
        index = storage_index(netuid, mechid)
        state.put(PALLET, "LastUpdate", index, value=[0] * count)
        state.put(PALLET, "Incentive", index, value=[0] * count)
    for uid, neuron in enumerate(neurons):
        put_neuron(state, netuid, uid, neuron)


def put_neuron(state: State, netuid: int, uid: int, neuron: Neuron) -> None:
    """Register a neuron under a uid; the subnet's vectors must be long enough already."""
    state.put(PALLET, "Keys", netuid, uid, value=neuron.hotkey)
    state.put(PALLET, "Uids", netuid, neuron.hotkey, value=uid)
    state.put(PALLET, "IsNetworkMember", neuron.hotkey, netuid, value=True)
    state.put(PALLET, "BlockAtRegistration", netuid, uid, value=0)
    state.put(PALLET, "TotalHotkeyAlpha", neuron.hotkey, netuid, value=neuron.stake_rao)


def made_up_neuron(name: str) -> Neuron:
    """A miner without stake whose keys nobody has."""
    return Neuron(_made_up(name), _made_up("coldkey of " + name), 0)


def grow(state: State, netuid: int, count: int) -> None:
    """Make room for `count` uids on a subnet that may have fewer."""
    size = int(state.get(PALLET, "SubnetworkN", netuid))
    if size >= count:
        return
    now = int(state.get("System", "Number"))
    state.put(PALLET, "SubnetworkN", netuid, value=count)
    for name in ("ValidatorPermit", "Active"):
        state.put(PALLET, name, netuid, value=[*state.get(PALLET, name, netuid), *([False] * (count - size))])
    for mechid in range(int(state.get(PALLET, "MechanismCountCurrent", netuid))):
        index = storage_index(netuid, mechid)
        state.put(
            PALLET, "LastUpdate", index, value=[*state.get(PALLET, "LastUpdate", index), *([now] * (count - size))]
        )


def replace_neuron(state: State, netuid: int, uid: int, neuron: Neuron, *, permit: bool) -> None:
    """Give a uid to a neuron, taking it from whoever has it; nothing of the old one's weights or endpoints remains."""
    old = state.get(PALLET, "Keys", netuid, uid) if state.has(PALLET, "Keys", netuid, uid) else None
    if old is not None and old != neuron.hotkey:
        for name in ("Uids", "Axons", "Prometheus", "NeuronCertificates"):
            state.remove(PALLET, name, netuid, old)
        state.remove(PALLET, "IsNetworkMember", old, netuid)
        for mechid in range(int(state.get(PALLET, "MechanismCountCurrent", netuid))):
            state.remove(PALLET, "Weights", storage_index(netuid, mechid), uid)
    put_neuron(state, netuid, uid, neuron)
    state.put(PALLET, "Owner", neuron.hotkey, value=neuron.coldkey)
    state.put(PALLET, "BlockAtRegistration", netuid, uid, value=state.get("System", "Number"))
    permits = list(state.get(PALLET, "ValidatorPermit", netuid))
    permits[uid] = permit
    state.put(PALLET, "ValidatorPermit", netuid, value=permits)
