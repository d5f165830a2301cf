"""Every route in OpenAPI 3.1 (https://spec.openapis.org/oas/v3.1.1), as ``GET /openapi.json`` gives it.

It is made from the route table: a row that is not described here, or a description without a row, ends the process at
its start (and the tests before that). Which failures a route can answer is told by the codes of ``codes``; their
statuses follow from there. Nothing in it depends on the configuration, so it holds no secret and needs no token.

Another way to show who asks is one more entry of ``SECURITY_SCHEMES``.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

from wallet_guard import __version__
from wallet_guard.gateway.codes import CODES
from wallet_guard.gateway.schemas import REQUESTS, SCHEMAS, reference
from wallet_guard.ipc.intents import MAX_IDEMPOTENCY_KEY_CHARACTERS
from wallet_guard.ipc.wishes import SetWeights
from wallet_guard.orders.weights import MAX_BODY_BYTES

VERSION = "3.1.1"

SECURITY_SCHEMES: dict[str, Any] = {
    "token": {
        "type": "http",
        "scheme": "bearer",
        "description": "The token that 'wallet-guard client add' printed. Each is for one key, some calls and subnets.",
    },
    "signature": {
        "type": "apiKey",
        "in": "header",
        "name": "X-Bittensor-Signature",
        "description": (
            "For clients with a key of their own: all fields of btauth/1 (X-Bittensor-Version, -Hotkey, -Receiver, "
            "-Nonce, -Crypto, -Signature), made over method, target and body. No Authorization beside them, and the "
            "idempotency key in the body."
        ),
    },
}
"""Ways to show who asks; any one of them is enough."""

_ANY = ("bad_request", "invalid_header", "not_found", "internal", "deadline")
"""What any route may answer: no request that can be understood, or a bug."""

_QUERY = ("invalid_request",)

_ASKS = ("unauthorized", "signer_unavailable", "journal_unavailable", "locked")

_BODY = ("invalid_json", "invalid_request", "too_large", "unsupported_media_type")

_MAY = (
    "wallet_not_allowed",
    "netuid_not_allowed",
    "call_not_allowed",
    "call_refused",
    "unknown_wallet",
    "rate_limited",
    "policy_denied",
)

_SUBMITS = (
    *(
        "idempotency_conflict",
        "old_key",
        "restored",
        "cancelled",
        "too_many_open",
        "too_many_waiting",
        "not_registered",
        "unknown_hotkey",
    ),
    *("unknown_mechanism", "too_few_weights", "weights_shifted", "version_key_too_low", "commit_reveal_disabled"),
    *(
        "wrong_genesis",
        "runtime_changed",
        "facts_refused",
        "chain_rejected",
        "dispatch_failed",
        "not_effective",
        "chain_unavailable",
    ),
    *("expired", "stopping"),
)

_EARLY = {408: "the request came too slowly", 414: "the target is too long", 431: "the head is too long"}
"""Ends before any route was looked for, with the code ``bad_request``."""


class Operation(NamedTuple):
    """What a route does: the schemas of its good answers by status, the codes of its bad ones."""

    summary: str
    answers: dict[int, str]
    codes: tuple[str, ...]
    description: str = ""
    parameters: tuple[dict[str, Any], ...] = ()
    token: bool = True
    explains: bool = False
    """A dry run can be asked for."""


_DRY_RUN_PARAMETER: dict[str, Any] = {
    "name": "dry_run",
    "in": "query",
    "description": "Explain what would be signed, and sign nothing; the same as dry_run in the body.",
    "schema": {"type": "string", "enum": ["1"]},
}

_KEY_PARAMETER: dict[str, Any] = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "The same key with the same request is the same intent, however often it is sent.",
    "schema": {"type": "string", "pattern": "^[!-~]+$", "maxLength": MAX_IDEMPOTENCY_KEY_CHARACTERS},
}

_INTENT_PARAMETER: dict[str, Any] = {
    "name": "id",
    "in": "path",
    "required": True,
    "schema": {"type": "string", "pattern": "^[A-Za-z0-9_-]{1,64}$"},
}

_SUBMITTED = {200: "Submitted", 202: "Queued"}

_WAITS = (
    "Answers once the chain's pool has it, or a block, or finality, as asked for. An answer that comes late says so "
    "(504) and the intent goes on: ask /wallet/intents/{id}, or send it again with the same Idempotency-Key."
)


def _submits(what: str, kept: bool = False) -> Operation:
    answers = _SUBMITTED if kept else {200: "Submitted"}
    codes = (*_ASKS, *_BODY, *_MAY, *_SUBMITS)
    return Operation(what, answers, codes, _WAITS, (_KEY_PARAMETER, _DRY_RUN_PARAMETER), explains=True)


def _signs(what: str, answer: str, *codes: str) -> Operation:
    return Operation(what, {200: answer}, (*_ASKS, *_BODY, *_MAY, *codes))


def _optional_query(name: str, description: str) -> dict[str, Any]:
    return {"name": name, "in": "query", "description": description, "schema": {"type": "string"}}


OPERATIONS: dict[tuple[str, str], Operation] = {
    ("POST", f"/wallet/{SetWeights.kind}"): _submits("Set weights", kept=True),
    ("POST", "/wallet/serve_axon"): _submits("Announce where an axon is served"),
    ("POST", "/wallet/serve_axon_tls"): _submits("Announce where an axon is served, with its certificate"),
    ("POST", "/wallet/serve_prometheus"): _submits("Announce where metrics are served"),
    ("POST", "/wallet/reset_axon"): _submits("Take an announcement back"),
    ("POST", "/wallet/set_commitment"): _submits("Publish a commitment"),
    ("POST", "/wallet/request"): _signs("Sign a btauth/1 request", "SignedRequest", "nonce_refused"),
    ("POST", "/wallet/session"): _signs("Certify a session key", "Session"),
    ("POST", "/wallet/extrinsic"): _signs(
        "Sign an extrinsic that the SDK composed",
        "SignedExtrinsic",
        *("nonce_refused", "wrong_runtime", "era_refused", "tip_refused", "payload_mismatch", "wrong_genesis"),
        *("chain_unavailable",),
    ),
    ("POST", "/wallet/sign"): _signs("Sign a text, wrapped so that it can be nothing else", "SignedText"),
    ("GET", "/wallet/intents/{id}"): Operation(
        "How an intent fares",
        {200: "Intent"},
        (*_ASKS, *_QUERY, "unknown_intent"),
        "200 whatever became of it; only the client that asked for it may know.",
        (_INTENT_PARAMETER,),
    ),
    ("GET", "/wallet/info"): Operation(
        "What the token may do, and with which keys",
        {200: "Info"},
        (*_ASKS, *_QUERY, "unknown_wallet"),
        parameters=(
            _optional_query("wallet_name", "Only this wallet."),
            _optional_query("hotkey_name", "Only this hotkey."),
        ),
    ),
    ("GET", "/health"): Operation("The gateway answers", {200: "Health"}, _QUERY, token=False),
    ("GET", "/ready"): Operation(
        "Signer, journal and chain stand", {200: "Ready", 503: "NotReady"}, _QUERY, token=False
    ),
    ("GET", "/openapi.json"): Operation("This document", {200: "Description"}, _QUERY, token=False),
}
"""By method and path."""


def describe(rows: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """The document for a route table of these methods and paths."""
    paths: dict[str, Any] = {}
    described = set()
    for method, path in rows:
        paths.setdefault(path, {})[method.lower()] = _operation(path, OPERATIONS[method, path])
        described.add((method, path))
    assert described == OPERATIONS.keys(), f"described without a route: {OPERATIONS.keys() - described}"
    return {
        "openapi": VERSION,
        "info": {
            "title": "Wallet Guard",
            "version": __version__,
            "summary": "Holds Bittensor hotkeys and signs what its clients are allowed to ask for.",
            "description": "Failures carry error.code; every code is listed with the status that it comes with.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {"schemas": SCHEMAS, "securitySchemes": SECURITY_SCHEMES},
    }


def _operation(path: str, operation: Operation) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": path.strip("/").replace("/{id}", "").replace("/", "_").replace(".", "_"),
        "summary": operation.summary,
        "security": [{name: []} for name in SECURITY_SCHEMES] if operation.token else [],
        "responses": _responses(operation),
    }
    if operation.description:
        described["description"] = operation.description
    if operation.parameters:
        described["parameters"] = list(operation.parameters)
    if path in REQUESTS:
        described["requestBody"] = {
            "required": True,
            "description": f"Strict JSON of at most {MAX_BODY_BYTES} bytes: no field twice, none unknown.",
            "content": {"application/json": {"schema": REQUESTS[path]}},
        }
    return described


def _responses(operation: Operation) -> dict[str, Any]:
    by_status: dict[int, list[str]] = {}
    for code in (*operation.codes, *_ANY):
        by_status.setdefault(CODES[code].status, []).append(code)
    responses = {str(status): _response(why, "Error") for status, why in _EARLY.items()}
    for status, codes in by_status.items():
        meanings = "; ".join(f"`{code}`: {CODES[code].meaning}" for code in dict.fromkeys(codes))
        responses[str(status)] = _response(meanings, "Error")
        fields = _FIELDS.get(status)
        if fields:
            responses[str(status)]["headers"] = fields
    for status, name in operation.answers.items():
        found = responses.get(str(status))
        if found is None:
            responses[str(status)] = found = _response(SCHEMAS[name].get("description", operation.summary), name)
            if "intent" in SCHEMAS[name].get("properties", {}):
                found["links"] = _LINKS
        else:
            found["content"]["application/json"]["schema"] = {"anyOf": [reference(name), reference("Error")]}
    if operation.explains:
        good = responses["200"]["content"]["application/json"]
        good["schema"] = {"anyOf": [good["schema"], reference("Explanation")]}
    return dict(sorted(responses.items()))


_LINKS: dict[str, Any] = {
    "intent": {
        "operationId": "wallet_intents",
        "parameters": {"id": "$response.body#/intent"},
        "description": "How it fares later.",
    }
}

_RETRY: dict[str, Any] = {"Retry-After": {"description": "Seconds.", "schema": {"type": "integer", "minimum": 1}}}

_FIELDS: dict[int, dict[str, Any]] = {
    401: {"WWW-Authenticate": {"required": True, "schema": {"type": "string"}}},
    429: _RETRY,
    503: _RETRY,
}


def _response(description: str, name: str) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": reference(name)}}}
