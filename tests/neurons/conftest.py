"""A wallet service that certifies session keys and takes weights, and nothing else."""

import contextlib
import json
import time

import pytest

from wallet_guard.net import Request, Response, Routes, Server, json_response
from wallet_guard.signed.certificate import Certificate, Purpose, encode_certificate
from wallet_guard.signed.schemes import Ed25519Key, address_of

TOKEN = "token-of-a-test-1"


class Service:
    """`hotkey` is whose certificates it makes; `asked` the bodies of what it was asked."""

    def __init__(self, seed: int) -> None:
        self._key = Ed25519Key(bytes([seed]) * 32)
        self.hotkey = address_of(self._key.public_key)
        self.asked: list[dict] = []
        self.refuse = False
        self.token = TOKEN

    def certify(self, request: Request) -> Response:
        question = json.loads(request.body)
        self.asked.append(question)
        if self.refuse or request.headers.get("Authorization") != f"Bearer {TOKEN}":
            return json_response({"success": False, "message": "this token may not"}, 403)
        now_ms = time.time_ns() // 1_000_000
        key = bytes.fromhex(question["key"].removeprefix("0x"))
        until_ms = now_ms + question["lifetime"] * 1000
        fields = (self.hotkey, "ed25519", key, Purpose.NODE, question["netuid"], None, now_ms, until_ms, "0" * 32)
        body = Certificate(*fields).body()
        return json_response({"success": True, "certificate": encode_certificate(body, self._key.sign(body))})

    def weigh(self, request: Request) -> Response:
        self.asked.append(json.loads(request.body))
        return json_response({"success": True, "message": "weights are set", "intent": "i1", "state": "in_block"})

    @contextlib.asynccontextmanager
    async def running(self):
        routes = Routes([("POST", "/wallet/session", self.certify), ("POST", "/wallet/set_weights", self.weigh)])
        server = Server(routes)
        port = await server.listen_tcp("127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{port}"
        try:
            yield self
        finally:
            await server.stop(1)


@pytest.fixture
def service_of():
    """Makes a service by seed."""
    return Service
