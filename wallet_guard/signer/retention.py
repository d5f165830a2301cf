"""Retention: intents that ended long ago are taken out of the journal, a few at a time.

The rule (``hardening/audit.md``): an intent goes ``[signer] keep_days`` after it was accepted, if it has ended; the one
with the highest final nonce of each hotkey stays. With it goes its idempotency key: within that time the same key gives
the same answer, afterwards it is a new one. The audit chain keeps every record, and gets one for each step, in the
same transaction.

A step takes at most ``STEP_INTENTS`` and is one transaction of a few milliseconds, so it never holds up a signature;
steps have pauses between them.
"""

import logging

from wallet_guard.signer.journal import Journal

log = logging.getLogger(__name__)

STEP_INTENTS = 100
"""Of one step: about 3 ms on an ordinary disk."""

PAUSE_SECONDS = 1.0
"""Between two steps while there is something to do: 360,000 an hour, more than can be accepted."""

IDLE_SECONDS = 600.0
"""Until it is looked again once there was nothing left."""

DAY_MS = 86_400_000
"""One day, in which the configured window is given."""


class Retention:
    """Compacts the journal; ``keep_days`` is the configured window."""

    def __init__(self, journal: Journal, keep_days: int) -> None:
        self._journal, self._keep_ms = journal, keep_days * DAY_MS
        self._due_ms = 0

    def step(self, now_ms: int) -> int:
        """How many intents went; 0 also while it is not due.

        Raises:
            JournalError: it could not be written; nothing went.
        """
        # Not due, or the clock was set back by more than any pause.
        if self._due_ms - IDLE_SECONDS * 1000 <= now_ms < self._due_ms:
            return 0
        before_ms = now_ms - self._keep_ms
        ended = self._journal.ended_before(before_ms, STEP_INTENTS)
        self._due_ms = now_ms + int((PAUSE_SECONDS if ended else IDLE_SECONDS) * 1000)
        if ended:
            with self._journal.transaction() as writer:
                writer.forget_intents(ended)
                writer.record(now_ms, "compacted", "", before_ms=before_ms, intents=len(ended))
        return len(ended)
