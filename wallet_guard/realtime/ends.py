"""How a connection or an attempt ends, and what to do about it: one table for both sides.

hardening/btws.md, section 9, has it for other languages.
"""

import json
import ssl
from typing import Any, Final, NamedTuple

from wallet_guard.net import RefusedError
from wallet_guard.signed.btauth import (
    AuthError,
    BadSignature,
    MalformedAuth,
    ReplayedRequest,
    StaleRequest,
    TooManyRequests,
    WrongReceiver,
)
from wallet_guard.wire.errors import ProtocolError


class End(NamedTuple):
    """One way to end."""

    code: str
    close: int  # WebSocket close code
    status: int  # HTTP status of the same refusal
    meaning: str
    advice: str

    @property
    def reason(self) -> str:
        """The text of a close frame; it has room for 123 bytes."""
        return f"{self.code}: {self.advice}"


FORMAT: Final = End("format", 4000, 400, "no btws/1 frame", "compare what you send with the vectors of btws/1")
AUTHENTICATION: Final = End(
    "authentication", 4001, 401, "the opening proves no hotkey", "check hotkey, scheme, receiver; sign each attempt"
)  # fmt: skip
AUTHORISATION: Final = End(
    "authorisation", 4003, 403, "this hotkey may not connect", "register it on the netuid; that is seen within a minute"
)
RECEIVER: Final = End("receiver", 4004, 403, "a frame for somebody else", "check the hotkey that you send to")
SENDER: Final = End("sender", 4005, 403, "a frame by somebody else", "one connection speaks for one hotkey")
SIGNATURE: Final = End(
    "signature", 4006, 401, "a wrong signature", "check key and scheme; sign the bytes that you send"
)
CERTIFICATE: Final = End(
    "certificate", 4007, 401, "no key that holds", "present a new certificate before the old one ends"
)
HEARTBEAT: Final = End(
    "heartbeat",
    4008,
    408,
    "silent for too long",
    "check the network; proxies must wait longer than the heartbeat",
)
REPLACED: Final = End(
    "replaced",
    4009,
    409,
    "this hotkey opened a newer connection",
    "run one process per hotkey; wait before you reconnect",
)
CLOCK: Final = End("clock", 4010, 401, "the clocks differ too much", "run NTP on both sides")
REPLAYED: Final = End("replayed", 4011, 409, "taken already", "let seq rise, and sign when you send")
HELLO: Final = End("hello", 4012, 408, "no hello in time", "send hello with the challenge when the welcome comes")
CONNECTIONS: Final = End(
    "connections", 4013, 429, "too many connections or attempts", "wait a minute; share one connection per hotkey"
)
SLOW: Final = End(
    "slow", 4014, 408, "what is sent to you is not read", "read faster; handle messages off the reading path"
)
PINGS: Final = End("pings", 1008, 429, "too many pings", "one ping in a heartbeat interval is enough")
SIZE: Final = End("size", 1009, 413, "larger than max_frame_bytes", "send less at once")
CLOSING: Final = End("closing", 1001, 503, "the server stops", "reconnect with back-off")
INTERNAL: Final = End("internal", 1011, 500, "a fault of the other side", "try again later; it is logged there")
LOST: Final = End(
    "lost", 1006, 502, "the connection was cut", "nothing, it is opened again; check the network if it recurs"
)
UNREACHABLE: Final = End(
    "refused",
    1006,
    502,
    "nobody listens there",
    "check address and port, that it runs with --websocket_enabled, the firewall",
)
TIMEOUT: Final = End("timeout", 1006, 504, "no answer in time", "check address, firewall and load of the other side")
TLS: Final = End(
    "tls", 1006, 502, "TLS failed", "check the certificate, its name, and that both sides use wss or neither"
)
PROTOCOL: Final = End(
    "protocol", 1002, 502, "no btws.1 behind this address", "check the port, and proxies: Upgrade must pass"
)

ENDS: Final = (
    FORMAT, AUTHENTICATION, AUTHORISATION, RECEIVER, SENDER, SIGNATURE, CERTIFICATE, HEARTBEAT, REPLACED, CLOCK,
    REPLAYED, HELLO, CONNECTIONS, SLOW, PINGS, SIZE, CLOSING, INTERNAL, LOST, UNREACHABLE, TIMEOUT, TLS, PROTOCOL,
)  # fmt: skip

OF_FRAME: Final = {
    "shape": FORMAT, "message": FORMAT, "size": SIZE, "receiver": RECEIVER, "sender": SENDER, "signature": SIGNATURE,
    "speaker": CERTIFICATE, "expired": CERTIFICATE, "stale": CLOCK, "early": CLOCK, "replayed": REPLAYED,
}  # fmt: skip
"""The end that a refused frame stands for, by `FrameError.code`."""

PATIENT: Final = frozenset({"speaker", "expired", "stale", "early", "replayed"})
"""Refusals that a network or a clock can cause: the frame is dropped, and only many of them end the connection."""

FAULTS: Final = frozenset({FORMAT, RECEIVER, SENDER, SIGNATURE, CERTIFICATE, REPLAYED, HELLO, PINGS, SIZE, PROTOCOL})
"""Ends that the other side has brought about itself; with many of them it has to wait before it may open another."""

_BY_CODE: Final = {end.code: end for end in ENDS}
_BY_CLOSE: Final = {end.close: end for end in reversed(ENDS)}
_OF_AUTH: Final[dict[type[AuthError], End]] = {
    MalformedAuth: FORMAT,
    WrongReceiver: RECEIVER,
    StaleRequest: CLOCK,
    BadSignature: AUTHENTICATION,
    ReplayedRequest: REPLAYED,
    TooManyRequests: CONNECTIONS,
}


class RealtimeError(Exception):
    """Something could not be sent or opened. `end` says what to do about it."""

    def __init__(self, end: End, detail: str = "") -> None:
        super().__init__(f"{end.meaning}{': ' if detail else ''}{detail} ({end.advice})")
        self.end = end


class QueueFullError(RealtimeError):
    """The peer does not take its messages, and no more are kept for it."""

    def __init__(self, detail: str) -> None:
        super().__init__(SLOW, detail)


def end_of_close(close: int, reason: str) -> End:
    """What a close code of the other side stands for."""
    code = reason.partition(":")[0]
    found = _BY_CODE.get(code)
    if found is not None and found.close == close:
        return found
    return _BY_CLOSE.get(close, LOST)


def end_of_auth(error: AuthError) -> End:
    """What a refused opening stands for."""
    return _OF_AUTH.get(type(error), AUTHENTICATION)


def end_of_attempt(error: BaseException) -> End:
    """What a failed attempt to connect stands for."""
    if isinstance(error, RealtimeError):
        return error.end
    if isinstance(error, RefusedError):
        return end_of_response(error.response.status, error.response.body)
    if isinstance(error, ssl.SSLError):
        return TLS
    if isinstance(error, TimeoutError):
        return TIMEOUT
    if isinstance(error, ProtocolError | ValueError):
        return PROTOCOL
    return UNREACHABLE


def end_of_response(status: int, body: bytes) -> End:
    """What a refusal in HTTP stands for."""
    try:
        answer: Any = json.loads(body)
        return _BY_CODE[str(answer["error"]["code"])]
    except (ValueError, KeyError, TypeError, RecursionError):
        return {401: AUTHENTICATION, 403: AUTHORISATION, 429: CONNECTIONS, 503: CLOSING}.get(status, PROTOCOL)


def describe(end: End, detail: str = "") -> dict[str, Any]:
    """The body of a refusal in HTTP."""
    return {"error": {"code": end.code, "reason": detail or end.meaning, "advice": end.advice}}
