"""asyncio shells over `wallet_guard.wire`: server, WebSocket, client. The only place with transports.

A server with routes (a plain function is answered without a task; a coroutine function may wait):

    async def set_weights(request: Request) -> Response:
        ...request.method, .path, .query, .headers.get("Authorization"), .body, .peer.uid, .parameters
        return json_response({"success": True})

    server = Server(Routes([("POST", "/wallet/set_weights", set_weights), ("GET", "/wallet/jobs/{id}", job)]),
                    limits=ServerLimits(http=HttpLimits(max_body_bytes=64 * 1024)),
                    on_error=lambda status, reason: json_response({"success": False, ...}, status))
    await server.listen_unix("/run/x.sock"); port = await server.listen_tcp("127.0.0.1", 0, tls=None)
    await server.listen_socket(inherited_socket)
    await server.stop(deadline_seconds=10)

With WebSockets (the function sees the opening request; it returns Accept(endpoint) or a Response that
refuses):

    class Echo(Endpoint):
        def on_message(self, websocket: WebSocket, data: str | bytes) -> None:
            websocket.send_text(data) if isinstance(data, str) else websocket.send_binary(data)

    server = Server(Routes(), websockets={"/": lambda request: Accept(Echo())})

Messages may also be awaited: `inbox = Inbox(); Accept(inbox)`, then `async for data in inbox`.

A client:

    websocket = await open_websocket(parse_url("ws://127.0.0.1:9944/"), Echo(), subprotocols=("btws.1",))
    client = await HttpClient.connect(parse_url("http://127.0.0.1:8000/"))
    response = await client.request("POST", "/frames", headers=(("Authorization", "Bearer x"),), body=b"{}")
"""

from wallet_guard.net.client import Address, HttpClient, RefusedError, open_websocket, parse_url
from wallet_guard.net.connection import Accept, Outcome
from wallet_guard.net.exchange import Peer, Request, Response, json_response, plain_error
from wallet_guard.net.limits import HttpLimits, MessageLimits, ServerLimits, WebSocketLimits
from wallet_guard.net.routes import Handler, Route, Routes
from wallet_guard.net.server import Server, WebSocketHandler
from wallet_guard.net.tls import client_context, server_context
from wallet_guard.net.websocket import Endpoint, Inbox, WebSocket, encode_text
from wallet_guard.wire.errors import HttpError, ProtocolError
from wallet_guard.wire.websocket.handshake import offered_subprotocols

__all__ = [
    "Accept",
    "Address",
    "Endpoint",
    "Handler",
    "HttpClient",
    "HttpError",
    "HttpLimits",
    "Inbox",
    "MessageLimits",
    "Outcome",
    "Peer",
    "ProtocolError",
    "RefusedError",
    "Request",
    "Response",
    "Route",
    "Routes",
    "Server",
    "ServerLimits",
    "WebSocket",
    "WebSocketHandler",
    "WebSocketLimits",
    "client_context",
    "encode_text",
    "json_response",
    "offered_subprotocols",
    "open_websocket",
    "parse_url",
    "plain_error",
    "server_context",
]
