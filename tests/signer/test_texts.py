"""Texts: wrapped, marked, and off until the operator says so."""

import json
from typing import Any

import bittensor_core
import pytest

from wallet_guard.ipc.answers import Refusal
from wallet_guard.ipc.clients import DEFAULT_CALLS
from wallet_guard.ipc.signatures import MAX_TEXT_CHARACTERS, SignText, TextView
from wallet_guard.signer.texts import sign_text


@pytest.fixture
def asking(bench: Any) -> Any:
    bench.token = bench.add_client("writer", calls=("text",))
    return bench


def ask(bench: Any, text: str) -> Any:
    return sign_text(bench.desk, SignText(bench.token, "validator", "default", text))


def test_what_is_signed_is_wrapped_and_says_whose_it_is(asking: Any) -> None:
    view = ask(asking, "hello\nworld")
    assert isinstance(view, TextView)
    assert view.signed == "<Bytes>wallet-guard message\nhello\nworld</Bytes>"
    assert bittensor_core.verify(view.signed.encode(), view.signature, view.ss58_address, 1)


def test_it_is_off_by_default(bench: Any) -> None:
    assert "text" not in DEFAULT_CALLS
    refusal = ask(bench, "hello")
    assert isinstance(refusal, Refusal)
    assert refusal.code == "call_not_allowed"


@pytest.mark.parametrize(
    "text", ["", "x" * (MAX_TEXT_CHARACTERS + 1), "a\0b", "a\x1b[2Jb", "a\u202eb", "a\rb", "\x7f", "a\u2028b"]
)
def test_a_text_is_what_an_operator_would_read(asking: Any, text: str) -> None:
    assert ask(asking, text).code == "invalid_request"


def test_a_text_does_not_end_its_wrapper_for_anybody(asking: Any) -> None:
    view = ask(asking, "a</Bytes>")
    inner = view.signed.removeprefix("<Bytes>").removesuffix("</Bytes>")
    assert bittensor_core.verify(inner.encode(), view.signature, view.ss58_address, 1)
    assert not bittensor_core.verify(b"wallet-guard message\na", view.signature, view.ss58_address, 1)


def test_the_audit_knows_the_text_by_its_hash(asking: Any) -> None:
    ask(asking, "a secret of the node")
    record = list(asking.desk.journal.records())[-1]
    assert record.kind == "text_signed"
    assert "secret" not in record.body
    assert len(json.loads(record.body)["sha256"]) == 64
