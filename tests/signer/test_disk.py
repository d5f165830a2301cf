import os
import sqlite3

import pytest

from wallet_guard.host.config import ConfigurationError
from wallet_guard.ipc.chain import Event
from wallet_guard.ipc.intents import State
from wallet_guard.signer import disk
from wallet_guard.signer.desk import MAX_DENIALS_A_MINUTE
from wallet_guard.signer.disk import RESERVE_BYTES, RESERVE_FILE
from wallet_guard.signer.follow import MAX_STEPS
from wallet_guard.signer.journal import JOURNAL_FILE, Journal, JournalError
from wallet_guard.signer.journal.storage import MAX_LOG_BYTES


@pytest.fixture
def journal(tmp_path):
    opened = Journal(tmp_path / "state")
    yield opened
    opened.close()


def write(journal, count=1, size=10):
    for at in range(count):
        with journal.transaction() as writer:
            writer.record(at, "denied", "client", text="x" * size)


@pytest.mark.parametrize("name", [JOURNAL_FILE, JOURNAL_FILE + "-wal"])
@pytest.mark.parametrize("how", ["removed", "moved", "replaced", "linked"])
def test_a_file_that_moved_stops_everything(journal, tmp_path, name, how):
    write(journal)
    path = tmp_path / "state" / name
    path.rename(tmp_path / "moved")
    if how == "replaced":
        path.write_bytes((tmp_path / "moved").read_bytes())
    if how == "linked":
        path.symlink_to(tmp_path / "moved")
    with pytest.raises(JournalError, match="was removed or replaced"):
        write(journal)
    assert journal.error


def test_a_file_that_moves_during_a_transaction_is_not_acknowledged(journal, tmp_path):
    def write_and_remove():
        with journal.transaction() as writer:
            writer.record(1, "denied", "client")
            (tmp_path / "state" / JOURNAL_FILE).unlink()

    with pytest.raises(JournalError, match="was removed"):
        write_and_remove()


def test_what_a_removed_log_held_is_saved_into_the_file(journal, tmp_path):
    write(journal, 20)
    (tmp_path / "state" / (JOURNAL_FILE + "-wal")).unlink()
    with pytest.raises(JournalError):
        write(journal)
    with sqlite3.connect(tmp_path / "state" / JOURNAL_FILE) as copy:
        assert copy.execute("SELECT count(*) FROM audit").fetchone() == (20,)
    copy.close()


def test_the_log_is_emptied_and_stays_small(journal):
    write(journal, 300, size=60_000)
    assert journal.error == ""
    assert journal.disk.log_bytes() < 2 * MAX_LOG_BYTES
    assert len(list(journal.records())) == 300


def test_the_reserve_has_real_blocks(journal, tmp_path):
    found = os.stat(tmp_path / "state" / RESERVE_FILE)
    assert found.st_blocks * 512 >= RESERVE_BYTES
    assert found.st_mode & 0o777 == 0o600


def test_the_reserve_is_given_back_and_made_anew(journal, tmp_path):
    journal.disk.release()
    assert journal.disk.is_short
    assert not (tmp_path / "state" / RESERVE_FILE).exists()
    assert journal.disk.hold()
    assert not journal.disk.is_short


def test_without_room_there_is_no_reserve(journal, tmp_path, monkeypatch):
    monkeypatch.setattr(disk, "RESERVE_BYTES", 1 << 62)
    assert not journal.disk.hold()
    assert journal.disk.is_short
    assert not (tmp_path / "state" / RESERVE_FILE).exists()


def test_a_full_disk_refuses_what_is_new_and_records_refusals(bench):
    waiting = bench.accepted()
    bench.desk.journal.disk.release()
    assert bench.accept(key="new").code == "journal_unavailable"
    assert bench.kinds()[-1] == "denied"
    assert bench.seal(waiting).code == "journal_unavailable"
    assert bench.desk.journal.disk.hold()
    bench.pass_time(10)
    assert bench.sealed(waiting).extrinsic is not None


def test_damage_to_the_newest_records_is_found_at_the_start(journal, tmp_path):
    write(journal, 10)
    journal.close()
    with sqlite3.connect(tmp_path / "state" / JOURNAL_FILE) as raw:
        raw.execute("UPDATE audit SET client = 'other' WHERE seq = 7")
    raw.close()
    with pytest.raises(ConfigurationError, match="the audit chain is broken: record 7"):
        Journal(tmp_path / "state")
    journal.__init__(tmp_path / "other")


def test_only_the_newest_are_verified_at_the_start(journal, tmp_path, monkeypatch):
    monkeypatch.setattr("wallet_guard.signer.journal.auditchain.MAX_CHECKED_RECORDS", 5)
    write(journal, 10)
    journal.close()
    with sqlite3.connect(tmp_path / "state" / JOURNAL_FILE) as raw:
        raw.execute("UPDATE audit SET client = 'other' WHERE seq = 3")
    raw.close()
    journal.__init__(tmp_path / "state")
    assert journal.audit_head[0] == 10


def test_a_client_that_asks_the_wrong_thing_in_a_loop_does_not_fill_the_disk(bench):
    for _ in range(MAX_DENIALS_A_MINUTE + 500):
        assert bench.accept(netuid=9).code == "netuid_not_allowed"
    assert bench.kinds().count("denied") == MAX_DENIALS_A_MINUTE
    assert bench.desk.denials == {"node": MAX_DENIALS_A_MINUTE + 500}


def test_a_chain_process_that_lies_in_a_loop_does_not_fill_the_disk(bench):
    intent = bench.accepted()
    bench.sealed(intent)
    place = {"block_hash": "0x" + "ab" * 32, "block_number": 5_001}
    for _ in range(MAX_STEPS):
        bench.report(intent, Event.IN_BLOCK, **place)
        bench.report(intent, Event.RETRACTED)
    assert bench.intent(intent).version == MAX_STEPS
    bench.report(intent, Event.FINALIZED, **place)
    assert bench.intent(intent).state is State.FINALIZED
