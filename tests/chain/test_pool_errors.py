"""What a refusal of the pool is taken for."""

import pytest

from wallet_guard.chain.errors import NodeError
from wallet_guard.chain.pool_errors import Meaning, judge


@pytest.mark.parametrize(
    ("code", "message", "data", "name", "meaning"),
    [
        (1013, "Transaction Already Imported", "0xab", "AlreadyImported", Meaning.HELD),
        (1014, "Priority is too low: (1 vs 1)", "too low priority", "PriorityTooLow", Meaning.UNSETTLED),
        (1012, "Transaction is temporarily banned", "", "TemporarilyBanned", Meaning.UNSETTLED),
        (1016, "Immediately Dropped", "", "ImmediatelyDropped", Meaning.UNSETTLED),
        (1010, "Invalid Transaction", "Custom error: 6", "RateLimitExceeded", Meaning.REFUSED),
        (1010, "Invalid Transaction", "Custom error: 255", "BadRequest", Meaning.REFUSED),
        (1010, "Invalid Transaction", "Custom error: 200", "Custom200", Meaning.REFUSED),
        (1010, "Invalid Transaction", "Transaction is outdated", "Stale", Meaning.UNSETTLED),
        (1010, "Invalid Transaction", "Transaction has an ancient birth block", "AncientBirthBlock", Meaning.UNSETTLED),
        (1010, "Invalid Transaction", "Transaction has a bad signature", "BadProof", Meaning.REFUSED),
        (1010, "Invalid Transaction", "Inability to pay some fees", "Payment", Meaning.REFUSED),
        (1010, "Invalid Transaction", "a text of tomorrow", "Rpc1010", Meaning.UNSETTLED),
        (-32603, "Internal error", "", "Rpc-32603", Meaning.UNSETTLED),
        (1002, "Verification Error", "Custom error: 6", "Rpc1002", Meaning.UNSETTLED),
    ],
)
def test_names_a_refusal_and_what_follows(code: int, message: str, data: str, name: str, meaning: Meaning) -> None:
    verdict = judge(NodeError(code, message, data))
    assert (verdict.name, verdict.meaning) == (name, meaning)
    assert message in verdict.message
