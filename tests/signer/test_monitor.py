"""Who may ask what: each socket's table, and the end of the connection for everything else."""

import dataclasses
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wallet_guard.ipc.admin import AllowPlain
from wallet_guard.ipc.chain import Event, Pulse, Report
from wallet_guard.ipc.clients import CALLS, ClientRevoke, Info
from wallet_guard.ipc.health import Health
from wallet_guard.ipc.intents import Accept, Show
from wallet_guard.ipc.records import to_json
from wallet_guard.ipc.signatures import IssueHubSession, IssueSession, SignExtrinsic, SignRequest, SignText
from wallet_guard.signer.monitor import ANSWERERS, TABLES, NonsenseError, answer

EVERY = sorted({(record.ask, record) for table in TABLES.values() for record in table.values()}, key=lambda e: e[0])


def asked(question: Any, number: Any = 1) -> dict[str, Any]:
    return {"id": number, "ask": question.ask, "body": to_json(question)}


def test_everything_in_a_table_has_an_answerer_and_nothing_else_has() -> None:
    assert {record for _, record in EVERY} == ANSWERERS.keys()


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize(("ask", "record"), EVERY)
def test_what_is_not_in_a_sockets_table_is_nonsense_there(bench: Any, name: str, ask: str, record: Any) -> None:
    message = {"id": 1, "ask": ask, "body": {}}
    if ask in TABLES[name] and not dataclasses.fields(record):
        assert "answer" in answer(bench.desk, name, message)
        return
    with pytest.raises(NonsenseError) as caught:
        answer(bench.desk, name, message)
    if ask not in TABLES[name]:
        assert f"expected a question of the {name} table, found '{ask}'" in str(caught.value)


@pytest.mark.parametrize(
    "message",
    [
        {},
        {"id": 1},
        {"ask": "health", "body": {}},
        {"id": 1, "ask": "health"},
        {"id": 1, "ask": "health", "body": {}, "more": 1},
        {"id": "1", "ask": "health", "body": {}},
        {"id": True, "ask": "health", "body": {}},
        {"id": 1.0, "ask": "health", "body": {}},
        {"id": None, "ask": "health", "body": {}},
        {"id": [1], "ask": "health", "body": {}},
        {"id": 1, "ask": ["health"], "body": {}},
        {"id": 1, "ask": None, "body": {}},
        {"id": 1, "ask": "__class__", "body": {}},
        {"id": 1, "ask": "health", "body": None},
        {"id": 1, "ask": "health", "body": []},
        {"id": 1, "ask": "health", "body": {"x": 1}},
        {"id": 1, "ask": "info", "body": {}},
        {"id": 1, "ask": "info", "body": {"token": None}},
        {"id": 1, "ask": "info", "body": {"token": "\ud800"}},
        {"id": 1, "ask": "show", "body": {"token": "a", "intent": "\ud800"}},
    ],
)
def test_a_malformed_question_is_nonsense(bench: Any, message: dict[str, Any]) -> None:
    with pytest.raises(NonsenseError):
        answer(bench.desk, "gateway", message)


def test_nonsense_is_cut_in_the_log(bench: Any) -> None:
    with pytest.raises(NonsenseError) as caught:
        answer(bench.desk, "gateway", {"id": 1, "ask": "x" * 10_000, "body": {}})
    assert len(str(caught.value)) < 150
    with pytest.raises(NonsenseError) as caught:
        answer(bench.desk, "gateway", {"id": 1, "ask": "health", "body": {"y" * 10_000: 1}})
    assert len(str(caught.value)) < 250


@pytest.mark.parametrize("number", [0, 1, -5, 2**60])
def test_an_answer_carries_the_questions_id(bench: Any, number: int) -> None:
    found = answer(bench.desk, "gateway", asked(Health(), number))
    assert found["id"] == number
    assert found["answer"]["keys"] == 1


def test_a_refusal_is_no_answer(bench: Any) -> None:
    found = answer(bench.desk, "gateway", asked(Info("wrong")))
    assert found.keys() == {"id", "refusal"}
    assert found["refusal"]["code"] == "unauthorized"


def test_a_journal_that_cannot_be_written_refuses_what_decides_and_answers_the_rest(bench: Any) -> None:
    bench.desk.journal.error = "disk I/O error"
    found = answer(bench.desk, "gateway", asked(Accept(bench.token, None, False, bench.wish())))
    assert found["refusal"]["code"] == "journal_unavailable"
    assert answer(bench.desk, "gateway", asked(Health()))["answer"]["journal_error"] == "disk I/O error"
    assert "answer" in answer(bench.desk, "chain", asked(Pulse("ws://x", 1, 1, "")))


def test_an_id_that_no_database_takes_ends_nothing_but_the_connection(bench: Any) -> None:
    with pytest.raises(NonsenseError):
        answer(bench.desk, "gateway", asked(Show(bench.token, "\udcff")))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**80), 2**80) | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)


def signatures(bench: Any) -> dict[str, Any]:
    """Good questions for one signature each, of a client that may ask for all of them."""
    known = {client.name for _, client in bench.desk.journal.clients()}
    if "everything" not in known:
        bench.everything = bench.add_client("everything", calls=CALLS, per_hour=100_000)
    who = (bench.everything, "validator", "default")
    bob = "5FHneW46xGXgs5mUiveU4sbTyGBzmstUspZC92UhjJM694ty"
    parts = {field.name: b"" for field in dataclasses.fields(SignExtrinsic) if field.type is bytes}
    numbers = {field.name: 0 for field in dataclasses.fields(SignExtrinsic) if field.type is int}
    rest = {"address": bob, "era_period": 64, "tip_asset_id": None, "metadata_hash": None}
    genesis = {"genesis_hash": bytes.fromhex(bench.desk.genesis[2:]), "call_data": bytes.fromhex("0704")}
    return {
        "sign_request": SignRequest(*who, "POST", "/", bytes(32), bob, None),
        "sign_extrinsic": SignExtrinsic(*who, **{**parts, **numbers, **rest, **genesis}),
        "issue_session": IssueSession(*who, bytes(32), 2, bob, 60),
        "sign_text": SignText(*who, "hello"),
        "issue_hub_session": IssueHubSession("validator", "default", bytes(32), 2),
    }


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), name=st.sampled_from(sorted(TABLES)), broken=JSON)
def test_whatever_is_asked_ends_in_an_answer_a_refusal_or_nonsense(
    bench: Any, data: st.DataObject, name: str, broken: Any
) -> None:
    """Records whose shape is right and whose values are anything: the way in for whoever captured the other end."""
    questions = {
        "accept": Accept(bench.token, None, False, bench.wish()),
        "show": Show(bench.token, "x"),
        "report": Report("x", Event.IN_BLOCK, block_hash="0x", block_number=1),
        "pulse": Pulse("ws://x", 1, 1, ""),
        "allow_plain": AllowPlain(1),
        "client_revoke": ClientRevoke("x"),
        **signatures(bench),
    }
    ask = data.draw(st.sampled_from(sorted(TABLES[name].keys() & questions.keys())))
    body = json.loads(json.dumps(to_json(questions[ask])))
    target = body["request"] if ask == "accept" and data.draw(st.booleans()) else body
    field = data.draw(st.sampled_from(sorted(target)))
    target[field] = broken
    try:
        found = answer(bench.desk, name, {"id": 1, "ask": ask, "body": body})
    except NonsenseError:
        return
    assert found.keys() in ({"id", "answer"}, {"id", "refusal"})
    assert bench.desk.journal.error == ""
