"""The policy in force: read at the start, read again on SIGHUP, never half of one.

A file that is wrong at the start keeps the signer from starting. One that is wrong later changes nothing: the policy
before it stays, and log, status and the audit chain say why.
"""

import logging
from dataclasses import dataclass

from wallet_guard.host.config import ConfigurationError
from wallet_guard.host.policy import GRANTS_ALONE, Policy, read_policy
from wallet_guard.ipc.clients import CALLS
from wallet_guard.signer.journal import Journal

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Policies:
    """``current`` is what decides, ``error`` why the file's newest content does not; "" while it does."""

    path: str
    current: Policy
    error: str = ""
    wanted: bool = False
    """Somebody asked for the file to be read again."""

    def want(self) -> None:
        """The file shall be read again, as soon as the loop comes round. Safe in a signal handler."""
        self.wanted = True

    def reload(self, journal: Journal, now_ms: int) -> None:
        """Reads the file again if that was asked for; the record comes before the change.

        Raises:
            JournalError: the record could not be written; nothing changed, and it is still wanted.
        """
        if not self.wanted:
            return
        found, error = self.current, ""
        try:
            found = _read(self.path)
        except ConfigurationError as caught:
            error = str(caught)
        with journal.transaction() as writer:
            writer.record(now_ms, "reload", "", path=self.path, sha256=found.sha256, why=error)
        self.current, self.error, self.wanted = found, error, False
        if error:
            log.error(f"the policy stays as it was: {error}")
        else:
            log.info(f"policy {self.path or '(none: the grants alone decide)'} in force, sha256 {found.sha256}")


def open_policies(path: str) -> Policies:
    """The policies of a signer that starts; "" is no file.

    Raises:
        ConfigurationError: the file is no policy.
    """
    return Policies(path, _read(path))


def _read(path: str) -> Policy:
    return read_policy(path, CALLS) if path else GRANTS_ALONE
