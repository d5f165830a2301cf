import sqlite3

import pytest

from wallet_guard.cli import audit
from wallet_guard.cli.errors import CommandError
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
