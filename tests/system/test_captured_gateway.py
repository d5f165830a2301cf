"""The attack drill: a program with everything that a captured gateway has, against a real signer.

It has the gateway's socket and the tokens that passed through: one that may set weights on subnet 2, one of a node that
uses the SDK's seams there. It does not have the other sockets: where the chain process's word is needed, the test says
it in the chain process's place. Every attack is a row of ``ATTACKS``: what is done, and what must come of it. Nothing
may be signed but what policy allows, and the audit chain must show it; after each, the signer must still answer.

The same rows are in the table of ``hardening/threat-model.md``; the last test holds the two together.
"""

import contextlib
import dataclasses
import json
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from hashlib import blake2b, sha256
from pathlib import Path
from typing import Any, NamedTuple

import bittensor_core
import pytest

sys.path.insert(0, str(Path(__file__).parent))

import captive as taken
from captive import ALICE, CUT, DONE, GENESIS, HEAD, METADATA, ROOT, framed

from wallet_guard.client.identity import Identity
from wallet_guard.ipc.blocking import ask
from wallet_guard.ipc.chain import Pulse, Runtime
from wallet_guard.ipc.clients import ClientAdd, ClientRevoke, Info
from wallet_guard.ipc.clientsigned import ClientSigned
from wallet_guard.ipc.explanations import DryRun, Quote
from wallet_guard.ipc.health import Health
from wallet_guard.ipc.intents import Accept, Show
from wallet_guard.ipc.packets import encode_packet
from wallet_guard.ipc.records import to_json
from wallet_guard.ipc.signatures import IssueSession, SignExtrinsic, SignRequest, SignText
from wallet_guard.ipc.wishes import ResetAxon, ServeAxon, SetCommitment, SetWeights
from wallet_guard.signed.btauth import DEFAULT_MAX_AGE_NS

CODEC = bittensor_core.Runtime(METADATA, 461, 1)
DIGEST = bytes(bittensor_core.metadata_digest(METADATA, 461, "node-subtensor"))
BOB = bittensor_core.Keypair.create_from_uri("//Bob", 1).ss58_address

GRANTED = {"node": ("set_weights",), "sdk": ("request", "session", "extrinsic:SubtensorModule.serve_axon")}
"""What the two tokens are good for, on subnet 2."""

SIGNED = {"accepted", "request_signed", "session_issued", "extrinsic_signed", "extrinsic_given_again", "text_signed"}
"""Audit records of what was granted."""


class Captive(taken.Captive):
    """The attacker, on the gateway's socket."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, "gateway")
        self.last = ""
        self._attacks = 0

    def overhear(self) -> None:
        """Two tokens, and others after some attacks: a client's denials are only counted beyond some a minute."""
        if self._attacks % 15 == 0:
            for name, calls in GRANTED.items():
                self.add(f"{name} {self._attacks}", *calls)
                self.tokens[name] = self.tokens[f"{name} {self._attacks}"]
        self._attacks += 1


# What a node would say, with one thing changed ------------------------------------------------------------------------


def weights(captive: Captive, token: str | None = None, key: str | None = None, **changes: Any) -> Any:
    fields: dict[str, Any] = {
        "wallet": "validator",
        "hotkey": "default",
        "netuid": 2,
        "mechid": 0,
        "uids": (1, 2),
        "hotkeys": None,
        "weights": (1.0, 2.0),
        "version_key": 0,
    }
    wish = SetWeights(**{**fields, **changes})
    return captive.say(Accept(captive.tokens["node"] if token is None else token, key, False, wish))


def wish(captive: Captive, made: Any, token: str = "node") -> Any:
    return captive.say(Accept(captive.tokens[token], None, False, made))


def request(captive: Captive, token: str = "sdk", **changes: Any) -> Any:
    fields: dict[str, Any] = {
        "wallet": "validator",
        "hotkey": "default",
        "method": "POST",
        "target": "/x",
        "receiver": BOB,
        "body_sha256": sha256(b"").digest(),
        "nonce_ns": None,
    }
    return captive.say(SignRequest(captive.tokens.get(token, token), **{**fields, **changes}))


def session(captive: Captive, token: str = "sdk", **changes: Any) -> Any:
    fields: dict[str, Any] = {
        "wallet": "validator",
        "hotkey": "default",
        "key": b"\x11" * 32,
        "netuid": 2,
        "receiver": BOB,
        "lifetime_seconds": 600,
    }
    return captive.say(IssueSession(captive.tokens.get(token, token), **{**fields, **changes}))


def text(captive: Captive, token: str = "sdk", message: str = "hello") -> Any:
    return captive.say(SignText(captive.tokens.get(token, token), "validator", "default", message))


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
WEIGHTS: dict[str, Any] = {"netuid": 2, "dests": [1], "weights": [65535], "version_key": 0}


def call(name: str = "SubtensorModule.serve_axon", **arguments: Any) -> bytes:
    pallet, _, function = name.partition(".")
    return bytes(CODEC.compose_call(pallet, function, arguments or AXON))


def unsigned(captive: Captive, data: bytes, token: str = "sdk", **made: Any) -> SignExtrinsic:
    parts: dict[str, Any] = {
        "era_period": 64,
        "era_current": HEAD,
        "nonce": 7,
        "tip": 0,
        "tip_asset_id": None,
        "genesis_hash": GENESIS,
        "era_block_hash": b"\x22" * 32,
        "metadata_hash": DIGEST,
        **made,
    }
    period = parts["era_period"]
    era = "00" if period is None else {"period": period, "current": parts["era_current"]}
    named = {name: parts[name] for name in ("nonce", "tip", "tip_asset_id", "genesis_hash", "era_block_hash")}
    extra, implied = CODEC.signature_payload_parts(era=era, metadata_hash=parts["metadata_hash"], **named)
    whole = data + bytes(extra) + bytes(implied)
    return SignExtrinsic(
        token=captive.tokens.get(token, token),
        wallet="validator",
        hotkey="default",
        address=ALICE.ss58_address,
        public_key=bytes(ALICE.public_key),
        crypto_type=1,
        call_data=data,
        **parts,
        spec_version=461,
        transaction_version=1,
        payload=whole if len(whole) <= 256 else blake2b(whole, digest_size=32).digest(),
        included_in_extrinsic=bytes(extra),
        included_in_signed_data=bytes(implied),
    )


def extrinsic(captive: Captive, data: bytes | None = None, token: str = "sdk", **changes: Any) -> Any:
    """``changes`` of parts change the payload with them; of the rest, only that."""
    parts = {"era_period", "era_current", "nonce", "tip", "genesis_hash", "metadata_hash"}
    made = {name: value for name, value in changes.items() if name in parts}
    question = unsigned(captive, call() if data is None else data, token, **made)
    rest = {name: value for name, value in changes.items() if name not in parts}
    fields = to_json(question) | {name: to_json(value) for name, value in rest.items()}
    return captive.tell(SignExtrinsic.ask, fields)


def accept_body(captive: Captive, **changes: Any) -> dict[str, Any]:
    made = SetWeights("validator", "default", 2, 0, (1, 2), None, (1.0, 2.0), 0)
    body: dict[str, Any] = to_json(Accept(captive.tokens["node"], None, False, made))
    return {**body, "request": {**body["request"], **changes}}


# Attacks that take more than one step ---------------------------------------------------------------------------------


def swap_after_accept(captive: Captive) -> Any:
    weights(captive, key="swap")
    return weights(captive, key="swap", weights=(2.0, 1.0))


def replay_accept(captive: Captive) -> Any:
    first, again = weights(captive, key="replay"), weights(captive, key="replay")
    assert first["intent"] == again["intent"]
    return again


def exhaust(captive: Captive) -> Any:
    """A client with three wishes an hour, a fourth wish."""
    name = f"few {len(captive.tokens)}"
    captive.add(name, "set_weights", per_hour=3)
    captive.last = captive.tokens[name]
    return [weights(captive, token=captive.last) for _ in range(4)][-1]


def exhaust_and_reconnect(captive: Captive) -> Any:
    exhaust(captive)
    captive.leave()
    return weights(captive, token=captive.last)


def exhaust_and_kill(captive: Captive) -> Any:
    exhaust(captive)
    captive.stop(signal.SIGKILL)
    captive.start()
    return weights(captive, token=captive.last)


def show_anothers(captive: Captive) -> Any:
    intent = weights(captive)["intent"]
    return captive.say(Show(captive.tokens["sdk"], intent))


def same_nonce_twice(captive: Captive) -> Any:
    now = time.time_ns()
    assert isinstance(request(captive, nonce_ns=now), dict)
    return request(captive, nonce_ns=now, body_sha256=sha256(b"other").digest())


def same_nonce_after_a_kill(captive: Captive) -> Any:
    now = time.time_ns() + 1_900_000_000
    assert isinstance(request(captive, nonce_ns=now), dict)
    captive.stop(signal.SIGKILL)
    captive.start()
    return request(captive, nonce_ns=now)


def two_calls_one_nonce(captive: Captive) -> Any:
    assert isinstance(extrinsic(captive, nonce=100), dict)
    return extrinsic(captive, call(**{**AXON, "port": 1}), nonce=100)


def same_extrinsic_twice(captive: Captive) -> Any:
    first, again = extrinsic(captive, nonce=101), extrinsic(captive, nonce=101)
    assert first == again
    return again


def stockpile(captive: Captive) -> Any:
    outcomes = [extrinsic(captive, nonce=200 + at) for at in range(70)]
    assert 0 < sum(isinstance(outcome, dict) for outcome in outcomes) <= 64
    return outcomes[-1]


def use_a_revoked_token(captive: Captive) -> Any:
    captive.add("gone", "set_weights")
    ask(captive.path("admin"), ClientRevoke("gone"))
    return weights(captive, token=captive.tokens["gone"])


def flood_of_strangers(captive: Captive) -> Any:
    before = len(captive.audit())
    outcomes = {weights(captive, token=f"wg_{at}") for at in range(2000)}
    assert len(captive.audit()) - before <= 1
    (outcome,) = outcomes
    return outcome


def seventeen_connections(captive: Captive) -> Any:
    captive.leave()
    with contextlib.ExitStack() as stack:
        crowd = [stack.enter_context(socket.socket(socket.AF_UNIX)) for _ in range(24)]
        for each in crowd:
            each.settimeout(1.0)
            each.connect(captive.path("gateway"))
        lost = 0
        for each in crowd:
            with contextlib.suppress(TimeoutError, BrokenPipeError, ConnectionResetError):
                each.sendall(encode_packet({"id": 1, "ask": "health", "body": {}}))
                if each.recv(65536):
                    continue
            lost += 1
        assert lost >= 8
    time.sleep(0.1)
    return CUT


def never_read(captive: Captive) -> Any:
    """Questions without end whose answers are left lying."""
    packet = encode_packet({"id": 1, "ask": "info", "body": to_json(Info(captive.tokens["node"]))})
    captive.connection.settimeout(0.5)
    with contextlib.suppress(OSError):
        for _ in range(1000):
            captive.connection.sendall(packet * 200)
    captive.leave()
    return CUT


def leave_in_the_middle(captive: Captive) -> Any:
    captive.connection.sendall(encode_packet({"id": 1, "ask": "health", "body": {}})[:-3])
    captive.leave()
    return CUT


def plain(captive: Captive, token: str, nonce: int, *values: int, mechid: int = 0) -> Any:
    """Weights as a node's own extrinsic: these values for the uids from 1 on."""
    arguments: dict[str, Any] = {**WEIGHTS, "dests": list(range(1, len(values) + 1)), "weights": list(values)}
    name = "SubtensorModule.set_mechanism_weights" if mechid else "SubtensorModule.set_weights"
    data = call(name, **arguments, **({"mecid": mechid} if mechid else {}))
    return extrinsic(captive, data, token, nonce=nonce)


def soon_again(captive: Captive) -> Any:
    """The first was signed; the second is other weights."""
    plain(captive, "slow", 300, 1, 1)
    return plain(captive, "slow", 301, 1, 2)


def soon_again_after_a_kill(captive: Captive) -> Any:
    plain(captive, "slow", 300, 1, 1)
    captive.stop(signal.SIGKILL)
    captive.start()
    return plain(captive, "slow", 302, 1, 2)


def far_from_the_last(captive: Captive) -> Any:
    plain(captive, "steady", 303, 1, 1)
    return plain(captive, "steady", 304, 0, 1)


def flood_of_dry_runs(captive: Captive) -> Any:
    """Each of another's wallet, so that none waits for a chain process."""
    wish = SetWeights("another", "default", 2, 0, (1,), None, (1.0,), 0)
    outcomes = [captive.say(DryRun(captive.tokens["dry"], wish)) for _ in range(61)]
    assert {outcome["code"] for outcome in outcomes[:-1]} == {"wallet_not_allowed"}
    return outcomes[-1]


class Attack(NamedTuple):
    """``outcome`` is CUT, DONE or the refusal's code."""

    outcome: str
    act: Callable[[Captive], Any]


def _table(outcome: str, **acts: Callable[[Captive], Any]) -> dict[str, Attack]:
    return {name.replace("_", " "): Attack(outcome, act) for name, act in acts.items()}


STRANGERS = _table(
    "unauthorized",
    invented_token=lambda c: weights(c, token="wg_" + "A" * 43),
    empty_token=lambda c: weights(c, token=""),
    default_token_of_the_documents=lambda c: weights(c, token="default-token"),
    hash_of_a_token_instead_of_it=lambda c: weights(c, token=sha256(c.tokens["node"].encode()).hexdigest()),
    token_cut_short=lambda c: weights(c, token=c.tokens["node"][:-1]),
    token_with_a_space=lambda c: weights(c, token=c.tokens["node"] + " "),
    token_in_capitals=lambda c: weights(c, token=c.tokens["node"].upper()),
    token_with_a_null_byte=lambda c: weights(c, token=c.tokens["node"] + "\0"),
    token_of_100_kB=lambda c: weights(c, token="x" * 100_000),
    token_that_was_revoked=use_a_revoked_token,
    invented_token_for_a_request=lambda c: request(c, "wg_x"),
    invented_token_for_an_extrinsic=lambda c: extrinsic(c, token="wg_x"),
    invented_token_for_a_session=lambda c: session(c, "wg_x"),
    invented_token_for_a_text=lambda c: text(c, "wg_x"),
    invented_token_to_look_at_an_intent=lambda c: c.say(Show("wg_x", "0" * 32)),
    invented_token_to_ask_who_it_is=lambda c: c.say(Info("wg_x")),
    flood_of_2000_strangers=flood_of_strangers,
)

FACTS = {"intent": "0" * 32, "facts": {}}

NOT_ASKED_HERE = _table(
    CUT,
    pulling_work=lambda c: c.tell("pull", {}),
    feeding_a_runtime=lambda c: c.tell("runtime", to_json(Runtime(GENESIS, "x", 1, 1, b"meta\x0f"))),
    sealing_with_facts_of_its_own=lambda c: c.tell("seal", FACTS),
    reporting_finality=lambda c: c.tell("report", {"intent": "0" * 32, "event": "finalized"}),
    a_pulse_of_its_own=lambda c: c.tell("pulse", to_json(Pulse("ws://evil", 1, 1, ""))),
    adding_a_client=lambda c: c.tell(
        "client_add", to_json(ClientAdd("evil", "validator", "default", ("text",), None, 1, None))
    ),
    revoking_a_client=lambda c: c.tell("client_revoke", {"name": "node"}),
    allowing_plain_weights=lambda c: c.tell("allow_plain", {"netuid": 2}),
    reading_the_status=lambda c: c.tell("status", {}),
    unlocking=lambda c: c.tell("unlock", {}),
    locking=lambda c: c.tell("lock", {"why": "x"}),
    a_checkpoint_of_the_audit=lambda c: c.tell("audit_checkpoint", {}),
    facts_of_its_own_for_a_dry_run=lambda c: c.tell("inform", FACTS),
    a_fee_of_its_own_for_a_dry_run=lambda c: c.tell("quote", to_json(Quote("explain-0", 0))),
    an_explanation_in_anothers_name=lambda c: c.tell("explain", {"client": "node", "request": {}}),
    reading_the_policy_again=lambda c: c.tell("policy_reload", {}),
    sign=lambda c: c.tell("sign", {"payload": "0x00"}),
    sign_raw=lambda c: c.tell("sign_raw", {"payload": "AAAA"}),
    a_question_whose_name_is_a_number=lambda c: c.raw(encode_packet({"id": 1, "ask": 5, "body": {}})),
    a_question_whose_name_is_null=lambda c: c.raw(encode_packet({"id": 1, "ask": None, "body": {}})),
)

FRAMING = _table(
    CUT,
    length_of_4_GiB=lambda c: c.raw(b"\xff\xff\xff\xff"),
    packet_over_the_ceiling=lambda c: c.raw(framed(b" " * 600_000)),
    packet_of_no_bytes=lambda c: c.raw(framed(b"")),
    bytes_that_are_no_JSON=lambda c: c.raw(framed(b"\x00\x01\x02\x03")),
    JSON_in_UTF_16=lambda c: c.raw(framed('{"id":1,"ask":"health","body":{}}'.encode("utf-16"))),
    lone_surrogates=lambda c: c.raw(framed(b'{"id":1,"ask":"info","body":{"token":"\\ud800"}}')),
    one_key_twice=lambda c: c.raw(framed(b'{"id":1,"ask":"health","ask":"status","body":{}}')),
    NaN=lambda c: c.raw(framed(b'{"id":NaN,"ask":"health","body":{}}')),
    a_list_for_an_object=lambda c: c.raw(framed(b"[1]")),
    nesting_100000_deep=lambda c: c.raw(framed(b"[" * 100_000)),
    a_number_of_5000_digits=lambda c: c.raw(framed(b'{"id":' + b"9" * 5000 + b',"ask":"health","body":{}}')),
    no_id=lambda c: c.raw(encode_packet({"ask": "health", "body": {}})),
    id_that_is_true=lambda c: c.raw(encode_packet({"id": True, "ask": "health", "body": {}})),
    a_field_beside_the_three=lambda c: c.raw(encode_packet({"id": 1, "ask": "health", "body": {}, "uid": 0})),
    leaving_in_the_middle_of_a_packet=leave_in_the_middle,
    answers_that_are_never_read=never_read,
    more_connections_than_a_gateway_needs=seventeen_connections,
)

SHAPES = _table(
    CUT,
    an_unknown_field_in_a_wish=lambda c: c.tell("accept", accept_body(c, force=True)),
    a_wish_without_a_netuid=lambda c: c.tell(
        "accept", accept_body(c) | {"request": {"kind": "set_weights", "wallet": "validator"}}
    ),
    weights_as_text=lambda c: c.tell("accept", accept_body(c, weights=["1", "2"])),
    true_for_a_number=lambda c: c.tell("accept", accept_body(c, netuid=True)),
    a_fraction_for_a_uid=lambda c: c.tell("accept", accept_body(c, uids=[1.0, 2.0])),
    an_infinite_weight=lambda c: c.raw(
        framed(json.dumps({"id": 1, "ask": "accept", "body": accept_body(c)}).replace("2.0]", "1e999]").encode())
    ),
    a_transfer_as_a_wish=lambda c: c.tell("accept", accept_body(c, kind="transfer")),
    one_kind_with_the_fields_of_another=lambda c: c.tell("accept", accept_body(c, kind="serve_axon")),
    a_decision_brought_along=lambda c: c.tell("accept", accept_body(c) | {"approved": True}),
    bytes_that_are_no_base64=lambda c: c.tell("issue_session", {"key": "!"}),
    a_session_for_the_hub=lambda c: c.tell(
        "issue_session",
        to_json(IssueSession(c.tokens["sdk"], "validator", "default", b"", 2, BOB, 1)) | {"purpose": "hub"},
    ),
    a_request_with_another_sender=lambda c: c.tell(
        "sign_request",
        to_json(SignRequest(c.tokens["sdk"], "validator", "default", "GET", "/", bytes(32), BOB, None))
        | {"sender": BOB},
    ),
    a_request_as_ready_made_lines=lambda c: c.tell("sign_request", {"payload": "btauth/1\nsr25519"}),
)

POLICY = (
    _table(
        "wallet_not_allowed",
        another_hotkey=lambda c: weights(c, hotkey="other"),
        another_wallet=lambda c: weights(c, wallet="treasury"),
        a_path_out_of_the_wallets_folder=lambda c: weights(c, wallet="../../../etc"),
        the_coldkey_by_its_path=lambda c: weights(c, hotkey="../coldkey"),
        a_null_byte_in_the_wallets_name=lambda c: weights(c, wallet="validator\0x"),
        another_wallets_key_for_a_request=lambda c: request(c, wallet="treasury"),
        another_wallets_key_for_a_session=lambda c: session(c, hotkey="other"),
        another_wallets_key_for_an_extrinsic=lambda c: extrinsic(c, wallet="treasury"),
    )
    | _table(
        "netuid_not_allowed",
        weights_for_another_subnet=lambda c: weights(c, netuid=3),
        a_session_for_another_subnet=lambda c: session(c, netuid=3),
        a_session_for_every_subnet=lambda c: session(c, netuid=None),
        an_extrinsic_for_another_subnet=lambda c: extrinsic(c, call(**{**AXON, "netuid": 3})),
    )
    | _table(
        "call_not_allowed",
        serving_with_a_token_for_weights=lambda c: wish(
            c, ServeAxon("validator", "default", 2, "203.0.113.7", 1, 4, 1)
        ),
        taking_the_axon_down=lambda c: wish(c, ResetAxon("validator", "default", 2)),
        a_commitment_with_a_token_for_weights=lambda c: wish(c, SetCommitment("validator", "default", 2, b"x")),
        a_request_with_a_token_for_weights=lambda c: request(c, "node"),
        a_session_with_a_token_for_weights=lambda c: session(c, "node"),
        a_text_with_any_token=text,
        an_extrinsic_with_a_token_for_weights=lambda c: extrinsic(c, token="node"),
        weights_as_an_extrinsic_without_the_grant=lambda c: extrinsic(
            c, call("SubtensorModule.set_weights", **WEIGHTS)
        ),
    )
    | _table(
        "invalid_request",
        negative_netuid=lambda c: weights(c, netuid=-1),
        netuid_beyond_every_integer_of_a_database=lambda c: weights(c, netuid=2**70),
        one_uid_twice=lambda c: weights(c, uids=(1, 1)),
        a_negative_weight=lambda c: weights(c, weights=(1.0, -1.0)),
        nothing_but_zeros=lambda c: weights(c, weights=(0.0, 0.0)),
        a_sum_that_overflows=lambda c: weights(c, weights=(1.7e308, 1.7e308)),
        more_weights_than_uids=lambda c: weights(c, weights=(1.0, 2.0, 3.0)),
        five_thousand_weights=lambda c: weights(c, uids=tuple(range(5000)), weights=(1.0,) * 5000),
        a_mechanism_that_no_subnet_has=lambda c: weights(c, mechid=16),
        an_idempotency_key_of_1000_characters=lambda c: weights(c, key="k" * 1000),
        an_idempotency_key_with_a_line_feed=lambda c: weights(c, key="a\nb"),
    )
    | _table("idempotency_conflict", swapping_the_weights_after_the_yes=swap_after_accept)
    | _table(DONE, replaying_an_accept_under_its_key=replay_accept)
    | _table(
        "rate_limited",
        more_wishes_than_the_hour_allows=exhaust,
        the_same_after_a_reconnect=exhaust_and_reconnect,
        the_same_after_killing_the_signer=exhaust_and_kill,
    )
    | _table(
        "unknown_intent",
        looking_at_another_clients_intent=show_anothers,
        an_intent_by_a_piece_of_SQL=lambda c: c.say(Show(c.tokens["node"], "' OR 1=1 --")),
    )
)

REQUESTS = _table(
    "nonce_refused",
    a_nonce_of_the_next_hour=lambda c: request(c, nonce_ns=time.time_ns() + 3600 * 10**9),
    a_nonce_of_the_last_hour=lambda c: request(c, nonce_ns=time.time_ns() - 3600 * 10**9),
    one_nonce_for_two_bodies=same_nonce_twice,
    one_nonce_again_after_killing_the_signer=same_nonce_after_a_kill,
) | _table(
    "invalid_request",
    a_line_feed_in_the_path=lambda c: request(c, target="/x\n" + "0" * 64),
    a_line_feed_in_the_method=lambda c: request(c, method="GET\n/"),
    a_line_feed_in_the_receiver=lambda c: request(c, receiver=BOB + "\nx"),
    no_receiver=lambda c: request(c, receiver=""),
    the_dash_for_a_receiver=lambda c: request(c, receiver="-"),
    a_receiver_of_another_network_prefix=lambda c: request(
        c, receiver=str(bittensor_core.ss58_encode(bytes(ALICE.public_key), 0))
    ),
    a_hash_that_is_none=lambda c: request(c, body_sha256=b""),
    an_absolute_address_for_a_path=lambda c: request(c, target="http://evil/"),
    a_path_of_9_kB=lambda c: request(c, target="/" + "a" * 9000),
    a_negative_nonce=lambda c: request(c, nonce_ns=-1),
)

SESSIONS = _table(
    "invalid_request",
    a_session_of_a_day=lambda c: session(c, lifetime_seconds=86_400),
    a_session_of_no_time=lambda c: session(c, lifetime_seconds=0),
    a_session_that_ended_before_it_began=lambda c: session(c, lifetime_seconds=-600),
    a_session_for_ever=lambda c: session(c, lifetime_seconds=2**70),
    a_session_key_of_33_bytes=lambda c: session(c, key=bytes(33)),
    a_line_feed_in_the_sessions_receiver=lambda c: session(c, receiver=BOB + "\nuntil 9999999999999"),
    a_star_for_the_sessions_receiver=lambda c: session(c, receiver="*"),
)

# Requests that a node signed with a key of its own: the gateway passes them on, and can do no more. ------------------


def node_of(captive: Captive, receiver: str = ALICE.ss58_address) -> Identity:
    """The node's key; its client is made once."""
    node = Identity(b"\x07" * 32, receiver)
    if "keyed" not in captive.tokens:
        calls = ("set_weights", "text", "session")
        question = ClientAdd("keyed", "validator", "default", calls, (2,), 1000, None, node.address)
        captive.tokens["keyed"] = node.address
        ask(captive.path("admin"), question, seconds=taken.SECONDS)
    return node


ORDER = {"wallet_name": "validator", "transaction_data": {"netuid": 2, "uids": [1, 2], "weights": [1, 2]}}
HELLO = {"wallet_name": "validator", "message": "hello"}


def overheard(captive: Captive, path: str, body: dict[str, Any], *, receiver: str = ALICE.ss58_address) -> ClientSigned:
    """What the node sent, as the gateway got it."""
    raw = json.dumps(body).encode()
    return ClientSigned("POST", path, node_of(captive, receiver).fields("POST", path, raw), raw)


def altered(captive: Captive, **changes: Any) -> Any:
    return captive.say(dataclasses.replace(overheard(captive, "/wallet/set_weights", ORDER), **changes))


def field_changed(captive: Captive, name: str, value: str | None) -> Any:
    sent = overheard(captive, "/wallet/set_weights", ORDER)
    fields = {**dict(sent.fields), name: value}
    return captive.say(dataclasses.replace(sent, fields=tuple((name, each) for name, each in fields.items() if each)))


def held_back(captive: Captive) -> Any:
    sent = overheard(captive, "/wallet/set_weights", ORDER)
    nonce = int(dict(sent.fields)["X-Bittensor-Nonce"])
    while time.time_ns() - nonce <= DEFAULT_MAX_AGE_NS + 10**9:
        time.sleep(0.1)
    return captive.say(sent)


def signed_weights_twice(captive: Captive, *, kill: bool = False) -> Any:
    sent = overheard(captive, "/wallet/set_weights", ORDER)
    first = captive.say(sent)
    if kill:
        captive.stop(signal.SIGKILL)
        captive.start()
    second = captive.say(sent)
    assert second["intent"] == first["intent"]
    return second


def signed_text_twice(captive: Captive, *, kill: bool = False) -> Any:
    sent = overheard(captive, "/wallet/sign", HELLO)
    assert "signature" in captive.say(sent)
    if kill:
        captive.stop(signal.SIGKILL)
        captive.start()
    return captive.say(sent)


NODE_KEYS = (
    _table(
        DONE,
        a_signed_request_twice_is_one_intent=signed_weights_twice,
        and_after_killing_the_signer_too=lambda c: signed_weights_twice(c, kill=True),
    )
    | _table(
        "replayed_request",
        one_signed_request_for_two_signatures=signed_text_twice,
        and_over_the_death_of_the_signer=lambda c: signed_text_twice(c, kill=True),
    )
    | _table("stale_request", a_signed_request_held_back=held_back)
    | _table(
        "unauthorized",
        other_weights_in_a_signed_body=lambda c: altered(
            c, body=json.dumps(ORDER).replace("[1, 2]}", "[2, 1]}").encode()
        ),
        a_space_more_in_a_signed_body=lambda c: altered(c, body=json.dumps(ORDER).encode() + b" "),
        a_signed_body_for_another_path=lambda c: altered(c, target="/wallet/reset_axon"),
        a_query_on_a_signed_path=lambda c: altered(c, target="/wallet/set_weights?dry_run=0"),
        another_method_for_a_signed_request=lambda c: altered(c, method="GET"),
        a_signed_request_for_another_guard=lambda c: c.say(overheard(c, "/wallet/set_weights", ORDER, receiver=BOB)),
        a_signed_request_without_its_receiver=lambda c: field_changed(c, "X-Bittensor-Receiver", None),
        another_receiver_on_a_signed_request=lambda c: field_changed(c, "X-Bittensor-Receiver", BOB),
        a_newer_nonce_on_a_signed_request=lambda c: field_changed(c, "X-Bittensor-Nonce", str(time.time_ns())),
        another_scheme_on_a_signed_request=lambda c: field_changed(c, "X-Bittensor-Crypto", "sr25519"),
        anothers_name_on_a_signed_request=lambda c: field_changed(c, "X-Bittensor-Hotkey", BOB),
        a_signature_of_zeros=lambda c: field_changed(c, "X-Bittensor-Signature", "0x" + "00" * 64),
        the_nodes_address_for_a_token=lambda c: weights(c, token=node_of(c).address),
        a_key_of_the_attackers_own=lambda c: c.say(
            dataclasses.replace(
                overheard(c, "/wallet/set_weights", ORDER),
                fields=Identity(b"\x08" * 32, ALICE.ss58_address).fields(
                    "POST", "/wallet/set_weights", json.dumps(ORDER).encode()
                ),
            )
        ),
    )
    | _table(
        "netuid_not_allowed",
        a_node_that_signs_for_another_subnet=lambda c: c.say(
            overheard(
                c,
                "/wallet/set_weights",
                {"wallet_name": "validator", "transaction_data": {"netuid": 3, "uids": [1], "weights": [1]}},
            )
        ),
    )
    | _table(
        "call_not_allowed",
        a_node_that_signs_for_another_call=lambda c: c.say(
            overheard(c, "/wallet/reset_axon", {"wallet_name": "validator", "transaction_data": {"netuid": 2}})
        ),
    )
    | _table(
        "invalid_request",
        a_signed_question_of_the_operator=lambda c: c.say(overheard(c, "/admin/unlock", {})),
    )
)

INNER = call()
EXTRINSICS = (
    _table(
        "call_refused",
        a_transfer=lambda c: extrinsic(c, call("Balances.transfer_all", dest=BOB, keep_alive=False)),
        a_stake=lambda c: extrinsic(c, call("SubtensorModule.add_stake", hotkey=BOB, netuid=2, amount_staked=1)),
        a_registration=lambda c: extrinsic(c, call("SubtensorModule.burned_register", netuid=2, hotkey=BOB)),
        a_swap_of_the_hotkey=lambda c: extrinsic(
            c, call("SubtensorModule.swap_hotkey", hotkey=ALICE.ss58_address, new_hotkey=BOB, netuid=None)
        ),
        an_EVM_key_for_the_hotkey=lambda c: extrinsic(
            c,
            call(
                "SubtensorModule.associate_evm_key",
                netuid=2,
                evm_key="0x" + "11" * 20,
                block_number=1,
                signature=b"\1" * 65,
            ),
        ),
        a_child_key=lambda c: extrinsic(
            c, call("SubtensorModule.set_children", hotkey=ALICE.ss58_address, netuid=2, children=[])
        ),
        a_call_in_a_batch=lambda c: extrinsic(c, call("Utility.batch_all", calls=[INNER])),
        a_call_through_a_proxy=lambda c: extrinsic(c, call("Proxy.proxy", real=BOB, force_proxy_type=None, call=INNER)),
        a_call_through_a_multisig=lambda c: extrinsic(
            c, call("Multisig.as_multi_threshold_1", other_signatories=[BOB], call=INNER)
        ),
        a_call_through_sudo=lambda c: extrinsic(c, call("Sudo.sudo", call=INNER)),
        a_call_for_later=lambda c: extrinsic(
            c, call("Scheduler.schedule", when=9, maybe_periodic=None, priority=0, call=INNER)
        ),
        a_batch_of_weights=lambda c: extrinsic(
            c, call("SubtensorModule.batch_set_weights", netuids=[2], weights=[[(1, 1)]], version_keys=[0])
        ),
        an_opaque_commit=lambda c: extrinsic(
            c,
            call(
                "SubtensorModule.commit_timelocked_weights",
                netuid=2,
                commit=b"x" * 64,
                reveal_round=9,
                commit_reveal_version=4,
            ),
        ),
        a_hash_commit=lambda c: extrinsic(
            c, call("SubtensorModule.commit_weights", netuid=2, commit_hash="0x" + "11" * 32)
        ),
        a_ciphertext_in_a_commitment=lambda c: extrinsic(
            c,
            call(
                "Commitments.set_commitment",
                netuid=2,
                info={"fields": [{"TimelockEncrypted": {"encrypted": b"zz", "reveal_round": 5}}]},
            ),
        ),
        a_remark=lambda c: extrinsic(c, call("System.remark", remark=b"x")),
        a_byte_after_the_call=lambda c: extrinsic(c, call() + b"\0"),
        a_call_cut_short=lambda c: extrinsic(c, call()[:-1]),
        a_32_byte_blob_for_a_call=lambda c: extrinsic(c, bytes(32)),
        hex_text_for_a_call=lambda c: extrinsic(c, b"0x" + call().hex().encode()),
        a_btauth_payload_for_a_call=lambda c: extrinsic(c, b"btauth/1\nsr25519\nPOST\n/\n" + b"0" * 64),
    )
    | _table(
        "payload_mismatch",
        a_32_byte_blob_for_a_payload=lambda c: extrinsic(c, payload=bytes(32)),
        a_btauth_payload_for_a_payload=lambda c: extrinsic(c, payload=b"btauth/1\nsr25519\nPOST\n/"),
        the_payload_of_another_call=lambda c: extrinsic(
            c, payload=unsigned(c, call("Balances.transfer_all", dest=BOB, keep_alive=False)).payload
        ),
        parts_of_another_nonce=lambda c: extrinsic(
            c, included_in_extrinsic=unsigned(c, call(), nonce=9).included_in_extrinsic
        ),
        parts_without_the_hashes=lambda c: extrinsic(c, included_in_signed_data=b""),
        no_metadata_digest=lambda c: extrinsic(c, metadata_hash=None),
        the_digest_of_forged_metadata=lambda c: extrinsic(c, metadata_hash=b"\x66" * 32),
        another_address=lambda c: extrinsic(c, address=BOB),
        another_public_key=lambda c: extrinsic(c, public_key=bytes(32)),
        another_signature_scheme=lambda c: extrinsic(c, crypto_type=0),
    )
    | _table("wrong_genesis", another_chain=lambda c: extrinsic(c, genesis_hash=b"\x11" * 32))
    | _table(
        "wrong_runtime",
        an_old_runtime=lambda c: extrinsic(c, spec_version=460),
        a_runtime_to_come=lambda c: extrinsic(c, spec_version=462),
        another_transaction_version=lambda c: extrinsic(c, transaction_version=2),
    )
    | _table(
        "era_refused",
        an_immortal_era=lambda c: extrinsic(c, era_period=None),
        an_era_of_a_week=lambda c: extrinsic(c, era_period=4096),
        an_era_that_is_over=lambda c: extrinsic(c, era_current=HEAD - 200),
        an_era_of_tomorrow=lambda c: extrinsic(c, era_current=HEAD + 7200),
    )
    | _table(
        "tip_refused", a_tip=lambda c: extrinsic(c, tip=1), a_tip_in_an_asset=lambda c: extrinsic(c, tip_asset_id=1)
    )
    | _table(DONE, the_same_extrinsic_again=same_extrinsic_twice)
    # Last: it uses up what one hotkey may have in flight, for longer than the drill takes.
    | _table(
        "nonce_refused",
        two_calls_under_one_nonce=two_calls_one_nonce,
        a_stock_of_signatures=stockpile,
    )
)

POLICED = (
    _table(
        "policy_denied",
        more_than_the_largest_share=lambda c: weights(c, token=c.tokens["narrow"], weights=(1.0, 9.0)),
        a_uid_that_is_not_listed=lambda c: weights(c, token=c.tokens["narrow"], uids=(1, 9), weights=(1.0, 1.0)),
        a_mechanism_that_is_not_listed=lambda c: weights(c, token=c.tokens["narrow"], mechid=1),
        weights_outside_the_hours=lambda c: weights(c, token=c.tokens["asleep"]),
        a_signature_with_a_token_for_dry_runs=lambda c: weights(c, token=c.tokens["dry"]),
        too_large_a_share_as_an_extrinsic=lambda c: plain(c, "steady", 305, 1, 9),
        a_uid_that_is_not_listed_as_an_extrinsic=lambda c: plain(c, "steady", 306, *[1] * 9),
        a_mechanism_that_is_not_listed_as_an_extrinsic=lambda c: plain(c, "steady", 307, 1, 1, mechid=1),
        weights_far_from_the_last=far_from_the_last,
    )
    | _table(
        "rate_limited",
        other_weights_too_soon=soon_again,
        other_weights_too_soon_after_killing_the_signer=soon_again_after_a_kill,
        a_flood_of_dry_runs=flood_of_dry_runs,
    )
    | _table("unauthorized", a_token_that_has_expired=lambda c: weights(c, token=c.tokens["lapsed"]))
)

PLAIN = ("extrinsic:SubtensorModule.set_weights", "extrinsic:SubtensorModule.set_mechanism_weights")

POLICED_CLIENTS = {
    "narrow": (("set_weights",), "max_share = 0.8\nuids = [[0, 8]]"),
    "asleep": (("set_weights",), "hours = []"),
    "dry": (("set_weights",), "dry_run_only = true"),
    "steady": (PLAIN, "max_share = 0.8\nuids = [[0, 8]]\nmax_change = 0.5"),
    "slow": (PLAIN, "min_seconds = 100000"),
    "lapsed": (("set_weights",), "expires = 2020-01-01T00:00:00Z"),
}
"""Name → what it was granted, and what the policy file narrows of it."""


def write_policy(captive: Captive) -> None:
    """The policy file, and its line in the configuration."""
    lines = 'keys = "any"\ncalls = "any"\nnetuids = "any"\nmechanisms = [0]\n'
    tables = [f"[client.{name}]\n{lines}{narrower}\n" for name, (_, narrower) in POLICED_CLIENTS.items()]
    path = captive.folder / "policy.toml"
    path.write_text("".join(tables) + f"[default]\n{lines}".replace("[0]", '"any"') + "# end\n")
    path.chmod(0o600)
    config = captive.folder / "g.toml"
    config.write_text(config.read_text().replace("[signer]\n", "[signer]\npolicy = 'policy.toml'\n"))


ATTACKS = (
    STRANGERS | NOT_ASKED_HERE | FRAMING | SHAPES | POLICY | POLICED | REQUESTS | SESSIONS | NODE_KEYS | EXTRINSICS
)


@pytest.fixture(scope="module")
def captive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Captive]:
    captive = Captive(tmp_path_factory.mktemp("c"))
    captive.prepare()
    write_policy(captive)
    captive.start()
    for name, (calls, _) in POLICED_CLIENTS.items():
        captive.add(name, *calls)
    yield captive
    captive.stop()
    log = captive.log()
    assert "Traceback" not in log
    assert not [token for token in captive.tokens.values() if token in log]


@pytest.mark.parametrize("name", ATTACKS)
def test_attack(captive: Captive, name: str) -> None:
    expected, act = ATTACKS[name]
    captive.overhear()
    before = captive.audit()
    outcome = act(captive)
    found = DONE if isinstance(outcome, dict) else outcome
    assert found == expected
    _check_audit(expected, captive.audit()[len(before) :])
    # However it went, the next question is answered.
    assert isinstance(captive.say(Health()), dict)


def _check_audit(expected: str, records: list[tuple[str, str, dict[str, Any]]]) -> None:
    news = [(kind, body) for kind, _, body in records if kind not in ("started", "stopped", "strangers")]
    if expected in (CUT, "unauthorized", "unknown_intent"):
        # Who is no one, or speaks nonsense, leaves no record but a count; what a set-up did is not the attack's.
        assert not [kind for kind, _ in news if kind in SIGNED - {"accepted"}]
    elif expected == DONE:
        assert any(kind in SIGNED for kind, _ in news)
    else:
        assert [body["code"] for kind, body in news if kind == "denied"][-1] == expected


def test_nothing_was_signed_but_what_policy_allows(captive: Captive) -> None:
    """The whole drill, as the audit chain tells it."""
    captive.verify_audit()
    allowed = {
        "node": {"accepted"},
        "few": {"accepted"},
        "keyed": {"accepted", "text_signed"},
        # The first weights of each, within the policy.
        "steady": {"extrinsic_signed"},
        "slow": {"extrinsic_signed", "extrinsic_given_again"},
        "sdk": {"request_signed", "session_issued", "extrinsic_signed", "extrinsic_given_again"},
    }
    for kind, client, body in captive.audit():
        if kind in SIGNED:
            assert kind in allowed[client.partition(" ")[0]], (kind, client)
            assert body.get("netuid") in (None, 2)
            assert body["key"] == "validator/default"
            plainly = "SubtensorModule.set_weights" if client in ("steady", "slow") else "SubtensorModule.serve_axon"
            assert body.get("call") in (None, "set_weights", plainly)


def test_there_are_enough_of_them() -> None:
    assert len(ATTACKS) >= 100


def test_the_threat_model_lists_each() -> None:
    listed = (ROOT / "hardening/threat-model.md").read_text()
    missing = [name for name, attack in ATTACKS.items() if f"| {name} | {attack.outcome} |" not in listed]
    assert missing == []
