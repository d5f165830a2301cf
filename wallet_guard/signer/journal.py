"""The journal: every intent, every client, every decision, in one SQLite file that survives any crash.

Rules:

1. Decide, record durably, then act. A transaction that returned is on disk (WAL, ``synchronous=FULL``: each commit
syncs the log).
2. Decision, state and audit record are one transaction: there is no signature without its record.
3. What may follow what is the table ``_FOLLOWS``; nothing else is ever written.
4. After the first error of the file nothing more is written or signed until a restart has opened and checked it
again: after a failed sync nobody knows what is on the disk. Only a full disk is no such error: what did not fit was
never there (``disk``).
5. The log is copied into the file here, not by SQLite in passing: it would keep a failed sync to itself.

Only this module speaks SQL.
"""

import fcntl
import json
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, NamedTuple

from wallet_guard.host.config import ConfigurationError
from wallet_guard.host.private import ensure_private_folder
from wallet_guard.ipc.clients import ClientView
from wallet_guard.ipc.intents import FINAL_STATES, Failure, State
from wallet_guard.ipc.wishes import SetWeights
from wallet_guard.signed.audit import GENESIS_HASH, BrokenChainError, Point, Record, record_hash, verify_chain
from wallet_guard.signer.disk import Disk

JOURNAL_FILE = "journal.sqlite3"

SCHEMA_VERSION = 1

MAX_LOG_BYTES = 4 * 1024 * 1024
"""4 MiB: SQLite's own default, a thousand pages. Then the log is copied into the file, and begins anew."""

MAX_CHECKED_RECORDS = 50_000
"""Audit records verified at a start, the newest: a quarter of a second. ``audit verify`` does all."""

_FOLLOWS: dict[State, frozenset[State]] = {
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

_SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
CREATE TABLE clients (
    name TEXT PRIMARY KEY, token_sha256 BLOB NOT NULL UNIQUE, wallet TEXT NOT NULL, hotkey TEXT NOT NULL,
    calls TEXT NOT NULL, netuids TEXT, per_hour INTEGER NOT NULL, created_ms INTEGER NOT NULL, revoked_ms INTEGER
) STRICT;
CREATE TABLE intents (
    id TEXT PRIMARY KEY, kind TEXT NOT NULL, client TEXT NOT NULL, wallet TEXT NOT NULL, hotkey TEXT NOT NULL,
    ss58_address TEXT NOT NULL,
    netuid INTEGER NOT NULL, mechid INTEGER NOT NULL, request TEXT NOT NULL, request_sha256 BLOB NOT NULL,
    idempotency_key TEXT, queue INTEGER NOT NULL, state TEXT NOT NULL, version INTEGER NOT NULL,
    accepted_ms INTEGER NOT NULL, deadline_ms INTEGER NOT NULL, not_before_ms INTEGER, not_before_block INTEGER,
    attempt INTEGER NOT NULL, nonce INTEGER, keep_nonce INTEGER NOT NULL, call TEXT, weights TEXT, uid INTEGER,
    rate_limit INTEGER, signed_ms INTEGER, dead_ms INTEGER, lost INTEGER NOT NULL,
    extrinsic BLOB, extrinsic_hash TEXT, era_birth INTEGER, era_death INTEGER,
    reveal_round INTEGER, reveal_by_ms INTEGER, block_hash TEXT, block_number INTEGER, failure TEXT
) STRICT;
CREATE UNIQUE INDEX intents_key ON intents (client, idempotency_key) WHERE idempotency_key IS NOT NULL;
CREATE INDEX intents_open ON intents (accepted_ms) WHERE state NOT IN ('effective', 'failed', 'expired');
CREATE INDEX intents_recent ON intents (client, accepted_ms);
CREATE INDEX intents_slot ON intents (ss58_address, netuid, mechid, signed_ms);
CREATE TABLE subnets (genesis TEXT NOT NULL, netuid INTEGER NOT NULL, commit_reveal INTEGER NOT NULL,
    PRIMARY KEY (genesis, netuid)) STRICT;
CREATE TABLE tallies (client TEXT NOT NULL, call TEXT NOT NULL, hour INTEGER NOT NULL, count INTEGER NOT NULL,
    PRIMARY KEY (client, call, hour)) STRICT, WITHOUT ROWID;
CREATE TABLE nonces (ss58_address TEXT NOT NULL, nonce_ns INTEGER NOT NULL,
    PRIMARY KEY (ss58_address, nonce_ns)) STRICT, WITHOUT ROWID;
CREATE TABLE extrinsics (ss58_address TEXT NOT NULL, nonce INTEGER NOT NULL, payload_sha256 BLOB NOT NULL,
    signature BLOB NOT NULL, dead_ms INTEGER NOT NULL, PRIMARY KEY (ss58_address, nonce)) STRICT;
CREATE TABLE audit (
    seq INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, kind TEXT NOT NULL, client TEXT NOT NULL, body TEXT NOT NULL,
    hash BLOB NOT NULL
) STRICT;
"""

_OPEN = "state NOT IN ('effective', 'failed', 'expired')"


class JournalError(Exception):
    """The journal cannot be written. Nothing may be signed until a restart has checked it."""


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

    @property
    def final(self) -> bool:
        """Nothing more will happen to it."""
        return self.state in FINAL_STATES


_COLUMNS = tuple(entry.name for entry in fields(Intent))
_INSERT = f"INSERT INTO intents ({', '.join(_COLUMNS)}) VALUES ({', '.join('?' * len(_COLUMNS))})"  # noqa: S608
_UPDATE = f"UPDATE intents SET {', '.join(f'{name} = ?' for name in _COLUMNS)} WHERE id = ? AND version = ?"  # noqa: S608
_SELECT = f"SELECT {', '.join(_COLUMNS)} FROM intents"  # noqa: S608 -- names come from the dataclass above, not from input


def _to_row(intent: Intent) -> list[Any]:
    row = []
    for name in _COLUMNS:
        value = getattr(intent, name)
        if name == "failure" and value is not None:
            value = json.dumps([value.code, value.message, value.hint, value.may_be_submitted])
        elif name == "weights" and value is not None:
            value = json.dumps(value, separators=(",", ":"))
        row.append(value)
    return row


def _from_row(row: tuple[Any, ...]) -> Intent:
    values = dict(zip(_COLUMNS, row, strict=True))
    values["state"] = State(values["state"])
    for name in ("queue", "keep_nonce", "lost"):
        values[name] = bool(values[name])
    if values["failure"] is not None:
        values["failure"] = Failure(*json.loads(values["failure"]))
    if values["weights"] is not None:
        values["weights"] = tuple((uid, value) for uid, value in json.loads(values["weights"]))
    return Intent(**values)


class SignedExtrinsic(NamedTuple):
    """A node's own extrinsic that was signed; its nonce is taken until ``dead_ms``."""

    payload_sha256: bytes
    signature: bytes
    dead_ms: int


class Journal:
    """The open file. One process, one connection; every write goes through ``transaction``.

    Raises (on opening):
        ConfigurationError: the folder or file is not private, is in use, is damaged, or is of a later version.
    """

    def __init__(self, folder: str | Path) -> None:
        ensure_private_folder(folder)
        self.path = Path(folder) / JOURNAL_FILE
        self._lock = _lock_folder(Path(folder))
        self._clients: list[tuple[bytes, ClientView]] | None = None
        self.error = ""
        """Why nothing can be written any more; "" while all is well."""
        try:
            self._db = sqlite3.connect(self.path, isolation_level=None, timeout=2.0)
            try:
                self._open()
            except BaseException:
                self.close()
                raise
        except sqlite3.Error as error:
            raise ConfigurationError(f"{self.path}: expected a sound journal: {error}") from error
        self.path.chmod(0o600)
        self._seq, self._head = self._db.execute(
            "SELECT coalesce(max(seq), 0), (SELECT hash FROM audit ORDER BY seq DESC LIMIT 1) FROM audit"
        ).fetchone()
        self._head = self._head or GENESIS_HASH
        self.disk = Disk(self.path)
        self.disk.hold()

    def _open(self) -> None:
        for pragma in (
            "journal_mode = WAL",
            "synchronous = FULL",
            "foreign_keys = ON",
            # 256 KiB of cache: a transaction touches about ten pages of 4 KiB, and the signer is meant to stay small.
            "cache_size = -256",
            "wal_autocheckpoint = 0",
        ):
            self._db.execute(f"PRAGMA {pragma}")
        (version,) = self._db.execute("PRAGMA user_version").fetchone()
        if version == 0:
            self._db.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;")
        elif version != SCHEMA_VERSION:
            raise ConfigurationError(f"{self.path}: expected journal version {SCHEMA_VERSION}, found {version}")
        else:
            (sound,) = self._db.execute("PRAGMA quick_check(1)").fetchone()
            if sound != "ok":
                raise ConfigurationError(f"{self.path}: expected a sound journal, found: {sound}")
            self._check_newest_records()
        # What a crash left in the log is written and synced once more, before anything is decided on it: after a failed
        # sync the system may show what it could not write.
        self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def _check_newest_records(self) -> None:
        (before,) = self._db.execute("SELECT coalesce(max(seq), 0) - ? FROM audit", (MAX_CHECKED_RECORDS,)).fetchone()
        since = None
        if before > 0:
            row = self._db.execute("SELECT hash FROM audit WHERE seq = ?", (before,)).fetchone()
            since = Point(before, row[0] if row else b"")
        try:
            verify_chain(self.records(since.seq if since else 0), since=since)
        except BrokenChainError as error:
            raise ConfigurationError(f"{self.path}: the audit chain is broken: {error}; restore a backup") from error

    def close(self) -> None:
        """Closes the file; what was committed stays."""
        self._db.close()
        os.close(self._lock)

    @contextmanager
    def transaction(self) -> Iterator["Writer"]:
        """One durable step: all of what the writer was told, or nothing.

        Raises:
            JournalError: it could not be written; from then on every transaction raises (unless the disk is full).
        """
        self._check_place()
        seq, head = self._seq, self._head
        try:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield Writer(self)
            except sqlite3.Error:
                raise  # SQLite may have rolled back by itself
            except BaseException:
                self._db.execute("ROLLBACK")
                self._seq, self._head = seq, head
                self.forget_clients()
                raise
            self._db.execute("COMMIT")
            self._check_place()
        except sqlite3.Error as error:
            self._seq, self._head = seq, head
            # A commit that failed may leave its transaction open, and then this connection would read, and the signer
            # give out, what is on no disk.
            with suppress(sqlite3.Error):
                self._db.execute("ROLLBACK")
            self.forget_clients()
            why = f"the journal cannot be written: {error}"
            if _is_full(error):
                self.disk.release()
            else:
                self.error = why
            raise JournalError(why) from error
        if self.disk.log_bytes() > MAX_LOG_BYTES:
            self._empty_log()

    def _check_place(self) -> None:
        if not self.error:
            self.error = self.disk.why_moved()
            if self.error:
                # Where only the log was removed, what it holds can still be saved into the file.
                with suppress(sqlite3.Error):
                    self._db.execute("PRAGMA wal_checkpoint(PASSIVE)")
        if self.error:
            raise JournalError(self.error)

    def _empty_log(self) -> None:
        """Copies the log into the file. The transaction before it is safe whatever comes of this; the next is not."""
        try:
            self._db.execute("PRAGMA wal_checkpoint(PASSIVE)")
        except sqlite3.Error as error:
            if _is_full(error):
                self.disk.release()
            else:
                self.error = f"the journal cannot be written: {error}"

    def audit(self, at_ms: int, kind: str, client: str, body: dict[str, Any]) -> None:
        """Appends one record; call it inside a transaction, through ``Writer.record``."""
        text = json.dumps(body, separators=(",", ":"), sort_keys=True)
        seq = self._seq + 1
        self._head = record_hash(self._head, seq, at_ms, kind, client, text)
        self._seq = seq
        self._db.execute("INSERT INTO audit VALUES (?, ?, ?, ?, ?, ?)", (seq, at_ms, kind, client, text, self._head))

    @property
    def audit_head(self) -> tuple[int, bytes]:
        """Number and hash of the newest audit record."""
        return self._seq, self._head

    # Reading -------------------------------------------------------------------------------------------------------

    def intent(self, intent_id: str) -> Intent | None:
        """The intent of that id, None if there is none."""
        return self._one("WHERE id = ?", intent_id)

    def intent_by_key(self, client: str, idempotency_key: str) -> Intent | None:
        """The intent that this client asked for under this key, None if there is none."""
        return self._one("WHERE client = ? AND idempotency_key = ?", client, idempotency_key)

    def open_intents(self) -> list[Intent]:
        """Everything unfinished, oldest first."""
        return self._many(f"WHERE {_OPEN} ORDER BY accepted_ms, id")

    def newest_intents(self, count: int) -> list[Intent]:
        """The newest, newest first."""
        return self._many("ORDER BY accepted_ms DESC, id LIMIT ?", count)

    def count_accepted(self, client: str, since_ms: int) -> int:
        """How many intents of this client were accepted since then."""
        return self._number("SELECT count(*) FROM intents WHERE client = ? AND accepted_ms >= ?", client, since_ms)

    def count_open(self, client: str | None = None) -> int:
        """How many intents are unfinished, of one client or of all."""
        if client is None:
            return self._number(f"SELECT count(*) FROM intents WHERE {_OPEN}")  # noqa: S608
        return self._number(f"SELECT count(*) FROM intents WHERE client = ? AND {_OPEN}", client)  # noqa: S608

    def nonces_in_flight(self, ss58_address: str, but: str) -> set[int]:
        """Nonces of this hotkey under a signature that may still be taken, those of the intent ``but`` aside."""
        rows = self._db.execute(
            "SELECT nonce FROM intents WHERE ss58_address = ? AND id != ? AND nonce IS NOT NULL "
            "AND (state IN ('signed', 'submitted', 'in_block') OR (state = 'accepted' AND keep_nonce))",
            (ss58_address, but),
        )
        return {nonce for (nonce,) in rows}

    def nonces_given_away(self, ss58_address: str, now_ms: int) -> set[int]:
        """Nonces of this hotkey under signatures of nodes' own extrinsics that may still be taken."""
        query = "SELECT nonce FROM extrinsics WHERE ss58_address = ? AND dead_ms > ?"
        return {nonce for (nonce,) in self._db.execute(query, (ss58_address, now_ms))}

    def extrinsic(self, ss58_address: str, nonce: int) -> SignedExtrinsic | None:
        """What was last signed for a node's own extrinsic of this nonce, None if nothing was."""
        row = self._db.execute(
            "SELECT payload_sha256, signature, dead_ms FROM extrinsics WHERE ss58_address = ? AND nonce = ?",
            (ss58_address, nonce),
        ).fetchone()
        return SignedExtrinsic(*row) if row else None

    def last_request_nonce(self, ss58_address: str, least_ns: int, most_ns: int) -> int | None:
        """The highest nonce of a signed request in that range (ends included), None if there is none."""
        query = "SELECT max(nonce_ns) FROM nonces WHERE ss58_address = ? AND nonce_ns BETWEEN ? AND ?"
        (found,) = self._db.execute(query, (ss58_address, least_ns, most_ns)).fetchone()
        return None if found is None else int(found)

    def count_signed(self, client: str, call: str, hour: int) -> int:
        """How many signatures this client got for this call in that hour of the clock (intents are counted apart)."""
        query = "SELECT coalesce(sum(count), 0) FROM tallies WHERE client = ? AND call = ? AND hour = ?"
        return self._number(query, client, call, hour)

    def lowest_nonce(self, ss58_address: str) -> int:
        """One above the highest nonce of this hotkey that we know to be final; 0 if none."""
        return self._number(
            "SELECT coalesce(max(nonce) + 1, 0) FROM intents WHERE ss58_address = ? AND block_hash IS NOT NULL "
            "AND state IN ('finalized', 'effective', 'failed')",
            ss58_address,
        )

    def lowest_nonce_block(self, ss58_address: str) -> int:
        """The block in which the chain process saw the nonce below ``lowest_nonce``; 0 if none."""
        return self._number(
            "SELECT coalesce(max(block_number), 0) FROM intents WHERE ss58_address = ? AND nonce = ? "
            "AND state IN ('finalized', 'effective', 'failed')",
            ss58_address,
            self.lowest_nonce(ss58_address) - 1,
        )

    def last_signed(self, ss58_address: str, netuid: int, mechid: int) -> Intent | None:
        """The newest weights of this slot whose signature was or may be taken; None if there are none."""
        return self._one(
            "WHERE ss58_address = ? AND netuid = ? AND mechid = ? AND kind = 'set_weights' AND signed_ms IS NOT NULL "
            "AND state NOT IN ('accepted', 'failed', 'expired') ORDER BY signed_ms DESC LIMIT 1",
            ss58_address,
            netuid,
            mechid,
        )

    def later_weights(self, intent: Intent) -> list[tuple[tuple[int, int], ...]]:
        """What was signed for the same slot under a higher nonce: it may rightly stand in this one's place."""
        later = self._many(
            "WHERE ss58_address = ? AND netuid = ? AND mechid = ? AND kind = 'set_weights' AND nonce > ?",
            *(intent.ss58_address, intent.netuid, intent.mechid, intent.nonce),
        )
        return [each.weights for each in later if each.weights is not None]

    def later_wishes(self, intent: Intent) -> list[str]:
        """The requests of calls beside weights that were signed for the same subnet under a higher nonce."""
        later = self._many(
            "WHERE ss58_address = ? AND netuid = ? AND kind != 'set_weights' AND nonce > ?",
            *(intent.ss58_address, intent.netuid, intent.nonce),
        )
        return [each.request for each in later]

    def clients(self) -> list[tuple[bytes, ClientView]]:
        """Every client with the SHA-256 of its token, revoked ones too."""
        # Asked for with every question that carries a token, changed by the operator alone: kept until a write.
        if self._clients is None:
            rows = self._db.execute(
                "SELECT token_sha256, name, wallet, hotkey, calls, netuids, per_hour, created_ms, revoked_ms "
                "FROM clients ORDER BY created_ms, name"
            )
            self._clients = [(token, _client(*columns)) for token, *columns in rows]
        return self._clients

    def forget_clients(self) -> None:
        """They changed, or may not have: read them again. For ``Writer`` and ``transaction``."""
        self._clients = None

    def meta(self, key: str) -> str | None:
        """A single remembered value, None if it was never set."""
        row = self._db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return str(row[0]) if row else None

    def commit_reveal(self, genesis: str, netuid: int) -> bool | None:
        """Whether this subnet had commit-reveal on when it was last signed for; None if never."""
        row = self._db.execute(
            "SELECT commit_reveal FROM subnets WHERE genesis = ? AND netuid = ?", (genesis, netuid)
        ).fetchone()
        return bool(row[0]) if row else None

    def records(self, after: int = 0) -> Iterator[Record]:
        """The audit chain, from the first record after number ``after`` on."""
        rows = self._db.execute(
            "SELECT seq, at_ms, kind, client, body, hash FROM audit WHERE seq > ? ORDER BY seq", (after,)
        )
        return (Record(*row) for row in rows)

    def _one(self, where: str, *values: Any) -> Intent | None:
        found = self._many(where, *values)
        return found[0] if found else None

    def _many(self, where: str, *values: Any) -> list[Intent]:
        return [_from_row(row) for row in self._db.execute(f"{_SELECT} {where}", values)]

    def _number(self, query: str, *values: Any) -> int:
        return int(self._db.execute(query, values).fetchone()[0])

    def execute(self, query: str, *values: Any) -> int:
        """Rows changed. For ``Writer`` alone."""
        return self._db.execute(query, values).rowcount


def _is_full(error: sqlite3.Error) -> bool:
    # Errors that SQLite itself did not raise have no code.
    return getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL


def _lock_folder(folder: Path) -> int:
    # A second signer on the same journal would be a second clock and a second nonce lane. SQLite's own exclusive mode
    # would also keep out readers such as `audit verify`.
    lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(lock)
        raise ConfigurationError(f"{folder}: expected no other signer on this journal, found one running") from error
    return lock


class Writer:
    """What may be written in one transaction."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    def record(self, at_ms: int, kind: str, client: str, **body: Any) -> None:
        """Appends to the audit chain. The body holds names and numbers, never a secret."""
        self._journal.audit(at_ms, kind, client, body)

    def add_intent(self, intent: Intent) -> None:
        """A new intent, accepted."""
        self._journal.execute(_INSERT, *_to_row(intent))

    def change_intent(self, intent: Intent, state: State) -> None:
        """Moves the intent to ``state`` with all that was set on it; its version grows by one."""
        before = intent.state
        assert state in _FOLLOWS[before], f"{state} cannot follow {before}"
        intent.state = state
        intent.version += 1
        changed = self._journal.execute(_UPDATE, *_to_row(intent), intent.id, intent.version - 1)
        assert changed == 1, "an intent changed under our hands"

    def add_client(self, token_sha256: bytes, client: ClientView) -> None:
        """A new client."""
        self._journal.forget_clients()
        netuids = None if client.netuids is None else json.dumps(client.netuids)
        self._journal.execute(
            "INSERT INTO clients VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            *(client.name, token_sha256, client.wallet, client.hotkey, json.dumps(client.calls), netuids),
            *(client.per_hour, client.created_ms, client.revoked_ms),
        )

    def revoke_client(self, name: str, at_ms: int) -> None:
        """Its token is nothing from now on."""
        self._journal.forget_clients()
        self._journal.execute("UPDATE clients SET revoked_ms = ? WHERE name = ?", at_ms, name)

    def count_signed(self, client: str, call: str, hour: int) -> None:
        """One more signature for this client in this hour; hours long past are forgotten."""
        self._journal.execute("DELETE FROM tallies WHERE hour < ?", hour - 1)
        self._journal.execute(
            "INSERT INTO tallies VALUES (?, ?, ?, 1) ON CONFLICT (client, call, hour) DO UPDATE SET count = count + 1",
            *(client, call, hour),
        )

    def take_request_nonce(self, ss58_address: str, nonce_ns: int, forget_before_ns: int) -> bool:
        """Marks the nonce as used; False if it was before. Those that no window lets in any more are forgotten."""
        self._journal.execute(
            "DELETE FROM nonces WHERE ss58_address = ? AND nonce_ns < ?", ss58_address, forget_before_ns
        )
        return self._journal.execute("INSERT OR IGNORE INTO nonces VALUES (?, ?)", ss58_address, nonce_ns) == 1

    def add_extrinsic(self, ss58_address: str, nonce: int, signed: SignedExtrinsic, now_ms: int) -> None:
        """A node's own extrinsic; dead ones make room."""
        self._journal.execute("DELETE FROM extrinsics WHERE ss58_address = ? AND dead_ms <= ?", ss58_address, now_ms)
        self._journal.execute("INSERT INTO extrinsics VALUES (?, ?, ?, ?, ?)", ss58_address, nonce, *signed)

    def set_meta(self, key: str, value: str) -> None:
        """Remembers a single value."""
        self._journal.execute(
            "INSERT INTO meta VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value", key, value
        )

    def set_commit_reveal(self, genesis: str, netuid: int, on: bool) -> None:
        """Remembers how this subnet takes weights."""
        self._journal.execute(
            "INSERT INTO subnets VALUES (?, ?, ?) ON CONFLICT (genesis, netuid) "
            "DO UPDATE SET commit_reveal = excluded.commit_reveal",
            *(genesis, netuid, int(on)),
        )


def _client(name: str, wallet: str, hotkey: str, calls: str, netuids: str | None, *numbers: Any) -> ClientView:
    per_hour, created_ms, revoked_ms = numbers
    return ClientView(
        name=name,
        wallet=wallet,
        hotkey=hotkey,
        calls=tuple(json.loads(calls)),
        netuids=None if netuids is None else tuple(json.loads(netuids)),
        per_hour=per_hour,
        created_ms=created_ms,
        revoked_ms=revoked_ms,
    )
