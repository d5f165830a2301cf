"""What all decisions share: configuration, keys, journal, the clock, and what is known of the chain at this moment."""

import hmac
import logging
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from wallet_guard.host.config import Config
from wallet_guard.ipc.answers import Refusal
from wallet_guard.ipc.chain import Pulse
from wallet_guard.ipc.clients import ClientView
from wallet_guard.ipc.intents import Failure, IntentView, State
from wallet_guard.signed.checkpoint import AuditKey
from wallet_guard.signer.auditkey import open_audit_key
from wallet_guard.signer.compose import Runtime
from wallet_guard.signer.figures import Figures
from wallet_guard.signer.generation import Generation, open_generation
from wallet_guard.signer.journal import Intent, Journal, Writer
from wallet_guard.signer.keys import Key, Keyring
from wallet_guard.signer.lanes import Lanes
from wallet_guard.signer.lockdown import Lockdown
from wallet_guard.signer.pending import Waitingroom
from wallet_guard.signer.policies import Policies, open_policies
from wallet_guard.signer.retention import Retention
from wallet_guard.signer.upgrades import Upgrades

log = logging.getLogger(__name__)

MAX_RUNTIMES = 2
"""The one in use and the one before or after it, around an upgrade; each holds about 6 MB."""

GENESIS_META = "genesis"

MAX_DENIALS_A_MINUTE = 60
"""Of one client, written one by one; the rest is counted.

A program that asks the wrong thing in a loop could fill the disk otherwise, at 300 bytes a refusal.
"""


@dataclass(slots=True)
class Chain:
    """What the chain process said last. None of it is durable: after a restart it is said again."""

    runtimes: OrderedDict[tuple[int, int], Runtime] = field(default_factory=OrderedDict)
    """By (spec_version, transaction_version)."""
    pulse: Pulse | None = None
    pulse_ms: int = 0
    best_block: int = 0
    best_block_ms: int = 0
    head_ms: int = 0
    """When the chain process last told of another best block; 0 before the first."""


@dataclass(slots=True)
class Desk:
    """The signer's whole state. ``now_ms`` is Unix time; ``random_hex(n)`` gives n random bytes in hex.

    ``on_change(intent)`` and ``on_work()`` are called after a durable change, to tell gateways and chain processes.
    """

    config: Config
    keys: Keyring
    journal: Journal
    now_ms: Callable[[], int]
    random_hex: Callable[[int], str]
    on_change: Callable[[Intent], None] = lambda _intent: None
    on_work: Callable[[], None] = lambda: None
    peers: Callable[[], dict[str, int]] = dict
    """Connections to each of our sockets, as far as a server runs."""
    chain: Chain = field(default_factory=Chain)
    trouble: dict[str, str] = field(default_factory=dict)
    """Intent id → what stands in its way at the moment."""
    retry_ms: dict[str, int] = field(default_factory=dict)
    """Intent id → when the chain process shall try again."""
    last_tick_ms: int = 0
    denials: dict[str, int] = field(default_factory=dict)
    """Client → its refusals in the running minute: only the first few are written one by one (``grants.deny``)."""
    strangers: int = 0
    """Refused questions without a valid token since the last minute's record: counted, not written one by one."""

    waitingroom: Waitingroom = field(default_factory=Waitingroom)
    """Explanations that wait for the chain process."""
    admitted: dict[str, ClientView] = field(default_factory=dict)
    """Tokens that are good while one question is answered (``admitting``)."""

    audit_key: AuditKey = field(init=False)
    """Signs checkpoints of the audit chain."""
    lockdown: Lockdown = field(init=False)
    policies: Policies = field(init=False)
    figures: Figures = field(init=False)
    generation: Generation = field(init=False)
    lanes: Lanes = field(init=False)
    upgrades: Upgrades = field(init=False)
    retention: Retention = field(init=False)

    def __post_init__(self) -> None:
        self.audit_key = open_audit_key(self.journal.path.parent, self.random_hex)
        self.generation = open_generation(self.journal, self.now_ms(), self.block_ms)
        self.lockdown = Lockdown(self.journal)
        self.figures = Figures(self.now_ms())
        self.policies = open_policies(self.config.policy_path)
        self.lanes = Lanes(self.journal)
        self.retention = Retention(self.journal, self.config.signer.keep_days)
        self.upgrades = Upgrades(self.journal, self.config.signer.runtime)
        # Whoever gets a key gets it from here, so there is no way to a signature around the locks.
        self.keys.guard(self._check_open)

    def _check_open(self, ss58_address: str) -> None:
        self.lockdown.check()
        self.lanes.check(ss58_address)

    def check_key_unlocked(self, key: Key) -> Refusal | None:
        """Why nothing is signed with this key, None if it is; see ``check_unlocked``."""
        why = self.lanes.why(key.ss58_address)
        if not why:
            return None
        name = f"{key.wallet}/{key.hotkey}"
        return Refusal(
            "locked",
            f"hotkey {name} is locked: {why}",
            f"its operator finds the other one and stops it, then says 'wallet-guard unlock --key {name}'",
        )

    def check_unlocked(self) -> Refusal | None:
        """Why nothing is signed now, None if it is. For a polite answer early; every key asks again by itself."""
        why = self.lockdown.why
        if not why:
            if self.journal.disk.is_short:
                return Refusal("journal_unavailable", "the disk is full: only refusals are written down", "make room")
            return None
        return Refusal("locked", f"the signer is locked: {why}", "its operator opens it with 'wallet-guard unlock'")

    @property
    def block_ms(self) -> float:
        """The configured block time, in milliseconds."""
        return self.config.chain.block_time_seconds * 1000

    @property
    def genesis(self) -> str:
        """The pinned genesis hash (0x-hex): configured, or remembered from first contact; "" before that."""
        return self.config.chain.genesis or self.journal.meta(GENESIS_META) or ""

    def client_of(self, token: str) -> ClientView | None:
        """The client whose token this is, None for a stranger's or a revoked one. Takes the same time either way."""
        if token in self.admitted:
            return self.admitted[token]
        digest, found = sha256(token.encode("utf-8", "surrogatepass")).digest(), None
        for token_sha256, client in self.journal.clients():
            if hmac.compare_digest(token_sha256, digest) and client.revoked_ms is None:
                found = client
        return found

    def client_named(self, name: str) -> ClientView | None:
        """The client of that name, None if there is none or it was revoked."""
        for _, client in self.journal.clients():
            if client.name == name and client.revoked_ms is None:
                return client
        return None

    def client_with_key(self, address: str) -> ClientView | None:
        """The client that signs with this key, None for a stranger's or a revoked one."""
        for _, client in self.journal.clients():
            if client.public_key == address and client.revoked_ms is None:
                return client
        return None

    @contextmanager
    def admitting(self, client: ClientView) -> Iterator[str]:
        """A token that is this client's until the block ends: for one that has proved itself in another way."""
        token = self.random_hex(32)
        self.admitted[token] = client
        try:
            yield token
        finally:
            del self.admitted[token]

    def key_of(self, intent: Intent) -> Key | None:
        """The key that the intent was accepted for, None if it is no longer loaded (or another lies under its name)."""
        key = self.keys.find(intent.wallet, intent.hotkey)
        return key if key is not None and key.ss58_address == intent.ss58_address else None

    def move(self, intent: Intent, state: State, kind: str, **body: Any) -> None:
        """One durable step of an intent, told to the others once it is on disk.

        Raises:
            JournalError: it could not be written; nothing changed.
        """
        with self.journal.transaction() as writer:
            self.move_within(writer, intent, state, kind, **body)
        self.moved(intent)

    def move_within(self, writer: Writer, intent: Intent, state: State, kind: str, **body: Any) -> None:
        """The step alone, inside a transaction that writes more; call ``moved`` after it."""
        writer.change_intent(intent, state)
        writer.record(self.now_ms(), kind, intent.client, intent=intent.id, state=state, **body)

    def moved(self, intent: Intent) -> None:
        """Tells the others."""
        self.figures.moved(intent)
        if intent.final:
            self.trouble.pop(intent.id, None)
            self.retry_ms.pop(intent.id, None)
        why = f": {intent.failure.code}: {intent.failure.message}" if intent.failure else ""
        log.info(f"intent {intent.id} of {intent.client} is {intent.state}{why}")
        self.on_change(intent)

    def fail(self, intent: Intent, failure: Failure, state: State = State.FAILED) -> Refusal:
        """The intent's end, and the refusal that says so."""
        intent.failure = failure
        self.move(intent, state, "failed", code=failure.code, message=failure.message)
        return Refusal(failure.code, failure.message, failure.hint, intent=intent.id)

    def hinder(self, intent: Intent, code: str, message: str, *, retry_seconds: float | None = None) -> Refusal:
        """The intent stays as it is; what stands in its way is told, and when to try again."""
        trouble = f"{code}: {message}"
        if retry_seconds is not None:
            self.retry_ms[intent.id] = self.now_ms() + int(retry_seconds * 1000)
        if self.trouble.get(intent.id) != trouble:
            self.trouble[intent.id] = trouble
            log.warning(f"intent {intent.id} waits: {trouble}")
            self.on_change(intent)
        return Refusal(code, message, intent=intent.id)

    def view(self, intent: Intent) -> IntentView:
        """The intent as its client may see it."""
        return IntentView(
            intent=intent.id,
            client=intent.client,
            state=intent.state,
            version=intent.version,
            wallet=intent.wallet,
            hotkey=intent.hotkey,
            netuid=intent.netuid,
            mechid=intent.mechid,
            accepted_ms=intent.accepted_ms,
            deadline_ms=intent.deadline_ms,
            not_before_ms=intent.not_before_ms,
            not_before_block=intent.not_before_block,
            call=intent.call,
            weights=intent.weights,
            nonce=intent.nonce,
            reveal_round=intent.reveal_round,
            extrinsic_hash=intent.extrinsic_hash,
            block_hash=intent.block_hash,
            block_number=intent.block_number,
            failure=intent.failure,
            trouble=self.trouble.get(intent.id, ""),
            kind=intent.kind,
        )
