"""A journal of the version before, opened by this one; ``tests/system/test_upgrade.py`` does it with processes."""

import sqlite3
from pathlib import Path

import pytest

from wallet_guard.host.config import ConfigurationError
from wallet_guard.ipc.intents import State
from wallet_guard.signer.journal import JOURNAL_FILE, Journal, upgrade
from wallet_guard.signer.journal.schema import SCHEMA_VERSION

VERSION_1 = Path(__file__).parents[2] / "vectors/journal/version-1.sql"


def objects(path: Path) -> list[tuple[str, str]]:
    """Every table and index with its definition, spelled alike."""
    with sqlite3.connect(path) as db:
        rows = db.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY name").fetchall()
    db.close()
    return [(name, " ".join(sql.split())) for name, sql in rows]


@pytest.fixture
def before(tmp_path: Path) -> Path:
    """The folder of a journal of version 1."""
    folder = tmp_path / "state"
    folder.mkdir(mode=0o700)
    db = sqlite3.connect(folder / JOURNAL_FILE)
    db.executescript(VERSION_1.read_text())
    db.close()
    return folder


def test_has_the_tables_of_a_new_journal(before: Path, tmp_path: Path) -> None:
    Journal(before).close()
    Journal(tmp_path / "new").close()
    assert objects(before / JOURNAL_FILE) == objects(tmp_path / "new" / JOURNAL_FILE)
    db = sqlite3.connect(before / JOURNAL_FILE)
    assert db.execute("PRAGMA user_version").fetchone() == (SCHEMA_VERSION,)
    db.close()


def test_keeps_clients_intents_and_the_audit_chain(before: Path) -> None:
    journal = Journal(before)
    try:
        assert [(client.name, client.revoked_ms) for _, client in journal.clients()] == [("node", None), ("old", 950)]
        states = {name: journal.intent(name).state for name in ("a1", "b2", "c3", "d4")}  # type: ignore[union-attr]
        assert states == {"a1": State.EFFECTIVE, "b2": State.SUBMITTED, "c3": State.ACCEPTED, "d4": State.FAILED}
        kept = journal.intent_by_key("node", "key-b2")
        assert kept is not None
        assert (kept.extrinsic, kept.weights, kept.generation) == (b"y", ((2, 65535),), 1)
        assert [record.kind for record in journal.records()][:3] == ["client_added", "accepted", "signed"]
        assert journal.meta("genesis") == "0xab"
        assert journal.commit_reveal("0xab", 2)
    finally:
        journal.close()


def test_fills_what_was_not_written_down(before: Path) -> None:
    journal = Journal(before)
    try:
        # The newest weights of each slot.
        first, second = journal.slot("5G", 2, 0), journal.slot("5G", 2, 1)
        assert first is not None
        assert second is not None
        assert (first.at_ms, first.weights) == (1200, ((2, 65535),))
        assert (second.at_ms, second.weights) == (1250, ((3, 65535),))
        # Nonces that were signed here, each as often as it was: of intents and of a node's own extrinsic.
        assert [journal.count_signatures("5G", nonce) for nonce in (6, 7, 8, 9)] == [0, 1, 3, 1]
        assert journal.lane("5G") is None, "a lane begins at the chain's next nonce"
    finally:
        journal.close()


def test_a_crash_within_leaves_the_journal_as_it_was(before: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    was = objects(before / JOURNAL_FILE)
    monkeypatch.setattr(upgrade, "_FILL", (*upgrade._FILL, "INSERT INTO nowhere VALUES (1)"))
    with pytest.raises(ConfigurationError, match="nowhere"):
        Journal(before)
    assert objects(before / JOURNAL_FILE) == was
    monkeypatch.undo()
    Journal(before).close()


def test_goes_on_writing(before: Path) -> None:
    for _ in range(2):
        journal = Journal(before)
        with journal.transaction() as writer:
            writer.record(2_000, "started", "")
        journal.close()
