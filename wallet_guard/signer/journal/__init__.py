"""The journal: every intent, every client, every decision, in one SQLite file that survives any crash.

Rules:

1. Decide, record durably, then act. A transaction that returned is on disk (WAL, ``synchronous=FULL``: each commit
syncs the log).
2. Decision, state and audit record are one transaction: there is no signature without its record.
3. What may follow what is the table ``intent.FOLLOWS``; nothing else is ever written.
4. After the first error of the file nothing more is written or signed until a restart has opened and checked it
again: after a failed sync nobody knows what is on the disk. Only a full disk is no such error: what did not fit was
never there (``disk``).
5. The log is copied into the file here, not by SQLite in passing: it would keep a failed sync to itself.

Only this folder speaks SQL. ``schema`` has the tables, ``intent`` the rows with a life of their own, ``reading`` the
questions, ``writer`` what one transaction may write, ``storage`` the file.
"""

from wallet_guard.signer.journal.intent import Intent
from wallet_guard.signer.journal.reading import SignedExtrinsic
from wallet_guard.signer.journal.storage import JOURNAL_FILE, Journal, JournalError
from wallet_guard.signer.journal.writer import Writer

__all__ = ["JOURNAL_FILE", "Intent", "Journal", "JournalError", "SignedExtrinsic", "Writer"]
