"""Answers of an endpoint, checked for their shape."""

import asyncio
from typing import Any

import pytest

from wallet_guard.chain import node as node_module
from wallet_guard.chain.errors import NodeError, Unavailable
from wallet_guard.chain.node import MAX_KEYS_PER_REQUEST, Node

HASH = "0x" + "ab" * 32


class Endpoint:
    def __init__(self, answer: Any) -> None:
        self.answer = answer
        self.asked: list[tuple[str, list[Any]]] = []

    async def request(self, method: str, params: list[Any]) -> Any:
        self.asked.append((method, params))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer(params) if callable(self.answer) else self.answer


def ask(answer: Any, question: Any) -> Any:
    endpoint = Endpoint(answer)
    return asyncio.run(question(Node(endpoint)))  # type: ignore[arg-type]


QUESTIONS = {
    "block_hash": lambda node: node.block_hash(1),
    "block_hashes": lambda node: node.block_hashes([1, 2]),
    "header": lambda node: node.header(HASH),
    "extrinsic_hashes": lambda node: node.extrinsic_hashes(HASH),
    "storage": lambda node: node.storage([b"k"], HASH),
    "version": lambda node: node.version(HASH),
    "metadata_v15": lambda node: node.metadata_v15(HASH),
    "next_nonce": lambda node: node.next_nonce("5A"),
    "fee": lambda node: node.fee(b"call", 100, HASH),
}

NONSENSE: list[Any] = [None, 7, -1, "0x", "0xzz", "text", [], [7], {}, {"block": {}}, [{"changes": [["0x"]]}], True]

SENSE = {("storage", "[]"), ("next_nonce", "7"), ("metadata_v15", "'0x'"), ("block_hashes", "[]")}


@pytest.mark.parametrize("name", QUESTIONS)
@pytest.mark.parametrize("answer", NONSENSE, ids=repr)
def test_nonsense_is_unavailable_and_nothing_else(name: str, answer: Any) -> None:
    if (name, repr(answer)) in SENSE:
        ask(answer, QUESTIONS[name])
        return
    with pytest.raises(Unavailable, match="expected"):
        ask(answer, QUESTIONS[name])


@pytest.mark.parametrize("name", QUESTIONS)
def test_a_refusal_comes_through_as_one(name: str) -> None:
    with pytest.raises(NodeError, match="no"):
        ask(NodeError(-32601, "no"), QUESTIONS[name])


def test_splits_many_keys_and_keeps_their_order() -> None:
    keys = [number.to_bytes(4, "big") for number in range(MAX_KEYS_PER_REQUEST * 2 + 5)]
    answer = lambda params: [{"changes": [[key, key] for key in reversed(params[0]) if key != "0x00000003"]}]  # noqa: E731
    endpoint = Endpoint(answer)
    found = asyncio.run(Node(endpoint).storage(keys, HASH))  # type: ignore[arg-type]
    assert found == [None if key == bytes([0, 0, 0, 3]) else key for key in keys]
    assert len(endpoint.asked) == 3


def test_an_overdue_answer_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node_module, "REQUEST_SECONDS", 0.0)
    told: list[str] = []

    class Silent:
        async def request(self, method: str, params: list[Any]) -> Any:
            await asyncio.Event().wait()

    async def run() -> None:
        node = Node(Silent(), told.append)  # type: ignore[arg-type]
        with pytest.raises(Unavailable, match="no answer to account_nextIndex"):
            await node._ask("account_nextIndex", [], 0.0)

    asyncio.run(run())
    assert told == ["no answer to account_nextIndex within 0 s"]


@pytest.mark.parametrize(
    ("info", "fee"),
    [
        ("00" + "00" + "00" + "00" * 8, 0),
        # Two-byte and four-byte compact numbers, and one of eight bytes; a fee of sixteen.
        ("0101" + "02000100" + "01" + "ff" * 8, 2**64 - 1),
        ("13" + "11" * 8 + "00" + "02" + "05" + "00" * 15, 5),
    ],
)
def test_reads_the_fee_behind_weight_and_class(info: str, fee: int) -> None:
    assert ask("0x" + info, QUESTIONS["fee"]) == fee


@pytest.mark.parametrize("info", ["00", "0000", "000000", "000000" + "00" * 7, "13", "000000" + "00" * 17])
def test_a_dispatch_info_of_another_size_is_unavailable(info: str) -> None:
    with pytest.raises(Unavailable, match="expected a dispatch info"):
        ask("0x" + info, QUESTIONS["fee"])
