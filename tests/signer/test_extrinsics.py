"""A node's own extrinsics: the SDK's shape, made by the runtime's codec, and every way to be something else."""

import dataclasses
from hashlib import blake2b
from typing import Any

import bittensor_core
import pytest

from wallet_guard.host.policy import parse_policy
from wallet_guard.ipc.answers import Refusal
from wallet_guard.ipc.chain import Event, Pulse
from wallet_guard.ipc.clients import CALLS
from wallet_guard.ipc.intents import State
from wallet_guard.ipc.signatures import EXTRINSIC_CALLS, ExtrinsicView, SignExtrinsic
from wallet_guard.signer.extrinsics import MAX_GIVEN_AWAY, sign_extrinsic
from wallet_guard.signer.follow import pulse
from wallet_guard.signer.seal import learn_runtime

HEAD = 5_000
AXON: dict[str, Any] = {
    "netuid": 2,
    "version": 1,
    "ip": 0xCB007107,
    "port": 8091,
    "ip_type": 4,
    "protocol": 4,
    "placeholder1": 0,
    "placeholder2": 0,
}
WEIGHTS: dict[str, Any] = {"netuid": 2, "dests": [1, 2], "weights": [65535, 1], "version_key": 0}


@pytest.fixture(scope="module")
def codec(metadata: bytes) -> bittensor_core.Runtime:
    return bittensor_core.Runtime(metadata, 461, 1)


class Node:
    """A node that composes with the codec as the SDK does, and asks."""

    def __init__(self, bench: Any, codec: Any, alice: Any, digest: bytes) -> None:
        self.bench, self.codec, self.alice, self.digest = bench, codec, alice, digest

    def call(self, pallet: str = "SubtensorModule", name: str = "serve_axon", **arguments: Any) -> bytes:
        return bytes(self.codec.compose_call(pallet, name, arguments or AXON))

    def question(self, call: bytes | None = None, **changes: Any) -> SignExtrinsic:
        call = self.call() if call is None else call
        made: dict[str, Any] = {
            "era_period": 64,
            "era_current": HEAD - 1,
            "nonce": 7,
            "tip": 0,
            "tip_asset_id": None,
            "genesis_hash": bytes.fromhex(self.bench.desk.genesis[2:]),
            "era_block_hash": b"\x22" * 32,
            "metadata_hash": self.digest,
        }
        made |= {name: value for name, value in changes.items() if name in made}
        period = made["era_period"]
        fields = {
            "era": "00" if period is None else {"period": period, "current": made["era_current"]},
            **{name: made[name] for name in ("nonce", "tip", "tip_asset_id", "genesis_hash", "era_block_hash")},
            "metadata_hash": made["metadata_hash"],
        }
        extra, implied = self.codec.signature_payload_parts(**fields)
        whole = call + bytes(extra) + bytes(implied)
        question = SignExtrinsic(
            token=self.bench.token,
            wallet="validator",
            hotkey="default",
            address=self.alice.ss58_address,
            public_key=self.alice.public_key,
            crypto_type=1,
            call_data=call,
            **made,
            spec_version=461,
            transaction_version=1,
            payload=whole if len(whole) <= 256 else blake2b(whole, digest_size=32).digest(),
            included_in_extrinsic=bytes(extra),
            included_in_signed_data=bytes(implied),
        )
        return dataclasses.replace(question, **changes)

    def ask(self, call: bytes | None = None, **changes: Any) -> Any:
        return sign_extrinsic(self.bench.desk, self.question(call, **changes))

    def refused(self, call: bytes | None = None, **changes: Any) -> str:
        refusal = self.ask(call, **changes)
        assert isinstance(refusal, Refusal), refusal
        assert self.bench.kinds()[-1] == "denied"
        return refusal.code


@pytest.fixture
def node(bench: Any, codec: Any, alice: Any, runtime: Any) -> Node:
    calls = tuple("extrinsic:" + call for call in EXTRINSIC_CALLS)
    bench.token = bench.add_client("sdk", calls=calls, netuids=(2,))
    pulse(bench.desk, Pulse("ws://test", HEAD, HEAD - 2, ""))
    return Node(bench, codec, alice, runtime.digest)


@pytest.mark.parametrize("name", EXTRINSIC_CALLS)
def test_signs_each_call_of_the_list(node: Node, name: str) -> None:
    pallet, _, function = name.partition(".")
    arguments = {
        "set_weights": WEIGHTS,
        "set_mechanism_weights": {**WEIGHTS, "mecid": 0},
        "serve_axon": AXON,
        "serve_axon_tls": {**AXON, "certificate": b"\x01" + b"k" * 32},
        "serve_prometheus": {key: AXON[key] for key in ("netuid", "version", "ip", "port", "ip_type")},
        "set_commitment": {"netuid": 2, "info": {"fields": [{"Raw5": b"hello"}]}},
    }[function]
    question = node.question(node.call(pallet, function, **arguments))
    view = sign_extrinsic(node.bench.desk, question)
    assert isinstance(view, ExtrinsicView), view
    assert bittensor_core.verify(question.payload, view.signature, view.ss58_address, view.crypto_type)
    assert node.bench.kinds()[-1] == "extrinsic_signed"


def test_a_payload_over_256_bytes_is_signed_by_its_hash(node: Node) -> None:
    call = node.call(name="set_weights", **{**WEIGHTS, "dests": list(range(256)), "weights": [65535] * 256})
    question = node.question(call)
    view = sign_extrinsic(node.bench.desk, question)
    assert len(question.payload) == 32
    assert bittensor_core.verify(question.payload, view.signature, view.ss58_address, 1)


def test_the_same_extrinsic_gets_the_same_signature(node: Node) -> None:
    assert node.ask() == node.ask()
    assert node.bench.kinds()[-2:] == ["extrinsic_signed", "extrinsic_given_again"]


@pytest.mark.parametrize(
    ("pallet", "name", "arguments"),
    [
        ("Balances", "transfer_keep_alive", {"dest": "5FHneW46xGXgs5mUiveU4sbTyGBzmstUspZC92UhjJM694ty", "value": 1}),
        ("Balances", "transfer_all", {"dest": "5FHneW46xGXgs5mUiveU4sbTyGBzmstUspZC92UhjJM694ty", "keep_alive": False}),
        (
            "SubtensorModule",
            "burned_register",
            {"netuid": 2, "hotkey": "5FHneW46xGXgs5mUiveU4sbTyGBzmstUspZC92UhjJM694ty"},
        ),
        ("SubtensorModule", "commit_weights", {"netuid": 2, "commit_hash": "0x" + "11" * 32}),
        (
            "SubtensorModule",
            "commit_timelocked_weights",
            {"netuid": 2, "commit": b"x" * 50, "reveal_round": 9, "commit_reveal_version": 4},
        ),
        (
            "SubtensorModule",
            "commit_timelocked_mechanism_weights",
            {"netuid": 2, "mecid": 0, "commit": b"x" * 50, "reveal_round": 9, "commit_reveal_version": 4},
        ),
        (
            "SubtensorModule",
            "associate_evm_key",
            {"netuid": 2, "evm_key": "0x" + "11" * 20, "block_number": 1, "signature": b"\1" * 65},
        ),
        ("System", "remark", {"remark": b"hello"}),
    ],
)
def test_refuses_calls_that_are_not_on_the_list(node: Node, pallet: str, name: str, arguments: Any) -> None:
    assert node.refused(node.call(pallet, name, **arguments)) == "call_refused"


@pytest.mark.parametrize("name", ["batch", "batch_all", "force_batch"])
def test_refuses_calls_that_hold_calls(node: Node, name: str) -> None:
    assert node.refused(node.call("Utility", name, calls=[node.call()])) == "call_refused"


def test_refuses_a_commitment_that_cannot_be_read(node: Node) -> None:
    info = {"fields": [{"TimelockEncrypted": {"encrypted": b"zz", "reveal_round": 5}}]}
    assert node.refused(node.call("Commitments", "set_commitment", netuid=2, info=info)) == "call_refused"


@pytest.mark.parametrize("change", [lambda data: data + b"\0", lambda data: data[:-1], lambda data: b"\xff" + data[1:]])
def test_refuses_a_call_that_is_not_exactly_one(node: Node, change: Any) -> None:
    assert node.refused(change(node.call())) == "call_refused"


@pytest.mark.parametrize("data", [b"", b"\x07", b"x" * 16_385, bytes(32), b"0x0704"])
def test_refuses_bytes_that_are_no_call(node: Node, data: bytes) -> None:
    assert node.refused(data) in ("call_refused", "invalid_request")


def test_refuses_a_length_in_a_longer_form_than_needed(node: Node) -> None:
    data = node.call(name="set_weights", **WEIGHTS)
    assert data[4:5] == b"\x08"
    assert node.refused(data[:4] + b"\x09\x00" + data[5:]) == "call_refused"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"genesis_hash": b"\x11" * 32}, "wrong_genesis"),
        ({"spec_version": 460}, "wrong_runtime"),
        ({"spec_version": 462}, "wrong_runtime"),
        ({"transaction_version": 2}, "wrong_runtime"),
        ({"era_period": None}, "era_refused"),
        ({"era_period": 256}, "era_refused"),
        ({"era_period": 2}, "era_refused"),
        ({"era_period": 4096}, "era_refused"),
        ({"era_current": HEAD - 64}, "era_refused"),
        ({"era_current": HEAD + 3}, "era_refused"),
        ({"era_current": HEAD * 1000}, "era_refused"),
        ({"tip": 1}, "tip_refused"),
        ({"metadata_hash": None}, "payload_mismatch"),
        ({"metadata_hash": bytes(32)}, "payload_mismatch"),
        ({"nonce": 2**31 + 1}, "invalid_request"),
    ],
)
def test_refuses_parts_that_are_not_to_be_signed(node: Node, changes: dict[str, Any], code: str) -> None:
    assert node.refused(**changes) == code


@pytest.mark.parametrize(
    "changes",
    [
        {"payload": b"btauth/1\nsr25519\nPOST\n/\n" + b"0" * 64},
        {"payload": bytes(32)},
        {"genesis_hash": b""},
        {"era_block_hash": b""},
        {"payload": b""},
        {"included_in_extrinsic": b""},
        {"included_in_signed_data": b""},
        {"address": "5FHneW46xGXgs5mUiveU4sbTyGBzmstUspZC92UhjJM694ty"},
        {"public_key": bytes(32)},
        {"crypto_type": 0},
        {"tip_asset_id": 1},
    ],
)
def test_refuses_a_payload_that_is_not_its_parts(node: Node, changes: dict[str, Any]) -> None:
    question = dataclasses.replace(node.question(), **changes)
    refusal = sign_extrinsic(node.bench.desk, question)
    assert isinstance(refusal, Refusal)
    assert refusal.code in ("payload_mismatch", "tip_refused", "wrong_genesis", "invalid_request")


@pytest.mark.parametrize("at", range(12))
def test_refuses_a_payload_of_another_call(node: Node, at: int) -> None:
    question = node.question()
    changed = bytearray(question.payload)
    changed[at * len(changed) // 12] ^= 1
    refusal = sign_extrinsic(node.bench.desk, dataclasses.replace(question, payload=bytes(changed)))
    assert isinstance(refusal, Refusal)
    assert refusal.code == "payload_mismatch"


def test_refuses_plain_weights_where_commits_are_wanted(node: Node) -> None:
    with node.bench.desk.journal.transaction() as writer:
        writer.set_commit_reveal(node.bench.desk.genesis, 2, True)
    assert node.refused(node.call(name="set_weights", **WEIGHTS)) == "call_refused"


def test_refuses_another_subnet_and_another_call_than_granted(node: Node) -> None:
    assert node.refused(node.call(name="set_weights", **{**WEIGHTS, "netuid": 3})) == "netuid_not_allowed"
    node.bench.token = node.bench.add_client("one", calls=("extrinsic:SubtensorModule.serve_axon",))
    assert node.refused(node.call(name="set_weights", **WEIGHTS)) == "call_not_allowed"
    assert isinstance(node.ask(), ExtrinsicView)


def test_a_client_for_set_weights_may_sign_no_extrinsic(node: Node) -> None:
    node.bench.token = node.bench.add_client("plain")
    assert node.refused(node.call(name="set_weights", **WEIGHTS)) == "call_not_allowed"


def test_nothing_is_signed_before_chain_and_runtime_are_known(node: Node) -> None:
    node.bench.desk.chain.pulse = None
    assert node.refused() == "chain_unavailable"
    node.bench.desk.chain.runtimes.clear()
    assert node.refused() == "chain_unavailable"


def test_only_the_runtime_in_use_is_signed_for(node: Node, said: Any) -> None:
    learn_runtime(node.bench.desk, dataclasses.replace(said, spec_version=462))
    assert node.refused() == "wrong_runtime"
    learn_runtime(node.bench.desk, said)
    assert isinstance(node.ask(), ExtrinsicView)


def test_the_head_moves_on_by_our_own_clock(node: Node) -> None:
    assert node.refused(era_current=HEAD + 7) == "era_refused"
    node.bench.clock[0] += 5 * 12_000
    assert isinstance(node.ask(era_current=HEAD + 7), ExtrinsicView)
    assert node.refused(era_current=HEAD + 8, nonce=8) == "era_refused"


# The nonce lane -----------------------------------------------------------------------------------------------------


def test_a_nonce_is_given_away_once(node: Node) -> None:
    node.ask()
    assert node.refused(node.call(**{**AXON, "port": 1})) == "nonce_refused"
    assert isinstance(node.ask(node.call(**{**AXON, "port": 1}), nonce=8), ExtrinsicView)


def test_an_intent_takes_the_next_one(node: Node) -> None:
    node.ask()
    node.bench.token = node.bench.add_client("plain")
    assert node.bench.sealed(node.bench.accepted()).nonce == 8


def test_an_intents_nonce_is_not_given_away(node: Node) -> None:
    token = node.bench.token
    node.bench.token = node.bench.add_client("plain")
    assert node.bench.sealed(node.bench.accepted()).nonce == 7
    node.bench.token = token
    assert node.refused() == "nonce_refused"


def test_a_nonce_is_free_again_once_its_signature_is_dead(node: Node) -> None:
    node.ask()
    node.bench.clock[0] += 64 * 12_000 + 60_000
    assert node.bench.desk.journal.nonces_given_away(node.alice.ss58_address, node.bench.now) == set()
    assert isinstance(node.ask(node.call(**{**AXON, "port": 1})), ExtrinsicView)


def test_a_dead_signature_is_forgotten(node: Node) -> None:
    node.ask()
    node.bench.clock[0] += 64 * 12_000 + 60_000
    assert isinstance(node.ask(nonce=8), ExtrinsicView)
    assert node.bench.desk.journal.extrinsic(node.alice.ss58_address, 7) is None


def test_nonces_cannot_be_stockpiled(node: Node) -> None:
    for nonce in range(MAX_GIVEN_AWAY):
        assert isinstance(node.ask(nonce=1000 + 100 * nonce), ExtrinsicView)
    assert node.refused(nonce=7) == "nonce_refused"
    node.bench.clock[0] += 64 * 12_000 + 60_000
    assert isinstance(node.ask(nonce=7), ExtrinsicView)


def test_a_nonce_that_is_final_is_not_signed_again(node: Node) -> None:
    token = node.bench.token
    node.bench.token = node.bench.add_client("plain")
    intent = node.bench.accepted()
    task = node.bench.sealed(intent)
    node.bench.report(intent, Event.FINALIZED, extrinsic_hash=task.extrinsic_hash, block_hash="0x01", block_number=5001)
    assert node.bench.intent(intent).state is State.FINALIZED
    node.bench.token = token
    assert node.refused(nonce=7) == "nonce_refused"
    assert isinstance(node.ask(nonce=8), ExtrinsicView)


# Weights pass the policy's rules here as anywhere ---------------------------------------------------------------------


def narrow(node: Node, line: str) -> None:
    text = f'[default]\nkeys = "any"\ncalls = "any"\nnetuids = "any"\nmechanisms = [0]\n{line}\n# end\n'
    node.bench.desk.policies.current = parse_policy(text.encode(), "p.toml", CALLS)


@pytest.mark.parametrize(
    ("line", "rule"),
    [
        ("uids = [1]", "uids"),
        ("max_share = 0.9", "max_share"),
        ("subnet.2 = { hours = [] }", "hours"),
        ('per_hour = { "extrinsic:SubtensorModule.set_weights" = 0 }', "per_hour"),
        ("dry_run_only = true", "dry_run_only"),
    ],
)
def test_plain_weights_pass_the_policys_rules(node: Node, line: str, rule: str) -> None:
    narrow(node, line)
    refusal = node.ask(node.call(name="set_weights", **WEIGHTS))
    assert isinstance(refusal, Refusal)
    assert refusal.rule == rule


def test_plain_weights_of_a_mechanism_that_is_not_listed(node: Node) -> None:
    narrow(node, "")
    refusal = node.ask(node.call(name="set_mechanism_weights", **WEIGHTS, mecid=1))
    assert isinstance(refusal, Refusal)
    assert refusal.rule == "mechanisms"


def test_the_interval_and_the_change_count_from_either_route(node: Node) -> None:
    narrow(node, "min_blocks = 100")
    first = node.question(node.call(name="set_weights", **WEIGHTS))
    assert isinstance(sign_extrinsic(node.bench.desk, first), ExtrinsicView)
    # The same bytes are no second request.
    assert isinstance(sign_extrinsic(node.bench.desk, first), ExtrinsicView)
    refusal = node.ask(node.call(name="set_weights", **WEIGHTS), nonce=8)
    assert isinstance(refusal, Refusal)
    assert (refusal.rule, refusal.code, refusal.next_block) == ("min_blocks", "rate_limited", HEAD + 100)
    narrow(node, "max_change = 0.5")
    refusal = node.ask(node.call(name="set_weights", **{**WEIGHTS, "weights": [1, 65535]}), nonce=8)
    assert isinstance(refusal, Refusal)
    assert refusal.rule == "max_change"


@pytest.mark.parametrize("weights", [[0, 0], []])
def test_weights_of_nothing_are_far_from_the_last(node: Node, weights: list[int]) -> None:
    node.ask(node.call(name="set_weights", **WEIGHTS))
    narrow(node, "max_change = 0.9")
    call = node.call(name="set_weights", **{**WEIGHTS, "dests": [1, 2][: len(weights)], "weights": weights})
    refusal = node.ask(call, nonce=8)
    assert isinstance(refusal, Refusal)
    assert refusal.rule == "max_change"


def test_other_calls_are_no_weights(node: Node) -> None:
    narrow(node, "max_share = 0\nuids = []\nmin_blocks = 5")
    assert isinstance(node.ask(), ExtrinsicView)
    assert isinstance(node.ask(nonce=8), ExtrinsicView)
