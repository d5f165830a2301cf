"""The miner: what cannot be sent is kept, what is kept is sent."""

import pytest

from wallet_guard.realtime import (
    RealtimeError,
    RealtimeLimits,
    Via,
    ends,
)
from wallet_guard.realtime.miner import backoff


def test_backoff_doubles_to_its_ceiling_with_jitter():
    assert [backoff(n, 1, 60, patient=False, chance=1.0) for n in range(8)] == [1, 2, 4, 8, 16, 32, 60, 60]
    assert backoff(0, 1, 60, patient=True, chance=0.0) == 30
    assert backoff(10**6, 1, 60, patient=False, chance=0.0) == 30
    drawn = {backoff(3, 1, 60, patient=False) for _ in range(100)}
    assert min(drawn) >= 4 <= 8 >= max(drawn)
    assert len(drawn) > 50


def test_what_cannot_be_sent_now_is_kept_and_says_why(kit):
    async def scene():
        async with kit.validator() as validator:
            gone = validator.port
        async with kit.miner(connected=False) as miner:
            miner.add_validator(kit.VALIDATOR.ss58_address, f"127.0.0.1:{gone}")
            sent = await miner.send_prediction(kit.VALIDATOR.ss58_address, {}, timeout_seconds=60)
            assert (sent.via, sent.delivered, sent.queued, sent.problem) == (Via.NONE, False, True, ends.UNREACHABLE)
            await kit.until(lambda: miner.check_health()["problems"])
            assert miner.check_health()["problems"][kit.VALIDATOR.ss58_address]["code"] == "refused"

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


def test_a_secure_endpoint_is_never_reached_in_clear(kit):
    async def scene():
        async with kit.validator() as validator, kit.miner(connected=False) as miner:
            miner.add_validator(kit.VALIDATOR.ss58_address, f"wss://127.0.0.1:{validator.port}/ws")
            await kit.until(lambda: miner.check_health()["problems"])
            problem = miner.check_health()["problems"][kit.VALIDATOR.ss58_address]
            assert problem["code"] in ("tls", "refused")
            assert not validator.party.metrics.verdicts

    kit.run(scene())


def test_validators_come_and_go_with_the_list_of_them(kit):
    async def scene():
        async with kit.validator() as one, kit.validator(kit.OTHER) as two:
            at = {one.party.hotkey: f"127.0.0.1:{one.port}"}
            limits = RealtimeLimits(registration_seconds=0.1)
            async with kit.miner(
                connected=False, validators=lambda: at, limits=limits, heartbeat_interval=0.2
            ) as miner:
                await kit.until(lambda: miner.get_connected_validators() == [one.party.hotkey])
                at[two.party.hotkey] = f"127.0.0.1:{two.port}"
                await kit.until(lambda: len(miner.get_connected_validators()) == 2)
                del at[one.party.hotkey]
                await kit.until(lambda: miner.get_connected_validators() == [two.party.hotkey])
                await kit.until(lambda: not one.get_connected_hotkeys())

    kit.run(scene())


@pytest.mark.parametrize("endpoint", ["http://[", "ftp://a", "ws://u@h/", "ws:///x"])
def test_what_is_no_endpoint_is_refused_at_once(kit, endpoint):
    async def scene():
        async with kit.miner(start=False) as miner:
            with pytest.raises(ValueError, match=r".+"):
                miner.add_validator(kit.VALIDATOR.ss58_address, endpoint)

    kit.run(scene())
