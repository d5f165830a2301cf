import pytest

from wallet_guard.wire.websocket.frames import BINARY, FIN, TEXT, apply_mask, encode_frame, encode_head

KEY = bytes.fromhex("37fa213d")


@pytest.mark.parametrize("size", [0, 1, 2, 3, 4, 5, 7, 125, 191, 192, 193, 194, 195, 4096, 70001])
def test_masking_is_the_xor_of_every_byte(size: int) -> None:
    payload = bytes((index * 7 + index // 251) % 256 for index in range(size))
    assert apply_mask(payload, KEY) == bytes(octet ^ KEY[index % 4] for index, octet in enumerate(payload))


@pytest.mark.parametrize("size", [5, 600])
def test_masking_twice_is_nothing(size: int) -> None:
    payload = bytes(size)
    assert apply_mask(apply_mask(payload, KEY), KEY) == payload


def test_the_masked_hello_of_the_rfc() -> None:
    # RFC 6455, section 5.7
    assert encode_frame(FIN | TEXT, b"Hello", KEY) == bytes.fromhex("8185 37fa213d 7f9f4d5158")
    assert encode_frame(FIN | TEXT, b"Hello") == bytes.fromhex("8105 48656c6c6f")
    assert encode_frame(TEXT, b"Hel") == bytes.fromhex("0103 48656c")


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (0, "8200"),
        (125, "827d"),
        (126, "827e007e"),
        (256, "827e0100"),
        (65535, "827effff"),
        (65536, "827f0000000000010000"),
        (2**63 - 1, "827f7fffffffffffffff"),
    ],
)
def test_lengths_are_in_their_shortest_form(size: int, expected: str) -> None:
    assert encode_head(FIN | BINARY, size, masked=False) == bytes.fromhex(expected)
    masked = encode_head(FIN | BINARY, size, masked=True)
    assert masked[1] & 0x80
    assert bytes((masked[0], masked[1] & 0x7F)) + masked[2:] == bytes.fromhex(expected)
