"""What one transaction may write."""

from pathlib import Path
from typing import Any

import pytest

from wallet_guard.ipc.clients import ClientView
from wallet_guard.ipc.intents import State
from wallet_guard.signer.journal import Journal
from wallet_guard.signer.journal.intent import FOLLOWS

CLIENT = ClientView("node", "validator", "default", ("set_weights",), (1, 2), 10, 1, None)


@pytest.mark.parametrize("before", list(State))
@pytest.mark.parametrize("after", list(State))
def test_what_may_follow_what_is_the_table(
    journal: Journal, before: State, after: State, an_intent: Any, add: Any
) -> None:
    intent = add(journal, an_intent(state=before))
    if after in FOLLOWS[before]:
        with journal.transaction() as writer:
            writer.change_intent(intent, after)
        assert journal.intent("a") == intent
        assert (intent.state, intent.version) == (after, 2)
    else:
        with pytest.raises(AssertionError), journal.transaction() as writer:
            writer.change_intent(intent, after)
        found = journal.intent("a")
        assert found is not None
        assert (found.state, found.version) == (before, 1)
        assert journal.error == ""


def test_a_change_made_on_an_old_copy_is_an_error(journal: Journal, an_intent: Any, add: Any) -> None:
    add(journal, an_intent())
    first, second = journal.intent("a"), journal.intent("a")
    assert first is not None
    assert second is not None
    with journal.transaction() as writer:
        writer.change_intent(first, State.SIGNED)
    with pytest.raises(AssertionError, match="under our hands"), journal.transaction() as writer:
        writer.change_intent(second, State.EXPIRED)
    found = journal.intent("a")
    assert found is not None
    assert found.state is State.SIGNED


def test_clients_come_back_and_stay_revoked(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "state")
    with journal.transaction() as writer:
        writer.add_client(b"1" * 32, CLIENT)
    assert journal.clients() == [(b"1" * 32, CLIENT)]
    with journal.transaction() as writer:
        writer.revoke_client("node", 77)
    assert journal.clients()[0][1].revoked_ms == 77
    journal.close()
    journal = Journal(tmp_path / "state")
    assert journal.clients()[0][1].revoked_ms == 77
    journal.close()


def test_a_client_of_a_step_that_failed_is_none(journal: Journal) -> None:
    def step() -> None:
        with journal.transaction() as writer:
            writer.add_client(b"1" * 32, CLIENT)
            assert len(journal.clients()) == 1
            raise KeyError

    with pytest.raises(KeyError):
        step()
    assert journal.clients() == []
