"""Who may ask what: one table per listening socket, and the one place where a question becomes an answer.

The tables are the security argument: what is not in a socket's table cannot be asked there, whoever holds the other
end. A question that is malformed or not in the table ends the connection, as a peer that speaks nonsense is broken or
hostile.
"""

import logging
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from wallet_guard.ipc.admin import AllowPlain, AllowRuntime, AuditCheckpoint, Lock, PolicyReload, StatusAsk, Unlock
from wallet_guard.ipc.answers import Refusal
from wallet_guard.ipc.chain import Pull, Pulse, Report, Runtime, Seal
from wallet_guard.ipc.clients import ClientAdd, ClientRevoke, Info
from wallet_guard.ipc.clientsigned import ClientSigned
from wallet_guard.ipc.explanations import DryRun, Explain, Inform, Quote
from wallet_guard.ipc.health import Health
from wallet_guard.ipc.intents import Accept, Show
from wallet_guard.ipc.metrics import Metrics
from wallet_guard.ipc.oversight import IntentAsk, IntentCancel, IntentList, IntentRetry, Overview
from wallet_guard.ipc.questions import ADMIN, CHAIN, GATEWAY, HUB
from wallet_guard.ipc.records import from_json, to_json
from wallet_guard.ipc.signatures import IssueHubSession, IssueSession, SignExtrinsic, SignRequest, SignText
from wallet_guard.signer import (
    accept,
    admin,
    clientkeys,
    explain,
    exposition,
    extrinsics,
    follow,
    oversight,
    requests,
    seal,
    sessions,
    tasks,
    texts,
)
from wallet_guard.signer.desk import Desk
from wallet_guard.signer.journal import JournalError
from wallet_guard.signer.lockdown import LockedError
from wallet_guard.signer.pending import Later

log = logging.getLogger(__name__)

Answerer = Callable[[Desk, Any], Any]

ANSWERERS: dict[type[Any], Answerer] = {
    Accept: accept.accept,
    Show: accept.show,
    Info: admin.info,
    Health: admin.health,
    SignRequest: requests.sign_request,
    SignExtrinsic: extrinsics.sign_extrinsic,
    IssueSession: sessions.issue_session,
    IssueHubSession: sessions.issue_hub_session,
    SignText: texts.sign_text,
    Pull: lambda desk, _question: tasks.pull(desk),
    Runtime: seal.learn_runtime,
    Seal: seal.seal,
    Report: follow.report,
    Pulse: follow.pulse,
    ClientAdd: admin.client_add,
    ClientRevoke: admin.client_revoke,
    StatusAsk: admin.status,
    AllowPlain: admin.allow_plain,
    AllowRuntime: admin.allow_runtime,
    Lock: admin.lock,
    Unlock: admin.unlock,
    AuditCheckpoint: admin.audit_checkpoint,
    PolicyReload: admin.policy_reload,
    DryRun: explain.dry_run,
    Explain: explain.explain,
    Inform: explain.inform,
    Quote: explain.quote,
    IntentList: oversight.intents,
    IntentAsk: oversight.details,
    IntentRetry: oversight.retry,
    IntentCancel: oversight.cancel,
    Overview: oversight.overview,
    Metrics: exposition.metrics,
    ClientSigned: lambda desk, question: clientkeys.answer_signed(
        desk, question, ANSWERERS, partial(_spring_canary, desk)
    ),
}

TABLES = {"gateway": GATEWAY, "hub": HUB, "chain": CHAIN, "admin": ADMIN}
"""By the name of the listening socket."""


class NonsenseError(Exception):
    """The peer asked what cannot be asked on its socket, or not in the shape that was agreed. Cut it off."""


def answer(
    desk: Desk,
    socket_name: str,
    message: dict[str, Any],
    deliver: Callable[[dict[str, Any]], None] = lambda _packet: None,
) -> dict[str, Any] | None:
    """The packet that answers ``message``; None where it is delivered later, by ``deliver``.

    Raises:
        NonsenseError: no id, not in this socket's table, or not the record that the table names.
    """
    number, ask = message.get("id"), message.get("ask")
    if type(number) is not int or not isinstance(ask, str) or message.keys() != {"id", "ask", "body"}:
        raise NonsenseError("expected a question with id, ask and body")
    record = TABLES[socket_name].get(ask)
    if record is None:
        raise NonsenseError(f"expected a question of the {socket_name} table, found {ask[:40]!r}")
    try:
        question = from_json(record, message["body"])
    except ValueError as error:
        raise NonsenseError(str(error)[:200]) from error
    if socket_name in ("gateway", "hub"):
        _spring_canary(desk, question)
    begun = time.perf_counter()
    try:
        result = ANSWERERS[record](desk, question)
    except LockedError as error:
        # A door fell shut while the answer was being made; before that, `Desk.check_unlocked` says it.
        result = Refusal("locked", str(error), "its operator opens it with 'wallet-guard unlock'")
    except JournalError as error:
        log.critical(str(error))
        desk.figures.journal_failed()
        result = _unwritten(str(error))
    desk.figures.answered(socket_name, ask, time.perf_counter() - begun, result)
    if isinstance(result, Later):
        result.tell = lambda told: deliver(_packet(number, told))
        return None
    return _packet(number, result)


def _packet(number: int, result: Any) -> dict[str, Any]:
    kind = "refusal" if isinstance(result, Refusal) else "answer"
    return {"id": number, kind: to_json(result)}


def stands_alone(socket_name: str, message: dict[str, Any]) -> bool:
    """Must this question be answered by itself? Those of an operator, and a runtime, change more than the journal."""
    return socket_name == "admin" or message.get("ask") == Runtime.ask


def unwritten(number: int, why: str) -> dict[str, Any]:
    """The packet that answers a question whose answer could not be written down with its group."""
    return _packet(number, _unwritten(why))


def _unwritten(why: str) -> Refusal:
    return Refusal("journal_unavailable", why, "mend the disk, then restart the signer")


def _spring_canary(desk: Desk, question: Any) -> None:
    """Any question that names the canary key locks, token or not: who knows that name has been where nobody should."""
    canary = desk.config.signer.canary
    wish = getattr(question, "request", question)
    if canary and canary == f"{getattr(wish, 'wallet', '')}/{getattr(wish, 'hotkey', '')}":
        desk.lockdown.engage(f"the canary key {canary} was asked for ({question.ask})")
