"""Certificates from the wallet service."""

import asyncio
import json
import time

import pytest

from wallet_guard.net import Response, Routes, Server, json_response
from wallet_guard.realtime.guard import Guard, GuardError


def ask(kit, answer):
    async def scene():
        server = Server(Routes([("POST", "/wallet/session", answer)]))
        port = await server.listen_tcp("127.0.0.1", 0)
        try:
            guard = Guard(f"http://127.0.0.1:{port}", "a-token-of-ours", wallet_name="w", netuid=2, lifetime_seconds=60)
            return await guard.speaker()
        finally:
            await server.stop(1)

    return asyncio.run(scene())


def test_speaks_with_a_fresh_key_that_the_service_has_certified(kit):
    from wallet_guard.signed.certificate import Certificate, Purpose, encode_certificate

    asked = []

    def certify(request):
        question = json.loads(request.body)
        asked.append((request.headers.get("Authorization"), question))
        now, key = time.time_ns() // 10**6, bytes.fromhex(question["key"][2:])
        fields = (kit.MINER.ss58_address, "sr25519", key, Purpose.NODE, 2, None, now, now + 60_000, "0" * 32)
        body = Certificate(*fields).body()
        return json_response({"success": True, "certificate": encode_certificate(body, kit.MINER.sign(body))})

    speakers = [ask(kit, certify) for _ in range(2)]
    assert {speaker.hotkey for speaker in speakers} == {kit.MINER.ss58_address}
    assert speakers[0].name != speakers[1].name
    token, question = asked[0]
    assert token == "Bearer a-token-of-ours"
    assert {**question, "key": ""} == {
        "wallet_name": "w", "hotkey_name": "default", "netuid": 2, "receiver": None, "lifetime": 60, "key": "",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (json_response({"success": False, "message": "no"}, 403), "refuses with 403: no"),
        (Response(200, b"{}"), "none of a wallet service"),
        (Response(200, b"["), "none of a wallet service"),
        (json_response({"certificate": "AAAA"}), "another answer"),
        (json_response([1], 500), "none of a wallet service"),
    ],
)
def test_says_why_there_is_no_certificate_and_never_the_token(kit, answer, text):
    with pytest.raises(GuardError, match=text) as caught:
        ask(kit, lambda request: answer)
    assert "a-token-of-ours" not in str(caught.value)


def test_a_service_that_is_not_there_is_named_as_such():
    guard = Guard("http://127.0.0.1:1", "a-token-of-ours", wallet_name="w", netuid=2)
    with pytest.raises(GuardError, match="cannot be reached"):
        asyncio.run(guard.speaker())
