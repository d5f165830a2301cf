"""Accept: every reason to say no, in its order; yes only once it is on disk."""

import dataclasses
import json
from hashlib import sha256
from typing import Any

import bittensor_core
import pytest

from wallet_guard.ipc.answers import Refusal
from wallet_guard.ipc.intents import IntentView, Show, State
from wallet_guard.signed.audit import verify_chain
from wallet_guard.signer import accept, admin
from wallet_guard.signer.journal import JournalError

BOB = bittensor_core.Keypair.create_from_uri("//Bob").ss58_address
DAVE = bittensor_core.Keypair.create_from_uri("//Dave").ss58_address


def code(found: Any) -> str:
    assert isinstance(found, Refusal), found
    return found.code


def test_a_wish_becomes_an_intent_that_is_on_disk(bench: Any) -> None:
    view = bench.accept(key="k")
    assert isinstance(view, IntentView)
    intent = bench.intent(view.intent)
    assert (intent.state, intent.client, intent.netuid) == (State.ACCEPTED, "node", 2)
    assert json.loads(intent.request)["weights"] == [100.0, 200.0, 300.0]
    assert intent.deadline_ms == bench.now + 300_000
    assert bench.kinds() == ["client_added", "accepted"]
    assert [change.id for change in bench.changes] == [view.intent]
    assert len(bench.works) == 1
    assert verify_chain(bench.desk.journal.records()) == bench.desk.journal.audit_head


@pytest.mark.parametrize("queue", [False, True])
def test_a_request_is_told_from_another_by_the_digest_of_its_json(bench: Any, queue: bool) -> None:
    view = bench.accept(key="k", queue=queue)
    intent = bench.intent(view.intent)
    meant = {"request": json.loads(intent.request), "queue": queue}
    text = json.dumps(meant, separators=(",", ":"), sort_keys=True)
    assert intent.request_sha256 == sha256(text.encode()).digest()


@pytest.mark.parametrize("token", ["", "wg_wrong", "default-token", "é", "x" * 100_000])
def test_a_stranger_is_counted_and_leaves_no_record(bench: Any, token: str) -> None:
    assert code(bench.accept(token=token)) == "unauthorized"
    assert code(accept.show(bench.desk, Show(token, "x"))) == "unauthorized"
    assert bench.desk.strangers == 2
    assert bench.kinds() == ["client_added"]


def test_a_revoked_token_is_a_strangers(bench: Any) -> None:
    admin.client_revoke(bench.desk, admin.ClientRevoke("node"))
    assert code(bench.accept()) == "unauthorized"
    assert bench.desk.strangers == 1


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"key": ""}, "Idempotency-Key: expected 1 to 128"),
        ({"key": "x" * 129}, "Idempotency-Key"),
        ({"key": "a\nb"}, "Idempotency-Key"),
        ({"key": "é"}, "Idempotency-Key"),
        ({"netuid": -1}, "netuid: expected 0 to 4095, found -1"),
        ({"netuid": 4096}, "netuid: expected 0 to 4095"),
        ({"netuid": 10**300}, "netuid: expected 0 to 4095"),
        ({"mechid": 16}, "mechid: expected 0 to 15"),
        ({"version_key": 2**64}, "version_key: expected 0 to"),
        ({"version_key": -1}, "version_key: expected 0 to"),
        ({"uids": None}, "either uids or hotkeys"),
        ({"hotkeys": (BOB, DAVE, BOB)}, "either uids or hotkeys"),
        ({"uids": (), "weights": ()}, "expected 1 to 4096 entries, found 0"),
        ({"uids": tuple(range(4097)), "weights": (1.0,) * 4097}, "found 4097"),
        ({"uids": (1, 2)}, "equal lengths, found 2 and 3"),
        ({"uids": (1, 2, 2)}, "each uid once, found 2 twice"),
        ({"uids": (1, 2, 65536)}, "uids: expected 0 to 65535"),
        ({"weights": (1.0, -1.0, 1.0)}, "finite numbers of at least 0"),
        ({"weights": (1.0, float("nan"), 1.0)}, "finite numbers of at least 0"),
        ({"weights": (0.0, 0.0, 0.0)}, "at least one above 0"),
        ({"uids": None, "hotkeys": (BOB, BOB, DAVE)}, "each hotkey once"),
        ({"uids": None, "hotkeys": (BOB, "5Grw", DAVE)}, "expected ss58 addresses as keys, found '5Grw'"),
        ({"uids": None, "hotkeys": (BOB, "", DAVE)}, "expected ss58 addresses"),
    ],
)
def test_a_wish_in_the_wrong_shape_names_its_field(bench: Any, changes: dict[str, Any], says: str) -> None:
    refusal = bench.accept(**changes)
    assert code(refusal) == "invalid_request"
    assert says in refusal.message
    assert len(refusal.message) < 300
    assert bench.desk.journal.count_open() == 0
    assert bench.kinds() == ["client_added", "denied"]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"wallet": "other"}, "wallet_not_allowed"),
        ({"hotkey": "other"}, "wallet_not_allowed"),
        ({"netuid": 4}, "netuid_not_allowed"),
        ({"netuid": 0}, "netuid_not_allowed"),
    ],
)
def test_what_the_token_does_not_allow_is_refused_and_recorded(
    bench: Any, changes: dict[str, Any], expected: str
) -> None:
    assert code(bench.accept(**changes)) == expected
    assert bench.kinds()[-1] == "denied"
    (*_, record) = bench.desk.journal.records()
    assert json.loads(record.body)["code"] == expected
    assert record.client == "node"


def test_a_client_without_the_call_may_not(bench: Any) -> None:
    assert code(bench.accept(token=bench.add_client("idle", calls=()))) == "call_not_allowed"


def test_a_client_for_any_netuid_may_use_any(bench: Any) -> None:
    assert isinstance(bench.accept(token=bench.add_client("any", netuids=None), netuid=4000), IntentView)


def test_a_client_for_no_netuid_may_use_none(bench: Any) -> None:
    assert code(bench.accept(token=bench.add_client("none", netuids=()))) == "netuid_not_allowed"


def test_a_key_that_is_no_longer_loaded_is_refused(bench: Any) -> None:
    bench.desk.keys._keys.clear()
    assert code(bench.accept()) == "unknown_wallet"


def test_the_same_key_and_the_same_request_is_the_same_intent(bench: Any) -> None:
    first = bench.accept(key="k")
    again = bench.accept(key="k")
    assert (again.intent, again.version) == (first.intent, first.version)
    assert bench.desk.journal.count_open() == 1
    assert bench.kinds().count("accepted") == 1


def test_the_same_key_answers_with_the_intent_as_it_stands_now(bench: Any) -> None:
    first = bench.accept(key="k")
    bench.sealed(first.intent)
    assert bench.accept(key="k").state is State.SIGNED


@pytest.mark.parametrize(
    "changes",
    [
        {"netuid": 1},
        {"weights": (1.0, 2.0, 3.0)},
        {"uids": (1, 2, 4)},
        {"version_key": 1},
        {"mechid": 1},
        {"queue": True},
    ],
)
def test_the_same_key_for_another_request_is_a_conflict(bench: Any, changes: dict[str, Any]) -> None:
    first = bench.accept(key="k")
    refusal = bench.accept(key="k", **changes)
    assert (code(refusal), refusal.intent) == ("idempotency_conflict", first.intent)
    assert bench.desk.journal.count_open() == 1


def test_a_key_is_one_clients_own(bench: Any) -> None:
    first = bench.accept(key="k")
    assert bench.accept(key="k", token=bench.add_client("other")).intent != first.intent


def test_without_a_key_every_request_is_a_new_one(bench: Any) -> None:
    assert bench.accept().intent != bench.accept().intent


def test_an_hours_ceiling_moves_with_the_clock(bench: Any) -> None:
    token = bench.add_client("slow", per_hour=2)
    assert isinstance(bench.accept(token=token), IntentView)
    bench.pass_time(1800)
    assert isinstance(bench.accept(token=token, key="k"), IntentView)
    refusal = bench.accept(token=token)
    assert (code(refusal), refusal.retry_after_seconds) == ("rate_limited", 60)
    # A repeated question is no new request.
    assert isinstance(bench.accept(token=token, key="k"), IntentView)
    bench.pass_time(1801)
    assert isinstance(bench.accept(token=token), IntentView)


def test_open_intents_have_a_ceiling_per_client_and_in_all(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accept, "MAX_OPEN_PER_CLIENT", 2)
    monkeypatch.setattr(accept, "MAX_OPEN", 3)
    other, third = bench.add_client("other"), bench.add_client("third")
    assert isinstance(bench.accept(), IntentView)
    assert isinstance(bench.accept(), IntentView)
    assert code(bench.accept()) == "too_many_open"
    assert isinstance(bench.accept(token=other), IntentView)
    assert code(bench.accept(token=third)) == "too_many_open"


def test_nothing_is_accepted_once_the_journal_failed(bench: Any) -> None:
    bench.desk.journal.error = "disk I/O error"
    with pytest.raises(JournalError):
        bench.accept()
    assert bench.changes == []
    assert bench.desk.journal.count_open() == 0


def test_only_its_own_client_sees_an_intent(bench: Any) -> None:
    view, other = bench.accept(), bench.add_client("other")
    assert accept.show(bench.desk, Show(bench.token, view.intent)) == view
    assert code(accept.show(bench.desk, Show(other, view.intent))) == "unknown_intent"
    assert code(accept.show(bench.desk, Show(bench.token, "nothing"))) == "unknown_intent"


def test_no_answer_and_no_record_holds_a_token(bench: Any) -> None:
    shown = [bench.accept(), bench.accept(netuid=9), bench.accept(token=bench.token + "x")]
    told = "".join(repr(dataclasses.asdict(each)) for each in shown)
    told += "".join(record.body for record in bench.desk.journal.records())
    assert bench.token not in told
    assert bench.token.encode() not in bench.desk.journal.path.read_bytes()
