"""Which items are read, under which keys, and what stands for those that a runtime lacks."""

import json
from typing import Any

import pytest

from wallet_guard.chain.errors import Unavailable
from wallet_guard.chain.facts import ITEMS, plan, read, storage_index
from wallet_guard.ipc.chain import Action, Facts


def raws_for(wanted: Any, values: dict[bytes, Any]) -> list[bytes | None]:
    return [json.dumps(values[key]).encode() if key in values else None for key in wanted.keys]


def test_every_item_is_a_field_of_facts() -> None:
    names = set(Facts.__dataclass_fields__)
    assert set(ITEMS) <= names
    elsewhere = {"genesis_hash", "spec_version", "transaction_version", "block_number", "era_block_number"}
    elsewhere |= {"era_block_hash", "block_time_ms", "nonce", "finalized_nonce", "uids"}
    assert names == set(ITEMS) | elsewhere


def test_never_asks_for_the_item_that_old_runtimes_lack() -> None:
    assert "SubnetEpochConsensus" not in {item.name for item in ITEMS.values()}


def test_reads_last_update_of_the_mechanism_and_the_uid(kit: Any) -> None:
    codec, task = kit.codec(), kit.task(Action.FACTS, netuid=4, mechid=1)
    assert storage_index(4, 1) == 4100
    wanted = plan(codec, task)
    values = {
        kit.key_of("SubtensorModule", "Uids", 4, kit.address): 2,
        kit.key_of("SubtensorModule", "LastUpdate", 4100): [5, 6, 7],
        kit.key_of("SubtensorModule", "Tempo", 4): 99,
    }
    found = read(codec, wanted, raws_for(wanted, values)).values
    assert (found["uid"], found["last_update"], found["tempo"]) == (2, 7, 99)


def test_counts_a_hotkey_that_is_not_registered_as_never_updated(kit: Any) -> None:
    codec = kit.codec()
    wanted = plan(codec, kit.task(Action.FACTS))
    found = read(codec, wanted, raws_for(wanted, {kit.key_of("SubtensorModule", "LastUpdate", 2): [5]})).values
    assert (found["uid"], found["last_update"]) == (None, 0)


def test_takes_documented_defaults_for_all_that_a_runtime_lacks(kit: Any) -> None:
    codec = kit.codec(lacking=frozenset(item.name for item in ITEMS.values()))
    wanted = plan(codec, kit.task(Action.FACTS, hotkeys=("5Bob",)))
    assert wanted.keys == ()
    reading = read(codec, wanted, [])
    assert reading.uids == ()
    assert reading.values == {
        "uid": None,
        "mechanisms": 1,
        "commit_reveal": True,
        "commit_reveal_version": 4,
        "rate_limit": 100,
        "last_update": 0,
        "min_allowed_weights": 0,
        "max_weight_limit": 65535,
        "weights_version_key": 0,
        "tempo": 360,
        "reveal_period_epochs": 1,
        "last_epoch_block": 0,
        "pending_epoch_at": 0,
        "subnet_epoch_index": 0,
        "blocks_since_last_step": 0,
    }


def test_resolves_the_hotkeys_that_are_registered(kit: Any) -> None:
    codec = kit.codec()
    wanted = plan(codec, kit.task(Action.FACTS, hotkeys=("5Bob", "5Nobody", "5Eve")))
    values = {
        kit.key_of("SubtensorModule", "Uids", 2, "5Bob"): 1,
        kit.key_of("SubtensorModule", "Uids", 2, "5Eve"): 9,
    }
    assert read(codec, wanted, raws_for(wanted, values)).uids == (("5Bob", 1), ("5Eve", 9))


@pytest.mark.parametrize(
    ("item", "value"),
    [("Tempo", "360"), ("Tempo", True), ("CommitRevealWeightsEnabled", 1), ("LastUpdate", 5), ("LastUpdate", ["x"])],
)
def test_refuses_values_of_another_type(kit: Any, item: str, value: Any) -> None:
    codec = kit.codec()
    wanted = plan(codec, kit.task(Action.FACTS))
    with pytest.raises(Unavailable, match=item):
        read(codec, wanted, raws_for(wanted, {kit.key_of("SubtensorModule", item, 2): value}))
