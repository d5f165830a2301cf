"""What the operator may ask (socket mode 0600), beside clients and health."""

from dataclasses import dataclass
from typing import ClassVar

from wallet_guard.ipc.answers import Done
from wallet_guard.ipc.clients import ClientView, KeyView
from wallet_guard.ipc.health import HealthView
from wallet_guard.ipc.intents import IntentView


@dataclass(frozen=True, slots=True)
class StatusAsk:
    """Everything an operator wants at a glance."""

    ask: ClassVar[str] = "status"
    answer: ClassVar[type]


@dataclass(frozen=True, slots=True)
class LockedKey:
    """A hotkey with which nothing is signed, and why: somebody else signs with it."""

    wallet: str
    hotkey: str
    why: str


@dataclass(frozen=True, slots=True)
class PolicyView:
    """The policy in force: its file ("" for none), the SHA-256 of what was read.

    ``error`` is why the file's newest content is not in force; "" while it is.
    """

    path: str
    sha256: str
    error: str


@dataclass(frozen=True, slots=True)
class PolicyReload:
    """Read the policy file again; a wrong one changes nothing, and ``error`` says why."""

    ask: ClassVar[str] = "policy_reload"
    answer: ClassVar[type] = PolicyView


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
    locked_keys: tuple[LockedKey, ...] = ()
    generation: int = 1
    """One more with every restored backup."""
    runtime_trouble: str = ""
    """Why the chain's runtime is not signed for, "" while it is."""
    policy: PolicyView = PolicyView("", "", "")


StatusAsk.answer = StatusView


@dataclass(frozen=True, slots=True)
class AllowPlain:
    """The operator confirms that this subnet switched commit-reveal off, so it may get plain weights."""

    netuid: int

    ask: ClassVar[str] = "allow_plain"
    answer: ClassVar[type] = Done


@dataclass(frozen=True, slots=True)
class AllowRuntime:
    """The operator allows the runtime of this spec version, which was refused because it changed."""

    spec_version: int

    ask: ClassVar[str] = "allow_runtime"
    answer: ClassVar[type] = Done


@dataclass(frozen=True, slots=True)
class Lock:
    """From now on nothing is signed, until ``Unlock``."""

    reason: str

    ask: ClassVar[str] = "lock"
    answer: ClassVar[type] = Done


@dataclass(frozen=True, slots=True)
class Unlock:
    """The operator lets the signer sign again, or one hotkey (``wallet/hotkey``) that was locked by itself.

    ``force``: also before what was signed after a restored backup is dead.
    """

    key: str = ""
    force: bool = False

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
