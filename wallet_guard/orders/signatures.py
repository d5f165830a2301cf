"""The bodies that ask for one signature at once.

``POST /wallet/request``: btauth/1 fields for a request that the node is about to send. ``nonce`` is optional, a decimal
string or an integer; exactly one of ``body`` (text) and ``body_sha256`` (hex) may be given, none means an empty body::

    {"wallet_name": "validator", "method": "POST", "path": "/a?b=c", "body": "…", "receiver": "5F…"}

``POST /wallet/session``: a certificate for a session key; ``netuid`` and ``receiver`` may be null, which means any::

    {"wallet_name": "validator", "key": "0x…", "netuid": 2, "receiver": null, "lifetime": 3600}

``POST /wallet/extrinsic``: the SDK's ``UnsignedExtrinsic.to_dict()``; ``payload_json`` is passed over::

    {"wallet_name": "validator", "extrinsic": {…}}

``POST /wallet/sign``: a text::

    {"wallet_name": "validator", "message": "hello"}
"""

import re
from collections.abc import Callable
from hashlib import sha256
from typing import Any

from wallet_guard.ipc.signatures import (
    MAX_CALL_BYTES,
    MAX_METHOD_CHARACTERS,
    MAX_TARGET_CHARACTERS,
    MAX_TEXT_CHARACTERS,
    IssueSession,
    SignExtrinsic,
    SignRequest,
    SignText,
)
from wallet_guard.orders.fields import BodyError, Fields, kind_of, parse_json, read_integer, read_name, shortened
from wallet_guard.orders.weights import MAX_U16

MAX_ADDRESS_CHARACTERS = 64

MAX_LIFETIME_SECONDS = 86_400
"""The hard ceiling of a certificate; the signer's own may be lower."""

MAX_I64 = 2**63 - 1
"""Nonces of requests are nanoseconds: until the year 2262."""

MAX_U64, MAX_U32 = 2**64 - 1, 2**32 - 1

MAX_PARTS_BYTES = 256
"""What is signed beside a call has 105 bytes and some."""

_NONCE = re.compile(r"[1-9][0-9]{0,18}", re.ASCII)
_SHA256 = re.compile(r"(?:0x)?([0-9a-f]{64})", re.ASCII)

_NAMES = ("wallet_name", "hotkey_name")

_EXTRINSIC = (
    *("call_data", "address", "public_key", "crypto_type", "era", "nonce", "tip", "tip_asset_id", "genesis_hash"),
    *("era_block_hash", "spec_version", "transaction_version", "metadata_hash", "payload", "payload_json"),
    *("included_in_extrinsic", "included_in_signed_data"),
)


def parse_request(token: str, body: bytes) -> SignRequest:
    """The question of ``POST /wallet/request``; raises BodyError."""
    fields = _fields(body, "method", "path", "body", "body_sha256", "receiver", "nonce")
    return SignRequest(
        token,
        *_key(fields),
        method=fields.text("method", MAX_METHOD_CHARACTERS),
        target=fields.text("path", MAX_TARGET_CHARACTERS),
        body_sha256=_body_sha256(fields),
        receiver=fields.text("receiver", MAX_ADDRESS_CHARACTERS),
        nonce_ns=_nonce(fields.get("nonce", None)),
    )


def parse_session(token: str, body: bytes) -> IssueSession:
    """The question of ``POST /wallet/session``; raises BodyError."""
    fields = _fields(body, "key", "netuid", "receiver", "lifetime")
    netuid, receiver = fields.required("netuid"), fields.required("receiver")
    return IssueSession(
        token,
        *_key(fields),
        key=fields.hex("key", 32),
        netuid=None if netuid is None else fields.integer("netuid", MAX_U16),
        receiver=None if receiver is None else fields.text("receiver", MAX_ADDRESS_CHARACTERS),
        lifetime_seconds=fields.integer("lifetime", MAX_LIFETIME_SECONDS),
    )


def parse_extrinsic(token: str, body: bytes) -> SignExtrinsic:
    """The question of ``POST /wallet/extrinsic``; raises BodyError."""
    fields = _fields(body, "extrinsic")
    parts = Fields(fields.required("extrinsic"), "extrinsic", _EXTRINSIC)
    period, current = _era(parts.required("era"))
    tip_asset_id, metadata_hash = parts.required("tip_asset_id"), parts.required("metadata_hash")
    return SignExtrinsic(
        token,
        *_key(fields),
        address=parts.text("address", MAX_ADDRESS_CHARACTERS),
        public_key=parts.hex("public_key", 32),
        crypto_type=parts.integer("crypto_type", 255),
        call_data=parts.hex("call_data", MAX_CALL_BYTES),
        era_period=period,
        era_current=current,
        nonce=parts.integer("nonce", MAX_U32),
        tip=parts.integer("tip", MAX_U64),
        tip_asset_id=None if tip_asset_id is None else parts.integer("tip_asset_id", MAX_U32),
        genesis_hash=parts.hex("genesis_hash", 32),
        era_block_hash=parts.hex("era_block_hash", 32),
        spec_version=parts.integer("spec_version", MAX_U32),
        transaction_version=parts.integer("transaction_version", MAX_U32),
        metadata_hash=None if metadata_hash is None else parts.hex("metadata_hash", 32),
        payload=parts.hex("payload", MAX_PARTS_BYTES),
        included_in_extrinsic=parts.hex("included_in_extrinsic", MAX_PARTS_BYTES),
        included_in_signed_data=parts.hex("included_in_signed_data", MAX_PARTS_BYTES),
    )


def parse_text(token: str, body: bytes) -> SignText:
    """The question of ``POST /wallet/sign``; raises BodyError."""
    fields = _fields(body, "message")
    return SignText(token, *_key(fields), text=fields.text("message", MAX_TEXT_CHARACTERS))


def _fields(body: bytes, *known: str) -> Fields:
    return Fields(parse_json(body), "", (*_NAMES, *known))


def _key(fields: Fields) -> tuple[str, str]:
    wallet = read_name(fields.required("wallet_name"), "wallet_name")
    return wallet, read_name(fields.get("hotkey_name", "default"), "hotkey_name")


def _body_sha256(fields: Fields) -> bytes:
    if "body" in fields and "body_sha256" in fields:
        raise BodyError("body: expected either body or body_sha256, found both")
    if "body_sha256" not in fields:
        return sha256(fields.text("body", 1 << 20, "").encode()).digest()
    text = fields.text("body_sha256", 66)
    match = _SHA256.fullmatch(text)
    if match is None:
        raise BodyError(f"body_sha256: expected 64 lower-case hex digits, found {shortened(text)!r}")
    return bytes.fromhex(match[1])


def _nonce(value: Any) -> int | None:
    """A string is welcome: nanoseconds are beyond what JavaScript's numbers hold exactly."""
    if value is None:
        return None
    if isinstance(value, str):
        if _NONCE.fullmatch(value) is None:
            raise BodyError(f"nonce: expected a decimal number of nanoseconds, found {shortened(value)!r}")
        value = int(value)
    return read_integer(value, "nonce", MAX_I64)


def _era(value: Any) -> tuple[int | None, int]:
    """(period, current block); the SDK writes "00" for immortal, which the signer refuses by name."""
    if value == "00":
        return None, 0
    if not isinstance(value, dict):
        raise BodyError(f"extrinsic.era: expected an object with period and current, found {kind_of(value)}")
    era = Fields(value, "extrinsic.era", ("period", "current"))
    return era.integer("period", MAX_U32), era.integer("current", MAX_U32)


Signature = SignRequest | IssueSession | SignExtrinsic | SignText

SIGNATURES: dict[str, Callable[[str, bytes], Signature]] = {
    "/wallet/request": parse_request,
    "/wallet/session": parse_session,
    "/wallet/extrinsic": parse_extrinsic,
    "/wallet/sign": parse_text,
}
"""Path → from token and body to the question."""
