"""Faults on demand: what `devnet_fault` takes, and which requests a standing fault meets.

`devnet_fault` takes one JSON object with `kind` and that kind's fields; what is returned is the fault's number, by
which `devnet_heal` ends it (without a number: ends all). Requests whose method begins with `devnet_` are never met,
so a test can always undo what it did.

Faults of the wire. All take `methods` (shell patterns, default `["*"]`), `times` (how many requests are met, default
without end) and `skip` (how many pass first, default 0):

- `slow`: the request is handled `milliseconds` later.
- `close`: the connection is cut instead of handling it.
- `mute`: the request is neither handled nor answered.
- `lose_answer`: the request is handled, then the connection is cut instead of answering: a submission that may have
  arrived.
- `refuse`: answered with the JSON-RPC error `code`, `message`, `data` (default 1010, Invalid Transaction, Transaction
  is outdated).
- `swallow`: for submissions: accepted and answered, then dropped from the pool without a word.
- `half_open`: takes no fields; every connection stays open and is silent, subscriptions too. Pings are still answered;
  for a peer that answers not even those, stop the process (SIGSTOP).

Lies, told until healed:

- `lie_genesis`: `hash` is given as the hash of block 0.
- `lie_nonce`: `account_nextIndex` answers `value`, or the truth plus `offset`.
- `lie_metadata`: calls `swap` (two names) of `pallet` (default SubtensorModule) have exchanged their indices in the
  metadata that is served; the chain itself keeps to the true one. Instead of calls, two `pallets` may have exchanged
  theirs, which the metadata digest does not cover.
- `lie_version`: `spec_version`, `transaction_version` in the runtime version.
- `lie_storage`: item `item` of `pallet` (default SubtensorModule) under `keys` reads as `value` (null: absent).
- `lie_head`: every block number is given as `offset` more (negative: less, not below 0).

States of the chain, until healed:

- `no_mining`: the timer makes no blocks (`devnet_seal` still does).
- `no_finality`: blocks are made, none becomes final.

Deeds, done once (they have no number and are answered with null):

- `reorg`: `depth` blocks are taken back and `depth` + 1 made in their place (`reseal` false: none). Their extrinsics
  (`extrinsics`) go to the pool so that the new blocks take them (`return`, the default), or only later blocks do
  (`hold`), or are forgotten (`drop`).
- `drop_extrinsic`: the extrinsic `hash`, or all without it, leaves the pool with `status` `dropped` (default),
  `invalid`, `usurped` or `silent`.
- `upgrade`: the next block sets code of `spec_version` (default: one more), with `swap` as in `lie_metadata`, if given.
"""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

WIRE_KINDS = frozenset({"slow", "close", "mute", "lose_answer", "refuse", "swallow", "half_open"})
LIES = frozenset({"lie_genesis", "lie_nonce", "lie_metadata", "lie_version", "lie_storage", "lie_head"})
STATES = frozenset({"no_mining", "no_finality"})
DEEDS = frozenset({"reorg", "drop_extrinsic", "upgrade"})
MAX_FAULTS = 256

_WIRE_FIELDS = frozenset({"methods", "times", "skip"})
_FIELDS: dict[str, frozenset[str]] = {
    "slow": _WIRE_FIELDS | {"milliseconds"},
    "close": _WIRE_FIELDS,
    "mute": _WIRE_FIELDS,
    "lose_answer": _WIRE_FIELDS,
    "refuse": _WIRE_FIELDS | {"code", "message", "data"},
    "swallow": _WIRE_FIELDS,
    "half_open": frozenset(),
    "lie_genesis": frozenset({"hash"}),
    "lie_nonce": frozenset({"value", "offset"}),
    "lie_metadata": frozenset({"pallet", "swap", "pallets"}),
    "lie_version": frozenset({"spec_version", "transaction_version"}),
    "lie_storage": frozenset({"pallet", "item", "keys", "value"}),
    "lie_head": frozenset({"offset"}),
    "no_mining": frozenset(),
    "no_finality": frozenset(),
    "reorg": frozenset({"depth", "reseal", "extrinsics"}),
    "drop_extrinsic": frozenset({"hash", "status"}),
    "upgrade": frozenset({"spec_version", "pallet", "swap"}),
}

Fields = dict[str, Any]
"""The fields of one fault, as they came in its JSON object."""


class FaultError(ValueError):
    """A fault that cannot be: of an unknown kind, with an unknown field, or one too many."""


@dataclass(slots=True)
class Fault:
    """One standing fault; `skip` and `times` count down as requests are met."""

    number: int
    kind: str
    fields: Fields
    methods: tuple[str, ...] = ("*",)
    skip: int = 0
    times: int | None = None

    def meets(self, method: str) -> bool:
        """Whether this request is one of those, not counting it."""
        return any(fnmatchcase(method, pattern) for pattern in self.methods)

    def number_of(self, field: str, default: int) -> int:
        """A field that `add` has found to be a number, or the default."""
        return int(self.fields.get(field, default))


def parse(order: Any) -> tuple[str, Fields]:
    """The kind and the fields of a `devnet_fault` order. Raises: FaultError."""
    if not isinstance(order, dict) or not isinstance(order.get("kind"), str):
        raise FaultError("expected an object with a kind")
    kind = order["kind"]
    if kind not in _FIELDS:
        raise FaultError(f"expected a kind of {', '.join(sorted(_FIELDS))}, found {kind[:40]!r}")
    fields = {name: value for name, value in order.items() if name != "kind"}
    unknown = sorted(set(fields) - _FIELDS[kind])
    if unknown:
        raise FaultError(f"expected fields {sorted(_FIELDS[kind])} for {kind}, found {unknown[0][:40]!r}")
    return kind, fields


class Faults:
    """The faults that stand now."""

    def __init__(self) -> None:
        self._standing: dict[int, Fault] = {}
        self._last = 0

    def add(self, kind: str, fields: Fields) -> Fault:
        """Let a fault stand. Raises: FaultError when there are too many, or a counter is not a number."""
        if len(self._standing) >= MAX_FAULTS:
            raise FaultError(f"expected at most {MAX_FAULTS} faults, heal some first")
        methods = fields.get("methods", ["*"])
        if not isinstance(methods, list) or not all(isinstance(pattern, str) for pattern in methods):
            raise FaultError(f"expected a list of patterns as methods, found {str(methods)[:40]!r}")
        skip, times = fields.get("skip", 0), fields.get("times")
        if not isinstance(skip, int) or not (times is None or isinstance(times, int)):
            raise FaultError("expected numbers as skip and times")
        for name in ("milliseconds", "code", "offset", "value", "spec_version", "transaction_version"):
            if kind != "lie_storage" and not isinstance(fields.get(name, 0), int):
                raise FaultError(f"expected a number as {name}, found {str(fields[name])[:40]!r}")
        self._last += 1
        fault = Fault(self._last, kind, fields, tuple(methods), skip, times)
        self._standing[fault.number] = fault
        return fault

    def heal(self, number: int | None) -> int:
        """End one fault, or all; what is returned is how many ended."""
        numbers = list(self._standing) if number is None else [n for n in (number,) if n in self._standing]
        for n in numbers:
            del self._standing[n]
        return len(numbers)

    def standing(self) -> list[Fault]:
        """The faults that have not ended, oldest first."""
        return list(self._standing.values())

    def find(self, kind: str) -> Fault | None:
        """The newest standing fault of a kind."""
        return next((fault for fault in reversed(self._standing.values()) if fault.kind == kind), None)

    def all(self, kind: str) -> list[Fault]:
        """Every standing fault of a kind, oldest first."""
        return [fault for fault in self._standing.values() if fault.kind == kind]

    def strike(self, method: str) -> dict[str, Fault]:
        """The faults of the wire that meet this request, by kind; it is counted against them."""
        if method.startswith("devnet_"):
            return {}
        met: dict[str, Fault] = {}
        for fault in list(self._standing.values()):
            if fault.kind not in WIRE_KINDS or not fault.meets(method):
                continue
            if fault.skip:
                fault.skip -= 1
                continue
            if fault.times is not None:
                fault.times -= 1
                if fault.times <= 0:
                    del self._standing[fault.number]
            met[fault.kind] = fault
        return met
