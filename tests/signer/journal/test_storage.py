"""The journal: what was committed is there, what was not is not, and after a fault nothing more is written."""

import fcntl
import json
import os
import sqlite3
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from wallet_guard.host.config import ConfigurationError
from wallet_guard.signed.audit import verify_chain
from wallet_guard.signer.journal import JOURNAL_FILE, Intent, Journal, JournalError


class Faulty:
    """A database connection that fails at the n-th statement; ``before`` tells if it had its effect."""

    def __init__(self, db: sqlite3.Connection, at: int, *, after: bool = False) -> None:
        self.db, self.left, self.after = db, at, after

    def execute(self, query: str, *values: Any) -> Any:
        self.left -= 1
        if self.left == 0:
            if self.after:
                self.db.execute(query, *values)
            raise sqlite3.OperationalError("disk I/O error")
        return self.db.execute(query, *values)

    def close(self) -> None:
        self.db.close()


def test_a_new_journal_is_private_and_empty(journal: Journal, tmp_path: Path) -> None:
    assert (tmp_path / "state").stat().st_mode & 0o777 == 0o700
    assert journal.path.stat().st_mode & 0o777 == 0o600
    assert journal.open_intents() == []
    assert journal.audit_head == (0, bytes(32))


def test_all_or_nothing(journal: Journal, an_intent: Any) -> None:
    def step() -> None:
        with journal.transaction() as writer:
            writer.add_intent(an_intent())
            writer.record(1, "accepted", "node", intent="a")
            writer.set_meta("genesis", "0x00")
            raise KeyError

    with pytest.raises(KeyError):
        step()
    assert journal.intent("a") is None
    assert journal.meta("genesis") is None
    assert journal.audit_head == (0, bytes(32))
    # Not a fault of the file: the next step is taken.
    with journal.transaction() as writer:
        writer.record(2, "started", "")
    assert journal.audit_head[0] == 1
    assert verify_chain(journal.records()) == journal.audit_head


def write(journal: Journal, intent: Intent) -> None:
    with journal.transaction() as writer:
        writer.add_intent(intent)
        writer.record(1, "accepted", "node", intent="b")


@pytest.mark.parametrize("at", range(1, 5))
@pytest.mark.parametrize("after", [False, True])
def test_after_any_failed_statement_nothing_is_written_and_nothing_half_is_read(
    tmp_path: Path, at: int, after: bool, an_intent: Any, add: Any
) -> None:
    """BEGIN, two inserts, COMMIT: each fails, with or without its effect."""
    journal = Journal(tmp_path / "state")
    add(journal, an_intent())
    true = journal._db
    journal._db = Faulty(true, at, after=after)  # type: ignore[assignment]
    with pytest.raises(JournalError):
        write(journal, an_intent("b"))
    journal._db = true
    committed = at == 4 and after
    assert (journal.intent("b") is not None) == committed
    for _ in range(2):
        with pytest.raises(JournalError, match="disk I/O error"):
            write(journal, an_intent("b"))
        with pytest.raises(JournalError), journal.transaction():
            pytest.fail("no transaction may begin")
    journal.close()
    journal = Journal(tmp_path / "state")
    assert (journal.intent("b") is not None) == committed
    assert verify_chain(journal.records()) == journal.audit_head
    assert journal.error == ""
    journal.close()


FULL_DISK = """
import resource, signal, sys
from wallet_guard.signer.journal import Journal, JournalError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
journal = Journal(sys.argv[1])
done = 0
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))
try:
    for done in range(10_000):
        with journal.transaction() as writer:
            writer.record(done, "x", "", text="y" * 500)
except JournalError as error:
    print(done, journal.audit_head[0], sum(1 for _ in journal.records()))
"""


def test_a_full_disk_stops_the_journal_and_loses_nothing_that_was_committed(tmp_path: Path) -> None:
    shown = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(tmp_path / "state")],
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    done, head, read = map(int, shown.stdout.split())
    assert done == head == read > 10
    journal = Journal(tmp_path / "state")
    assert journal.audit_head[0] == done
    assert verify_chain(journal.records()) == journal.audit_head
    journal.close()


KILLED = """
import os, signal, sys
from wallet_guard.signer.journal import Journal
journal = Journal(sys.argv[1])
with journal.transaction() as writer:
    writer.record(1, "kept", "")
with journal.transaction() as writer:
    writer.record(2, "lost", "")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_process_killed_inside_a_transaction_leaves_nothing_of_it(tmp_path: Path) -> None:
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path / "state")], cwd=Path(__file__).parents[3], check=False, timeout=30
    )
    assert killed.returncode == -9
    journal = Journal(tmp_path / "state")
    assert [record.kind for record in journal.records()] == ["kept"]
    journal.close()


def test_every_commit_is_synced(journal: Journal) -> None:
    assert journal._db.execute("PRAGMA synchronous").fetchone() == (2,)
    assert journal._db.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_a_second_signer_is_refused(journal: Journal, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="expected no other signer on this journal"):
        Journal(tmp_path / "state")
    assert journal.audit_head[0] == 0


def test_a_lock_ends_with_its_holder(tmp_path: Path) -> None:
    Journal(tmp_path / "state").close()
    held = os.open(tmp_path / "state", os.O_RDONLY)
    fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    with pytest.raises(ConfigurationError, match="found one running"):
        Journal(tmp_path / "state")
    os.close(held)
    Journal(tmp_path / "state").close()


def test_a_reader_may_look_while_the_signer_writes(journal: Journal) -> None:
    reader = sqlite3.connect(f"file:{journal.path}?mode=ro", uri=True, isolation_level=None)
    reader.execute("BEGIN")
    assert reader.execute("SELECT count(*) FROM audit").fetchone() == (0,)
    with journal.transaction() as writer:
        writer.record(1, "started", "")
    reader.close()
    assert journal.audit_head[0] == 1


def test_a_file_that_is_no_journal_is_refused(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir(mode=0o700)
    (tmp_path / "state" / JOURNAL_FILE).write_bytes(b"no database" * 1000)
    with pytest.raises(ConfigurationError, match="expected a sound journal"):
        Journal(tmp_path / "state")


def test_a_damaged_journal_is_refused(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "state")
    with journal.transaction() as writer:
        for at in range(200):
            writer.record(at, "x", "", text="y" * 500)
    journal.close()
    path = tmp_path / "state" / JOURNAL_FILE
    data = bytearray(path.read_bytes())
    data[40_000:80_000] = b"\xaa" * 40_000
    path.write_bytes(data)
    with pytest.raises(ConfigurationError, match="expected a sound journal"):
        Journal(tmp_path / "state")


def test_an_open_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state").chmod(0o750)
    with pytest.raises(ConfigurationError, match="expected mode 0700, found 0750"):
        Journal(tmp_path / "state")


# The nonce lane and the slots -----------------------------------------------------------------------------------------


# Steps that become durable together -----------------------------------------------------------------------------------


def statements(journal: Journal) -> list[str]:
    """What SQLite is asked from now on, COMMITs and the like."""
    said: list[str] = []
    journal._db.set_trace_callback(said.append)
    return said


def test_steps_together_are_one_commit(journal: Journal, an_intent: Any) -> None:
    said = statements(journal)
    with journal.together():
        for name in "abc":
            write(journal, an_intent(name))
    assert [text for text in said if text in ("BEGIN IMMEDIATE", "COMMIT")] == ["BEGIN IMMEDIATE", "COMMIT"]
    assert [intent.id for intent in journal.open_intents()] == ["a", "b", "c"]
    assert verify_chain(journal.records()) == journal.audit_head


def test_a_group_that_writes_nothing_asks_the_disk_for_nothing(journal: Journal) -> None:
    said = statements(journal)
    with journal.together():
        journal.open_intents()
    assert not [text for text in said if not text.startswith("SELECT")]


@pytest.mark.parametrize("refused", [0, 1, 2])
def test_a_step_that_is_taken_back_leaves_its_neighbours(journal: Journal, an_intent: Any, refused: int) -> None:
    def step(at: int) -> None:
        with journal.transaction() as writer:
            writer.add_intent(an_intent(str(at)))
            writer.record(1, "accepted", "node", intent=str(at))
            if at == refused:
                raise KeyError

    with journal.together():
        for at in range(3):
            with suppress(KeyError):
                step(at)
    kept = [str(at) for at in range(3) if at != refused]
    assert [intent.id for intent in journal.open_intents()] == kept
    assert [json.loads(record.body)["intent"] for record in journal.records()] == kept
    assert verify_chain(journal.records()) == journal.audit_head


def test_a_group_that_is_left_by_an_error_never_was(journal: Journal, an_intent: Any) -> None:
    with pytest.raises(KeyError), journal.together():
        write(journal, an_intent())
        raise KeyError
    assert journal.intent("a") is None
    assert journal.audit_head == (0, bytes(32))
    write(journal, an_intent())
    assert verify_chain(journal.records()) == journal.audit_head


@pytest.mark.parametrize("at", range(1, 10))
@pytest.mark.parametrize("after", [False, True])
def test_after_any_failed_statement_nothing_of_the_group_is_read(
    tmp_path: Path, at: int, after: bool, an_intent: Any, add: Any
) -> None:
    """BEGIN, two inserts, SAVEPOINT, two inserts, RELEASE, COMMIT; the last row fails nothing."""
    journal = Journal(tmp_path / "state")
    add(journal, an_intent())
    true = journal._db
    journal._db = Faulty(true, at, after=after)  # type: ignore[assignment]
    fails = at < 9
    with suppress(JournalError), journal.together():
        for name in ("b", "c"):
            with suppress(JournalError):
                write(journal, an_intent(name))
        said = True
    journal._db = true
    assert said
    committed = (at == 8 and after) or not fails
    assert [intent.id for intent in journal.open_intents()] == (["a", "b", "c"] if committed else ["a"])
    assert bool(journal.error) == fails
    journal.close()
    journal = Journal(tmp_path / "state")
    assert [intent.id for intent in journal.open_intents()] == (["a", "b", "c"] if committed else ["a"])
    assert verify_chain(journal.records()) == journal.audit_head
    journal.close()


def test_after_a_lost_step_the_rest_of_its_group_is_refused(journal: Journal, an_intent: Any) -> None:
    true = journal._db
    with pytest.raises(JournalError), journal.together():
        write(journal, an_intent())
        journal._db = Faulty(true, 1)  # type: ignore[assignment]
        with pytest.raises(JournalError):
            write(journal, an_intent("b"))
        journal._db = true
        with pytest.raises(JournalError):
            write(journal, an_intent("c"))
    assert journal.open_intents() == []
