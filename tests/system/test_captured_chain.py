"""The attack drill: a program with everything that a captured chain process has, against a real signer.

It has the chain process's socket, and may say there whatever it likes about the chain, its runtimes and the intents.
It does not have the other sockets: the node's wishes come from the test, in the gateway's place. Every attack is a
row of ``ATTACKS``: what is done, and what must come of it. After each, an honest chain process must get the next
intent signed; after all of them every signature is held against its wish (``judge``), and the audit chain is
verified.

The table in ``hardening/threat-model.md`` is what ``python tests/system/test_captured_chain.py`` prints; the last
test holds the two together.
"""

import contextlib
import dataclasses
import json
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import captive as taken
from captive import ALICE, CUT, DONE, GENESIS, HEAD, METADATA, ROOT, SECONDS, framed
from judge import judge

from wallet_guard.devnet import metadata as forge
from wallet_guard.ipc.admin import AllowPlain, AuditCheckpoint, Lock, StatusAsk, Unlock
from wallet_guard.ipc.answers import RefusedError
from wallet_guard.ipc.blocking import ask
from wallet_guard.ipc.chain import Event, Facts, Pull, Pulse, Report, Runtime, Seal
from wallet_guard.ipc.clients import ClientAdd, ClientRevoke, Info
from wallet_guard.ipc.health import Health
from wallet_guard.ipc.intents import Accept, Show
from wallet_guard.ipc.packets import PacketReader, encode_packet
from wallet_guard.ipc.records import to_json
from wallet_guard.ipc.signatures import IssueHubSession, IssueSession, SignRequest, SignText
from wallet_guard.ipc.wishes import SetWeights

NOTHING = "nothing"
"""Answered, and neither an intent nor the audit chain changed."""

SAME = "same bytes"
"""The stored extrinsic came back; nothing was signed."""

WORTHLESS = "worthless"
"""Signed as the node meant it, but by a runtime that is not the chain's: the chain refuses the signature."""

BOB = "5FHneW46xGXgs5mUiveU4sbTyGBzmstUspZC92UhjJM694ty"
BLOCK = {"block_hash": "0x" + "ab" * 32}


class Captive(taken.Captive):
    """The attacker, on the chain process's socket; and a node whose wishes it is asked to serve."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, "chain")
        self.head = HEAD
        self.wishes: dict[str, SetWeights] = {}
        self.told: dict[str, Facts] = {}
        """Intent → the facts that it was signed with."""
        self.worthless: set[str] = set()
        self._netuid = 0
        self._attacks = 0

    def begin(self) -> None:
        """Now and then another client, since each may have so many intents open."""
        if self._attacks % 10 == 0:
            self.add(f"node {self._attacks}", "set_weights", netuids=None)
            self.tokens["node"] = self.tokens[f"node {self._attacks}"]
        self._attacks += 1

    def facts(self, **changes: Any) -> Facts:
        """The truth, with that changed."""
        true = Facts(
            genesis_hash=GENESIS,
            spec_version=461,
            transaction_version=1,
            block_number=self.head,
            era_block_number=self.head - 2,
            era_block_hash=b"\x22" * 32,
            block_time_ms=12_000,
            nonce=7,
            finalized_nonce=7,
            uid=1,
            uids=(),
            mechanisms=2,
            commit_reveal=False,
            commit_reveal_version=4,
            rate_limit=0,
            last_update=0,
            min_allowed_weights=1,
            max_weight_limit=65535,
            weights_version_key=0,
            tempo=360,
            reveal_period_epochs=1,
            last_epoch_block=self.head - 100,
            pending_epoch_at=0,
            subnet_epoch_index=13,
            blocks_since_last_step=100,
        )
        return dataclasses.replace(true, **changes)

    def intend(self, *, queue: bool = False, **changes: Any) -> str:
        """A node's wish for a subnet that no other attack is about; the intent."""
        self._netuid += 1
        fields: dict[str, Any] = {
            "wallet": "validator",
            "hotkey": "default",
            "netuid": self._netuid,
            "mechid": 0,
            "uids": (1, 2),
            "hotkeys": None,
            "weights": (1.0, 2.0),
            "version_key": 0,
        }
        wish = SetWeights(**{**fields, **changes})
        question = Accept(self.tokens["node"], None, queue, wish)
        intent: str = ask(self.path("gateway"), question, seconds=SECONDS).intent
        self.wishes[intent] = wish
        return intent

    def seal(self, intent: str, **changes: Any) -> Any:
        """The outcome of asking for a signature with the truth, that changed."""
        facts = self.facts(**changes)
        outcome = self.say(Seal(intent, facts))
        if isinstance(outcome, dict):
            self.told.setdefault(intent, facts)
        return outcome

    def lie(self, **changes: Any) -> Any:
        """The outcome of a seal of a new intent with facts of which that is not true."""
        return self.seal(self.intend(), **changes)

    def signed(self, **changes: Any) -> dict[str, Any]:
        """A new intent that was signed with such facts: the task of handing it over."""
        outcome = self.lie(**changes)
        assert isinstance(outcome, dict), outcome
        return outcome

    def report(self, intent: str, event: Event, **changes: Any) -> Any:
        """The outcome of that news."""
        return self.say(Report(intent, event, **changes))

    def runtime(self, metadata: bytes = METADATA, **changes: Any) -> Any:
        """The outcome of telling that runtime."""
        true = Runtime(GENESIS, "node-subtensor", 461, 1, metadata)
        return self.say(dataclasses.replace(true, **changes))

    def state(self, intent: str) -> str:
        """How the intent fares, as its node is told."""
        return str(ask(self.path("gateway"), Show(self.tokens["node"], intent), seconds=SECONDS).state)

    def memory(self) -> Any:
        """Everything durable that an intent or a decision is made of."""
        intents = self.rows("id, state, version, extrinsic_hash, nonce, failure", "intents")
        return intents, [kind for kind, _, _ in self.audit()]

    def unchanged(self, act: Callable[[], Any]) -> Any:
        """NOTHING where the answer is yes, and it was as if nothing had been said."""
        before = self.memory()
        outcome = act()
        assert self.memory() == before
        return NOTHING if isinstance(outcome, dict) else outcome

    def honest(self) -> None:
        """What an honest chain process does next works: an intent is accepted, signed, and would be taken."""
        # Past every era that was signed for: a node that comes later than the blocks that were lied about is believed.
        self.head += 20
        for _ in range(3):
            intent = self.intend()
            outcome = self.seal(intent)
            if isinstance(outcome, dict):
                break
            assert outcome in ("runtime_unknown", "runtime_refused"), outcome
            assert self.runtime() == {}
        assert intent in self.told


# Attacks that take more than one step ---------------------------------------------------------------------------------


def worthless(c: Captive, metadata: bytes = METADATA, **changes: Any) -> Any:
    """A runtime that is not the chain's, an intent signed by it, and the true runtime again."""
    told = c.runtime(metadata, **changes)
    if told == "runtime_changed":
        return told
    assert told == {}
    versions = {name: value for name, value in changes.items() if name != "spec_name"}
    intent = c.intend()
    outcome = c.seal(intent, **versions)
    c.runtime()
    if not isinstance(outcome, dict):
        return outcome
    c.worthless.add(intent)
    return WORTHLESS


def flips(c: Captive) -> Any:
    intent = c.intend()
    for at in range(20):
        c.runtime(spec_version=461 + at % 2)
    return c.seal(intent)


def twenty_runtimes(c: Captive) -> Any:
    for version in range(500, 520):
        assert c.runtime(spec_version=version) == {}
    return c.lie()


def commit_reveal_off(c: Captive) -> Any:
    first = c.signed(commit_reveal=True)
    return c.seal(c.intend(netuid=c.wishes[first["intent"]].netuid))


def commit_reveal_on(c: Captive) -> Any:
    """Where there is none: a commit, which only the chain can judge."""
    return c.lie(commit_reveal=True)


def head_of_another_age(c: Captive) -> Any:
    outcome = c.lie(block_number=2**31, era_block_number=2**31 - 2)
    assert c.lie() == "facts_refused"
    # What facts showed is not kept over a restart (and not for more than ten minutes).
    c.stop(signal.SIGKILL)
    c.start()
    return outcome


def unlock(c: Captive) -> None:
    """The operator finds that nobody else signs with the key."""
    ask(c.path("admin"), Unlock("validator/default"), seconds=SECONDS)


def strange_nonces_twice(c: Captive) -> Any:
    """Says at two finalized blocks that somebody else signs with the hotkey."""
    assert c.lie(nonce=2_000, finalized_nonce=2_000) == "facts_refused"
    c.head += 1
    outcome = c.lie(nonce=2_000, finalized_nonce=2_000)
    unlock(c)
    return outcome


def skipped_nonces(c: Captive) -> Any:
    """A gap in the lane: nothing is taken until it is filled, and then the pool's own count fills it."""
    return c.lie(nonce=5_000)


def other_facts_for_the_same_intent(c: Captive) -> Any:
    first = c.signed()
    again = c.seal(first["intent"], nonce=90, finalized_nonce=90, era_block_hash=b"\x66" * 32, max_weight_limit=9)
    assert again["extrinsic"] == first["extrinsic"]
    return SAME


def other_facts_after_a_kill(c: Captive) -> Any:
    first = c.signed()
    c.stop(signal.SIGKILL)
    c.start()
    again = c.seal(first["intent"], nonce=90, finalized_nonce=90)
    assert again["extrinsic"] == first["extrinsic"]
    return SAME


def two_connections_at_once(c: Captive) -> Any:
    intent = c.intend()
    found = set()
    with contextlib.ExitStack() as stack:
        pair = [stack.enter_context(c.connect()) for _ in range(2)]
        for at, each in enumerate(pair):
            facts = c.facts(nonce=300 + at, finalized_nonce=7)
            c.told[intent] = facts
            each.sendall(encode_packet({"id": at, "ask": "seal", "body": to_json(Seal(intent, facts))}))
        for each in pair:
            reader, answers = PacketReader(), list[Any]()
            while not answers:
                answers = [message for message in reader.feed(each.recv(1 << 18)) if "answer" in message]
            found.add(answers[0]["answer"]["extrinsic"])
    assert len(found) == 1
    return SAME


def dropped_and_sealed(c: Captive) -> Any:
    """Says that the pool lost it, to have it signed anew."""
    first = c.signed()
    c.report(first["intent"], Event.SUBMITTED)
    c.report(first["intent"], Event.DROPPED)
    return c.seal(first["intent"], nonce=400, finalized_nonce=400)


def outdated_and_sealed(c: Captive) -> Any:
    """Says that its era is over, to have it signed anew while the first signature lives."""
    first = c.signed()
    c.report(first["intent"], Event.OUTDATED)
    return c.seal(first["intent"], nonce=500)


def superseded_and_sealed(c: Captive) -> Any:
    """Says that another extrinsic took its nonce, to have it signed under another one while the first lives."""
    first = c.signed()
    c.report(first["intent"], Event.SUPERSEDED)
    outcome = c.seal(first["intent"], nonce=500)
    with pytest.raises(RefusedError, match="is locked"):
        c.intend()
    unlock(c)
    return outcome


def rejected_and_sealed(c: Captive) -> Any:
    first = c.signed()
    c.report(first["intent"], Event.REJECTED, code="BadProof", message="no")
    return c.seal(first["intent"])


def asked_too_early(c: Captive) -> Any:
    intent = c.intend()
    assert c.seal(intent, tempo=2**40) == "facts_refused"
    before = len(c.audit())
    outcomes = {c.seal(intent, tempo=2**40) for _ in range(200)}
    assert len(c.audit()) == before
    return outcomes.pop()


def sealed_while_locked(c: Captive) -> Any:
    intent = c.intend()
    ask(c.path("admin"), Lock("a drill"), seconds=SECONDS)
    outcome = c.seal(intent)
    ask(c.path("admin"), Unlock(), seconds=SECONDS)
    return outcome


def pulled_while_locked(c: Captive) -> Any:
    """What was signed before the lock and is not out yet stays in."""
    c.signed()
    ask(c.path("admin"), Lock("a drill"), seconds=SECONDS)
    work = c.say(Pull())
    ask(c.path("admin"), Unlock(), seconds=SECONDS)
    assert "submit" not in {task["action"] for task in work["tasks"]}
    return NOTHING


def revoked_meanwhile(c: Captive) -> Any:
    """Keeps an intent back until its client is revoked, then wants it signed."""
    intent = c.intend()
    ask(c.path("admin"), ClientRevoke([name for name in c.tokens if name != "node"][-1]), seconds=SECONDS)
    outcome = c.seal(intent)
    c.add("node after the revoked one", "set_weights", netuids=None)
    c.tokens["node"] = c.tokens["node after the revoked one"]
    return outcome


def early(c: Captive, event: Event, **changes: Any) -> Any:
    """News of an intent that nobody has signed."""
    intent = c.intend()
    return c.unchanged(lambda: c.report(intent, event, **changes))


def unfit(c: Captive, event: Event, **changes: Any) -> Any:
    """News of a signed intent that cannot be."""
    task = c.signed()
    return c.unchanged(lambda: c.report(task["intent"], event, **changes))


def final(c: Captive, event: Event) -> str:
    """An intent that ended: by a lie, since there is no chain here."""
    task = c.signed()
    intent: str = task["intent"]
    if event is Event.REJECTED:
        c.report(intent, Event.REJECTED, code="BadProof", message="no")
        return intent
    stands = tuple((uid, value) for uid, value in ((1, 32768), (2, 65535)))
    c.report(intent, Event.FINALIZED, **BLOCK, block_number=c.head)
    c.report(intent, Event.WEIGHTS, weights=stands, block_number=c.head)
    assert c.state(intent) == "effective"
    return intent


def after_the_end(c: Captive, end: Event) -> Any:
    """Every kind of news about an intent that is over."""
    intent = final(c, end)
    place = {**BLOCK, "block_number": c.head + 1}
    return c.unchanged(lambda: [c.report(intent, event, **place) for event in Event][-1])


def hash_of_another(c: Captive) -> Any:
    one, two = c.signed(), c.signed()
    news = {**BLOCK, "block_number": c.head, "extrinsic_hash": two["extrinsic_hash"]}
    return c.unchanged(lambda: [c.report(one["intent"], event, **news) for event in Event][-1])


def effective_by_word(c: Captive) -> Any:
    """Says that all is well, and never hands the extrinsic over."""
    final(c, Event.WEIGHTS)
    return {}


def not_effective_by_word(c: Captive) -> Any:
    task = c.signed()
    c.report(task["intent"], Event.FINALIZED, **BLOCK, block_number=c.head)
    c.report(task["intent"], Event.WEIGHTS, weights=((1, 1),), block_number=c.head)
    assert c.state(task["intent"]) == "failed"
    return {}


def rejected_by_word(c: Captive) -> Any:
    intent = final(c, Event.REJECTED)
    assert c.state(intent) == "failed"
    return {}


def dispatch_failed_by_word(c: Captive) -> Any:
    task = c.signed()
    c.report(task["intent"], Event.FINALIZED, **BLOCK, block_number=c.head, code="Invented", message="no")
    assert c.state(task["intent"]) == "failed"
    return {}


def round_and_round(c: Captive) -> Any:
    """In a block, out of it, a thousand times: each step is a record on the disk."""
    intent = c.signed()["intent"]
    before = len(c.audit())
    for _ in range(300):
        c.report(intent, Event.IN_BLOCK, **BLOCK, block_number=c.head)
        c.report(intent, Event.RETRACTED)
    steps = len(c.audit()) - before
    assert steps < 510
    c.report(intent, Event.FINALIZED, **BLOCK, block_number=c.head)
    return {}


def much_trouble(c: Captive) -> Any:
    intent = c.signed()["intent"]
    return c.unchanged(lambda: [c.report(intent, Event.TROUBLE, code="x", message=f"{at}") for at in range(1000)][-1])


def a_megabyte_of_trouble(c: Captive) -> Any:
    intent = c.signed()["intent"]
    outcome = c.unchanged(lambda: c.report(intent, Event.TROUBLE, code="x" * 10**6, message="y" * 10**6))
    view = ask(c.path("gateway"), Show(c.tokens["node"], intent), seconds=SECONDS)
    assert len(view.trouble) < 2_000
    return outcome


def a_line_of_log(c: Captive) -> Any:
    intent = c.signed()["intent"]
    outcome = c.unchanged(lambda: c.report(intent, Event.TROUBLE, code="x", message="a\n2026 critical signer forged"))
    assert not [line for line in c.log().splitlines() if line.startswith("2026 critical")]
    return outcome


def a_megabyte_of_failure(c: Captive) -> Any:
    intent = c.signed()["intent"]
    c.report(intent, Event.REJECTED, code="x" * 10**6, message="y" * 10**6)
    (failure,) = [text for found, text in c.rows("id, failure", "intents") if found == intent]
    assert len(failure) < 3_000
    return {}


def long_pulse(c: Captive) -> Any:
    outcome = c.unchanged(lambda: c.say(Pulse("w" * 10**6, c.head, c.head - 2, "t" * 10**6)))
    status = ask(c.path("admin"), StatusAsk(), seconds=SECONDS)
    assert len(status.endpoint) + len(status.health.chain_trouble) < 2_000
    c.say(Pulse("ws://test", c.head, c.head - 2, ""))
    return outcome


def many_pulses(c: Captive) -> Any:
    return c.unchanged(lambda: [c.say(Pulse(f"ws://{at}", c.head, c.head - 2, "")) for at in range(2000)][-1])


def many_pulls(c: Captive) -> Any:
    """Written all at once, read afterwards."""
    count, got, reader = 200, 0, PacketReader()
    before = c.memory()
    c.connection.sendall(encode_packet({"id": 1, "ask": "pull", "body": {}}) * count)
    while got < count:
        data = c.connection.recv(1 << 18)
        if not data:
            c.leave()
            break
        got += sum("answer" in message for message in reader.feed(data))
    assert c.memory() == before
    # Either each is answered, or the peer reads too slowly for what it asks and is cut off.
    return NOTHING


def never_read(c: Captive) -> Any:
    packet = encode_packet({"id": 1, "ask": "pull", "body": {}})
    with contextlib.suppress(OSError):
        while True:
            c.connection.sendall(packet * 200)
    c.leave()
    return CUT


def silent(c: Captive) -> Any:
    """Sixteen connections, each with the first half of a packet, and then no word."""
    c.leave()
    half = encode_packet({"id": 1, "ask": "pull", "body": {}})[:-3]
    with contextlib.ExitStack() as stack:
        for each in [stack.enter_context(c.connect()) for _ in range(16)]:
            with contextlib.suppress(OSError):
                each.sendall(half)
        c.intend()
    return _let_in_again(c)


def thousand_connections(c: Captive) -> Any:
    c.leave()
    with contextlib.ExitStack() as stack:
        crowd = [stack.enter_context(c.connect()) for _ in range(1000)]
        # The node is served meanwhile.
        c.intend()
        answered = 0
        for each in crowd:
            with contextlib.suppress(OSError):
                each.sendall(encode_packet({"id": 1, "ask": "pull", "body": {}}))
                answered += bool(each.recv(65536))
    assert answered <= 16
    return _let_in_again(c)


def _let_in_again(c: Captive) -> Any:
    """NOTHING, once the signer has seen that the crowd is gone."""
    ends = time.monotonic() + SECONDS
    while c.say(Pull()) == CUT:
        assert time.monotonic() < ends
    return NOTHING


def byte_by_byte(c: Captive) -> Any:
    packet = encode_packet({"id": 1, "ask": "pulse", "body": to_json(Pulse("ws://slow", c.head, c.head - 2, ""))})
    for at in range(len(packet) - 1):
        c.connection.sendall(packet[at : at + 1])
    return c.unchanged(lambda: c.raw(packet[-1:]))


def leave_in_the_middle(c: Captive) -> Any:
    c.connection.sendall(encode_packet({"id": 1, "ask": "pull", "body": {}})[:-3])
    c.leave()
    return CUT


def facts_body(c: Captive, **changes: Any) -> dict[str, Any]:
    """A seal's body, in which that stands in the place of facts."""
    body: dict[str, Any] = to_json(Seal(c.intend(), c.facts()))
    return {**body, "facts": {**body["facts"], **changes}}


def without(c: Captive, name: str) -> dict[str, Any]:
    body = facts_body(c)
    del body["facts"][name]
    return body


# Forged metadata ------------------------------------------------------------------------------------------------------


def other_pallet(index: int) -> bytes:
    """SubtensorModule under another pallet's number, in the list that the digest does not cover."""
    at = METADATA.index(b"\x07\x00\x1cUtility", forge.survey(METADATA).pallets["SubtensorModule"].entries_end)
    return METADATA[:at] + bytes([index]) + METADATA[at + 1 :]


def renamed(old: bytes, new: bytes) -> bytes:
    changed = METADATA.replace(old, new)
    assert changed != METADATA
    return changed


def swapped_names() -> bytes:
    """Uids go where weights belong, and weights where uids do."""
    return (
        renamed(b"\x14dests", b"\x14-----").replace(b"\x1cweights", b"\x14dests").replace(b"\x14-----", b"\x1cweights")
    )


def noise(seed: int) -> bytes:
    return b"meta\x0f" + random.Random(seed).randbytes(300_000)


# The table ------------------------------------------------------------------------------------------------------------


class Attack(NamedTuple):
    """``outcome`` is CUT, NOTHING, SAME, WORTHLESS, DONE or the refusal's code; ``gain`` what a liar has of it."""

    outcome: str
    act: Callable[[Captive], Any]
    gain: str = ""


def _table(outcome: str, **acts: Callable[[Captive], Any]) -> dict[str, Attack]:
    return {name.replace("_", " "): Attack(outcome, act) for name, act in acts.items()}


def _allowed(**acts: tuple[Callable[[Captive], Any], str]) -> dict[str, Attack]:
    return {name.replace("_", " "): Attack(DONE, *act) for name, act in acts.items()}


OTHERS = _table(
    CUT,
    a_wish_of_its_own_under_a_stolen_token=lambda c: c.say(
        Accept(c.tokens["node"], None, False, SetWeights("validator", "default", 2, 0, (1,), None, (1.0,), 0))
    ),
    looking_at_an_intent=lambda c: c.say(Show(c.tokens["node"], c.intend())),
    asking_whose_a_token_is=lambda c: c.say(Info(c.tokens["node"])),
    asking_for_health=lambda c: c.say(Health()),
    a_signed_request=lambda c: c.say(SignRequest("wg_x", "validator", "default", "GET", "/", bytes(32), BOB, None)),
    a_signed_extrinsic=lambda c: c.tell("sign_extrinsic", {}),
    a_session=lambda c: c.say(IssueSession("wg_x", "validator", "default", bytes(32), 2, BOB, 60)),
    a_session_of_the_hub=lambda c: c.say(IssueHubSession("validator", "default", bytes(32), 2)),
    a_signed_text=lambda c: c.say(SignText("wg_x", "validator", "default", "hello")),
    adding_a_client=lambda c: c.say(ClientAdd("evil", "validator", "default", ("text",), None, 1, None)),
    revoking_a_client=lambda c: c.say(ClientRevoke("node 0")),
    reading_the_status=lambda c: c.say(StatusAsk()),
    allowing_plain_weights=lambda c: c.say(AllowPlain(2)),
    locking=lambda c: c.say(Lock("x")),
    unlocking=lambda c: c.say(Unlock()),
    a_checkpoint_of_the_audit=lambda c: c.say(AuditCheckpoint()),
    sign=lambda c: c.tell("sign", {"payload": "AAAA"}),
    sign_raw=lambda c: c.tell("sign_raw", {"payload": "0x00"}),
    a_question_whose_name_is_a_number=lambda c: c.raw(encode_packet({"id": 1, "ask": 5, "body": {}})),
    an_answer_that_nobody_asked_for=lambda c: c.raw(encode_packet({"id": 1, "answer": {}})),
    an_event_as_if_it_were_the_signer=lambda c: c.raw(encode_packet({"event": "intent", "body": {}})),
    a_field_beside_the_three=lambda c: c.raw(encode_packet({"id": 1, "ask": "pull", "body": {}, "uid": 0})),
)

PACKETS = _table(
    CUT,
    length_of_4_GiB=lambda c: c.raw(b"\xff\xff\xff\xff"),
    packet_over_its_4_MiB=lambda c: c.raw((4 * 1024 * 1024 + 1).to_bytes(4, "big")),
    packet_of_no_bytes=lambda c: c.raw(framed(b"")),
    four_MiB_of_blanks=lambda c: c.raw(framed(b" " * 4 * 1024 * 1024)),
    bytes_that_are_no_JSON=lambda c: c.raw(framed(b"\x00\x01\x02\x03")),
    JSON_in_UTF_16=lambda c: c.raw(framed('{"id":1,"ask":"pull","body":{}}'.encode("utf-16"))),
    one_key_twice=lambda c: c.raw(framed(b'{"id":1,"ask":"pull","ask":"seal","body":{}}')),
    NaN=lambda c: c.raw(framed(b'{"id":NaN,"ask":"pull","body":{}}')),
    nesting_a_million_deep=lambda c: c.raw(framed(b"[" * 1_000_000)),
    a_number_of_5000_digits=lambda c: c.raw(framed(b'{"id":' + b"9" * 5000 + b',"ask":"pull","body":{}}')),
    leaving_in_the_middle_of_a_packet=leave_in_the_middle,
    answers_that_are_never_read=never_read,
) | _table(
    NOTHING,
    sixteen_silent_connections=silent,
    a_thousand_connections=thousand_connections,
    a_packet_byte_by_byte=byte_by_byte,
    two_hundred_questions_at_once=many_pulls,
)

RUNTIMES = (
    _table(
        "runtime_refused",
        no_metadata=lambda c: c.runtime(b""),
        metadata_of_version_14=lambda c: c.runtime(b"meta\x0e" + METADATA[5:]),
        metadata_of_version_16=lambda c: c.runtime(b"meta\x10" + METADATA[5:]),
        half_of_the_metadata=lambda c: c.runtime(METADATA[: len(METADATA) // 2]),
        metadata_cut_by_a_byte=lambda c: c.runtime(METADATA[:-1]),
        noise_for_metadata=lambda c: c.runtime(noise(1)),
        a_list_of_a_thousand_million_types=lambda c: c.runtime(b"meta\x0f\xfe\xff\xff\xff"),
        metadata_without_the_digests_extension=lambda c: c.runtime(renamed(b"CheckMetadataHash", b"CheckMetadataHush")),
        a_negative_version=lambda c: c.runtime(spec_version=-1),
        a_version_beyond_32_bits=lambda c: c.runtime(spec_version=2**70),
        a_transaction_version_beyond_32_bits=lambda c: c.runtime(transaction_version=2**32),
    )
    | _table(
        "runtime_changed",
        set_weights_as_a_call_of_Balances=lambda c: worthless(c, other_pallet(5)),
        set_weights_under_the_number_of_serve_axon=lambda c: worthless(
            c, forge.with_calls_swapped(METADATA, "SubtensorModule", "set_weights", "serve_axon")
        ),
        uids_for_weights_and_weights_for_uids=lambda c: worthless(c, swapped_names()),
        metadata_without_set_weights=lambda c: worthless(c, renamed(b"\x2cset_weights", b"\x2cset_heights")),
        metadata_without_eras=lambda c: worthless(c, renamed(b"CheckMortality", b"CheckImmortals")),
        metadata_without_nonces=lambda c: worthless(c, renamed(b"CheckNonce", b"CheckOnces")),
    )
    | _table(
        "wrong_genesis",
        a_runtime_of_another_chain=lambda c: c.runtime(genesis_hash=b"\x11" * 32),
        a_genesis_of_31_bytes=lambda c: c.runtime(genesis_hash=GENESIS[:-1]),
        a_genesis_of_no_bytes=lambda c: c.runtime(genesis_hash=b""),
    )
    | _table(
        WORTHLESS,
        the_true_metadata_under_a_later_version=lambda c: worthless(c, spec_version=462),
        the_true_metadata_under_an_earlier_version=lambda c: worthless(c, spec_version=460),
        the_true_metadata_under_another_transaction_version=lambda c: worthless(c, transaction_version=2),
        the_true_metadata_under_another_name=lambda c: worthless(c, spec_name="node-evil"),
        the_true_metadata_under_a_name_of_a_megabyte=lambda c: worthless(c, spec_name="n" * 10**6),
    )
    | _table(
        "runtime_unknown",
        facts_of_a_runtime_never_told=lambda c: c.lie(spec_version=999),
        twenty_runtimes_one_after_the_other=twenty_runtimes,
    )
    | _table(
        CUT,
        metadata_over_3_MiB=lambda c: c.raw(
            framed(json.dumps({"id": 1, "ask": "runtime", "body": "A" * (4 * 1024 * 1024)}).encode())
        ),
        metadata_that_is_no_base64=lambda c: c.tell(
            "runtime", {**to_json(Runtime(GENESIS, "n", 461, 1, b"")), "metadata": "!"}
        ),
        a_version_that_is_a_fraction=lambda c: c.tell(
            "runtime", {**to_json(Runtime(GENESIS, "n", 461, 1, b"")), "spec_version": 461.5}
        ),
    )
    | _allowed(
        metadata_with_two_MiB_behind_it=(
            lambda c: c.runtime(METADATA + bytes(2 * 1024 * 1024)),
            "nothing: what stands behind is not read",
        ),
        an_upgrade_and_back_ten_times=(flips, "the last word counts; the signature is the true chain's"),
    )
)

OVER = {
    "block_number": 2**32,
    "era_block_number": 2**32,
    "block_time_ms": 600_001,
    "nonce": 2**31 + 1,
    "finalized_nonce": 2**31 + 1,
    "uid": 65_536,
    "mechanisms": 17,
    "commit_reveal_version": 65_536,
    "rate_limit": 50_401,
    "last_update": 2**32,
    "min_allowed_weights": 65_536,
    "max_weight_limit": 65_536,
    "weights_version_key": 2**64,
    "tempo": 50_401,
    "reveal_period_epochs": 101,
    "last_epoch_block": 2**32,
    "pending_epoch_at": 2**32,
    "subnet_epoch_index": 2**32,
    "blocks_since_last_step": 2**32,
}
"""Each number that facts hold, one above its ceiling."""


def _over(name: str, value: int) -> Callable[[Captive], Any]:
    return lambda c: c.lie(**{name: value})


FACTS = (
    {f"{name} one over its ceiling": Attack("facts_refused", _over(name, value)) for name, value in OVER.items()}
    | {f"{name} below zero": Attack("facts_refused", _over(name, -1)) for name in ("nonce", "tempo", "uid")}
    | _table(
        "facts_refused",
        a_number_of_a_thousand_bits=lambda c: c.lie(subnet_epoch_index=2**1000),
        another_genesis=lambda c: c.lie(genesis_hash=b"\x11" * 32),
        a_genesis_of_100_kB=lambda c: c.lie(genesis_hash=bytes(100_000)),
        a_block_hash_of_31_bytes=lambda c: c.lie(era_block_hash=bytes(31)),
        a_finalized_head_above_the_best=lambda c: c.lie(era_block_number=c.head + 1),
        finality_a_thousand_blocks_behind=lambda c: c.lie(era_block_number=c.head - 1_001),
        a_head_a_thousand_blocks_back=lambda c: c.lie(block_number=c.head - 1_100, era_block_number=c.head - 1_102),
        blocks_that_take_no_time=lambda c: c.lie(block_time_ms=0),
        blocks_that_take_a_minute=lambda c: c.lie(block_time_ms=60_000),
        weights_updated_in_the_future=lambda c: c.lie(last_update=c.head + 1),
        a_nonce_ten_thousand_ahead=lambda c: c.lie(nonce=20_000),
        nonces_consumed_that_nobody_signed=lambda c: c.lie(nonce=2_000, finalized_nonce=2_000),
        a_pool_behind_finality=lambda c: c.lie(nonce=6),
        a_reveal_later_than_the_schedule_can_mean=lambda c: c.lie(commit_reveal=True, block_time_ms=48_000),
        an_epoch_of_no_blocks=lambda c: c.lie(commit_reveal=True, tempo=0),
        a_reveal_at_once=lambda c: c.lie(commit_reveal=True, reveal_period_epochs=0),
        an_epoch_that_began_in_the_future=lambda c: c.lie(commit_reveal=True, last_epoch_block=c.head + 1),
        an_epoch_pending_for_ever=lambda c: c.lie(commit_reveal=True, pending_epoch_at=c.head + 362),
        steps_before_the_first_block=lambda c: c.lie(commit_reveal=True, blocks_since_last_step=c.head + 1),
        a_uid_of_a_hotkey_beyond_16_bits=lambda c: c.seal(
            c.intend(uids=None, hotkeys=(BOB,), weights=(1.0,)), uids=((BOB, 65_536),)
        ),
    )
    | _table(
        CUT,
        facts_without_a_genesis=lambda c: c.tell("seal", without(c, "genesis_hash")),
        facts_with_a_field_of_its_own=lambda c: c.tell("seal", facts_body(c, sign_anyway=True)),
        a_nonce_that_is_text=lambda c: c.tell("seal", facts_body(c, nonce="7")),
        a_nonce_that_is_a_fraction=lambda c: c.tell("seal", facts_body(c, nonce=7.0)),
        a_nonce_that_is_true=lambda c: c.tell("seal", facts_body(c, nonce=True)),
        a_nonce_that_is_null=lambda c: c.tell("seal", facts_body(c, nonce=None)),
        commit_reveal_that_is_0=lambda c: c.tell("seal", facts_body(c, commit_reveal=0)),
        uids_that_are_an_object=lambda c: c.tell("seal", facts_body(c, uids={BOB: 1})),
        a_call_brought_along=lambda c: c.tell("seal", {**facts_body(c), "call": "AAAA"}),
        weights_brought_along=lambda c: c.tell("seal", {**facts_body(c), "weights": [[1, 65535]]}),
    )
)

LIES = (
    _table("not_registered", that_the_hotkey_is_not_registered=lambda c: c.lie(uid=None))
    | _table("unknown_mechanism", that_there_is_one_mechanism=lambda c: c.seal(c.intend(mechid=1), mechanisms=1))
    | _table("version_key_too_low", that_a_later_version_is_wanted=lambda c: c.lie(weights_version_key=2**64 - 1))
    | _table("too_few_weights", that_more_weights_are_wanted=lambda c: c.lie(min_allowed_weights=65_535))
    | _table(
        "weights_shifted",
        a_limit_that_turns_weights_round=lambda c: c.seal(
            c.intend(uids=(1, 2, 3, 4, 5), weights=(1000.0, 1.0, 1.0, 1.0, 1.0)), max_weight_limit=1
        ),
    )
    | _table("rate_limited", a_rate_limit_of_a_week=lambda c: c.lie(rate_limit=50_400, last_update=c.head))
    | _table("commit_reveal_disabled", commit_reveal_on_and_then_off=commit_reveal_off)
    | _table(
        "unknown_hotkey",
        that_a_target_is_not_registered=lambda c: c.seal(c.intend(uids=None, hotkeys=(BOB,), weights=(1.0,))),
        one_uid_for_two_hotkeys=lambda c: c.seal(
            c.intend(uids=None, hotkeys=(BOB, ALICE.ss58_address), weights=(1.0, 2.0)),
            uids=((BOB, 3), (ALICE.ss58_address, 3)),
        ),
    )
    | _allowed(
        a_hotkeys_uid_swapped=(
            lambda c: c.seal(c.intend(uids=None, hotkeys=(BOB,), weights=(1.0,)), uids=((BOB, 77),)),
            "the weight goes to another uid; only wishes that name hotkeys, seen in the audit chain and on the chain",
        ),
        a_limit_within_max_shift=(
            lambda c: c.seal(c.intend(weights=(2.0, 1.0)), max_weight_limit=32_768),
            "weights moved by at most `max_shift` of the whole",
        ),
        commit_reveal_where_there_is_none=(commit_reveal_on, "a commit that the chain refuses, or reveals later"),
        the_slowest_schedule_there_is=(
            lambda c: c.lie(commit_reveal=True, tempo=50_400, reveal_period_epochs=100, last_epoch_block=0),
            "a reveal much too late; the alarm comes when it is missing",
        ),
        the_most_epochs_in_the_shortest_time=(
            lambda c: c.lie(commit_reveal=True, tempo=1, reveal_period_epochs=100, last_epoch_block=0),
            "a reveal at another time than the subnet's, never in the past",
        ),
        epochs_counted_to_the_ceiling=(
            lambda c: c.lie(commit_reveal=True, subnet_epoch_index=2**32 - 1, blocks_since_last_step=c.head),
            "a reveal at another time than the subnet's, never in the past",
        ),
        blocks_four_times_as_fast=(
            lambda c: c.lie(commit_reveal=True, block_time_ms=3_000),
            "a reveal at another time than the subnet's, never in the past",
        ),
        a_head_of_another_age=(
            head_of_another_age,
            "an extrinsic that is never valid; true heads refused for ten minutes or until a restart",
        ),
        a_nonce_with_a_gap_before_it=(skipped_nonces, "an extrinsic that waits until its era is over"),
        a_block_hash_of_another_fork=(
            lambda c: c.lie(era_block_hash=b"\x99" * 32),
            "an extrinsic that only the chain with that block takes: none, if it is invented",
        ),
        fifty_thousand_uids=(
            lambda c: c.lie(uids=tuple((BOB, at % 65_536) for at in range(50_000))),
            "nothing: names that no wish holds",
        ),
    )
)

INTENTS = (
    _table(
        "unknown_intent",
        sealing_an_intent_that_is_none=lambda c: c.seal("0" * 32),
        an_intent_by_a_piece_of_SQL=lambda c: c.seal("' OR 1=1 --"),
        an_intent_named_by_a_megabyte=lambda c: c.seal("0" * 10**6),
        news_of_an_intent_that_is_none=lambda c: c.report("0" * 32, Event.FINALIZED, **BLOCK, block_number=1),
        news_of_every_intent_at_once=lambda c: c.report("%", Event.REJECTED),
    )
    | _table(
        SAME,
        other_facts_for_what_is_signed=other_facts_for_the_same_intent,
        other_facts_after_killing_the_signer=other_facts_after_a_kill,
        two_connections_sealing_at_once=two_connections_at_once,
    )
    | _table(
        "finished",
        sealing_again_what_the_pool_dropped=dropped_and_sealed,
        sealing_again_what_was_superseded=superseded_and_sealed,
        sealing_again_what_is_outdated=outdated_and_sealed,
        sealing_again_what_was_rejected=rejected_and_sealed,
        sealing_again_what_is_effective=lambda c: c.seal(final(c, Event.WEIGHTS)),
    )
    | _table("too_early", asking_again_after_refused_facts=asked_too_early)
    | _table(
        "locked",
        sealing_while_the_signer_is_locked=sealed_while_locked,
        strange_nonces_at_two_finalized_blocks=strange_nonces_twice,
    )
    | _table(NOTHING, pulling_what_was_signed_before_the_lock=pulled_while_locked)
    | _table("unauthorized", sealing_for_a_client_revoked_meanwhile=revoked_meanwhile)
)

REPORTS = (
    _table(
        NOTHING,
        submitted_before_it_was_signed=lambda c: early(c, Event.SUBMITTED),
        rejected_before_it_was_signed=lambda c: early(c, Event.REJECTED, code="x"),
        in_a_block_before_it_was_signed=lambda c: early(c, Event.IN_BLOCK, **BLOCK, block_number=c.head),
        finalized_before_it_was_signed=lambda c: early(c, Event.FINALIZED, **BLOCK, block_number=c.head),
        superseded_before_it_was_signed=lambda c: early(c, Event.SUPERSEDED),
        weights_read_back_before_it_was_signed=lambda c: early(c, Event.WEIGHTS, weights=((1, 1),)),
        dropped_before_it_was_submitted=lambda c: unfit(c, Event.DROPPED),
        retracted_before_it_was_in_a_block=lambda c: unfit(c, Event.RETRACTED),
        weights_read_back_before_finality=lambda c: unfit(c, Event.WEIGHTS, weights=((1, 32768), (2, 65535))),
        values_read_back_for_weights=lambda c: unfit(c, Event.VALUES, values=(b"x",)),
        finalized_without_a_block=lambda c: unfit(c, Event.FINALIZED),
        finalized_without_a_hash=lambda c: unfit(c, Event.FINALIZED, block_number=c.head),
        finalized_before_it_was_born=lambda c: unfit(c, Event.FINALIZED, **BLOCK, block_number=c.head - 500),
        finalized_after_its_era=lambda c: unfit(c, Event.FINALIZED, **BLOCK, block_number=c.head + 500),
        in_a_block_of_another_era=lambda c: unfit(c, Event.IN_BLOCK, **BLOCK, block_number=1),
        the_hash_of_another_extrinsic=hash_of_another,
        all_news_after_it_was_effective=lambda c: after_the_end(c, Event.WEIGHTS),
        all_news_after_it_failed=lambda c: after_the_end(c, Event.REJECTED),
        a_thousand_troubles=much_trouble,
        a_trouble_of_two_megabytes=a_megabyte_of_trouble,
        a_trouble_with_a_line_for_the_log=a_line_of_log,
    )
    | _table(
        "invalid_report",
        a_block_below_zero=lambda c: c.report(c.signed()["intent"], Event.FINALIZED, **BLOCK, block_number=-1),
        a_block_beyond_32_bits=lambda c: c.report(c.signed()["intent"], Event.FINALIZED, **BLOCK, block_number=2**70),
    )
    | _table(
        CUT,
        news_that_there_is_no_word_for=lambda c: c.tell(
            "report", {**to_json(Report("0" * 32, Event.TROUBLE)), "event": "paid"}
        ),
        news_that_brings_a_state_along=lambda c: c.tell(
            "report", {**to_json(Report("0" * 32, Event.TROUBLE)), "state": "effective"}
        ),
        weights_that_are_fractions=lambda c: c.tell(
            "report", {**to_json(Report("0" * 32, Event.WEIGHTS)), "weights": [[1, 0.5]]}
        ),
    )
    | _allowed(
        rejected_by_its_word=(
            rejected_by_word,
            "the node is told that its request failed; its bytes are known to the liar",
        ),
        failed_in_a_block_by_its_word=(dispatch_failed_by_word, "the node is told that the chain refused"),
        effective_by_its_word=(effective_by_word, "the node is told that all is well, and it is not"),
        not_effective_by_its_word=(not_effective_by_word, "a false alarm"),
        in_and_out_of_a_block_without_end=(round_and_round, "500 records of the audit chain, then only an end counts"),
        a_failure_of_two_megabytes=(a_megabyte_of_failure, "500 characters of each text are kept"),
    )
)

PULSES = _table(
    "invalid_pulse",
    a_head_below_zero=lambda c: c.say(Pulse("ws://x", -1, 0, "")),
    a_head_beyond_32_bits=lambda c: c.say(Pulse("ws://x", 2**32, 0, "")),
    finality_beyond_64_bits=lambda c: c.say(Pulse("ws://x", 1, 2**70, "")),
) | _table(
    NOTHING,
    two_thousand_pulses=many_pulses,
    a_pulse_of_two_megabytes=long_pulse,
    a_head_of_the_next_century=lambda c: c.unchanged(lambda: c.say(Pulse("ws://x", 2**32 - 1, 2**32 - 1, ""))),
    a_head_of_the_beginning=lambda c: c.unchanged(lambda: c.say(Pulse("ws://x", 0, 0, ""))),
)

GROUPS = {
    "Questions of other sockets": OTHERS,
    "Packets and connections": PACKETS,
    "Runtimes": RUNTIMES,
    "Facts that cannot be": FACTS,
    "Facts that can be, and are not true": LIES,
    "Intents": INTENTS,
    "News of an intent": REPORTS,
    "News of the head": PULSES,
}

ATTACKS = {name: attack for group in GROUPS.values() for name, attack in group.items()}

RECORDS = {
    CUT: "none",
    NOTHING: "none",
    SAME: "none",
    WORTHLESS: "`signed`, with the version",
    "facts_refused": "`facts_refused` and the reason",
    "invalid_pulse": "none",
    "invalid_report": "none",
    "runtime_refused": "none",
    "runtime_changed": "`runtime_refused`, at most one a minute",
    "runtime_unknown": "none",
    "wrong_genesis": "none",
    "unknown_intent": "none",
    "finished": "none",
    "too_early": "none",
    "locked": "`locked` or `key_locked`, and who unlocked",
    DONE: "each step",
}
"""What an outcome leaves in the audit chain; those not named here end the intent: ``failed`` and the code."""


def table() -> str:
    """The drill as the threat model shows it."""
    lines = [
        f"{len(ATTACKS)} attacks, run by `python -m pytest tests/system/test_captured_chain.py` against a real signer,",
        "in this order. *Cut off*: the signer ended the connection. *Nothing*: answered, and neither an intent nor",
        "the audit chain changed. *Same bytes*: what is stored came back, nothing was signed. *Worthless*: signed as",
        "the node meant it, but the chain refuses the signature. *Allowed*: what a liar can do, and what it gains.",
        "Every other outcome is the code of the refusal. After each attack an honest chain process gets the next",
        "intent signed; after all of them each signature is decoded apart from the signer and held against its wish,",
        "no intent has two, and the audit chain is whole. A test compares this with the program.",
    ]
    for title, group in GROUPS.items():
        lines += ["", f"### {title} ({len(group)})", "", "| attack | outcome | in the audit chain |", "|---|---|---|"]
        for name, attack in group.items():
            record = RECORDS.get(attack.outcome, "`failed` and the code")
            gain = f"; {attack.gain}" if attack.gain else ""
            lines.append(f"| {name} | {attack.outcome}{gain} | {record} |")
    return "\n".join(lines) + "\n"


# The tests ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def captive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Captive]:
    captive = Captive(tmp_path_factory.mktemp("c"))
    captive.prepare()
    captive.start()
    yield captive
    captive.stop()
    assert "Traceback" not in captive.log()


@pytest.mark.parametrize("name", ATTACKS)
def test_attack(captive: Captive, name: str) -> None:
    expected, act, _ = ATTACKS[name]
    captive.begin()
    outcome = act(captive)
    found = DONE if isinstance(outcome, dict) else outcome
    assert found == expected
    captive.leave()
    captive.honest()


def test_every_signature_is_what_its_node_meant_and_no_intent_has_two(captive: Captive) -> None:
    """The whole drill, as journal and audit chain tell it."""
    captive.verify_audit()
    stored = {intent: data for intent, data in captive.rows("id, extrinsic", "intents") if data is not None}
    assert stored.keys() == captive.told.keys()
    for intent, data in stored.items():
        taken_by_the_chain = judge(data, captive.wishes[intent], ALICE, captive.told[intent])
        assert taken_by_the_chain == (intent not in captive.worthless)
    signatures = Counter(body["intent"] for kind, _, body in captive.audit() if kind == "signed")
    assert signatures == dict.fromkeys(stored, 1)


def test_there_are_enough_of_them() -> None:
    assert len(ATTACKS) == sum(map(len, GROUPS.values())) >= 100


def test_the_threat_model_lists_each() -> None:
    assert table() in (ROOT / "hardening/threat-model.md").read_text()


if __name__ == "__main__":
    print(table(), end="")
