"""Packets on a Unix stream socket: four bytes of length, then that many bytes of one JSON object.

A stream, not SEQPACKET: runtime metadata (hundreds of kB) is larger than the largest datagram that an
unprivileged socket buffer takes. A peer that breaks the framing is cut off: after one wrong length nothing on
the stream can be trusted.
"""

import json
from typing import Any, Never

LENGTH_BYTES = 4

MAX_PACKET_BYTES = 4 * 1024 * 1024
"""4 MiB: runtime metadata today is 0.4 MB (0.5 MB in base64); nothing else comes near."""

MAX_ASKER_PACKET_BYTES = 512 * 1024
"""512 KiB: a request of 4,096 weights, each with a 48-character hotkey, is 0.3 MB."""


class PacketError(Exception):
    """The peer sent bytes that are no packet. The connection must be closed."""


def _no_constant(name: str) -> Never:
    raise PacketError(f"expected JSON numbers, found {name}")


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise PacketError("expected each key once, found a duplicate key")
    return found


# Looking out for cycles, which records cannot have, is half of the time that long lists take.
_encode = json.JSONEncoder(allow_nan=False, check_circular=False, separators=(",", ":")).encode
_decode = json.JSONDecoder(parse_constant=_no_constant, object_pairs_hook=_no_duplicates).decode


def encode_packet(message: dict[str, Any]) -> bytes:
    """The packet's bytes, length included.

    Raises:
        ValueError: the message holds NaN or an infinity, or is longer than MAX_PACKET_BYTES.
    """
    body = _encode(message).encode()
    if len(body) > MAX_PACKET_BYTES:
        raise ValueError(f"expected a packet of at most {MAX_PACKET_BYTES} bytes, found {len(body)}")
    return len(body).to_bytes(LENGTH_BYTES, "big") + body


def parse_packet(body: bytes) -> dict[str, Any]:
    """The JSON object of a packet's body.

    Raises:
        PacketError: not UTF-8, not JSON, not an object, a duplicate key, NaN or an infinity.
    """
    try:
        # Decoded here: json.loads would guess UTF-16 and let lone surrogates pass.
        message = _decode(body.decode())
    except (ValueError, RecursionError) as error:
        raise PacketError("expected a JSON object, found bytes that are no JSON") from error
    if not isinstance(message, dict):
        raise PacketError(f"expected a JSON object, found {type(message).__name__}")
    return message


class PacketReader:
    """Cuts a stream into packets. Feed it what arrived; it keeps what is not yet whole."""

    def __init__(self, max_packet_bytes: int = MAX_PACKET_BYTES) -> None:
        self._max = max_packet_bytes
        self._chunks: list[bytes] = []
        self._held = 0
        self._wanted = LENGTH_BYTES

    def feed(self, data: bytes) -> list[dict[str, Any]]:
        """The packets that are complete now, in order; often none, sometimes several.

        Raises:
            PacketError: a length over the ceiling, or a body that is no JSON object.
        """
        # Chunks are joined only once a whole packet is there: appending to one buffer would be quadratic.
        self._chunks.append(data)
        self._held += len(data)
        packets: list[dict[str, Any]] = []
        if self._held < self._wanted:
            return packets
        buffer = b"".join(self._chunks)
        start = 0
        while len(buffer) - start >= LENGTH_BYTES:
            length = int.from_bytes(buffer[start : start + LENGTH_BYTES], "big")
            if length > self._max:
                raise PacketError(f"expected a packet of at most {self._max} bytes, found {length}")
            end = start + LENGTH_BYTES + length
            if len(buffer) < end:
                self._wanted = end - start
                break
            packets.append(parse_packet(buffer[start + LENGTH_BYTES : end]))
            start = end
            self._wanted = LENGTH_BYTES
        self._chunks = [buffer[start:]]
        self._held = len(buffer) - start
        return packets
