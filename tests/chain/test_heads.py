"""The best chain as told by heads."""

from typing import Any

import pytest

from wallet_guard.chain.errors import Unavailable
from wallet_guard.chain.heads import KEPT_BLOCKS, Header, Heads, parse_header

# Genesis of the embedded chain's encoder and of Polkadot: the published genesis header hashes to the published genesis.
POLKADOT_GENESIS = {
    "parentHash": "0x" + "00" * 32,
    "number": "0x0",
    "stateRoot": "0x29d0d972cd27cbc511e9589fcb7a4506d5eb6a9e8df205f00472e5ab354a4e17",
    "extrinsicsRoot": "0x03170a2e7597b7b7e3d84c05391d139a62b157e78786d8c082f29dcf4c111314",
    "digest": {"logs": []},
}
POLKADOT_GENESIS_HASH = "0x91b171bb158e2d3848fa23a9f1c25182fb8e20313b2c1eb49219da7a70ce90c3"


def header(number: int, fork: str = "a", parent_fork: str | None = None) -> Header:
    return Header(number, f"{fork}{number}", f"{parent_fork or fork}{number - 1}")


def test_hashes_a_header_as_the_chain_does() -> None:
    assert parse_header(POLKADOT_GENESIS).hash == POLKADOT_GENESIS_HASH


@pytest.mark.parametrize(
    "change",
    [
        {"number": 5},
        {"number": "0x40000000"},
        {"number": "-0x1"},
        {"parentHash": "0x00"},
        {"stateRoot": None},
        {"digest": {}},
        {"digest": {"logs": ["zz"]}},
        {"extrinsicsRoot": "no hex"},
    ],
)
def test_refuses_what_is_no_header(change: dict[str, Any]) -> None:
    with pytest.raises(Unavailable, match="expected a block header"):
        parse_header({**POLKADOT_GENESIS, **change})


@pytest.mark.parametrize("told", [None, [], "0x", 7])
def test_refuses_what_is_not_even_an_object(told: Any) -> None:
    with pytest.raises(Unavailable):
        parse_header(told)


def whole_heads(last: int = 5, final: int = 3) -> Heads:
    heads = Heads(header(last), header(final))
    gap = heads.gap()
    assert heads.fill(gap, [f"a{number}" for number in gap])
    return heads


def test_is_not_whole_before_the_hashes_between_are_known() -> None:
    heads = Heads(header(5), header(3))
    assert not heads.whole
    assert list(heads.gap()) == [3, 4, 5]


def test_is_whole_when_best_and_finalized_are_the_same_block() -> None:
    assert Heads(header(5), header(5)).whole


def test_follows_heads_that_link_on() -> None:
    heads = whole_heads()
    heads.move_best(header(6))
    assert heads.whole
    assert heads.hash_at(6) == "a6"
    assert heads.hash_at(7) is None


def test_forgets_blocks_that_were_replaced() -> None:
    heads = whole_heads()
    heads.move_best(header(5, "b", "a"))
    assert heads.whole
    assert heads.hash_at(5) == "b5"
    heads.move_best(header(4, "c", "a"))
    assert heads.hash_at(4) == "c4"
    assert heads.hash_at(5) is None


def test_wants_a_fork_that_is_told_by_its_tip_filled() -> None:
    heads = whole_heads()
    heads.move_best(header(7, "b"))
    assert not heads.whole
    assert heads.hash_at(4) is None
    assert heads.fill(heads.gap(), ["a3", "b4", "b5", "b6", "b7"])
    assert heads.hash_at(4) == "b4"


def test_does_not_take_hashes_that_end_in_another_head() -> None:
    heads = whole_heads()
    heads.move_best(header(7, "b"))
    assert not heads.fill(heads.gap(), ["a3", "a4", "a5", "a6", "a7"])
    assert not heads.fill(heads.gap(), ["b7"])
    assert not heads.whole


def test_is_not_whole_while_the_finalized_head_is_of_another_fork() -> None:
    heads = whole_heads()
    heads.move_finalized(Header(4, "x4", "a3"))
    assert not heads.whole


def test_waits_when_the_finalized_head_comes_before_the_best() -> None:
    heads = whole_heads()
    heads.move_finalized(header(6))
    assert not heads.whole
    assert not heads.gap()
    heads.move_best(header(6))
    assert heads.whole


def test_keeps_a_bounded_number_of_hashes() -> None:
    heads = whole_heads()
    for number in range(6, 6 + 2 * KEPT_BLOCKS):
        heads.move_best(header(number))
    assert heads.hash_at(heads.best.number - KEPT_BLOCKS) is None
    assert heads.hash_at(heads.best.number - KEPT_BLOCKS + 1) is not None
    assert len(heads.gap()) == KEPT_BLOCKS
    assert heads.whole, "finality that lags far behind must not stop the work"
