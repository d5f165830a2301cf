"""What doctor reads of the chain, against the metadata of a runtime and the state of the embedded chain."""

import asyncio

import pytest

from wallet_guard.cli.doctor import sight
from wallet_guard.devnet.genesis import Genesis, Validator, build
from wallet_guard.devnet.metadata import RECORDED_SPEC_VERSION, served_metadata
from wallet_guard.devnet.runtime import Runtime

BOB = "5FHneW46xGXgs5mUiveU4sbTyGBzmstUspZC92UhjJM694ty"
FERDIE = "5CiPPseXPECbkjWCa6MnjNokrgYjMqmKndv2rSnekmSK2DjL"
STRANGER = "5C4hrfjw9DjXZTzV3MwzrrAr9P1MJhSrvWGWqi1eSuyUpnhM"


@pytest.fixture(scope="module")
def runtime():
    return Runtime(served_metadata(12_000), RECORDED_SPEC_VERSION)


def read(runtime, *wanted, changes=None):
    state = {**build(runtime, Genesis((Validator(FERDIE),))), **(changes or {})}

    async def ask(method, *parameters):
        if method == "chain_getBlockHash":
            return "0xgenesis" if parameters else "0xhead"
        if method == "chain_getHeader":
            return {"number": "0x10"}
        assert (method, parameters[1]) == ("state_queryStorageAt", "0xhead")
        found = [(key, state.get(bytes.fromhex(key[2:]))) for key in parameters[0]]
        return [
            {"block": "0xhead", "changes": [(key, None if raw is None else "0x" + raw.hex()) for key, raw in found]}
        ]

    return asyncio.run(sight.read_chain(ask, "ws://a", [sight.Wanted(*each) for each in wanted]))


def test_prefixes_are_those_of_the_runtime(runtime):
    assert runtime.key("Timestamp", "Now") == sight.NOW
    for name, prefix in sight.PREFIXES.items():
        assert runtime.key("SubtensorModule", name) == prefix


def test_defaults_are_those_of_the_runtime(runtime):
    assert runtime.decode_value("SubtensorModule", "WeightsSetRateLimit", None) == sight.DEFAULT_RATE_LIMIT
    assert runtime.decode_value("SubtensorModule", "TaoWeight", None) == sight.DEFAULT_TAO_WEIGHT


def test_reads_registration_permit_and_stake(runtime):
    found = read(runtime, ("w/bob", BOB, 2), ("w/ferdie", FERDIE, 2), ("w/none", STRANGER, 2), ("w/bob", BOB, 77))
    assert (found.genesis, found.best_block, found.stake_threshold_rao) == ("0xgenesis", 16, 10**12)
    bob, ferdie, stranger, nowhere = found.neurons
    assert (bob.subnet_exists, bob.uid, bob.permit, bob.stake_rao >= 10**13) == (True, 1, True, True)
    assert (ferdie.uid, ferdie.permit) == (5, False)
    assert (stranger.subnet_exists, stranger.uid, stranger.permit) == (True, None, False)
    assert not nowhere.subnet_exists


def test_reads_last_update_and_rate_limit(runtime):
    updates = runtime.encode_value("SubtensorModule", "LastUpdate", [3, 9, 12])
    found = read(
        runtime,
        ("w/bob", BOB, 5),
        changes={runtime.key("SubtensorModule", "LastUpdate", 5): updates},
    )
    assert (found.neurons[0].last_update, found.neurons[0].rate_limit) == (9, 100)


def test_reads_the_time_of_the_newest_block(runtime):
    now = runtime.encode_value("Timestamp", "Now", 1_700_000_000_123)
    assert read(runtime, changes={sight.NOW: now}).time_ms == 1_700_000_000_123


def test_a_long_vector_has_a_longer_length(runtime):
    permits = runtime.encode_value("SubtensorModule", "ValidatorPermit", [False] * 200 + [True])
    values = sight.Values({"0x00": permits})
    assert (values.entry(b"\0", 200, 1), values.entry(b"\0", 199, 1), values.entry(b"\0", 900, 1)) == (1, 0, 0)


def test_an_endpoint_that_does_not_answer_is_told():
    found, why = sight.look(["ws://127.0.0.1:1"], [])
    assert found is None
    assert why.startswith("ws://127.0.0.1:1: ")
