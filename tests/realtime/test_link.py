"""What one connection bears: rates, handlers that are behind, gathered frames."""

import asyncio
import time

import pytest

from wallet_guard.net import RefusedError
from wallet_guard.realtime import (
    RealtimeLimits,
    ends,
)
from wallet_guard.signed.certificate import Purpose
from wallet_guard.signed.frames import encode_message


def test_a_flood_is_read_no_faster_than_its_rate_and_nothing_of_it_is_lost(kit):
    async def scene():
        async with kit.validator(limits=RealtimeLimits(rate_per_second=200, burst=50)) as validator:
            peer = await kit.Peer(validator.port, kit.session()).open()
            began = time.monotonic()
            for _ in range(250):
                peer.say(encode_message("note", "", {}))
            await kit.until(lambda: len(validator.seen) >= 250)
            peer.say(encode_message("note", "", {}))
            await kit.until(lambda: len(validator.seen) == 251)
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
            (link,) = validator._links
            await kit.until(lambda: link.is_held)
            assert link.peer.mailbox.waiting < 250
            gate.set()
            await kit.until(lambda: len(validator.seen) == 300)
            assert [data["n"] for data in validator.seen] == list(range(300))

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


def test_waiting_for_a_slow_reader_is_one_wait(kit):
    async def scene():
        async with kit.validator() as validator:
            peer = await kit.Peer(validator.port).open()
            await kit.until(lambda: validator.get_connected_hotkeys())
            (link,) = validator._links
            peer.websocket.pause_reading()
            while link._waiter is None:
                await validator.send(kit.MINER.ss58_address, "note", {"x": "y" * 3000})
                await asyncio.sleep(0)
            waiter = link._waiter
            for _ in range(50):
                await asyncio.sleep(0)
            assert link._waiter is waiter
            peer.websocket.resume_reading()
            await kit.until(lambda: waiter.done() and not link.peer.outbox.depth)

    kit.run(scene())


def test_a_stolen_session_key_cannot_silence_its_successor(kit):
    async def scene():
        async with kit.validator() as validator:
            thief = await kit.Peer(validator.port, kit.session(seed=3, from_ms=now_ms() - 5000)).open()
            thief.say(encode_message("revoke", "", {"before": now_ms()}))
            assert await thief.closed() == ends.FORMAT.close

    kit.run(scene())


def now_ms():
    return time.time_ns() // 1_000_000


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
