"""The answer to ``Metrics``: what is true now, and nothing that is secret."""

import json
from typing import Any

import pytest

from wallet_guard.ipc.admin import Lock
from wallet_guard.ipc.chain import Event, Pulse
from wallet_guard.ipc.metrics import Metrics, render
from wallet_guard.ipc.packets import encode_packet
from wallet_guard.ipc.questions import ADMIN, CHAIN, GATEWAY, HUB
from wallet_guard.ipc.records import to_json
from wallet_guard.signer import admin, follow
from wallet_guard.signer.exposition import MAX_AGE_BLOCKS, metrics
from wallet_guard.signer.monitor import answer


def told(bench: Any) -> dict[str, float]:
    """Name and labels, as in the text, and the value."""
    text = render(metrics(bench.desk, Metrics()).families)
    return {
        name: float(value)
        for name, _, value in (line.rpartition(" ") for line in text.splitlines() if not line.startswith("#"))
    }


def pulse(bench: Any, best: int | None, trouble: str = "") -> None:
    follow.pulse(bench.desk, Pulse("ws://a", best, best and best - 2, trouble, "0.1", 5000, 1 << 20, 3, 2))


def test_only_the_gateway_may_ask():
    assert [Metrics.ask in table for table in (GATEWAY, HUB, CHAIN, ADMIN)] == [True, False, False, False]


def test_a_signer_that_never_heard_of_a_chain_says_so(bench):
    found = told(bench)
    assert found["wallet_guard_chain_reachable"] == 0
    assert "wallet_guard_chain_best_block" not in found
    assert found["wallet_guard_keys"] == found["wallet_guard_clients"] == 1


def test_the_chain_process_is_told_of_by_its_pulse(bench):
    pulse(bench, 5000)
    found = told(bench)
    assert found["wallet_guard_chain_reachable"] == 1
    assert (found["wallet_guard_chain_best_block"], found["wallet_guard_chain_finalized_block"]) == (5000, 4998)
    assert found['wallet_guard_process_start_time_seconds{process="chain"}'] == 5
    assert found['wallet_guard_build_info{process="chain",version="0.1"}'] == 1
    assert found["wallet_guard_chain_connections_total"] == 2


@pytest.mark.parametrize("name", ["started_ms", "resident_bytes", "runners", "connections"])
@pytest.mark.parametrize("figure", [-1, 10**400])
def test_a_chain_process_that_tells_absurd_figures_is_not_told_of(bench, name, figure):
    question = {**to_json(Pulse("ws://a", 1, 1, "", "0.1")), name: figure}
    found = answer(bench.desk, "chain", {"id": 1, "ask": "pulse", "body": question})
    assert found["refusal"]["code"] == "invalid_pulse"
    assert "wallet_guard_chain_best_block" not in told(bench)


def test_the_chain_processs_version_is_cut(bench):
    follow.pulse(bench.desk, Pulse("ws://a", 1, 1, "", "v" * (4 << 20)))
    assert len(encode_packet({"id": 1, "answer": to_json(metrics(bench.desk, Metrics()))})) < 1 << 20


def test_a_head_that_stands_still_grows_old(bench):
    for seconds in (0, 5, 5):
        bench.pass_time(seconds)
        pulse(bench, 5000)
    assert told(bench)["wallet_guard_chain_head_age_seconds"] == 10
    assert told(bench)["wallet_guard_chain_silence_seconds"] == 0
    pulse(bench, 5001)
    assert told(bench)["wallet_guard_chain_head_age_seconds"] == 0


def test_a_chain_that_cannot_be_reached_is_told(bench):
    pulse(bench, 5000)
    bench.pass_time(7)
    pulse(bench, None, "gone")
    found = told(bench)
    assert (found["wallet_guard_chain_reachable"], found["wallet_guard_chain_head_age_seconds"]) == (0, 7)


def test_unfinished_intents_are_told_by_state_and_what_is_timelocked(bench):
    bench.accepted(netuid=1)
    bench.sealed(bench.accepted(netuid=2), commit_reveal=True)
    found = told(bench)
    assert found['wallet_guard_open_intents{call="set_weights",state="accepted"}'] == 1
    assert found['wallet_guard_open_intents{call="set_weights",state="signed"}'] == 1
    assert found["wallet_guard_timelocked_commits"] == 1


@pytest.mark.parametrize(("best", "age"), [(5_101, 100), (5_000, 0), (5_001 + MAX_AGE_BLOCKS + 1, None)])
def test_weights_have_an_age_until_they_are_given_up(bench, best, age):
    intent = bench.accepted()
    bench.sealed(intent)
    bench.report(intent, Event.FINALIZED, block_hash="0xb1", block_number=5001)
    bench.report(intent, Event.WEIGHTS, weights=bench.intent(intent).weights)
    pulse(bench, best)
    slot = '{wallet="validator",hotkey="default",netuid="2",mechid="0"}'
    assert told(bench).get(f"wallet_guard_weights_age_blocks{slot}") == age
    assert told(bench).get(f"wallet_guard_weights_effective_block{slot}") == (None if age is None else 5001)


def test_a_lock_and_a_journal_that_failed_are_told(bench):
    assert (told(bench)["wallet_guard_locked"], told(bench)["wallet_guard_journal_failed"]) == (0, 0)
    admin.lock(bench.desk, Lock("why"))
    bench.desk.journal.error = "broken"
    assert (told(bench)["wallet_guard_locked"], told(bench)["wallet_guard_journal_failed"]) == (1, 1)


def test_refusals_at_the_door_are_counted_and_timed(bench):
    message = {"id": 1, "ask": "info", "body": {"token": "of-nobody"}}
    assert "refusal" in answer(bench.desk, "gateway", message)
    found = told(bench)
    assert found['wallet_guard_refusals_total{socket="gateway",code="unauthorized"}'] == 1
    assert found['wallet_guard_question_seconds_count{question="info"}'] == 1


def test_no_token_and_no_reason_is_in_it(bench):
    admin.lock(bench.desk, Lock("a reason"))
    text = json.dumps(to_json(metrics(bench.desk, Metrics())))
    assert bench.token not in text
    assert "a reason" not in text


def test_it_fits_into_a_packet_however_much_there_is(bench):
    figures = bench.desk.figures
    for number in range(2000):
        figures.answered("gateway", "accept", 0.1, None)
        figures._changes.count(f"call {number}", "x" * 64)
    bench.desk.figures._effective = {("w" * 64, "h" * 64, number, 15): 5_000 for number in range(5000)}
    pulse(bench, 5_000)
    packet = encode_packet({"id": 1, "answer": to_json(metrics(bench.desk, Metrics()))})
    assert len(packet) < 512 * 1024
