"""A journal of another version is refused."""

import sqlite3
from pathlib import Path

import pytest

from wallet_guard.host.config import ConfigurationError
from wallet_guard.signer.journal import JOURNAL_FILE, Journal


@pytest.mark.parametrize("version", [3, 99, -1])
def test_a_journal_of_another_version_is_refused(tmp_path: Path, version: int) -> None:
    Journal(tmp_path / "state").close()
    other = sqlite3.connect(tmp_path / "state" / JOURNAL_FILE)
    other.execute(f"PRAGMA user_version = {version}")
    other.close()
    for _ in range(2):
        with pytest.raises(ConfigurationError, match=f"expected journal version 2, found {version}: another version"):
            Journal(tmp_path / "state")
