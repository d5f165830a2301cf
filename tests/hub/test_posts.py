"""Frames by HTTP: whom they reach, and what comes back."""

import asyncio
import json

import pytest

from wallet_guard.hub import posts
from wallet_guard.net import HttpClient, parse_url
from wallet_guard.realtime import RealtimeLimits, Speaker, ends
from wallet_guard.signed.frames import encode_message, parse_frame, read_messages

NOTE = encode_message("note", "", {"n": 1})


async def post(kit, hub, speaker, *lines):
    client = await HttpClient.connect(parse_url(f"http://127.0.0.1:{hub.port}/"))
    fields = (("Btws-Certificate", speaker.certificate),) if speaker.certificate else ()
    body = speaker.frame(kit.VALIDATOR.ss58_address, lines, kit.time.time_ns())
    try:
        return await client.request("POST", "/ws/frame", headers=fields, body=body, timeout_seconds=kit.SECONDS)
    finally:
        client.close()


def test_a_heartbeat_is_answered_by_the_hub_itself(kit):
    async def scene():
        async with kit.relay() as hub:
            answer = await post(kit, hub, Speaker.of_hotkey(kit.MINER), encode_message("heartbeat", "7", {}))
            frame = parse_frame(answer.body.decode())
            assert frame.speaker == hub.party.speaker.name
            assert [message.type for message in read_messages(frame)] == ["ack", "heartbeat_ack"]

    kit.run(scene())


def test_anything_else_is_answered_by_the_application_with_its_certificate(kit):
    async def scene():
        async with kit.relay() as hub, kit.application(hub.port) as application:
            answer = await post(kit, hub, kit.session(kit.MINER, 9), NOTE)
            assert answer.fields.get("Btws-Certificate") == application.party.speaker.certificate
            assert parse_frame(answer.body.decode()).speaker == application.party.speaker.name
            assert application.seen == [(kit.MINER.ss58_address, "note", {"n": 1})]

    kit.run(scene())


@pytest.mark.parametrize("who", ["stranger", "ourselves"])
def test_who_may_not_connect_may_not_post(kit, who):
    async def scene():
        async with kit.relay() as hub, kit.application(hub.port) as application:
            speaker = Speaker.of_hotkey(kit.STRANGER) if who == "stranger" else kit.session(kit.VALIDATOR, 5)
            answer = await post(kit, hub, speaker, NOTE)
            assert (answer.status, json.loads(answer.body)["error"]["code"]) == (403, "authorisation")
            assert application.seen == []

    kit.run(scene())


def test_an_application_that_does_not_answer_is_not_waited_for_without_end(kit, monkeypatch):
    monkeypatch.setattr(posts, "GRACE_SECONDS", 0.1)

    async def scene():
        async with kit.relay(limits=RealtimeLimits(handler_seconds=0.1)) as hub:
            await kit.Peer(hub.port, kit.session(kit.VALIDATOR, 2)).open()
            await kit.until(lambda: hub.has_application)
            answer = await post(kit, hub, Speaker.of_hotkey(kit.MINER), NOTE)
            assert (answer.status, json.loads(answer.body)["error"]["code"]) == (ends.TIMEOUT.status, "timeout")

    kit.run(scene())


def test_an_answer_is_taken_for_who_has_asked_only(kit):
    async def scene():
        async with kit.relay() as hub:
            peer = await kit.Peer(hub.port, kit.session(kit.VALIDATOR, 2)).open()
            await kit.until(lambda: hub.has_application)
            asking = asyncio.create_task(post(kit, hub, Speaker.of_hotkey(kit.MINER), NOTE))
            line = await peer.text()
            number = line.split()[1]
            assert line.startswith(f"post {number} -\n")
            wrong = peer.frame(encode_message("ack", "", {"ids": [], "seq": 1}), to=kit.OTHER.ss58_address)
            peer.websocket.send_text(f"answer {number}\n{wrong}")
            assert await peer.closed() == ends.RECEIVER.close
            answer = await asking
            assert (answer.status, json.loads(answer.body)["error"]["code"]) == (503, "closing")

    kit.run(scene())
