"""The paths, what may be said to each, and the one log line per request.

| path                          | method | token |                                                     |
|-------------------------------|--------|-------|-----------------------------------------------------|
| /wallet/set_weights           | POST   | yes   | decide, sign, submit; waits (see ``submission``)    |
| /wallet/serve_axon and others | POST   | yes   | the same for the calls of ``wishes``                |
| (those two with ?dry_run=1)    | POST   | yes   | explain what would be signed, and sign nothing      |
| /wallet/request and others    | POST   | yes   | one signature at once, for what ``signing`` lists   |
| /wallet/intents/{id}          | GET    | yes   | how an intent fares                                 |
| /wallet/info                  | GET    | yes   | what the token may do, and with which keys          |
| /health                       | GET    | no    | this process answers                                |
| /ready                        | GET    | no    | the signer answers, its journal and the chain stand |
| /openapi.json                 | GET    | no    | all of this, for programs (see ``openapi``)         |

No CORS fields are ever sent: no web page of another origin has business here. Bodies must say that they are
``application/json``, which a page cannot do either without asking first.
"""

import asyncio
import logging
import re
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import NamedTuple
from urllib.parse import parse_qsl

from wallet_guard import __version__
from wallet_guard.gateway import answers
from wallet_guard.gateway.answers import Answer
from wallet_guard.gateway.credentials import CredentialError, read_credential, read_idempotency_key
from wallet_guard.gateway.figures import Figures
from wallet_guard.gateway.openapi import describe
from wallet_guard.gateway.signing import SIGNINGS, Signing
from wallet_guard.gateway.submission import Envelope, Submissions
from wallet_guard.ipc.answers import Refusal
from wallet_guard.ipc.asker import Asker, RefusedError, Unavailable
from wallet_guard.ipc.clients import Info, InfoView
from wallet_guard.ipc.explanations import DryRun
from wallet_guard.ipc.health import Health, HealthView
from wallet_guard.ipc.intents import IntentView, Show
from wallet_guard.net.exchange import Request, Response
from wallet_guard.net.routes import Route, Routes
from wallet_guard.orders.fields import BodyError, shortened
from wallet_guard.orders.reading import DRY_RUN_QUERY
from wallet_guard.orders.weights import Order, parse_order
from wallet_guard.orders.wishes import KINDS, parse_wish
from wallet_guard.wire.http1.fields import Fields

log = logging.getLogger(__name__)

ASK_SECONDS = 5.0
"""For questions that only look; the signer answers them in a millisecond, or it restarts or is gone."""

EXPLAIN_SECONDS = 15.0
"""For a dry run, which asks the chain: the signer ends it after ten."""

READY_SECONDS = 2.0
"""Who probes readiness counts in seconds, and so must the answer."""

READY_KEPT_SECONDS = 1.0
"""/ready needs no token: however often it is called, the signer is asked once a second."""

_INTENT = re.compile(r"[A-Za-z0-9_-]{1,64}")


class Failed(Exception):  # noqa: N818 -- carries a refusal, not a defect
    """The request ends here. ``fields`` go with the answer."""

    def __init__(self, refusal: Refusal, *fields: tuple[str, str]) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal
        self.fields = fields


class _Row(NamedTuple):
    method: str
    path: str
    handler: Callable[[Request], Awaitable[Answer]]
    submits: bool = False
    quiet: bool = False


class Desk:
    """From a parsed request to an answer; ``routes`` is for the server."""

    def __init__(self, asker: Asker, submissions: Submissions, figures: Figures) -> None:
        self._asker = asker
        self._figures = figures
        self._submissions = submissions
        self._ready: tuple[float, dict[str, str]] | None = None
        self._description = answers.answer_json(200, {})

    def routes(self) -> Routes:
        """The table at the head of this module."""
        rows = (
            _Row("POST", "/wallet/set_weights", self._set_weights, submits=True),
            *(_Row("POST", f"/wallet/{kind}", partial(self._wish, kind), submits=True) for kind in KINDS),
            *(_Row("POST", signing.path, partial(self._sign, signing)) for signing in SIGNINGS),
            _Row("GET", "/wallet/intents/{id}", self._intent),
            _Row("GET", "/wallet/info", self._info),
            _Row("GET", "/health", self._health, quiet=True),
            _Row("GET", "/ready", self._readiness, quiet=True),
            _Row("GET", "/openapi.json", self._describe, quiet=True),
        )
        self._description = answers.answer_json(200, describe((row.method, row.path) for row in rows))
        return Routes(Route(row.method, row.path, partial(self._respond, row)) for row in rows)

    async def _respond(self, row: _Row, request: Request) -> Response:
        """The response, whatever happens; logged."""
        begun = time.monotonic()
        try:
            answer = await self._answer(row, request)
        except asyncio.CancelledError:
            # The client left, and its connection took the handler with it. The intent does not notice.
            log.info(f"{row.method} {row.path} - {_since(begun)} client left")
            self._figures.left(row.method, row.path)
            raise
        except Exception:
            # The process's one boundary: a bug costs one request, and may have come after the signer's yes.
            log.exception(f"bug while answering {row.method} {row.path}")
            refusal = Refusal("internal", "a bug in the gateway; its log says more")
            submitted = "maybe" if row.submits else None
            answer = answers.answer_refusal(refusal, now_ms=_now_ms(), submitted=submitted)
        self._figures.answered(row.method, row.path, answer.status, answer.code, time.monotonic() - begun)
        level = logging.DEBUG if row.quiet and answer.status == 200 else logging.INFO
        log.log(level, f"{row.method} {row.path} {answer.status} {_since(begun)} {answer.about}".rstrip())
        return Response(answer.status, answer.body, headers=answer.fields)

    async def _answer(self, row: _Row, request: Request) -> Answer:
        fields: tuple[tuple[str, str], ...] = ()
        try:
            return await row.handler(request)
        except Failed as error:
            refusal, fields = error.refusal, error.fields
        except CredentialError as error:
            refusal = error.refusal
        except BodyError as error:
            refusal = Refusal(error.code, str(error), "mend what the message names and send it again")
        except RefusedError as error:
            refusal = error.refusal
        except Unavailable as error:
            refusal = Refusal("signer_unavailable", str(error), "is the signer running?", answers.RETRY_SECONDS)
        return answers.answer_refusal(refusal, now_ms=_now_ms(), submitted="no" if row.submits else None, fields=fields)

    async def _set_weights(self, request: Request) -> Answer:
        return await self._submit(request, parse_order)

    async def _wish(self, kind: str, request: Request) -> Answer:
        return await self._submit(request, partial(parse_wish, kind))

    async def _submit(self, request: Request, parse: Callable[[bytes], Order]) -> Answer:
        credential = read_credential(request)
        _check_json(request.headers)
        # In its one plain spelling, as the signer reads it where a client signed it.
        wanted = request.query == DRY_RUN_QUERY
        if not wanted:
            _query(request, ())
        order = parse(request.body)
        key = read_idempotency_key(request.headers, order.idempotency_key)
        if wanted or order.dry_run:
            question = credential.question(lambda token: DryRun(token, order.request))
            return answers.answer_explanation(
                await self._asker.ask(question, seconds=EXPLAIN_SECONDS, answer=DryRun.answer)
            )
        return await self._submissions.submit(order, Envelope(credential, key))

    async def _sign(self, signing: Signing, request: Request) -> Answer:
        credential = read_credential(request)
        _check_json(request.headers)
        _query(request, ())
        meant = signing.parse("", request.body)
        question = credential.question(lambda token: signing.parse(token, request.body))
        view = await self._asker.ask(question, seconds=ASK_SECONDS, answer=meant.answer)
        return signing.answer(meant, view)

    async def _intent(self, request: Request) -> Answer:
        credential = read_credential(request)
        _query(request, ())
        (intent,) = request.parameters
        if _INTENT.fullmatch(intent) is None:
            raise _failed("unknown_intent", f"expected the id of an intent, found {shortened(intent)!r}")
        view: IntentView = await self._asker.ask(
            credential.question(lambda token: Show(token, intent)), seconds=ASK_SECONDS, answer=Show.answer
        )
        return answers.answer_intent(view)

    async def _info(self, request: Request) -> Answer:
        credential = read_credential(request)
        wanted = _query(request, ("wallet_name", "hotkey_name"))
        info: InfoView = await self._asker.ask(credential.question(Info), seconds=ASK_SECONDS, answer=Info.answer)
        for key in info.keys:
            if wanted.get("wallet_name", key.wallet) == key.wallet and (
                wanted.get("hotkey_name", key.hotkey) == key.hotkey
            ):
                return answers.answer_info(info, key)
        raise _failed("unknown_wallet", "expected a wallet and hotkey that this token may use, found none loaded")

    async def _health(self, request: Request) -> Answer:
        _query(request, ())
        return answers.answer_json(200, {"success": True, "status": "ok", "version": __version__})

    async def _readiness(self, request: Request) -> Answer:
        _query(request, ())
        now = time.monotonic()
        if self._ready is None or now - self._ready[0] > READY_KEPT_SECONDS:
            self._ready = now, await self._missing()
        return answers.answer_ready(self._ready[1], __version__)

    async def _describe(self, request: Request) -> Answer:
        _query(request, ())
        return self._description

    async def _missing(self) -> dict[str, str]:
        try:
            health: HealthView = await self._asker.ask(Health(), seconds=READY_SECONDS)
        except (Unavailable, RefusedError):
            return {"signer": "does not answer"}
        return answers.missing_parts(health)


def respond_unrouted(figures: Figures, status: int, reason: str) -> Response:
    """The response where no handler was reached, or none came to an end: the server's own refusals."""
    by_status = {404: "not_found", 405: "method_not_allowed", 413: "too_large", 500: "internal", 504: "deadline"}
    refusal = Refusal(by_status.get(status, "bad_request"), reason)
    # From 500 on, a handler had begun.
    submitted = "maybe" if status in (500, 504) else "no"
    answer = answers.answer_refusal(refusal, now_ms=_now_ms(), submitted=submitted, status=status)
    log.info(f"unrouted {status} {shortened(reason)}")
    figures.unrouted(status, answer.code)
    return Response(answer.status, answer.body, headers=answer.fields)


def _since(begun: float) -> str:
    return f"{(time.monotonic() - begun) * 1000:.0f} ms"


def _failed(code: str, message: str, hint: str = "") -> Failed:
    return Failed(Refusal(code, message, hint))


def _check_json(fields: Fields) -> None:
    media_type, _, parameters = fields.get("content-type").lower().partition(";")
    charset = parameters.strip().removeprefix("charset=").strip('"')
    if media_type.strip() != "application/json" or charset not in ("", "utf-8"):
        found = shortened(fields.get("content-type")) or "none"
        raise _failed(
            "unsupported_media_type",
            f"Content-Type: expected application/json, found {found}",
            "curl needs -H 'Content-Type: application/json'",
        )
    if fields.get("content-encoding", "identity").lower() != "identity":
        raise _failed("unsupported_media_type", "Content-Encoding: expected none")


def _query(request: Request, known: tuple[str, ...]) -> dict[str, str]:
    pairs = parse_qsl(request.query, keep_blank_values=True, max_num_fields=None)
    for name, _ in pairs:
        if name not in known:
            raise _failed(
                "invalid_request", f"query: unknown field {shortened(name)!r}", f"known: {', '.join(known) or 'none'}"
            )
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _failed("invalid_request", "query: expected each field once")
    return found


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
