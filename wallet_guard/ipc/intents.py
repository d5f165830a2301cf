"""How a wish that the signer took on fares, and the two questions about it: take it on, show it."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import ClassVar

from wallet_guard.ipc.wishes import SetWeights, Wish

MAX_IDEMPOTENCY_KEY_CHARACTERS = 128
"""A UUID is 36, a SHA-256 in hex 64."""


class State(StrEnum):
    """How an intent fares; see ``signer.journal`` for what may follow what."""

    ACCEPTED = "accepted"
    SIGNED = "signed"
    SUBMITTED = "submitted"
    IN_BLOCK = "in_block"
    FINALIZED = "finalized"
    EFFECTIVE = "effective"
    FAILED = "failed"
    EXPIRED = "expired"


FINAL_STATES = frozenset({State.EFFECTIVE, State.FAILED, State.EXPIRED})


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an intent failed: a stable code, the sentence for people, what to do.

    ``may_be_submitted``: bytes that could still be on their way were signed.
    """

    code: str
    message: str
    hint: str
    may_be_submitted: bool


@dataclass(frozen=True, slots=True)
class IntentView:
    """An intent as its client may see it.

    ``version`` grows with every change, so old news can be told from new. Times are Unix milliseconds by the signer's
    clock. Hashes are 0x-hex. ``trouble`` is what stands in the way at the moment (the chain cannot be reached, say),
    "" if nothing. ``weights`` are the (uid, u16) pairs that were signed.

    ``failure`` together with ``in_block`` means that the dispatch failed in that block (a reorg could still undo it).
    A failure with code ``rate_limited`` has the next permitted block and time in ``not_before_block`` and
    ``not_before_ms``.
    """

    intent: str
    client: str
    state: State
    version: int
    wallet: str
    hotkey: str
    netuid: int
    mechid: int
    accepted_ms: int
    deadline_ms: int
    not_before_ms: int | None
    not_before_block: int | None
    call: str | None
    weights: tuple[tuple[int, int], ...] | None
    nonce: int | None
    reveal_round: int | None
    extrinsic_hash: str | None
    block_hash: str | None
    block_number: int | None
    failure: Failure | None
    trouble: str
    kind: str = SetWeights.kind
    """The wish: ``set_weights``, ``serve_axon`` …"""


@dataclass(frozen=True, slots=True)
class Accept:
    """Take this wish on: decide, write it down, then answer.

    The same ``idempotency_key`` of the same client gives the same intent; with another request it is
    refused (``idempotency_conflict``). ``queue``: wait out a rate limit instead of failing.
    """

    token: str = field(repr=False)
    idempotency_key: str | None
    queue: bool
    request: Wish

    ask: ClassVar[str] = "accept"
    answer: ClassVar[type] = IntentView


@dataclass(frozen=True, slots=True)
class Show:
    """How does this intent fare? Only its own client may know."""

    token: str = field(repr=False)
    intent: str

    ask: ClassVar[str] = "show"
    answer: ClassVar[type] = IntentView
