"""What is counted, as the desk works."""

from typing import Any

from wallet_guard.ipc.answers import Done, Refusal
from wallet_guard.ipc.chain import Event
from wallet_guard.signer.figures import Slot

BLOCK = {"block_hash": "0xb1", "block_number": 5001}


def values(bench: Any, name: str) -> dict[tuple[str, ...], float]:
    """The samples of a family by the values of their labels."""
    (family,) = (each for each in bench.desk.figures.families() if each.name == name)
    return {tuple(value for _, value in sample.labels): sample.value for sample in family.samples if not sample.suffix}


def effective(bench: Any, intent: str, block: int = 5001) -> None:
    bench.report(intent, Event.FINALIZED, block_hash="0xb1", block_number=block)
    bench.report(intent, Event.WEIGHTS, weights=bench.intent(intent).weights)


def test_every_change_of_an_intent_counts(bench):
    intent = bench.accepted()
    bench.sealed(intent)
    effective(bench, intent)
    found = values(bench, "wallet_guard_intents_total")
    for state in ("accepted", "signed", "finalized", "effective"):
        assert found["set_weights", state] == 1


def test_refusals_count_by_socket_and_code(bench):
    bench.desk.figures.answered("gateway", "accept", 0.001, Refusal("rate_limited", ""))
    bench.desk.figures.answered("gateway", "accept", 0.001, Done())
    assert values(bench, "wallet_guard_refusals_total") == {("gateway", "rate_limited"): 1}


def test_answers_are_timed_by_question(bench):
    bench.desk.figures.answered("chain", "seal", 0.02, Done())
    (family,) = (each for each in bench.desk.figures.families() if each.name == "wallet_guard_question_seconds")
    count = [
        each.value for each in family.samples if each.suffix == "_count" and each.labels == (("question", "seal"),)
    ]
    assert count == [1]


def test_a_journal_that_cannot_be_written_counts(bench):
    bench.desk.figures.journal_failed()
    assert values(bench, "wallet_guard_journal_errors_total") == {(): 1}


def test_a_commit_that_did_not_reveal_counts(bench):
    intent = bench.accepted()
    bench.sealed(intent, commit_reveal=True)
    bench.report(intent, Event.FINALIZED, **BLOCK)
    bench.pass_time(3600 * 24)
    assert bench.intent(intent).failure.code == "not_effective"
    assert values(bench, "wallet_guard_unrevealed_total") == {(): 1}


def test_other_failures_are_not_taken_for_it(bench):
    intent = bench.accepted()
    bench.sealed(intent)
    bench.report(intent, Event.REJECTED, code="x")
    assert values(bench, "wallet_guard_unrevealed_total") == {(): 0}


def test_the_block_of_the_newest_effect_is_read_from_the_journal_and_then_kept(bench):
    figures, journal = bench.desk.figures, bench.desk.journal
    first = bench.accepted()
    bench.sealed(first)
    effective(bench, first)
    assert figures.effective(journal) == {Slot("validator", "default", 2, 0): 5001}
    second = bench.accepted(key="2")
    bench.sealed(second, nonce=8, finalized_nonce=8)
    effective(bench, second, 5003)
    assert figures.effective(journal) == {Slot("validator", "default", 2, 0): 5003}
    # A signer that starts again finds the same.
    figures._effective = None
    assert figures.effective(journal) == {Slot("validator", "default", 2, 0): 5003}


def test_what_did_not_take_effect_is_no_slot(bench):
    bench.sealed(bench.accepted())
    assert bench.desk.figures.effective(bench.desk.journal) == {}
