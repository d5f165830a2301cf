"""The guard's own key for checkpoints of the audit chain: made at the first start, kept beside the journal.

It signs notes about the chain and nothing else, so it is not a hotkey and lockdown does not stop it. Its presence also
says that there was a journal here.
"""

import os
from collections.abc import Callable
from pathlib import Path

from wallet_guard.host.config import ConfigurationError
from wallet_guard.host.private import read_private
from wallet_guard.signed.checkpoint import SEED_BYTES, AuditKey
from wallet_guard.signer.journal import JOURNAL_FILE

AUDIT_KEY_FILE = "audit.key"


def check_not_lost(folder: Path) -> None:
    """Refuses a folder whose journal was there once and is not any more: a new one would sign again what was sent.

    Raises:
        ConfigurationError: says so.
    """
    if (folder / AUDIT_KEY_FILE).exists() and not (folder / JOURNAL_FILE).exists():
        raise ConfigurationError(
            f"{folder / JOURNAL_FILE}: expected the journal that belongs to {AUDIT_KEY_FILE}, found none; restore it "
            f"from a backup. To begin without it, wait until every signature it made is dead (an hour is plenty), then "
            f"remove {folder / AUDIT_KEY_FILE}"
        )


def open_audit_key(folder: Path, random_hex: Callable[[int], str]) -> AuditKey:
    """The key of this folder, made if there is none. Call it once the journal exists durably.

    Raises:
        ConfigurationError: the file is not private or holds no key, or none can be made.
    """
    if not (folder / AUDIT_KEY_FILE).exists():
        _make(folder, random_hex(SEED_BYTES))
    try:
        return AuditKey(bytes.fromhex(read_private(folder, AUDIT_KEY_FILE).decode("ascii").strip()))
    except ValueError:
        # From None: the message would show what the file holds.
        raise ConfigurationError(f"{folder / AUDIT_KEY_FILE}: expected {SEED_BYTES * 2} hex digits") from None


def _make(folder: Path, seed: str) -> None:
    new, flags = folder / f"{AUDIT_KEY_FILE}.new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        with open(os.open(new, flags, 0o600), "w", encoding="ascii") as file:
            file.write(seed + "\n")
            file.flush()
            os.fsync(file.fileno())
        new.rename(folder / AUDIT_KEY_FILE)
        where = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(where)
        finally:
            os.close(where)
    except OSError as error:
        raise ConfigurationError(f"{folder / AUDIT_KEY_FILE}: cannot be made: {error.strerror}") from error
