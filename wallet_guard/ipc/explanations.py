"""What would be signed, and why or why not: asked for by a node or the operator, answered without a signature.

The chain process is asked for facts as it is for a wish, under an id that no intent has, and brings them by a question
of its own (``Inform``): what it brings can be explained, and can never be sealed.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import ClassVar

from wallet_guard.ipc.answers import Done
from wallet_guard.ipc.chain import Facts
from wallet_guard.ipc.wishes import Wish


class Ruling(StrEnum):
    """What a rule says."""

    PASS = "pass"  # noqa: S105 -- no password
    REFUSE = "refuse"
    LATER = "later"
    """What it judges by is not known yet: it is asked again before the signature."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """One rule's word: what would pass, and what was found ("" where that is not known yet)."""

    rule: str
    ruling: Ruling
    passes: str
    found: str
    retry_after_seconds: int | None = None
    """When it may pass, where waiting helps."""
    next_block: int | None = None


@dataclass(frozen=True, slots=True)
class Composed:
    """The call that would be signed, by the runtime in use.

    ``data`` are its exact SCALE bytes. A timelocked commit is made anew each time: its ciphertext is an example.
    ``weights`` are the (uid, u16) pairs, None for other calls. ``metadata_digest`` is what would be signed in, None
    where it is switched off. ``fee`` is in rao (1e-9 TAO) as the chain's runtime tells; None where it does not tell.
    """

    name: str
    data: bytes
    weights: tuple[tuple[int, int], ...] | None
    reveal_round: int | None
    spec_version: int
    metadata_digest: bytes | None
    fee: int | None


@dataclass(frozen=True, slots=True)
class Explanation:
    """What would become of a wish, asked now.

    ``approved``: every rule passes and the call can be composed. ``code`` and ``message`` say why it would not be
    signed, "" where it would. ``call`` is None where none could be composed.
    """

    client: str
    kind: str
    wallet: str
    hotkey: str
    netuid: int
    mechid: int
    approved: bool
    code: str
    message: str
    rules: tuple[Verdict, ...]
    call: Composed | None


@dataclass(frozen=True, slots=True)
class DryRun:
    """What would become of this wish? Asked by a node; nothing is signed, no counter moves."""

    token: str = field(repr=False)
    request: Wish

    ask: ClassVar[str] = "dry_run"
    answer: ClassVar[type] = Explanation


@dataclass(frozen=True, slots=True)
class Explain:
    """The same for the operator, for a client by its name."""

    client: str
    request: Wish

    ask: ClassVar[str] = "explain"
    answer: ClassVar[type] = Explanation


@dataclass(frozen=True, slots=True)
class Draft:
    """The call that the facts make, for the chain process to ask its fee; None where they make none."""

    data: bytes | None


@dataclass(frozen=True, slots=True)
class Inform:
    """Facts for an explanation."""

    explanation: str
    facts: Facts

    ask: ClassVar[str] = "inform"
    answer: ClassVar[type] = Draft


@dataclass(frozen=True, slots=True)
class Quote:
    """The fee of the draft, in rao; None where the chain does not tell. Ends the explanation."""

    explanation: str
    fee: int | None

    ask: ClassVar[str] = "quote"
    answer: ClassVar[type] = Done
