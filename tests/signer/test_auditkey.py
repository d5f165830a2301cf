import pytest

from wallet_guard.host.config import ConfigurationError
from wallet_guard.signer.auditkey import AUDIT_KEY_FILE, check_not_lost, open_audit_key
from wallet_guard.signer.journal import JOURNAL_FILE


def test_a_journal_that_is_gone_is_missed_by_its_audit_key(bench):
    bench.desk.journal.close()
    check_not_lost(bench.folder)
    for name in (JOURNAL_FILE, JOURNAL_FILE + "-wal", JOURNAL_FILE + "-shm"):
        (bench.folder / name).unlink(missing_ok=True)
    with pytest.raises(ConfigurationError, match="restore it from a backup"):
        check_not_lost(bench.folder)
    (bench.folder / AUDIT_KEY_FILE).unlink()
    check_not_lost(bench.folder)
    bench.desk.journal.__init__(bench.folder)


def test_the_audit_key_is_made_once_and_is_private(tmp_path):
    folder = tmp_path / "state"
    folder.mkdir(mode=0o700)
    made = open_audit_key(folder, lambda count: "07" * count)
    assert (folder / AUDIT_KEY_FILE).stat().st_mode & 0o777 == 0o600
    assert open_audit_key(folder, lambda count: "08" * count).verifier == made.verifier
    (folder / AUDIT_KEY_FILE).chmod(0o644)
    with pytest.raises(ConfigurationError, match="0600"):
        open_audit_key(folder, lambda count: "07" * count)


def test_a_damaged_audit_key_is_said_without_showing_it(tmp_path):
    folder = tmp_path / "state"
    folder.mkdir(mode=0o700)
    open_audit_key(folder, lambda count: "07" * count)
    (folder / AUDIT_KEY_FILE).write_text("0707")
    with pytest.raises(ConfigurationError, match="expected 64 hex digits") as caught:
        open_audit_key(folder, lambda count: "07" * count)
    assert "0707" not in str(caught.value)
