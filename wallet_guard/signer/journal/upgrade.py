"""A journal of the version before, made into one of this version: in one transaction, whole or not at all.

What is kept: every client, intent, counter and audit record. What the version before did not write down is filled from
its intents, so that nothing looks new: the last weights of each slot, and which nonces were signed here (a nonce that
finality shows consumed, and that nobody here signed, would lock its hotkey).
"""

import re
import sqlite3

from wallet_guard.signer.journal.schema import SCHEMA, SCHEMA_VERSION

UPGRADABLE = frozenset({1})
"""Versions that are taken over."""

_CREATES = re.compile(r"\s*CREATE (?:UNIQUE )?(?:TABLE|INDEX) (\w+)")

_TAKE_APART = (
    "DROP INDEX intents_key",
    "DROP INDEX intents_open",
    "DROP INDEX intents_recent",
    "DROP INDEX intents_slot",
    "ALTER TABLE clients RENAME TO clients_before",
    "ALTER TABLE intents RENAME TO intents_before",
)

_FILL = (
    "INSERT INTO clients SELECT name, token_sha256, wallet, hotkey, calls, netuids, per_hour, created_ms, revoked_ms, "
    "NULL FROM clients_before",
    # Generations are counted from 1.
    "INSERT INTO intents SELECT *, 1 FROM intents_before",
    # A bare column beside max() is of the row that has the maximum (SQLite, lang_select, 2.5). The block at which it
    # was signed was not kept; its era begins a few before.
    "INSERT INTO slots SELECT ss58_address, netuid, mechid, max(signed_ms), coalesce(era_birth, 0), weights "
    "FROM intents WHERE kind = 'set_weights' AND signed_ms IS NOT NULL AND weights IS NOT NULL "
    "GROUP BY ss58_address, netuid, mechid",
    "INSERT INTO signatures SELECT ss58_address, nonce, sum(count) FROM ("
    "SELECT ss58_address, nonce, max(attempt, 1) AS count FROM intents WHERE nonce IS NOT NULL "
    "UNION ALL SELECT ss58_address, nonce, 1 FROM extrinsics) GROUP BY ss58_address, nonce",
    "DROP TABLE clients_before",
    "DROP TABLE intents_before",
)


def upgrade(db: sqlite3.Connection) -> None:
    """Makes a sound journal of a version in ``UPGRADABLE`` one of this version; a crash leaves it as it was.

    Raises:
        sqlite3.Error: it could not be written, or is not what its version says; nothing changed.
    """
    db.execute("BEGIN IMMEDIATE")
    try:
        for statement in _TAKE_APART:
            db.execute(statement)
        there = {name for (name,) in db.execute("SELECT name FROM sqlite_master")}
        for statement in SCHEMA.split(";"):
            creates = _CREATES.match(statement)
            if creates and creates[1] not in there:
                db.execute(statement)
        for statement in _FILL:
            db.execute(statement)
        db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
    except BaseException:
        db.execute("ROLLBACK")
        raise
    db.execute("COMMIT")
