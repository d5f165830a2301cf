"""The door to the SDK, with the recorded runtime of spec 461 and a listener that misbehaves."""

import asyncio
import socket
from importlib import resources
from typing import Any

import pytest

from wallet_guard.chain.errors import Unavailable
from wallet_guard.chain.facts import ITEMS, PALLET, plan, read
from wallet_guard.chain.ports import DispatchFailure
from wallet_guard.chain.sdk import Codec, Connection, make_codec
from wallet_guard.ipc.chain import Action

ALICE = "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY"


@pytest.fixture(scope="module")
def metadata() -> bytes:
    return (resources.files("wallet_guard.devnet") / "data" / "subtensor-spec461-v15.scale").read_bytes()


@pytest.fixture(scope="module")
def codec(metadata: bytes) -> Codec:
    return Codec(metadata, spec_version=461, transaction_version=1)


def test_unwraps_the_metadata_from_its_option(metadata: bytes) -> None:
    compact = (len(metadata) << 2 | 2).to_bytes(4, "little")
    assert make_codec(b"\x01" + compact + metadata, 461, 1).metadata == metadata


@pytest.mark.parametrize("answer", [b"", b"\x00", b"\x01", b"\x01\x04m", b"\x01\x14meta\x0e", b"\x01\x18meta\x0f\xff"])
def test_refuses_what_is_no_metadata(answer: bytes) -> None:
    with pytest.raises(Unavailable):
        make_codec(answer, 461, 1)


def test_every_item_is_keyed_and_typed_as_the_recorded_runtime_has_it(codec: Codec, kit: Any) -> None:
    assert [item.name for item in ITEMS.values() if not codec.has(PALLET, item.name)] == []
    wanted = plan(codec, kit.task(Action.FACTS, ss58_address=ALICE, hotkeys=(ALICE,)))
    assert len(wanted.keys) == len(ITEMS) + 1
    found = read(codec, wanted, [None] * len(wanted.keys)).values
    assert found["uid"] is None
    assert (found["commit_reveal"], found["commit_reveal_version"], found["rate_limit"]) == (True, 4, 100)


def test_knows_what_a_runtime_lacks(codec: Codec) -> None:
    assert not codec.has(PALLET, "SubnetEpochConsensus")
    assert not codec.has("NoPallet", "Nothing")
    assert codec.constant("NoPallet", "Nothing") is None
    assert codec.constant("Aura", "SlotDuration") == 250


def test_decodes_values_and_refuses_others(codec: Codec) -> None:
    assert codec.value(PALLET, "Weights", bytes.fromhex("080100ffff02000100")) == [(1, 65535), (2, 1)]
    assert codec.value("System", "Account", None)["nonce"] == 0
    with pytest.raises(Unavailable, match=r"SubtensorModule\.Weights: expected a value"):
        codec.value(PALLET, "Weights", b"\x08\x01")


def test_refuses_keys_of_another_shape(codec: Codec) -> None:
    with pytest.raises(Unavailable, match="expected 3 keys"):
        codec.key(PALLET, "Weights", [1, 2, 3])
    with pytest.raises(Unavailable, match="expected 2 keys"):
        codec.key(PALLET, "Uids", [1, "no address"])


def failed(error: Any) -> list[dict[str, Any]]:
    attributes = {"dispatch_error": error, "dispatch_info": {"weight": 0}}
    return [
        {"extrinsic_idx": 3, "event": {"module_id": "System", "event_id": "ExtrinsicFailed", "attributes": attributes}}
    ]


def test_names_a_dispatch_error_by_the_metadata(codec: Codec) -> None:
    found = codec.failure(failed({"Module": {"index": 7, "error": "0x02000000"}}), 3)
    assert found is not None
    assert found.name
    assert found.documentation
    assert codec.failure(failed("BadOrigin"), 3) == DispatchFailure("BadOrigin", "BadOrigin")


def test_success_is_no_failure_and_silence_no_success(codec: Codec) -> None:
    attributes = {"dispatch_info": {"weight": 0}}
    event = {"module_id": "System", "event_id": "ExtrinsicSuccess", "attributes": attributes}
    assert codec.failure([{"extrinsic_idx": 3, "event": event}], 3) is None
    for events in (None, [], [{"extrinsic_idx": 2, "event": event}], [7]):
        with pytest.raises(Unavailable, match="extrinsic 3"):
            codec.failure(events, 3)


def test_a_refused_connection_is_unavailable() -> None:
    with pytest.raises(Unavailable, match="Connect call failed"):
        asyncio.run(Connection.open("ws://127.0.0.1:1"))


def test_a_listener_that_accepts_and_is_silent_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wallet_guard.chain.sdk.HANDSHAKE_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as listener, pytest.raises(Unavailable):
        asyncio.run(Connection.open(f"ws://127.0.0.1:{listener.getsockname()[1]}"))
