"""Every question that one of our processes may ask the signer, and what comes back.

A socket is a privilege: the signer listens on one socket per asker and answers there only what the table at
the end of this module lists. Wire form (``packets``): ``{"id": n, "ask": "accept", "body": {…}}`` is
answered, in any order, by ``{"id": n, "answer": {…}}`` or ``{"id": n, "refusal": {…}}``; the signer also
tells without being asked: ``{"event": "intent", "body": {…}}`` to gateways whenever an intent changes,
``{"event": "work", "body": {}}`` to chain processes whenever ``pull`` would answer something new.

Everything is bounded here once, for both sides: see the ``MAX_`` constants.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, ClassVar, Protocol

from wallet_guard.ipc.signatures import (
    EXTRINSIC_CALLS,
    EXTRINSIC_PREFIX,
    REQUEST,
    SESSION,
    TEXT,
    IssueHubSession,
    IssueSession,
    SignExtrinsic,
    SignRequest,
    SignText,
)
from wallet_guard.ipc.wishes import ResetAxon, ServeAxon, ServeAxonTls, ServePrometheus, SetCommitment

MAX_TARGETS = 4096
"""Entries of one weight vector.

A subnet has at most 256 uids today; sixteen times that is room, not a hole.
"""

MAX_NAME_CHARACTERS = 64
"""Wallet, hotkey and client names: they become paths and log words."""

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
class Refusal:
    """A decision against, or a thing that cannot be: never an approval in disguise.

    ``code`` is a stable word (see ``signer.refusals``), ``message`` what was expected and found, ``hint``
    what to do next ("" if nothing). ``retry_after_seconds`` and ``next_block`` are given where waiting
    helps. ``intent`` names an intent that stands in the way (idempotency conflict) or that was refused
    after it was accepted.
    """

    code: str
    message: str
    hint: str = ""
    retry_after_seconds: int | None = None
    next_block: int | None = None
    intent: str | None = None


class RefusedError(Exception):
    """The signer answered no; ``refusal`` says why."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal


@dataclass(frozen=True, slots=True)
class Done:
    """The answer to a question that has nothing more to say."""


@dataclass(frozen=True, slots=True)
class SetWeights:
    """A wish, as the node meant it: plaintext and relative.

    ``wallet`` and ``hotkey`` are the folder names of the wallet. Exactly one of ``uids`` and ``hotkeys`` is
    given, as long as ``weights``; hotkeys (ss58 addresses) are looked up at sealing, since uids are
    recycled.
    """

    wallet: str
    hotkey: str
    netuid: int
    mechid: int
    uids: tuple[int, ...] | None
    hotkeys: tuple[str, ...] | None
    weights: tuple[float, ...]
    version_key: int

    kind: ClassVar[str] = "set_weights"


Wish = SetWeights | ServeAxon | ServeAxonTls | ServePrometheus | ResetAxon | SetCommitment
"""What becomes an intent: composed, signed, sent and followed by the guard."""

WISHES: dict[str, type[Any]] = {
    wish.kind: wish for wish in (SetWeights, ServeAxon, ServeAxonTls, ServePrometheus, ResetAxon, SetCommitment)
}

CALLS = (*WISHES, REQUEST, SESSION, TEXT, *(EXTRINSIC_PREFIX + call for call in EXTRINSIC_CALLS))
"""Everything that a client can be allowed to ask for; a new client may set weights and no more."""

DEFAULT_CALLS = (SetWeights.kind,)


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


# What the gateway may ask -----------------------------------------------------------------------------------


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


@dataclass(frozen=True, slots=True)
class KeyView:
    """A loaded hotkey, without its secret. ``crypto`` is ``sr25519`` or ``ed25519``."""

    wallet: str
    hotkey: str
    ss58_address: str
    crypto: str


@dataclass(frozen=True, slots=True)
class ClientView:
    """What a client may do; never its token.

    ``netuids`` None means any; ``per_hour`` counts accepted intents; times are Unix milliseconds.
    """

    name: str
    wallet: str
    hotkey: str
    calls: tuple[str, ...]
    netuids: tuple[int, ...] | None
    per_hour: int
    created_ms: int
    revoked_ms: int | None


@dataclass(frozen=True, slots=True)
class Info:
    """What may this token do, and with which keys?"""

    token: str = field(repr=False)

    ask: ClassVar[str] = "info"
    answer: ClassVar[type]


@dataclass(frozen=True, slots=True)
class InfoView:
    """The client behind a token, and the loaded keys that it may use."""

    client: ClientView
    keys: tuple[KeyView, ...]


Info.answer = InfoView


@dataclass(frozen=True, slots=True)
class Health:
    """Can the signer do its work? Asked without a token: counts only."""

    ask: ClassVar[str] = "health"
    answer: ClassVar[type]


@dataclass(frozen=True, slots=True)
class HealthView:
    """``journal_error`` is "" while the journal can be written.

    ``runtime`` is the spec version in use, None before the first facts. ``chain_trouble`` is "" while the
    chain process reaches its endpoint; ``chain_seconds`` the age of its last word, None if it never spoke.
    """

    version: str
    keys: int
    clients: int
    open_intents: int
    journal_error: str
    runtime: int | None
    chain_trouble: str
    chain_seconds: float | None
    locked: str = ""
    """Why nothing is signed now; "" while the signer is not locked."""


Health.answer = HealthView


# What the chain process may ask -----------------------------------------------------------------------------


class Action(StrEnum):
    """What the signer wants of the chain process for one intent."""

    FACTS = "facts"
    """Gather ``Facts`` and send ``Seal``."""
    SUBMIT = "submit"
    """Hand the stored extrinsic to the pool, unless it is on the chain already; then follow it."""
    FOLLOW = "follow"
    """Watch until finality: in a block, retracted, finalized."""
    READ_BACK = "read_back"
    """Read what stands on the chain: ``storage_keys`` where there are any, else ``Weights`` of (netuid, mechid, uid).

    At ``block_hash``, or at the finalized head if that is None.

    A plain call is read at the block that holds it; a timelocked one at the head, every block from the time
    of ``reveal_round`` on, until the signer's answer leaves the intent finished.
    """


@dataclass(frozen=True, slots=True)
class Task:
    """One intent's next step.

    ``hotkeys`` are the addresses to resolve into uids for ``Facts.uids``. ``storage_keys`` are what to read back of a
    call other than weights. ``extrinsic`` is the exact bytes,
    to be sent as they are; ``era_birth`` ≤ block < ``era_death`` is where they are valid.
    ``not_before_block``: do not ask to seal earlier.
    """

    intent: str
    action: Action
    version: int
    ss58_address: str
    netuid: int
    mechid: int
    hotkeys: tuple[str, ...]
    not_before_block: int | None
    extrinsic: bytes | None
    extrinsic_hash: str | None
    nonce: int | None
    era_birth: int | None
    era_death: int | None
    uid: int | None
    block_hash: str | None
    block_number: int | None
    reveal_round: int | None
    storage_keys: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class Work:
    """The answer to ``pull``: every unfinished intent's next step, oldest first."""

    tasks: tuple[Task, ...]


@dataclass(frozen=True, slots=True)
class Pull:
    """What is there to do? Asked at start, after each reconnect and whenever told ``work``."""

    ask: ClassVar[str] = "pull"
    answer: ClassVar[type] = Work


@dataclass(frozen=True, slots=True)
class Runtime:
    """A runtime as the chain reports it.

    Sent before the first ``Seal`` and whenever ``Seal`` is refused with ``runtime_unknown``. ``metadata``
    is the raw MetadataVersioned blob (V15): ``Metadata_metadata_at_version(15)`` without Option and length
    prefix.
    """

    genesis_hash: bytes
    spec_name: str
    spec_version: int
    transaction_version: int
    metadata: bytes

    ask: ClassVar[str] = "runtime"
    answer: ClassVar[type] = Done


@dataclass(frozen=True, slots=True)
class Facts:
    """What the chain says about one subnet, mechanism and hotkey, read at one block.

    Untrusted: the signer bounds every number before use (``signer.facts``).

    ``block_number`` is the best head at which the storage was read; ``era_block_*`` the finalized head,
    where the mortal era starts; ``block_time_ms`` as observed; ``nonce`` by ``account_nextIndex``;
    ``finalized_nonce`` is System.Account at the finalized head. ``uid`` is None where the hotkey is not
    registered; ``last_update`` is LastUpdate of that uid under the mechanism's storage index, 0 if never.
    ``uids`` are the (address, uid) pairs of the task's hotkeys that are registered. Items that the runtime
    lacks hold their documented defaults.
    """

    genesis_hash: bytes
    spec_version: int
    transaction_version: int
    block_number: int
    era_block_number: int
    era_block_hash: bytes
    block_time_ms: int
    nonce: int
    finalized_nonce: int
    uid: int | None
    uids: tuple[tuple[str, int], ...]
    mechanisms: int
    commit_reveal: bool
    commit_reveal_version: int
    rate_limit: int
    last_update: int
    min_allowed_weights: int
    max_weight_limit: int
    weights_version_key: int
    tempo: int
    reveal_period_epochs: int
    last_epoch_block: int
    pending_epoch_at: int
    subnet_epoch_index: int
    blocks_since_last_step: int


@dataclass(frozen=True, slots=True)
class Seal:
    """Sign this intent, given these facts. Asked twice, it gives the same bytes: an intent is signed once."""

    intent: str
    facts: Facts

    ask: ClassVar[str] = "seal"
    answer: ClassVar[type] = Task


class Event(StrEnum):
    """What the chain process saw happen to a signed extrinsic."""

    SUBMITTED = "submitted"
    """The pool took it, or has it already (1013)."""
    REJECTED = "rejected"
    """The pool refused it; ``code`` is the pool's reason."""
    DROPPED = "dropped"
    """The pool had it and let it go; it will be sent again."""
    IN_BLOCK = "in_block"
    """In a block of the best chain; with ``code`` set, its dispatch failed there."""
    RETRACTED = "retracted"
    """That block is no longer on the best chain."""
    FINALIZED = "finalized"
    """That block is final."""
    SUPERSEDED = "superseded"
    """Finality shows its nonce consumed by another extrinsic."""
    OUTDATED = "outdated"
    """Its era ended at finality without it."""
    WEIGHTS = "weights"
    """What stands on the chain: ``weights``, read at ``block_number``."""
    VALUES = "values"
    """What stands on the chain: ``values`` of the task's ``storage_keys``, as raw bytes, read at ``block_number``."""
    TROUBLE = "trouble"
    """The step could not be done now: ``code`` and ``message`` say why. It will be tried again."""


@dataclass(frozen=True, slots=True)
class Report:
    """An event of one intent.

    ``code`` is the error's name (``SettingWeightsTooFast``), ``message`` its documentation. ``weights`` are
    the (uid, u16) pairs read back, ``values`` the raw storage values (None where there is none).
    """

    intent: str
    event: Event
    extrinsic_hash: str | None = None
    block_hash: str | None = None
    block_number: int | None = None
    code: str | None = None
    message: str = ""
    weights: tuple[tuple[int, int], ...] | None = None
    values: tuple[bytes | None, ...] | None = None

    ask: ClassVar[str] = "report"
    answer: ClassVar[type] = Done


@dataclass(frozen=True, slots=True)
class Pulse:
    """The chain process lives: its best and finalized block, or in ``trouble`` why it has none.

    Sent at least every 10 seconds.
    """

    endpoint: str
    best_block: int | None
    finalized_block: int | None
    trouble: str

    ask: ClassVar[str] = "pulse"
    answer: ClassVar[type] = Done


# What the operator may ask (socket mode 0600) ---------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ClientAdd:
    """A new client.

    ``token`` None makes one (256 bits); a token given is refused if short or one of the known defaults.
    """

    name: str
    wallet: str
    hotkey: str
    calls: tuple[str, ...]
    netuids: tuple[int, ...] | None
    per_hour: int
    token: str | None = field(repr=False)

    ask: ClassVar[str] = "client_add"
    answer: ClassVar[type]


@dataclass(frozen=True, slots=True)
class ClientAdded:
    """The one time that a token is seen."""

    client: ClientView
    token: str = field(repr=False)


ClientAdd.answer = ClientAdded


@dataclass(frozen=True, slots=True)
class ClientRevoke:
    """From now on its token is nothing."""

    name: str

    ask: ClassVar[str] = "client_revoke"
    answer: ClassVar[type] = Done


@dataclass(frozen=True, slots=True)
class StatusAsk:
    """Everything an operator wants at a glance."""

    ask: ClassVar[str] = "status"
    answer: ClassVar[type]


@dataclass(frozen=True, slots=True)
class StatusView:
    """``audit_seq`` and ``audit_head`` (hex) are the newest audit record; ``intents`` the newest twenty."""

    health: HealthView
    keys: tuple[KeyView, ...]
    clients: tuple[ClientView, ...]
    genesis_hash: str | None
    endpoint: str
    best_block: int | None
    finalized_block: int | None
    audit_seq: int
    audit_head: str
    intents: tuple[IntentView, ...]


StatusAsk.answer = StatusView


@dataclass(frozen=True, slots=True)
class AllowPlain:
    """The operator confirms that this subnet switched commit-reveal off, so it may get plain weights."""

    netuid: int

    ask: ClassVar[str] = "allow_plain"
    answer: ClassVar[type] = Done


@dataclass(frozen=True, slots=True)
class Lock:
    """From now on nothing is signed, until ``Unlock``."""

    reason: str

    ask: ClassVar[str] = "lock"
    answer: ClassVar[type] = Done


@dataclass(frozen=True, slots=True)
class Unlock:
    """The operator lets the signer sign again."""

    ask: ClassVar[str] = "unlock"
    answer: ClassVar[type] = Done


@dataclass(frozen=True, slots=True)
class AuditCheckpoint:
    """A signed note about the audit chain as it stands now, to be kept elsewhere."""

    ask: ClassVar[str] = "audit_checkpoint"
    answer: ClassVar[type]


@dataclass(frozen=True, slots=True)
class CheckpointView:
    """The note (``signed.checkpoint``), and the key that it verifies with, in its written form."""

    note: str
    key: str


AuditCheckpoint.answer = CheckpointView


class Question(Protocol):
    """Any of the questions above."""

    ask: ClassVar[str]
    answer: ClassVar[type]


def _table(*questions: type[Any]) -> dict[str, type[Any]]:
    return {question.ask: question for question in questions}


GATEWAY = _table(Accept, Show, Info, Health, SignRequest, SignExtrinsic, IssueSession, SignText)
HUB = _table(IssueHubSession, Health)
CHAIN = _table(Pull, Runtime, Seal, Report, Pulse)
ADMIN = _table(ClientAdd, ClientRevoke, StatusAsk, AllowPlain, Health, Lock, Unlock, AuditCheckpoint)
"""Who may ask what: one table per listening socket. What is not listed cannot be asked."""
