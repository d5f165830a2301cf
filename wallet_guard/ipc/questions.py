"""Every question that one of our processes may ask the signer, and what comes back.

A socket is a privilege: the signer listens on one socket per asker and answers there only what the table at
the end of this module lists. Wire form (``packets``): ``{"id": n, "ask": "accept", "body": {…}}`` is
answered, in any order, by ``{"id": n, "answer": {…}}`` or ``{"id": n, "refusal": {…}}``; the signer also
tells without being asked: ``{"event": "intent", "body": {…}}`` to gateways whenever an intent changes,
``{"event": "work", "body": {}}`` to chain processes whenever ``pull`` would answer something new.

Everything is bounded here once, for both sides: see the ``MAX_`` constants.
"""

from typing import Any, ClassVar, Protocol

from wallet_guard.ipc.admin import AllowPlain, AllowRuntime, AuditCheckpoint, Lock, PolicyReload, StatusAsk, Unlock
from wallet_guard.ipc.chain import Pull, Pulse, Report, Runtime, Seal
from wallet_guard.ipc.clients import ClientAdd, ClientRevoke, Info
from wallet_guard.ipc.clientsigned import ClientSigned
from wallet_guard.ipc.explanations import DryRun, Explain, Inform, Quote
from wallet_guard.ipc.health import Health
from wallet_guard.ipc.intents import Accept, Show
from wallet_guard.ipc.metrics import Metrics
from wallet_guard.ipc.oversight import IntentAsk, IntentCancel, IntentList, IntentRetry, Overview
from wallet_guard.ipc.signatures import IssueHubSession, IssueSession, SignExtrinsic, SignRequest, SignText


class Question(Protocol):
    """Any of the questions above."""

    ask: ClassVar[str]
    answer: ClassVar[type]


def _table(*questions: type[Any]) -> dict[str, type[Any]]:
    return {question.ask: question for question in questions}


GATEWAY = _table(
    *(Accept, Show, Info, Health, SignRequest, SignExtrinsic, IssueSession, SignText, ClientSigned, Metrics, DryRun)
)

HUB = _table(IssueHubSession, Health)

CHAIN = _table(Pull, Runtime, Seal, Report, Pulse, Inform, Quote)

ADMIN = _table(
    *(ClientAdd, ClientRevoke, StatusAsk, AllowPlain, AllowRuntime, Health, Lock, Unlock, AuditCheckpoint),
    *(IntentList, IntentAsk, IntentRetry, IntentCancel, Overview, Explain, PolicyReload),
)
"""Who may ask what: one table per listening socket. What is not listed cannot be asked."""
