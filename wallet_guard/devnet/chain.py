"""The chain: it checks extrinsics, makes blocks, lets them become final, and can take back those that are not.

Theory of operation. Blocks are made by `seal`, one after another, by whoever holds the clock. A block first does what
the runtime does on its own (epoch schedule, changes asked for through `devnet_set` and `devnet_reveal`, timestamp),
then takes from the pool what is valid, in order. A block is final once `finality_lag` blocks stand on it; `retract`
takes back any that are not, and their extrinsics return to the pool. What must stay in step: `blocks` holds the
canonical chain only: block 0, and without gaps those from the oldest kept to the best; `history` has exactly the states
of the latter.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from wallet_guard.devnet import block, calls, guards, refusals, subnets
from wallet_guard.devnet.block import Block
from wallet_guard.devnet.calls import Event
from wallet_guard.devnet.extrinsic import Signed, decode, signed_payload, verifies
from wallet_guard.devnet.history import History
from wallet_guard.devnet.metadata import compact
from wallet_guard.devnet.pool import Pending, Pool
from wallet_guard.devnet.refusals import RpcError
from wallet_guard.devnet.runtime import Runtime, State, Value
from wallet_guard.devnet.subnets import CallError

KEPT_BLOCKS = 4096
"""How many blocks answer for their state: more than any era is long, about 10 MB."""

MAX_RECORDS = 65536
"""How many accepted extrinsics are remembered for `devnet_extrinsics`; the oldest are forgotten first."""

MAX_STALE_BLOCKS = 256
"""How many blocks that were taken back still answer for their header and body, as a node's do for a while."""

_BLOCK_HASH_COUNT = 2400
_NEVER = 1 << 64
_DISPATCH_INFO = {"weight": {"ref_time": 1_000_000, "proof_size": 0}, "class": "Normal", "pays_fee": "No"}

Status = str | dict[str, Value]
"""A pool status as `author_extrinsicUpdate` carries it: `"ready"`, `{"inBlock": hash}` …"""

Patch = Callable[[State], list[Event]]
"""A change to the state that no extrinsic makes, and the events it causes."""


@dataclass(slots=True)
class Record:
    """One extrinsic that the pool has taken, and what became of it."""

    signed: Signed
    submissions: int = 1
    state: str = "pool"
    block_number: int | None = None
    block_hash: str | None = None
    error: str | None = None


class Chain:
    """The canonical chain, its pool, and the outcome of every extrinsic."""

    def __init__(
        self,
        runtime: Runtime,
        items: Mapping[bytes, bytes],
        *,
        slot_milliseconds: int,
        finality_lag: int,
        kept_blocks: int = KEPT_BLOCKS,
    ) -> None:
        self.slot_milliseconds = slot_milliseconds
        self.finality_lag = finality_lag
        self.kept_blocks = kept_blocks
        self.finality_paused = False
        self.pool = Pool()
        self.history = History()
        self.records: dict[str, Record] = {}
        self.on_block: Callable[[Block], None] = lambda _block: None
        self.on_finalized: Callable[[Block], None] = lambda _block: None
        self.on_status: Callable[[str, Status], None] = lambda _hash, _status: None
        genesis = block.make(None, block.changes_root(block.ZERO_HASH, items), (), (), 0, runtime)
        self.history.commit(0, items)
        self.blocks: dict[int, Block] = {0: genesis}
        self._numbers: dict[str, int] = {genesis.hash: 0}
        self._stale: dict[str, Block] = {}
        self._oldest_state = 0
        self.best = genesis
        self.genesis = genesis
        self.finalized = genesis
        self._upgrade: Runtime | None = None
        self._forks = 0

    # -- reading ----------------------------------------------------------------------------------------------------

    def number_of(self, block_hash: str) -> int | None:
        """The number of a block of the canonical chain; None for any other hash."""
        return self._numbers.get(block_hash)

    def block_of(self, block_hash: str) -> Block | None:
        """A block by its hash, also one that was taken back not long ago."""
        number = self._numbers.get(block_hash)
        return self._stale.get(block_hash) if number is None else self.blocks[number]

    def state_at(self, number: int) -> State:
        """The state after a block. Raises: RpcError when it is no longer kept."""
        if number < self._oldest_state:
            raise refusals.state_discarded(self.blocks[number].hash if number in self.blocks else str(number))
        # A block's state is written by its parent's code.
        runtime = self.blocks[max(number - 1, 0)].runtime
        return State(runtime, lambda key: self.history.get(key, number))

    def nonce(self, signer: str) -> int:
        """The account's next nonce, by the best block's state."""
        return int(self._best_state().get("System", "Account", signer)["nonce"])

    def next_nonce(self, signer: str) -> int:
        """The account's next nonce, counting what is ready in the pool (`account_nextIndex`)."""
        return self.pool.next_nonce(signer, self.nonce)

    def _best_state(self) -> State:
        return State(self.best.runtime, lambda key: self.history.get(key, self.best.number))

    # -- taking extrinsics ------------------------------------------------------------------------------------------

    def submit(self, raw: bytes) -> Signed:
        """Take an extrinsic into the pool, after every check that a node makes there.

        Raises: RpcError as the node would give it.
        """
        signed = decode(self.best.runtime, raw)
        record = self.records.get(signed.hash)
        if record is not None:
            record.submissions += 1
        if signed.hash in self.pool:
            raise refusals.already_imported(signed.hash)
        state = self._next_state()
        self.validate(state, signed)
        self._add(state, signed)
        self._remember(signed)
        self._announce(signed)
        return signed

    def _add(self, state: State, signed: Signed) -> None:
        """Put a valid extrinsic into the pool. Raises: RpcError."""
        tag = guards.pool_tag(state, signed.pallet, signed.function, signed.signer, signed.arguments)
        current = subnets.current_block(state)
        last_block = signed.era.death(current) - 1 if signed.era is not None else _NEVER
        self.pool.add(Pending(signed, tag, last_block, state.runtime.spec_version))

    def _remember(self, signed: Signed) -> None:
        record = self.records.setdefault(signed.hash, Record(signed))
        record.state = "pool"
        record.block_number = record.block_hash = record.error = None
        while len(self.records) > MAX_RECORDS:
            del self.records[next(iter(self.records))]

    def _announce(self, signed: Signed) -> None:
        ready = self.pool.is_ready(signed, self.nonce)
        self.on_status(signed.hash, "ready" if ready else "future")
        if not ready:
            return
        # What waited for this nonce is ready now, too.
        nonce = signed.nonce + 1
        while (follower := self.pool.at(signed.signer, nonce)) is not None:
            self.on_status(follower.signed.hash, "ready")
            nonce += 1

    def _next_state(self) -> State:
        """The state in which the next block begins: the pool checks in it, as `validate_transaction` does."""
        state = self._best_state()
        state.put("System", "Number", value=self.best.number + 1)
        return state

    def validate(self, state: State, signed: Signed) -> None:
        """Nothing when the extrinsic may stand in the block whose number `state` carries, or (its nonce) a later one.

        The order is that of the node: era, signature, nonce, fee, then the pallets' own checks.

        Raises: RpcError as a node's pool would give it.
        """
        current = subnets.current_block(state)
        birth = signed.era.birth(current) if signed.era is not None else 0
        birth_block = self.blocks.get(birth)
        known = birth == 0 or current - _BLOCK_HASH_COUNT <= birth < current
        if birth_block is None or not known:
            raise refusals.invalid_transaction("AncientBirthBlock")
        genesis_hash = bytes.fromhex(self.genesis.hash[2:])
        payload = signed_payload(signed, state.runtime, genesis_hash, bytes.fromhex(birth_block.hash[2:]))
        if not verifies(signed, payload):
            raise refusals.invalid_transaction("BadProof")
        self._check_standing(state, signed)

    def _check_standing(self, state: State, signed: Signed) -> None:
        """What can change while an extrinsic waits, besides its era and the code: nonce, means, the pallets' checks."""
        account = state.get("System", "Account", signed.signer)
        if signed.nonce < account["nonce"]:
            raise refusals.invalid_transaction("Stale")
        if signed.tip > account["data"]["free"]:
            raise refusals.invalid_transaction("Payment")
        try:
            guards.check(state, signed.pallet, signed.function, signed.signer, signed.arguments)
        except CallError as error:
            raise refusals.custom_error(error.name) from None

    def drop(self, extrinsic_hash: str, status: Status | None) -> bool:
        """Throw an extrinsic out of the pool, telling watchers `status`; False when it was not there."""
        if self.pool.remove(extrinsic_hash) is None:
            return False
        self._settle(extrinsic_hash, "dropped", status)
        return True

    def _settle(self, extrinsic_hash: str, state: str, status: Status | None) -> None:
        if extrinsic_hash in self.records:
            self.records[extrinsic_hash].state = state
        if status is not None:
            self.on_status(extrinsic_hash, status)

    # -- making blocks ----------------------------------------------------------------------------------------------

    def upgrade(self, runtime: Runtime) -> None:
        """Let the next block set new code: it governs the block after that one, as on a real chain."""
        self._upgrade = runtime

    def seal(self, now_milliseconds: int, patch: Patch | None = None, *, take_pool: bool = True) -> Block:
        """Make the next block, at the given wall clock time or one slot after its parent, whichever is later."""
        parent = self.best
        number = parent.number + 1
        timestamp = max(now_milliseconds, parent.timestamp + self.slot_milliseconds)
        state = self._open(number, parent)
        events = _at("Initialization", [{subnets.PALLET: event} for event in subnets.run_epochs(state)])
        if patch is not None:
            events += _at("Initialization", patch(state))
        state.put("Timestamp", "Now", value=timestamp)
        events += _at({"ApplyExtrinsic": 0}, [_success("Mandatory")])
        included = self._execute(state, events) if take_pool else []
        runtime = self._set_code(state, events) if self._upgrade is not None else parent.runtime
        state.put("System", "Events", value=events)
        state.put("System", "EventCount", value=len(events))
        inherent = _timestamp_inherent(state.runtime, timestamp)
        logs = [block.pre_runtime_log(timestamp // self.slot_milliseconds)]
        if self._forks:
            logs.append(block.other_log(self._forks.to_bytes(4, "little")))
        root = block.changes_root(parent.state_root, state.changes)
        raw = [inherent, *(signed.raw for signed, _ in included)]
        made = block.make(parent, root, logs, raw, timestamp, runtime)
        self.history.commit(number, state.changes)
        self._append(made, included)
        return made

    def _open(self, number: int, parent: Block) -> State:
        state = State(parent.runtime, lambda key: self.history.get(key, parent.number))
        state.put("System", "Number", value=number)
        state.put("System", "ParentHash", value=parent.hash)
        state.put("System", "BlockHash", parent.number, value=parent.hash)
        if number - _BLOCK_HASH_COUNT > 1:  # the hash of block 0 is never forgotten
            state.remove("System", "BlockHash", number - _BLOCK_HASH_COUNT - 1)
        return state

    def _set_code(self, state: State, events: list[dict[str, Value]]) -> Runtime:
        assert self._upgrade is not None, "asked for only when there is one"
        runtime, self._upgrade = self._upgrade, None
        version = {"spec_version": runtime.spec_version, "spec_name": "node-subtensor"}
        state.put("System", "LastRuntimeUpgrade", value=version)
        events += _at("Finalization", [{"System": {"CodeUpdated": None}}])
        return runtime

    def _execute(self, state: State, events: list[dict[str, Value]]) -> list[tuple[Signed, str | None]]:
        included: list[tuple[Signed, str | None]] = []
        for pending in self.pool.ready(self.nonce):
            signed = pending.signed
            try:
                self.validate(state, signed)
            except RpcError:
                self.pool.remove(signed.hash)
                self._settle(signed.hash, "invalid", "invalid")
                continue
            account = state.get("System", "Account", signed.signer)
            if signed.nonce != account["nonce"]:
                continue  # an earlier one of the same signer has just been thrown out
            state.put("System", "Account", signed.signer, value=account | {"nonce": signed.nonce + 1})
            phase = {"ApplyExtrinsic": len(included) + 1}
            fork = state.fork()
            try:
                caused = calls.dispatch(fork, signed.pallet, signed.function, signed.signer, signed.arguments)
            except CallError as error:
                events += _at(phase, [_failure(state.runtime, error)])
                included.append((signed, str(error)))
            else:
                state.merge(fork)
                events += _at(phase, [*caused, _success("Normal")])
                included.append((signed, None))
        return included

    def _append(self, made: Block, included: list[tuple[Signed, str | None]]) -> None:
        self.blocks[made.number] = made
        self._numbers[made.hash] = made.number
        self.best = made
        for signed, error in included:
            self.pool.remove(signed.hash)
            record = self.records.get(signed.hash)
            if record is not None:
                record.block_number, record.block_hash, record.error = made.number, made.hash, error
            self._settle(signed.hash, "in_block", None)
        self.on_block(made)
        for signed, _ in included:
            self.on_status(signed.hash, {"inBlock": made.hash})
        self._evict()
        self._finalize()
        self._forget()

    def _evict(self) -> None:
        """Throw out what the new block has made invalid: eras that have ended, nonces that are used."""
        if not len(self.pool):
            return
        state = self._next_state()
        for pending in self.pool:
            signed = pending.signed
            # The signature is not looked at again: it can only have become wrong by new code or the end of its era.
            if pending.spec_version == state.runtime.spec_version and self.best.number < pending.last_block:
                try:
                    self._check_standing(state, signed)
                except RpcError:
                    pass
                else:
                    continue
            self.pool.remove(signed.hash)
            self._settle(signed.hash, "invalid", "invalid")

    def _finalize(self) -> None:
        if self.finality_paused:
            return
        while self.finalized.number < self.best.number - self.finality_lag:
            self.finalized = self.blocks[self.finalized.number + 1]
            for record in self._included_in(self.finalized):
                self._settle(record.signed.hash, "finalized", {"finalized": self.finalized.hash})
            self.on_finalized(self.finalized)

    def _included_in(self, made: Block) -> list[Record]:
        if len(made.extrinsics) == 1:
            return []
        return [record for record in self.records.values() if record.block_hash == made.hash]

    def _forget(self) -> None:
        oldest = self.best.number - self.kept_blocks
        if oldest <= self._oldest_state:
            return
        self._oldest_state = oldest
        self.history.forget(oldest)
        # The block before the oldest state stays, as its code reads that state; block 0 always does.
        if oldest - 2 > 0:
            del self._numbers[self.blocks.pop(oldest - 2).hash]

    # -- taking blocks back -----------------------------------------------------------------------------------------

    def retract(self, depth: int, *, keep_extrinsics: bool = True) -> list[Block]:
        """Take back the newest `depth` blocks, as a reorganisation does: those blocks, newest first.

        Their extrinsics return to the pool, or are forgotten when `keep_extrinsics` is false.

        Raises: ValueError when fewer blocks than that are not final.
        """
        if not 0 < depth <= self.best.number - self.finalized.number:
            unfinished = self.best.number - self.finalized.number
            raise ValueError(f"expected a depth of 1 to {unfinished} (blocks that are not final), found {depth}")
        retracted = [self.blocks.pop(self.best.number - offset) for offset in range(depth)]
        returning = [record for made in retracted for record in self._included_in(made)]
        for made in retracted:
            del self._numbers[made.hash]
            self._stale[made.hash] = made
        while len(self._stale) > MAX_STALE_BLOCKS:
            del self._stale[next(iter(self._stale))]
        self.best = self.blocks[retracted[-1].number - 1]
        self.history.revert(self.best.number)
        self._forks += 1
        for record in sorted(returning, key=lambda record: record.signed.nonce):
            self.on_status(record.signed.hash, {"retracted": record.block_hash})
            self._take_back(record, keep=keep_extrinsics)
        return retracted

    def _take_back(self, record: Record, *, keep: bool) -> None:
        signed = record.signed
        if not keep:
            record.block_number = record.block_hash = record.error = None
            self._settle(signed.hash, "dropped", "dropped")
            return
        try:
            state = self._next_state()
            self.validate(state, signed)
            self._add(state, signed)
        except RpcError:
            self._settle(signed.hash, "invalid", "invalid")
        else:
            self._remember(signed)
            self._announce(signed)


def _at(phase: Value, events: list[Event]) -> list[dict[str, Value]]:
    """Events as `System.Events` keeps them."""
    return [{"phase": phase, "event": event, "topics": []} for event in events]


def _success(kind: str) -> Event:
    return {"System": {"ExtrinsicSuccess": {"dispatch_info": _DISPATCH_INFO | {"class": kind}}}}


def _failure(runtime: Runtime, error: CallError) -> Event:
    dispatch_error = runtime.module_error(error.pallet, error.name)
    return {"System": {"ExtrinsicFailed": {"dispatch_error": dispatch_error, "dispatch_info": _DISPATCH_INFO}}}


def _timestamp_inherent(runtime: Runtime, timestamp: int) -> bytes:
    call = bytes(runtime.core.compose_call("Timestamp", "set", {"now": timestamp}))
    return compact(len(call) + 1) + b"\x04" + call
