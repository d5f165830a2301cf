"""The attack drill: a program with everything that a captured hub has, against signer, miner and application.

It has the hub's socket to the signer, its session key with a certificate of purpose hub, the connections of a miner and
of the validator's application, and every byte that went through. Each attack is a row: what is done, and the word by
which the victim counts its refusal. The victim's handlers must see nothing of it, and the next honest message arrives.

The same rows are in the table of ``hardening/threat-model.md``; the last test holds the two together.
"""

import asyncio
import contextlib
import dataclasses
import importlib.util
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import captive as taken
from captive import CUT, DONE, ROOT, framed

from wallet_guard.hub.relay import Relay
from wallet_guard.ipc.admin import AllowPlain, AuditCheckpoint, Lock, StatusAsk, Unlock
from wallet_guard.ipc.chain import Pull
from wallet_guard.ipc.clients import ClientAdd, ClientRevoke, Info
from wallet_guard.ipc.health import Health
from wallet_guard.ipc.intents import Accept, Show
from wallet_guard.ipc.records import to_json
from wallet_guard.ipc.signatures import IssueHubSession, IssueSession, SignRequest, SignText
from wallet_guard.ipc.wishes import SetWeights
from wallet_guard.net import Response
from wallet_guard.realtime import Speaker, ends
from wallet_guard.realtime.attachment import MAX_POSTS
from wallet_guard.signed.certificate import Certificate, Purpose, encode_certificate, parse_certificate
from wallet_guard.signed.frames import encode_frame, encode_message, parse_frame
from wallet_guard.signed.schemes import Ed25519Key
from wallet_guard.signer.sessions import HUB_PER_HOUR

_spec = importlib.util.spec_from_file_location("hub_kit", Path(__file__).parents[1] / "hub" / "conftest.py")
assert _spec is not None
assert _spec.loader is not None
kit = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(kit)

VALIDATOR, MINER, OTHER = (pair.ss58_address for pair in (kit.VALIDATOR, kit.MINER, kit.OTHER))
NOTE = encode_message("note", "", {"evil": 1})
HUB_KEY = Ed25519Key(b"\x01" * 32)
"""The captured hub's session key: its seed is the kit's."""


class Attack(NamedTuple):
    """What must come of it, and what is done."""

    outcome: str
    act: Callable[[Any], Any]


def _table(outcome: str, **acts: Callable[[Any], Any]) -> dict[str, Attack]:
    return {name.replace("_", " "): Attack(outcome, act) for name, act in acts.items()}


# At the signer --------------------------------------------------------------------------------------------------------


class Captive(taken.Captive):
    """The attacker, on the hub's socket."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, "hub")

    def prepare(self) -> None:
        """The hub may greet for validator/default; there is a canary."""
        super().prepare()
        path = self.folder / "g.toml"
        extra = "hub_hotkeys = ['validator/default']\ncanary = 'spare/default'\n"
        path.write_text(path.read_text().replace("[chain]", extra + "[chain]"))


def certify(captive: Captive, **changes: Any) -> Any:
    fields: dict[str, Any] = {"wallet": "validator", "hotkey": "default", "key": HUB_KEY.public_key, "netuid": 2}
    return captive.say(IssueHubSession(**{**fields, **changes}))


def certify_with(captive: Captive, **more: Any) -> Any:
    body = to_json(IssueHubSession("validator", "default", HUB_KEY.public_key, 2))
    return captive.tell("issue_hub_session", {**body, **more})


def spring_canary(captive: Captive) -> Any:
    """The question names the canary: locked, for everybody, until the operator unlocks."""
    try:
        return certify(captive, wallet="spare")
    finally:
        taken.ask(captive.path("admin"), Unlock())


def certify_locked(captive: Captive) -> Any:
    taken.ask(captive.path("admin"), Lock("a drill"))
    try:
        return certify(captive)
    finally:
        taken.ask(captive.path("admin"), Unlock())


def exhaust(captive: Captive) -> Any:
    """More certificates than an hour has; the clock may turn the hour meanwhile."""
    for _ in range(2 * HUB_PER_HOUR + 1):
        found = certify(captive)
        if not isinstance(found, dict):
            return found
    return found


AT_THE_SIGNER = (
    _table(
        CUT,
        setting_weights=lambda c: c.say(
            Accept("wg_x", None, False, SetWeights("validator", "default", 2, 0, (1,), None, (1.0,), 0))
        ),
        looking_at_an_intent=lambda c: c.say(Show("wg_x", "a1")),
        asking_whose_a_token_is=lambda c: c.say(Info("wg_x")),
        a_certificate_for_a_node=lambda c: c.say(
            IssueSession("", "validator", "default", HUB_KEY.public_key, None, None, 86_400)
        ),
        a_signed_request=lambda c: c.say(SignRequest("", "validator", "default", "GET", "/", b"", VALIDATOR, None)),
        a_signed_text=lambda c: c.say(SignText("", "validator", "default", "hello")),
        pulling_work=lambda c: c.say(Pull()),
        adding_a_client=lambda c: c.say(ClientAdd("x", "validator", "default", ("set_weights",), None, 1, None)),
        revoking_a_client=lambda c: c.say(ClientRevoke("x")),
        reading_the_status=lambda c: c.say(StatusAsk()),
        allowing_plain_weights=lambda c: c.say(AllowPlain(2)),
        locking=lambda c: c.say(Lock("x")),
        unlocking=lambda c: c.say(Unlock()),
        a_checkpoint_of_the_audit=lambda c: c.say(AuditCheckpoint()),
        a_purpose_of_its_own=lambda c: certify_with(c, purpose="node"),
        a_longer_life=lambda c: certify_with(c, lifetime_seconds=86_400),
        a_receiver_of_its_own=lambda c: certify_with(c, receiver=MINER),
        a_token_beside_it=lambda c: certify_with(c, token="wg_x"),
        a_question_without_a_name=lambda c: c.tell("", {}),
        sign=lambda c: c.tell("sign", {"data": "AAAA"}),
        a_packet_over_its_ceiling=lambda c: c.raw((1 << 31).to_bytes(4, "big")),
        bytes_that_are_no_JSON=lambda c: c.raw(framed(b"\xff\xfe")),
        one_field_twice=lambda c: c.raw(framed(b'{"id":1,"id":1,"ask":"health","body":{}}')),
        HTTP_instead=lambda c: c.raw(b"GET /wallet HTTP/1.1\r\n\r\n" + bytes(1 << 20)),
    )
    | _table(
        "wallet_not_allowed",
        a_hotkey_that_the_operator_did_not_name=lambda c: certify(c, wallet="other"),
        a_path_instead_of_a_name=lambda c: certify(c, wallet="../validator", hotkey="default"),
        the_coldkey=lambda c: certify(c, hotkey="../coldkey"),
        no_name_at_all=lambda c: certify(c, wallet="", hotkey=""),
    )
    | _table(
        "invalid_request",
        a_key_of_31_bytes=lambda c: certify(c, key=bytes(31)),
        a_subnet_that_cannot_be=lambda c: certify(c, netuid=-1),
        a_subnet_beyond_all=lambda c: certify(c, netuid=2**40),
    )
    | _table("locked", the_canary=spring_canary, a_certificate_under_lockdown=certify_locked)
    | _table(DONE, what_a_hub_may_have=certify)
    | _table("rate_limited", more_than_an_hour_has=exhaust)
)


@pytest.fixture(scope="module")
def captive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Captive]:
    captive = Captive(tmp_path_factory.mktemp("c"))
    captive.prepare()
    captive.start()
    yield captive
    captive.stop()
    assert "Traceback" not in captive.log()


@pytest.mark.parametrize("name", AT_THE_SIGNER)
def test_attack_on_the_signer(captive: Captive, name: str) -> None:
    expected, act = AT_THE_SIGNER[name]
    outcome = act(captive)
    assert (DONE if isinstance(outcome, dict) else outcome) == expected
    # However it went, the next question is answered.
    assert isinstance(captive.say(Health()), dict)


def test_the_audit_chain_holds_greetings_and_nothing_else(captive: Captive) -> None:
    captive.verify_audit()
    granted = [body for kind, _, body in captive.audit() if kind.endswith(("_issued", "_signed", "accepted"))]
    assert granted
    for body in granted:
        assert (body["key"], body["purpose"]) == ("validator/default", "hub")
        assert parse_until(body) <= 3_600_000


def parse_until(body: dict[str, Any]) -> int:
    """How long a certificate holds from now, in milliseconds, at most."""
    return int(body["until_ms"]) - time.time_ns() // 1_000_000


# Between miner and application ----------------------------------------------------------------------------------------


class Captured(Relay):
    """A hub that keeps what goes through it."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.from_miner: list[str] = []
        self.from_app: list[str] = []

    def from_peer(self, link, frame):
        self.from_miner.append(encode_frame(frame.signature, frame.signed).decode())
        super().from_peer(link, frame)

    def from_application(self, text):
        self.from_app.append(text)
        return super().from_application(text)


class Scene:
    """A captured hub, and what is said by it. ``told`` is the honest traffic before the attack."""

    def __init__(self, hub: Captured, application: Any, miner: Any) -> None:
        self.hub, self.application, self.miner = hub, application, miner
        self.own = hub.party.speaker

    async def begin(self) -> None:
        """A message each way, and a broadcast: so there is something to replay."""
        await kit.until(self.application.get_connected_hotkeys)
        self.miner.send(VALIDATOR, "note", {"n": 0})
        await self.application.send(MINER, "note", {"n": 0})
        await self.application.broadcast_game_update({"n": 0})
        await kit.until(lambda: self.application.seen and len(self.miner.seen) == 2)
        (self.unicast,) = (text for text in self.hub.from_app if '"type":"note"' in text)
        (self.broadcast,) = (text for text in self.hub.from_app if '"to":"*"' in text)
        self.frame = self.hub.from_miner[-1]

    # What the hub can say

    def to_miner(self, text: str) -> None:
        self.hub.party.peers[MINER].link.websocket.send_text(text)

    def to_application(self, text: str) -> None:
        assert self.hub.tell(text)

    def signed(self, *lines: str, to: str = MINER, now_ns: int = 0, name: str = "", sender: str = VALIDATOR) -> str:
        """A frame with the hub's own signature, whatever it claims to be."""
        speaker = Speaker(sender, name or self.own.name, self.own.sign)
        now_ns = now_ns or time.time_ns()
        # A number that could be taken, so that nothing but the attack is amiss.
        genuine = speaker.name == self.own.name and sender == VALIDATOR
        seq = self.own._next(to, now_ns) if genuine else time.time_ns() // 1000 + 10**6
        return speaker.sign_frame(to, seq, lines, now_ns).decode()

    def certificate(self, signer: Any = None, hotkey: str = VALIDATOR, **changed: Any) -> str:
        """A certificate for the hub's key, signed by whoever the hub is: its own key."""
        now_ms = time.time_ns() // 1_000_000
        fields: dict[str, Any] = {
            "purpose": Purpose.NODE, "netuid": 2, "receiver": None, "from_ms": now_ms, "until_ms": now_ms + 1000,
            "serial": "0" * 32,
        } | changed  # fmt: skip
        body = Certificate(hotkey, "sr25519", HUB_KEY.public_key, **fields).body()
        return encode_certificate(body, (signer or HUB_KEY).sign(body))

    def own_certificate(self, **changed: Any) -> str:
        """The hub's own certificate under the signature that it has, with something else in it."""
        found = parse_certificate(self.own.certificate)
        body = dataclasses.replace(found.certificate, **changed).body()
        return encode_certificate(body, found.signature)


def altered(text: str, old: str, new: str) -> str:
    assert text.count(old) >= 1, text
    return text.replace(old, new, 1)


def renumbered(text: str) -> str:
    """The next number, so that it is no replay."""
    seq = parse_frame(text).seq
    return altered(text, f'"seq":{seq}', f'"seq":{seq + 1}')


def changed(text: str) -> str:
    """Another number in it."""
    return altered(renumbered(text), '"n":0', '"n":1')


def says(*lines: str, **options: Any) -> Callable[[Scene], None]:
    """The hub says this to the miner in its own name."""
    return lambda s: s.to_miner(s.signed(*lines, **options))


def shows(make: Callable[[Scene], str]) -> Callable[[Scene], None]:
    return lambda s: s.to_miner("certificate " + make(s))


def line(type_: str, data: dict[str, Any], id_: str = "", ack: bool = False) -> str:
    return encode_message(type_, id_, data, ack=ack)


async def acknowledge(s: Scene) -> None:
    """The miner's reliable message, acknowledged by the hub: it must stay kept."""
    s.hub.from_peer = lambda link, frame: None
    s.miner.send(VALIDATOR, "note", {"n": 1}, reliable=True)
    outbox = s.miner.party.peers[VALIDATOR].outbox
    (item,) = outbox._unacknowledged
    s.to_miner(s.signed(line("ack", {"ids": [item]})))
    await kit.until(lambda: s.miner.party.metrics.verdicts["message"])
    assert outbox.unacknowledged == 1


async def flood(s: Scene) -> None:
    before = s.miner.party.verifier.count
    for number in range(10_000):
        s.to_miner(f"{number:0128x}" + s.signed(line("heartbeat_ack", {}))[128:])
    await kit.until(lambda: s.miner.party.metrics.verdicts["signature"])
    assert s.miner.party.verifier.count - before == 1


async def flood_replays(s: Scene) -> None:
    for _ in range(1000):
        s.to_miner(s.unicast)
    await kit.until(lambda: s.miner.party.metrics.ends["replayed"])
    assert s.miner.party.metrics.verdicts["replayed"] <= 66


async def flood_certificates(s: Scene) -> None:
    for _ in range(100):
        s.to_miner("certificate " + s.own.certificate)
    await kit.until(lambda: s.miner.party.metrics.ends["certificate"])


async def answer_a_post_with_an_old_one(s: Scene) -> None:
    await post_through(s, lambda frame, ids: s.unicast, "replayed")


async def post_through(s: Scene, answer: Callable[[Any, list[str]], str], code: str) -> None:
    """The miner posts a prediction; the hub answers what it likes."""

    async def forge(peer, frame, messages):
        text = answer(frame, [message.id for message in messages])
        return Response(200, text.encode(), "text/plain", (("Btws-Certificate", s.own.certificate),))

    s.hub._office.answer = forge
    s.miner._drop(VALIDATOR)
    await kit.until(lambda: not s.miner.get_connected_validators())
    sent = await s.miner.send_prediction(VALIDATOR, {"n": 1}, timeout_seconds=1.0)
    assert not sent.delivered
    assert sent.queued
    s.miner._keep(VALIDATOR)
    s.miner.party.metrics.verdicts[code] += sent.problem in (ends.FORMAT, ends.REPLAYED)


HUB_WORDS = (
    _table(
        "message",
        a_confirmation_in_the_validators_name=says(line("confirmation", {"status": "success"})),
        a_game_update_in_its_name=says(line("game_update", {"games": []})),
        a_broadcast_in_its_name=says(line("game_update", {"games": []}), to="*"),
        a_message_of_another_type=says(NOTE),
        a_prediction=says(line("prediction", {})),
        a_revocation_of_the_applications_key=says(line("revoke", {"before": 2**52})),
        a_note_behind_a_heartbeat=says(line("heartbeat", {}), NOTE),
        an_acknowledgement_of_the_miners_message=acknowledge,
        a_second_welcome=says(line("welcome", {"challenge": "0" * 64, "nonce": ""})),
        a_hello=says(line("hello", {"challenge": "0" * 64})),
        an_error_that_is_no_JSON=says('{"type":"error","id":"","data":{"code":NaN}}'),
        an_error_with_a_name_twice=says('{"type":"error","id":"","data":{"code":1,"code":2}}'),
    )
    | _table("stale", a_heartbeat_of_a_minute_ago=says(line("heartbeat", {}), now_ns=time.time_ns() - 10**14))
    | _table("early", a_heartbeat_of_tomorrow=lambda s: s.to_miner(
        s.signed(line("heartbeat", {}), now_ns=time.time_ns() + 86_400 * 10**9)))
    | _table(
        "speaker",
        in_the_name_of_the_hotkey_itself=says(NOTE, name="sr25519"),
        in_the_name_of_an_Ed25519_hotkey=says(NOTE, name="ed25519"),
        by_a_key_that_nobody_certified=says(NOTE, name="ab" * 32),
    )
    | _table(
        "signature",
        in_the_name_of_the_applications_key=lambda s: s.to_miner(s.signed(NOTE, name=s.application.party.speaker.name)),
        a_signature_of_zeros=lambda s: s.to_miner("0" * 128 + s.signed(NOTE)[128:]),
        ten_thousand_forged_signatures=flood,
    )
    | _table("sender", a_frame_by_another_hotkey=says(NOTE, sender=OTHER))
    | _table("receiver", a_frame_for_another_miner=says(line("heartbeat", {}), to=OTHER))
    | _table(
        "shape",
        text_that_is_no_frame=lambda s: s.to_miner("hello"),
        a_frame_without_its_end=lambda s: s.to_miner(s.signed(NOTE)[:-1]),
        a_frame_wrapped_once_more=lambda s: s.to_miner(altered(s.signed(NOTE), "<Bytes>", "<Bytes><Bytes>")),
    )
    | _table("size", sixty_five_messages=says(*[line("heartbeat", {})] * 65))
)  # fmt: skip

REPLAYS = (
    _table(
        "replayed",
        the_applications_message_again=lambda s: s.to_miner(s.unicast),
        its_broadcast_again=lambda s: s.to_miner(s.broadcast),
        an_old_answer_to_a_post=answer_a_post_with_an_old_one,
        a_thousand_replays=flood_replays,
    )
    | _table(
        "receiver",
        the_applications_message_to_another_miner=lambda s: s.to_miner(
            s.application.party.speaker.frame(OTHER, [NOTE], time.time_ns()).decode()
        ),
        what_the_application_said_to_the_hub=lambda s: s.to_miner(
            s.application.party.speaker.frame(VALIDATOR, [line("heartbeat", {})], time.time_ns()).decode()
        ),
    )
    | _table("receiver", the_miners_own_words_to_the_miner=lambda s: s.to_miner(s.frame))
    | _table(
        "signature",
        the_applications_message_with_another_number=lambda s: s.to_miner(changed(s.unicast)),
        the_applications_message_with_another_seq=lambda s: s.to_miner(
            renumbered(s.unicast)
        ),
        a_broadcast_made_new=lambda s: s.to_miner(
            renumbered(s.broadcast)
        ),
        a_message_to_another_turned_to_this_one=lambda s: s.to_miner(
            altered(s.application.party.speaker.frame(OTHER, [NOTE], time.time_ns()).decode(), OTHER, MINER)
        ),
        a_unicast_turned_into_a_broadcast=lambda s: s.to_miner(altered(s.unicast, f'"to":"{MINER}"', '"to":"*"')),
        two_messages_made_of_one=lambda s: s.to_miner(
            altered(renumbered(s.unicast), "}</Bytes>", "}\n" + NOTE + "</Bytes>")
        ),
    )
    | _table("message", an_acknowledgement_by_HTTP=lambda s: post_through(
        s, lambda frame, ids: s.signed(line("ack", {"ids": ids, "seq": frame.seq})), "message"))
)  # fmt: skip

CERTIFICATES = (
    _table(
        "certificate bad_signature",
        its_own_certificate_with_purpose_node=shows(lambda s: s.own_certificate(purpose=Purpose.NODE)),
        its_own_certificate_for_another_key=shows(lambda s: s.own_certificate(key=Ed25519Key(bytes(32)).public_key)),
        its_own_certificate_for_a_minute_more=shows(
            lambda s: s.own_certificate(until_ms=parse_certificate(s.own.certificate).certificate.until_ms + 60_000)
        ),
        a_certificate_by_its_own_key=shows(lambda s: s.certificate()),
        a_certificate_by_another_hotkey=shows(lambda s: s.certificate(signer=kit.OTHER)),
    )
    | _table("certificate wrong_speaker", a_certificate_of_another_hotkey=shows(
        lambda s: s.certificate(signer=kit.OTHER, hotkey=OTHER)))
    | _table("certificate expired", a_certificate_that_ended=shows(
        lambda s: s.certificate(kit.VALIDATOR, from_ms=10**12, until_ms=10**12 + 1000)))
    | _table("certificate wrong_netuid", a_certificate_for_another_subnet=shows(
        lambda s: s.certificate(kit.VALIDATOR, netuid=3)))
    | _table("certificate wrong_receiver", a_certificate_for_another_receiver=shows(
        lambda s: s.certificate(kit.VALIDATOR, receiver=OTHER)))
    | _table("certificate malformed", a_certificate_that_is_none=shows(lambda s: "AAAA"))
    | _table("certificate", a_hundred_certificates=flood_certificates)
)  # fmt: skip

TO_MINERS = HUB_WORDS | REPLAYS | CERTIFICATES


# ---


async def stale_for_the_next_one(s: Scene) -> None:
    """What was said to an application that is gone, to the one that came after it."""
    frame = s.frame
    async with kit.application(s.hub.port, kit.session(kit.VALIDATOR, 3)) as after:
        await kit.until(after.get_connected_hotkeys)
        s.to_application(frame)
        await kit.until(lambda: after.party.metrics.verdicts["stale"])
        assert after.seen == []
    s.application.party.metrics.verdicts["stale"] += 1


async def flood_a_held_peer(s: Scene) -> None:
    """The application asks to hold a peer; the hub sends on."""
    stuck = asyncio.Event()

    async def hang(hotkey, data):
        await stuck.wait()

    s.application.register_handler("slow", hang)
    speaker = s.miner.party.speaker
    for number in range(2000):
        text = speaker.frame(VALIDATOR, [line("slow", {"n": number})], time.time_ns()).decode()
        s.to_application(text)
        if number % 50 == 0:
            await asyncio.sleep(0)
    await kit.until(lambda: s.application.party.metrics.verdicts["flooded"])
    assert s.application.party.peers[MINER].mailbox.waiting <= 4 * s.application.party.limits.max_waiting + 64
    stuck.set()


async def flood_of_posts(s: Scene) -> None:
    """More frames by HTTP than wait at once: the application answers the rest with a refusal."""
    stuck = asyncio.Event()
    refused = []

    async def hang(hotkey, data):
        await stuck.wait()

    s.application.register_handler("slow", hang)
    s.hub._office.refused = lambda number, code: refused.append(code)
    s.hub._office.answered = lambda number, frame: None
    speaker = s.miner.party.speaker
    for number in range(MAX_POSTS + 50):
        text = speaker.frame(VALIDATOR, [line("slow", {"n": number})], time.time_ns()).decode()
        s.to_application(f"post {number} -\n{text}")
    await kit.until(lambda: len(refused) >= 50)
    assert {*refused} == {"connections"}
    stuck.set()
    s.application.party.metrics.verdicts["connections"] += 1


async def acknowledge_the_application(s: Scene) -> None:
    await s.application.send(MINER, "note", {"n": 7}, reliable=True)
    s.to_application(s.signed(line("ack", {"ids": ["x.1"]}), to=VALIDATOR))


async def deny_and_claim(s: Scene) -> None:
    """A peer that the application itself denies, said to be connected."""
    s.application.admission.deny.add(OTHER)
    s.hub.tell(f"connected {OTHER}")
    s.to_application(s.signed(NOTE, to=VALIDATOR, sender=OTHER, name="sr25519"))


def claims(verb_and_rest: str) -> Callable[[Scene], None]:
    return lambda s: s.to_application(verb_and_rest)


def reflect_after_showing(s: Scene) -> None:
    """The application's own certificate shown to it, and its own words after that."""
    s.to_application("certificate " + s.application.party.speaker.certificate)
    speaker = s.application.party.speaker
    s.to_application(speaker.frame(VALIDATOR, [NOTE], time.time_ns()).decode())


def as_the_miner(*lines: str, **options: Any) -> Callable[[Scene], None]:
    """In the miner's name, by the hub's own key."""
    return lambda s: s.to_application(s.signed(*lines, to=VALIDATOR, sender=MINER, **options))


TO_THE_APPLICATION = (
    _table(
        "signature",
        a_prediction_in_a_miners_name=as_the_miner(line("prediction", {"n": 1}), name="sr25519"),
        a_note_in_a_miners_name=as_the_miner(NOTE, name="sr25519"),
        a_heartbeat_in_a_miners_name=as_the_miner(line("heartbeat", {}), name="sr25519"),
        a_miners_revocation=as_the_miner(line("revoke", {"before": 2**52}), name="sr25519"),
        an_acknowledgement_in_a_miners_name=as_the_miner(line("ack", {"ids": ["x.1"]}), name="sr25519"),
        a_miners_frame_with_another_number=lambda s: s.to_application(
            changed(s.frame)
        ),
        a_forged_frame_by_HTTP=lambda s: s.to_application(
            "post 1 -\n" + s.signed(NOTE, to=VALIDATOR, sender=MINER, name="sr25519")
        ),
    )
    | _table(
        "speaker",
        a_miner_that_speaks_with_the_hubs_key=as_the_miner(NOTE),
        a_miner_of_another_scheme=as_the_miner(NOTE, name="ab" * 32),
        the_applications_own_words=lambda s: s.to_application(
            s.application.party.speaker.frame(VALIDATOR, [NOTE], time.time_ns()).decode()
        ),
    )
    | _table(
        "replayed",
        a_miners_frame_again=lambda s: s.to_application(s.frame),
        a_miners_frame_again_by_HTTP=lambda s: s.to_application("post 1 -\n" + s.frame),
    )
    | _table("stale", a_miners_frame_for_the_next_application=stale_for_the_next_one)
    | _table(
        "receiver",
        a_miners_frame_for_another_validator=lambda s: s.to_application(
            s.miner.party.speaker.frame(OTHER, [NOTE], time.time_ns()).decode()
        ),
        a_miners_broadcast=lambda s: s.to_application(
            s.miner.party.speaker.frame("*", [NOTE], time.time_ns()).decode()
        ),
        a_frame_for_another_validator_by_HTTP=lambda s: s.to_application(
            "post 1 -\n" + s.miner.party.speaker.frame(OTHER, [NOTE], time.time_ns()).decode()
        ),
    )
    | _table(
        "sender",
        a_frame_of_somebody_who_is_not_there=lambda s: s.to_application(
            Speaker.of_hotkey(kit.OTHER).frame(VALIDATOR, [NOTE], time.time_ns()).decode()
        ),
        a_certificate_of_somebody_who_is_not_there=lambda s: s.to_application(
            "certificate " + s.certificate(kit.OTHER, OTHER)
        ),
        a_peer_whom_the_application_denies=deny_and_claim,
    )
    | _table(
        "message",
        a_prediction_of_the_hubs_own=lambda s: s.to_application(s.signed(line("prediction", {}), to=VALIDATOR)),
        an_acknowledgement_of_the_applications_message=acknowledge_the_application,
        its_own_words_after_its_own_certificate=reflect_after_showing,
        the_application_as_its_own_peer=claims(f"connected {VALIDATOR}"),
    )
    | _table(
        "certificate bad_signature",
        a_certificate_for_a_miner_by_the_hub=lambda s: s.to_application(
            "certificate " + s.certificate(HUB_KEY, MINER)
        ),
    )
    | _table(
        "shape",
        an_unknown_verb=claims("sudo everything"),
        a_peer_that_is_no_address=claims("connected ../../etc/passwd"),
        an_address_with_a_wrong_checksum=claims("connected " + MINER[:-1] + ("1" if MINER[-1] != "1" else "2")),
        a_disconnection_without_a_code=claims(f"disconnected {MINER} soon"),
        a_post_without_a_number=claims("post one -\nx"),
        a_post_without_a_frame=claims("post 1 -\nx"),
    )
    | _table("flooded", messages_of_a_peer_that_is_held=flood_a_held_peer)
    | _table("connections", more_posts_than_wait_at_once=flood_of_posts)
)  # fmt: skip


def play(name: str, attacks: dict[str, Attack], victim_of: Callable[[Scene], Any]) -> None:
    expected, act = attacks[name]

    async def scene() -> None:
        async with contextlib.AsyncExitStack() as stack:
            hub = Captured(kit.hub_speaker(), netuid=2, registered=lambda: {MINER, OTHER})
            hub.port = await (await hub.prepare()).listen_tcp("127.0.0.1", 0)
            stack.push_async_callback(hub.stop, 0.2)
            application = await stack.enter_async_context(kit.application(hub.port))
            miner = await stack.enter_async_context(kit.miner(hub.port))
            s = Scene(hub, application, miner)
            await s.begin()
            victim = victim_of(s)
            counted = victim.party.metrics
            before = counted.verdicts[expected] + counted.ends[expected]
            done = act(s)
            if asyncio.iscoroutine(done):
                await done
            await kit.until(lambda: counted.verdicts[expected] + counted.ends[expected] > before)
            assert not [seen for seen in victim.seen if "evil" in str(seen) or seen[-1] != {"n": 0}]
            assert len(victim.seen) == (1 if victim is application else 2)
            await still_works(s)

    kit.run(scene())


async def still_works(s: Scene) -> None:
    """Once the hub behaves again, miner and application understand each other."""
    s.hub.__class__ = Relay
    s.hub.__dict__.pop("from_peer", None)
    s.application.admission.deny.clear()
    s.hub.resume(s.own)
    s.miner.send(VALIDATOR, "note", {"n": 99}, reliable=True)
    await kit.until(lambda: any(data == {"n": 99} for _, _, data in s.application.seen))


@pytest.mark.parametrize("name", TO_MINERS)
def test_attack_on_a_miner(name: str) -> None:
    play(name, TO_MINERS, lambda s: s.miner)


@pytest.mark.parametrize("name", TO_THE_APPLICATION)
def test_attack_on_the_application(name: str) -> None:
    play(name, TO_THE_APPLICATION, lambda s: s.application)


ATTACKS = AT_THE_SIGNER | TO_MINERS | TO_THE_APPLICATION


def test_there_are_enough_of_them_and_no_name_twice() -> None:
    assert len(ATTACKS) == len(AT_THE_SIGNER) + len(TO_MINERS) + len(TO_THE_APPLICATION) >= 100


def test_the_threat_model_lists_each() -> None:
    listed = (ROOT / "hardening/threat-model.md").read_text()
    _, _, drill = listed.partition("## The drill: a captured hub")
    missing = [name for name, attack in ATTACKS.items() if f"| {name} | {attack.outcome} |" not in drill]
    assert missing == []
