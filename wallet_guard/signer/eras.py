"""How long a signature may live: its era in blocks, and when it is dead by our own clock."""

MIN_ERA_BLOCKS = 4
"""The runtime's own least."""

MAX_ERA_BLOCKS = 128
"""The SDK's default; 26 minutes. Nothing is signed here that lives longer."""

DEATH_MARGIN_SECONDS = 60.0
"""Added to a signature's era on our own clock before it counts as dead: blocks may come late, clocks may differ."""


def life_ms(blocks: int, block_ms: float) -> int:
    """Milliseconds after which a signature of that era, made now, is dead; ``block_ms`` is the chain's block time."""
    return int(blocks * block_ms + DEATH_MARGIN_SECONDS * 1000)
