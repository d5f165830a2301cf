"""Certificates that end, silence, renewal."""

import asyncio
import time

from wallet_guard.realtime import RealtimeLimits, ends


def now_ms():
    return time.time_ns() // 1_000_000


def test_certificates_are_renewed_on_a_living_connection(kit):
    async def scene():
        made = []

        async def renew():
            made.append(kit.session(kit.VALIDATOR, seed=50 + len(made), seconds=600))
            return made[-1]

        first = kit.session(kit.VALIDATOR, seed=9, from_ms=now_ms() - 6000, seconds=10)
        async with kit.validator(first, renew=renew) as validator, kit.miner(validator) as miner:
            (link,) = validator._links
            await kit.until(lambda: made)
            await kit.until(lambda: now_ms() > first.until_ms + 100)
            assert validator.broadcast("game_update", {"games": [1]}) == 1
            await kit.until(lambda: miner.seen)
            assert validator._links == {link}
            assert len(made) == 1

    kit.run(scene())


def test_a_connection_ends_with_the_last_certificate(kit):
    async def scene():
        async with kit.validator() as validator:
            peer = await kit.Peer(validator.port, kit.session(from_ms=now_ms() - 500, seconds=4)).open()
            await kit.until(lambda: validator.get_connected_hotkeys())
            assert await peer.closed() == ends.CERTIFICATE.close

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


def test_a_guard_that_fails_or_hangs_holds_up_nobody(kit, caplog):
    async def scene():
        asked = []

        async def renew():
            asked.append(1)
            await asyncio.sleep(60 if len(asked) > 1 else 0)
            raise RuntimeError("no guard")

        first = kit.session(kit.VALIDATOR, seed=9, from_ms=now_ms() - 4000, seconds=6)
        async with kit.validator(first, renew=renew, limits=RealtimeLimits(hello_seconds=0.2)) as validator:
            await kit.until(lambda: asked)
            validator._renewal._next_ms = 0
            await kit.until(lambda: len(asked) == 2)
            silent = await kit.Peer(validator.port).open(hello=False)
            assert await silent.closed() == 4012

    kit.run(scene())
    assert "cannot be renewed" in caplog.text


def test_a_certificate_for_another_hotkey_is_not_spoken_with(kit, caplog):
    async def scene():
        async def renew():
            return kit.session(kit.OTHER, seed=51)

        first = kit.session(kit.VALIDATOR, seed=9, from_ms=now_ms() - 4000, seconds=6)
        async with kit.validator(first, renew=renew) as validator:
            await kit.until(lambda: "expected a certificate for" in caplog.text)
            assert validator.party.speaker is first

    kit.run(scene())
