"""Both voices open and speak."""

import asyncio
import time

import bittensor_core
import pytest

from wallet_guard.signed.frames import encode_message


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
            # nobody confirms them
            sent = await asyncio.gather(*(asyncio.wait_for(s, 0.5) for s in sends), return_exceptions=True)
            await kit.until(lambda: len(validator.seen) == 40 and len(miner.seen) == 41)
            assert [data["n"] for _, data in validator.seen] == list(range(40))
            assert [data["n"] for type_, data in miner.seen if type_ == "note"] == list(range(40))
            assert len(sent) == 40

    kit.run(scene())


def test_ed25519_hotkeys_speak_too(kit):
    hotkey = bittensor_core.Keypair.create_from_uri("//miner", bittensor_core.CRYPTO_ED25519)

    async def scene():
        async with kit.validator() as validator, kit.miner(validator, speaker=hotkey) as miner:
            assert miner.send(kit.VALIDATOR.ss58_address, "note", {"n": 1})
            await kit.until(lambda: validator.seen == [(hotkey.ss58_address, {"n": 1})])

    kit.run(scene())


def test_a_miner_that_comes_later_does_not_take_an_earlier_broadcast(kit):
    async def scene():
        async with (
            kit.validator() as validator,
            kit.miner(validator) as miner,
            kit.miner(start=False, speaker=kit.STRANGER) as late,
        ):
            line = encode_message("game_update", "", {"games": ["old"]})
            captured = validator.party.speaker.frame("*", [line], time.time_ns()).decode()
            late.add_validator(kit.VALIDATOR.ss58_address, f"127.0.0.1:{validator.port}")
            await late.start()
            await kit.until(lambda: kit.STRANGER.ss58_address in validator.get_connected_hotkeys())
            link = next(link for link in validator._links if link.peer.hotkey == kit.STRANGER.ss58_address)
            link.websocket.send_text(captured)
            await kit.until(lambda: late.party.metrics.verdicts["replayed"] == 1)
            assert (miner.seen, late.seen) == ([], [])

    kit.run(scene())
