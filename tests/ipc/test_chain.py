"""What the chain process may ask: nothing that wants a token, nothing that answers with one."""

import dataclasses

from wallet_guard.ipc.chain import Pulse
from wallet_guard.ipc.questions import CHAIN
from wallet_guard.ipc.records import from_json, to_json


def test_the_chain_process_can_neither_wish_nor_show_a_token() -> None:
    assert not any("token" in field.name for record in CHAIN.values() for field in dataclasses.fields(record))


def test_a_pulse_comes_through_as_it_was() -> None:
    pulse = Pulse("ws://127.0.0.1:9944", 7, None, "")
    assert from_json(Pulse, to_json(pulse)) == pulse
