"""Clients: what they can be allowed to ask for, and questions that hide their token."""

from wallet_guard.ipc.clients import CALLS, DEFAULT_CALLS, ClientAdd, Info
from wallet_guard.ipc.wishes import WISHES


def test_a_new_client_may_set_weights_and_no_more() -> None:
    assert DEFAULT_CALLS == ("set_weights",)


def test_every_wish_is_a_call_and_no_call_is_named_twice() -> None:
    assert WISHES.keys() <= set(CALLS)
    assert len(set(CALLS)) == len(CALLS)


def test_a_printed_question_hides_its_token() -> None:
    shown = repr(Info("wg_very-secret")) + repr(ClientAdd("n", "w", "h", (), None, 1, "wg_very-secret"))
    assert "secret" not in shown
