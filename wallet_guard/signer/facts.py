"""What the chain process says is checked here before anything is computed with it.

A lying node may delay us or misreport inside these ranges, and no more. Numbers are bounded *before* use
because absurd ones do harm by being used: an epoch schedule of 2^60 blocks stalls the timelock's
simulation, one in the past backdates its reveal.

What is refused here is refused as facts, not as an intent: the intent stays accepted and other facts may
come, from another endpoint or from the same one when it has caught up.
"""

from dataclasses import dataclass, fields

from wallet_guard.ipc.chain import Facts

U16_MAX = 2**16 - 1
U64_MAX = 2**64 - 1

MAX_BLOCK = 2**32 - 1
"""Block numbers are u32 on this chain."""

MAX_TEMPO = 50_400
"""A week of 12-second blocks; the chain's default is 360, its largest today 1 day."""

MAX_REVEAL_PERIOD_EPOCHS = 100
"""The pallet's own ceiling (``MAX_COMMIT_REVEAL_PEROIDS``)."""

MAX_RATE_LIMIT = 50_400
"""A week of blocks; the chain's default is 100."""

MAX_NONCE = 2**31
"""One signature a second for 68 years."""

MAX_NONCE_JUMP = 10_000
"""How far the chain's nonce may be ahead of what this journal used: the hotkey may sign elsewhere, but not that much.
"""

MAX_FINALITY_LAG = 1_000
"""Blocks between head and finality: a chain that lags more is in trouble, and a signature would be born outdated.
"""

MAX_MECHANISMS = 16
"""The chain has two today."""

BLOCK_TIME_TOLERANCE = 4.0
"""How many times longer or shorter than configured the observed block time may be."""

_BOUNDS = {
    "spec_version": MAX_BLOCK,
    "transaction_version": MAX_BLOCK,
    "block_number": MAX_BLOCK,
    "era_block_number": MAX_BLOCK,
    "block_time_ms": 600_000,
    "nonce": MAX_NONCE,
    "finalized_nonce": MAX_NONCE,
    "uid": U16_MAX,
    "mechanisms": MAX_MECHANISMS,
    "commit_reveal_version": U16_MAX,
    "rate_limit": MAX_RATE_LIMIT,
    "last_update": MAX_BLOCK,
    "min_allowed_weights": U16_MAX,
    "max_weight_limit": U16_MAX,
    "weights_version_key": U64_MAX,
    "tempo": MAX_TEMPO,
    "reveal_period_epochs": MAX_REVEAL_PERIOD_EPOCHS,
    "last_epoch_block": MAX_BLOCK,
    "pending_epoch_at": MAX_BLOCK,
    "subnet_epoch_index": MAX_BLOCK,
    "blocks_since_last_step": MAX_BLOCK,
}


class FactsError(ValueError):
    """These facts cannot be true, or cannot be used; the message names the field, what was expected and found."""


@dataclass(frozen=True, slots=True)
class Known:
    """What this process knows by itself, to hold facts against."""

    genesis_hash: bytes
    block_time_ms: int
    lowest_nonce: int
    """One above the highest nonce of ours that is known to be final."""
    best_block: int
    """The highest head that facts showed of late (``seal.HEAD_SECONDS``); 0 if none."""
    lane: int | None = None
    """The hotkey's lane as far as it is accounted for (``lanes``); None before the first contact."""
    lowest_nonce_block: int = 0
    """The block in which the nonce below ``lowest_nonce`` became final."""


def check_facts(facts: Facts, known: Known) -> None:
    """Refuses what cannot be.

    Raises:
        FactsError: another genesis, a number out of range, or numbers that contradict each other or what is
            known.
    """
    if facts.genesis_hash != known.genesis_hash:
        raise FactsError(f"genesis: expected 0x{known.genesis_hash.hex()}, found 0x{facts.genesis_hash.hex()[:64]}")
    if len(facts.era_block_hash) != 32:
        raise FactsError(f"era_block_hash: expected 32 bytes, found {len(facts.era_block_hash)}")
    for entry in fields(Facts):
        ceiling, value = _BOUNDS.get(entry.name), getattr(facts, entry.name)
        if ceiling is not None and value is not None and not 0 <= value <= ceiling:
            raise FactsError(f"{entry.name}: expected 0 to {ceiling}, found {str(value)[:24]}")
    for _, uid in facts.uids:
        if not 0 <= uid <= U16_MAX:
            raise FactsError(f"uids: expected 0 to {U16_MAX}, found {str(uid)[:24]}")
    _check_time(facts, known)
    _check_nonce(facts, known)
    _check_schedule(facts)


def _check_time(facts: Facts, known: Known) -> None:
    shortest = known.block_time_ms / BLOCK_TIME_TOLERANCE
    longest = known.block_time_ms * BLOCK_TIME_TOLERANCE
    if not shortest <= facts.block_time_ms <= longest:
        raise FactsError(
            f"block_time_ms: expected {shortest:g} to {longest:g} ([chain] block_time_seconds), "
            f"found {facts.block_time_ms}"
        )
    if not facts.era_block_number <= facts.block_number <= facts.era_block_number + MAX_FINALITY_LAG:
        raise FactsError(
            f"block_number: expected the finalized {facts.era_block_number} and at most {MAX_FINALITY_LAG} more, "
            f"found {facts.block_number}"
        )
    if facts.block_number + MAX_FINALITY_LAG < known.best_block:
        raise FactsError(f"block_number: expected about {known.best_block} or more, found {facts.block_number}")
    if facts.last_update > facts.block_number:
        raise FactsError(f"last_update: expected at most the head {facts.block_number}, found {facts.last_update}")


def _check_nonce(facts: Facts, known: Known) -> None:
    behind = facts.era_block_number < known.lowest_nonce_block
    if facts.finalized_nonce < known.lowest_nonce and behind:
        # A node that has not yet seen what we know to be final: signing by it could use a nonce twice. One that has
        # come past that block and contradicts is believed: else a single lie about finality would shut a key for good,
        # and a nonce that is spent after all only gives a signature that the chain refuses.
        raise FactsError(f"finalized_nonce: expected at least {known.lowest_nonce}, found {facts.finalized_nonce}")
    if facts.nonce < facts.finalized_nonce:
        raise FactsError(f"nonce: expected at least the finalized {facts.finalized_nonce}, found {facts.nonce}")
    # At first contact our own knowledge may be far behind: the hotkey was used before, or the journal is a restored
    # one.
    used = facts.finalized_nonce if known.lane is None else max(known.lane, known.lowest_nonce)
    if facts.nonce > used + MAX_NONCE_JUMP:
        raise FactsError(
            f"nonce: expected at most {used + MAX_NONCE_JUMP}, {MAX_NONCE_JUMP} above what was used before, found "
            f"{facts.nonce}"
        )


def _check_schedule(facts: Facts) -> None:
    if not facts.commit_reveal:
        return
    head = facts.block_number
    if facts.tempo < 1:
        raise FactsError("tempo: expected at least 1 on a subnet with commit-reveal, found 0")
    if facts.reveal_period_epochs < 1:
        raise FactsError("reveal_period_epochs: expected at least 1, found 0")
    if facts.last_epoch_block > head:
        raise FactsError(f"last_epoch_block: expected at most the head {head}, found {facts.last_epoch_block}")
    if facts.pending_epoch_at > head + facts.tempo + 1:
        raise FactsError(
            f"pending_epoch_at: expected at most one tempo after the head {head}, found {facts.pending_epoch_at}"
        )
    if facts.blocks_since_last_step > head:
        raise FactsError(
            f"blocks_since_last_step: expected at most the head {head}, found {facts.blocks_since_last_step}"
        )
