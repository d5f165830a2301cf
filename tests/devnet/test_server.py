import asyncio
import json
from typing import Any

import pytest

from wallet_guard.devnet.server import Devnet

START = 1_700_000_000_000


class Wire:
    """A connection that keeps what it is sent."""

    def __init__(self) -> None:
        self.sent: list[Any] = []
        self.aborted = False

    def send_text(self, text: str) -> bool:
        self.sent.append(json.loads(text))
        return True

    def abort(self) -> None:
        self.aborted = True


class Room:
    """A devnet and one client of it."""

    def __init__(self, chain) -> None:
        self.devnet = Devnet(chain, lambda: START)
        self.wire = Wire()
        self.devnet.on_open(self.wire)

    def ask(self, method: str, *params: Any) -> list[Any]:
        """What is sent because of a request."""
        before = len(self.wire.sent)
        self.devnet.on_message(self.wire, json.dumps({"id": 1, "method": method, "params": params}))
        return self.wire.sent[before:]


@pytest.fixture
def room(chain) -> Room:
    return Room(chain)


def test_answers(room, chain):
    (answer,) = room.ask("chain_getHead")
    assert answer == {"jsonrpc": "2.0", "id": 1, "result": chain.best.hash}


def test_answers_what_is_no_request(room):
    room.devnet.on_message(room.wire, b"\xff{")
    assert room.wire.sent == [{"jsonrpc": "2.0", "id": None, "error": {"code": -32700, "message": "Parse error"}}]


def test_lists_its_methods(room):
    (answer,) = room.ask("rpc_methods")
    assert {"rpc_methods", "devnet_fault", "author_submitExtrinsic"} < set(answer["result"]["methods"])


def test_the_answer_to_a_submission_comes_before_its_statuses(room, alice):
    answer, update = room.ask("author_submitAndWatchExtrinsic", "0x" + alice.weights().hex())
    assert update["params"] == {"subscription": answer["result"], "result": "ready"}


def test_cuts_the_connection_instead_of_handling(room, chain, alice):
    room.ask("devnet_fault", {"kind": "close", "methods": ["author_*"], "times": 1})
    assert room.ask("author_submitExtrinsic", "0x" + alice.weights().hex()) == []
    assert room.wire.aborted
    assert chain.records == {}


def test_takes_an_extrinsic_and_cuts_the_connection_instead_of_answering(room, chain, alice):
    room.ask("devnet_fault", {"kind": "lose_answer", "methods": ["author_*"], "times": 1})
    assert room.ask("author_submitExtrinsic", "0x" + alice.weights().hex()) == []
    assert room.wire.aborted
    assert len(chain.pool) == 1


def test_neither_handles_nor_answers(room, chain, alice):
    room.ask("devnet_fault", {"kind": "mute", "methods": ["author_*"]})
    assert room.ask("author_submitExtrinsic", "0x" + alice.weights().hex()) == []
    assert not room.wire.aborted
    assert chain.records == {}
    assert len(room.ask("chain_getHead")) == 1


def test_refuses_as_it_is_told(room):
    room.ask("devnet_fault", {"kind": "refuse", "methods": ["author_*"], "times": 1})
    room.ask("devnet_fault", {"kind": "refuse", "methods": ["chain_*"], "code": 5, "message": "no", "data": "why"})
    error = {"code": 1010, "message": "Invalid Transaction", "data": "Transaction is outdated"}
    assert room.ask("author_submitExtrinsic", "0x00")[0]["error"] == error
    assert room.ask("chain_getHead")[0]["error"] == {"code": 5, "message": "no", "data": "why"}


def test_accepts_an_extrinsic_and_loses_it(room, chain, alice):
    room.ask("devnet_fault", {"kind": "swallow", "methods": ["author_*"], "times": 1})
    (answer,) = room.ask("author_submitExtrinsic", "0x" + alice.weights().hex())
    assert answer["result"] in chain.records
    assert len(chain.pool) == 0
    assert chain.records[answer["result"]].state == "dropped"


def test_half_open_connections_are_silent_until_healed(room, chain):
    room.ask("chain_subscribeNewHeads")
    room.ask("devnet_fault", {"kind": "half_open"})
    assert room.ask("chain_getHead") == []
    before = len(room.wire.sent)
    chain.seal(START)
    assert len(room.wire.sent) == before
    room.ask("devnet_heal")
    assert len(room.ask("chain_getHead")) == 1


def test_what_is_slow_is_handled_later(room, chain):
    async def scenario() -> None:
        room.ask("devnet_fault", {"kind": "slow", "methods": ["chain_*"], "milliseconds": 0})
        assert room.ask("chain_getHead") == []
        assert len(room.ask("account_nextIndex", "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY")) == 1
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert room.wire.sent[-1]["result"] == chain.best.hash

    asyncio.run(scenario())


def test_a_client_that_left_while_it_waited_is_not_answered(room):
    async def scenario() -> None:
        room.ask("devnet_fault", {"kind": "slow", "milliseconds": 0})
        room.ask("chain_getHead")
        room.devnet.on_close(room.wire, 1000, "")
        before = len(room.wire.sent)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert len(room.wire.sent) == before

    asyncio.run(scenario())
