"""One signature at once: the answers to the requests of ``orders.signatures``.

``/wallet/request``: ``{"success": true, "headers": {"X-Bittensor-Version": "1", …}, "ss58_address", "nonce": "17…"}``.
``/wallet/session``: ``{"success": true, "certificate", "serial", "until": "2026-11-21T03:25:55Z"}``.
``/wallet/extrinsic``: ``{"success": true, "signature": "0x…", "crypto_type": 1, "ss58_address"}``.
``/wallet/sign``: ``{"success": true, "signature": "0x…", "signed": "<Bytes>…", …}``; ``signed`` is what was signed.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, NamedTuple

from wallet_guard.gateway.answers import Answer, answer_json
from wallet_guard.ipc.signatures import (
    ExtrinsicView,
    IssueSession,
    RequestView,
    SessionView,
    SignExtrinsic,
    SignRequest,
    SignText,
    TextView,
)
from wallet_guard.orders.signatures import SIGNATURES


def answer_request(_question: SignRequest, view: RequestView) -> Answer:
    """The fields to send with the request."""
    nonce = str(view.nonce_ns)
    content = {"success": True, "headers": dict(view.headers), "ss58_address": view.sender, "nonce": nonce}
    return answer_json(200, content, about=f"signed as {view.sender}")


def answer_session(_question: IssueSession, view: SessionView) -> Answer:
    """The certificate and its end."""
    until = datetime.fromtimestamp(view.until_ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    content = {"success": True, "certificate": view.certificate, "serial": view.serial, "until": until}
    return answer_json(200, content, about=f"serial={view.serial}")


def answer_extrinsic(_question: SignExtrinsic, view: ExtrinsicView) -> Answer:
    """The signature alone; who composed the extrinsic puts them together."""
    content = {
        "success": True,
        "signature": "0x" + view.signature.hex(),
        "crypto_type": view.crypto_type,
        "ss58_address": view.ss58_address,
    }
    return answer_json(200, content, about=f"signed as {view.ss58_address}")


def answer_text(question: SignText, view: TextView) -> Answer:
    """The signature and the text that it is over."""
    content = {
        "success": True,
        "signature": "0x" + view.signature.hex(),
        "message": question.text,
        "signed": view.signed,
        "ss58_address": view.ss58_address,
        "scheme": view.scheme,
    }
    return answer_json(200, content, about=f"signed as {view.ss58_address}")


class Signing(NamedTuple):
    """One route: from token and body to the question, from question and answer to the response."""

    path: str
    parse: Callable[[str, bytes], Any]
    answer: Callable[[Any, Any], Answer]


_ANSWERS: dict[str, Callable[[Any, Any], Answer]] = {
    "/wallet/request": answer_request,
    "/wallet/session": answer_session,
    "/wallet/extrinsic": answer_extrinsic,
    "/wallet/sign": answer_text,
}

SIGNINGS = tuple(Signing(path, SIGNATURES[path], answer) for path, answer in _ANSWERS.items())
