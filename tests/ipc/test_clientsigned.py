"""A signed request fits through the signer's socket."""

from wallet_guard.ipc.clientsigned import MAX_SIGNED_BODY_BYTES, ClientSigned
from wallet_guard.ipc.packets import MAX_ASKER_PACKET_BYTES, encode_packet
from wallet_guard.ipc.records import from_json, to_json


def test_the_largest_one_fits_into_a_packet():
    fields = tuple((f"X-Bittensor-{at}", "f" * 200) for at in range(6))
    question = ClientSigned("POST", "/" + "x" * 8191, fields, b"\xff" * MAX_SIGNED_BODY_BYTES)
    packet = encode_packet({"id": 2**53, "ask": question.ask, "body": to_json(question)})
    assert len(packet) <= MAX_ASKER_PACKET_BYTES
    assert from_json(ClientSigned, to_json(question)) == question
