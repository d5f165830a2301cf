"""The `devnet_*` methods, by which a test holds the chain: time, state, registrations, faults, and what happened.

| method | parameters | result |
|---|---|---|
| `devnet_info` | | heads, block time, genesis, spec version, subnets with their uids |
| `devnet_seal` | count (default 1, at most 1000) | the hashes of the blocks made |
| `devnet_set` | object or list of `{pallet (SubtensorModule), item, keys, value}`; null removes | the block it is in |
| `devnet_register` | `{netuid, hotkey, coldkey, stake, permit}` | the uid |
| `devnet_deregister` | `{netuid, hotkey}` | the uid, which a made-up miner has now |
| `devnet_reveal` | `{netuid, mechid (0), hotkey, uids, values, version_key (0)}` | block, error (null when set) |
| `devnet_commits` | netuid, mechid (0) | pending timelocked commits with their epoch |
| `devnet_weights` | netuid, mechid (0) | rows `{uid: [[target, value], …]}` |
| `devnet_extrinsics` | | every accepted extrinsic: signer, nonce, call, block, outcome, submissions |
| `devnet_fault` | see `faults` | the fault's number, null for a deed |
| `devnet_heal` | number (default all) | how many ended |
| `devnet_faults` | | what stands |

`devnet_set`, `devnet_register`, `devnet_deregister` and `devnet_reveal` make a block at once, in which the change
stands. A reveal takes the plaintext on trust: without drand nobody can open the ciphertext, so it is only taken off
the queue.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from wallet_guard.devnet import calls, faults, genesis, subnets
from wallet_guard.devnet.calls import Event
from wallet_guard.devnet.chain import Chain, Record
from wallet_guard.devnet.faults import DEEDS, FaultError, Faults, Fields
from wallet_guard.devnet.genesis import RAO, Neuron
from wallet_guard.devnet.metadata import with_spec_version
from wallet_guard.devnet.node import forged
from wallet_guard.devnet.refusals import invalid_params
from wallet_guard.devnet.rpc import Handler, Json, Session
from wallet_guard.devnet.runtime import Runtime, State
from wallet_guard.devnet.subnets import PALLET, CallError

MAX_SEALED_AT_ONCE = 1000

_DROP_STATUSES = {"dropped": "dropped", "invalid": "invalid", "usurped": {"usurped": "0x" + "00" * 32}, "silent": None}


def _object(params: list[Json], *names: str) -> Fields:
    """The one object among the parameters, having all of `names`."""
    given = params[0] if params else None
    if not isinstance(given, dict):
        raise invalid_params("expected one object")
    missing = [name for name in names if name not in given]
    if missing:
        raise invalid_params(f"expected {missing[0]!r} in the object")
    return given


def _checked(handler: Handler) -> Handler:
    """`handler`, whose complaints about values that the codec or Python cannot use become answers.

    Orders are as free as storage itself, so the codec is the judge of them; nothing has been written by then.
    """

    def checked(session: Session, params: list[Json]) -> Json:
        try:
            return handler(session, params)
        except (ValueError, KeyError, TypeError, OverflowError) as error:
            raise invalid_params(f"{type(error).__name__}: {str(error)[:160]}") from None

    return checked


class Control:
    """The table of the `devnet_*` methods. `clock` gives the wall time in milliseconds."""

    def __init__(self, chain: Chain, standing: Faults, clock: Callable[[], int]) -> None:
        self.chain = chain
        self.faults = standing
        self.clock = clock

    def methods(self) -> dict[str, Handler]:
        """Every method by name."""
        table: dict[str, Handler] = {
            "devnet_info": self.info,
            "devnet_seal": self.seal,
            "devnet_set": self.set,
            "devnet_register": self.register,
            "devnet_deregister": self.deregister,
            "devnet_reveal": self.reveal,
            "devnet_commits": self.commits,
            "devnet_weights": self.weights,
            "devnet_extrinsics": self.extrinsics,
            "devnet_fault": self.fault,
            "devnet_heal": self.heal,
            "devnet_faults": self.list_faults,
        }
        return {name: _checked(handler) for name, handler in table.items()}

    # -- looking ----------------------------------------------------------------------------------------------------

    def _state(self) -> State:
        return self.chain.state_at(self.chain.best.number)

    def info(self, _session: Session, _params: list[Json]) -> Json:
        """Heads, block time, genesis, subnets with their uids."""
        state, chain = self._state(), self.chain
        return {
            "genesis": chain.genesis.hash,
            "best": {"number": chain.best.number, "hash": chain.best.hash},
            "finalized": {"number": chain.finalized.number, "hash": chain.finalized.hash},
            "block_milliseconds": chain.slot_milliseconds,
            "finality_lag": chain.finality_lag,
            "spec_version": chain.best.runtime.spec_version,
            "metadata_digest": "0x" + chain.best.runtime.digest.hex(),
            "pool": len(chain.pool),
            "subnets": {netuid: self._subnet(state, netuid) for netuid in subnets.netuids(state)[1:]},
        }

    @staticmethod
    def _subnet(state: State, netuid: int) -> Json:
        return {
            "commit_reveal": subnets.commit_reveal(state, netuid),
            "mechanisms": state.get(PALLET, "MechanismCountCurrent", netuid),
            "weights_rate_limit": state.get(PALLET, "WeightsSetRateLimit", netuid),
            "tempo": state.get(PALLET, "Tempo", netuid),
            "hotkeys": [state.get(PALLET, "Keys", netuid, uid) for uid in range(subnets.size(state, netuid))],
        }

    def commits(self, _session: Session, params: list[Json]) -> Json:
        """Pending timelocked commits of a mechanism."""
        index = self._index(params)
        found = []
        for key in self._keys("TimelockedWeightCommits", index):
            epoch = int.from_bytes(key[-8:], "little")
            for hotkey, block, commit, reveal_round in self._state().get(
                PALLET, "TimelockedWeightCommits", index, epoch
            ):
                entry = {"epoch": epoch, "hotkey": hotkey, "block": block, "commit": commit}
                found.append(entry | {"reveal_round": reveal_round})
        return found

    def weights(self, _session: Session, params: list[Json]) -> Json:
        """The weight rows of a mechanism, by uid."""
        index, state = self._index(params), self._state()
        uids = [int.from_bytes(key[-2:], "little") for key in self._keys("Weights", index)]
        return {uid: state.get(PALLET, "Weights", index, uid) for uid in uids}

    def _keys(self, item: str, index: int) -> list[bytes]:
        prefix = self.chain.best.runtime.key(PALLET, item, index)
        return self.chain.history.keys(prefix, self.chain.best.number, None, 4096)

    @staticmethod
    def _index(params: list[Json]) -> int:
        if not params or not all(isinstance(value, int) for value in params):
            raise invalid_params("expected a netuid and, if not 0, a mechanism")
        return subnets.storage_index(params[0], params[1] if len(params) > 1 else 0)

    def extrinsics(self, _session: Session, _params: list[Json]) -> Json:
        """Every extrinsic that the pool ever took, oldest first."""
        return [_record(record) for record in self.chain.records.values()]

    # -- changing ---------------------------------------------------------------------------------------------------

    def _seal(self, patch: Callable[[State], list[Event]]) -> Json:
        # Tried first on a state that is thrown away: what does not fit must not leave half a block behind.
        patch(self._state().fork())
        made = self.chain.seal(self.clock(), patch)
        return {"number": made.number, "hash": made.hash}

    def seal(self, _session: Session, params: list[Json]) -> Json:
        """Make blocks now."""
        count = params[0] if params else 1
        if not isinstance(count, int) or not 0 < count <= MAX_SEALED_AT_ONCE:
            raise invalid_params(f"expected 1 to {MAX_SEALED_AT_ONCE} blocks, found {str(count)[:20]!r}")
        return [self.chain.seal(self.clock()).hash for _ in range(count)]

    def set(self, _session: Session, params: list[Json]) -> Json:
        """Set storage items."""
        orders = params[0] if params and isinstance(params[0], list) else params
        checked = [_object([order], "item", "value") for order in orders]

        def patch(state: State) -> list[Event]:
            for order in checked:
                pallet, keys = order.get("pallet", PALLET), order.get("keys", [])
                if order["value"] is None:
                    state.remove(pallet, order["item"], *keys)
                else:
                    state.put(pallet, order["item"], *keys, value=order["value"])
            return []

        return self._seal(patch)

    def register(self, _session: Session, params: list[Json]) -> Json:
        """Register a hotkey under the next free uid, or give a registered one another stake and permit."""
        order = _object(params, "netuid", "hotkey")
        netuid, hotkey = order["netuid"], str(order["hotkey"])
        known = subnets.uid_of(self._state(), netuid, hotkey)
        uid = subnets.size(self._state(), netuid) if known is None else known
        neuron = Neuron(hotkey, str(order.get("coldkey", hotkey)), int(order.get("stake", 0)) * RAO)

        def patch(state: State) -> list[Event]:
            genesis.grow(state, netuid, uid + 1)
            genesis.replace_neuron(state, netuid, uid, neuron, permit=bool(order.get("permit", False)))
            return [{PALLET: {"NeuronRegistered": (netuid, uid, hotkey)}}]

        self._seal(patch)
        return uid

    def deregister(self, _session: Session, params: list[Json]) -> Json:
        """Give a hotkey's uid to a made-up miner, as a registration that replaces it does."""
        order = _object(params, "netuid", "hotkey")
        netuid, hotkey = order["netuid"], order["hotkey"]
        uid = subnets.uid_of(self._state(), netuid, hotkey)
        if uid is None:
            raise invalid_params(f"expected a hotkey that is registered on {netuid}, found {str(hotkey)[:60]!r}")
        heir = genesis.made_up_neuron(f"heir of {hotkey} at {self.chain.best.number}")

        def patch(state: State) -> list[Event]:
            genesis.replace_neuron(state, netuid, uid, heir, permit=False)
            return [{PALLET: {"NeuronRegistered": (netuid, uid, heir.hotkey)}}]

        self._seal(patch)
        return uid

    def reveal(self, _session: Session, params: list[Json]) -> Json:
        """Take a pending commit off its queue and set the weights that it is said to hold."""
        order = _object(params, "netuid", "hotkey", "uids", "values")
        netuid, mechid, hotkey = order["netuid"], order.get("mechid", 0), order["hotkey"]
        pending = [commit for commit in self.commits(_session, [netuid, mechid]) if commit["hotkey"] == hotkey]
        if not pending:
            raise invalid_params(f"expected a pending commit of {str(hotkey)[:60]!r}, found none")
        index, epoch = subnets.storage_index(netuid, mechid), pending[0]["epoch"]
        weights = {"dests": order["uids"], "weights": order["values"], "version_key": order.get("version_key", 0)}
        arguments = {"netuid": netuid, "mecid": mechid} | weights
        outcome: dict[str, str | None] = {}

        def patch(state: State) -> list[Event]:
            commits = list(state.get(PALLET, "TimelockedWeightCommits", index, epoch))
            position = next((at for at, commit in enumerate(commits) if commit[0] == hotkey), None)
            if position is None:
                outcome["error"] = "the commit has expired"
                return []
            del commits[position]
            state.put(PALLET, "TimelockedWeightCommits", index, epoch, value=commits)
            fork = state.fork()
            try:
                events = calls.apply_weights(fork, hotkey, arguments)
            except CallError as error:
                # As on the real chain: a commit whose weights are refused is gone, without an event.
                outcome["error"] = str(error)
                return []
            state.merge(fork)
            outcome["error"] = None
            return [*events, {PALLET: {"TimelockedWeightsRevealed": (index, hotkey)}}]

        return self._seal(patch) | outcome

    # -- faults -----------------------------------------------------------------------------------------------------

    def fault(self, _session: Session, params: list[Json]) -> Json:
        """Let a fault stand, or do a deed."""
        try:
            kind, fields = faults.parse(params[0] if params else None)
            if kind in DEEDS:
                {"reorg": self._reorg, "drop_extrinsic": self._drop_extrinsic, "upgrade": self._upgrade}[kind](fields)
                return None
            self._check_lie(kind, fields)
            number = self.faults.add(kind, fields).number
        except FaultError as error:
            raise invalid_params(str(error)) from None
        self.chain.finality_paused = self.faults.find("no_finality") is not None
        return number

    def _check_lie(self, kind: str, fields: Fields) -> None:
        if kind == "lie_metadata":
            forged(self.chain.best.runtime.metadata, fields)
        if kind == "lie_storage":
            pallet, item, value = fields.get("pallet", PALLET), fields.get("item"), fields.get("value")
            runtime = self.chain.best.runtime
            try:
                runtime.key(pallet, str(item), *fields.get("keys", []))
                if value is not None:
                    runtime.encode_value(pallet, str(item), value)
            except (KeyError, TypeError, OverflowError) as error:
                raise FaultError(f"no such item or value: {str(error)[:120]}") from None

    def heal(self, _session: Session, params: list[Json]) -> Json:
        """End one fault, or all."""
        healed = self.faults.heal(params[0] if params else None)
        self.chain.finality_paused = self.faults.find("no_finality") is not None
        return healed

    def list_faults(self, _session: Session, _params: list[Json]) -> Json:
        """The faults that stand."""
        return [
            {"number": f.number, "kind": f.kind, "fields": f.fields, "left": f.times} for f in self.faults.standing()
        ]

    def _reorg(self, fields: Fields) -> None:
        depth, fate = fields.get("depth", 1), fields.get("extrinsics", "return")
        if fate not in ("return", "hold", "drop"):
            raise FaultError(f"expected extrinsics to return, hold or drop, found {str(fate)[:20]!r}")
        if not isinstance(depth, int):
            raise FaultError("expected a number as depth")
        self.chain.retract(depth, keep_extrinsics=fate != "drop")
        if fields.get("reseal", True):
            for _ in range(depth + 1):
                self.chain.seal(self.clock(), take_pool=fate != "hold")

    def _drop_extrinsic(self, fields: Fields) -> None:
        status = fields.get("status", "dropped")
        if status not in _DROP_STATUSES:
            raise FaultError(f"expected a status of {', '.join(_DROP_STATUSES)}, found {str(status)[:20]!r}")
        wanted: Any = fields.get("hash")
        hashes = [pending.signed.hash for pending in self.chain.pool] if wanted is None else [str(wanted)]
        for extrinsic_hash in hashes:
            if not self.chain.drop(extrinsic_hash, _DROP_STATUSES[status]):
                raise FaultError(f"expected an extrinsic of the pool, found {extrinsic_hash[:80]!r}")

    def _upgrade(self, fields: Fields) -> None:
        current = self.chain.best.runtime
        spec_version = fields.get("spec_version", current.spec_version + 1)
        if not isinstance(spec_version, int) or not 0 < spec_version < 1 << 32:
            raise FaultError(f"expected a spec version below 2**32, found {str(spec_version)[:20]!r}")
        metadata = with_spec_version(current.metadata, spec_version)
        if "swap" in fields:
            metadata = forged(metadata, fields)
        self.chain.upgrade(Runtime(metadata, spec_version))


def _record(record: Record) -> Json:
    signed = record.signed
    return {
        "hash": signed.hash,
        "signer": signed.signer,
        "nonce": signed.nonce,
        "call": signed.name,
        "arguments": signed.arguments,
        "metadata_hash": signed.metadata_hash,
        "era_period": signed.era.period if signed.era is not None else None,
        "submissions": record.submissions,
        "state": record.state,
        "block_number": record.block_number,
        "block_hash": record.block_hash,
        "error": record.error,
    }
