"""The tables are the security argument: what is not listed cannot be asked."""

import dataclasses
import typing
from typing import Any

import pytest

from wallet_guard.ipc.questions import ADMIN, CHAIN, GATEWAY, HUB

TABLES = {"gateway": GATEWAY, "hub": HUB, "chain": CHAIN, "admin": ADMIN}
EVERY = [record for table in TABLES.values() for record in table.values()]


def test_each_socket_lists_exactly_this() -> None:
    assert {name: sorted(table) for name, table in TABLES.items()} == {
        "gateway": [
            *("accept", "client_signed", "dry_run", "health", "info", "issue_session", "metrics", "show"),
            *("sign_extrinsic", "sign_request", "sign_text"),
        ],
        "hub": ["health", "issue_hub_session"],
        "chain": ["inform", "pull", "pulse", "quote", "report", "runtime", "seal"],
        "admin": [
            *("allow_plain", "allow_runtime", "audit_checkpoint", "client_add", "client_revoke", "explain"),
            *("health", "intent_cancel", "intent_details", "intent_list", "intent_retry"),
            *("lock", "overview", "policy_reload", "status", "unlock"),
        ],
    }


def test_the_gateway_can_neither_feed_facts_nor_change_clients() -> None:
    assert not GATEWAY.keys() & (CHAIN.keys() | {"client_add", "client_revoke", "allow_plain", "status"})


def test_the_hub_has_no_token_and_can_ask_for_nothing_that_wants_one() -> None:
    assert not any("token" in field.name for record in HUB.values() for field in dataclasses.fields(record))
    assert HUB.keys() & GATEWAY.keys() == {"health"}


@pytest.mark.parametrize("record", EVERY)
def test_a_question_knows_its_name_and_its_answer(record: Any) -> None:
    assert dataclasses.is_dataclass(record)
    assert dataclasses.is_dataclass(record.answer)
    assert record.__dataclass_params__.frozen
    assert record.__doc__


@pytest.mark.parametrize("record", [*EVERY, *(record.answer for record in EVERY)])
def test_no_record_shows_a_token(record: Any) -> None:
    for field in dataclasses.fields(record):
        if "token" in field.name:
            assert not field.repr


def test_every_annotation_is_one_that_records_can_carry() -> None:
    plain = {bool, int, float, str, bytes, type(None)}

    def check(hint: Any) -> None:
        arguments = [each for each in typing.get_args(hint) if each is not Ellipsis]
        if arguments:
            for each in arguments:
                check(each)
        elif dataclasses.is_dataclass(hint):
            for name, inner in typing.get_type_hints(hint).items():
                if typing.get_origin(inner) is not typing.ClassVar:
                    assert name
                    check(inner)
        else:
            assert hint in plain or issubclass(hint, str)

    for record in EVERY:
        check(record)
        check(record.answer)
