"""How failures read."""

from wallet_guard.chain.errors import NodeError


def test_shows_the_data_behind_the_message() -> None:
    assert str(NodeError(1010, "Invalid Transaction", "Custom error: 6")) == "Invalid Transaction: Custom error: 6"
    assert str(NodeError(1010, "Invalid Transaction")) == "Invalid Transaction"
