import itertools
import json

import pytest

from wallet_guard.devnet import metadata
from wallet_guard.devnet.refusals import RpcError
from wallet_guard.devnet.runtime import Runtime

START = 1_700_000_000_000
GARBAGE = [None, 0, -1, 2**70, 1.5, True, "", "0x", "0xzz", "latin", "0x00", [], [1], {}, "0x" + "00" * 32]


def updates(client) -> list:
    found = [json.loads(text)["params"]["result"] for text in client.delivered]
    client.delivered.clear()
    return found


def test_blocks_by_number_and_hash(chain, client):
    hashes = client("chain_getBlockHash", [0, 1, 2, 3])
    assert hashes == [chain.blocks[number].hash for number in range(4)]
    assert client("chain_getBlockHash", "0x2") == hashes[2]
    assert client("chain_getBlockHash", 4) is None
    assert client("chain_getHead") == client("chain_getBlockHash") == hashes[3]
    assert client("chain_getFinalizedHead") == hashes[1]
    header = client("chain_getHeader", hashes[2])
    assert (header["number"], header["parentHash"]) == ("0x2", hashes[1])
    assert client("chain_getHeader", "0x" + "77" * 32) is None


def test_a_block_carries_its_extrinsics(chain, client, alice, runtime):
    raw = alice.weights()
    client("author_submitExtrinsic", "0x" + raw.hex())
    chain.seal(START)
    body = client("chain_getBlock")["block"]["extrinsics"]
    assert body[1] == "0x" + raw.hex()
    assert runtime.core.decode_extrinsic(bytes.fromhex(body[0][2:]))["call"]["call_function"] == "set"


def test_reads_storage_now_and_then(chain, client, runtime):
    key = "0x" + runtime.key("System", "Number").hex()
    assert client("state_getStorage", key) == "0x03000000"
    assert client("state_getStorageAt", key, chain.blocks[1].hash) == "0x01000000"
    assert client("state_getStorageSize", key) == 4
    (group,) = client("state_queryStorageAt", [key, "0x77"], chain.blocks[2].hash)
    assert group == {"block": chain.blocks[2].hash, "changes": [[key, "0x02000000"], ["0x77", None]]}
    assert client.refused("state_getStorage", key, "0x" + "77" * 32).code == 4003


def test_pages_through_a_map(client, runtime):
    prefix = "0x" + runtime.key("SubtensorModule", "Keys", 2).hex()
    first = client("state_getKeysPaged", prefix, 10, prefix)
    rest = client("state_getKeysPaged", prefix, 10, first[-1])
    assert (len(first), len(rest)) == (10, 6)
    assert client.refused("state_getKeysPaged", prefix, 1001).code == 4002


def test_serves_the_metadata_in_both_ways(client, runtime):
    assert client("state_getMetadata") == "0x" + runtime.metadata.hex()
    wrapped = bytes.fromhex(client("state_call", "Metadata_metadata_at_version", "0x0f000000")[2:])
    assert wrapped[0] == 1
    assert wrapped.endswith(runtime.metadata)
    assert client("state_call", "Metadata_metadata_at_version", "0x0e000000") == "0x00"
    assert client("state_call", "Metadata_metadata_versions", "0x") == "0x040f000000"


def test_says_which_method_a_runtime_lacks(client):
    error = client.refused("state_call", "Metadata_metadata_at_versions", "0x")
    assert "Exported method Metadata_metadata_at_versions is not found" in error.message


def test_next_index_counts_the_pool(client, alice):
    assert client("account_nextIndex", alice.address) == 0
    client("author_submitExtrinsic", "0x" + alice.weights(nonce=0).hex())
    client("author_submitExtrinsic", "0x" + alice.weights(nonce=2).hex())
    assert client("system_accountNextIndex", alice.address) == 1
    assert len(client("author_pendingExtrinsics")) == 2


def test_a_watcher_hears_of_every_step(chain, client, alice):
    subscription = client("author_submitAndWatchExtrinsic", "0x" + alice.weights().hex())
    for _ in range(3):
        chain.seal(START)
    heard = updates(client)
    assert heard[0] == "ready"
    assert [next(iter(status)) for status in heard[1:]] == ["inBlock", "finalized"]
    assert client("author_unwatchExtrinsic", subscription) is False  # the last status ended it


def test_a_refused_extrinsic_is_not_watched(client, alice):
    error = client.refused("author_submitAndWatchExtrinsic", "0x" + alice.weights(genesis_hash=b"\1" * 32).hex())
    assert error.record() == {
        "code": 1010,
        "message": "Invalid Transaction",
        "data": "Transaction has a bad signature",
    }
    assert client.session.subscriptions == {}


def test_heads_are_announced_until_unsubscribed(chain, client):
    new, final = client("chain_subscribeNewHeads"), client("chain_subscribeFinalizedHeads")
    assert [header["number"] for header in updates(client)] == ["0x3", "0x1"]
    chain.seal(START)
    assert [header["number"] for header in updates(client)] == ["0x4", "0x2"]
    assert client("chain_unsubscribeNewHeads", new)
    assert client("chain_unsubscribeFinalizedHeads", final)
    chain.seal(START)
    assert updates(client) == []


def test_upgrades_are_announced(chain, client, runtime):
    client("state_subscribeRuntimeVersion")
    chain.upgrade(Runtime(metadata.with_spec_version(runtime.metadata, 470), 470))
    chain.seal(START)
    chain.seal(START)
    assert [version["specVersion"] for version in updates(client)] == [461, 470]
    assert client("state_getRuntimeVersion", chain.blocks[3].hash)["specVersion"] == 461
    assert client("state_getRuntimeVersion", chain.blocks[4].hash)["specVersion"] == 470


def test_a_client_that_has_gone_is_forgotten(chain, client, alice):
    client("chain_subscribeNewHeads")
    client("author_submitAndWatchExtrinsic", "0x" + alice.weights().hex())
    client.delivered.clear()
    client.node.forget(client.session)
    chain.seal(START)
    assert client.delivered == []


def test_a_block_that_was_taken_back_has_a_header_but_no_state(chain, client, runtime):
    old = chain.seal(START)
    chain.retract(1)
    assert client("chain_getHeader", old.hash)["number"] == "0x4"
    key = "0x" + runtime.key("System", "Events").hex()
    assert "State already discarded" in client.refused("state_getStorage", key, old.hash).message


def test_answers_any_garbage_with_a_result_or_a_refusal(client):
    answered = set()
    methods = [name for name in client.handlers if not name.startswith("devnet_")]
    for method in methods:
        for params in [(), *itertools.product(GARBAGE), *itertools.product(GARBAGE[:9], repeat=2)]:
            try:
                client(method, *params)
            except RpcError as error:
                answered.add(error.code)
        client.node.forget(client.session)
    assert answered <= {-32602, 1001, 1002, 4002, 4003}


LIES = {
    "genesis": ({"kind": "lie_genesis", "hash": "0x" + "11" * 32}, "chain_getBlockHash", (0,), "0x" + "11" * 32),
    "nonce": ({"kind": "lie_nonce", "value": 77}, "account_nextIndex", ("alice",), 77),
    "nonce ahead": ({"kind": "lie_nonce", "offset": 5}, "account_nextIndex", ("alice",), 5),
    "nonce behind": ({"kind": "lie_nonce", "offset": -5}, "account_nextIndex", ("alice",), 0),
    "block 0": ({"kind": "lie_head", "offset": -10}, "chain_getHeader", (), {"number": "0x0"}),
    "far ahead": ({"kind": "lie_head", "offset": 10**9}, "chain_getHeader", (), {"number": hex(10**9 + 3)}),
    "version": ({"kind": "lie_version", "spec_version": 9}, "state_getRuntimeVersion", (), {"specVersion": 9}),
}


@pytest.mark.parametrize(("order", "method", "params", "told"), LIES.values(), ids=LIES)
def test_lies_until_healed(client, alice, order, method, params, told):
    params = tuple(alice.address if value == "alice" else value for value in params)
    truth = client(method, *params)
    client("devnet_fault", order)
    lie = client(method, *params)
    assert (lie | told == lie) if isinstance(told, dict) else lie == told
    assert lie != truth or order == {"kind": "lie_nonce", "offset": -5}
    assert client("devnet_heal") == 1
    assert client(method, *params) == truth


def test_lies_about_a_storage_item_in_every_way_of_reading_it(client, runtime):
    key = "0x" + runtime.key("SubtensorModule", "Tempo", 2).hex()
    client("devnet_fault", {"kind": "lie_storage", "item": "Tempo", "keys": [2], "value": 65535})
    assert client("state_getStorage", key) == "0xffff"
    assert client("state_queryStorageAt", [key])[0]["changes"] == [[key, "0xffff"]]
    assert client("state_call", "SubnetInfoRuntimeApi_get_next_epoch_start_block", "0200") == "0x01ffff000000000000"


def test_a_shifted_head_is_consistent(client, chain):
    client("devnet_fault", {"kind": "lie_head", "offset": 1000})
    assert client("chain_getBlockHash", 1003) == chain.best.hash
    assert client("chain_getHeader", chain.best.hash)["number"] == hex(1003)
    assert client("chain_getBlockHash", 0) == chain.genesis.hash


def test_serves_forged_metadata_but_keeps_to_the_true(client, chain, alice, runtime):
    client("devnet_fault", {"kind": "lie_metadata", "swap": ["set_weights", "serve_axon"]})
    forged = Runtime(bytes.fromhex(client("state_getMetadata")[2:]), 461)
    assert forged.digest != runtime.digest
    raw = alice.weights(runtime=forged, digest=forged.digest)
    error = client.refused("author_submitExtrinsic", "0x" + raw.hex())
    assert error.code in (1002, 1010)
