"""Packets: however the stream is cut, the same comes out; whatever comes in, packets or a PacketError."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wallet_guard.ipc.packets import (
    LENGTH_BYTES,
    MAX_PACKET_BYTES,
    PacketError,
    PacketReader,
    encode_packet,
    parse_packet,
)

MESSAGES = [{}, {"id": 1, "ask": "accept", "body": {"weights": [1.5, 2]}}, {"event": "work", "body": {}}, {"é": "日本"}]
STREAM = b"".join(encode_packet(message) for message in MESSAGES)


def fed(*chunks: bytes, ceiling: int = MAX_PACKET_BYTES) -> list[dict[str, Any]]:
    reader = PacketReader(ceiling)
    return [message for chunk in chunks for message in reader.feed(chunk)]


def test_reads_a_whole_stream() -> None:
    assert fed(STREAM) == MESSAGES


def test_reads_byte_by_byte() -> None:
    assert fed(*(bytes([byte]) for byte in STREAM)) == MESSAGES


@pytest.mark.parametrize("at", range(len(STREAM) + 1))
def test_reads_a_stream_cut_anywhere(at: int) -> None:
    assert fed(STREAM[:at], b"", STREAM[at:]) == MESSAGES


def test_gives_out_a_packet_with_its_last_byte_not_before() -> None:
    reader = PacketReader()
    packet = encode_packet({"id": 1})
    assert reader.feed(packet[:-1]) == []
    assert reader.feed(packet[-1:] + packet[:3]) == [{"id": 1}]
    assert reader.feed(packet[3:]) == [{"id": 1}]


def test_refuses_a_length_over_the_ceiling_before_the_body_comes() -> None:
    with pytest.raises(PacketError, match="at most 10 bytes, found 11"):
        fed((11).to_bytes(LENGTH_BYTES, "big"), ceiling=10)


def test_takes_a_length_at_the_ceiling() -> None:
    packet = encode_packet({"a": "bc"})
    assert fed(packet, ceiling=len(packet) - LENGTH_BYTES) == [{"a": "bc"}]


def test_the_largest_length_is_refused() -> None:
    with pytest.raises(PacketError):
        fed(b"\xff\xff\xff\xff")


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"[]", id="a list"),
        pytest.param(b"1", id="a number"),
        pytest.param(b"null", id="null"),
        pytest.param(b'{"a":1', id="cut"),
        pytest.param(b'{"a":1}{', id="more than one"),
        pytest.param(b'{"a":1,"a":2}', id="a key twice"),
        pytest.param(b'{"b":{"a":1,"a":2}}', id="a key twice, nested"),
        pytest.param(b'{"a":NaN}', id="NaN"),
        pytest.param(b'{"a":-Infinity}', id="infinity"),
        pytest.param(b'{"a":"\xff"}', id="no UTF-8"),
        pytest.param(b'{"a":"\xed\xa0\x80"}', id="a surrogate in UTF-8"),
        pytest.param('{"a":1}'.encode("utf-16"), id="UTF-16"),
        pytest.param('{"a":1}'.encode("utf-32-le"), id="UTF-32"),
        pytest.param(b'\xef\xbb\xbf{"a":1}', id="a byte order mark"),
        pytest.param(b"[" * 100_000, id="deep"),
        pytest.param(b'{"a":' * 50_000 + b"1" + b"}" * 50_000, id="deep and whole"),
        pytest.param(b'{"a":' + b"9" * 5_000 + b"}", id="a number of 5,000 digits"),
    ],
)
def test_refuses_a_body_that_is_no_object(body: bytes) -> None:
    with pytest.raises(PacketError):
        parse_packet(body)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.binary(max_size=40), max_size=8))
def test_every_stream_ends_in_packets_or_a_packet_error(chunks: list[bytes]) -> None:
    try:
        found = fed(*chunks)
    except PacketError:
        return
    assert all(isinstance(message, dict) for message in found)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=60))
def test_every_body_ends_in_an_object_or_a_packet_error(body: bytes) -> None:
    try:
        found = parse_packet(body)
    except PacketError:
        return
    assert found == json.loads(body)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_never_writes_what_it_would_not_read(value: float) -> None:
    with pytest.raises(ValueError):
        encode_packet({"a": value})


def test_never_writes_a_packet_over_the_ceiling() -> None:
    with pytest.raises(ValueError, match="at most 4194304 bytes"):
        encode_packet({"a": "x" * MAX_PACKET_BYTES})
