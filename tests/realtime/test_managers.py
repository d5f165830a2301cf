"""What the two managers promise, with both of them running."""

import asyncio
import time

import pytest

from wallet_guard.net import HttpClient, RefusedError, parse_url
from wallet_guard.realtime import RealtimeError, RealtimeLimits, Speaker, Via, ends, session_speaker
from wallet_guard.signed.certificate import Purpose
from wallet_guard.signed.frames import encode_message


def now_ms():
    return time.time_ns() // 1_000_000


# --- both kinds of voices, renewal, revocation


@pytest.mark.parametrize("own", ["hotkey", "session"])
@pytest.mark.parametrize("theirs", ["hotkey", "session"])
@pytest.mark.parametrize("threads", [0, 2])
def test_hotkeys_and_session_keys_speak_alike(kit, own, theirs, threads):
    async def scene():
        speakers = {"hotkey": lambda key: key, "session": kit.session}
        async with (
            kit.validator(speakers[own](kit.VALIDATOR), verify_threads=threads) as validator,
            kit.miner(validator, speaker=speakers[theirs](kit.MINER), verify_threads=threads) as miner,
        ):
            sends = [miner.send_prediction(kit.VALIDATOR.ss58_address, {"n": n}) for n in range(40)]
            for number in range(40):
                await validator.send(kit.MINER.ss58_address, "note", {"n": number})
            assert validator.broadcast("game_update", {"games": []}) == 1
            sent = await asyncio.wait_for(
                asyncio.gather(*(asyncio.wait_for(s, 2) for s in sends), return_exceptions=True), 10
            )
            await kit.until(lambda: len(validator.seen) == 40 and len(miner.seen) == 41)
            assert [data["n"] for _, data in validator.seen] == list(range(40))
            assert [data["n"] for type_, data in miner.seen if type_ == "note"] == list(range(40))
            assert len(sent) == 40

    kit.run(scene())


def test_ed25519_hotkeys_speak_too(kit):
    import bittensor_core

    hotkey = bittensor_core.Keypair.create_from_uri("//miner", bittensor_core.CRYPTO_ED25519)

    async def scene():
        async with kit.validator() as validator, kit.miner(validator, speaker=hotkey) as miner:
            assert miner.send(kit.VALIDATOR.ss58_address, "note", {"n": 1})
            await kit.until(lambda: validator.seen == [(hotkey.ss58_address, {"n": 1})])

    kit.run(scene())


def test_certificates_are_renewed_on_a_living_connection(kit):
    async def scene():
        made = []

        async def renew():
            made.append(kit.session(kit.VALIDATOR, seed=50 + len(made), seconds=600))
            return made[-1]

        first = kit.session(kit.VALIDATOR, seed=9, from_ms=now_ms() - 1000, seconds=3)
        async with kit.validator(first, renew=renew) as validator, kit.miner(validator) as miner:
            (link,) = validator._links
            await kit.until(lambda: made, 5)
            await asyncio.sleep(3.5)  # the first certificate has ended
            assert validator.broadcast("game_update", {"games": [1]}) == 1
            await kit.until(lambda: miner.seen)
            assert validator._links == {link}
            assert len(made) == 1

    kit.run(scene())


def test_a_connection_ends_with_the_last_certificate(kit):
    async def scene():
        async with kit.validator() as validator:
            peer = await kit.Peer(validator.port, kit.session(from_ms=now_ms() - 500, seconds=2)).open()
            await kit.until(lambda: validator.get_connected_hotkeys())
            assert await peer.closed(6) == ends.CERTIFICATE.close

    kit.run(scene())


def test_a_hotkey_silences_its_stolen_session_key(kit):
    async def scene():
        async with kit.validator() as validator:
            stolen = kit.session(seed=3, from_ms=now_ms() - 5000)
            thief = await kit.Peer(validator.port, stolen).open()
            await kit.until(lambda: validator.get_connected_hotkeys())
            owner = await kit.Peer(validator.port).open()
            assert await thief.closed() == ends.REPLACED.close
            owner.say(encode_message("revoke", "", {"before": now_ms() - 1000}))
            owner.say(encode_message("note", "", {}))
            await kit.until(lambda: validator.seen)
            with pytest.raises(RefusedError) as caught:
                await kit.Peer(validator.port, stolen).open()
            assert b"revoked" in caught.value.response.body
            await kit.Peer(validator.port, kit.session(seed=4)).open()

    kit.run(scene())


def test_a_stolen_session_key_cannot_silence_its_successor(kit):
    async def scene():
        async with kit.validator() as validator:
            thief = await kit.Peer(validator.port, kit.session(seed=3, from_ms=now_ms() - 5000)).open()
            thief.say(encode_message("revoke", "", {"before": now_ms()}))
            assert await thief.closed() == ends.FORMAT.close

    kit.run(scene())


def test_a_hub_may_not_speak_as_the_application(kit):
    async def scene():
        async with kit.validator() as validator:
            hub = await kit.Peer(validator.port, kit.session(purpose=Purpose.HUB)).open()
            hub.say(encode_message("heartbeat", "h1", {}))
            assert (await hub.messages())[0].data == {"re": "h1"}
            hub.say(encode_message("prediction", "", {"prediction_id": "1"}))
            assert await hub.closed() == ends.FORMAT.close
            assert validator.seen == []

    kit.run(scene())


def test_session_speaker_asks_for_its_own_key(kit):
    async def scene():
        asked = []

        async def ask(key):
            asked.append(key)
            return kit.session().certificate  # a certificate, but not for this key

        with pytest.raises(ValueError, match="another"):
            await session_speaker(ask)
        assert len(bytes.fromhex(asked[0])) == 32

    asyncio.run(scene())


# --- HTTP


def test_a_prediction_goes_by_http_where_there_is_no_websocket_and_is_confirmed_in_the_answer(kit):
    async def scene():
        async with kit.validator(kit.session(kit.VALIDATOR)) as validator:

            async def confirm(hotkey, data):
                await validator.send_confirmation(hotkey, {"prediction_id": data["prediction_id"], "status": "success"})

            validator.register_prediction_handler(confirm)
            async with kit.miner(validator, enabled=False, connected=False) as miner:
                sent = await miner.send_prediction(
                    kit.VALIDATOR.ss58_address, {"prediction_id": "p"}, timeout_seconds=5
                )
                assert (sent.via, sent.delivered, sent.queued) == (Via.HTTP, True, False)
                assert sent.confirmation == {"prediction_id": "p", "status": "success"}
                assert not miner.has_connections()

    kit.run(scene())


def test_confirmations_reach_a_miner_that_is_not_connected_at_its_endpoint(kit):
    async def scene():
        ports = {}
        async with kit.validator(endpoint_of=lambda hotkey: f"http://127.0.0.1:{ports[hotkey]}") as validator:
            async with kit.miner(validator, enabled=False, connected=False) as miner:
                heard = []
                miner.register_confirmation_handler(lambda hotkey, data: heard.append((hotkey, data)))
                ports[kit.MINER.ss58_address] = await miner.serve("127.0.0.1", 0)
                assert await validator.send_confirmation(kit.MINER.ss58_address, {"prediction_id": "p"})
                assert heard == [(kit.VALIDATOR.ss58_address, {"prediction_id": "p"})]
            assert not await validator.send_confirmation(kit.MINER.ss58_address, {"prediction_id": "p"})

    kit.run(scene())


def test_what_cannot_be_sent_now_is_kept_and_says_why(kit):
    async def scene():
        async with kit.validator() as validator:
            gone = validator.port
        async with kit.miner(connected=False) as miner:
            miner.add_validator(kit.VALIDATOR.ss58_address, f"127.0.0.1:{gone}")
            sent = await miner.send_prediction(kit.VALIDATOR.ss58_address, {}, timeout_seconds=1)
            assert (sent.via, sent.delivered, sent.queued, sent.problem) == (Via.NONE, False, True, ends.UNREACHABLE)
            await kit.until(lambda: miner.check_health()["problems"])
            assert miner.check_health()["problems"][kit.VALIDATOR.ss58_address]["code"] == "refused"

    kit.run(scene())


def test_one_message_by_both_ways_is_taken_once(kit):
    async def scene():
        async with kit.validator() as validator:
            peer = await kit.Peer(validator.port).open()
            line = encode_message("note", "s.1", {}, ack=True)
            peer.say(line)
            assert (await peer.messages())[0].data == {"ids": ["s.1"]}
            client = await HttpClient.connect(parse_url(f"http://127.0.0.1:{validator.port}/"))
            answer = await client.request("POST", "/ws/frame", body=peer.frame(line).encode())
            client.close()
            assert b'"ids":["s.1"]' in answer.body
            assert len(validator.seen) == 1

    kit.run(scene())


# --- isolation, rates, stop


def test_a_handler_that_raises_or_hangs_harms_its_own_peer_only(kit):
    async def scene():
        limits = RealtimeLimits(handler_seconds=0.3)
        async with kit.validator(limits=limits) as validator:

            async def handle(hotkey, data):
                if data.get("do") == "hang":
                    await asyncio.sleep(60)
                if data.get("do") == "raise":
                    raise RuntimeError("bug")
                validator.seen.append((hotkey, data))

            validator.register_handler("note", handle)
            bad = await kit.Peer(validator.port).open()
            good = await kit.Peer(validator.port, Speaker.of_hotkey(kit.STRANGER)).open()
            for do in ("raise", "hang", "fine"):
                bad.say(encode_message("note", f"b.{['raise', 'hang', 'fine'].index(do) + 1}", {"do": do}, ack=True))
            began = time.monotonic()
            good.say(encode_message("note", "", {}))
            await kit.until(lambda: validator.seen)
            assert time.monotonic() - began < 0.25
            await kit.until(lambda: len(validator.seen) == 2)
            assert validator.seen[1][1] == {"do": "fine"}
            assert validator.party.metrics.handlers == {"note": 2}

    kit.run(scene())


def test_a_flood_is_read_no_faster_than_its_rate_and_nothing_of_it_is_lost(kit):
    async def scene():
        async with kit.validator(limits=RealtimeLimits(rate_per_second=200, burst=50)) as validator:
            peer = await kit.Peer(validator.port, kit.session()).open()
            began = time.monotonic()
            for _ in range(250):
                peer.say(encode_message("note", "", {}))
            await kit.until(lambda: len(validator.seen) >= 250, 10)
            peer.say(encode_message("note", "", {}))
            await kit.until(lambda: len(validator.seen) == 251, 10)
            assert time.monotonic() - began > 0.7

    kit.run(scene())


def test_handlers_that_are_behind_slow_their_peer_down(kit):
    async def scene():
        async with kit.validator(limits=RealtimeLimits(max_waiting=4, burst=1e6)) as validator:
            gate = asyncio.Event()

            async def handle(hotkey, data):
                await gate.wait()
                validator.seen.append(data)

            validator.register_handler("note", handle)
            peer = await kit.Peer(validator.port, kit.session()).open()
            for number in range(300):
                peer.say(encode_message("note", "", {"n": number, "x": "y" * 3000}))
            await asyncio.sleep(0.3)
            (link,) = validator._links
            assert link.is_held
            assert len(link.peer.mailbox) < 250
            gate.set()
            await kit.until(lambda: len(validator.seen) == 300, 10)
            assert [data["n"] for data in validator.seen] == list(range(300))

    kit.run(scene())


def test_stop_sends_what_waits_and_says_goodbye(kit):
    async def scene():
        async with kit.validator() as validator, kit.miner(validator) as miner:
            for number in range(200):
                await validator.send(kit.MINER.ss58_address, "note", {"n": number})
            await validator.stop(2.0)
            await kit.until(lambda: len(miner.seen) == 200)
            await kit.until(lambda: not miner.has_connections())
            assert miner.party.metrics.ends["closing"] == 1

    kit.run(scene())


def test_queued_messages_share_a_signature_and_a_single_one_does_not_wait(kit):
    async def scene():
        async with kit.validator() as validator, kit.miner(validator) as miner:
            before = validator.party.metrics.sent["frame"]
            for number in range(64):
                await validator.send(kit.MINER.ss58_address, "note", {"n": number})
            await kit.until(lambda: len(miner.seen) == 64)
            assert validator.party.metrics.sent["frame"] == before + 1

    kit.run(scene())


def test_broadcasts_are_signed_once_and_unchanged_ones_skipped_on_request(kit):
    async def scene():
        signed = []

        class Counting:
            ss58_address, crypto_type = kit.VALIDATOR.ss58_address, kit.VALIDATOR.crypto_type

            def sign(self, data):
                signed.append(data)
                return kit.VALIDATOR.sign(data)

        async with kit.validator(Counting()) as validator:
            speakers = [Speaker.of_hotkey(kit.keypair(f"m{n}")) for n in range(5)]
            peers = [await kit.Peer(validator.port, speaker).open() for speaker in speakers]
            await kit.until(lambda: len(validator.get_connected_hotkeys()) == 5)
            before = len(signed)
            game = {"games": [1], "timestamp": 1}
            assert await validator.broadcast_game_update(game, skip_unchanged=True) == 5
            assert await validator.broadcast_game_update(game | {"timestamp": 2}, skip_unchanged=True) == 0
            assert await validator.broadcast_game_update(game | {"games": [2]}, skip_unchanged=True) == 5
            assert len(signed) == before + 2
            for peer in peers:
                assert [(await peer.messages())[0].data["games"] for _ in range(2)] == [[1], [2]]

    kit.run(scene())


def test_a_miner_that_comes_later_does_not_take_an_earlier_broadcast(kit):
    async def scene():
        async with kit.validator() as validator, kit.miner(validator) as miner:
            line = encode_message("game_update", "", {"games": ["old"]})
            captured = validator.party.speaker.frame("*", [line], time.time_ns()).decode()
            async with kit.miner(validator, speaker=kit.STRANGER) as late:
                link = next(link for link in validator._links if link.peer.hotkey == kit.STRANGER.ss58_address)
                link.websocket.send_text(captured)
                await kit.until(lambda: late.party.metrics.verdicts["replayed"] == 1)
                assert (miner.seen, late.seen) == ([], [])

    kit.run(scene())


def test_health_and_metrics_tell_what_is(kit):
    async def scene():
        async with kit.validator() as validator, kit.miner(validator) as miner:
            client = await HttpClient.connect(parse_url(f"http://127.0.0.1:{validator.port}/"))
            health = await client.request("GET", "/ws/health")
            client.close()
            assert health.body.startswith(b'{"status":"ok","connections":1,"active_connections":1,"uptime":')
            assert "btws_connections 1\n" in validator.render_metrics()
            assert "btws_connections 1\n" in miner.render_metrics()
            assert miner.check_health() == {"status": "ok", "connections": 1, "problems": {}}

    kit.run(scene())


def test_heartbeats_of_a_silent_miner_measure_the_way(kit):
    async def scene():
        async with (
            kit.validator(heartbeat_interval=30) as validator,
            kit.miner(validator, heartbeat_interval=0.1) as miner,
        ):
            await kit.until(lambda: miner.party.metrics.round_trip.count >= 2)
            assert validator.party.metrics.received["heartbeat"] >= 2

    kit.run(scene())


def test_larger_than_the_other_side_takes_is_refused_where_it_is_said(kit):
    async def scene():
        async with (
            kit.validator(limits=RealtimeLimits(max_frame_bytes=8000)) as validator,
            kit.miner(validator) as miner,
        ):
            with pytest.raises(RealtimeError) as caught:
                miner.send(kit.VALIDATOR.ss58_address, "note", {"x": "y" * 8000})
            assert caught.value.end is ends.SIZE
            assert miner.send(kit.VALIDATOR.ss58_address, "note", {"x": "y" * 7000})
            await kit.until(lambda: validator.seen)

    kit.run(scene())


def test_what_belongs_to_the_protocol_cannot_be_registered(kit):
    async def scene():
        async with kit.validator() as validator:
            for type_ in ("hello", "ack", "welcome", "heartbeat", "error", "revoke"):
                with pytest.raises(ValueError, match="protocol"):
                    validator.register_handler(type_, print)

    kit.run(scene())


def test_a_spool_file_brings_back_what_a_former_life_promised(kit, tmp_path):
    async def scene():
        hotkey = kit.VALIDATOR.ss58_address
        async with kit.miner(start=False, spool_path=tmp_path / "spool") as miner:
            for number in range(5):
                miner.send(hotkey, "note", {"n": number}, reliable=True)
        async with kit.validator() as validator, kit.miner(validator, spool_path=tmp_path / "spool") as again:
            await kit.until(lambda: len(validator.seen) == 5)
            assert [data["n"] for _, data in validator.seen] == list(range(5))
            again.send(hotkey, "note", {"n": 5}, reliable=True)
            await kit.until(lambda: len(validator.seen) == 6 and not again.party.peers[hotkey].keeps)

    kit.run(scene())
