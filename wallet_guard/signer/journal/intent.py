"""An intent as a row: the wish, its fate, the exact bytes once signed; and what may become of it."""

import json
from dataclasses import dataclass, fields
from operator import attrgetter
from typing import Any

from wallet_guard.ipc.intents import FINAL_STATES, Failure, State
from wallet_guard.ipc.wishes import SetWeights

FOLLOWS: dict[State, frozenset[State]] = {
    State.ACCEPTED: frozenset({State.ACCEPTED, State.SIGNED, State.FAILED, State.EXPIRED}),
    # Back to accepted: to be signed anew, once its signature is dead by finality and by our own clock.
    State.SIGNED: frozenset(
        {State.SIGNED, State.SUBMITTED, State.IN_BLOCK, State.FINALIZED, State.ACCEPTED, State.FAILED, State.EXPIRED}
    ),
    State.SUBMITTED: frozenset(
        {State.SIGNED, State.SUBMITTED, State.IN_BLOCK, State.FINALIZED, State.ACCEPTED, State.FAILED, State.EXPIRED}
    ),
    # Back to submitted: the block was retracted.
    State.IN_BLOCK: frozenset({State.SUBMITTED, State.IN_BLOCK, State.FINALIZED, State.FAILED}),
    State.FINALIZED: frozenset({State.FINALIZED, State.EFFECTIVE, State.FAILED}),
    State.EFFECTIVE: frozenset(),
    State.FAILED: frozenset(),
    State.EXPIRED: frozenset(),
}
"""What may follow what; nothing else is ever written."""


@dataclass(slots=True)
class Intent:
    """One row: the wish, its fate, and the exact bytes once signed. Times are Unix milliseconds by our own clock."""

    id: str
    client: str
    wallet: str
    hotkey: str
    ss58_address: str
    netuid: int
    mechid: int
    request: str
    request_sha256: bytes
    idempotency_key: str | None
    queue: bool
    accepted_ms: int
    deadline_ms: int
    kind: str = SetWeights.kind
    """The wish's: ``set_weights``, ``serve_axon`` …"""
    state: State = State.ACCEPTED
    version: int = 1
    not_before_ms: int | None = None
    not_before_block: int | None = None
    attempt: int = 0
    """Signatures made so far."""
    nonce: int | None = None
    keep_nonce: bool = False
    """A further signature must use the same nonce: finality has not shown it consumed."""
    call: str | None = None
    weights: tuple[tuple[int, int], ...] | None = None
    uid: int | None = None
    rate_limit: int | None = None
    signed_ms: int | None = None
    dead_ms: int | None = None
    """When, by our own clock, the signature can no longer be taken: its era and a margin."""
    lost: bool = False
    """The chain process saw finality pass it by (superseded or outdated)."""
    extrinsic: bytes | None = None
    extrinsic_hash: str | None = None
    era_birth: int | None = None
    era_death: int | None = None
    reveal_round: int | None = None
    reveal_by_ms: int | None = None
    """When a timelocked commit that is not yet revealed becomes an alarm."""
    block_hash: str | None = None
    block_number: int | None = None
    failure: Failure | None = None
    generation: int = 1
    """The journal's when it was accepted (``signer.generation``)."""

    @property
    def final(self) -> bool:
        """Nothing more will happen to it."""
        return self.state in FINAL_STATES


_encode = json.JSONEncoder(check_circular=False, separators=(",", ":")).encode
_COLUMNS = tuple(entry.name for entry in fields(Intent))
INSERT = f"INSERT INTO intents ({', '.join(_COLUMNS)}) VALUES ({', '.join('?' * len(_COLUMNS))})"  # noqa: S608
_CHANGING = ("deadline_ms", *_COLUMNS[_COLUMNS.index("state") :])
"""What may change after an intent was accepted: not the wish, nor what most indexes are made of."""
_COLUMNS_OF, _CHANGING_OF = attrgetter(*_COLUMNS), attrgetter(*_CHANGING)
UPDATE = f"UPDATE intents SET {', '.join(f'{name} = ?' for name in _CHANGING)} WHERE id = ? AND version = ?"  # noqa: S608
SELECT = f"SELECT {', '.join(_COLUMNS)} FROM intents"  # noqa: S608 -- names come from the dataclass above, not from input


def to_row(intent: Intent, *, changing: bool = False) -> list[Any]:
    """The intent as ``INSERT`` takes it, or ``changing``, as ``UPDATE`` does."""
    row = list((_CHANGING_OF if changing else _COLUMNS_OF)(intent))
    names = _CHANGING if changing else _COLUMNS
    failure, weights = intent.failure, intent.weights
    if failure is not None:
        parts = [failure.code, failure.message, failure.hint, failure.may_be_submitted]
        row[names.index("failure")] = json.dumps(parts)
    if weights is not None:
        row[names.index("weights")] = _encode(weights)
    return row


def from_row(row: tuple[Any, ...]) -> Intent:
    """The intent that a row of ``SELECT`` holds."""
    values = dict(zip(_COLUMNS, row, strict=True))
    values["state"] = State(values["state"])
    for name in ("queue", "keep_nonce", "lost"):
        values[name] = bool(values[name])
    if values["failure"] is not None:
        values["failure"] = Failure(*json.loads(values["failure"]))
    if values["weights"] is not None:
        values["weights"] = tuple(map(tuple, json.loads(values["weights"])))
    return Intent(**values)
