import pytest

from wallet_guard.devnet.refusals import RpcError

BOB = "5FHneW46xGXgs5mUiveU4sbTyGBzmstUspZC92UhjJM694ty"
STRANGER = "5C62Ck4UrFPiBtoCmeSrgF7x9yv9mn38446dhCpsi2mLHiFT"


def submit(client, raw: bytes) -> str:
    return client("author_submitExtrinsic", "0x" + raw.hex())


def test_tells_what_there_is(client, chain):
    info = client("devnet_info")
    assert (info["genesis"], info["best"]["number"], info["finalized"]["number"]) == (chain.genesis.hash, 3, 1)
    assert info["metadata_digest"].startswith("0xaffbcc25")
    assert {netuid: (subnet["commit_reveal"], subnet["mechanisms"]) for netuid, subnet in info["subnets"].items()} == {
        1: (False, 1),
        2: (False, 1),
        3: (True, 1),
        4: (False, 2),
        5: (False, 1),
        6: (True, 2),
    }
    assert info["subnets"][5]["weights_rate_limit"] == 100
    assert len(info["subnets"][2]["hotkeys"]) == 16


def test_makes_blocks(client, chain):
    hashes = client("devnet_seal", 4)
    assert (len(hashes), hashes[-1], chain.best.number) == (4, chain.best.hash, 7)
    for count in (0, -1, 1001, "x", None):
        client.refused("devnet_seal", count)


def test_sets_and_removes_storage_items(client, chain):
    made = client("devnet_set", {"item": "CommitRevealWeightsEnabled", "keys": [2], "value": True})
    assert made["number"] == chain.best.number == 4
    assert chain.state_at(4).get("SubtensorModule", "CommitRevealWeightsEnabled", 2)
    client("devnet_set", [{"item": "Tempo", "keys": [2], "value": None}, {"item": "Tempo", "keys": [1], "value": 7}])
    state = chain.state_at(5)
    assert (state.get("SubtensorModule", "Tempo", 2), state.get("SubtensorModule", "Tempo", 1)) == (10, 7)


@pytest.mark.parametrize(
    "order",
    [
        {},
        {"item": "Tempo", "keys": [2]},
        {"item": "Tempa", "keys": [2], "value": 1},
        {"item": "Tempo", "keys": [2], "value": 70_000},
        {"item": "Tempo", "keys": [2], "value": "x"},
        {"item": "Tempo", "keys": [2, 3, 4], "value": 1},
        {"item": "Tempo", "keys": 5, "value": 1},
        {"item": "Uids", "keys": [2, "not an address"], "value": 1},
        {"pallet": "Nowhere", "item": "Tempo", "value": 1},
    ],
)
def test_refuses_settings_that_cannot_be_and_makes_no_block(client, chain, order):
    assert client.refused("devnet_set", order).code == -32602
    assert chain.best.number == 3


def test_registers_and_deregisters(client, chain, signer):
    stranger = signer("//Stranger")
    uid = client("devnet_register", {"netuid": 2, "hotkey": stranger.address, "stake": 5000, "permit": True})
    assert uid == 16
    submit(client, stranger.weights())
    chain.seal(0)
    assert client("devnet_extrinsics")[-1]["error"] is None
    assert client("devnet_weights", 2) == {16: [(1, 21845), (2, 43690), (3, 65535)]}
    assert client("devnet_deregister", {"netuid": 2, "hotkey": stranger.address}) == 16
    assert client("devnet_weights", 2) == {}
    assert stranger.address not in client("devnet_info")["subnets"][2]["hotkeys"]
    client.refused("devnet_deregister", {"netuid": 2, "hotkey": stranger.address})


def test_changes_the_stake_of_who_is_registered(client, chain):
    assert client("devnet_register", {"netuid": 2, "hotkey": BOB, "stake": 1, "permit": True}) == 1
    assert chain.state_at(chain.best.number).get("SubtensorModule", "TotalHotkeyAlpha", BOB, 2) == 10**9


def test_reveals_a_pending_commit(client, chain, alice):
    submit(client, alice.commit())
    chain.seal(0)
    (commit,) = client("devnet_commits", 3)
    assert (commit["hotkey"], commit["epoch"], commit["reveal_round"]) == (alice.address, 0, 9)
    order = {"netuid": 3, "hotkey": alice.address, "uids": [1, 2], "values": [1, 65535]}
    assert client("devnet_reveal", order)["error"] is None
    assert client("devnet_weights", 3) == {0: [(1, 1), (2, 65535)]}
    assert client("devnet_commits", 3) == []
    client.refused("devnet_reveal", order)


def test_a_reveal_that_the_pallet_refuses_uses_the_commit_up(client, chain, alice):
    submit(client, alice.commit())
    chain.seal(0)
    order = {"netuid": 3, "hotkey": alice.address, "uids": [99], "values": [1]}
    assert client("devnet_reveal", order)["error"] == "SubtensorModule.UidVecContainInvalidOne"
    assert (client("devnet_commits", 3), client("devnet_weights", 3)) == ([], {})


def test_lists_accepted_extrinsics_with_their_outcome(client, chain, alice):
    raw = alice.weights()
    submit(client, raw)
    client.refused("author_submitExtrinsic", "0x" + raw.hex())
    chain.seal(0)
    submit(client, alice.weights(netuid=3))
    chain.seal(0)
    one, two = client("devnet_extrinsics")
    assert (one["call"], one["nonce"], one["submissions"], one["error"]) == ("SubtensorModule.set_weights", 0, 2, None)
    assert one["arguments"]["weights"] == [100, 200, 300]
    assert (one["block_number"], one["block_hash"]) == (4, chain.blocks[4].hash)
    assert (two["nonce"], two["error"]) == (1, "SubtensorModule.CommitRevealEnabled")


@pytest.mark.parametrize(
    ("fate", "states"), [("return", ["in_block", 4]), ("hold", ["pool", None]), ("drop", ["dropped", None])]
)
def test_reorganises(client, chain, alice, fate, states):
    submit(client, alice.weights())
    old = chain.seal(0)
    client("devnet_fault", {"kind": "reorg", "depth": 1, "extrinsics": fate})
    assert chain.best.number == 5
    assert chain.blocks[4].hash != old.hash
    (record,) = client("devnet_extrinsics")
    assert [record["state"], record["block_number"]] == states


def test_reorganises_without_new_blocks(client, chain):
    client("devnet_fault", {"kind": "reorg", "depth": 2, "reseal": False})
    assert chain.best.number == 1
    client.refused("devnet_fault", {"kind": "reorg", "depth": 1})


@pytest.mark.parametrize(("status", "said"), [("dropped", "dropped"), ("invalid", "invalid"), ("silent", None)])
def test_drops_extrinsics_of_the_pool(client, chain, alice, status, said):
    client("author_submitAndWatchExtrinsic", "0x" + alice.weights().hex())
    client.delivered.clear()
    client("devnet_fault", {"kind": "drop_extrinsic", "status": status})
    assert len(chain.pool) == 0
    assert [said in text for text in client.delivered] == ([True] if said else [])
    client.refused("devnet_fault", {"kind": "drop_extrinsic", "hash": "0x00"})


def test_upgrades_with_calls_swapped(client, chain, runtime):
    client("devnet_fault", {"kind": "upgrade", "swap": ["set_weights", "serve_axon"]})
    chain.seal(0)
    assert chain.best.runtime.spec_version == 462
    assert chain.best.runtime.digest != runtime.digest
    call = chain.best.runtime.core.compose_call(
        "SubtensorModule", "set_weights", {"netuid": 2, "dests": [], "weights": [], "version_key": 0}
    )
    assert bytes(call)[1] == 4


def test_without_finality_blocks_are_made_but_none_is_final(client, chain):
    client("devnet_fault", {"kind": "no_finality"})
    client("devnet_seal", 5)
    assert chain.finalized.number == 1
    client("devnet_heal")
    client("devnet_seal", 1)
    assert chain.finalized.number == 7


@pytest.mark.parametrize(
    "order",
    [
        None,
        {"kind": 5},
        {"kind": "sloth"},
        {"kind": "slow", "seconds": 5},
        {"kind": "slow", "milliseconds": "long"},
        {"kind": "close", "methods": "author_*"},
        {"kind": "close", "times": "x"},
        {"kind": "lie_metadata"},
        {"kind": "lie_metadata", "swap": ["a", "b"]},
        {"kind": "lie_metadata", "swap": ["set_weights"]},
        {"kind": "lie_metadata", "pallets": ["SubtensorModule", "Nowhere"]},
        {"kind": "lie_metadata", "pallets": ["System", "Balances"], "swap": ["set_weights", "serve_axon"]},
        {"kind": "lie_storage", "item": "Tempa", "value": 1},
        {"kind": "lie_storage", "item": "Tempo", "keys": [2], "value": -1},
        {"kind": "lie_storage"},
        {"kind": "upgrade", "spec_version": -1},
        {"kind": "reorg", "depth": "deep"},
        {"kind": "reorg", "extrinsics": "burn"},
        {"kind": "drop_extrinsic", "status": "lost"},
    ],
)
def test_refuses_faults_that_cannot_be(client, order):
    assert client.refused("devnet_fault", order).code == -32602
    assert client("devnet_faults") == []


def test_answers_any_garbage_with_a_result_or_a_refusal(client):
    answered = set()
    garbage = [None, 0, -1, 2**70, 1.5, True, "", "x", [], [1], {}, {"netuid": 2}, {"netuid": "x", "hotkey": 5}]
    garbage += [{"netuid": 2, "hotkey": BOB, "stake": "x"}, {"netuid": 99, "hotkey": STRANGER}, {"item": 5, "value": 1}]
    garbage += [
        {"netuid": 3, "hotkey": BOB, "uids": 5, "values": None},
        {"netuid": 2, "hotkey": STRANGER, "stake": 1e300},
    ]
    for method in (name for name in client.handlers if name.startswith("devnet_")):
        for value in garbage:
            for params in ((), (value,), (value, value)):
                try:
                    client(method, *params)
                except RpcError as error:
                    answered.add(error.code)
    assert answered <= {-32602, -32006}
