"""Frames: one spelling, and nothing but FrameError for whatever comes. The vectors hold the rules one by one."""

import contextlib
import math
import random

import pytest

from wallet_guard.signed.frames import (
    MAX_FRAME_BYTES,
    FrameError,
    encode_frame,
    encode_message,
    encode_unsigned,
    parse_frame,
    read_messages,
)

ADDRESS = "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY"
LINES = [encode_message("prediction", "a.1", {"x": [1, "ü", None]}, ack=True), encode_message("heartbeat", "", {})]
TEXT = encode_frame(bytes(range(64)), encode_unsigned("sr25519", 7, 8, ADDRESS, "*", LINES)).decode()


def test_reads_back_what_was_written():
    frame = parse_frame(TEXT)
    assert frame[:1] + frame[2:7] == (bytes(range(64)), "sr25519", 7, 8, ADDRESS, "*")
    assert frame.signed == TEXT.encode()[129:]
    assert [tuple(message) for message in read_messages(frame)] == [
        ("prediction", "a.1", True, {"x": [1, "ü", None]}),
        ("heartbeat", "", False, {}),
    ]


def test_every_prefix_and_every_damaged_byte_ends_in_frame_or_frame_error():
    chance = random.Random(4)
    for end in range(len(TEXT)):
        with pytest.raises(FrameError):
            parse_frame(TEXT[:end])
    for _ in range(20_000):
        text = list(TEXT)
        for _ in range(chance.randrange(1, 4)):
            text[chance.randrange(len(text))] = chr(chance.choice((*range(128), 0xE9, 0x2028, 0xD800, 0x1F600)))
        with contextlib.suppress(FrameError):
            read_messages(parse_frame("".join(text)))


def test_refuses_a_frame_over_the_limit_before_anything_else():
    with pytest.raises(FrameError) as caught:
        parse_frame("x" * (MAX_FRAME_BYTES + 1))
    assert caught.value.code == "size"


@pytest.mark.parametrize("data", [{"a": math.nan}, {"a": math.inf}, {"a": "\ud800"}])
def test_does_not_write_what_it_would_not_read(data):
    with pytest.raises(ValueError, match=r"JSON|surrogates"):
        encode_message("x", "", data)


@pytest.mark.parametrize(
    ("type_", "id_"), [("X", ""), ("", ""), ("a b", ""), ("x", "a b"), ("x", "a" * 65), ('x"', "")]
)
def test_does_not_write_another_type_or_id(type_, id_):
    with pytest.raises(ValueError, match="expected a message type and id"):
        encode_message(type_, id_, {})


def test_a_line_feed_in_data_stays_within_its_line():
    line = encode_message("x", "", {"a": "1\n2\r\u2028"})
    assert "\n" not in line
