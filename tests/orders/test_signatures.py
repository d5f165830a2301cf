"""Bodies that ask for one signature at once, read into questions."""

import json
from hashlib import sha256
from pathlib import Path

import pytest

from wallet_guard.orders.fields import BodyError
from wallet_guard.orders.signatures import parse_extrinsic, parse_request, parse_session, parse_text

TOKEN = "a-token-of-43-characters-like-the-signer-ma"
BOB = "5FHneW46xGXgs5mUiveU4sbTyGBzmstUspZC92UhjJM694ty"
REQUEST = {"wallet_name": "v", "method": "POST", "path": "/a?b", "body": "é", "receiver": BOB}
SESSION = {"wallet_name": "v", "key": "0x" + "11" * 32, "netuid": 2, "receiver": BOB, "lifetime": 60}
TEXT = {"wallet_name": "v", "message": "hello"}
PARTS = json.loads((Path(__file__).parents[1] / "vectors/unsigned_extrinsic.json").read_text())
EXTRINSIC = {"wallet_name": "v", "extrinsic": PARTS}


def spelled(base, /, **changes):
    changed = {**base, **changes}
    return json.dumps({name: value for name, value in changed.items() if value is not ...}).encode()


def test_reads_a_request():
    question = parse_request(TOKEN, spelled(REQUEST))
    assert (question.token, question.wallet, question.hotkey) == (TOKEN, "v", "default")
    assert (question.method, question.target, question.receiver) == ("POST", "/a?b", BOB)
    assert (question.body_sha256, question.nonce_ns) == (sha256("é".encode()).digest(), None)


def test_a_body_may_be_left_out_or_come_as_its_hash():
    assert parse_request(TOKEN, spelled(REQUEST, body=...)).body_sha256 == sha256(b"").digest()
    digest = sha256(b"big").hexdigest()
    for text in (digest, "0x" + digest):
        assert parse_request(TOKEN, spelled(REQUEST, body=..., body_sha256=text)).body_sha256.hex() == digest


@pytest.mark.parametrize("nonce", [1752076800000000000, "1752076800000000000"])
def test_a_nonce_may_be_a_number_or_a_string_of_digits(nonce):
    assert parse_request(TOKEN, spelled(REQUEST, nonce=nonce)).nonce_ns == 1752076800000000000


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"body_sha256": "00" * 32}, "either body or body_sha256"),
        ({"body": ..., "body_sha256": "AA" * 32}, "body_sha256: expected 64"),
        ({"receiver": ...}, "receiver: missing"),
        ({"receiver": None}, "receiver: expected a string"),
        ({"nonce": "0x1"}, "nonce: expected"),
        ({"nonce": "-1"}, "nonce: expected"),
        ({"nonce": "१"}, "nonce: expected"),
        ({"nonce": 1.5}, "nonce: expected"),
        ({"nonce": 2**63}, "nonce: expected"),
        ({"path": 5}, "path: expected a string"),
        ({"sender": BOB}, "sender: unknown field"),
        ({"wallet_name": "../x"}, "wallet_name: expected a plain name"),
    ],
)
def test_refuses_other_requests(changes, why):
    with pytest.raises(BodyError, match=why):
        parse_request(TOKEN, spelled(REQUEST, **changes))


def test_reads_a_session():
    question = parse_session(TOKEN, spelled(SESSION))
    assert (question.key, question.netuid, question.receiver, question.lifetime_seconds) == (b"\x11" * 32, 2, BOB, 60)
    question = parse_session(TOKEN, spelled(SESSION, netuid=None, receiver=None))
    assert (question.netuid, question.receiver) == (None, None)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"netuid": ...}, "netuid: missing"),
        ({"receiver": ...}, "receiver: missing"),
        ({"key": "11" * 32}, "key: expected 0x"),
        ({"key": "0x" + "11" * 33}, "key: expected at most"),
        ({"lifetime": 86_401}, "lifetime: expected 0 to 86400"),
        ({"lifetime": "60"}, "lifetime: expected an integer"),
        ({"purpose": "hub"}, "purpose: unknown field"),
    ],
)
def test_refuses_other_sessions(changes, why):
    with pytest.raises(BodyError, match=why):
        parse_session(TOKEN, spelled(SESSION, **changes))


def test_reads_an_extrinsic():
    question = parse_extrinsic(TOKEN, spelled(EXTRINSIC))
    assert (question.era_period, question.era_current, question.nonce, question.tip_asset_id) == (128, 77, 5, None)
    assert (question.call_data, question.payload, question.included_in_signed_data) == (
        b"\x07\x04",
        b"\x07\x04\xaa",
        b"",
    )
    assert question.metadata_hash == b"\x55" * 32


def test_an_immortal_era_is_left_for_the_signer_to_refuse():
    question = parse_extrinsic(TOKEN, spelled(EXTRINSIC, extrinsic=PARTS | {"era": "00", "metadata_hash": None}))
    assert (question.era_period, question.metadata_hash) == (None, None)


@pytest.mark.parametrize("name", [name for name in PARTS if name != "payload_json"])
def test_refuses_an_extrinsic_without_a_part(name):
    parts = {key: value for key, value in PARTS.items() if key != name}
    with pytest.raises(BodyError, match=f"{name}: missing"):
        parse_extrinsic(TOKEN, spelled(EXTRINSIC, extrinsic=parts))


@pytest.mark.parametrize(
    "changed",
    [
        {"era": "0x00"},
        {"era": {"period": 64}},
        {"era": {"period": 64, "current": 1, "phase": 2}},
        {"nonce": -1},
        {"nonce": 2**32},
        {"tip": 2**64},
        {"call_data": "0x" + "00" * 16_385},
        {"genesis_hash": "33" * 32},
        {"extra": 1},
        {"crypto_type": True},
    ],
)
def test_refuses_other_extrinsics(changed):
    with pytest.raises(BodyError):
        parse_extrinsic(TOKEN, spelled(EXTRINSIC, extrinsic=PARTS | changed))


def test_reads_a_text():
    assert parse_text(TOKEN, spelled(TEXT)).text == "hello"
    for message in (5, None, "x" * 4097):
        with pytest.raises(BodyError, match="message: expected"):
            parse_text(TOKEN, spelled(TEXT, message=message))
