"""Answers that wait for the chain process: explanations under way. In memory alone: a restart forgets them."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from wallet_guard.ipc.clients import ClientView
from wallet_guard.ipc.explanations import Composed, Verdict
from wallet_guard.ipc.wishes import Wish

MAX_OPEN = 32
"""Explanations under way: each costs the chain process as much as an intent."""

MAX_A_MINUTE = 60
"""Of one client: an explanation costs a round trip to the chain and a record."""

_MINUTE_MS = 60_000
"""What the ceiling above counts by."""


class Later:
    """An answer that comes later: whoever asked is told by ``tell``, which the asker's connection sets."""

    def __init__(self) -> None:
        self.tell: Callable[[Any], None] = lambda _answer: None


@dataclass(slots=True)
class Pending:
    """One explanation under way: who asks for what, with which hotkey; and what is known of it by now."""

    client: ClientView
    request: Wish
    address: str
    public_key: bytes
    since_ms: int
    later: Later = field(default_factory=Later)
    rules: tuple[Verdict, ...] = ()
    call: Composed | None = None
    code: str = ""
    message: str = ""


@dataclass(slots=True)
class Waitingroom:
    """All of them, by name; and how many each client asked for in the running minute."""

    open: dict[str, Pending] = field(default_factory=dict)
    _minute: int = 0
    _asked: dict[str, int] = field(default_factory=dict)

    @property
    def is_full(self) -> bool:
        """Is there no room for another?"""
        return len(self.open) >= MAX_OPEN

    def takes(self, client: str, now_ms: int) -> bool:
        """May this client ask for another in this minute? Asking counts."""
        if self._minute != now_ms // _MINUTE_MS:
            self._minute, self._asked = now_ms // _MINUTE_MS, {}
        self._asked[client] = self._asked.get(client, 0) + 1
        return self._asked[client] <= MAX_A_MINUTE
