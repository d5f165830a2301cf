"""Explanations: they come through as they were, and their token is hidden."""

from wallet_guard.ipc.explanations import Composed, DryRun, Explanation, Ruling, Verdict
from wallet_guard.ipc.records import from_json, to_json
from wallet_guard.ipc.wishes import ResetAxon


def test_an_explanation_comes_through_as_it_was() -> None:
    verdict = Verdict("uids", Ruling.REFUSE, "0 to 5", "uid 7", 60, 8)
    call = Composed("SubtensorModule.set_weights", b"\x07\x00", ((1, 65535),), None, 461, b"\0" * 32, 0)
    told = Explanation("node", "set_weights", "w", "h", 2, 0, False, "policy_denied", "no", (verdict,), call)
    assert from_json(Explanation, to_json(told)) == told


def test_a_printed_question_hides_its_token() -> None:
    assert "secret" not in repr(DryRun("wg_very-secret", ResetAxon("w", "h", 2)))
