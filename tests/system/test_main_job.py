"""Weights through the guard, end to end: the seed's request, real processes, and the unmodified SDK as the judge."""

import asyncio
import concurrent.futures
import json
import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest

bt = pytest.importorskip("bittensor")

from bittensor.intents.weights import normalize  # noqa: E402 - after the skip

SECONDS = 60
UID, OTHER_UID = 6, 7  # after the dev accounts
EXACT = dict(zip(*normalize([1, 2, 3], [100, 200, 300]), strict=True))


@pytest.fixture(scope="module")
def house(make_house):
    return make_house("--tempo", "40")  # 10 s: long enough for a reveal to lie ahead


@pytest.fixture(scope="module")
def sdk(house, tmp_path_factory):
    """``sdk(work)``: what ``await work(client)`` gives, the client being the SDK's, connected to the chain."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("sdk")
        patch.setenv("BITTENSOR_RUNTIME_CACHE_DIR", str(folder))
        patch.setenv("HOME", str(folder))

        def run(work: Any) -> Any:
            async def with_client() -> Any:
                async with bt.Subtensor(house.devnet.url) as client:
                    return await work(client)

            return asyncio.run(asyncio.wait_for(with_client(), SECONDS))

        yield run


def weights_by_sdk(sdk: Any, index: int, uid: int) -> dict[int, int]:
    return dict(sdk(lambda client: client.query(("SubtensorModule", "Weights"), [index, uid])))


def of_intent(house: Any, answer: Any) -> list[dict[str, Any]]:
    """The extrinsics of the chain that are this intent's."""
    found = house.devnet.extrinsics(house.guard.address)
    return [each for each in found if each["hash"] == answer.body["extrinsic_hash"]]


def curl(guard: Any, body: dict[str, Any], *fields: str) -> tuple[int, dict[str, Any]]:
    command = ["curl", "--silent", "--max-time", str(SECONDS), "--write-out", "\n%{http_code}"]
    command += ["--unix-socket", guard.client_socket, "http://localhost/wallet/set_weights"]
    for field in (f"Authorization: Bearer {guard.token}", "Content-Type: application/json", *fields):
        command += ["--header", field]
    done = subprocess.run(
        [*command, "--data", json.dumps(body)], capture_output=True, text=True, timeout=SECONDS, check=True
    )
    text, _, status = done.stdout.rpartition("\n")
    return int(status), json.loads(text)


SEED = {
    "wallet_name": "validator",
    "hotkey_name": "default",
    "transaction_data": {
        "netuid": 2,
        "uids": [1, 2, 3],
        "weights": [100, 200, 300],
        "version_key": 1,
        "wait_for_finalization": False,
        "wait_for_inclusion": False,
    },
}


def test_the_seeds_request_by_curl_sets_what_the_sdk_would(house, sdk):
    before = len(house.devnet.extrinsics())
    first = curl(house.guard, SEED, "Idempotency-Key: seed")
    again = curl(house.guard, SEED, "Idempotency-Key: seed")
    assert first[0] == again[0] == 200
    assert (first[1]["success"], first[1]["state"]) == (True, "submitted")
    assert first[1]["intent"] == again[1]["intent"]
    view = house.guard.wait(first[1]["intent"], "effective")
    assert weights_by_sdk(sdk, 2, UID) == EXACT == {1: 21845, 2: 43690, 3: 65535}
    (extrinsic,) = house.devnet.extrinsics()[before:]
    assert (extrinsic["hash"], extrinsic["signer"]) == (view.extrinsic_hash, house.guard.address)
    assert (extrinsic["call"], extrinsic["error"]) == ("SubtensorModule.set_weights", None)
    assert extrinsic["metadata_hash"] is True  # the digest was signed in, and was the right one


def test_refuses_another_request_under_the_same_key(house):
    key = "conflict"
    assert house.guard.set_weights(key=key).status == 200
    before = len(house.devnet.extrinsics())
    conflict = house.guard.set_weights(key=key, weights=[1, 2, 3])
    assert (conflict.status, conflict.code) == (409, "idempotency_conflict")
    assert conflict.body["submitted"] == "no"
    assert len(house.devnet.extrinsics()) == before


def test_waits_for_inclusion_and_for_finalization(house):
    included = house.guard.set_weights(weights=[1, 1, 2], wait_for_inclusion=True)
    assert included.status == 200
    assert included.body["state"] in ("in_block", "finalized", "effective")
    block = included.body["block_number"]
    assert house.devnet("chain_getBlockHash", block) == included.body["block_hash"]
    final = house.guard.set_weights(weights=[1, 2, 1], wait_for_finalization=True)
    assert final.status == 200
    assert final.body["state"] in ("finalized", "effective")
    assert house.devnet("devnet_info")["finalized"]["number"] >= final.body["block_number"]


def test_sets_mechanism_1(house, sdk):
    answer = house.guard.set_weights(4, mechid=1, wait_for_inclusion=True)
    assert (answer.status, answer.body["call"]) == (200, "SubtensorModule.set_mechanism_weights")
    house.guard.wait(answer.body["intent"], "effective")
    assert weights_by_sdk(sdk, 4096 + 4, UID) == EXACT


@pytest.mark.parametrize("by", ["uid", "hotkey"])
def test_takes_weights_as_a_mapping(house, by):
    hotkeys = house.devnet("devnet_info")["subnets"]["1"]["hotkeys"]
    name = {"uid": str, "hotkey": lambda uid: hotkeys[uid]}[by]
    weights = {name(uid): weight for uid, weight in {3: 30, 9: 10, 1: 20}.items()}
    answer = house.guard.set_weights(1, uids=None, weights=weights)
    assert answer.status == 200
    house.guard.wait(answer.body["intent"], "effective")
    uids, values = normalize([1, 3, 9], [20, 30, 10])
    assert house.devnet.row(1, UID) == dict(zip(uids, values, strict=True))


def test_says_when_a_rate_limited_request_may_come_again(house):
    house.devnet.put("WeightsSetRateLimit", [5], 1000)
    set_at = house.guard.insist(5, wait_for_inclusion=True).body["block_number"]
    early = house.guard.set_weights(5)
    assert (early.status, early.code, early.body["submitted"]) == (429, "rate_limited", "no")
    assert early.body["next_block"] >= set_at + 1000
    assert 0 < int(early.fields["Retry-After"]) <= 1000 * 0.25 + 1
    assert len([each for each in house.devnet.extrinsics(house.guard.address) if each["arguments"]["netuid"] == 5]) == 1


def test_keeps_a_rate_limited_request_that_asks_for_it(house):
    house.devnet.put("WeightsSetRateLimit", [4], 20)
    set_at = house.guard.insist(4, wait_for_inclusion=True).body["block_number"]
    early = house.guard.set_weights(4, weights=[3, 2, 1], queue=True, timeout=0.5)
    assert early.status in (202, 503, 504), early
    if early.status == 202:
        assert early.body["queued"] is True
    view = house.guard.wait(early.body["intent"], "effective")
    assert view.block_number >= set_at + 20
    assert house.devnet.row(4, UID) == dict(zip(*normalize([1, 2, 3], [3, 2, 1]), strict=True))


def test_one_hotkey_serves_three_subnets_and_ten_requests_at_once(house):
    jobs = [(netuid, [1, 2, 3 + at]) for at, netuid in enumerate([1, 2, 6] * 3 + [2])]
    gate = threading.Barrier(len(jobs))

    def ask(job: tuple[int, list[int]]) -> Any:
        gate.wait(SECONDS)
        return house.guard.set_weights(job[0], weights=job[1], wait_for_finalization=True)

    before = {each["hash"] for each in house.devnet.extrinsics()}
    with concurrent.futures.ThreadPoolExecutor(len(jobs)) as pool:
        answers = list(pool.map(ask, jobs))
    assert [answer.status for answer in answers] == [200] * len(jobs)
    fresh = [each for each in house.devnet.extrinsics() if each["hash"] not in before]
    nonces = sorted(each["nonce"] for each in fresh)
    assert nonces == list(range(nonces[0], nonces[0] + len(jobs)))
    assert {each["hash"] for each in fresh} == {answer.body["extrinsic_hash"] for answer in answers}
    assert [each["error"] for each in fresh] == [None] * len(jobs)


@pytest.mark.parametrize(("netuid", "mechid", "call"), [(3, 0, ""), (6, 1, "_mechanism")])
def test_a_timelocked_commit_is_effective_once_it_is_revealed(house, until, netuid, mechid, call):
    answer = house.guard.set_weights(netuid, mechid=mechid or None, wait_for_finalization=True)
    assert (answer.status, answer.body["call"]) == (200, f"SubtensorModule.commit_timelocked{call}_weights")
    (extrinsic,) = of_intent(house, answer)
    assert extrinsic["arguments"]["reveal_round"] == answer.body["reveal_round"]
    (commit,) = [
        each for each in house.devnet("devnet_commits", netuid, mechid) if each["hotkey"] == house.guard.address
    ]
    assert commit["reveal_round"] == answer.body["reveal_round"]
    assert house.devnet.row(netuid, UID, mechid) == {}
    order = {"netuid": netuid, "mechid": mechid, "hotkey": house.guard.address}
    revealed = house.devnet("devnet_reveal", order | {"uids": list(EXACT), "values": list(EXACT.values())})
    assert revealed["error"] is None
    view = house.guard.wait(answer.body["intent"], "effective")
    assert dict(view.weights) == house.devnet.row(netuid, UID, mechid) == EXACT


CASES = {
    "plain": (2, 0, {"uids": [1, 2, 3], "weights": [100, 200, 300]}),
    "fractions": (2, 0, {"uids": [0, 4, 9], "weights": [0.2, 0.3, 0.5]}),
    "a zero": (1, 0, {"uids": [3, 1, 2], "weights": [7, 0, 11]}),
    "all sixteen": (1, 0, {"uids": list(range(16)), "weights": [0.01 * (at + 1) ** 3 for at in range(16)]}),
    "mechanism 1": (4, 1, {"uids": [5, 6], "weights": [1, 1e-9]}),
    "version key": (2, 0, {"uids": [1], "weights": [1], "version_key": 7}),
}


@pytest.mark.parametrize("name", CASES)
def test_the_values_are_those_that_the_sdk_sends_with_a_local_key(house, sdk, name):
    netuid, mechid, fields = CASES[name]
    house.devnet.put("WeightsSetRateLimit", [4], 0)
    wallet = bt.Wallet(name="other", hotkey="default", path=str(Path(house.guard.folder) / "wallets"))
    intent = bt.SetWeights(netuid=netuid, mechid=mechid, **fields)
    result = sdk(lambda client: client.execute(intent, wallet))
    assert result.success, result.message
    answer = house.guard.set_weights(netuid, mechid=mechid, **fields)
    assert answer.status == 200
    house.guard.wait(answer.body["intent"], "effective")
    theirs = house.devnet.extrinsics(house.other)[-1]
    (ours,) = of_intent(house, answer)
    # The SDK says mechanism 0 with set_mechanism_weights, we with set_weights: for the pallet the same.
    assert theirs["call"] == "SubtensorModule.set_mechanism_weights"
    assert ours["call"] == f"SubtensorModule.set_{'mechanism_' if mechid else ''}weights"
    assert {"mecid": 0} | ours["arguments"] == theirs["arguments"]
    assert house.devnet.row(netuid, UID, mechid) == house.devnet.row(netuid, OTHER_UID, mechid)


@pytest.mark.parametrize(
    ("changed", "status", "code"),
    [
        ({"weights": [0, 0, 0]}, 422, "invalid_request"),
        ({"uids": [1, 2]}, 422, "invalid_request"),
        ({"uids": [1, 1, 2]}, 422, "invalid_request"),
        ({"uids": [1, 2, 70_000]}, 422, "invalid_request"),
        ({"weights": [1, 2, -3]}, 422, "invalid_request"),
        ({"weights": ["1", 2, 3]}, 422, "invalid_request"),
        ({"weights": [1, 2, float("nan")]}, 400, "invalid_json"),
        ({"uids": list(range(5000)), "weights": [1] * 5000}, 422, "invalid_request"),
        ({"mechid": 3}, 422, "unknown_mechanism"),
        ({"netuid": 77}, 422, "not_registered"),
        ({"surprise": 1}, 422, "invalid_request"),
    ],
)
def test_refuses_what_cannot_be_and_signs_nothing(house, changed, status, code):
    before = len(house.devnet.extrinsics())
    answer = house.guard.set_weights(**{"netuid": 2} | changed)
    assert (answer.status, answer.code) == (status, code), answer
    assert answer.body["submitted"] == "no"
    assert len(house.devnet.extrinsics()) == before


def test_a_dispatch_that_fails_is_named(house):
    answer = house.guard.set_weights(uids=[1, 2, 99], wait_for_inclusion=True)
    assert (answer.status, answer.code, answer.body["submitted"]) == (502, "dispatch_failed", "yes")
    assert "UidVecContainInvalidOne" in answer.body["message"]


def test_the_audit_chain_is_unbroken(house):
    assert "unbroken" in house.guard.audit()
