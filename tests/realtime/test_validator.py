"""The validator: broadcasts, isolation, health, the end."""

import asyncio

import pytest

from wallet_guard.net import HttpClient, RefusedError, parse_url
from wallet_guard.realtime import RealtimeLimits, Speaker, ends
from wallet_guard.signed.frames import encode_message


def test_a_handler_that_raises_or_hangs_harms_its_own_peer_only(kit):
    async def scene():
        limits = RealtimeLimits(handler_seconds=2.0)
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
            good.say(encode_message("note", "", {}))
            await kit.until(lambda: len(validator.seen) == 2)
            assert validator.seen[0][0] == kit.STRANGER.ss58_address  # while the other one hung
            assert validator.seen[1][1] == {"do": "fine"}
            assert validator.party.metrics.handlers == {"note": 2}

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


def test_a_hotkey_that_forges_again_and_again_has_to_wait_and_nobody_else(kit):
    async def scene():
        async with kit.validator(limits=RealtimeLimits(attempts_per_minute=3)) as validator:
            for _ in range(3):
                forger = await kit.Peer(validator.port).open()
                await kit.until(lambda: validator.get_connected_hotkeys())
                frame = forger.frame(encode_message("note", "", {}))
                forger.websocket.send_text("0" * 128 + frame[128:])
                assert await forger.closed() == ends.SIGNATURE.close
            with pytest.raises(RefusedError) as caught:
                await kit.Peer(validator.port).open()
            assert caught.value.response.status == 429
            await kit.Peer(validator.port, Speaker.of_hotkey(kit.STRANGER)).open()
            await kit.until(lambda: validator.get_connected_hotkeys() == [kit.STRANGER.ss58_address])

    kit.run(scene())


def test_a_flood_of_pings_ends_its_connection(kit):
    async def scene():
        async with kit.validator() as validator:
            peer = await kit.Peer(validator.port).open()
            for _ in range(300):
                peer.websocket.ping()
            assert await peer.closed() == ends.PINGS.close
            assert validator.party.metrics.ends["pings"] == 1

    kit.run(scene())
