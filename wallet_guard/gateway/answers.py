"""What goes back to a client: a status, a few fields, one JSON object.

``success`` says what the status says: true for 2xx, false for everything else. A failure carries ``error``
with a code of ``codes``, and ``submitted``: may the chain have got something of this intent?

- ``no``: nothing was signed;
- ``maybe``: something was signed, and nobody knows yet how far it came;
- ``yes``: the chain's pool or a block has it.

``final`` says whether that can still change. Only ``no`` together with ``final`` means that setting the
weights in another way cannot set them twice.
"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

from wallet_guard.gateway.codes import status_of
from wallet_guard.ipc.answers import Refusal
from wallet_guard.ipc.clients import InfoView, KeyView
from wallet_guard.ipc.explanations import Explanation, Verdict
from wallet_guard.ipc.health import HealthView
from wallet_guard.ipc.intents import FINAL_STATES, IntentView, State
from wallet_guard.ipc.wishes import SetWeights

# Answers are about one client's doings at one moment, and must not rest anywhere (RFC 9111, section 5.2.2.5).
_NO_STORE = ("Cache-Control", "no-store")
_CHALLENGE = ("WWW-Authenticate", 'Bearer realm="wallet-guard"')

IN_CHAIN_STATES = frozenset({State.SUBMITTED, State.IN_BLOCK, State.FINALIZED, State.EFFECTIVE})

RETRY_SECONDS = 5
"""When to ask again after a restart of ours, which takes less than one."""

CHAIN_SILENT_SECONDS = 30.0
"""The chain process speaks every 10 s; three words missed are a process that is gone or hangs."""


class Answer(NamedTuple):
    """A complete answer; ``body`` is JSON, ``about`` what the log line says beyond the status (never a secret)."""

    status: int
    fields: tuple[tuple[str, str], ...]
    body: bytes
    about: str = ""
    code: str = ""
    """Of the failure, "" for a good answer."""


def answer_json(status: int, content: Mapping[str, Any], *fields: tuple[str, str], about: str = "") -> Answer:
    """An answer with this object as its body."""
    body = json.dumps(content, allow_nan=False, separators=(",", ":")).encode() + b"\n"
    code = content["error"]["code"] if status >= 400 and "error" in content else ""
    return Answer(status, (_NO_STORE, *fields), body, about, code)


def answer_refusal(
    refusal: Refusal,
    *,
    now_ms: int,
    submitted: str | None = None,
    view: IntentView | None = None,
    fields: tuple[tuple[str, str], ...] = (),
    status: int | None = None,
) -> Answer:
    """The failure that a refusal makes; with ``view``, how the intent stands is told beside it.

    ``submitted`` is left out where the question was not about submitting. ``status`` is given where the one
    that parsed the request knows better than the table.
    """
    content: dict[str, Any] = {
        "success": False,
        "error": {"code": refusal.code, "message": refusal.message, "hint": refusal.hint},
        "message": refusal.message,
        "intent": refusal.intent,
    }
    if refusal.rule:
        content["error"]["rule"] = refusal.rule
    if submitted is not None:
        content["submitted"] = submitted
    seconds = refusal.retry_after_seconds
    if refusal.next_block is not None:
        content["next_block"] = refusal.next_block
    if seconds is not None:
        content["next_time"] = _time(now_ms + seconds * 1000)
    about = refusal.code
    if view is not None:
        content |= intent_content(view)
        about = f"{about} {about_intent(view)}"
        if seconds is None and view.not_before_ms is not None and refusal.code == "rate_limited":
            # Rounded up: a client that comes back a moment early is refused again.
            seconds = max(1, -((now_ms - view.not_before_ms) // 1000))
    elif refusal.intent is not None:
        about = f"{about} intent={refusal.intent}"
    status = status or status_of(refusal.code)
    if status == 401:
        fields = (*fields, _CHALLENGE)
    if seconds is not None:
        fields = (*fields, ("Retry-After", str(max(1, seconds))))
    return answer_json(status, content, *fields, about=about)


def answer_reached(view: IntentView) -> Answer:
    """The intent came as far as was asked for."""
    content = {"success": True, "message": _reached_message(view)} | intent_content(view)
    return answer_json(200, content, about=about_intent(view))


def answer_queued(view: IntentView) -> Answer:
    """The chain does not permit it yet, and the client asked to keep it until then: 202."""
    message = "kept until the subnet's rate limit permits it"
    if view.not_before_block is not None:
        message += f", from block {view.not_before_block}"
    if view.not_before_ms is not None:
        message += f", about {_time(view.not_before_ms)}"
    content = {"success": True, "message": message, "queued": True} | intent_content(view)
    return answer_json(202, content, about=f"queued {about_intent(view)}")


def answer_ended(view: IntentView, *, now_ms: int) -> Answer:
    """The intent failed or expired."""
    if view.failure is not None:
        refusal = Refusal(view.failure.code, view.failure.message, view.failure.hint, intent=view.intent)
    else:
        refusal = Refusal(
            "expired",
            f"the intent's deadline passed while it was {view.trouble or 'waiting'}",
            "send it again; its idempotency key is used up",
            intent=view.intent,
        )
    return answer_refusal(refusal, now_ms=now_ms, submitted=submitted(view), view=view)


def answer_late(view: IntentView, goal: State, seconds: float, *, now_ms: int) -> Answer:
    """The wait ended first; the intent goes on."""
    message = (
        f"not {goal.replace('_', ' ')} after {seconds:g} s; the intent is {view.state.replace('_', ' ')} "
        f"and kept until {_time(view.deadline_ms)}"
    )
    if view.trouble:
        message += f": {view.trouble}"
    # Trouble before the pool has it is the chain's absence, whatever the chain process called it.
    code = "chain_unavailable" if view.trouble and view.state not in IN_CHAIN_STATES else "deadline"
    hint = f"GET /wallet/intents/{view.intent} tells how it fares; the same Idempotency-Key waits again"
    refusal = Refusal(code, message, hint, intent=view.intent)
    return answer_refusal(refusal, now_ms=now_ms, submitted=submitted(view), view=view)


def answer_stopping(view: IntentView, *, now_ms: int) -> Answer:
    """The gateway is being stopped while the request waits."""
    refusal = Refusal(
        "stopping",
        f"the server is stopping; the intent is kept until {_time(view.deadline_ms)}",
        "ask again in a few seconds, with the same Idempotency-Key",
        RETRY_SECONDS,
        intent=view.intent,
    )
    return answer_refusal(refusal, now_ms=now_ms, submitted=submitted(view), view=view)


def answer_unsure(code: str, message: str, idempotency_key: str, *, asked: bool) -> Answer:
    """No answer of the signer.

    ``asked``: it may have accepted the intent, so the client must know the key under which it would have.
    """
    if asked:
        message += "; it may have accepted the intent"
    content = {
        "success": False,
        "error": {"code": code, "message": message, "hint": "send it again with the same Idempotency-Key"},
        "message": message,
        "intent": None,
        "submitted": "maybe" if asked else "no",
        "idempotency_key": idempotency_key,
    }
    return answer_json(status_of(code), content, ("Retry-After", str(RETRY_SECONDS)), about=code)


def answer_intent(view: IntentView) -> Answer:
    """How an intent fares, for one who only looks: 200 whatever became of it."""
    content: dict[str, Any] = {"success": True, "message": _state_message(view)} | intent_content(view)
    content["weights"] = [list(pair) for pair in view.weights] if view.weights is not None else None
    content["error"] = None
    if view.failure is not None:
        failure = view.failure
        content["error"] = {"code": failure.code, "message": failure.message, "hint": failure.hint}
    return answer_json(200, content, about=about_intent(view))


def answer_explanation(told: Explanation) -> Answer:
    """What would become of a request: 200 whatever the verdict, which ``approved`` says; nothing was signed."""
    call, error = None, None
    if told.call is not None:
        call = {
            "name": told.call.name,
            "data": "0x" + told.call.data.hex(),
            "weights": [list(pair) for pair in told.call.weights] if told.call.weights is not None else None,
            "reveal_round": told.call.reveal_round,
            "spec_version": told.call.spec_version,
            "metadata_digest": "0x" + told.call.metadata_digest.hex() if told.call.metadata_digest else None,
            "fee_rao": told.call.fee,
        }
    if told.code:
        error = {"code": told.code, "message": told.message, "hint": ""}
    content = {
        "success": True,
        "dry_run": True,
        "approved": told.approved,
        "message": told.message or "every rule passes; nothing was signed",
        "error": error,
        "submitted": "no",
        "kind": told.kind,
        "wallet_name": told.wallet,
        "hotkey_name": told.hotkey,
        "netuid": told.netuid,
        "mechid": told.mechid,
        "call": call,
        "rules": [_rule_content(verdict) for verdict in told.rules],
    }
    return answer_json(200, content, about=f"client={told.client} dry run {told.code or 'approved'}")


def _rule_content(verdict: Verdict) -> dict[str, Any]:
    return {
        "rule": verdict.rule,
        "verdict": verdict.ruling,
        "passes": verdict.passes,
        "found": verdict.found,
        "retry_after": verdict.retry_after_seconds,
        "next_block": verdict.next_block,
    }


def answer_info(info: InfoView, key: KeyView) -> Answer:
    """What a token may do; the top-level names are the seed's. Coldkeys are never opened, so never known."""
    client = info.client
    content = {
        "success": True,
        "wallet_name": key.wallet,
        "hotkey_name": key.hotkey,
        "hotkey_address": key.ss58_address,
        "coldkey_address": None,
        "is_unlocked": not info.locked,
        "crypto_type": key.crypto,
        "client": {
            "name": client.name,
            "calls": list(client.calls),
            "netuids": list(client.netuids) if client.netuids is not None else None,
            "per_hour": client.per_hour,
            "created": _time(client.created_ms),
        },
        "keys": [
            {"wallet_name": each.wallet, "hotkey_name": each.hotkey, "hotkey_address": each.ss58_address}
            for each in info.keys
        ],
    }
    return answer_json(200, content, about=f"client={client.name}")


def missing_parts(health: HealthView) -> dict[str, str]:
    """What a ready service would have and this one has not: part and why, fit for strangers."""
    missing = {}
    if health.journal_error:
        missing["journal"] = "cannot be written"
    if health.locked:
        missing["signer"] = "locked by its operator"
    if health.keys == 0:
        missing["keys"] = "no hotkey is loaded"
    if health.chain_seconds is None or health.chain_seconds > CHAIN_SILENT_SECONDS:
        missing["chain"] = "the chain process is silent"
    elif health.chain_trouble:
        # Why is in the log: an endpoint's URL may hold a key, and who asks here showed no token.
        missing["chain"] = "the endpoint cannot be reached"
    return missing


def answer_ready(missing: Mapping[str, str], version: str) -> Answer:
    """200 if nothing is missing, else 503 naming what is."""
    if not missing:
        return answer_json(200, {"success": True, "status": "ready", "version": version})
    message = "; ".join(f"{part}: {why}" for part, why in missing.items())
    content = {
        "success": False,
        "status": "not ready",
        "missing": dict(missing),
        "error": {"code": "not_ready", "message": message, "hint": "see 'wallet-guard status'"},
        "message": message,
    }
    return answer_json(503, content, ("Retry-After", str(RETRY_SECONDS)), about=f"missing {', '.join(missing)}")


def intent_content(view: IntentView) -> dict[str, Any]:
    """The fields that every answer about an intent has; those that are not known yet are null."""
    content = {
        "intent": view.intent,
        "kind": view.kind,
        "state": view.state,
        "final": view.state in FINAL_STATES,
        "submitted": submitted(view),
        "wallet_name": view.wallet,
        "hotkey_name": view.hotkey,
        "netuid": view.netuid,
        "mechid": view.mechid,
        "call": view.call,
        "nonce": view.nonce,
        "extrinsic_hash": view.extrinsic_hash,
        "block_hash": view.block_hash,
        "block_number": view.block_number,
        "reveal_round": view.reveal_round,
        "accepted": _time(view.accepted_ms),
        "deadline": _time(view.deadline_ms),
        "trouble": view.trouble,
    }
    # Once it was signed, when it became permitted is history.
    unsigned = view.state in (State.ACCEPTED, State.FAILED, State.EXPIRED)
    if unsigned and view.not_before_block is not None:
        content["next_block"] = view.not_before_block
    if unsigned and view.not_before_ms is not None:
        content["next_time"] = _time(view.not_before_ms)
    return content


def submitted(view: IntentView) -> str:
    """``no``, ``maybe`` or ``yes``; see the head of this module."""
    if view.state in IN_CHAIN_STATES or view.block_hash is not None:
        return "yes"
    if view.state is State.ACCEPTED:
        return "no"
    if view.state is State.SIGNED:
        return "maybe"
    # Failed or expired without a failure given: what is not known is not denied.
    signed = view.extrinsic_hash is not None if view.failure is None else view.failure.may_be_submitted
    return "maybe" if signed else "no"


def about_intent(view: IntentView) -> str:
    """The intent's part of a log line."""
    return f"client={view.client} intent={view.intent} {view.state}"


def _reached_message(view: IntentView) -> str:
    # "SubtensorModule.commit_timelocked_weights", or its sibling for mechanisms
    timelocked = view.call is not None and ".commit_timelocked_" in view.call
    what = "timelocked weights" if timelocked else "weights" if view.kind == SetWeights.kind else view.kind
    said = {
        State.SUBMITTED: "handed to the chain",
        State.IN_BLOCK: f"in block {view.block_number}",
        State.FINALIZED: f"final in block {view.block_number}",
        State.EFFECTIVE: "on the chain, read back",
    }[view.state]
    reveal = f"; the chain reveals them at drand round {view.reveal_round}" if view.reveal_round else ""
    return f"{what} for netuid {view.netuid} {said}{reveal}"


def _state_message(view: IntentView) -> str:
    if view.state in IN_CHAIN_STATES:
        return _reached_message(view)
    if view.failure is not None:
        return view.failure.message
    return f"{view.state}, {view.trouble}" if view.trouble else str(view.state)


def _time(unix_ms: int) -> str:
    """RFC 3339, UTC, whole seconds: ``2026-11-21T02:25:55Z``."""
    return datetime.fromtimestamp(unix_ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
