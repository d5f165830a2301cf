"""The application's side of a hub; with a real hub it is tested in tests/hub, with a captured one in tests/system."""

import pytest

from wallet_guard.realtime import RealtimeLimits, ValidatorWebSocketManager, ends
from wallet_guard.realtime.attachment import Attachment, hub_limits, split_line, split_number
from wallet_guard.realtime.upkeep import link_limits
from wallet_guard.signed.frames import MAX_FRAME_BYTES, FrameError


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("connected 5F", ("connected", "5F")),
        ("post 1 -\nx", ("post", "1 -\nx")),
        ("certificate abc", None),
        ("0" * 128 + "\n<Bytes>{", None),
        (" x", None),
        ("x" * 17 + " y", None),
        ("", None),
    ],
)
def test_a_line_begins_with_a_short_verb(text, line):
    assert split_line(text) == line


@pytest.mark.parametrize("text", ["", "x", "-1", "1" * 16, "١", "1.5"])
def test_a_number_is_one(text):
    with pytest.raises(FrameError, match="expected a number"):
        split_number(text, " ")
    assert split_number("12 rest", " ") == (12, "rest")


def test_a_bare_hotkey_is_not_attached(kit):
    async def scene():
        manager = ValidatorWebSocketManager(kit.VALIDATOR, netuid=kit.NETUID)
        with pytest.raises(ValueError, match="expected a speaker with a session certificate"):
            await manager.attach("ws://127.0.0.1:1/ws")
        await manager.stop(0.1)

    kit.run(scene())


def test_without_a_hub_it_tries_again_and_says_why(kit):
    async def scene():
        manager = ValidatorWebSocketManager(kit.session(kit.VALIDATOR), netuid=kit.NETUID)
        await manager.attach("ws://127.0.0.1:1/ws")
        await kit.until(lambda: manager.party.metrics.reconnects >= 2)
        assert (manager.hub_problem, manager.is_running) == (ends.UNREACHABLE, True)
        assert await manager.broadcast_game_update({}) == 0
        assert await manager.send(kit.MINER.ss58_address, "note", {}) is False
        await manager.stop(0.1)
        assert not manager.is_running

    kit.run(scene())


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("connected nobody", "shape"),
        ("disconnected nobody", "shape"),
        ("shout nobody", "shape"),
        ("post x y", "shape"),
        ("0" * 128 + "\n<Bytes>{", "sender"),
    ],
)
def test_what_a_hub_says_without_sense_is_refused(kit, text, code):
    async def scene():
        manager = ValidatorWebSocketManager(kit.session(kit.VALIDATOR), netuid=kit.NETUID)
        attachment = Attachment(manager, manager._office, "ws://127.0.0.1:1/ws", None)
        with pytest.raises(FrameError) as caught:
            attachment.take(text)
        assert caught.value.code == code
        await manager.stop(0.1)

    kit.run(scene())


def test_no_more_peers_are_believed_in_than_are_remembered(kit):
    async def scene():
        limits = RealtimeLimits(max_peers=1)
        manager = ValidatorWebSocketManager(kit.session(kit.VALIDATOR), netuid=kit.NETUID, limits=limits)
        attachment = Attachment(manager, manager._office, "ws://127.0.0.1:1/ws", None)
        attachment.take(f"connected {kit.MINER.ss58_address}")
        assert manager.get_connected_hotkeys() == [kit.MINER.ss58_address]
        for hotkey in (kit.OTHER.ss58_address, kit.VALIDATOR.ss58_address):
            with pytest.raises(FrameError, match="expected no more peers"):
                attachment.take(f"connected {hotkey}")
        attachment.take(f"disconnected {kit.MINER.ss58_address} 1001")
        assert manager.get_connected_hotkeys() == []
        await manager.stop(0.1)

    kit.run(scene())


def test_a_largest_frame_and_its_line_fit_into_a_message():
    found = hub_limits(link_limits(RealtimeLimits(), 60.0))
    assert found.messages.max_message_bytes > MAX_FRAME_BYTES + 1000
