"""The journal's tables, and their version."""

SCHEMA_VERSION = 2
"""Kept as SQLite's ``user_version``.

``upgrade`` says from which versions a journal is taken over; others are refused.
"""

SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
CREATE TABLE clients (
    name TEXT PRIMARY KEY, token_sha256 BLOB UNIQUE, wallet TEXT NOT NULL, hotkey TEXT NOT NULL,
    calls TEXT NOT NULL, netuids TEXT, per_hour INTEGER NOT NULL, created_ms INTEGER NOT NULL, revoked_ms INTEGER,
    public_key TEXT UNIQUE, CHECK ((token_sha256 IS NULL) != (public_key IS NULL))
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
    reveal_round INTEGER, reveal_by_ms INTEGER, block_hash TEXT, block_number INTEGER, failure TEXT,
    generation INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX intents_key ON intents (client, idempotency_key) WHERE idempotency_key IS NOT NULL;
CREATE INDEX intents_open ON intents (accepted_ms, client) WHERE state NOT IN ('effective', 'failed', 'expired');
CREATE INDEX intents_recent ON intents (client, accepted_ms, kind);
CREATE INDEX intents_age ON intents (accepted_ms);
CREATE INDEX intents_nonce ON intents (ss58_address, nonce) WHERE block_hash IS NOT NULL;
CREATE INDEX intents_slot ON intents (ss58_address, netuid, mechid, signed_ms);
CREATE TABLE subnets (genesis TEXT NOT NULL, netuid INTEGER NOT NULL, commit_reveal INTEGER NOT NULL,
    PRIMARY KEY (genesis, netuid)) STRICT;
CREATE TABLE slots (ss58_address TEXT NOT NULL, netuid INTEGER NOT NULL, mechid INTEGER NOT NULL,
    at_ms INTEGER NOT NULL, block INTEGER NOT NULL, weights TEXT NOT NULL,
    PRIMARY KEY (ss58_address, netuid, mechid)) STRICT, WITHOUT ROWID;
CREATE TABLE tallies (client TEXT NOT NULL, call TEXT NOT NULL, hour INTEGER NOT NULL, count INTEGER NOT NULL,
    PRIMARY KEY (client, call, hour)) STRICT, WITHOUT ROWID;
CREATE TABLE nonces (ss58_address TEXT NOT NULL, nonce_ns INTEGER NOT NULL,
    PRIMARY KEY (ss58_address, nonce_ns)) STRICT, WITHOUT ROWID;
CREATE TABLE extrinsics (ss58_address TEXT NOT NULL, nonce INTEGER NOT NULL, payload_sha256 BLOB NOT NULL,
    signature BLOB NOT NULL, dead_ms INTEGER NOT NULL, PRIMARY KEY (ss58_address, nonce)) STRICT;
CREATE TABLE lanes (ss58_address TEXT PRIMARY KEY, nonce INTEGER NOT NULL, why TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE signatures (ss58_address TEXT NOT NULL, nonce INTEGER NOT NULL, count INTEGER NOT NULL,
    PRIMARY KEY (ss58_address, nonce)) STRICT, WITHOUT ROWID;
CREATE TABLE audit (
    seq INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, kind TEXT NOT NULL, client TEXT NOT NULL, body TEXT NOT NULL,
    hash BLOB NOT NULL
) STRICT;
"""
"""Every table and index of a new journal."""
