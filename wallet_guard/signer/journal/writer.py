"""What may be written to the journal."""

import json
import sqlite3
from typing import Any

from wallet_guard.ipc.clients import ClientView
from wallet_guard.ipc.intents import State
from wallet_guard.signer.journal.auditchain import AuditChain
from wallet_guard.signer.journal.intent import FOLLOWS, INSERT, UPDATE, Intent, to_row
from wallet_guard.signer.journal.reading import SignedExtrinsic
from wallet_guard.signer.rules import Signed

_encode = json.JSONEncoder(check_circular=False, separators=(",", ":")).encode


class Writer:
    """What may be written in one transaction."""

    def __init__(self, db: sqlite3.Connection, chain: AuditChain) -> None:
        self._db, self._chain = db, chain
        self.changed_clients = False
        """Clients were written: who remembers them must read them again."""

    def record(self, at_ms: int, kind: str, client: str, **body: Any) -> None:
        """Appends to the audit chain. The body holds names and numbers, never a secret."""
        self._chain.append(self._db, at_ms, kind, client, body)

    def add_intent(self, intent: Intent) -> None:
        """A new intent, accepted."""
        self._execute(INSERT, *to_row(intent))

    def forget_intents(self, ids: list[str]) -> None:
        """These rows go; what was decided on them stays in the audit chain."""
        for each in ids:
            self._execute("DELETE FROM intents WHERE id = ?", each)

    def change_intent(self, intent: Intent, state: State) -> None:
        """Moves the intent to ``state`` with all that was set on it; its version grows by one."""
        before = intent.state
        assert state in FOLLOWS[before], f"{state} cannot follow {before}"
        intent.state = state
        intent.version += 1
        changed = self._execute(UPDATE, *to_row(intent, changing=True), intent.id, intent.version - 1)
        assert changed == 1, "an intent changed under our hands"

    def add_client(self, token_sha256: bytes | None, client: ClientView) -> None:
        """A new client, with a token or with a key of its own."""
        self.changed_clients = True
        netuids = None if client.netuids is None else json.dumps(client.netuids)
        self._execute(
            "INSERT INTO clients VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            *(client.name, token_sha256, client.wallet, client.hotkey, json.dumps(client.calls), netuids),
            *(client.per_hour, client.created_ms, client.revoked_ms, client.public_key),
        )

    def revoke_client(self, name: str, at_ms: int) -> None:
        """Its token is nothing from now on."""
        self.changed_clients = True
        self._execute("UPDATE clients SET revoked_ms = ? WHERE name = ?", at_ms, name)

    def count_signed(self, client: str, call: str, hour: int) -> None:
        """One more signature for this client in this hour; hours long past are forgotten."""
        self._execute("DELETE FROM tallies WHERE hour < ?", hour - 1)
        self._execute(
            "INSERT INTO tallies VALUES (?, ?, ?, 1) ON CONFLICT (client, call, hour) DO UPDATE SET count = count + 1",
            *(client, call, hour),
        )

    def take_request_nonce(self, ss58_address: str, nonce_ns: int, forget_before_ns: int) -> bool:
        """Marks the nonce as used; False if it was before. Those that no window lets in any more are forgotten."""
        self._execute("DELETE FROM nonces WHERE ss58_address = ? AND nonce_ns < ?", ss58_address, forget_before_ns)
        return self._execute("INSERT OR IGNORE INTO nonces VALUES (?, ?)", ss58_address, nonce_ns) == 1

    def add_extrinsic(self, ss58_address: str, nonce: int, signed: SignedExtrinsic, now_ms: int) -> None:
        """A node's own extrinsic; dead ones make room."""
        self._execute("DELETE FROM extrinsics WHERE ss58_address = ? AND dead_ms <= ?", ss58_address, now_ms)
        self._execute("INSERT INTO extrinsics VALUES (?, ?, ?, ?, ?)", ss58_address, nonce, *signed)

    def add_signature(self, ss58_address: str, nonce: int) -> None:
        """One more extrinsic was signed under this nonce."""
        self._execute(
            "INSERT INTO signatures VALUES (?, ?, 1) ON CONFLICT (ss58_address, nonce) DO UPDATE SET count = count + 1",
            *(ss58_address, nonce),
        )

    def set_lane(self, ss58_address: str, nonce: int, keep_from: int = 0) -> None:
        """Below ``nonce`` all is accounted for; signatures below ``keep_from`` matter no more."""
        self._execute(
            "INSERT INTO lanes VALUES (?, ?, '') ON CONFLICT (ss58_address) DO UPDATE SET nonce = excluded.nonce",
            *(ss58_address, nonce),
        )
        self._execute("DELETE FROM signatures WHERE ss58_address = ? AND nonce < ?", ss58_address, keep_from)

    def lock_lane(self, ss58_address: str, why: str) -> None:
        """Nothing is signed with this hotkey from now on."""
        self._execute(
            "INSERT INTO lanes VALUES (?, 0, ?) ON CONFLICT (ss58_address) DO UPDATE SET why = excluded.why",
            *(ss58_address, why),
        )

    def forget_lane(self, ss58_address: str) -> None:
        """As if this hotkey had never been seen on the chain; a lock goes with it."""
        self._execute("DELETE FROM lanes WHERE ss58_address = ?", ss58_address)

    def forget_lanes(self) -> None:
        """As if no hotkey had ever been seen on the chain; one that is locked stays so."""
        self._execute("DELETE FROM lanes WHERE why = ''")
        self._execute("DELETE FROM signatures")

    def set_slot(self, ss58_address: str, netuid: int, mechid: int, signed: Signed) -> None:
        """The weights that are signed now for this slot."""
        self._execute(
            "INSERT OR REPLACE INTO slots VALUES (?, ?, ?, ?, ?, ?)",
            *(ss58_address, netuid, mechid, signed.at_ms, signed.block, _encode(signed.weights)),
        )

    def set_meta(self, key: str, value: str) -> None:
        """Remembers a single value."""
        self._execute(
            "INSERT INTO meta VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value", key, value
        )

    def set_commit_reveal(self, genesis: str, netuid: int, on: bool) -> None:
        """Remembers how this subnet takes weights."""
        self._execute(
            "INSERT INTO subnets VALUES (?, ?, ?) ON CONFLICT (genesis, netuid) "
            "DO UPDATE SET commit_reveal = excluded.commit_reveal",
            *(genesis, netuid, int(on)),
        )

    def _execute(self, query: str, *values: Any) -> int:
        """Rows changed."""
        return self._db.execute(query, values).rowcount
