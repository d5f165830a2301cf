"""Answers that any question may get: it is done, or no."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Refusal:
    """A decision against, or a thing that cannot be: never an approval in disguise.

    ``code`` is a stable word, ``message`` what was expected and found, ``hint`` what to do next ("" if nothing).
    ``retry_after_seconds`` and ``next_block`` are given where waiting helps. ``intent`` names an intent that stands in
    the way (idempotency conflict) or that was refused after it was accepted. ``rule`` is the rule that refused
    (``signer.rules``), "" where it was none.
    """

    code: str
    message: str
    hint: str = ""
    retry_after_seconds: int | None = None
    next_block: int | None = None
    intent: str | None = None
    rule: str = ""


class RefusedError(Exception):
    """The signer answered no; ``refusal`` says why."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal


@dataclass(frozen=True, slots=True)
class Done:
    """The answer to a question that has nothing more to say."""
