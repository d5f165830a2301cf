"""Frames by HTTP."""

from wallet_guard.net import HttpClient, parse_url
from wallet_guard.realtime import (
    Via,
)
from wallet_guard.signed.frames import encode_message


def test_a_prediction_goes_by_http_where_there_is_no_websocket_and_is_confirmed_in_the_answer(kit):
    async def scene():
        async with kit.validator(kit.session(kit.VALIDATOR)) as validator:

            async def confirm(hotkey, data):
                await validator.send_confirmation(hotkey, {"prediction_id": data["prediction_id"], "status": "success"})

            validator.register_prediction_handler(confirm)
            async with kit.miner(validator, enabled=False, connected=False) as miner:
                sent = await miner.send_prediction(kit.VALIDATOR.ss58_address, {"prediction_id": "p"})
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
