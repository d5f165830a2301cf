"""An open journal, and intents to put into it."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from wallet_guard.ipc.intents import State
from wallet_guard.signer.journal import Intent, Journal


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    opened = Journal(tmp_path / "state")
    yield opened
    opened.close()


@pytest.fixture
def an_intent() -> Callable[..., Intent]:
    """``an_intent(name, **changes)``."""

    def make(name: str = "a", **changes: Any) -> Intent:
        values: dict[str, Any] = {
            "id": name,
            "client": "node",
            "wallet": "validator",
            "hotkey": "default",
            "ss58_address": "5G",
            "netuid": 2,
            "mechid": 0,
            "request": "{}",
            "request_sha256": b"x" * 32,
            "idempotency_key": None,
            "queue": False,
            "accepted_ms": 1_000,
            "deadline_ms": 2_000,
        }
        return Intent(**{**values, **changes})

    return make


@pytest.fixture
def add() -> Callable[..., Intent]:
    """``add(journal, intent, *states)``: written, and moved on through these states."""

    def write(journal: Journal, intent: Intent, *states: State) -> Intent:
        with journal.transaction() as writer:
            writer.add_intent(intent)
            for state in states:
                writer.change_intent(intent, state)
        return intent

    return write
