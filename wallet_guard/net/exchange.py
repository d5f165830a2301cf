"""What handlers see: a request in, a response out."""

import json
from typing import Any, NamedTuple

from wallet_guard.wire.http1.fields import Fields
from wallet_guard.wire.http1.head import RequestHead

_encode_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode


class Peer(NamedTuple):
    """The other end of a connection, as the kernel (and the TLS handshake) tell it."""

    address: str  # IP address; "" for a Unix socket
    port: int  # 0 for a Unix socket
    uid: int  # of the peer's process on a Unix socket (SO_PEERCRED); -1 for TCP
    certificate: bytes = b""  # DER of a verified client certificate; empty without mutual TLS

    @property
    def key(self) -> str:
        """What per-peer ceilings count by: the address, or `uid:N`."""
        return self.address or f"uid:{self.uid}"


class Request(NamedTuple):
    """A complete, checked request."""

    head: RequestHead
    body: bytes
    peer: Peer
    scheme: str  # "http" or "https"
    parameters: tuple[str, ...] = ()  # what the {} segments of the route matched, in order

    @property
    def method(self) -> str:
        """As sent; methods are case-sensitive."""
        return self.head.method

    @property
    def target(self) -> str:
        """As sent, path and query percent-encoded; what request signatures cover."""
        return self.head.target

    @property
    def path(self) -> str:
        """Decoded, in its only spelling."""
        return self.head.path

    @property
    def query(self) -> str:
        """As sent, without the "?"; for `urllib.parse.parse_qsl`."""
        return self.head.query

    @property
    def headers(self) -> Fields:
        """Case-insensitive: `request.headers.get("Authorization")` is "" if absent."""
        return self.head.fields


class Response(NamedTuple):
    """An answer. `headers` must not hold Content-Length, Content-Type, Date or Connection: they are written for you."""

    status: int = 200
    body: bytes = b""
    content_type: str = "application/json"  # not sent with an empty body
    headers: tuple[tuple[str, str], ...] = ()
    close: bool = False  # end the connection after it


def json_response(value: Any, status: int = 200, headers: tuple[tuple[str, str], ...] = ()) -> Response:
    """The value as compact JSON.

    Raises:
        TypeError, ValueError: the value cannot be said in JSON (NaN and infinities included).
    """
    return Response(status, _encode_json(value).encode("utf-8"), headers=headers)


def plain_error(status: int, reason: str) -> Response:
    """The answer for a request that never reached a handler, unless a server is given its own."""
    return json_response({"error": {"status": status, "reason": reason}}, status)
