"""A miner's connection and the application's: what each may say, and how often a certificate is shown."""

import pytest

from wallet_guard.hub.links import CERTIFICATES
from wallet_guard.realtime import ends
from wallet_guard.signed.frames import encode_message


def test_no_more_certificates_are_shown_than_a_miner_takes(kit):
    async def scene():
        async with kit.relay() as hub, kit.miner(hub.port) as miner:
            await kit.until(hub.get_connected_hotkeys)
            link = hub.party.peers[kit.MINER.ss58_address].link
            for seed in range(20, 30):
                speaker = kit.session(kit.VALIDATOR, seed)
                link.introduce(speaker.name, speaker.certificate)
            assert len(link.knows) == CERTIFICATES
            link._paid_at -= 11.0
            link.pay()
            assert link.knows[-1] == speaker.name
            assert len(link.knows) == CERTIFICATES + 1
            assert miner.party.metrics.reconnects == 0

    kit.run(scene())


@pytest.mark.parametrize("why", [("wanted",), ("wanted", "behind")])
def test_it_reads_on_when_nothing_holds_it_any_more(kit, why):
    async def scene():
        async with kit.relay() as hub, kit.application(hub.port) as application, kit.miner(hub.port) as miner:
            await kit.until(application.get_connected_hotkeys)
            link = hub.party.peers[kit.MINER.ss58_address].link
            for reason in why:
                link.hold(reason, held=True)
            miner.send(kit.VALIDATOR.ss58_address, "note", {"n": 1})
            for reason in why:
                assert (link.is_held, application.seen) == (True, [])
                link._release()  # its own rate is no reason any more
                link.hold(reason, held=False)
            await kit.until(lambda: application.seen)
            assert not link.is_held

    kit.run(scene())


@pytest.mark.parametrize(
    ("line", "close"),
    [
        ("shout everybody", ends.FORMAT.close),
        ("answer x\n", ends.FORMAT.close),
        ("answer 1\nno frame", ends.FORMAT.close),
        ("close nobody x", 0),
        ("refuse x closing", ends.FORMAT.close),
        ("hold nobody", 0),
    ],
)
def test_lines_without_sense_end_the_applications_connection_or_do_nothing(kit, line, close):
    async def scene():
        async with kit.relay() as hub:
            peer = await kit.Peer(hub.port, kit.session(kit.VALIDATOR, 2)).open()
            await kit.until(lambda: hub.has_application)
            peer.websocket.send_text(line)
            peer.say(encode_message("heartbeat", "1", {}))
            if close:
                assert await peer.closed() == close
            else:
                assert (await peer.messages())[0].type == "heartbeat_ack"

    kit.run(scene())


def test_a_hub_takes_nothing_for_itself(kit):
    async def scene():
        async with kit.relay() as hub:
            peer = await kit.Peer(hub.port, kit.session(kit.VALIDATOR, 2)).open()
            peer.say(encode_message("note", "", {}))
            assert await peer.closed() == ends.FORMAT.close

    kit.run(scene())


def test_an_application_may_end_a_miners_connection(kit):
    async def scene():
        async with kit.relay() as hub, kit.application(hub.port) as application:
            peer = await kit.Peer(hub.port, kit.Speaker.of_hotkey(kit.MINER)).open()
            await kit.until(application.get_connected_hotkeys)
            assert application.disconnect(kit.MINER.ss58_address)
            assert await peer.closed() == ends.AUTHORISATION.close
            assert application.get_connected_hotkeys() == []

    kit.run(scene())
