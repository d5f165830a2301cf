"""The signer's no: an exception that carries the whole refusal."""

from wallet_guard.ipc.answers import Refusal, RefusedError


def test_a_refusal_says_its_message_and_keeps_the_rest() -> None:
    refusal = Refusal("call_not_allowed", "expected a netuid of 2, found 3", retry_after_seconds=4)
    error = RefusedError(refusal)
    assert str(error) == "expected a netuid of 2, found 3"
    assert error.refusal is refusal
