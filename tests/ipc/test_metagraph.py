"""The one question of the chain process's own socket."""

from wallet_guard.ipc.metagraph import MAX_MEMBERS, METAGRAPH, Members, MembersView
from wallet_guard.ipc.packets import MAX_PACKET_BYTES, encode_packet
from wallet_guard.ipc.records import from_json, to_json


def test_there_is_one_question():
    assert {"members": Members} == METAGRAPH


def test_the_largest_answer_is_a_packet_and_comes_back_as_it_was():
    view = MembersView(2, 7, tuple(number.to_bytes(32, "big") for number in range(MAX_MEMBERS)))
    packet = encode_packet({"id": 1, "answer": to_json(view)})
    assert len(packet) < MAX_PACKET_BYTES
    assert from_json(MembersView, to_json(view)) == view
