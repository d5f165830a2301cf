"""One signature at once: asked of the signer, answered in JSON."""

import json
from pathlib import Path

import pytest

from wallet_guard.gateway.signing import SIGNINGS
from wallet_guard.ipc.answers import Refusal
from wallet_guard.ipc.signatures import ExtrinsicView, RequestView, SessionView, TextView

TOKEN = "a-token-of-43-characters-like-the-signer-ma"
BOB = "5FHneW46xGXgs5mUiveU4sbTyGBzmstUspZC92UhjJM694ty"
REQUEST = {"wallet_name": "v", "method": "POST", "path": "/a?b", "body": "é", "receiver": BOB}
SESSION = {"wallet_name": "v", "key": "0x" + "11" * 32, "netuid": 2, "receiver": BOB, "lifetime": 60}
TEXT = {"wallet_name": "v", "message": "hello"}
PARTS = json.loads((Path(__file__).parents[1] / "vectors/unsigned_extrinsic.json").read_text())
EXTRINSIC = {"wallet_name": "v", "extrinsic": PARTS}

BODIES = dict(zip((signing.path for signing in SIGNINGS), (REQUEST, SESSION, EXTRINSIC, TEXT), strict=True))
VIEWS = {
    "/wallet/request": RequestView(BOB, 7, (("X-Bittensor-Version", "1"),)),
    "/wallet/session": SessionView("certificate", "0f" * 16, 1_763_690_000_000),
    "/wallet/extrinsic": ExtrinsicView(BOB, 1, b"\x66" * 64),
    "/wallet/sign": TextView(BOB, "sr25519", "<Bytes>x</Bytes>", b"\x77" * 64),
}
ASKS = {
    "/wallet/request": "sign_request",
    "/wallet/session": "issue_session",
    "/wallet/extrinsic": "sign_extrinsic",
    "/wallet/sign": "sign_text",
}


def post(gateway, path, token=TOKEN):
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    return gateway.ask("POST", path, json.dumps(BODIES[path]).encode(), headers=headers)


@pytest.mark.parametrize("path", BODIES)
def test_asks_the_signer_and_answers(gateway, signer, path):
    signer.script[ASKS[path]] = lambda _: VIEWS[path]
    status, headers, content = post(gateway, path)
    assert (status, content["success"], headers["Cache-Control"]) == (200, True, "no-store")
    assert signer.next_asked(ASKS[path]).token == TOKEN


def test_the_answers_hold_what_the_node_needs(gateway, signer):
    for path, ask in ASKS.items():
        signer.script[ask] = lambda _, path=path: VIEWS[path]
    assert post(gateway, "/wallet/request")[2]["headers"] == {"X-Bittensor-Version": "1"}
    assert post(gateway, "/wallet/request")[2]["nonce"] == "7"
    assert post(gateway, "/wallet/session")[2]["until"] == "2025-11-21T01:53:20Z"
    assert post(gateway, "/wallet/extrinsic")[2]["signature"] == "0x" + "66" * 64
    assert post(gateway, "/wallet/sign")[2]["signed"] == "<Bytes>x</Bytes>"


@pytest.mark.parametrize("path", BODIES)
def test_passes_on_a_refusal(gateway, signer, path):
    signer.script[ASKS[path]] = lambda _: Refusal("call_not_allowed", "expected set_weights", "ask the operator")
    status, _, content = post(gateway, path)
    assert (status, content["success"], content["error"]["code"]) == (403, False, "call_not_allowed")


@pytest.mark.parametrize("path", BODIES)
def test_wants_a_token(gateway, path):
    status, headers, content = gateway.ask("POST", path, json.dumps(BODIES[path]).encode())
    assert (status, content["error"]["code"]) == (401, "unauthorized")
    assert "Bearer" in headers["WWW-Authenticate"]
