"""A peer without manners: forgeries, replays and floods against a running validator, all refused and counted.

Every invalid vector of btws/1 is sent over a real connection by a peer that has passed the opening; then openings, HTTP
posts and floods. The validator's clock stands at the vectors' moment.
"""

import asyncio
import contextlib
import json
from pathlib import Path

import bittensor_core
import pytest

from wallet_guard.net import HttpClient, Inbox, RefusedError, WebSocketLimits, open_websocket, parse_url
from wallet_guard.realtime import RealtimeLimits, Speaker, ValidatorWebSocketManager, ends
from wallet_guard.signed.certificate import Certificate, Purpose, encode_certificate
from wallet_guard.signed.frames import encode_message, parse_frame, read_messages
from wallet_guard.signed.schemes import Ed25519Key, address_of

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "btws" / "vectors.json").read_text())
NOW_NS = VECTORS["now_ms"] * 1_000_000
VALIDATOR = bittensor_core.Keypair.create_from_uri("//Bob")
ALICE = bittensor_core.Keypair.create_from_uri("//Alice")
KEY = Ed25519Key(b"\x01" * 32)
HOTKEY = address_of(KEY.public_key)
SESSION = Ed25519Key(b"\x02" * 32)
LINE = encode_message("note", "", {})
OPENED = []


def run(scene):
    async def played():
        try:
            await asyncio.wait_for(scene, 180)
        finally:
            for websocket in OPENED:
                websocket.abort()
            OPENED.clear()
            for transport in list(asyncio.get_running_loop()._transports.values()):
                transport.abort()  # or the garbage collector finds it in a later test
            await asyncio.sleep(0)

    asyncio.run(played())


@contextlib.asynccontextmanager
async def validator(**options):
    moments = iter((VECTORS["start_ms"] * 1_000_000,))
    clock = lambda: next(moments, NOW_NS)  # noqa: E731 - it began an hour ago, and now it is now
    limits = options.pop("limits", RealtimeLimits(attempts_per_minute=1000, burst=1e6))
    manager = ValidatorWebSocketManager(VALIDATOR, netuid=2, clock_ns=clock, limits=limits, **options)
    manager.seen = []
    for type_ in ("note", "prediction", "confirmation", "x"):
        manager.register_handler(type_, lambda hotkey, data: manager.seen.append(data))
    manager.port = await manager.start("127.0.0.1", 0)
    try:
        yield manager
    finally:
        await manager.stop(0.5)


def speaker_of(hotkey):
    return Speaker.of_hotkey(ALICE) if hotkey == ALICE.ss58_address else Speaker(HOTKEY, "ed25519", KEY.sign)


async def connect(port, speaker, hello=True, headers=None):
    inbox = Inbox(10_000)
    headers = (
        speaker.sign_opening("/ws", VALIDATOR.ss58_address, NOW_NS + connect.count)[0] if headers is None else headers
    )
    connect.count += 1
    websocket = await open_websocket(
        parse_url(f"ws://127.0.0.1:{port}/ws"), inbox, subprotocols=("btws.1",), headers=headers,
        limits=WebSocketLimits(handshake_seconds=60),
    )  # fmt: skip
    OPENED.append(websocket)
    (welcome,) = read_messages(parse_frame(await inbox.receive()))
    if hello:
        line = encode_message("hello", "", {"challenge": welcome.data["challenge"]})
        # numbers far below the vectors' would be too old, so this speaker's own conversation has another receiver's
        websocket.send_text(speaker.sign_frame(VALIDATOR.ss58_address, 1, [line], NOW_NS).decode())
    return websocket, inbox


connect.count = 0


async def until(condition):
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.002)


FORGERIES = [
    case for case in VECTORS["invalid"]
    if case["scheme"] and "start_ms" not in case and "max_frame_bytes" not in case and not case["certificates"]
    and all(arrived["expect"] != "taken" for arrived in case["frames"])
    and case["name"] not in ("before the first", "a broadcast where none is heard, twice")
]  # fmt: skip


@pytest.mark.parametrize("case", FORGERIES, ids=[case["name"] for case in FORGERIES])
def test_forged_frame_is_refused_and_counted(case):
    async def scene():
        async with validator() as manager:
            websocket, _ = await connect(manager.port, speaker_of(case["hotkey"]))
            await until(manager.get_connected_hotkeys)
            (arrived,) = case["frames"]
            websocket.send_text(arrived["frame"])
            code = arrived["expect"]
            await until(lambda: manager.party.metrics.verdicts[code] == 1)
            if code not in ends.PATIENT:
                await until(lambda: websocket.close_code)
                assert websocket.close_code == ends.OF_FRAME[code].close
                assert websocket.close_reason.startswith(ends.OF_FRAME[code].code)
            assert manager.seen == []

    run(scene())


@pytest.mark.parametrize("case", FORGERIES[::4], ids=[case["name"] for case in FORGERIES[::4]])
def test_forged_frame_by_http_is_refused_and_counted(case):
    async def scene():
        async with validator(allow=[case["hotkey"]]) as manager:
            client = await HttpClient.connect(parse_url(f"http://127.0.0.1:{manager.port}/"))
            body = case["frames"][0]["frame"].encode()
            response = await client.request("POST", "/ws/frame", body=body, timeout_seconds=60)
            client.close()
            assert 400 <= response.status < 500
            assert json.loads(response.body)["error"]["advice"]
            assert manager.party.metrics.verdicts["taken"] == 0
            assert manager.seen == []

    run(scene())


def headers_of(**changed):
    fields = dict(Speaker(HOTKEY, "ed25519", KEY.sign).sign_opening("/ws", VALIDATOR.ss58_address, NOW_NS)[0])
    for name, value in changed.items():
        key = next((field for field in fields if field.lower().endswith(name)), f"X-Bittensor-{name}")
        if value is None:
            fields.pop(key, None)
        else:
            fields[key] = value
    return tuple(fields.items())


def certified(signer=KEY, speaker=HOTKEY, **changed):
    fields = {
        "purpose": Purpose.NODE, "netuid": 2, "receiver": None, "from_ms": VECTORS["now_ms"] - 1000,
        "until_ms": VECTORS["now_ms"] + 1000, "serial": "0" * 32,
    } | changed  # fmt: skip
    body = Certificate(speaker, "ed25519", SESSION.public_key, **fields).body()
    return encode_certificate(body, signer.sign(body))


def by_certificate(text, receiver=VALIDATOR.ss58_address, nonce="0" * 32):
    return (("Btws-Certificate", text), ("Btws-Receiver", receiver), ("Btws-Nonce", nonce))


OTHER = ALICE.ss58_address
OPENINGS = {
    "no headers": ((), 400),
    "no hotkey": (headers_of(hotkey=None), 400),
    "no nonce": (headers_of(nonce=None), 400),
    "no signature": (headers_of(signature=None), 400),
    "an empty signature": (headers_of(signature=""), 400),
    "a short signature": (headers_of(signature="0x00"), 400),
    "a nonce that is none": (headers_of(nonce="1e18"), 400),
    "another version": (headers_of(version="2"), 400),
    "an unknown scheme": (headers_of(crypto="mldsa"), 400),
    "no receiver": (headers_of(receiver=None), 403),
    "another receiver": (headers_of(receiver=OTHER), 403),
    "another hotkey": (headers_of(hotkey=OTHER), 401),
    "another nonce": (headers_of(nonce=str(NOW_NS + 1)), 401),
    "another scheme": (headers_of(crypto="sr25519"), 401),
    "a signature of zeros": (headers_of(signature="0x" + "00" * 64), 401),
    "the nonce of long ago": (headers_of(nonce=str(NOW_NS - 11 * 10**9)), 401),
    "a nonce ahead": (headers_of(nonce=str(NOW_NS + 3 * 10**9)), 401),
    "a certificate that is none": (by_certificate("AAAA"), 401),
    "a certificate that ended": (by_certificate(certified(until_ms=VECTORS["now_ms"])), 401),
    "a certificate for another subnet": (by_certificate(certified(netuid=3)), 401),
    "a certificate for another receiver": (by_certificate(certified(receiver=OTHER)), 401),
    "a certificate by its own key": (by_certificate(certified(signer=SESSION)), 401),
    "a certificate, receiver unsaid": (by_certificate(certified(), receiver=""), 403),
    "a certificate, short nonce": (by_certificate(certified(), nonce="00"), 400),
    "a certificate, nonce with commas": (by_certificate(certified(), nonce="0" * 31 + ","), 400),
}


@pytest.mark.parametrize("name", OPENINGS)
def test_forged_opening_is_refused_and_counted(name):
    async def scene():
        headers, status = OPENINGS[name]
        async with validator() as manager:
            with pytest.raises(RefusedError) as caught:
                await connect(manager.port, None, headers=headers)
            assert caught.value.response.status == status
            assert json.loads(caught.value.response.body)["error"]["advice"]
            assert manager.party.metrics.ends.total() == 1
            assert manager.check_health()["connections"] == 0

    run(scene())


@pytest.mark.parametrize(
    ("name", "say", "close"),
    [
        ("a prediction before hello", lambda s: [s.sign_frame(VALIDATOR.ss58_address, 1, [LINE], NOW_NS)], 4000),
        ("a wrong challenge", lambda s: [hello(s, "0" * 64)], 4006),
        ("an empty challenge", lambda s: [hello(s, "")], 4006),
        ("a challenge of another type", lambda s: [hello(s, 1)], 4000),
        ("hello by another hotkey", lambda s: [hello(Speaker.of_hotkey(ALICE), "0" * 64)], 4005),
        ("binary", lambda s: [b"\x00", bytes(8)], 4000),
        ("a certificate that is none", lambda s: [b"certificate x"], 4007),
        ("two certificates", lambda s: [b"certificate " + certified().encode()] * 2, 4007),
        ("a certificate of another hotkey", lambda s: [f"certificate {certified(ALICE, OTHER)}".encode()], 4007),
    ],
)  # fmt: skip
def test_forged_hello_opens_nothing(name, say, close):
    async def scene():
        async with validator() as manager:
            speaker = Speaker(HOTKEY, "ed25519", KEY.sign)
            websocket, _ = await connect(manager.port, speaker, hello=False)
            for data in say(speaker):
                websocket.send_binary(data) if name == "binary" else websocket.send_text(data.decode())
            await until(lambda: websocket.close_code)
            assert websocket.close_code == close
            assert not manager.get_connected_hotkeys()

    run(scene())


def hello(speaker, challenge):
    line = encode_message("hello", "", {"challenge": challenge})
    return speaker.sign_frame(VALIDATOR.ss58_address, 1, [line], NOW_NS)


# --- after the opening


@pytest.mark.parametrize(
    ("name", "lines", "close"),
    [
        ("hello again", [encode_message("hello", "", {"challenge": "0"})], 4000),
        ("a welcome of its own", [encode_message("welcome", "", {})], 4000),
        ("an ack without ids", [encode_message("ack", "", {})], 4000),
        ("an ack of 257 ids", [encode_message("ack", "", {"ids": ["s.1"] * 257})], 4000),
        ("an ack of numbers", [encode_message("ack", "", {"ids": [1]})], 4000),
        ("a revocation without time", [encode_message("revoke", "", {})], 4000),
        ("a revocation in the year 300000", [encode_message("revoke", "", {"before": 2**60})], 4000),
        ("an ack for what was never sent", [encode_message("ack", "", {"ids": ["s.1"]}), LINE], 0),
        ("an error as long as it likes", [encode_message("error", "", {"code": "x" * 9999, "message": [1]}), LINE], 0),
        ("an unknown type", [encode_message("drop_tables", "", {}), LINE], 0),
    ],
)
def test_odd_messages_end_the_connection_or_do_nothing(name, lines, close):
    async def scene():
        async with validator() as manager:
            speaker = Speaker(HOTKEY, "ed25519", KEY.sign)
            websocket, _ = await connect(manager.port, speaker)
            websocket.send_text(speaker.sign_frame(VALIDATOR.ss58_address, 2, lines, NOW_NS).decode())
            await until(lambda: manager.seen or websocket.close_code)
            assert websocket.close_code == close

    run(scene())


def test_a_flood_of_replays_ends_the_connection():
    async def scene():
        async with validator() as manager:
            speaker = Speaker(HOTKEY, "ed25519", KEY.sign)
            websocket, _ = await connect(manager.port, speaker)
            frame = speaker.sign_frame(VALIDATOR.ss58_address, 2, [LINE], NOW_NS).decode()
            for _ in range(5000):
                websocket.send_text(frame)
            await until(lambda: websocket.close_code)
            assert websocket.close_code == ends.REPLAYED.close
            assert len(manager.seen) == 1
            assert manager.party.metrics.verdicts["replayed"] <= 66

    run(scene())


def test_ten_thousand_forged_signatures_cost_one_verification():
    async def scene():
        async with validator() as manager:
            speaker = Speaker(HOTKEY, "ed25519", KEY.sign)
            websocket, _ = await connect(manager.port, speaker)
            await until(manager.get_connected_hotkeys)
            before = manager.party.verifier.count
            frame = speaker.sign_frame(VALIDATOR.ss58_address, 2, [LINE], NOW_NS).decode()
            for number in range(10_000):
                websocket.send_text(f"{number:0128x}" + frame[128:])
            await until(lambda: websocket.close_code)
            assert websocket.close_code == ends.SIGNATURE.close
            assert manager.party.verifier.count - before == 1

    run(scene())


def test_a_flood_of_certificates_ends_the_connection():
    async def scene():
        async with validator() as manager:
            websocket, _ = await connect(manager.port, Speaker(HOTKEY, "ed25519", KEY.sign))
            for _ in range(100):
                websocket.send_text("certificate " + certified())
            await until(lambda: websocket.close_code)
            assert websocket.close_code == ends.CERTIFICATE.close

    run(scene())


def test_failed_openings_of_one_address_are_refused_before_any_signature_is_looked_at():
    async def scene():
        async with validator(limits=RealtimeLimits(attempts_per_minute=5)) as manager:
            codes = []
            for _ in range(12):
                with pytest.raises(RefusedError) as caught:
                    await connect(manager.port, None, headers=OPENINGS["a signature of zeros"][0])
                codes.append(caught.value.response.status)
            assert codes == [401] * 5 + [429] * 7
            assert manager.party.metrics.ends["connections"] == 7

    run(scene())


def test_posts_of_one_address_are_refused_before_any_signature_is_looked_at():
    async def scene():
        async with validator(limits=RealtimeLimits(attempts_per_minute=5)) as manager:
            forged = next(case for case in FORGERIES if case["name"] == "by a stranger")["frames"][0]["frame"].encode()
            client = await HttpClient.connect(parse_url(f"http://127.0.0.1:{manager.port}/"))
            codes = [(await client.request("POST", "/ws/frame", body=forged)).status for _ in range(8)]
            client.close()
            assert codes == [401] * 5 + [429] * 3
            assert len(manager.party.peers) == 0

    run(scene())


def test_a_post_larger_than_a_frame_is_refused_unread():
    async def scene():
        async with validator() as manager:
            client = await HttpClient.connect(parse_url(f"http://127.0.0.1:{manager.port}/"))
            response = await client.request("POST", "/ws/frame", body=b"x" * 70_000)
            client.close()
            assert response.status == 413

    run(scene())


def test_others_are_served_while_one_forges_and_one_floods():
    async def scene():
        async with validator(limits=RealtimeLimits(attempts_per_minute=1000, rate_per_second=5, burst=50)) as manager:
            flooder = Speaker(HOTKEY, "ed25519", KEY.sign)
            websocket, _ = await connect(manager.port, flooder)
            await until(manager.get_connected_hotkeys)
            number = 2
            good = Speaker.of_hotkey(ALICE)
            connection, inbox = await connect(manager.port, good)
            await until(lambda: len(manager.get_connected_hotkeys()) == 2)
            meanwhile = []  # messages of the flood that were handled before a good one's answer
            for turn in range(40):
                for _ in range(50):
                    websocket.send_text(flooder.sign_frame(VALIDATOR.ss58_address, number, [LINE], NOW_NS).decode())
                    number += 1
                await asyncio.sleep(0.005)
                before = len(manager.seen)
                line = encode_message("heartbeat", f"h{turn}", {})
                connection.send_text(good.sign_frame(VALIDATOR.ss58_address, 2 + turn, [line], NOW_NS).decode())
                async with asyncio.timeout(60):
                    await inbox.receive()
                meanwhile.append(len(manager.seen) - before)
            assert len(manager.seen) < 1500
            assert max(meanwhile) < 300  # two reads of 64 KiB

    run(scene())
