"""The shapes of bodies and answers as JSON Schema 2020-12, for the description at ``/openapi.json``.

Requests repeat what ``orders`` reads, with its limits: a test asks each reader
for the fields that it knows and holds the names against these. Answers repeat what ``answers`` and ``signing`` write.
Objects are closed: a field that is not described is not there.

Three rules cannot be said here and are refused with 422 all the same: as many weights as uids, names without
unprintable characters, and commitments of at most 512 bytes (not characters).
"""

from typing import Any

from wallet_guard.ipc.clients import MAX_NAME_CHARACTERS
from wallet_guard.ipc.intents import MAX_IDEMPOTENCY_KEY_CHARACTERS, State
from wallet_guard.ipc.signatures import (
    MAX_CALL_BYTES,
    MAX_METHOD_CHARACTERS,
    MAX_TARGET_CHARACTERS,
    MAX_TEXT_CHARACTERS,
)
from wallet_guard.ipc.wishes import (
    MAX_CERTIFICATE_BYTES,
    MAX_COMMITMENT_BYTES,
    MAX_TARGETS,
    ResetAxon,
    ServeAxon,
    ServeAxonTls,
    ServePrometheus,
    SetCommitment,
    SetWeights,
)
from wallet_guard.orders.signatures import MAX_I64, MAX_LIFETIME_SECONDS, MAX_PARTS_BYTES
from wallet_guard.orders.weights import MAX_U8, MAX_U16, MAX_U64, MAX_WEIGHT
from wallet_guard.orders.wishes import MAX_IP_CHARACTERS, MAX_U32

Schema = dict[str, Any]

MAX_REQUEST_BODY_CHARACTERS = 1 << 20
"""Of the body of a request to sign; the body that carries it ends sooner."""

MAX_NETUID, MAX_MECHID = 4095, 15
"""The signer's, which are the chain's; the gateway passes on what is larger, and the signer refuses it."""

_BOOLEAN: Schema = {"type": "boolean"}
_STRING: Schema = {"type": "string"}
_TIME: Schema = {"type": "string", "format": "date-time", "examples": ["2026-11-21T02:25:55Z"]}
_SS58 = "^[1-9A-HJ-NP-Za-km-z]{46,50}$"
_ADDRESS: Schema = {"type": "string", "pattern": _SS58, "description": "An ss58 address."}


def reference(name: str) -> Schema:
    """A reference to one of ``SCHEMAS``."""
    return {"$ref": f"#/components/schemas/{name}"}


def _object(properties: Schema, *optional: str, **more: Any) -> Schema:
    """A closed object; all of its fields are required but these."""
    required = [name for name in properties if name not in optional]
    shape: Schema = {"type": "object", "properties": properties, "additionalProperties": False}
    return shape | ({"required": required} if required else {}) | more


def _one_of(description: str, *shapes: Schema, beside: Schema) -> Schema:
    """One of these fields with those beside them, of which only netuid is required."""
    optional = beside.keys() - {"netuid"}
    return {"description": description, "oneOf": [_object(beside | shape, *optional) for shape in shapes]}


def _integer(most: int, **more: Any) -> Schema:
    return {"type": "integer", "minimum": 0, "maximum": most, **more}


def _text(most: int, **more: Any) -> Schema:
    return {"type": "string", "maxLength": most, **more}


def _hex(least_bytes: int, most_bytes: int, **more: Any) -> Schema:
    length = {"minLength": 2 + 2 * least_bytes, "maxLength": 2 + 2 * most_bytes}
    return {"type": "string", "pattern": "^0x([0-9a-fA-F]{2})*$", **length, **more}


def _hash(**more: Any) -> Schema:
    return {"type": "string", "pattern": "^0x[0-9a-fA-F]{64}$", **more}


def _or_null(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


def _name(**more: Any) -> Schema:
    # "." and ".." are no names; the look-ahead is ECMA 262's.
    return {
        "type": "string",
        "minLength": 1,
        "maxLength": MAX_NAME_CHARACTERS,
        "pattern": r"^(?!\.{1,2}$)[^/\u0000-\u001f\u007f-\u00a0]+$",
        **more,
    }


_KEY: Schema = {
    "wallet_name": _name(description="Folder name of the wallet.", examples=["validator"]),
    "hotkey_name": _name(description="Name of the hotkey.", default="default"),
}

_REPEATED: Schema = {
    "idempotency_key": _text(
        MAX_IDEMPOTENCY_KEY_CHARACTERS,
        pattern="^[!-~]+$",
        description="Instead of the header of that name, for requests that the client signs itself.",
    ),
    "dry_run": {**_BOOLEAN, "default": False, "description": "Explain what would be signed, and sign nothing."},
}

_WAITING: Schema = {
    "netuid": _integer(MAX_NETUID, description="The subnet.", examples=[2]),
    "wait_for_inclusion": {**_BOOLEAN, "default": False, "description": "Answer once it is in a block."},
    "wait_for_finalization": {**_BOOLEAN, "default": False, "description": "Answer once that block is final."},
    "timeout": {
        "type": "number",
        "exclusiveMinimum": 0,
        "examples": [30],
        "description": "Seconds to wait for the answer; at most 30, or 90 for a block, or 180 for finality.",
    },
}
_WAITING_OPTIONAL = ("wait_for_inclusion", "wait_for_finalization", "timeout")

_WEIGHT: Schema = {"type": "number", "minimum": 0, "maximum": MAX_WEIGHT}

_WEIGHTS: Schema = {"additionalProperties": _WEIGHT, "minProperties": 1, "maxProperties": MAX_TARGETS, "type": "object"}

_WEIGHTS_OPTIONS: Schema = {
    **_WAITING,
    "mechid": _integer(MAX_MECHID, default=0),
    "version_key": _integer(MAX_U64, default=0),
    "queue": {**_BOOLEAN, "default": False, "description": "Wait out a rate limit instead of failing."},
}

_TRANSACTIONS: dict[str, Schema] = {
    SetWeights.kind: _one_of(
        "Weights are relative; at least one is above 0.",
        {
            "uids": {
                "type": "array",
                "items": _integer(MAX_U16),
                "minItems": 1,
                "maxItems": MAX_TARGETS,
                "uniqueItems": True,
                "examples": [[1, 2, 3]],
            },
            "weights": {
                "type": "array",
                "items": _WEIGHT,
                "minItems": 1,
                "maxItems": MAX_TARGETS,
                "description": "One for each of uids.",
                "examples": [[100, 200, 300]],
            },
        },
        {
            "weights": {
                **_WEIGHTS,
                "propertyNames": {"pattern": "^(0|[1-9][0-9]{0,4})$"},
                "description": "By uid.",
                "examples": [{"1": 100, "2": 200}],
            }
        },
        {"weights": {**_WEIGHTS, "propertyNames": {"pattern": _SS58}, "description": "By hotkey address."}},
        beside=_WEIGHTS_OPTIONS,
    ),
    ResetAxon.kind: _object(_WAITING, *_WAITING_OPTIONAL),
    SetCommitment.kind: _one_of(
        f"At most {MAX_COMMITMENT_BYTES} bytes.",
        {"data": _text(MAX_COMMITMENT_BYTES, minLength=1)},
        {"data_hex": _hex(1, MAX_COMMITMENT_BYTES)},
        beside=_WAITING,
    ),
}

_SERVED: Schema = {
    **_WAITING,
    "ip": _text(MAX_IP_CHARACTERS, description="IPv4 or IPv6, as text.", examples=["203.0.113.7"]),
    "port": _integer(MAX_U16, minimum=1, examples=[8091]),
    "version": _integer(MAX_U32, default=1),
}
_PROTOCOL: Schema = {"protocol": _integer(MAX_U8, default=4)}
_TRANSACTIONS |= {
    ServePrometheus.kind: _object(_SERVED, *_WAITING_OPTIONAL, "version"),
    ServeAxon.kind: _object(_SERVED | _PROTOCOL, *_WAITING_OPTIONAL, "version", "protocol"),
    ServeAxonTls.kind: _object(
        _SERVED
        | _PROTOCOL
        | {"certificate": _hex(2, MAX_CERTIFICATE_BYTES, description="An algorithm byte and the public key.")},
        *_WAITING_OPTIONAL,
        *("version", "protocol"),
    ),
}

_EXTRINSIC = _object(
    {
        "call_data": _hex(1, MAX_CALL_BYTES),
        "address": _ADDRESS,
        "public_key": _hash(),
        "crypto_type": _integer(MAX_U8),
        "era": {
            "oneOf": [{"const": "00"}, _object({"period": _integer(MAX_U32), "current": _integer(MAX_U32)})],
            "description": 'Period and current block; "00" is immortal, which is always refused.',
        },
        "nonce": _integer(MAX_U32),
        "tip": _integer(MAX_U64),
        "tip_asset_id": _or_null(_integer(MAX_U32)),
        "genesis_hash": _hash(),
        "era_block_hash": _hash(),
        "spec_version": _integer(MAX_U32),
        "transaction_version": _integer(MAX_U32),
        "metadata_hash": _or_null(_hash()),
        "payload": _hex(0, MAX_PARTS_BYTES),
        "payload_json": {"description": "Passed over."},
        "included_in_extrinsic": _hex(0, MAX_PARTS_BYTES),
        "included_in_signed_data": _hex(0, MAX_PARTS_BYTES),
    },
    "payload_json",
    description="The SDK's UnsignedExtrinsic.to_dict().",
)

_REQUEST: Schema = {
    **_KEY,
    "method": _text(MAX_METHOD_CHARACTERS, pattern="^[A-Za-z][A-Za-z0-9_-]*$", examples=["POST"]),
    "path": _text(
        MAX_TARGET_CHARACTERS, pattern="^/[!-~]*$", description="Path and query as sent.", examples=["/a?b=c"]
    ),
    "receiver": {**_ADDRESS, "description": "Who is meant to read it."},
    "nonce": {
        "description": "Nanoseconds since 1970, now and unused; left out, the signer stamps it.",
        "anyOf": [_integer(MAX_I64), {"type": "string", "pattern": "^[1-9][0-9]{0,17}$"}, {"type": "null"}],
    },
}
_REQUEST_OPTIONAL = ("hotkey_name", "nonce")

REQUESTS: dict[str, Schema] = {
    f"/wallet/{kind}": _object({**_KEY, "transaction_data": shape, **_REPEATED}, "hotkey_name", *_REPEATED)
    for kind, shape in _TRANSACTIONS.items()
} | {
    "/wallet/request": {
        "description": "At most one of body and body_sha256; none means an empty body.",
        "anyOf": [
            _object({**_REQUEST, "body": _text(MAX_REQUEST_BODY_CHARACTERS, default="")}, *_REQUEST_OPTIONAL, "body"),
            _object({**_REQUEST, "body_sha256": _text(66, pattern="^(0x)?[0-9a-f]{64}$")}, *_REQUEST_OPTIONAL),
        ],
    },
    "/wallet/session": _object(
        {
            **_KEY,
            "key": _hash(description="The session's Ed25519 public key."),
            "netuid": _or_null(_integer(MAX_NETUID)),
            "receiver": _or_null(_ADDRESS),
            "lifetime": _integer(
                MAX_LIFETIME_SECONDS, minimum=1, description="Seconds; the signer's own limit may be lower."
            ),
        },
        "hotkey_name",
    ),
    "/wallet/extrinsic": _object({**_KEY, "extrinsic": _EXTRINSIC}, "hotkey_name"),
    "/wallet/sign": _object({**_KEY, "message": _text(MAX_TEXT_CHARACTERS, minLength=1)}, "hotkey_name"),
}
"""By path: what a body must be."""

_SUBMITTED: Schema = {
    "enum": ["no", "maybe", "yes"],
    "description": "May the chain have got something of it? Only no together with final rules it out for good.",
}

_NULL_OR_STRING: Schema = {"type": ["string", "null"]}
_NULL_OR_NUMBER: Schema = {"type": ["integer", "null"]}

INTENT_FIELDS: Schema = {
    "intent": {"type": "string", "pattern": "^[A-Za-z0-9_-]{1,64}$"},
    "kind": {"enum": list(_TRANSACTIONS)},
    "state": {"enum": [str(state) for state in State]},
    "final": {**_BOOLEAN, "description": "Nothing more will happen to it."},
    "submitted": _SUBMITTED,
    "wallet_name": _STRING,
    "hotkey_name": _STRING,
    "netuid": {"type": "integer"},
    "mechid": {"type": "integer"},
    "call": {**_NULL_OR_STRING, "description": "The runtime's call, once it is signed."},
    "nonce": _NULL_OR_NUMBER,
    "extrinsic_hash": _NULL_OR_STRING,
    "block_hash": _NULL_OR_STRING,
    "block_number": _NULL_OR_NUMBER,
    "reveal_round": {**_NULL_OR_NUMBER, "description": "The drand round at which timelocked weights are revealed."},
    "accepted": _TIME,
    "deadline": _TIME,
    "trouble": {"type": "string", "description": "What stands in the way at the moment; empty if nothing."},
    "next_block": {"type": "integer", "description": "When the chain permits it, where it has to wait."},
    "next_time": _TIME,
}
"""What every answer about an intent has."""

_WHEN = ("next_block", "next_time")

_MISTAKE = _object(
    {
        "code": _STRING,
        "message": _STRING,
        "hint": _STRING,
        "rule": {"type": "string", "description": "The rule of grant or policy that refused."},
    },
    "rule",
)

_VERDICT = _object(
    {
        "rule": _STRING,
        "verdict": {"enum": ["pass", "refuse", "later"]},
        "passes": {"type": "string", "description": "What would pass."},
        "found": _STRING,
        "retry_after": {**_NULL_OR_NUMBER, "description": "Seconds until it may pass, where waiting helps."},
        "next_block": _NULL_OR_NUMBER,
    }
)

_PAIRS: Schema = {
    "type": "array",
    "description": "Pairs of uid and u16 that were signed, or would be.",
    "items": {"type": "array", "items": {"type": "integer"}, "minItems": 2, "maxItems": 2},
}

_COMPOSED = _object(
    {
        "name": {"type": "string", "description": "The runtime's call."},
        "data": {"type": "string", "pattern": "^0x([0-9a-f]{2})+$", "description": "Its exact bytes."},
        "weights": _or_null(_PAIRS),
        "reveal_round": _NULL_OR_NUMBER,
        "spec_version": {"type": "integer"},
        "metadata_digest": _NULL_OR_STRING,
        "fee_rao": {**_NULL_OR_NUMBER, "description": "In rao, by the runtime; null where it does not tell."},
    }
)

_FAILURE_FIELDS: Schema = {
    "success": {"const": False},
    "error": _MISTAKE,
    "message": _STRING,
    "intent": _NULL_OR_STRING,
    "submitted": _SUBMITTED,
    "idempotency_key": {
        "type": "string",
        "description": "Under which it may have been accepted: send it again with it.",
    },
}

_SIGNED: Schema = {"success": {"const": True}, "ss58_address": _ADDRESS}
_SIGNATURE: Schema = {"type": "string", "pattern": "^0x[0-9a-f]{128}$"}

SCHEMAS: dict[str, Schema] = {
    "Error": _object(
        INTENT_FIELDS | _FAILURE_FIELDS,
        *(INTENT_FIELDS.keys() - {"intent"}),
        *("submitted", "idempotency_key"),
        description="Any failure; how the intent stands is told beside it where there is one.",
    ),
    "Submitted": _object(
        {"success": {"const": True}, "message": _STRING, **INTENT_FIELDS},
        *_WHEN,
        description="The intent came as far as was asked for.",
    ),
    "Explanation": _object(
        {
            "success": {"const": True},
            "dry_run": {"const": True},
            "approved": {"type": "boolean", "description": "Every rule passes, and there is a call to sign."},
            "message": _STRING,
            "error": _or_null(_MISTAKE),
            "submitted": {"const": "no"},
            "kind": _STRING,
            "wallet_name": _STRING,
            "hotkey_name": _STRING,
            "netuid": {"type": "integer"},
            "mechid": {"type": "integer"},
            "call": _or_null(_COMPOSED),
            "rules": {"type": "array", "items": _VERDICT},
        },
        description="What would become of the request; nothing was signed.",
    ),
    "Queued": _object(
        {"success": {"const": True}, "message": _STRING, "queued": {"const": True}, **INTENT_FIELDS},
        *_WHEN,
        description="Kept until the subnet's rate limit permits it.",
    ),
    "Intent": _object(
        {
            "success": {"const": True},
            "message": _STRING,
            **INTENT_FIELDS,
            "weights": _or_null(_PAIRS),
            "error": _or_null(_MISTAKE),
        },
        *_WHEN,
    ),
    "Info": _object(
        {
            "success": {"const": True},
            "wallet_name": _STRING,
            "hotkey_name": _STRING,
            "hotkey_address": _ADDRESS,
            "coldkey_address": {"type": "null", "description": "Coldkeys are never opened, so never known."},
            "is_unlocked": {**_BOOLEAN, "description": "False while nothing is signed with it."},
            "crypto_type": {"enum": ["sr25519", "ed25519"]},
            "client": _object(
                {
                    "name": _STRING,
                    "calls": {"type": "array", "items": _STRING},
                    "netuids": _or_null({"type": "array", "items": {"type": "integer"}}),
                    "per_hour": {"type": "integer"},
                    "created": _TIME,
                }
            ),
            "keys": {
                "type": "array",
                "items": _object({"wallet_name": _STRING, "hotkey_name": _STRING, "hotkey_address": _ADDRESS}),
            },
        }
    ),
    "Health": _object({"success": {"const": True}, "status": {"const": "ok"}, "version": _STRING}),
    "Ready": _object({"success": {"const": True}, "status": {"const": "ready"}, "version": _STRING}),
    "NotReady": _object(
        {
            "success": {"const": False},
            "status": {"const": "not ready"},
            "missing": {"type": "object", "additionalProperties": _STRING, "description": "Part and why."},
            "error": _MISTAKE,
            "message": _STRING,
        }
    ),
    "SignedRequest": _object(
        {
            **_SIGNED,
            "headers": {"type": "object", "additionalProperties": _STRING, "description": "To send with the request."},
            "nonce": {"type": "string", "pattern": "^[0-9]+$"},
        }
    ),
    "Session": _object({"success": {"const": True}, "certificate": _STRING, "serial": _STRING, "until": _TIME}),
    "SignedExtrinsic": _object({**_SIGNED, "signature": _SIGNATURE, "crypto_type": {"enum": [0, 1]}}),
    "SignedText": _object(
        {
            **_SIGNED,
            "signature": _SIGNATURE,
            "message": _STRING,
            "signed": {"type": "string", "description": "What the signature is over."},
            "scheme": _STRING,
        }
    ),
    "Description": {"type": "object", "description": "This document.", "required": ["openapi", "paths"]},
}
"""What answers look like, by name."""
