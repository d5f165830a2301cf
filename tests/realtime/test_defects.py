"""What the original did wrong, one by one in the numbering of its list: none of it happens here."""

import asyncio
import json
import time

import bittensor
import pytest

from wallet_guard.net import HttpClient, RefusedError, Response, parse_url
from wallet_guard.net.websocket import Inbox
from wallet_guard.realtime import CONFIRMATION, NORMAL, PredictionHandler, RealtimeLimits, Speaker
from wallet_guard.realtime import ends as ends_module
from wallet_guard.signed.frames import encode_frame, encode_message, encode_unsigned, parse_frame, read_messages


class Judge:
    def __init__(self):
        self.taken = []

    async def process_prediction(self, miner_hotkey, data):
        self.taken.append((miner_hotkey, data))
        return {"miner_stats": {"rank": 1}}


def sdk_headers(kit, receiver):
    return tuple(
        bittensor.http_auth.sign(kit.MINER, method="GET", path="/ws", receiver_ss58=receiver.ss58_address).items()
    )


def test_1_a_registered_miner_gets_through_from_end_to_end(kit):
    async def scene():
        judge = Judge()
        async with kit.validator(registered=lambda: [kit.MINER.ss58_address]) as validator:
            PredictionHandler(judge).register_with_websocket_manager(validator)
            async with kit.miner(validator) as miner:
                sent = await miner.send_prediction(kit.VALIDATOR.ss58_address, {"home_score": 2, "away_score": 1})
                assert (sent.via, sent.delivered, sent.problem) == ("websocket", True, None)
                assert sent.confirmation == {
                    "prediction_id": sent.prediction_id, "status": "success", "message": "prediction taken",
                    "miner_stats": {"rank": 1},
                }  # fmt: skip
                assert judge.taken[0][0] == kit.MINER.ss58_address
                assert await validator.broadcast_game_update({"games": [1]}) == 1
                await kit.until(lambda: miner.seen == [("game_update", {"games": [1]})])

    kit.run(scene())


def test_1_the_headers_of_the_sdk_open_a_connection(kit):
    async def scene():
        async with kit.validator() as validator:
            peer = await kit.Peer(validator.port).open(sdk_headers(kit, kit.VALIDATOR))
            await kit.until(lambda: validator.get_connected_hotkeys() == [kit.MINER.ss58_address])
            peer.websocket.close()

    kit.run(scene())


def test_2_an_opening_opens_one_connection_to_one_validator_once(kit):
    async def scene():
        async with kit.validator() as validator, kit.validator(kit.OTHER) as other:
            captured = sdk_headers(kit, kit.VALIDATOR)
            first = await kit.Peer(validator.port).open(captured)
            for port, status, code in ((other.port, 403, "receiver"), (validator.port, 409, "replayed")):
                with pytest.raises(RefusedError) as caught:
                    await kit.Peer(port).open(captured)
                assert caught.value.response.status == status
                assert json.loads(caught.value.response.body)["error"]["code"] == code
            first.websocket.close()

    kit.run(scene())


def test_2_who_presents_a_captured_certificate_gets_no_further_than_the_welcome(kit):
    async def scene():
        async with kit.validator() as validator:
            speaker = kit.session()
            thief = Speaker(speaker.hotkey, speaker.name, kit.STRANGER.sign, speaker.certificate)
            peer = await kit.Peer(validator.port, thief).open()
            assert await peer.closed() == ends_module.SIGNATURE.close
            assert validator.get_connected_hotkeys() == []

    kit.run(scene())


def test_3_a_signed_prediction_cannot_be_relayed_to_another_validator(kit):
    async def scene():
        async with kit.validator() as validator, kit.validator(kit.OTHER) as other:
            peer = await kit.Peer(validator.port).open()
            frame = peer.frame(encode_message("prediction", "", {"prediction_id": "1"}))
            peer.websocket.send_text(frame)
            await kit.until(lambda: validator.seen)
            victim = await kit.Peer(other.port, receiver=kit.OTHER.ss58_address).open()
            victim.websocket.send_text(frame)
            assert await victim.closed() == ends_module.RECEIVER.close
            assert await post(other.port, frame) == (403, "receiver")
            assert other.seen == []

    kit.run(scene())


async def post(port, body, **fields):
    client = await HttpClient.connect(parse_url(f"http://127.0.0.1:{port}/"))
    response = await client.request("POST", "/ws/frame", body=body.encode(), headers=tuple(fields.items()))
    client.close()
    return response.status, json.loads(response.body)["error"][
        "code"
    ] if response.status != 200 else response.body.decode()


def test_4_every_message_has_its_time_checked(kit):
    async def scene():
        async with kit.validator() as validator:
            peer = await kit.Peer(validator.port).open()
            line = encode_message("note", "", {})
            for seconds, code in ((-31, "stale"), (6, "early")):
                validator.party.receiver._start_ms = 0
                late = peer.speaker.frame(peer.receiver, [line], time.time_ns() + seconds * 10**9).decode()
                peer.websocket.send_text(late)
                await kit.until(lambda code=code: validator.party.metrics.verdicts[code] == 1)
            assert validator.seen == []

    kit.run(scene())


def test_5_a_captured_frame_is_worth_nothing_after_a_reconnect_or_a_restart(kit):
    async def scene():
        async with kit.validator() as validator:
            peer = await kit.Peer(validator.port).open()
            frame = peer.frame(encode_message("note", "", {}))
            peer.websocket.send_text(frame)
            await kit.until(lambda: len(validator.seen) == 1)
            peer.websocket.close()
            await kit.until(lambda: not validator.get_connected_hotkeys())
            again = await kit.Peer(validator.port, peer.speaker).open()
            again.websocket.send_text(frame)
            await kit.until(lambda: validator.party.metrics.verdicts["replayed"] == 1)
            assert await post(validator.port, frame) == (409, "replayed")
        async with kit.validator() as restarted:
            fresh = await kit.Peer(restarted.port).open()
            fresh.websocket.send_text(frame)
            await kit.until(lambda: restarted.party.metrics.verdicts["stale"] == 1)
            assert (len(validator.seen), restarted.seen) == (1, [])

    kit.run(scene())


def test_5_what_is_remembered_of_a_peer_does_not_grow_with_its_messages(kit):
    async def scene():
        async with kit.validator(limits=RealtimeLimits(rate_per_second=1e9, burst=1e9)) as validator:
            peer = await kit.Peer(validator.port, kit.session()).open()
            for number in range(1, 3001):
                peer.say(encode_message("note", f"s.{number}", {}, ack=True))
            await kit.until(lambda: len(validator.seen) == 3000)
            known = validator.party.peers[kit.MINER.ss58_address]
            assert len(validator.party.receiver.windows) == 1
            assert sum(len(stream.above) for stream in known.taken._streams.values()) == 0
            assert not known.running

    kit.run(scene())


@pytest.mark.parametrize("impostor", ["stranger", "unsigned", "another nonce", "no welcome"])
def test_6_a_miner_believes_nobody_but_the_validator_it_called(kit, impostor):
    async def scene():
        from wallet_guard.net import Accept, Routes, Server

        def answer(request):
            nonce = request.headers.get("X-Bittensor-Nonce") if impostor != "another nonce" else "1"
            type_ = "welcome" if impostor != "no welcome" else "game_update"
            line = encode_message(type_, "", {"challenge": "0" * 64, "nonce": nonce})
            signed = encode_unsigned(
                "sr25519", 1, time.time_ns() // 10**6, kit.VALIDATOR.ss58_address, kit.MINER.ss58_address, [line]
            )
            signer = kit.VALIDATOR if impostor in ("another nonce", "no welcome") else kit.STRANGER
            text = encode_frame(signer.sign(signed), signed).decode()
            return Accept(Greeter(text if impostor != "unsigned" else text.partition("\n")[2]), "btws.1")

        class Greeter(Inbox):
            def __init__(self, text):
                super().__init__()
                self.said = text

            def on_open(self, websocket):
                super().on_open(websocket)
                websocket.send_text(self.said)

        server = Server(Routes(), websockets={"/ws": answer})
        port = await server.listen_tcp("127.0.0.1", 0)
        async with kit.miner(connected=False) as miner:
            miner.add_validator(kit.VALIDATOR.ss58_address, f"127.0.0.1:{port}")
            await kit.until(lambda: miner.party.metrics.ends)
            assert not miner.has_connections()
            assert miner.seen == []
            assert set(miner.party.metrics.ends) <= {"signature", "format"}
        await server.stop(1)

    kit.run(scene())


def test_6_a_miner_takes_no_frame_without_a_right_signature(kit):
    async def scene():
        async with kit.validator() as validator, kit.miner(validator) as miner:
            (link,) = validator._links
            line = encode_message("game_update", "", {"games": []})
            forged = Speaker(kit.VALIDATOR.ss58_address, "sr25519", kit.STRANGER.sign)
            link.websocket.send_text(forged.frame(kit.MINER.ss58_address, [line], time.time_ns()).decode())
            await kit.until(lambda: miner.party.metrics.ends["signature"] == 1)
            assert miner.seen == []

    kit.run(scene())


def test_7_a_handler_gets_exactly_what_was_signed(kit):
    async def scene():
        data = {"prediction_id": "1", "unknown": [1.10, -0.0, 1e22, "é\u2028", None, {"b": 1, "a": 2}], "": 2**60}
        async with kit.validator() as validator:
            peer = await kit.Peer(validator.port).open()
            raw = '{"prediction_id":"1","unknown":[1.10,-0.0,1e22,"\\u00e9\u2028",null,{"b": 1 , "a":2}],'
            raw += '"":1152921504606846976}'
            line = '{"type":"prediction","id":"","data":' + raw + "}"
            peer.websocket.send_text(peer.speaker.frame(peer.receiver, [line], time.time_ns()).decode())
            await kit.until(lambda: validator.seen)
            assert validator.seen == [(kit.MINER.ss58_address, data)]
            assert list(validator.seen[0][1]["unknown"][5]) == ["b", "a"]

    kit.run(scene())


def test_8_an_urgent_message_leaves_at_once_and_alone(kit):
    async def scene():
        async with kit.validator() as validator, kit.miner(validator) as miner:
            miner.register_confirmation_handler(lambda hotkey, data: miner.seen.append(("confirmation", data)))
            before = validator.party.metrics.sent["frame"]
            await validator.send_confirmation(kit.MINER.ss58_address, {"prediction_id": "1"})
            await kit.until(lambda: miner.seen)
            assert validator.party.metrics.sent["frame"] == before + 1

    kit.run(scene())


def test_8_messages_of_one_priority_keep_their_order_and_urgent_ones_overtake(kit):
    async def scene():
        async with kit.validator() as validator, kit.miner(validator) as miner:
            hotkey = kit.MINER.ss58_address
            for number in range(100):
                await validator.send(hotkey, "note", {"n": number}, priority=NORMAL)
            await validator.send(hotkey, "note", {"n": "urgent"}, priority=CONFIRMATION)
            await kit.until(lambda: len(miner.seen) == 101)
            assert [data["n"] for _, data in miner.seen] == ["urgent", *range(100)]

    kit.run(scene())


def test_8_what_could_not_be_sent_is_sent_after_the_reconnect(kit):
    async def scene():
        async with kit.validator() as validator, kit.miner(validator) as miner:
            hotkey = kit.MINER.ss58_address
            await validator.send(hotkey, "note", {"n": 1}, reliable=True)
            (link,) = validator._links
            link.websocket.abort()
            await validator.send(hotkey, "note", {"n": 2}, reliable=True)
            await kit.until(lambda: len(miner.seen) == 2)
            assert [data["n"] for _, data in miner.seen] == [1, 2]
            await kit.until(lambda: validator.party.peers[hotkey].outbox.unacknowledged == 0)

    kit.run(scene())


def test_9_the_newer_connection_wins_and_the_older_ones_end_does_not_touch_it(kit):
    async def scene():
        async with kit.validator() as validator:
            speaker = Speaker.of_hotkey(kit.MINER)
            older = await kit.Peer(validator.port, speaker).open()
            await kit.until(lambda: len(validator.get_connected_hotkeys()) == 1)
            newer = await kit.Peer(validator.port, speaker).open()
            assert await older.closed() == ends_module.REPLACED.close
            await asyncio.sleep(0.1)
            assert validator.get_connected_hotkeys() == [kit.MINER.ss58_address]
            assert await validator.send(kit.MINER.ss58_address, "note", {"n": 1})
            assert (await newer.messages())[0].data == {"n": 1}

    kit.run(scene())


def test_9_a_connection_that_has_not_proved_itself_replaces_nobody(kit):
    async def scene():
        async with kit.validator() as validator:
            speaker = kit.session()
            older = await kit.Peer(validator.port, speaker).open()
            await kit.until(lambda: len(validator.get_connected_hotkeys()) == 1)
            thief = Speaker(speaker.hotkey, speaker.name, kit.STRANGER.sign, speaker.certificate)
            await (await kit.Peer(validator.port, thief).open()).closed()
            older.say(encode_message("note", "", {}))
            await kit.until(lambda: validator.seen)

    kit.run(scene())


def test_10_a_peer_that_only_receives_is_not_alive(kit):
    async def scene():
        limits = RealtimeLimits(pong_seconds=1.0)
        async with kit.validator(limits=limits, heartbeat_interval=1.0) as validator:
            peer = await kit.Peer(validator.port).open()
            await kit.until(lambda: validator.get_connected_hotkeys())
            peer.websocket.pause_reading()  # it answers no ping, and its connection stays

            async def talk():
                while validator.get_connected_hotkeys():
                    await validator.send(kit.MINER.ss58_address, "note", {})
                    await asyncio.sleep(0.02)

            await asyncio.wait_for(talk(), 60)
            assert validator.party.metrics.ends["heartbeat"] == 1

    kit.run(scene())


def test_11_who_does_not_say_hello_is_gone_after_a_while(kit):
    async def scene():
        async with kit.validator(limits=RealtimeLimits(hello_seconds=0.2)) as validator:
            peer = await kit.Peer(validator.port).open(hello=False)
            assert await peer.closed() == ends_module.HELLO.close
            assert not validator.get_connected_hotkeys()

    kit.run(scene())


def test_11_openings_have_a_ceiling_for_each_address(kit):
    async def scene():
        async with kit.validator(limits=RealtimeLimits(max_openings_per_address=3)) as validator:
            for _ in range(3):
                await kit.Peer(validator.port).open(hello=False)
            with pytest.raises(RefusedError) as caught:
                await kit.Peer(validator.port).open()
            assert caught.value.response.status == 429

    kit.run(scene())


def test_11_frames_have_a_ceiling_and_the_peer_is_told_which(kit):
    async def scene():
        async with kit.validator(limits=RealtimeLimits(max_frame_bytes=5000)) as validator:
            peer = await kit.Peer(validator.port).open()
            assert peer.welcome.data["max_frame_bytes"] == 5000
            peer.say(encode_message("note", "", {"x": "y" * 5000}))
            assert await peer.closed() == 1009

    kit.run(scene())


def test_11_a_slow_reader_costs_a_bounded_queue(kit):
    async def scene():
        limits = RealtimeLimits(max_queued=50, max_queued_bytes=200_000)
        async with kit.validator(limits=limits) as validator:
            peer = await kit.Peer(validator.port).open()
            await kit.until(lambda: validator.get_connected_hotkeys())
            peer.websocket.pause_reading()
            for number in range(3000):
                await validator.send(kit.MINER.ss58_address, "note", {"n": number, "x": "y" * 3000})
                if number % 20 == 0:
                    await asyncio.sleep(0)
            outbox = validator.party.peers[kit.MINER.ss58_address].outbox
            assert outbox.depth <= 50
            assert outbox.dropped > 1000
            (link,) = validator._links
            assert link.websocket.queued_bytes < 400_000

    kit.run(scene())


def test_12_a_hotkey_that_is_no_longer_registered_is_dropped_and_stays_out(kit):
    async def scene():
        registered = [kit.MINER.ss58_address]
        limits = RealtimeLimits(registration_seconds=0.1)
        async with (
            kit.validator(registered=lambda: registered, limits=limits) as validator,
            kit.miner(validator) as miner,
        ):
            registered.clear()
            await kit.until(lambda: validator.party.metrics.ends["authorisation"] >= 1)
            await kit.until(lambda: miner.check_health()["problems"])
            assert not validator.get_connected_hotkeys()
            assert miner.check_health()["problems"][kit.VALIDATOR.ss58_address]["code"] == "authorisation"

    kit.run(scene())


def test_12_there_is_never_more_than_one_attempt_to_connect_at_a_time(kit):
    async def scene():
        from wallet_guard.net import Routes, Server

        under_way, most = 0, 0

        async def refuse(request):
            nonlocal under_way, most
            under_way += 1
            most = max(most, under_way)
            await asyncio.sleep(0.02)
            under_way -= 1
            return Response(503)

        server = Server(Routes(), websockets={"/ws": refuse})
        port = await server.listen_tcp("127.0.0.1", 0)
        async with kit.miner(connected=False) as miner:
            for _ in range(10):
                miner.add_validator(kit.VALIDATOR.ss58_address, f"127.0.0.1:{port}")
                await asyncio.sleep(0.05)
            assert (most, len(miner._keepers)) == (1, 1)
        await server.stop(1)

    kit.run(scene())


def test_13_every_answer_is_signed_and_has_data(kit):
    async def scene():
        async with kit.validator() as validator:
            peer = await kit.Peer(validator.port).open()
            peer.say(encode_message("nonsense", "q1", {}))
            frame = parse_frame(await peer.text())
            (message,) = read_messages(frame)
            assert frame.sender == kit.VALIDATOR.ss58_address
            assert kit.VALIDATOR.verify(frame.signed, frame.signature)
            assert (message.type, message.data["code"], message.data["re"]) == ("error", "type", "q1")

    kit.run(scene())


def test_13_prediction_ids_of_one_moment_differ(kit):
    async def scene():
        async with kit.validator() as validator, kit.miner(validator) as miner:
            sends = [miner.send_prediction(kit.VALIDATOR.ss58_address, {}, timeout_seconds=0.3) for _ in range(50)]
            assert len({sent.prediction_id for sent in await asyncio.gather(*sends)}) == 50

    kit.run(scene())
