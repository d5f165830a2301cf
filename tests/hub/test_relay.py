"""What goes from miners to the application and back."""

import asyncio

import pytest

from wallet_guard.net import HttpClient, RefusedError, parse_url
from wallet_guard.realtime import MINER_LIMITS, PredictionHandler, RealtimeLimits, Via, ends
from wallet_guard.signed.frames import encode_message


class Scores:
    def __init__(self):
        self.seen = []

    def process_prediction(self, hotkey, data):
        self.seen.append((hotkey, data["n"]))
        return {"n": data["n"]}


def test_predictions_confirmations_and_updates_pass_through(kit):
    async def scene():
        async with kit.relay() as hub, kit.application(hub.port) as application, kit.miner(hub.port) as miner:
            scores = Scores()
            PredictionHandler(scores).register_with_websocket_manager(application)
            await kit.until(application.get_connected_hotkeys)
            assert application.get_connected_hotkeys() == [kit.MINER.ss58_address]
            sent = await miner.send_prediction(kit.VALIDATOR.ss58_address, {"n": 1}, timeout_seconds=kit.SECONDS)
            assert (sent.via, sent.delivered, sent.confirmation["status"]) == (Via.WEBSOCKET, True, "success")
            assert scores.seen == [(kit.MINER.ss58_address, 1)]
            assert await application.broadcast_game_update({"games": [1]}) == 1
            await kit.until(lambda: miner.seen)
            assert miner.seen == [(kit.VALIDATOR.ss58_address, "game_update", {"games": [1]})]
            assert hub.check_health() | {"uptime": 0} == {
                "status": "ok", "connections": 2, "active_connections": 2, "uptime": 0, "application": True
            }  # fmt: skip

    kit.run(scene())


def test_a_restarted_application_gets_what_was_not_acknowledged_and_no_miner_is_dropped(kit):
    async def scene():
        async with kit.relay() as hub, kit.miner(hub.port) as miner:
            await kit.until(miner.get_connected_validators)
            for number in range(50):
                miner.send(kit.VALIDATOR.ss58_address, "note", {"n": number}, reliable=True)
            await kit.until(lambda: hub.party.metrics.verdicts["away"])
            async with kit.application(hub.port) as first:
                await kit.until(lambda: len(first.seen) == 50)
            await kit.until(lambda: not hub.has_application)
            for number in range(50, 60):
                miner.send(kit.VALIDATOR.ss58_address, "note", {"n": number}, reliable=True)
            async with kit.application(hub.port, kit.session(kit.VALIDATOR, 3)) as second:
                await kit.until(lambda: len(second.seen) == 10)
                assert [data["n"] for _, _, data in second.seen] == list(range(50, 60))
            assert miner.party.metrics.reconnects == 0

    kit.run(scene())


def test_an_application_that_is_back_with_the_same_key_is_told_who_is_there(kit):
    async def scene():
        async with kit.relay() as hub, kit.miner(hub.port) as miner, kit.application(hub.port) as application:
            await kit.until(application.get_connected_hotkeys)
            hub.disconnect(kit.VALIDATOR.ss58_address, ends.CLOSING)
            await kit.until(lambda: not application.get_connected_hotkeys())
            await kit.until(application.get_connected_hotkeys)
            await application.send(kit.MINER.ss58_address, "note", {"n": 1})
            await kit.until(lambda: miner.seen)

    kit.run(scene())


def test_the_newer_of_two_applications_wins(kit):
    async def scene():
        async with kit.relay() as hub, kit.miner(hub.port) as miner, kit.application(hub.port) as older:
            await kit.until(older.get_connected_hotkeys)
            async with kit.application(hub.port, kit.session(kit.VALIDATOR, 3)) as newer:
                await kit.until(newer.get_connected_hotkeys)
                await kit.until(lambda: older.hub_problem == ends.REPLACED)
                miner.send(kit.VALIDATOR.ss58_address, "note", {"n": 1})
                await kit.until(lambda: newer.seen)
                assert older.seen == []

    kit.run(scene())


def test_a_handler_that_raises_hangs_or_is_flooded_harms_its_own_peer_only(kit):
    async def scene():
        limits = RealtimeLimits(handler_seconds=3600, max_waiting=4, rate_per_second=1e6, burst=1e6)
        async with kit.relay(limits=limits) as hub, kit.application(hub.port, limits=limits) as application:
            stuck, done = asyncio.Event(), []

            async def handle(hotkey, data):
                if hotkey == kit.MINER.ss58_address:
                    await stuck.wait()
                done.append((hotkey, data["n"]))
                if hotkey == kit.OTHER.ss58_address:
                    raise RuntimeError("a bug of the application")

            application.register_handler("note", handle)
            patient = MINER_LIMITS._replace(resend_seconds=0.2)
            async with kit.miner(hub.port, limits=patient) as bad, kit.miner(hub.port, kit.OTHER) as good:
                await kit.until(lambda: len(application.get_connected_hotkeys()) == 2)
                for number in range(400):
                    bad.send(kit.VALIDATOR.ss58_address, "note", {"n": number, "fill": "x" * 2000}, reliable=True)
                    if number % 20 == 0:
                        await asyncio.sleep(0)
                peer = application.party.peers[kit.MINER.ss58_address]
                await kit.until(lambda: peer.mailbox.waiting >= 4)
                for number in range(20):
                    good.send(kit.VALIDATOR.ss58_address, "note", {"n": number})
                await kit.until(lambda: len(done) == 20)
                assert peer.mailbox.waiting <= 4 * 4 + 64
                held = hub.party.peers[kit.MINER.ss58_address].link
                await kit.until(lambda: held.is_held)
                stuck.set()
                await kit.until(lambda: len(done) == 420)
                assert sorted(n for hotkey, n in done if hotkey == kit.MINER.ss58_address) == list(range(400))
                assert bad.party.metrics.reconnects == good.party.metrics.reconnects == 0

    kit.run(scene())


def test_a_miner_that_does_not_read_is_waited_for_and_the_others_are_not_kept(kit):
    async def scene():
        limits = RealtimeLimits(resend_seconds=0.2)
        async with kit.relay() as hub, kit.application(hub.port, limits=limits) as application:
            slow = await kit.Peer(hub.port, kit.Speaker.of_hotkey(kit.MINER)).open()
            async with kit.miner(hub.port, kit.OTHER) as good:
                await kit.until(lambda: len(application.get_connected_hotkeys()) == 2)
                slow.websocket.pause_reading()
                wire = application.party.peers[kit.MINER.ss58_address].link.websocket
                sent = 0
                while wire.queued_bytes < 1 << 30:  # which is what it says while the hub asks it to hold
                    await application.send(
                        kit.MINER.ss58_address, "note", {"n": sent, "fill": "x" * 40_000}, reliable=True
                    )
                    sent += 1
                    await asyncio.sleep(0.001)
                await application.send(kit.OTHER.ss58_address, "note", {"n": 1})
                await kit.until(lambda: good.seen)
                slow.websocket.resume_reading()
                arrived = set()
                async with asyncio.timeout(kit.SECONDS):
                    while len(arrived) < sent:
                        arrived |= {message.data["n"] for message in await slow.messages()}
                assert arrived == set(range(sent))

    kit.run(scene())


def test_a_frame_by_http_is_answered_by_the_application_in_its_own_frame(kit):
    async def scene():
        async with kit.relay() as hub, kit.application(hub.port) as application:
            PredictionHandler(Scores()).register_with_websocket_manager(application)
            async with kit.miner(hub.port, enabled=False) as miner:
                sent = await miner.send_prediction(kit.VALIDATOR.ss58_address, {"n": 7}, timeout_seconds=kit.SECONDS)
                assert (sent.via, sent.delivered, sent.confirmation["status"]) == (Via.HTTP, True, "success")

    kit.run(scene())


def test_a_frame_by_http_while_the_application_is_away_is_kept_by_who_sent_it(kit):
    async def scene():
        async with kit.relay() as hub, kit.miner(hub.port, enabled=False) as miner:
            sent = await miner.send_prediction(kit.VALIDATOR.ss58_address, {"n": 7}, timeout_seconds=0.2)
            assert (sent.delivered, sent.queued, sent.problem) == (False, True, ends.CLOSING)

    kit.run(scene())


def test_a_session_key_of_a_miner_is_shown_to_the_application(kit):
    async def scene():
        async with kit.relay() as hub, kit.application(hub.port) as application:
            async with kit.miner(hub.port, kit.session(kit.MINER, 9)) as miner:
                await kit.until(application.get_connected_hotkeys)
                miner.send(kit.VALIDATOR.ss58_address, "note", {"n": 1})
                await kit.until(lambda: application.seen)
                fresh = kit.session(kit.MINER, 10)
                miner.party.speaker = fresh
                miner.party.peers[kit.VALIDATOR.ss58_address].link.present(fresh.certificate)
                miner.send(kit.VALIDATOR.ss58_address, "note", {"n": 2})
                await kit.until(lambda: len(application.seen) == 2)

    kit.run(scene())


def test_the_renewed_keys_of_hub_and_application_are_heard_at_once(kit):
    async def scene():
        async with kit.relay() as hub, kit.application(hub.port) as application, kit.miner(hub.port) as miner:
            await kit.until(application.get_connected_hotkeys)
            hub.resume(kit.hub_speaker(11))
            fresh = kit.session(kit.VALIDATOR, 12)
            application.party.speaker = fresh
            application._attachment.link.present(fresh.certificate)
            await application.send(kit.MINER.ss58_address, "note", {"n": 1})
            await kit.until(lambda: miner.seen)
            miner.party.peers[kit.VALIDATOR.ss58_address].link.heartbeat()
            await kit.until(lambda: miner.party.metrics.round_trip.count)
            assert miner.party.metrics.reconnects == application.party.metrics.reconnects == 0

    kit.run(scene())


def test_a_deregistered_peer_is_dropped(kit):
    async def scene():
        limits = RealtimeLimits(registration_seconds=0.1)
        async with (
            kit.relay(limits=limits) as hub,
            kit.miner(hub.port) as miner,
            kit.application(hub.port) as application,
        ):
            await kit.until(application.get_connected_hotkeys)
            hub.addresses.clear()
            await kit.until(lambda: not application.get_connected_hotkeys())
            await kit.until(lambda: not miner.get_connected_validators())
            assert hub.has_application

    kit.run(scene())


def test_suspended_it_ends_all_sessions_and_takes_none(kit):
    async def scene():
        async with kit.relay() as hub, kit.miner(hub.port) as miner, kit.application(hub.port) as application:
            await kit.until(application.get_connected_hotkeys)
            hub.suspend("a drill")
            await kit.until(lambda: not miner.get_connected_validators() and not application.get_connected_hotkeys())
            client = await HttpClient.connect(parse_url(f"http://127.0.0.1:{hub.port}/"))
            assert b'"status":"suspended"' in (await client.request("GET", "/ws/health")).body.replace(b" ", b"")
            assert (await client.request("POST", "/ws/frame", body=b"x")).status == 503
            client.close()
            hub.resume(kit.hub_speaker(13))
            await kit.until(application.get_connected_hotkeys)
            assert miner.party.metrics.reconnects

    kit.run(scene())


def test_it_speaks_no_longer_than_its_certificate(kit):
    async def scene():
        async with kit.relay() as hub:
            hub.tidy()
            assert (hub.suspended, hub.is_due) == ("", False)
            hub.party.speaker.until_ms = hub.party.now_ms()
            hub.tidy()
            assert (hub.suspended, hub.is_due) == ("the hub's certificate has ended", True)

    kit.run(scene())


def test_a_frame_of_the_application_goes_out_once(kit):
    async def scene():
        async with kit.relay() as hub, kit.miner(hub.port) as miner:
            speaker = kit.session(kit.VALIDATOR, 2)
            peer = await kit.Peer(hub.port, speaker).open()
            assert await peer.text() == f"connected {kit.MINER.ss58_address}"
            frame = peer.frame(encode_message("note", "", {"n": 1}), to=kit.MINER.ss58_address)
            for _ in range(3):
                peer.websocket.send_text(frame)
            await kit.until(lambda: hub.party.metrics.verdicts["replayed"] == 2)
            await kit.until(lambda: miner.seen)
            assert miner.party.metrics.verdicts["replayed"] == 0
            peer.websocket.send_text(peer.frame(encode_message("note", "", {}), to=kit.STRANGER.ss58_address))
            await kit.until(lambda: hub.party.metrics.verdicts["undeliverable"] == 1)

    kit.run(scene())


def test_an_application_with_a_bare_hotkey_is_told_what_to_bring(kit):
    async def scene():
        async with kit.relay() as hub:
            with pytest.raises(RefusedError) as caught:
                await kit.Peer(hub.port, kit.Speaker.of_hotkey(kit.VALIDATOR)).open()
            assert (caught.value.response.status, b"session certificate" in caught.value.response.body) == (401, True)

    kit.run(scene())
