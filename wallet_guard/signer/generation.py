"""A restored journal is a new generation: it knows nothing of what was signed after its copy was made.

``wallet-guard backup`` marks the copy it makes (``COPIED_META``), so whatever way the copy comes back, the first start
on it ends up here. In one transaction: the generation is counted up; every unfinished intent whose extrinsic might
have been signed, or signed anew, after the backup ends; the nonce lanes are forgotten, to be learned from the chain;
and the signer is locked. The operator can unlock it once the longest era is over by our own clock: then whatever the
original signed is either in a block, where the chain's nonce shows it, or dead. Idempotency keys of earlier
generations are refused (``accept``).

What this cannot see: a folder copied by other means than ``wallet-guard backup``, or a machine's snapshot. Then two
journals share a hotkey, and ``lanes`` sees that.
"""

from dataclasses import dataclass

from wallet_guard.ipc.intents import Failure, State
from wallet_guard.signer.eras import MAX_ERA_BLOCKS, life_ms
from wallet_guard.signer.journal import Journal
from wallet_guard.signer.lockdown import LOCK_META

COPIED_META = "copied_ms"
"""Set in a copy alone: when it was made, Unix milliseconds."""

_NUMBER_META, _UNTIL_META = "generation", "generation_until_ms"


@dataclass(frozen=True, slots=True)
class Generation:
    """``number`` counts from 1; before ``until_ms`` (Unix time) signatures of the one before may still be taken."""

    number: int
    until_ms: int


def open_generation(journal: Journal, now_ms: int, block_ms: float) -> Generation:
    """The journal's generation, a new one if the journal is a copy. Call it before ``Lockdown`` is made.

    Raises:
        JournalError: it could not be written; nothing changed.
    """
    number = int(journal.meta(_NUMBER_META) or 1)
    copied = journal.meta(COPIED_META)
    if not copied:
        return Generation(number, int(journal.meta(_UNTIL_META) or 0))
    until_ms = now_ms + life_ms(MAX_ERA_BLOCKS, block_ms)
    ended = [intent for intent in journal.open_intents() if intent.state is not State.FINALIZED]
    with journal.transaction() as writer:
        writer.set_meta(COPIED_META, "")
        writer.set_meta(_NUMBER_META, str(number + 1))
        writer.set_meta(_UNTIL_META, str(until_ms))
        writer.set_meta(LOCK_META, f"the journal was restored from a backup: this is its generation {number + 1}")
        writer.forget_lanes()
        writer.record(
            now_ms, "restored", "", copied_ms=int(copied), ended=len(ended), generation=number + 1, until_ms=until_ms
        )
        for intent in ended:
            intent.failure = Failure(
                "restored",
                "the journal was restored from a backup, and what became of this request after that is not known",
                "look at the chain, then ask again with a new idempotency key",
                may_be_submitted=True,
            )
            writer.change_intent(intent, State.FAILED)
            writer.record(
                now_ms,
                "failed",
                intent.client,
                code="restored",
                intent=intent.id,
                state=State.FAILED,
                message="restored",
            )
    return Generation(number + 1, until_ms)
