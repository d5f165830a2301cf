"""Close codes and the payload of a close frame (RFC 6455, sections 5.5.1 and 7.4)."""

from typing import Final, NamedTuple

from wallet_guard.wire.errors import WebSocketError

NORMAL: Final = 1000
GOING_AWAY: Final = 1001
PROTOCOL_ERROR: Final = 1002
UNSUPPORTED_DATA: Final = 1003
NO_STATUS: Final = 1005  # never sent: the peer's close frame was empty
ABNORMAL: Final = 1006  # never sent: the connection ended without a close frame
INVALID_DATA: Final = 1007
POLICY_VIOLATION: Final = 1008
MESSAGE_TOO_BIG: Final = 1009
INTERNAL_ERROR: Final = 1011
TRY_AGAIN_LATER: Final = 1013

# Defined for the wire in section 7.4.1 and its IANA registry; 1004, 1005, 1006 and 1015 must not appear
# there.
_REGISTERED = frozenset({1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014})
_MAX_REASON_BYTES = 123  # a control frame holds 125 bytes, two of them the code (section 5.5)


class Close(NamedTuple):
    """How a connection ended or is to end."""

    code: int
    reason: str


def parse_close(payload: bytes) -> Close:
    """What a received close frame says; NO_STATUS if it is empty.

    Raises:
        WebSocketError: 1002 for a code that must not be sent or half a code, 1007 for a reason that is no
        UTF-8.
    """
    if not payload:
        return Close(NO_STATUS, "")
    code = int.from_bytes(payload[:2], "big")
    if len(payload) == 1 or not is_sendable(code):
        raise WebSocketError(PROTOCOL_ERROR, f"expected a close code, found {code}")
    try:
        return Close(code, payload[2:].decode("utf-8"))
    except UnicodeDecodeError:
        raise WebSocketError(INVALID_DATA, "the reason of a close is no UTF-8") from None


def encode_close(code: int, reason: str) -> bytes:
    """The payload of a close frame; empty for NO_STATUS. A long reason is cut between characters.

    Raises:
        ValueError: a code that must not be sent.
    """
    if code == NO_STATUS:
        return b""
    if not is_sendable(code):
        raise ValueError(f"close code {code} cannot be sent")
    octets = reason.encode("utf-8")[:_MAX_REASON_BYTES].decode("utf-8", "ignore").encode("utf-8")
    return code.to_bytes(2, "big") + octets


def is_sendable(code: int) -> bool:
    """Whether the code may stand in a close frame (section 7.4.2): registered, or for libraries and applications."""
    return code in _REGISTERED or 3000 <= code <= 4999
