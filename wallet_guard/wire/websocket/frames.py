"""Frames: their layout, their masking (RFC 6455, sections 5.2 and 5.3).

      0               1               2               3
     +-+-+-+-+-------+-+-------------+-------------------------------+
     |F|R|R|R| opcode|M| length 7    | length 16 or 64, if 126 / 127 |
     +-+-+-+-+-------+-+-------------+-------------------------------+
     | masking key, if M             | payload ...                   |

Masking in pure Python, by size. Short payloads: one XOR of two big integers, 1.3 µs for 125 B, where a loop over the
bytes takes twenty times that; but turning bytes into integers and back costs 3 ns a byte. Longer ones, from where the
two meet: every fourth byte has the same byte of the key, so four lanes of the payload are translated by a table each,
1.7 ns a byte at any length. It has to be a bytearray: `bytes.translate` also looks whether anything changed, at twice
the cost. The lanes are written out because a loop over them costs 15 % at 1 KiB.
"""

from typing import Final

CONTINUATION: Final = 0x0
TEXT: Final = 0x1
BINARY: Final = 0x2
CLOSE: Final = 0x8
PING: Final = 0x9
PONG: Final = 0xA

FIN: Final = 0x80
RESERVED: Final = 0x70
OPCODE: Final = 0x0F
MASKED: Final = 0x80

MAX_CONTROL_BYTES: Final = 125  # section 5.5

_TRANSLATED_FROM = 192  # bytes
_LANE_0, _LANE_1, _LANE_2, _LANE_3 = (slice(offset, None, 4) for offset in range(4))

# _TABLES[octet][x] == octet ^ x; 64 KiB, each row by the XOR of integers above
_ROW = int.from_bytes(bytes(range(256)), "little")
_TABLES: Final = [
    (_ROW ^ int.from_bytes(bytes((octet,)) * 256, "little")).to_bytes(256, "little") for octet in range(256)
]


def apply_mask(payload: bytes | bytearray, key: bytes) -> bytes | bytearray:
    """The payload masked, or unmasked, with a key of four bytes (section 5.3); a new object in any case."""
    size = len(payload)
    if size < _TRANSLATED_FROM:
        mask = int.from_bytes((key * (size // 4 + 1))[:size], "little")
        return (int.from_bytes(payload, "little") ^ mask).to_bytes(size, "little")
    turned = bytearray(payload)
    first, second, third, fourth = key
    turned[_LANE_0] = turned[_LANE_0].translate(_TABLES[first])
    turned[_LANE_1] = turned[_LANE_1].translate(_TABLES[second])
    turned[_LANE_2] = turned[_LANE_2].translate(_TABLES[third])
    turned[_LANE_3] = turned[_LANE_3].translate(_TABLES[fourth])
    return turned


def encode_head(first: int, size: int, *, masked: bool) -> bytes:
    """The head of a frame up to the masking key, its length in the shortest form (section 5.2)."""
    bit = MASKED if masked else 0
    if size < 126:
        return bytes((first, bit | size))
    if size < 65536:
        return bytes((first, bit | 126)) + size.to_bytes(2, "big")
    return bytes((first, bit | 127)) + size.to_bytes(8, "big")


def encode_frame(first: int, payload: bytes, masking_key: bytes | None = None) -> bytes:
    """A frame; `first` is FIN, reserved bits and opcode; with a key the payload goes out masked (client role)."""
    if masking_key is None:
        return encode_head(first, len(payload), masked=False) + payload
    return encode_head(first, len(payload), masked=True) + masking_key + apply_mask(payload, masking_key)
