import json
import sqlite3

import pytest

from wallet_guard.cli import audit
from wallet_guard.cli.errors import CommandError
from wallet_guard.ipc.blocking import ask
from wallet_guard.ipc.clients import ClientAdd
from wallet_guard.signed.audit import Point
from wallet_guard.signed.checkpoint import AuditKey
from wallet_guard.signer.journal import Journal


@pytest.fixture
def journal(config):
    opened = Journal(config.signer.state)
    for at in range(5):
        with opened.transaction() as writer:
            writer.record(at, "approved", "client", number=at)
    yield opened
    opened.close()


def run(config, parse, *words):
    return audit.verify(parse(audit, "audit", "verify", "--config", config.path, *words))


def damage(journal, statement):
    with sqlite3.connect(journal.path) as raw:
        raw.execute(statement)
    raw.close()


def test_a_whole_chain_is_unbroken_while_the_signer_runs(config, journal, parse, capsys):
    assert run(config, parse) == 0
    assert capsys.readouterr().out == f"5 records, unbroken, head {journal.audit_head[1].hex()}\n"


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit SET body = '{}' WHERE seq = 3",
        "UPDATE audit SET at_ms = 99 WHERE seq = 5",
        "DELETE FROM audit WHERE seq = 2",
        "DELETE FROM audit WHERE seq = 1",
        "UPDATE audit SET client = 'other' WHERE seq = 1",
    ],
)
def test_finds_damage(config, journal, parse, statement):
    damage(journal, statement)
    with pytest.raises(CommandError, match="the audit chain is broken"):
        run(config, parse)


def test_a_cut_tail_shows_against_a_head_kept_elsewhere(config, journal, parse):
    head = journal.audit_head[1].hex()
    damage(journal, "DELETE FROM audit WHERE seq = 5")
    assert run(config, parse) == 0
    with pytest.raises(CommandError, match="the tail was cut"):
        run(config, parse, "--head", head)


def test_an_older_head_is_part_of_a_longer_chain(config, journal, parse):
    head = journal.audit_head[1].hex()
    with journal.transaction() as writer:
        writer.record(9, "approved", "client")
    assert run(config, parse, "--head", head) == 0


def test_what_is_no_journal_is_said_plainly(config, parse, tmp_path):
    with pytest.raises(CommandError, match="no such file"):
        run(config, parse)
    (tmp_path / "text").write_text("no database, but long enough to look like one" * 20)
    with pytest.raises(CommandError, match="expected a journal"):
        run(config, parse, "--journal", str(tmp_path / "text"))
    with pytest.raises(CommandError, match="expected hex digits"):
        run(config, parse, "--journal", str(tmp_path / "text"), "--head", "xyz")


# Damaged copies -----------------------------------------------------------------------------------------------------

COLUMNS = "seq, at_ms, kind, client, body, hash"

DAMAGE = {
    "edit of a body": ["UPDATE audit SET body = replace(body, '2', '3') WHERE seq = 3"],
    "edit of a time": ["UPDATE audit SET at_ms = at_ms + 1 WHERE seq = 2"],
    "edit of a kind": ["UPDATE audit SET kind = 'denied' WHERE seq = 2"],
    "edit of a client": ["UPDATE audit SET client = 'other' WHERE seq = 2"],
    "edit of a hash": ["UPDATE audit SET hash = zeroblob(32) WHERE seq = 5"],
    "drop of the first": ["DELETE FROM audit WHERE seq = 1"],
    "drop in the middle": ["DELETE FROM audit WHERE seq = 3"],
    "drop in the middle, closed up": [
        "DELETE FROM audit WHERE seq = 3",
        "UPDATE audit SET seq = seq - 1 WHERE seq > 3",
    ],
    "swap": [
        "UPDATE audit SET seq = 100 WHERE seq = 2",
        "UPDATE audit SET seq = 2 WHERE seq = 3",
        "UPDATE audit SET seq = 3 WHERE seq = 100",
    ],
    "insertion": [
        "UPDATE audit SET seq = -(seq + 1) WHERE seq > 2",
        "UPDATE audit SET seq = -seq WHERE seq < 0",
        f"INSERT INTO audit ({COLUMNS}) SELECT 3, at_ms, kind, client, body, hash FROM audit WHERE seq = 2",
    ],
    "insertion at the end": [
        f"INSERT INTO audit ({COLUMNS}) SELECT 6, at_ms, kind, client, body, hash FROM audit WHERE seq = 5",
    ],
    "a number before the first": [
        f"INSERT INTO audit ({COLUMNS}) SELECT 0, at_ms, kind, client, body, hash FROM audit WHERE seq = 5",
    ],
}


@pytest.mark.parametrize("name", DAMAGE)
def test_finds_damage_of_each_kind_in_a_copy(config, journal, parse, tmp_path, name):
    copy = tmp_path / "copy.sqlite3"
    with sqlite3.connect(journal.path) as original, sqlite3.connect(copy) as target:
        original.backup(target)
        for statement in DAMAGE[name]:
            target.execute(statement)
    original.close()
    target.close()
    with pytest.raises(CommandError, match="the audit chain is broken"):
        run(config, parse, "--journal", str(copy))
    assert run(config, parse) == 0


@pytest.fixture
def kept(journal, tmp_path):
    """A checkpoint and its key, kept elsewhere when there were five records."""
    key = AuditKey(bytes(32))
    (tmp_path / "note").write_text(key.checkpoint(Point(*journal.audit_head), 1_780_000_000_000))
    (tmp_path / "key").write_text(f"{key.verifier}\n")
    return ["--checkpoint", str(tmp_path / "note"), "--key", str(tmp_path / "key")]


def test_a_checkpoint_of_this_chain_fits_it_and_what_grew_from_it(config, journal, parse, kept, capsys):
    for _ in range(2):
        assert run(config, parse, *kept) == 0
        assert "signed at 2026-05-28T20:26:40.000Z for the first 5" in capsys.readouterr().out
        with journal.transaction() as writer:
            writer.record(9, "approved", "client")


@pytest.mark.parametrize("left", [0, 1, 4])
def test_a_cut_tail_shows_against_a_checkpoint(config, journal, parse, kept, left):
    damage(journal, f"DELETE FROM audit WHERE seq > {left}")
    assert run(config, parse) == 0
    with pytest.raises(CommandError, match=f"expected at least 5 records, found {left}: the tail was cut"):
        run(config, parse, *kept)


def test_a_chain_made_anew_shows_against_a_checkpoint(config, parse, kept, tmp_path):
    forged = Journal(tmp_path / "forged")
    for at in range(7):
        with forged.transaction() as writer:
            writer.record(at, "approved", "client", number=at * 2)
    forged.close()
    path = str(tmp_path / "forged" / "journal.sqlite3")
    assert run(config, parse, "--journal", path) == 0
    with pytest.raises(CommandError, match="record 5 is not the one that was kept elsewhere"):
        run(config, parse, "--journal", path, *kept)


def test_a_checkpoint_proves_nothing_without_its_key(config, journal, parse, kept, tmp_path):
    with pytest.raises(CommandError, match="expected --key"):
        run(config, parse, *kept[:2])
    with pytest.raises(CommandError, match="expected a checkpoint of"):
        run(config, parse, *kept[:3], str(AuditKey(bytes([1]) * 32).verifier))
    (tmp_path / "note").write_text((tmp_path / "note").read_text().replace("\n5\n", "\n4\n"))
    with pytest.raises(CommandError, match="does not fit"):
        run(config, parse, *kept)


def test_an_export_is_verified_like_the_journal(config, journal, parse, kept, capsys, tmp_path):
    assert audit.export(parse(audit, "audit", "export", "--config", config.path)) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [json.loads(line)["seq"] for line in lines] == [1, 2, 3, 4, 5]
    path = tmp_path / "export.jsonl"
    path.write_text("\n".join(lines) + "\n")
    assert run(config, parse, "--journal", str(path), *kept) == 0
    for damaged in (lines[1:], lines[:2] + lines[3:], [*lines[:3], lines[4], lines[3]], [*lines, lines[4]]):
        path.write_text("\n".join(damaged) + "\n")
        with pytest.raises(CommandError, match="the audit chain is broken"):
            run(config, parse, "--journal", str(path))
    path.write_text("\n".join(lines[:4]) + "\n")
    with pytest.raises(CommandError, match="the tail was cut"):
        run(config, parse, "--journal", str(path), *kept)


def test_export_begins_where_it_is_told(config, journal, parse, capsys):
    audit.export(parse(audit, "audit", "export", "--config", config.path, "--since", "4"))
    assert [json.loads(line)["seq"] for line in capsys.readouterr().out.splitlines()] == [4, 5]


def test_tail_shows_the_newest(config, journal, parse, capsys):
    audit.tail(parse(audit, "audit", "tail", "--config", config.path, "-n", "2"))
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(" ")[0] for line in lines] == ["4", "5"]
    assert lines[1] == '5 1970-01-01T00:00:00.004Z approved client {"number":4}'
    audit.tail(parse(audit, "audit", "tail", "--config", config.path, "-n", "0"))
    assert capsys.readouterr().out == ""


def test_tail_follows(config, journal, parse, capsys, monkeypatch):
    rounds = iter(range(3))

    def write_or_stop(_seconds):
        if next(rounds) == 2:
            raise KeyboardInterrupt
        with journal.transaction() as writer:
            writer.record(9, "denied", "late")

    monkeypatch.setattr(audit.time, "sleep", write_or_stop)
    with pytest.raises(KeyboardInterrupt):
        audit.tail(parse(audit, "audit", "tail", "--config", config.path, "-n", "1", "--follow"))
    assert [line.split(" ")[0] for line in capsys.readouterr().out.splitlines()] == ["5", "6", "7"]


def test_a_copy_in_a_folder_that_cannot_be_written_is_read(config, journal, parse, tmp_path):
    folder = tmp_path / "readonly"
    folder.mkdir()
    with sqlite3.connect(journal.path) as original, sqlite3.connect(folder / "copy.sqlite3") as target:
        original.backup(target)
    original.close()
    target.close()
    folder.chmod(0o500)
    assert run(config, parse, "--journal", str(folder / "copy.sqlite3")) == 0
    folder.chmod(0o700)


def test_the_running_signer_signs_a_checkpoint(config, signer, parse, capsys, tmp_path):
    ask(config.socket("admin"), ClientAdd("n", "validator", "default", ("set_weights",), None, 9, None))
    audit.checkpoint(parse(audit, "audit", "checkpoint", "--config", config.path))
    (tmp_path / "note").write_text(capsys.readouterr().out)
    audit.checkpoint(parse(audit, "audit", "checkpoint", "--config", config.path, "--show-key"))
    key = capsys.readouterr().out.strip()
    assert key.startswith("wallet-guard-audit-")
    assert run(config, parse, "--checkpoint", str(tmp_path / "note"), "--key", key) == 0
    assert "for the first 1" in capsys.readouterr().out
