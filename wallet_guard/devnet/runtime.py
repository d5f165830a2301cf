"""One runtime of the emulated chain: its metadata as served, and typed access to storage through it.

SCALE, storage keys and the metadata digest are `bittensor_core`'s; this module adds the few things a node knows and a
client library does not: default values of absent items, the digest of what is really served, the version record.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any, NamedTuple

from bittensor_core import Runtime as Core
from bittensor_core import metadata_digest

from wallet_guard.devnet.metadata import SPEC_NAME

TRANSACTION_VERSION = 1

Value = Any
"""A decoded SCALE value: int, str, bool, None, list, tuple or dict, as the metadata says."""


class Item(NamedTuple):
    """What is needed to read and write one storage item."""

    value_type: str
    default: bytes | None


class Runtime:
    """The codec of one spec version: storage keys, values, calls and events of the metadata it was made from."""

    def __init__(self, metadata: bytes, spec_version: int) -> None:
        self.metadata = metadata
        self.spec_version = spec_version
        self.core = Core(metadata, spec_version, TRANSACTION_VERSION)
        self._items: dict[tuple[str, str], Item] = {}

    @cached_property
    def digest(self) -> bytes:
        """The RFC-0078 digest that `CheckMetadataHash` compares with: 32 bytes, of the metadata of this runtime."""
        return bytes(metadata_digest(self.metadata, self.spec_version, SPEC_NAME))

    @cached_property
    def api_types(self) -> dict[str, tuple[list[str], str]]:
        """Per runtime call, as named in `state_call` (`Api_method`): the types of its arguments and of its result."""
        return {
            f"{api}_{method}": ([kind for _, kind in signature["inputs"]], signature["output"])
            for api, methods in self.core.runtime_api_map().items()
            for method, signature in methods.items()
        }

    def item(self, pallet: str, name: str) -> Item:
        """The item's value type and default; raises KeyError when this runtime has no such item."""
        found = self._items.get((pallet, name))
        if found is None:
            entry = self.core.storage_entry(pallet, name)
            default = bytes(entry.default_bytes) if entry.modifier == "Default" else None
            found = self._items[(pallet, name)] = Item(entry.value_type, default)
        return found

    def key(self, pallet: str, name: str, *keys: Value) -> bytes:
        """The full storage key of an item, or the prefix of a map for which not all keys are given."""
        return bytes(self.core.storage_key(pallet, name, list(keys)))

    def encode_value(self, pallet: str, name: str, value: Value) -> bytes:
        """`value` as the bytes stored for this item."""
        return bytes(self.core.encode(self.item(pallet, name).value_type, value))

    def decode_value(self, pallet: str, name: str, raw: bytes | None) -> Value:
        """The value of an item from its stored bytes; the item's default, or None, when there are none."""
        item = self.item(pallet, name)
        if raw is None:
            raw = item.default
        return None if raw is None else self.core.decode(item.value_type, raw)

    def module_error(self, pallet: str, name: str) -> dict[str, Value]:
        """The dispatch error `{"Module": …}` for an error of a pallet; raises KeyError when there is none."""
        return {"Module": {"index": self._errors[pallet][0], "error": [self._errors[pallet][1][name], 0, 0, 0]}}

    @cached_property
    def _errors(self) -> dict[str, tuple[int, dict[str, int]]]:
        return {
            pallet["name"]: (pallet["index"], {error["name"]: error["index"] for error in pallet["errors"]})
            for pallet in self.core.metadata_ir()["pallets"]
        }

    def version(self) -> dict[str, Value]:
        """The answer to `state_getRuntimeVersion`."""
        record = self.core.constant("System", "Version")
        return {
            "specName": record["spec_name"],
            "implName": record["impl_name"],
            "authoringVersion": record["authoring_version"],
            "specVersion": self.spec_version,
            "implVersion": record["impl_version"],
            "apis": [list(api) for api in record["apis"]],
            "transactionVersion": TRANSACTION_VERSION,
            "systemVersion": record["system_version"],
            "stateVersion": record["system_version"],
        }


class State:
    """Typed reads and writes over a base that maps storage keys to bytes.

    Writes stay in `changes` (None marks a removal) until whoever made the state applies them, so a failed call costs
    nothing.
    """

    def __init__(self, runtime: Runtime, base: Callable[[bytes], bytes | None]) -> None:
        self.runtime = runtime
        self.changes: dict[bytes, bytes | None] = {}
        self._base = base

    def raw(self, key: bytes) -> bytes | None:
        """The stored bytes of a full storage key, or None."""
        return self.changes[key] if key in self.changes else self._base(key)

    def get(self, pallet: str, name: str, *keys: Value) -> Value:
        """The decoded value of an item, its default when absent (None for an optional one)."""
        return self.runtime.decode_value(pallet, name, self.raw(self.runtime.key(pallet, name, *keys)))

    def has(self, pallet: str, name: str, *keys: Value) -> bool:
        """Whether the item is stored at all."""
        return self.raw(self.runtime.key(pallet, name, *keys)) is not None

    def put(self, pallet: str, name: str, *keys: Value, value: Value) -> None:
        """Store a value, encoded as the metadata says; raises ValueError when it does not fit the type."""
        self.changes[self.runtime.key(pallet, name, *keys)] = self.runtime.encode_value(pallet, name, value)

    def remove(self, pallet: str, name: str, *keys: Value) -> None:
        """Remove the item."""
        self.changes[self.runtime.key(pallet, name, *keys)] = None

    def fork(self) -> State:
        """A state on top of this one, to be merged or forgotten."""
        return State(self.runtime, self.raw)

    def merge(self, child: State) -> None:
        """Take over what a fork has written."""
        self.changes.update(child.changes)
