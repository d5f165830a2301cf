"""The operator's hand on intents: look at them, send one's bytes again, end one that is not signed.

Neither makes a signature. ``retry`` gives the chain process the very bytes that are stored; ``cancel`` takes only what
has no signature that could still be on its way, so that what was called off is never seen on the chain.
"""

import json
from dataclasses import replace

from wallet_guard.ipc.admin import StatusAsk
from wallet_guard.ipc.answers import Refusal
from wallet_guard.ipc.intents import Failure, IntentView, State
from wallet_guard.ipc.oversight import (
    MAX_PAGE,
    MAX_REASON_CHARACTERS,
    MIN_ID_CHARACTERS,
    ClientUse,
    IntentAsk,
    IntentCancel,
    IntentDetails,
    IntentList,
    IntentPage,
    IntentRetry,
    Lane,
    Overview,
    OverviewView,
    Refused,
)
from wallet_guard.signer import admin
from wallet_guard.signer.desk import Desk
from wallet_guard.signer.follow import MAX_STEPS
from wallet_guard.signer.journal import Intent
from wallet_guard.signer.keys import Key

REFUSALS_SHOWN = 10

MAX_TIME_MS = 2**63 - 1
"""What SQLite takes as an integer."""

_HOUR_MS = 3_600_000


def intents(desk: Desk, question: IntentList) -> IntentPage | Refusal:
    """One page."""
    if not 1 <= question.count <= MAX_PAGE:
        return Refusal("invalid_request", f"count: expected 1 to {MAX_PAGE}, found {question.count}")
    if question.before_ms is not None and not 0 <= question.before_ms <= MAX_TIME_MS:
        return Refusal("invalid_request", f"before_ms: expected 0 to {MAX_TIME_MS}")
    found = desk.journal.page(question.client, question.unfinished, question.before_ms, question.count + 1)
    shown, over = found[: question.count], found[question.count :]
    if over:
        # The next page begins before a millisecond: all that were accepted in one are on one page, if it takes them.
        shown = [intent for intent in shown if intent.accepted_ms > over[0].accepted_ms] or shown
    # A whole page of views with thousands of weights would not fit a packet.
    return IntentPage(tuple(replace(desk.view(intent), weights=None) for intent in shown), bool(over))


def details(desk: Desk, question: IntentAsk) -> IntentDetails | Refusal:
    """Everything about one."""
    intent = _named(desk, question.intent)
    if isinstance(intent, Refusal):
        return intent
    return IntentDetails(
        view=desk.view(intent),
        request=intent.request,
        idempotency_key=intent.idempotency_key,
        queue=intent.queue,
        attempts=intent.attempt,
        signed_ms=intent.signed_ms,
        dead_ms=intent.dead_ms,
        era_birth=intent.era_birth,
        era_death=intent.era_death,
        passed_by=intent.lost,
        extrinsic=intent.extrinsic,
    )


def retry(desk: Desk, question: IntentRetry) -> IntentView | Refusal:
    """The stored bytes go to the pool again, at once; the same bytes twice are one extrinsic to the chain."""
    intent = _named(desk, question.intent)
    if isinstance(intent, Refusal):
        return intent
    why = _not_to_be_sent(desk, intent)
    if why:
        return Refusal("not_retried", f"intent {intent.id[:8]} is {intent.state}: {why}", intent=intent.id)
    locked = desk.check_unlocked()
    if locked is not None:
        return locked
    desk.retry_ms.pop(intent.id, None)
    desk.trouble.pop(intent.id, None)
    desk.move(intent, State.SIGNED, "retried", by=_short(question.by), extrinsic=intent.extrinsic_hash)
    desk.on_work()
    return desk.view(intent)


def _not_to_be_sent(desk: Desk, intent: Intent) -> str:
    if intent.state is State.ACCEPTED:
        return "nothing is signed yet; it is tried again by itself until its deadline"
    if intent.state not in (State.SIGNED, State.SUBMITTED) or intent.extrinsic is None:
        return "there is nothing to send again"
    if intent.lost or desk.now_ms() > (intent.dead_ms or 0):
        return "its signature is over; it is signed anew by itself while its deadline lasts"
    if intent.version >= MAX_STEPS:
        return f"it changed {MAX_STEPS} times"
    return ""


def cancel(desk: Desk, question: IntentCancel) -> IntentView | Refusal:
    """Ends it, durably; the audit chain and its client learn by whom."""
    intent = _named(desk, question.intent)
    if isinstance(intent, Refusal):
        return intent
    if intent.state is not State.ACCEPTED:
        why = "only what is not signed can be cancelled" if not intent.final else "it has ended"
        hint = "'wallet-guard lock' keeps what is signed from being sent" if not intent.final else ""
        return Refusal("not_cancelled", f"intent {intent.id[:8]} is {intent.state}: {why}", hint, intent=intent.id)
    by, why = _short(question.by), _short(question.why)
    message = f"cancelled by the operator ({by or 'unnamed'})" + (f": {why}" if why else "")
    # Accepted once more after a signature: that one is dead by finality and by our clock (`follow`).
    intent.failure = Failure("cancelled", message, "ask its operator before you ask again", may_be_submitted=False)
    desk.move(intent, State.FAILED, "cancelled", by=by, why=why)
    return desk.view(intent)


def overview(desk: Desk, _question: Overview) -> OverviewView:
    """Everything that moves."""
    opened = desk.journal.open_intents()
    now = desk.now_ms()
    refusals = [(at_ms, client, json.loads(body)) for at_ms, client, body in desk.journal.denials(REFUSALS_SHOWN)]
    return OverviewView(
        status=admin.status(desk, StatusAsk()),
        lanes=tuple(_lane(desk, key, opened) for key in desk.keys),
        clients=tuple(
            ClientUse(
                name=client.name,
                accepted=desk.journal.count_accepted(client.name, now - _HOUR_MS),
                per_hour=client.per_hour,
                open=desk.journal.count_open(client.name),
                refused=desk.denials.get(client.name, 0),
                last_ms=next((each.accepted_ms for each in desk.journal.page(client.name, False, None, 1)), None),
            )
            for _, client in desk.journal.clients()
            if client.revoked_ms is None
        ),
        refusals=tuple(
            Refused(at_ms, client, str(body.get("call", "")), str(body.get("code", "")))
            for at_ms, client, body in refusals
        ),
        peers=tuple(sorted(desk.peers().items())),
    )


def _lane(desk: Desk, key: Key, opened: list[Intent]) -> Lane:
    own = [intent for intent in opened if intent.ss58_address == key.ss58_address]
    states = [str(intent.state) for intent in own]
    return Lane(
        wallet=key.wallet,
        hotkey=key.hotkey,
        next_nonce=desk.journal.lowest_nonce(key.ss58_address),
        nonces=tuple(sorted(desk.journal.nonces_in_flight(key.ss58_address, but=""))),
        states=tuple((state, states.count(state)) for state in State if state in states),
    )


def _named(desk: Desk, name: str) -> Intent | Refusal:
    """The one intent whose id begins so."""
    if len(name) < MIN_ID_CHARACTERS or not name.isascii() or not name.isalnum():
        return Refusal("unknown_intent", f"expected an id, or its first {MIN_ID_CHARACTERS} characters or more")
    found = desk.journal.intents_named(name, 2)
    if len(found) == 1:
        return found[0]
    what = "no intent" if not found else "several intents"
    return Refusal("unknown_intent", f"found {what} whose id begins with {name[:64]!r}", "'wallet-guard intents list'")


def _short(text: str) -> str:
    """As much of it as is kept, without what could forge a line."""
    return "".join(each for each in text if each.isprintable())[:MAX_REASON_CHARACTERS]
