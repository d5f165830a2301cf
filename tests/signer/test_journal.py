"""The journal: what was committed is there, what was not is not, and after a fault nothing more is written."""

import fcntl
import os
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from wallet_guard.host.config import ConfigurationError
from wallet_guard.ipc.clients import ClientView
from wallet_guard.ipc.intents import Failure, State
from wallet_guard.signed.audit import verify_chain
from wallet_guard.signer.journal import _FOLLOWS, JOURNAL_FILE, Intent, Journal, JournalError

CLIENT = ClientView("node", "validator", "default", ("set_weights",), (1, 2), 10, 1, None)


def an_intent(name: str = "a", **changes: Any) -> Intent:
    values: dict[str, Any] = {
        "id": name,
        "client": "node",
        "wallet": "validator",
        "hotkey": "default",
        "ss58_address": "5G",
        "netuid": 2,
        "mechid": 0,
        "request": "{}",
        "request_sha256": b"x" * 32,
        "idempotency_key": None,
        "queue": False,
        "accepted_ms": 1_000,
        "deadline_ms": 2_000,
    }
    return Intent(**{**values, **changes})


@pytest.fixture
def journal(tmp_path: Path) -> Any:
    opened = Journal(tmp_path / "state")
    yield opened
    opened.close()


def add(journal: Journal, intent: Intent, *states: State) -> Intent:
    with journal.transaction() as writer:
        writer.add_intent(intent)
        for state in states:
            writer.change_intent(intent, state)
    return intent


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


def test_an_intent_comes_back_as_it_was_written(tmp_path: Path) -> None:
    intent = an_intent(
        queue=True,
        idempotency_key="k",
        keep_nonce=True,
        lost=True,
        weights=((1, 2), (3, 65535)),
        extrinsic=b"\0\1",
        failure=Failure("code", "message", "hint", may_be_submitted=True),
        deadline_ms=2**53,
        reveal_round=2**40,
    )
    journal = Journal(tmp_path / "state")
    add(journal, intent)
    journal.close()
    journal = Journal(tmp_path / "state")
    assert journal.intent("a") == intent
    assert journal.intent_by_key("node", "k") == intent
    assert journal.intent("b") is None
    assert journal.intent_by_key("other", "k") is None
    journal.close()


@pytest.mark.parametrize("before", list(State))
@pytest.mark.parametrize("after", list(State))
def test_what_may_follow_what_is_the_table(journal: Journal, before: State, after: State) -> None:
    intent = add(journal, an_intent(state=before))
    if after in _FOLLOWS[before]:
        with journal.transaction() as writer:
            writer.change_intent(intent, after)
        assert journal.intent("a") == intent
        assert (intent.state, intent.version) == (after, 2)
    else:
        with pytest.raises(AssertionError), journal.transaction() as writer:
            writer.change_intent(intent, after)
        found = journal.intent("a")
        assert found is not None
        assert (found.state, found.version) == (before, 1)
        assert journal.error == ""


@pytest.mark.parametrize("final", [State.EFFECTIVE, State.FAILED, State.EXPIRED])
def test_nothing_follows_an_end(final: State) -> None:
    assert _FOLLOWS[final] == frozenset()


def test_signed_bytes_are_never_forgotten_by_going_back_from_a_block() -> None:
    # From a block an intent goes on, or back to the pool; never back to be signed anew.
    assert State.ACCEPTED not in _FOLLOWS[State.IN_BLOCK] | _FOLLOWS[State.FINALIZED]


def test_a_change_made_on_an_old_copy_is_an_error(journal: Journal) -> None:
    add(journal, an_intent())
    first, second = journal.intent("a"), journal.intent("a")
    assert first is not None
    assert second is not None
    with journal.transaction() as writer:
        writer.change_intent(first, State.SIGNED)
    with pytest.raises(AssertionError, match="under our hands"), journal.transaction() as writer:
        writer.change_intent(second, State.EXPIRED)
    found = journal.intent("a")
    assert found is not None
    assert found.state is State.SIGNED


def test_all_or_nothing(journal: Journal) -> None:
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


def test_the_audit_chain_goes_on_after_a_restart(tmp_path: Path) -> None:
    for round_ in range(3):
        journal = Journal(tmp_path / "state")
        with journal.transaction() as writer:
            writer.record(round_, "started", "", n=round_, text="é\n")
        assert verify_chain(journal.records()) == (round_ + 1, journal.audit_head[1])
        journal.close()


def write(journal: Journal) -> None:
    with journal.transaction() as writer:
        writer.add_intent(an_intent("b"))
        writer.record(1, "accepted", "node", intent="b")


@pytest.mark.parametrize("at", range(1, 5))
@pytest.mark.parametrize("after", [False, True])
def test_after_any_failed_statement_nothing_is_written_and_nothing_half_is_read(
    tmp_path: Path, at: int, after: bool
) -> None:
    """BEGIN, two inserts, COMMIT: each fails, with or without its effect."""
    journal = Journal(tmp_path / "state")
    add(journal, an_intent())
    true = journal._db
    journal._db = Faulty(true, at, after=after)  # type: ignore[assignment]
    with pytest.raises(JournalError):
        write(journal)
    journal._db = true
    committed = at == 4 and after
    assert (journal.intent("b") is not None) == committed
    for _ in range(2):
        with pytest.raises(JournalError, match="disk I/O error"):
            write(journal)
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
        cwd=Path(__file__).parents[2],
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
        [sys.executable, "-c", KILLED, str(tmp_path / "state")], cwd=Path(__file__).parents[2], check=False, timeout=30
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


@pytest.mark.parametrize("version", [2, 99, -1])
def test_a_journal_of_another_version_is_refused(tmp_path: Path, version: int) -> None:
    Journal(tmp_path / "state").close()
    other = sqlite3.connect(tmp_path / "state" / JOURNAL_FILE)
    other.execute(f"PRAGMA user_version = {version}")
    other.close()
    for _ in range(2):
        with pytest.raises(ConfigurationError, match=f"expected journal version 1, found {version}"):
            Journal(tmp_path / "state")


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


def test_clients_come_back_and_stay_revoked(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "state")
    with journal.transaction() as writer:
        writer.add_client(b"1" * 32, CLIENT)
    assert journal.clients() == [(b"1" * 32, CLIENT)]
    with journal.transaction() as writer:
        writer.revoke_client("node", 77)
    assert journal.clients()[0][1].revoked_ms == 77
    journal.close()
    journal = Journal(tmp_path / "state")
    assert journal.clients()[0][1].revoked_ms == 77
    journal.close()


def test_a_client_of_a_step_that_failed_is_none(journal: Journal) -> None:
    def step() -> None:
        with journal.transaction() as writer:
            writer.add_client(b"1" * 32, CLIENT)
            assert len(journal.clients()) == 1
            raise KeyError

    with pytest.raises(KeyError):
        step()
    assert journal.clients() == []


# The nonce lane and the slots -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "changes", "held"),
    [
        (State.ACCEPTED, {"nonce": 5}, False),
        (State.ACCEPTED, {"nonce": 5, "keep_nonce": True}, True),
        (State.SIGNED, {"nonce": 5}, True),
        (State.SIGNED, {"nonce": 5, "lost": True}, True),
        (State.SUBMITTED, {"nonce": 5}, True),
        (State.IN_BLOCK, {"nonce": 5}, True),
        (State.FINALIZED, {"nonce": 5}, False),
        (State.EFFECTIVE, {"nonce": 5}, False),
        (State.FAILED, {"nonce": 5}, False),
        (State.EXPIRED, {"nonce": 5}, False),
    ],
)
def test_a_nonce_is_held_while_its_signature_may_be_taken(
    journal: Journal, state: State, changes: dict[str, Any], held: bool
) -> None:
    add(journal, an_intent(state=state, **changes))
    assert journal.nonces_in_flight("5G", "") == ({5} if held else set())
    assert journal.nonces_in_flight("5G", "a") == set()
    assert journal.nonces_in_flight("5H", "") == set()


def test_the_lowest_nonce_is_one_above_what_is_final(journal: Journal) -> None:
    assert journal.lowest_nonce("5G") == 0
    add(journal, an_intent("a", state=State.SUBMITTED, nonce=9, block_hash="0x"))
    add(journal, an_intent("b", state=State.FAILED, nonce=8))
    assert journal.lowest_nonce("5G") == 0
    add(journal, an_intent("c", state=State.EFFECTIVE, nonce=5, block_hash="0x"))
    add(journal, an_intent("d", state=State.FAILED, nonce=6, block_hash="0x"))
    assert journal.lowest_nonce("5G") == 7
    assert journal.lowest_nonce("5H") == 0


def test_the_last_signed_of_a_slot_is_its_newest_that_may_have_been_taken(journal: Journal) -> None:
    add(journal, an_intent("a", state=State.EFFECTIVE, signed_ms=10))
    add(journal, an_intent("b", state=State.SUBMITTED, signed_ms=20))
    add(journal, an_intent("c", state=State.FAILED, signed_ms=30))
    add(journal, an_intent("d", state=State.SIGNED, signed_ms=40, mechid=1))
    found = journal.last_signed("5G", 2, 0)
    assert found is not None
    assert found.id == "b"
    assert journal.last_signed("5G", 3, 0) is None


def test_counts(journal: Journal) -> None:
    add(journal, an_intent("a", accepted_ms=100))
    add(journal, an_intent("b", accepted_ms=200, state=State.FAILED))
    add(journal, an_intent("c", accepted_ms=300, client="other"))
    assert (journal.count_open(), journal.count_open("node")) == (2, 1)
    assert journal.count_accepted("node", 100) == 2
    assert journal.count_accepted("node", 101) == 1
    assert [intent.id for intent in journal.open_intents()] == ["a", "c"]
    assert [intent.id for intent in journal.newest_intents(2)] == ["c", "b"]


def test_commit_reveal_is_remembered_per_chain_and_subnet(journal: Journal) -> None:
    assert journal.commit_reveal("0x1", 2) is None
    for on in (True, False, True):
        with journal.transaction() as writer:
            writer.set_commit_reveal("0x1", 2, on)
        assert journal.commit_reveal("0x1", 2) is on
    assert journal.commit_reveal("0x2", 2) is None
    assert journal.commit_reveal("0x1", 3) is None
