"""What is asked of the journal; nothing here writes."""

import json
import sqlite3
from collections.abc import Iterator
from typing import Any, NamedTuple

from wallet_guard.ipc.clients import ClientView
from wallet_guard.signed.audit import Record
from wallet_guard.signer.journal.intent import SELECT, Intent, from_row
from wallet_guard.signer.rules import Signed

_OPEN = "state NOT IN ('effective', 'failed', 'expired')"


MAX_DENIALS_SEARCHED = 1000
"""Newest audit records looked through for refusals: a millisecond."""


class SignedExtrinsic(NamedTuple):
    """A node's own extrinsic that was signed; its nonce is taken until ``dead_ms``."""

    payload_sha256: bytes
    signature: bytes
    dead_ms: int


class Reading:
    """Questions to an open journal."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._clients: list[tuple[bytes, ClientView]] | None = None

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

    def page(self, client: str, unfinished: bool, before_ms: int | None, count: int) -> list[Intent]:
        """The newest of one client ("" of all), newest first: unfinished ones only, accepted before a time."""
        wanted = ["client = ?"] if client else []
        wanted += [_OPEN] if unfinished else []
        wanted += ["accepted_ms < ?"] if before_ms is not None else []
        values = [*([client] if client else []), *([before_ms] if before_ms is not None else []), count]
        where = f"WHERE {' AND '.join(wanted)} " if wanted else ""
        return self._many(where + "ORDER BY accepted_ms DESC, id LIMIT ?", *values)

    def intents_named(self, beginning: str, count: int) -> list[Intent]:
        """Those whose id begins so."""
        return self._many("WHERE id >= ? AND id < ? ORDER BY id LIMIT ?", beginning, beginning + "\x7f", count)

    def denials(self, count: int) -> list[tuple[int, str, str]]:
        """Time, client and body of the last refusals among the newest records, newest first."""
        query = (
            "SELECT at_ms, client, body FROM audit WHERE seq > (SELECT coalesce(max(seq), 0) - ? FROM audit) "
            "AND kind = 'denied' ORDER BY seq DESC LIMIT ?"
        )
        return self._db.execute(query, (MAX_DENIALS_SEARCHED, count)).fetchall()

    def ended_before(self, before_ms: int, count: int) -> list[str]:
        """Ids of the oldest that were accepted before then and have ended, but for the highest nonces known final."""
        rows = self._db.execute(
            f"SELECT id FROM intents INDEXED BY intents_age WHERE accepted_ms < ? AND NOT ({_OPEN}) "  # noqa: S608
            "AND (block_hash IS NULL OR nonce IS NULL OR nonce < (SELECT max(nonce) FROM intents AS other "
            "WHERE other.ss58_address = intents.ss58_address AND other.block_hash IS NOT NULL)) "
            "ORDER BY accepted_ms LIMIT ?",
            (before_ms, count),
        )
        return [found for (found,) in rows]

    def count_accepted(self, client: str, since_ms: int) -> int:
        """How many intents of this client were accepted since then."""
        return self.counts_accepted(client, since_ms, "")[0]

    def counts_accepted(self, client: str, since_ms: int, kind: str) -> tuple[int, int]:
        """How many intents of this client were accepted since then, and how many of them are of that kind."""
        query = (
            "SELECT count(*), count(*) FILTER (WHERE kind = ?) FROM intents INDEXED BY intents_recent "
            "WHERE client = ? AND accepted_ms >= ?"
        )
        of_all, of_kind = self._db.execute(query, (kind, client, since_ms)).fetchone()
        return int(of_all), int(of_kind)

    def count_open(self, client: str | None = None) -> int:
        """How many intents are unfinished, of one client or of all."""
        if client is None:
            return self._number(f"SELECT count(*) FROM intents WHERE {_OPEN}")  # noqa: S608
        # Of all that are open, not of all that this client ever had.
        query = f"SELECT count(*) FROM intents INDEXED BY intents_open WHERE client = ? AND {_OPEN}"  # noqa: S608
        return self._number(query, client)

    def count_open_by_state(self) -> list[tuple[str, str, bool, int]]:
        """How many intents are unfinished, by kind, state, and whether they are timelocked weights."""
        rows = self._db.execute(
            f"SELECT kind, state, reveal_round IS NOT NULL, count(*) FROM intents WHERE {_OPEN} GROUP BY 1, 2, 3"  # noqa: S608
        )
        return [(kind, state, bool(timelocked), count) for kind, state, timelocked, count in rows]

    def effective_slots(self, most: int) -> list[tuple[str, str, int, int, int]]:
        """Wallet, hotkey, netuid, mechid and block of the newest weights of each slot that took effect.

        Slots are found in the index alone, and each costs the rows since its last effect: a journal of 100,000 intents
        is no reason to hold up the signer.
        """
        slots = self._db.execute(
            "SELECT DISTINCT ss58_address, netuid, mechid FROM intents LIMIT ?", (most,)
        ).fetchall()
        query = (
            "SELECT wallet, hotkey, netuid, mechid, block_number FROM intents WHERE ss58_address = ? AND netuid = ? "
            "AND mechid = ? AND signed_ms IS NOT NULL AND kind = 'set_weights' AND state = 'effective' "
            "AND block_number IS NOT NULL ORDER BY signed_ms DESC LIMIT 1"
        )
        return [row for slot in slots for row in self._db.execute(query, slot)]

    def nonces_in_flight(self, ss58_address: str, but: str) -> set[int]:
        """Nonces of this hotkey under a signature that may still be taken, those of the intent ``but`` aside."""
        rows = self._db.execute(
            # By the few that are open, not by the many of this hotkey.
            f"SELECT nonce FROM intents INDEXED BY intents_open WHERE ss58_address = ? AND id != ? AND {_OPEN} "  # noqa: S608
            "AND nonce IS NOT NULL "
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

    def lane(self, ss58_address: str) -> int | None:
        """Below this nonce all that was consumed is accounted for; None before the first contact."""
        row = self._db.execute("SELECT nonce FROM lanes WHERE ss58_address = ?", (ss58_address,)).fetchone()
        return int(row[0]) if row else None

    def locked_lanes(self) -> dict[str, str]:
        """Address → why nothing is signed with that hotkey."""
        return dict(self._db.execute("SELECT ss58_address, why FROM lanes WHERE why != ''"))

    def count_signatures(self, ss58_address: str, nonce: int) -> int:
        """How many extrinsics were signed here under this nonce, as far as it still matters."""
        query = "SELECT coalesce(sum(count), 0) FROM signatures WHERE ss58_address = ? AND nonce = ?"
        return self._number(query, ss58_address, nonce)

    def first_strange_nonce(self, ss58_address: str, least: int, below: int) -> int | None:
        """The first nonce of that range under which nothing was signed here, None if there is none."""
        expected = least
        for (nonce,) in self._db.execute(
            "SELECT nonce FROM signatures WHERE ss58_address = ? AND nonce >= ? AND nonce < ? ORDER BY nonce",
            (ss58_address, least, below),
        ):
            if nonce != expected:
                break
            expected += 1
        return expected if expected < below else None

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
            "AND block_hash IS NOT NULL AND state IN ('finalized', 'effective', 'failed')",
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

    def slot(self, ss58_address: str, netuid: int, mechid: int) -> Signed | None:
        """The weights that were last signed for this slot, whatever became of them; None if there were none."""
        row = self._db.execute(
            "SELECT at_ms, block, weights FROM slots WHERE ss58_address = ? AND netuid = ? AND mechid = ?",
            (ss58_address, netuid, mechid),
        ).fetchone()
        return Signed(row[0], row[1], tuple(map(tuple, json.loads(row[2])))) if row else None

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
        """Every client with the SHA-256 of its token (b"" of one that has a key), revoked ones too."""
        # Asked for with every question that carries a token, changed by the operator alone: kept until a write.
        if self._clients is None:
            rows = self._db.execute(
                "SELECT token_sha256, name, wallet, hotkey, calls, netuids, per_hour, created_ms, revoked_ms, "
                "public_key "
                "FROM clients ORDER BY created_ms, name"
            )
            self._clients = [(token or b"", _client(*columns)) for token, *columns in rows]
        return self._clients

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
        return [from_row(row) for row in self._db.execute(f"{SELECT} {where}", values)]

    def _number(self, query: str, *values: Any) -> int:
        return int(self._db.execute(query, values).fetchone()[0])


def _client(name: str, wallet: str, hotkey: str, calls: str, netuids: str | None, *others: Any) -> ClientView:
    per_hour, created_ms, revoked_ms, public_key = others
    return ClientView(
        name=name,
        wallet=wallet,
        hotkey=hotkey,
        calls=tuple(json.loads(calls)),
        netuids=None if netuids is None else tuple(json.loads(netuids)),
        per_hour=per_hour,
        created_ms=created_ms,
        revoked_ms=revoked_ms,
        public_key=public_key,
    )
