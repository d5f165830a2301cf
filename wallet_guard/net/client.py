"""The client role: one HTTP connection for requests, or one that becomes a WebSocket.

Redirects are never followed: an answer that sends us elsewhere is for the caller to see (HTTP) or a refusal
(WebSocket). For a blocking client, `wire.http1.client` over a plain socket is enough.
"""

import asyncio
import secrets
import ssl
import threading
from time import monotonic
from typing import NamedTuple
from urllib.parse import urlsplit

from wallet_guard.net.exchange import Peer
from wallet_guard.net.limits import DEFAULT_WEBSOCKET_LIMITS, READ_BYTES, WebSocketLimits
from wallet_guard.net.websocket import Endpoint, WebSocket
from wallet_guard.wire.errors import HttpError
from wallet_guard.wire.http1.client import Response, ResponseParser, encode_request
from wallet_guard.wire.http1.head import Limits as HttpLimits
from wallet_guard.wire.websocket.handshake import check_response, encode_opening

_DEFAULT_TIMEOUT_SECONDS = 10.0
_PORTS = {"http": 80, "ws": 80, "https": 443, "wss": 443}


class Address(NamedTuple):
    """Where to connect: a URL taken apart, or a Unix socket."""

    host: str
    port: int
    target: str
    secure: bool
    unix_path: str = ""

    @property
    def authority(self) -> str:
        """The value of Host: the port only where it is not the scheme's own."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        usual = 443 if self.secure else 80
        return host if self.port == usual else f"{host}:{self.port}"


def parse_url(url: str, unix_path: str = "") -> Address:
    """The address of an http, https, ws or wss URL; with `unix_path` the connection goes there instead.

    Raises:
        ValueError: another scheme, no host, a fragment, or user information (RFC 6455, section 3; RFC 9110,
        4.2.4).
    """
    parts = urlsplit(url)
    if parts.scheme not in _PORTS or not parts.hostname:
        raise ValueError(f"expected an http, https, ws or wss URL, found {parts.scheme[:20]!r}")
    if "@" in parts.netloc or "#" in url:
        raise ValueError("a URL with user information or a fragment cannot be used")
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    port = _PORTS[parts.scheme] if parts.port is None else parts.port
    return Address(parts.hostname, port, target, parts.scheme in ("https", "wss"), unix_path)


class HttpClient(asyncio.BufferedProtocol):
    """A connection for one request at a time, kept alive between them where the server allows it.

    client = await HttpClient.connect(parse_url("http://127.0.0.1:8000/"))
    response = await client.request("POST", "/frames", body=b"...")
    client.close()
    """

    def __init__(self, address: Address, limits: HttpLimits) -> None:
        self.address = address
        self.buffer = _reading.buffer
        self._parser = ResponseParser(limits)
        self._transport: asyncio.Transport | None = None
        self._waiter: asyncio.Future[Response] | None = None
        self._usable = True

    @classmethod
    async def connect(
        cls,
        address: Address,
        *,
        tls: ssl.SSLContext | None = None,
        limits: HttpLimits = HttpLimits(),  # noqa: B008 - immutable
        timeout_seconds: float = _DEFAULT_TIMEOUT_SECONDS,
    ) -> "HttpClient":
        """An open connection; `tls` is needed for a secure address.

        Raises:
            OSError: no connection (TimeoutError included, and ssl.SSLError for a certificate that does not
            fit).
        """
        async with asyncio.timeout(timeout_seconds):
            client = cls(address, limits)
            await _connect(client, address, tls)
            return client

    @property
    def is_usable(self) -> bool:
        """Whether another request can be made on this connection."""
        return self._usable and self._transport is not None and not self._transport.is_closing()

    async def request(
        self,
        method: str,
        target: str,
        *,
        headers: tuple[tuple[str, str], ...] = (),
        body: bytes = b"",
        timeout_seconds: float = _DEFAULT_TIMEOUT_SECONDS,
    ) -> Response:
        """The response to this request, whatever its status; Host and Content-Length are written for you.

        Raises:
            HttpError: status 502, the server broke the protocol or hung up.
            OSError: the connection is not usable any more, or timed out (TimeoutError); it is closed then.
            ValueError: something that cannot be sent.
        """
        encoded = encode_request(method, target, (("Host", self.address.authority), *headers), body)
        return await self.exchange(method, encoded, timeout_seconds)

    async def exchange(self, method: str, encoded: bytes, timeout_seconds: float) -> Response:
        """The response to a request that is encoded already; raises as `request` does."""
        if not self.is_usable or self._transport is None:
            raise ConnectionResetError("the connection is not usable any more")
        assert self._waiter is None, "one request at a time"
        self._parser.begin(method)
        self._waiter = asyncio.get_running_loop().create_future()
        self._transport.write(encoded)
        try:
            async with asyncio.timeout(timeout_seconds):
                response = await self._waiter
        except BaseException:
            # an answer that comes later would be taken for that of the next request
            self.close()
            raise
        finally:
            self._waiter = None
        if not response.keep_alive and response.status != 101:
            self.close()
        return response

    def close(self) -> None:
        """Ends the connection."""
        self._usable = False
        if self._transport is not None:
            self._transport.close()

    def take_transport(self) -> tuple[asyncio.Transport, bytes]:
        """The transport and the bytes behind a 101 answer, for another protocol."""
        transport, self._transport = self._transport, None
        self._usable = False
        if transport is None:
            raise ConnectionResetError("the connection ended behind the handshake")
        return transport, self._parser.take_rest()

    # --- asyncio.BufferedProtocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """We are connected."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - asyncio's signature
        """Where to put the bytes to come."""
        return self.buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Bytes from the server."""
        self._parser.receive(bytes(self.buffer[:nbytes]))
        self._advance()

    def eof_received(self) -> bool:
        """The server will send no more."""
        self._parser.receive_eof()
        self._usable = False
        self._advance()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """The transport is gone."""
        self._transport = None
        self._usable = False
        if self._waiter is not None and not self._waiter.done():
            reason = "the connection ended before the response did"
            self._waiter.set_exception(exc or ConnectionResetError(reason))

    def _advance(self) -> None:
        try:
            response = self._parser.next_response()
        except HttpError as error:
            self.close()
            if self._waiter is not None and not self._waiter.done():
                self._waiter.set_exception(error)
            return
        if response is not None and self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(response)


async def open_websocket(
    address: Address,
    endpoint: Endpoint,
    *,
    tls: ssl.SSLContext | None = None,
    subprotocols: tuple[str, ...] = (),
    headers: tuple[tuple[str, str], ...] = (),
    limits: WebSocketLimits = DEFAULT_WEBSOCKET_LIMITS,
) -> WebSocket:
    """An open WebSocket whose messages go to the endpoint, after at most `limits.handshake_seconds`.

    Raises:
        RefusedError: the server answered with something else than a WebSocket; its answer is in `response`.
        HttpError: the server broke the protocol.
        OSError: no connection, or timed out (TimeoutError).
        ValueError: something that cannot be sent.
    """
    timeout_seconds = limits.handshake_seconds
    nonce = secrets.token_bytes(16)
    opening, key = encode_opening(address.authority, address.target, nonce, subprotocols, headers)
    async with asyncio.timeout(timeout_seconds):
        client = await HttpClient.connect(address, tls=tls, timeout_seconds=timeout_seconds)
        try:
            response = await client.exchange("GET", opening, timeout_seconds)
            subprotocol = _check(response, key, subprotocols)
            transport, rest = client.take_transport()
        except BaseException:
            client.close()
            raise
    owner = _Watch()
    websocket = WebSocket(endpoint, owner, limits, _new_masking_key)
    websocket.subprotocol = subprotocol
    websocket.peer = Peer(address.host, address.port, -1)
    websocket.open(transport, rest)
    owner.look_later(websocket, limits.ping_seconds)
    return websocket


def _check(response: Response, key: str, subprotocols: tuple[str, ...]) -> str:
    if response.status != 101:
        raise RefusedError(response)
    return check_response(response, key, subprotocols)


class RefusedError(HttpError):
    """The server did not open a WebSocket; `response` is what it said instead."""

    def __init__(self, response: Response) -> None:
        super().__init__(502, f"expected status 101, found {response.status}")
        self.response = response


class _Watch:
    """The owner of a single connection: its timer, which ends with it."""

    def __init__(self) -> None:
        self.buffer = _reading.buffer
        self._timer: asyncio.TimerHandle | None = None

    def look_later(self, websocket: WebSocket, seconds: float) -> None:
        """Applies the deadlines after this time, and again when they ask for it."""
        if not websocket.is_lost:
            self._timer = asyncio.get_running_loop().call_later(seconds, self._look, websocket)

    def websocket_lost(self, websocket: WebSocket) -> None:  # noqa: ARG002 - Owner's
        """Looks no more: the timer would keep the connection in memory."""
        if self._timer is not None:
            self._timer.cancel()

    def count(self, what: str) -> None:
        """Nothing to do: the endpoint is told the close code."""

    def _look(self, websocket: WebSocket) -> None:
        self.look_later(websocket, websocket.check(monotonic()))


class _Reading(threading.local):
    """What the connections of a thread read into: its event loop reads and hands over without a break."""

    def __init__(self) -> None:
        self.buffer = memoryview(bytearray(READ_BYTES))


_reading = _Reading()


def _new_masking_key() -> bytes:
    return secrets.token_bytes(4)


async def _connect(protocol: asyncio.BaseProtocol, address: Address, tls: ssl.SSLContext | None) -> None:
    if address.secure and tls is None:
        raise ValueError("a secure address needs a TLS context")
    loop = asyncio.get_running_loop()
    context = tls if address.secure else None
    if address.unix_path:
        await loop.create_unix_connection(
            lambda: protocol, address.unix_path, ssl=context, server_hostname=address.host if context else None
        )
    else:
        await loop.create_connection(lambda: protocol, address.host, address.port, ssl=context)
