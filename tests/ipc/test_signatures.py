"""Questions for one signature: none carries bytes that are signed as they are, none shows its token."""

import dataclasses
import re

import pytest

from wallet_guard.ipc.clients import CALLS
from wallet_guard.ipc.questions import GATEWAY
from wallet_guard.ipc.signatures import (
    EXTRINSIC_CALLS,
    EXTRINSIC_PREFIX,
    IssueSession,
    SignExtrinsic,
    SignRequest,
    SignText,
)

QUESTIONS = (SignRequest, SignExtrinsic, IssueSession, SignText)


@pytest.mark.parametrize("question", QUESTIONS)
def test_can_be_asked_by_the_gateway_alone_and_with_a_token(question: type) -> None:
    assert GATEWAY[question.ask] is question  # type: ignore[attr-defined]
    (token,) = [field for field in dataclasses.fields(question) if field.name == "token"]
    assert not token.repr


def test_a_token_is_not_shown() -> None:
    assert "secret" not in repr(SignText("secret", "w", "h", "text"))


def test_calls_are_named_as_the_runtime_names_them() -> None:
    for call in EXTRINSIC_CALLS:
        assert re.fullmatch(r"[A-Z][A-Za-z]+\.[a-z_]+", call)
        assert EXTRINSIC_PREFIX + call in CALLS
    assert len(set(CALLS)) == len(CALLS)
