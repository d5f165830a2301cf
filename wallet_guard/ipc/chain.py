"""What the chain process may ask: what there is to do, and to tell what it found."""

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

from wallet_guard.ipc.answers import Done


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
    EXPLAIN = "explain"
    """Gather ``Facts`` and send ``explanations.Inform``, then the draft's fee with ``Quote``: nothing is signed."""


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

    Sent at least every 10 seconds. What follows is for ``metrics``: about the process, since its start.
    """

    endpoint: str
    best_block: int | None
    finalized_block: int | None
    trouble: str
    version: str = ""
    started_ms: int = 0
    resident_bytes: int = 0
    runners: int = 0
    """Intents that are worked on."""
    connections: int = 0
    """To endpoints, that stood."""

    ask: ClassVar[str] = "pulse"
    answer: ClassVar[type] = Done
