import stat
import tarfile
from pathlib import Path

import pytest

from wallet_guard.cli import backup
from wallet_guard.cli.errors import CommandError
from wallet_guard.host.config import ConfigurationError
from wallet_guard.signer.journal import Journal


def fill(config, records=3):
    """A journal with that many records more; their number then."""
    journal = Journal(config.signer.state)
    for number in range(records):
        with journal.transaction() as writer:
            writer.record(number, "tested", "node", number=number)
    seq = journal.audit_head[0]
    journal.close()
    return seq


def records(config):
    return backup.check_journal(Path(config.signer.state) / backup.JOURNAL)[0]


@pytest.fixture
def save(config, parse):
    return lambda *words: backup.backup(parse(backup, "backup", *map(str, words), "--config", config.path))


@pytest.fixture
def bring_back(config, parse):
    return lambda *words: backup.restore(parse(backup, "restore", *map(str, words), "--config", config.path))


def test_what_was_saved_comes_back(config, save, bring_back, tmp_path, capsys):
    fill(config)
    assert save(tmp_path / "b.tar") == 0
    fill(config, 2)
    assert bring_back(tmp_path / "b.tar", "--replace") == 0
    assert records(config) == 3
    said = capsys.readouterr().out
    assert "journal with 3 audit records, no hotkeys" in said
    assert "the audit key and your settings in clear" in said
    assert "is not known to it. So it starts locked" in said
    assert len(list(Path(config.signer.state).glob("journal.sqlite3.before-*"))) == 1
    # It is one that a signer takes, and goes on with.
    assert fill(config, 1) == 4


def test_a_running_signers_journal_is_saved_whole(config, save, tmp_path):
    fill(config)
    journal = Journal(config.signer.state)
    with journal.transaction() as writer:
        writer.record(9, "tested", "node")
    save(tmp_path / "b.tar")
    journal.close()
    with tarfile.open(tmp_path / "b.tar") as archive:
        archive.extract("journal.sqlite3", tmp_path / "x", filter="data")
    assert backup.check_journal(tmp_path / "x" / "journal.sqlite3")[0] == 4


def test_it_is_the_owners_alone_and_holds_no_key_unless_asked(config, save, tmp_path):
    fill(config)
    save(tmp_path / "b.tar")
    save(tmp_path / "k.tar", "--with-keys")
    assert stat.S_IMODE((tmp_path / "b.tar").stat().st_mode) == 0o600
    with tarfile.open(tmp_path / "b.tar") as archive:
        assert archive.getnames() == ["journal.sqlite3", "wallet-guard.toml", "policy.toml"]
        assert {member.mode for member in archive} == {0o600}
    with tarfile.open(tmp_path / "k.tar") as archive:
        assert archive.getnames()[3:] == ["keys/validator/default"]


def test_keys_come_back_where_there_are_none(config, save, bring_back, wallets, tmp_path):
    fill(config)
    save(tmp_path / "k.tar", "--with-keys")
    key = wallets / "validator" / "hotkeys" / "default"
    content = key.read_bytes()
    key.unlink()
    bring_back(tmp_path / "k.tar", "--replace")
    assert not key.exists(), "not asked for"
    bring_back(tmp_path / "k.tar", "--replace", "--with-keys")
    assert key.read_bytes() == content
    assert stat.S_IMODE(key.stat().st_mode) == 0o600


def test_a_copy_is_marked_and_the_original_is_not(config, save, bring_back, tmp_path):
    fill(config)
    save(tmp_path / "b.tar")
    journal = Journal(config.signer.state)
    assert journal.meta(backup.COPIED_META) is None
    journal.close()
    bring_back(tmp_path / "b.tar", "--replace")
    journal = Journal(config.signer.state)
    assert int(journal.meta(backup.COPIED_META)) > 1_600_000_000_000
    journal.close()


def test_the_audit_key_goes_with_its_chain(config, save, bring_back, tmp_path):
    fill(config)
    key = Path(config.signer.state) / "audit.key"
    key.write_text("11" * 32 + "\n")
    save(tmp_path / "b.tar")
    bring_back(tmp_path / "b.tar", "--replace")
    assert list(key.parent.glob("audit.key.*")) == [], "the same: left alone"
    key.write_text("22" * 32 + "\n")
    bring_back(tmp_path / "b.tar", "--replace")
    assert key.read_text() == "11" * 32 + "\n"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    (aside,) = key.parent.glob("audit.key.before-*")
    assert aside.read_text() == "22" * 32 + "\n"


def test_a_policy_comes_back_where_there_is_none(config, save, bring_back, tmp_path, capsys):
    fill(config)
    path = Path(config.path)
    policy = path.with_name("policy.toml")
    policy.write_text("# ours\n")
    save(tmp_path / "b.tar")
    policy.write_text("# another\n")
    bring_back(tmp_path / "b.tar", "--replace")
    assert policy.read_text() == "# another\n"
    assert "the backup's policy differs" in capsys.readouterr().out
    policy.unlink()
    bring_back(tmp_path / "b.tar", "--replace")
    assert policy.read_text() == "# ours\n"


def test_a_backup_that_is_there_is_not_replaced(config, save, tmp_path):
    fill(config)
    (tmp_path / "b.tar").write_text("precious")
    with pytest.raises(CommandError, match="cannot be made: File exists"):
        save(tmp_path / "b.tar")
    assert (tmp_path / "b.tar").read_text() == "precious"


def test_no_journal_is_no_backup(save, tmp_path):
    with pytest.raises(CommandError, match="no such file"):
        save(tmp_path / "b.tar")
    assert not (tmp_path / "b.tar").exists()


def test_nothing_is_restored_under_a_running_signer(config, save, bring_back, tmp_path):
    fill(config)
    save(tmp_path / "b.tar")
    journal = Journal(config.signer.state)
    with pytest.raises(CommandError, match="a signer runs on this journal"):
        bring_back(tmp_path / "b.tar", "--replace")
    journal.close()
    assert records(config) == 3


def test_a_journal_is_replaced_only_when_told(config, save, bring_back, tmp_path):
    fill(config)
    save(tmp_path / "b.tar")
    with pytest.raises(CommandError, match="there is one already"):
        bring_back(tmp_path / "b.tar")


def test_a_forged_journal_is_not_restored(config, save, bring_back, tmp_path):
    import contextlib
    import sqlite3

    fill(config)
    with contextlib.closing(sqlite3.connect(Path(config.signer.state) / "journal.sqlite3")) as journal:
        journal.execute("UPDATE audit SET client = 'other' WHERE seq = 2")
        journal.commit()
    with pytest.raises(CommandError, match="the audit chain is broken"):
        save(tmp_path / "b.tar")
    assert not (tmp_path / "b.tar").exists()


def archive_of(path, *members):
    with tarfile.open(path, "w") as archive:
        for name, kind in members:
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, "/etc/passwd"
            archive.addfile(member)
    return path


@pytest.mark.parametrize(
    "member",
    [
        ("../evil", tarfile.REGTYPE),
        ("/etc/evil", tarfile.REGTYPE),
        ("keys/../../evil", tarfile.REGTYPE),
        ("keys/a/b/c", tarfile.REGTYPE),
        ("journal.sqlite3", tarfile.SYMTYPE),
        ("journal.sqlite3", tarfile.LNKTYPE),
        ("keys/a/b", tarfile.FIFOTYPE),
    ],
)
def test_what_does_not_belong_in_a_backup_is_refused(bring_back, tmp_path, member):
    with pytest.raises(CommandError, match="expected a backup, found"):
        bring_back(archive_of(tmp_path / "b.tar", member))
    assert not (tmp_path / "evil").exists()


def test_a_half_backup_is_refused(bring_back, tmp_path):
    with pytest.raises(CommandError, match=r"expected journal\.sqlite3 and wallet-guard\.toml in it"):
        bring_back(archive_of(tmp_path / "b.tar", ("journal.sqlite3", tarfile.REGTYPE)))
    with pytest.raises(CommandError, match="expected a backup"):
        bring_back(tmp_path / "none.tar")
    (tmp_path / "x.tar").write_text("nothing of the sort")
    with pytest.raises((CommandError, ConfigurationError), match="expected a backup"):
        bring_back(tmp_path / "x.tar")
