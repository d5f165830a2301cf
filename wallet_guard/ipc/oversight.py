"""What the operator may ask about intents, and about everything at once (socket mode 0600)."""

from dataclasses import dataclass
from typing import ClassVar

from wallet_guard.ipc.admin import StatusView
from wallet_guard.ipc.intents import IntentView

MAX_PAGE = 100
"""Intents of one answer: a view without its weights is a kilobyte, a packet holds four megabytes."""

MIN_ID_CHARACTERS = 4
"""Of an intent's id, which may be given by its beginning."""

MAX_REASON_CHARACTERS = 200
"""A sentence; the client sees it."""


@dataclass(frozen=True, slots=True)
class IntentList:
    """The newest intents, newest first: of one client ("" of all), unfinished ones only, accepted before a time."""

    client: str
    unfinished: bool
    before_ms: int | None
    count: int

    ask: ClassVar[str] = "intent_list"
    answer: ClassVar[type]


@dataclass(frozen=True, slots=True)
class IntentPage:
    """Views without their weights. ``more``: there are older ones."""

    intents: tuple[IntentView, ...]
    more: bool


IntentList.answer = IntentPage


@dataclass(frozen=True, slots=True)
class IntentAsk:
    """Everything about one intent, named by its id or the beginning of it."""

    intent: str

    ask: ClassVar[str] = "intent_details"
    answer: ClassVar[type]


@dataclass(frozen=True, slots=True)
class IntentDetails:
    """What the operator sees beyond the client's view.

    ``request`` is the wish as JSON, ``attempts`` the signatures made so far. ``era_birth`` ≤ block < ``era_death`` is
    where the last one is valid; by our own clock it is dead at ``dead_ms``. ``passed_by``: finality went past it.
    """

    view: IntentView
    request: str
    idempotency_key: str | None
    queue: bool
    attempts: int
    signed_ms: int | None
    dead_ms: int | None
    era_birth: int | None
    era_death: int | None
    passed_by: bool
    extrinsic: bytes | None


IntentAsk.answer = IntentDetails


@dataclass(frozen=True, slots=True)
class IntentRetry:
    """Hand the stored bytes to the pool once more; never signs. ``by`` is who says so, for the audit chain."""

    intent: str
    by: str

    ask: ClassVar[str] = "intent_retry"
    answer: ClassVar[type] = IntentView


@dataclass(frozen=True, slots=True)
class IntentCancel:
    """End an intent that is not signed; its client sees by whom and why."""

    intent: str
    why: str
    by: str

    ask: ClassVar[str] = "intent_cancel"
    answer: ClassVar[type] = IntentView


@dataclass(frozen=True, slots=True)
class Lane:
    """One hotkey's way to the chain: its nonces under signatures that may still be taken, its open intents by state."""

    wallet: str
    hotkey: str
    next_nonce: int
    nonces: tuple[int, ...]
    states: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class ClientUse:
    """What a client asked for: accepted in the last hour of its ``per_hour``, open now, refused in this minute.

    ``last_ms`` is when its newest intent was accepted, None if none ever was.
    """

    name: str
    accepted: int
    per_hour: int
    open: int
    refused: int
    last_ms: int | None


@dataclass(frozen=True, slots=True)
class Refused:
    """One refusal of the audit chain."""

    at_ms: int
    client: str
    call: str
    code: str


@dataclass(frozen=True, slots=True)
class Overview:
    """Everything that moves, for one look."""

    ask: ClassVar[str] = "overview"
    answer: ClassVar[type]


@dataclass(frozen=True, slots=True)
class OverviewView:
    """``peers`` are the connections to each of the signer's sockets; ``refusals`` the last ones, newest first."""

    status: StatusView
    lanes: tuple[Lane, ...]
    clients: tuple[ClientUse, ...]
    refusals: tuple[Refused, ...]
    peers: tuple[tuple[str, int], ...]


Overview.answer = OverviewView
