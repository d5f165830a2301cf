"""An intent as a row, and what may become of it."""

from pathlib import Path
from typing import Any

import pytest

from wallet_guard.ipc.intents import Failure, State
from wallet_guard.signer.journal import Journal
from wallet_guard.signer.journal.intent import FOLLOWS


def test_an_intent_comes_back_as_it_was_written(tmp_path: Path, an_intent: Any, add: Any) -> None:
    intent = an_intent(
        queue=True,
        idempotency_key="k",
        keep_nonce=True,
        lost=True,
        weights=((1, 2), (3, 65535)),
        extrinsic=b"\0\1",
        failure=Failure("code", "message", "hint", may_be_submitted=True),
        deadline_ms=2**53,
        reveal_round=2**40,
    )
    journal = Journal(tmp_path / "state")
    add(journal, intent)
    journal.close()
    journal = Journal(tmp_path / "state")
    assert journal.intent("a") == intent
    assert journal.intent_by_key("node", "k") == intent
    assert journal.intent("b") is None
    assert journal.intent_by_key("other", "k") is None
    journal.close()


@pytest.mark.parametrize("final", [State.EFFECTIVE, State.FAILED, State.EXPIRED])
def test_nothing_follows_an_end(final: State) -> None:
    assert FOLLOWS[final] == frozenset()


def test_signed_bytes_are_never_forgotten_by_going_back_from_a_block() -> None:
    # From a block an intent goes on, or back to the pool; never back to be signed anew.
    assert State.ACCEPTED not in FOLLOWS[State.IN_BLOCK] | FOLLOWS[State.FINALIZED]
