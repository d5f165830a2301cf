"""What is counted while the signer works.

Counters begin at 0 with each start, as Prometheus expects. Labels hold words of ours and names of the configuration,
never what a stranger sent.
"""

from typing import NamedTuple

from wallet_guard.ipc.answers import Refusal
from wallet_guard.ipc.intents import State
from wallet_guard.ipc.metrics import Family, Histogram, Tally, counter, histogram, total
from wallet_guard.ipc.wishes import WISHES, SetWeights
from wallet_guard.signer.journal import Intent, Journal

MAX_SLOTS = 512
"""Slots (hotkey, subnet, mechanism) whose age is told: four hotkeys on each of the 128 subnets."""

MAX_CHANGES = 128
"""Pairs of call and state: six calls and eight states are 48."""


class Slot(NamedTuple):
    """Where weights stand, by names."""

    wallet: str
    hotkey: str
    netuid: int
    mechid: int


class Figures:
    """Counters since ``started_ms`` (Unix milliseconds)."""

    def __init__(self, started_ms: int) -> None:
        self.started_ms = started_ms
        self._changes = Tally("call", "state", most=MAX_CHANGES)
        self._refusals = Tally("socket", "code")
        self._seconds: dict[str, Histogram] = {}
        self._journal_errors = 0
        self._unrevealed = 0
        self._effective: dict[Slot, int] | None = None
        for call in WISHES:
            for state in State:
                # There from the start: an increase is seen only of a series that was there before.
                self._changes.count(call, str(state), times=0)

    def answered(self, socket: str, question: str, seconds: float, result: object) -> None:
        """A question was answered."""
        self._seconds.setdefault(question, Histogram()).observe(seconds)
        if isinstance(result, Refusal):
            self._refusals.count(socket, result.code)

    def journal_failed(self) -> None:
        """Something could not be written."""
        self._journal_errors += 1

    def moved(self, intent: Intent) -> None:
        """An intent changed, durably."""
        self._changes.count(intent.kind, str(intent.state))
        if intent.kind != SetWeights.kind:
            return
        if intent.state is State.FAILED and intent.reveal_round is not None and intent.failure is not None:
            self._unrevealed += intent.failure.code == "not_effective"
        if intent.state is State.EFFECTIVE and intent.block_number is not None and self._effective is not None:
            slot = Slot(intent.wallet, intent.hotkey, intent.netuid, intent.mechid)
            self._effective[slot] = max(intent.block_number, self._effective.get(slot, 0))

    def effective(self, journal: Journal) -> dict[Slot, int]:
        """The block of the newest weights of each slot that took effect, the newest MAX_SLOTS of them.

        The journal is asked once; from then on what happens is enough.
        """
        if self._effective is None:
            self._effective = {Slot(*row[:4]): row[4] for row in journal.effective_slots(MAX_SLOTS)}
        newest = sorted(self._effective.items(), key=lambda item: -item[1])
        return dict(newest[:MAX_SLOTS])

    def families(self) -> tuple[Family, ...]:
        """All counters."""
        return (
            counter("wallet_guard_intents_total", "Changes of intents, by the state that each led to.", self._changes),
            counter("wallet_guard_refusals_total", "Questions that the signer answered no.", self._refusals),
            histogram(
                "wallet_guard_question_seconds", "Seconds for the answer to a question.", "question", self._seconds
            ),
            total(
                "wallet_guard_journal_errors_total",
                "Answers that were no because the journal could not be written.",
                self._journal_errors,
            ),
            total(
                "wallet_guard_unrevealed_total",
                "Timelocked weights that did not show after their reveal.",
                self._unrevealed,
            ),
        )
