"""The opening handshake, both roles (RFC 6455, section 4)."""

import binascii
from collections.abc import Iterable
from hashlib import sha1

from wallet_guard.wire.errors import HttpError, quoted
from wallet_guard.wire.http1.client import Response, encode_request
from wallet_guard.wire.http1.fields import TOKEN, Fields, encode_fields
from wallet_guard.wire.http1.head import RequestHead

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # section 1.3
_VERSION = "13"
_KEY_BYTES = 16
_OURS = frozenset({"upgrade", "connection", "sec-websocket-key", "sec-websocket-version", "sec-websocket-protocol"})


def check_request(head: RequestHead) -> str:
    """The key of a client's opening handshake, after all that section 4.2.1 demands.

    `head.upgrades_websocket` holds already: HTTP/1.1, `Connection: Upgrade` and `Upgrade: websocket`.

    Raises:
        HttpError: 400, 405 for another method than GET, or 426 naming our version for another version.
    """
    if head.method != "GET":
        raise HttpError(405, "a WebSocket is opened with GET", (("Allow", "GET"),))
    if head.length != 0:
        raise HttpError(400, "a WebSocket handshake has no body")
    if head.fields.get("sec-websocket-version") != _VERSION:
        found = quoted(head.fields.get("sec-websocket-version"))
        reason = f"expected WebSocket version {_VERSION}, found {found}"
        # section 4.4; an Upgrade field goes with 426 (RFC 9110, section 15.5.22)
        raise HttpError(426, reason, (("Sec-WebSocket-Version", _VERSION), ("Upgrade", "websocket")))
    key = head.fields.get("sec-websocket-key")
    if not _is_key(key):
        raise HttpError(400, "expected one Sec-WebSocket-Key of 16 bytes in base64")
    return key


def offered_subprotocols(fields: Fields) -> tuple[str, ...]:
    """The subprotocols a client offers, in its order of preference, case kept (section 4.2.1, item 8).

    Raises:
        HttpError: 400 for a member that is no token, or one named twice (section 4.1, item 10).
    """
    if "sec-websocket-protocol" not in fields:
        return ()
    names = tuple(name.strip(" \t") for name in fields.get("sec-websocket-protocol").split(","))
    if any(TOKEN.fullmatch(name) is None for name in names) or len(set(names)) != len(names):
        raise HttpError(400, "expected a list of different subprotocols")
    return names


def encode_accept(key: str, subprotocol: str = "", fields: Iterable[tuple[str, str]] = ()) -> bytes:
    """The server's answer that opens the connection (section 4.2.2); no extension is ever accepted.

    Raises:
        ValueError: a field that cannot be sent.
    """
    lines = [("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Accept", accept_key(key))]
    if subprotocol:
        lines.append(("Sec-WebSocket-Protocol", subprotocol))
    lines.extend(fields)
    return f"HTTP/1.1 101 Switching Protocols\r\n{encode_fields(lines)}\r\n".encode("latin-1")


def encode_opening(
    host: str,
    target: str,
    nonce: bytes,
    subprotocols: tuple[str, ...] = (),
    fields: Iterable[tuple[str, str]] = (),
) -> tuple[bytes, str]:
    """The client's opening request and the key in it; `nonce` is 16 fresh random bytes (section 4.1).

    Raises:
        ValueError: something that cannot be sent, or a field that is ours to write.
    """
    if len(nonce) != _KEY_BYTES:
        raise ValueError(f"expected a nonce of {_KEY_BYTES} bytes, found {len(nonce)}")
    extra = tuple(fields)
    for name, _ in extra:
        if name.lower() in _OURS:
            raise ValueError(f"the field {name} belongs to the handshake")
    key = binascii.b2a_base64(nonce, newline=False).decode("ascii")
    lines = [
        ("Host", host),
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Key", key),
        ("Sec-WebSocket-Version", _VERSION),
    ]
    if subprotocols:
        lines.append(("Sec-WebSocket-Protocol", ", ".join(subprotocols)))
    return encode_request("GET", target, (*lines, *extra), b""), key


def check_response(response: Response, key: str, subprotocols: tuple[str, ...] = ()) -> str:
    """The subprotocol that the server chose, "" if none, after all that section 4.1 demands of its answer.

    Raises:
        HttpError: 502, the server refuses, redirects (we never follow) or proves nothing.
    """
    if response.status != 101:
        raise HttpError(502, f"expected status 101, found {response.status}")
    fields = response.fields
    if fields.tokens("upgrade") != ("websocket",) or "upgrade" not in fields.tokens("connection"):
        raise HttpError(502, "the answer upgrades to something else than WebSocket")
    if fields.get("sec-websocket-accept") != accept_key(key):
        raise HttpError(502, "the answer does not prove that the handshake was read")
    if "sec-websocket-extensions" in fields:
        raise HttpError(502, "the answer has an extension that was not offered")
    if "sec-websocket-protocol" not in fields:
        return ""
    chosen = fields.get("sec-websocket-protocol")
    if chosen not in subprotocols:
        raise HttpError(502, f"the answer has a subprotocol that was not offered: {quoted(chosen)}")
    return chosen


def accept_key(key: str) -> str:
    """What proves that the server has read this key (section 4.2.2, item 5.4)."""
    # SHA-1 is what the RFC prescribes; it guards against confused servers, not against attackers
    digest = sha1(key.encode("ascii") + _GUID, usedforsecurity=False).digest()
    return binascii.b2a_base64(digest, newline=False).decode("ascii")


def _is_key(key: str) -> bool:
    try:
        nonce = binascii.a2b_base64(key.encode("ascii"), strict_mode=True)
    except (binascii.Error, UnicodeEncodeError):
        return False
    # the second comparison refuses stray bits in the last character: one nonce, one spelling
    return len(nonce) == _KEY_BYTES and binascii.b2a_base64(nonce, newline=False) == key.encode("ascii")
