"""What all decisions share: whose token, which key, what is told."""

import dataclasses
from typing import Any

import bittensor_core
import pytest

from wallet_guard.ipc.intents import Failure, State
from wallet_guard.signer.journal import JournalError


def test_a_token_is_its_clients(bench: Any) -> None:
    found = bench.desk.client_of(bench.token)
    assert found is not None
    assert found.name == "node"


@pytest.mark.parametrize("change", ["", "x", " ", "\n"])
def test_anything_else_is_nobodys(bench: Any, change: str) -> None:
    assert bench.desk.client_of(change + bench.token[:-1]) is None
    assert bench.desk.client_of(change) is None


def test_every_client_is_compared_whoever_asks(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import hmac

    compared: list[bytes] = []
    true = hmac.compare_digest

    def counted(first: bytes, second: bytes) -> bool:
        compared.append(first)
        return true(first, second)

    monkeypatch.setattr("wallet_guard.signer.desk.hmac.compare_digest", counted)
    for name in ("a", "b", "c"):
        bench.add_client(name)
    for token in (bench.token, "nobody's"):
        compared.clear()
        bench.desk.client_of(token)
        assert len(compared) == 4


def test_another_key_under_the_same_name_is_not_the_intents(bench: Any) -> None:
    intent = bench.intent(bench.accepted())
    assert bench.desk.key_of(intent) is not None
    (key,) = bench.desk.keys
    other = dataclasses.replace(key, _pair=bittensor_core.Keypair.create_from_uri("//Bob"))
    bench.desk.keys._keys["validator", "default"] = other
    assert bench.desk.key_of(intent) is None


def test_nothing_is_told_that_is_not_on_disk(bench: Any) -> None:
    intent = bench.intent(bench.accepted())
    told = len(bench.changes)
    bench.desk.journal.error = "disk I/O error"
    with pytest.raises(JournalError):
        bench.desk.move(intent, State.EXPIRED, "failed")
    assert len(bench.changes) == told


def test_a_failure_is_a_refusal_with_the_same_words(bench: Any) -> None:
    intent = bench.intent(bench.accepted())
    refusal = bench.desk.fail(intent, Failure("code", "message", "hint", may_be_submitted=False))
    assert (refusal.code, refusal.message, refusal.hint, refusal.intent) == ("code", "message", "hint", intent.id)
    assert bench.intent(intent.id).state is State.FAILED


def test_what_stands_in_the_way_is_gone_with_the_intent(bench: Any) -> None:
    intent = bench.intent(bench.accepted())
    bench.desk.hinder(intent, "x", "y", retry_seconds=5)
    assert bench.desk.trouble
    assert bench.desk.retry_ms
    bench.desk.fail(intent, Failure("code", "message", "hint", may_be_submitted=False))
    assert bench.desk.trouble == {}
    assert bench.desk.retry_ms == {}


def test_a_view_holds_no_bytes_and_no_request(bench: Any) -> None:
    intent = bench.accepted()
    bench.sealed(intent)
    view = bench.desk.view(bench.intent(intent))
    assert {"extrinsic", "request", "idempotency_key"}.isdisjoint(entry.name for entry in dataclasses.fields(view))
    assert (view.nonce, view.call) == (7, "SubtensorModule.set_weights")
