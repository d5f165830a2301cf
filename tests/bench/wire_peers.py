"""The servers that the wire benchmarks compare, each doing the same two jobs.

    python wire_peers.py PEER (ws|http) ADDRESS

Echo: every message goes back. JSON: `POST /v1/echo` among three routes; a bearer token compared in constant time, the
body parsed, an answer encoded. ADDRESS is a loopback port or a Unix path. Prints "ready".
"""

import asyncio
import hmac
import json
import logging
import os
import sys

TOKEN = "Bearer 0123456789abcdef0123456789abcdef"
_encode = json.JSONEncoder(separators=(",", ":")).encode
NO_CEILING = 20_000


def decide(authorization: str, body: bytes) -> tuple[int, bytes]:
    """The job of the JSON case."""
    if not hmac.compare_digest(authorization.encode(), TOKEN.encode()):
        return 401, b'{"success":false}'
    asked = json.loads(body)
    return 200, _encode({"success": True, "netuid": asked["netuid"], "count": len(asked["uids"])}).encode()


async def ours(kind: str, address: str) -> None:
    from wallet_guard.net import (
        Accept,
        Endpoint,
        Request,
        Response,
        Routes,
        Server,
        ServerLimits,
        WebSocket,
        WebSocketLimits,
        json_response,
    )
    from wallet_guard.net.limits import MessageLimits

    class Echo(Endpoint):
        def on_message(self, websocket: WebSocket, data: str | bytes) -> None:
            if isinstance(data, str):
                websocket.send_text(data)
            else:
                websocket.send_binary(data)

    def answer(request: Request) -> Response:
        status, body = decide(request.headers.get("authorization"), request.body)
        return Response(status, body)

    big = 8 * 1024 * 1024
    limits = ServerLimits(
        websocket=WebSocketLimits(MessageLimits(big, big), ping_seconds=5.0, max_queued_bytes=8 * big),
        max_connections=NO_CEILING,
        max_connections_per_address=NO_CEILING,
        requests_per_connection=10**9,
    )
    echo = Echo()
    other = [("GET", path, lambda _: json_response({})) for path in ("/v1/status", "/v1/jobs/{id}")]
    server = Server(
        Routes([*other, ("POST", "/v1/echo", answer)]),
        websockets={"/ws": lambda _: Accept(echo)} if kind == "ws" else None,
        limits=limits,
    )
    if address.startswith("/"):
        await server.listen_unix(address)
    else:
        await server.listen_tcp("127.0.0.1", int(address))


async def websockets(kind: str, address: str) -> None:
    from websockets.asyncio.server import serve

    async def echo(connection):
        async for message in connection:
            await connection.send(message)

    await serve(
        echo, "127.0.0.1", int(address), compression=None, max_size=None, ping_interval=5, ping_timeout=20, backlog=1024
    )


async def aiohttp(kind: str, address: str) -> None:
    from aiohttp import WSMsgType, web

    async def echo(request):
        connection = web.WebSocketResponse(max_msg_size=0, heartbeat=5, compress=False)
        await connection.prepare(request)
        async for message in connection:
            if message.type is WSMsgType.BINARY:
                await connection.send_bytes(message.data)
            else:
                await connection.send_str(message.data)
        return connection

    async def answer(request):
        status, body = decide(request.headers.get("authorization", ""), await request.read())
        return web.Response(status=status, body=body, content_type="application/json")

    async def other(_):
        return web.json_response({})

    app = web.Application()
    app.add_routes([web.get("/ws", echo), web.get("/v1/status", other), web.get("/v1/jobs/{id}", other)])
    app.add_routes([web.post("/v1/echo", answer)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    if address.startswith("/"):
        await web.UnixSite(runner, address, backlog=1024).start()
    else:
        await web.TCPSite(runner, "127.0.0.1", int(address), backlog=1024).start()


async def _other(scope, receive, send, body):
    await _respond(send, 200, b"{}")


async def _answer(scope, receive, send, body):
    authorization = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
    status, answer = decide(authorization.decode("latin-1"), body)
    await _respond(send, status, answer)


async def _respond(send, status, body):
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


_ROUTES = {("GET", "/v1/status"): _other, ("GET", "/v1/jobs"): _other, ("POST", "/v1/echo"): _answer}


async def bare(scope, receive, send):
    """The least that an ASGI application can be."""
    body = b""
    more = True
    while more:
        event = await receive()
        body += event.get("body", b"")
        more = event.get("more_body", False)
    await _ROUTES[scope["method"], scope["path"]](scope, receive, send, body)


def fastapi_app():
    """As its manual does it: the body by a model, the field by the signature, the answer from a dictionary."""
    from fastapi import FastAPI, Header, HTTPException
    from pydantic import BaseModel

    class Asked(BaseModel):
        netuid: int
        uids: list[int]
        weights: list[float]
        version_key: int

    app = FastAPI()

    @app.get("/v1/status")
    async def status():
        return {}

    @app.get("/v1/jobs/{job}")
    async def job(job: str):
        return {}

    @app.post("/v1/echo")
    async def answer(asked: Asked, authorization: str = Header("")):
        if not hmac.compare_digest(authorization.encode(), TOKEN.encode()):
            raise HTTPException(401)
        return {"success": True, "netuid": asked.netuid, "count": len(asked.uids)}

    return app


async def uvicorn(app, parser: str, address: str) -> None:
    from uvicorn import Config, Server

    where = {"uds": address} if address.startswith("/") else {"host": "127.0.0.1", "port": int(address)}
    server = Server(
        Config(app, http=parser, loop="asyncio", lifespan="off", access_log=False, log_level="error", **where)
    )
    task = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    asyncio.get_running_loop().uvicorn = task


async def main(peer: str, kind: str, address: str) -> None:
    if peer == "ours":
        await ours(kind, address)
    elif peer == "websockets":
        await websockets(kind, address)
    elif peer == "aiohttp":
        await aiohttp(kind, address)
    else:
        app, parser = peer.split("/")
        await uvicorn(bare if app == "asgi" else fastapi_app(), parser, address)
    print("ready", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    os.environ.pop("WEBSOCKETS_MAX_LOG_SIZE", None)
    asyncio.run(main(*sys.argv[1:4]))
