"""Can the signer do its work? The one question that every asker of a network may ask."""

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class Health:
    """Can the signer do its work? Asked without a token: counts only."""

    ask: ClassVar[str] = "health"
    answer: ClassVar[type]


@dataclass(frozen=True, slots=True)
class HealthView:
    """``journal_error`` is "" while the journal can be written.

    ``runtime`` is the spec version in use, None before the first facts. ``chain_trouble`` is "" while the
    chain process reaches its endpoint; ``chain_seconds`` the age of its last word, None if it never spoke.
    """

    version: str
    keys: int
    clients: int
    open_intents: int
    journal_error: str
    runtime: int | None
    chain_trouble: str
    chain_seconds: float | None
    locked: str = ""
    """Why nothing is signed now; "" while the signer is not locked."""


Health.answer = HealthView
