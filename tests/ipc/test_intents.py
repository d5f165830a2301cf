"""Intents: three ends, and questions that hide their token."""

from wallet_guard.ipc.intents import FINAL_STATES, Accept, Show, State
from wallet_guard.ipc.wishes import ResetAxon


def test_three_states_are_final() -> None:
    assert {State.EFFECTIVE, State.FAILED, State.EXPIRED} == FINAL_STATES


def test_a_printed_question_hides_its_token() -> None:
    shown = repr(Show("wg_very-secret", "id")) + repr(Accept("wg_very-secret", None, False, ResetAxon("w", "h", 2)))
    assert "secret" not in shown
