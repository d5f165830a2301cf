"""The RPC methods of a Substrate node that the Bittensor SDK and its users call, on the emulated chain.

Lies (see `faults`) are told here, and only here: the chain itself never knows of them.
"""

from __future__ import annotations

from typing import Any

from wallet_guard import __version__
from wallet_guard.devnet import refusals, views
from wallet_guard.devnet.block import Block, digest
from wallet_guard.devnet.chain import Chain, Status
from wallet_guard.devnet.extrinsic import decode, extrinsic_hash
from wallet_guard.devnet.faults import FaultError, Faults, Fields
from wallet_guard.devnet.metadata import MetadataError, with_calls_swapped, with_pallets_swapped
from wallet_guard.devnet.refusals import RpcError, invalid_params
from wallet_guard.devnet.rpc import Handler, Json, Session
from wallet_guard.devnet.runtime import State
from wallet_guard.devnet.subnets import PALLET

MAX_KEYS_PER_PAGE = 1000
"""A node's own ceiling for `state_getKeysPaged`."""

MAX_QUERIED_KEYS = 10_000

_LAST_STATUSES = frozenset({"finalized", "dropped", "invalid", "usurped"})
_HEADS = {
    "NewHeads": "chain_newHead",
    "NewHead": "chain_newHead",
    "AllHeads": "chain_allHead",
    "FinalizedHeads": "chain_finalizedHead",
    "FinalisedHeads": "chain_finalizedHead",
}


def _at(params: list[Json], position: int) -> Any:
    return params[position] if position < len(params) else None


def _octets(value: Json) -> bytes:
    # As a node does, hex is taken with or without 0x: the SDK sends the arguments of `state_call` without.
    try:
        return bytes.fromhex(value.removeprefix("0x"))
    except (AttributeError, ValueError):
        raise invalid_params(f"expected hex, found {str(value)[:40]!r}") from None


def _hex(value: bytes | None) -> str | None:
    return None if value is None else "0x" + value.hex()


class Node:
    """The table of a node's methods, and its subscriptions, for one chain."""

    def __init__(self, chain: Chain, faults: Faults) -> None:
        self.chain = chain
        self.faults = faults
        self._heads: dict[tuple[Session, str], bool] = {}
        self._versions: set[tuple[Session, str]] = set()
        self._watches: dict[str, list[tuple[Session, str]]] = {}
        chain.on_block = self._block_made
        chain.on_finalized = self._block_finalized
        chain.on_status = self._status_changed

    def forget(self, session: Session) -> None:
        """End the subscriptions of a connection that is gone."""
        session.subscriptions.clear()
        self._heads = {key: final for key, final in self._heads.items() if key[0] is not session}
        self._versions = {key for key in self._versions if key[0] is not session}
        for watched, watchers in list(self._watches.items()):
            kept = [watcher for watcher in watchers if watcher[0] is not session]
            if kept:
                self._watches[watched] = kept
            else:
                del self._watches[watched]

    # -- notifications ----------------------------------------------------------------------------------------------

    def _block_made(self, made: Block) -> None:
        for (session, subscription), final in list(self._heads.items()):
            if not final:
                session.notify(subscription, self._header(made))
        parent = self.chain.blocks[made.number - 1]
        if parent.runtime is not made.runtime:
            for session, subscription in self._versions:
                session.notify(subscription, self._version(made))

    def _block_finalized(self, made: Block) -> None:
        for (session, subscription), final in list(self._heads.items()):
            if final:
                session.notify(subscription, self._header(made))

    def _status_changed(self, watched: str, status: Status) -> None:
        for session, subscription in self._watches.get(watched, ()):
            session.notify(subscription, status)
        if (status if isinstance(status, str) else next(iter(status))) in _LAST_STATUSES:
            for session, subscription in self._watches.pop(watched, ()):
                session.close(subscription)

    # -- blocks -----------------------------------------------------------------------------------------------------

    def _shift(self) -> int:
        lie = self.faults.find("lie_head")
        return lie.number_of("offset", 0) if lie is not None else 0

    def _header(self, made: Block) -> Json:
        return made.header() | {"number": hex(max(made.number + self._shift(), 0))}

    def _block(self, block_hash: Json) -> Block | None:
        """The block of a hash, the best one for null; None for a hash that is not known."""
        if block_hash is None:
            return self.chain.best
        return self.chain.block_of(str(block_hash)) or self._genesis_by_lie(block_hash)

    def _genesis_by_lie(self, block_hash: Json) -> Block | None:
        lie = self.faults.find("lie_genesis")
        return self.chain.genesis if lie is not None and lie.fields.get("hash") == block_hash else None

    def _state(self, block_hash: Json) -> State:
        return self._state_of(self._known(block_hash))

    def _known(self, block_hash: Json) -> Block:
        found = self._block(block_hash)
        if found is None:
            raise refusals.unknown_block(str(block_hash)[:80])
        return found

    def _state_of(self, made: Block) -> State:
        if self.chain.blocks.get(made.number) is not made:
            raise refusals.state_discarded(made.hash)
        return self.chain.state_at(made.number)

    def block_hash(self, _session: Session, params: list[Json]) -> Json:
        """`chain_getBlockHash`: of a number, of a list of numbers, or of the best block."""
        wanted = _at(params, 0)
        if wanted is None:
            return self.chain.best.hash
        if isinstance(wanted, list):
            return [self.block_hash(_session, [number]) for number in wanted]
        try:
            number = int(wanted, 16) if isinstance(wanted, str) else int(wanted)
        except (TypeError, ValueError):
            raise invalid_params(f"expected a block number, found {str(wanted)[:40]!r}") from None
        lie = self.faults.find("lie_genesis")
        if number == 0:
            return lie.fields.get("hash", "0x" + "11" * 32) if lie is not None else self.chain.genesis.hash
        found = self.chain.blocks.get(number - self._shift())
        return None if found is None else found.hash

    def header(self, _session: Session, params: list[Json]) -> Json:
        """`chain_getHeader`: null for a block that is not known."""
        found = self._block(_at(params, 0))
        return None if found is None else self._header(found)

    def block(self, _session: Session, params: list[Json]) -> Json:
        """`chain_getBlock`: null for a block that is not known."""
        found = self._block(_at(params, 0))
        if found is None:
            return None
        body = {"header": self._header(found), "extrinsics": [_hex(raw) for raw in found.extrinsics]}
        return {"block": body, "justifications": None}

    # -- state ------------------------------------------------------------------------------------------------------

    def _read(self, state: State, key: bytes) -> bytes | None:
        for lie in reversed(self.faults.all("lie_storage")):
            pallet, item = lie.fields.get("pallet", PALLET), lie.fields["item"]
            if state.runtime.key(pallet, item, *lie.fields.get("keys", [])) == key:
                value = lie.fields.get("value")
                return None if value is None else state.runtime.encode_value(pallet, item, value)
        return state.raw(key)

    def storage(self, _session: Session, params: list[Json]) -> Json:
        """`state_getStorage`."""
        return _hex(self._read(self._state(_at(params, 1)), _octets(_at(params, 0))))

    def storage_size(self, session: Session, params: list[Json]) -> Json:
        """`state_getStorageSize`."""
        found = self.storage(session, params)
        return None if found is None else len(found) // 2 - 1

    def storage_hash(self, session: Session, params: list[Json]) -> Json:
        """`state_getStorageHash`."""
        found = self.storage(session, params)
        return None if found is None else _hex(digest(_octets(found)))

    def keys_paged(self, _session: Session, params: list[Json]) -> Json:
        """`state_getKeysPaged`: prefix, count, start key, block."""
        prefix, count, start = _octets(_at(params, 0)), _at(params, 1), _at(params, 2)
        if not isinstance(count, int) or not 0 <= count <= MAX_KEYS_PER_PAGE:
            raise RpcError(4002, "count exceeds maximum value", f"value: {str(count)[:20]}, max: {MAX_KEYS_PER_PAGE}")
        found = self._known(_at(params, 3))
        self._state_of(found)
        after = None if start is None else _octets(start)
        return [_hex(key) for key in self.chain.history.keys(prefix, found.number, after, count)]

    def query_storage(self, _session: Session, params: list[Json]) -> Json:
        """`state_queryStorageAt`: the values of many keys at one block."""
        keys = _at(params, 0)
        if not isinstance(keys, list) or len(keys) > MAX_QUERIED_KEYS:
            raise invalid_params(f"expected a list of at most {MAX_QUERIED_KEYS} keys")
        found = self._known(_at(params, 1))
        state = self._state_of(found)
        return [{"block": found.hash, "changes": [[key, _hex(self._read(state, _octets(key)))] for key in keys]}]

    def _metadata(self, made: Block) -> bytes:
        metadata = made.runtime.metadata
        lie = self.faults.find("lie_metadata")
        return metadata if lie is None else forged(metadata, lie.fields)

    def metadata(self, _session: Session, params: list[Json]) -> Json:
        """`state_getMetadata`: the V15 blob, as no other was recorded (a node gives V14 here)."""
        found = self._known(_at(params, 0))
        return _hex(self._metadata(found))

    def _version(self, made: Block) -> Json:
        version = made.runtime.version()
        lie = self.faults.find("lie_version")
        if lie is not None:
            version["specVersion"] = lie.fields.get("spec_version", version["specVersion"])
            version["transactionVersion"] = lie.fields.get("transaction_version", version["transactionVersion"])
        return version

    def version(self, _session: Session, params: list[Json]) -> Json:
        """`state_getRuntimeVersion`: of the code in a block's state."""
        found = self._known(_at(params, 0))
        return self._version(found)

    def call(self, _session: Session, params: list[Json]) -> Json:
        """`state_call`: method, arguments, block."""
        method, raw = str(_at(params, 0)), _octets(_at(params, 1))
        found = self._known(_at(params, 2))
        if method == "Metadata_metadata_at_version":
            return _hex(views.metadata_at_version(self._metadata(found), int.from_bytes(raw[:4], "little")))
        if method == "Metadata_metadata":
            return _hex(views.opaque(self._metadata(found)))
        base = self._state_of(found)
        # A call runs the code in the block's state, not the code that made the block.
        state = State(found.runtime, lambda key: self._read(base, key))
        if method in ("TransactionPaymentApi_query_info", "TransactionPaymentCallApi_query_call_info"):
            return _hex(views.payment_info(state))
        return _hex(views.call(state, method, raw))

    # -- extrinsics -------------------------------------------------------------------------------------------------

    def next_index(self, _session: Session, params: list[Json]) -> Json:
        """`account_nextIndex`: the account's nonce, counting the pool."""
        try:
            truth = self.chain.next_nonce(str(_at(params, 0)))
        except ValueError:
            raise invalid_params(f"expected an ss58 address, found {str(_at(params, 0))[:60]!r}") from None
        lie = self.faults.find("lie_nonce")
        if lie is None:
            return truth
        return lie.fields.get("value", max(truth + lie.number_of("offset", 0), 0))

    def submit(self, _session: Session, params: list[Json]) -> Json:
        """`author_submitExtrinsic`: the hash of what the pool has taken."""
        return self.chain.submit(_octets(_at(params, 0))).hash

    def submit_and_watch(self, session: Session, params: list[Json]) -> Json:
        """`author_submitAndWatchExtrinsic`: a subscription to the extrinsic's way through pool and chain."""
        raw = _octets(_at(params, 0))
        watched = extrinsic_hash(raw)
        subscription = session.open("author_extrinsicUpdate")
        self._watches.setdefault(watched, []).append((session, subscription))
        try:
            self.chain.submit(raw)
        except RpcError:
            session.close(subscription)
            watchers = self._watches[watched]
            watchers.remove((session, subscription))
            if not watchers:
                del self._watches[watched]
            raise
        return subscription

    def pending(self, _session: Session, _params: list[Json]) -> Json:
        """`author_pendingExtrinsics`: the whole pool."""
        return [_hex(pending.signed.raw) for pending in self.chain.pool]

    def payment_info(self, _session: Session, params: list[Json]) -> Json:
        """`payment_queryInfo` of an extrinsic."""
        decode(self.chain.best.runtime, _octets(_at(params, 0)))
        weight = {"ref_time": 1_000_000, "proof_size": 0}
        return {"weight": weight, "class": "normal", "partialFee": "0"}

    # -- subscriptions ----------------------------------------------------------------------------------------------

    def _subscribe_heads(self, notification: str, *, final: bool) -> Handler:
        def subscribe(session: Session, _params: list[Json]) -> Json:
            subscription = session.open(notification)
            self._heads[(session, subscription)] = final
            session.notify(subscription, self._header(self.chain.finalized if final else self.chain.best))
            return subscription

        return subscribe

    def subscribe_version(self, session: Session, _params: list[Json]) -> Json:
        """`state_subscribeRuntimeVersion`: now, and after every upgrade."""
        subscription = session.open("state_runtimeVersion")
        self._versions.add((session, subscription))
        session.notify(subscription, self._version(self.chain.best))
        return subscription

    def unsubscribe(self, session: Session, params: list[Json]) -> Json:
        """Any `…_unsubscribe…` and `author_unwatchExtrinsic`: whether there was such a subscription."""
        subscription = str(_at(params, 0))
        self._heads.pop((session, subscription), None)
        self._versions.discard((session, subscription))
        for watchers in self._watches.values():
            if (session, subscription) in watchers:
                watchers.remove((session, subscription))
        return session.close(subscription)

    # -- the table --------------------------------------------------------------------------------------------------

    def methods(self) -> dict[str, Handler]:
        """Every method by name."""
        table: dict[str, Handler] = {
            "chain_getHead": lambda session, _: self.block_hash(session, []),
            "chain_getBlockHash": self.block_hash,
            "chain_getFinalizedHead": lambda _session, _params: self.chain.finalized.hash,
            "chain_getFinalisedHead": lambda _session, _params: self.chain.finalized.hash,
            "chain_getHeader": self.header,
            "chain_getBlock": self.block,
            "state_getStorage": self.storage,
            "state_getStorageAt": self.storage,
            "state_getStorageSize": self.storage_size,
            "state_getStorageHash": self.storage_hash,
            "state_getKeysPaged": self.keys_paged,
            "state_getKeysPagedAt": self.keys_paged,
            "state_queryStorageAt": self.query_storage,
            "state_getMetadata": self.metadata,
            "state_getRuntimeVersion": self.version,
            "chain_getRuntimeVersion": self.version,
            "state_call": self.call,
            "state_callAt": self.call,
            "state_subscribeRuntimeVersion": self.subscribe_version,
            "state_unsubscribeRuntimeVersion": self.unsubscribe,
            "account_nextIndex": self.next_index,
            "system_accountNextIndex": self.next_index,
            "author_submitExtrinsic": self.submit,
            "author_submitAndWatchExtrinsic": self.submit_and_watch,
            "author_unwatchExtrinsic": self.unsubscribe,
            "author_pendingExtrinsics": self.pending,
            "payment_queryInfo": self.payment_info,
        }
        for name, notification in _HEADS.items():
            final = notification == "chain_finalizedHead"
            table[f"chain_subscribe{name}"] = self._subscribe_heads(notification, final=final)
            table[f"chain_unsubscribe{name}"] = self.unsubscribe
        return table | {name: _constant(value) for name, value in self._constants().items()} | self._system()

    def _system(self) -> dict[str, Handler]:
        health = {"peers": 0, "isSyncing": False, "shouldHavePeers": False}

        def sync_state(_session: Session, _params: list[Json]) -> Json:
            best = max(self.chain.best.number + self._shift(), 0)
            return {"startingBlock": 0, "currentBlock": best, "highestBlock": best}

        return {"system_health": _constant(health), "system_syncState": sync_state}

    @staticmethod
    def _constants() -> dict[str, Json]:
        return {
            "system_chain": "Wallet Guard devnet",
            "system_name": "wallet-guard devnet",
            "system_version": __version__,
            "system_chainType": "Development",
            "system_properties": {"isEthereum": False, "ss58Format": 42, "tokenDecimals": 9, "tokenSymbol": "TAO"},
            "system_nodeRoles": ["Authority"],
            "system_peers": [],
            "system_localListenAddresses": [],
        }


def _constant(value: Json) -> Handler:
    return lambda _session, _params: value


def forged(metadata: bytes, fields: Fields) -> bytes:
    """`metadata` as a `lie_metadata` or `upgrade` with these fields has it. Raises: FaultError when that cannot be."""
    pairs = [fields[name] for name in ("swap", "pallets") if name in fields]
    if len(pairs) != 1 or not isinstance(pairs[0], list) or len(pairs[0]) != 2:
        raise FaultError("expected two names, either as swap or as pallets")
    first, second = (str(name) for name in pairs[0])
    try:
        if "pallets" in fields:
            return with_pallets_swapped(metadata, first, second)
        return with_calls_swapped(metadata, str(fields.get("pallet", PALLET)), first, second)
    except MetadataError as problem:
        raise FaultError(str(problem)) from None
