"""The server: listeners, admission, routes, one timer, and the end.

Listeners may be TCP, TLS or Unix, all at once; one `Server` answers them alike. Ceilings on connections, and
every deadline in `limits`, are kept here and counted in `counts` under their names.
"""

import asyncio
import errno
import os
import socket
import ssl
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from time import gmtime, monotonic, time_ns

from wallet_guard.net.connection import HttpConnection, Outcome
from wallet_guard.net.deadlines import TICK_SECONDS, Wheel
from wallet_guard.net.exchange import Request, Response, plain_error
from wallet_guard.net.limits import DEFAULT_SERVER_LIMITS, ServerLimits
from wallet_guard.net.routes import Routes
from wallet_guard.net.websocket import WebSocket
from wallet_guard.wire.http1.head import HeadCache
from wallet_guard.wire.websocket import closing
from wallet_guard.wire.websocket.handshake import check_request

# connections that the kernel holds for us; the default of asyncio, 100, overflows at a reconnect storm
_BACKLOG = 1024

WebSocketHandler = Callable[[Request], Outcome | Awaitable[Outcome]]


class Server:
    """An HTTP/1.1 and WebSocket server.

    `routes` answer requests; `websockets` maps a path to a function (plain or coroutine) that looks at the
    opening request and returns `Accept(endpoint)` or the `Response` of a refusal. `on_error(status, reason)`
    makes the answers that no handler makes: malformed requests, 404, 405, deadlines, and 500 for a handler
    that raised (logged once). With `cancel_on_disconnect` a handler's task is cancelled when its client goes.
    """

    def __init__(
        self,
        routes: Routes,
        *,
        websockets: Mapping[str, WebSocketHandler] | None = None,
        limits: ServerLimits = DEFAULT_SERVER_LIMITS,
        on_error: Callable[[int, str], Response] = plain_error,
        cancel_on_disconnect: bool = True,
    ) -> None:
        self.limits = limits
        self.cancel_on_disconnect = cancel_on_disconnect
        self.cache = HeadCache(limits.http)
        self.buffer = memoryview(bytearray(limits.read_bytes))
        self.date = b""
        self.stopping = False
        self.counts: Counter[str] = Counter()  # ceilings, deadlines and refusals, by name
        self._routes = routes
        self._websockets = dict(websockets or {})
        self._on_error = on_error
        self._listeners: list[_Listener] = []
        self._connections: set[HttpConnection | WebSocket] = set()
        self._by_peer: Counter[str] = Counter()
        self._wheel: Wheel[HttpConnection | WebSocket] = Wheel()
        self._timer: asyncio.TimerHandle | None = None
        self._emptied: asyncio.Event = asyncio.Event()

    @property
    def connection_count(self) -> int:
        """Open connections."""
        return len(self._connections)

    # --- listening

    async def listen_tcp(self, host: str, port: int, tls: ssl.SSLContext | None = None) -> int:
        """Listens on a TCP address and returns the port (of use with port 0).

        Raises:
            OSError: the address cannot be had.
        """
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = socket.create_server((host, port), family=family, backlog=_BACKLOG)
        await self.listen_socket(listener, tls)
        return int(listener.getsockname()[1])

    async def listen_unix(self, path: str, mode: int = 0o600) -> None:
        """Listens on a Unix socket made with `mode`; in its place a dead socket is removed, a living one not.

        Raises:
            OSError: the path cannot be had; EADDRINUSE if somebody answers there.
        """
        await self.listen_socket(_bind_unix(path, mode))

    async def listen_socket(self, listener: socket.socket, tls: ssl.SSLContext | None = None) -> None:
        """Listens on a socket that is bound already, inherited for instance; it is closed by `stop`."""
        opened = _Listener(listener, tls)
        await opened.open(self)
        self._listeners.append(opened)
        if self._timer is None:
            self._tick()

    async def reload_tls(self, tls: ssl.SSLContext) -> None:
        """Uses this context for new connections on all TLS listeners; open connections keep theirs.

        No connection attempt is lost: the kernel's queue is shared by the listener that ends and the one that
        begins.
        """
        for listener in self._listeners:
            if listener.tls is not None:
                await listener.reopen(self, tls)

    async def stop(self, deadline_seconds: float = 10.0) -> None:
        """Ends it in order: no new connections, WebSockets closed with 1001, requests in flight finished.

        What is not finished by the deadline is cut.
        """
        self.stopping = True
        for listener in self._listeners:
            listener.close()
        self._listeners.clear()
        for connection in list(self._connections):
            if isinstance(connection, WebSocket):
                connection.close(closing.GOING_AWAY, "the server stops")
            elif not connection.busy:
                connection.close()
        if self._connections:
            self._emptied.clear()
            try:
                await asyncio.wait_for(self._emptied.wait(), deadline_seconds)
            except TimeoutError:
                self.counts["cut at stop"] += len(self._connections)
                for connection in list(self._connections):
                    connection.abort()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    # --- for connections

    def admit(self, connection: HttpConnection) -> bool:
        """Whether the ceilings allow this connection; if so it is counted."""
        key = connection.peer.key
        if len(self._connections) >= self.limits.max_connections or self.stopping:
            self.count("max_connections")
            return False
        if self._by_peer[key] >= self.limits.max_connections_per_address:
            self.count("max_connections_per_address")
            return False
        self._by_peer[key] += 1
        self._connections.add(connection)
        self._wheel.add(connection, monotonic(), 1.0)
        return True

    def answer(self, request: Request) -> Outcome | Awaitable[Outcome]:
        """The answer of the handler for this request."""
        if request.head.upgrades_websocket and request.path in self._websockets:
            check_request(request.head)
            return self._websockets[request.path](request)
        found = self._routes.find(request.head.method, request.head.path)
        if found.handler is None:
            if not found.allowed and request.path in self._websockets:
                response = self._on_error(426, "this path speaks WebSocket only")
                return response._replace(headers=(*response.headers, ("Upgrade", "websocket")))
            if not found.allowed:
                return self._on_error(404, "no such path")
            response = self._on_error(405, "the path does not know this method")
            return response._replace(headers=(*response.headers, ("Allow", ", ".join(found.allowed))))
        if found.parameters:
            request = request._replace(parameters=found.parameters)
        return found.handler(request)

    def error(self, status: int, reason: str) -> Response:
        """The answer to a fault that no handler saw."""
        return self._on_error(status, reason)

    def upgraded(self, connection: HttpConnection, websocket: WebSocket) -> None:
        """The WebSocket takes the connection's place."""
        self._connections.discard(connection)
        self._wheel.discard(connection)
        self._connections.add(websocket)
        self._wheel.add(websocket, monotonic(), self.limits.websocket.ping_seconds)
        if self.stopping:
            websocket.close(closing.GOING_AWAY, "the server stops")

    def http_lost(self, connection: HttpConnection) -> None:
        """The transport is gone."""
        self._forget(connection)

    def websocket_lost(self, websocket: WebSocket) -> None:
        """The transport is gone."""
        self._forget(websocket)

    def count(self, what: str) -> None:
        """A ceiling or deadline ended something."""
        self.counts[what] += 1

    # ---

    def _forget(self, connection: HttpConnection | WebSocket) -> None:
        if connection not in self._connections:
            return
        self._connections.discard(connection)
        self._wheel.discard(connection)
        key = connection.peer.key
        self._by_peer[key] -= 1
        if self._by_peer[key] <= 0:
            del self._by_peer[key]
        if not self._connections:
            self._emptied.set()

    def _tick(self) -> None:
        now = monotonic()
        for connection in self._wheel.take_due(now):
            if connection in self._connections:
                self._wheel.add(connection, now, connection.check(now))
        self.date = encode_date(time_ns() // 1_000_000_000)
        self._timer = asyncio.get_running_loop().call_later(TICK_SECONDS, self._tick)


class _Listener:
    """A listening socket and the asyncio server on it."""

    def __init__(self, listener: socket.socket, tls: ssl.SSLContext | None) -> None:
        self.tls = tls
        self._socket = listener
        self._server: asyncio.AbstractServer | None = None

    async def open(self, host: Server) -> None:
        loop = asyncio.get_running_loop()

        def connect() -> HttpConnection:
            return HttpConnection(host)

        # how long a TLS handshake may take: a slow one is a slow head
        handshake = None if self.tls is None else host.limits.head_seconds
        if self._socket.family == socket.AF_UNIX:
            self._server = await loop.create_unix_server(
                connect, sock=self._socket, ssl=self.tls, backlog=_BACKLOG, ssl_handshake_timeout=handshake
            )
        else:
            self._server = await loop.create_server(
                connect, sock=self._socket, ssl=self.tls, backlog=_BACKLOG, ssl_handshake_timeout=handshake
            )

    async def reopen(self, host: Server, tls: ssl.SSLContext) -> None:
        ending = self._server
        self._socket, self.tls = self._socket.dup(), tls
        await self.open(host)
        if ending is not None:
            ending.close()

    def close(self) -> None:
        if self._server is not None:
            self._server.close()


def _bind_unix(path: str, mode: int) -> socket.socket:
    """A Unix socket bound to the path; another's living socket is never taken."""
    try:
        with socket.socket(socket.AF_UNIX) as probe:
            probe.connect(path)
    except FileNotFoundError:
        pass
    except ConnectionRefusedError:
        os.unlink(path)
    else:
        raise OSError(errno.EADDRINUSE, f"somebody listens on {path} already")
    listener = socket.socket(socket.AF_UNIX)
    # the mode is set before anybody can connect: until listen, connections are refused
    listener.bind(path)
    os.chmod(path, mode)
    listener.listen(_BACKLOG)
    return listener


_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def encode_date(unix_seconds: int) -> bytes:
    """The time as an IMF-fixdate (RFC 9110, section 5.6.7); strftime would ask the locale for the names."""
    t = gmtime(unix_seconds)
    day, month = _DAYS[t.tm_wday], _MONTHS[t.tm_mon - 1]
    return f"{day}, {t.tm_mday:02} {month} {t.tm_year} {t.tm_hour:02}:{t.tm_min:02}:{t.tm_sec:02} GMT".encode("ascii")
