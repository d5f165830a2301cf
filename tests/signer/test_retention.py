"""Old intents go, a few at a time; what is needed stays, and the audit chain stays whole."""

import json
from typing import Any

import pytest

from wallet_guard.ipc.chain import Event
from wallet_guard.ipc.intents import State
from wallet_guard.signed.audit import verify_chain
from wallet_guard.signer.journal import Intent, Journal, JournalError
from wallet_guard.signer.retention import DAY_MS, IDLE_SECONDS, STEP_INTENTS, Retention

KEEP_DAYS = 30
NOW = 1_000 * DAY_MS
OLD = NOW - KEEP_DAYS * DAY_MS - 1


def fill(journal: Journal, *rows: dict[str, Any]) -> None:
    common = {
        "client": "node",
        "wallet": "w",
        "hotkey": "h",
        "ss58_address": "5G",
        "netuid": 1,
        "mechid": 0,
        "request": "{}",
        "request_sha256": b"",
        "queue": False,
        "deadline_ms": 0,
        "idempotency_key": None,
    }
    with journal.transaction() as writer:
        for row in rows:
            writer.add_intent(Intent(**{**common, "accepted_ms": OLD, **row}))


@pytest.fixture
def journal(tmp_path: Any) -> Any:
    opened = Journal(tmp_path / "state")
    yield opened
    opened.close()


def left(journal: Journal) -> set[str]:
    return {intent.id for intent in journal.newest_intents(100_000)}


@pytest.mark.parametrize("state", list(State))
def test_only_what_has_ended_goes(journal: Journal, state: State) -> None:
    fill(journal, {"id": "a", "state": state})
    gone = state in (State.EFFECTIVE, State.FAILED, State.EXPIRED)
    assert Retention(journal, KEEP_DAYS).step(NOW) == int(gone)
    assert left(journal) == (set() if gone else {"a"})


def test_only_what_is_older_than_the_window_goes(journal: Journal) -> None:
    fill(
        journal,
        {"id": "old", "state": State.FAILED},
        {"id": "new", "state": State.FAILED, "accepted_ms": OLD + 1, "idempotency_key": "k"},
    )
    assert Retention(journal, KEEP_DAYS).step(NOW) == 1
    assert left(journal) == {"new"}
    assert journal.intent_by_key("node", "k") is not None
    assert Retention(journal, KEEP_DAYS).step(NOW + 1) == 1
    assert journal.intent_by_key("node", "k") is None


def test_the_highest_final_nonce_of_each_hotkey_stays_known(journal: Journal) -> None:
    final = {"state": State.EFFECTIVE, "block_hash": "0x"}
    fill(journal, *({"id": f"a{nonce}", "nonce": nonce, "block_number": nonce, **final} for nonce in range(10)))
    fill(journal, {"id": "b3", "nonce": 3, "ss58_address": "5H", **final})
    fill(journal, {"id": "lost", "nonce": 99, "state": State.FAILED})
    assert Retention(journal, KEEP_DAYS).step(NOW) == 10
    assert left(journal) == {"a9", "b3"}
    assert (journal.lowest_nonce("5G"), journal.lowest_nonce_block("5G"), journal.lowest_nonce("5H")) == (10, 9, 4)
    # Once a later one is known, it goes as well.
    fill(journal, {"id": "a10", "nonce": 10, "accepted_ms": NOW, **final})
    assert Retention(journal, KEEP_DAYS).step(NOW) == 1
    assert left(journal) == {"a10", "b3"}


def test_a_step_is_bounded_and_steps_have_pauses(journal: Journal) -> None:
    fill(journal, *({"id": f"{at:04}", "state": State.FAILED} for at in range(2 * STEP_INTENTS + 5)))
    retention, now = Retention(journal, KEEP_DAYS), NOW
    steps: list[int] = []
    while not steps or steps[-1]:
        steps.append(retention.step(now))
        assert retention.step(now + 999) == 0
        now += 1_000
    assert steps == [STEP_INTENTS, STEP_INTENTS, 5, 0]
    assert retention.step(now + 5_000) == 0
    fill(journal, {"id": "more", "state": State.FAILED})
    assert retention.step(now + 5_000) == 0
    assert retention.step(now + int(IDLE_SECONDS * 1000)) == 1
    # A clock that is set back by a year does not stop it for that long.
    fill(journal, {"id": "back", "state": State.FAILED, "accepted_ms": 0})
    assert retention.step(now - 365 * DAY_MS) == 1


def test_the_audit_chain_has_every_step_and_stays_whole(journal: Journal) -> None:
    with journal.transaction() as writer:
        writer.record(1, "accepted", "node", intent="a")
    fill(journal, {"id": "a", "state": State.FAILED})
    Retention(journal, KEEP_DAYS).step(NOW)
    assert verify_chain(journal.records()) == journal.audit_head
    accepted, compacted = journal.records()
    assert (accepted.kind, compacted.kind) == ("accepted", "compacted")
    assert json.loads(compacted.body) == {"before_ms": NOW - KEEP_DAYS * DAY_MS, "intents": 1}


def test_a_step_that_cannot_be_written_takes_nothing(journal: Journal) -> None:
    fill(journal, {"id": "a", "state": State.FAILED})
    journal.error = "a test"
    with pytest.raises(JournalError):
        Retention(journal, KEEP_DAYS).step(NOW)
    journal.error = ""
    assert left(journal) == {"a"}


def test_what_is_asked_of_a_journal_with_many_rows_never_reads_them_all(journal: Journal) -> None:
    """By the plans, not by the clock: every question on the way to a signature goes by an index that fits it."""
    asked: list[str] = []
    journal._db.set_trace_callback(asked.append)
    journal.nonces_in_flight("5G", "")
    journal.lowest_nonce("5G")
    journal.newest_intents(20)
    journal.open_intents()
    journal.count_accepted("node", 5)
    journal.last_signed("5G", 1, 0)
    journal.ended_before(NOW, STEP_INTENTS)
    journal._db.set_trace_callback(None)
    plans = []
    for query in asked:
        rows = journal._db.execute(f"EXPLAIN QUERY PLAN {query}").fetchall()
        plans.append((query[:200], [row[3] for row in rows]))
    whole = [(query, plan) for query, plan in plans if any(step == "SCAN intents" for step in plan)]
    assert whole == []
    text = " ".join(step for _, plan in plans for step in plan)
    for index in ("intents_open", "intents_nonce", "intents_age", "intents_recent", "intents_slot"):
        assert index in text
    assert "USE TEMP B-TREE FOR ORDER BY" not in text


def test_the_signer_takes_steps_by_itself(bench: Any) -> None:
    first = bench.accepted(netuid=1, key="k")
    bench.sealed(first)
    bench.report(first, Event.REJECTED, code="x")
    assert bench.desk.retention.step(bench.now) == 0
    days = bench.desk.config.signer.keep_days
    assert bench.desk.retention.step(bench.now + days * DAY_MS) == 0, "exactly as old as the window"
    assert bench.desk.retention.step(bench.now + (days + 1) * DAY_MS) == 1
    assert bench.desk.journal.intent(first) is None
    assert bench.kinds()[-1] == "compacted"
