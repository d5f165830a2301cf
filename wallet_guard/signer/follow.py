"""Follow: what the chain process saw of a signed extrinsic, and what the clock says, move the intent on.

Rules:

1. News that does not fit the intent's state (late, repeated, or invented) changes nothing.
2. A signature counts as dead only when finality has passed it by *and* its era and a margin are over on our own
clock. Only then is the intent signed anew, with
   the same nonce unless finality showed that nonce consumed: so even under a lying chain no two live extrinsics with
   different nonces exist for one intent.
3. *Effective* is read back: the weights on chain are those that were signed. A plain call is read where it was
included, a timelocked one after its reveal.
"""

import dataclasses
import json
import logging

from wallet_guard.ipc.answers import Done, Refusal
from wallet_guard.ipc.chain import Event, Pulse, Report
from wallet_guard.ipc.intents import Failure, State
from wallet_guard.ipc.wishes import SetWeights
from wallet_guard.signer.calls import PlainCall, read_wish, stands
from wallet_guard.signer.desk import Desk
from wallet_guard.signer.facts import MAX_BLOCK
from wallet_guard.signer.journal import Intent
from wallet_guard.signer.tasks import due_ms

log = logging.getLogger(__name__)

RESEND_SECONDS = 3.0
"""Pause before a dropped extrinsic is handed to the pool again: a quarter of a block."""

_FITS: dict[Event, frozenset[State]] = {
    Event.SUBMITTED: frozenset({State.SIGNED}),
    Event.REJECTED: frozenset({State.SIGNED}),
    Event.DROPPED: frozenset({State.SUBMITTED}),
    Event.IN_BLOCK: frozenset({State.SIGNED, State.SUBMITTED, State.IN_BLOCK}),
    Event.RETRACTED: frozenset({State.IN_BLOCK}),
    Event.FINALIZED: frozenset({State.SIGNED, State.SUBMITTED, State.IN_BLOCK}),
    Event.SUPERSEDED: frozenset({State.SIGNED, State.SUBMITTED}),
    Event.OUTDATED: frozenset({State.SIGNED, State.SUBMITTED}),
    Event.WEIGHTS: frozenset({State.FINALIZED}),
    Event.VALUES: frozenset({State.FINALIZED}),
    Event.TROUBLE: frozenset({State.ACCEPTED, State.SIGNED, State.SUBMITTED, State.IN_BLOCK, State.FINALIZED}),
}

MAX_STEPS = 500
"""Changes of one intent: a life has six, a reorg adds two.

After them only ends are taken, so that a chain process that lies in a loop fills no disk.
"""

_GOES_ROUND = frozenset({Event.SUBMITTED, Event.DROPPED, Event.IN_BLOCK, Event.RETRACTED})

_FINDS = frozenset({Event.IN_BLOCK, Event.FINALIZED})
"""What brings back an intent whose signature was given up: it was included after all."""

MAX_TEXT = 500
"""Characters of an error's name and documentation that are kept."""

MAX_FIGURE = 2**53
"""Of what the chain process tells of itself: figures are floats, exact up to here."""

MAX_VERSION_CHARACTERS = 64
"""Of the chain process's version."""


def report(desk: Desk, question: Report) -> Done | Refusal:
    """Takes the news in. Unknown intents are refused; news that no longer fits is dropped (rule 1)."""
    intent = desk.journal.intent(question.intent)
    if intent is None:
        return Refusal("unknown_intent", "expected the id of an intent")
    if question.block_number is not None and not 0 <= question.block_number <= MAX_BLOCK:
        return Refusal("invalid_report", f"block_number: expected 0 to {MAX_BLOCK}")
    stale = question.extrinsic_hash not in (None, intent.extrinsic_hash)
    if intent.state not in _FITS[question.event] or stale or (intent.lost and question.event not in _FINDS):
        log.debug(f"intent {intent.id} is {intent.state}: {question.event} does not fit, dropped")
        return Done()
    if intent.version >= MAX_STEPS and question.event in _GOES_ROUND:
        return Done()
    if question.event is not Event.TROUBLE:
        desk.trouble.pop(intent.id, None)
    _HANDLERS[question.event](desk, intent, question)
    return Done()


def pulse(desk: Desk, question: Pulse) -> Done | Refusal:
    """Remembers that the chain process lives and what it sees."""
    before = desk.chain.pulse
    # What is kept is shown to others: cut, so that it always fits what they can take.
    question = dataclasses.replace(
        question,
        endpoint=_text(question.endpoint),
        trouble=_text(question.trouble),
        version=question.version[:MAX_VERSION_CHARACTERS],
    )
    for number in (question.best_block, question.finalized_block):
        if number is not None and not 0 <= number <= MAX_BLOCK:
            return Refusal("invalid_pulse", f"block: expected 0 to {MAX_BLOCK}")
    for number in (question.started_ms, question.resident_bytes, question.runners, question.connections):
        if not 0 <= number <= MAX_FIGURE:
            return Refusal("invalid_pulse", f"figures: expected 0 to {MAX_FIGURE}")
    desk.chain.pulse, desk.chain.pulse_ms = question, desk.now_ms()
    if question.best_block is not None and (before is None or before.best_block != question.best_block):
        desk.chain.head_ms = desk.now_ms()
    if before is None or before.trouble != question.trouble:
        log.info(f"chain: {question.trouble or f'{question.endpoint} at block {question.best_block}'}")
    return Done()


def tick(desk: Desk) -> bool:
    """What time alone changes; called twice a second while intents are open. True if a task became due."""
    now, due = desk.now_ms(), False
    for intent in desk.journal.open_intents():
        if intent.state is State.ACCEPTED and now > intent.deadline_ms:
            _expire(desk, intent)
        elif intent.lost and now > (intent.dead_ms or 0):
            _renew(desk, intent)
            due = True
        elif _unrevealed(intent, now):
            desk.fail(
                intent,
                Failure(
                    "not_effective",
                    f"the weights of block {intent.block_number} did not show after round {intent.reveal_round}",
                    "look at the subnet's commit-reveal settings and at later commits of this hotkey",
                    may_be_submitted=True,
                ),
            )
        elif desk.last_tick_ms < due_ms(desk, intent) <= now:
            due = True
    desk.last_tick_ms = now
    return due


def _unrevealed(intent: Intent, now: int) -> bool:
    return intent.state is State.FINALIZED and intent.reveal_by_ms is not None and now > intent.reveal_by_ms


def _submitted(desk: Desk, intent: Intent, _news: Report) -> None:
    desk.move(intent, State.SUBMITTED, "submitted", extrinsic=intent.extrinsic_hash)


def _rejected(desk: Desk, intent: Intent, news: Report) -> None:
    why = f"{_text(news.code)}: {_text(news.message)}" if news.message else _text(news.code)
    failure = Failure(
        "chain_rejected",
        f"the node refused the extrinsic: {why}",
        "nothing is in the pool; mend what the message names and ask again",
        may_be_submitted=False,
    )
    desk.fail(intent, failure)


def _dropped(desk: Desk, intent: Intent, _news: Report) -> None:
    desk.retry_ms[intent.id] = desk.now_ms() + int(RESEND_SECONDS * 1000)
    desk.move(intent, State.SIGNED, "dropped", extrinsic=intent.extrinsic_hash)


def _in_block(desk: Desk, intent: Intent, news: Report) -> None:
    if not _has_block(intent, news) or (intent.state is State.IN_BLOCK and intent.block_hash == news.block_hash):
        return
    _place(intent, news)
    desk.move(intent, State.IN_BLOCK, "in_block", block=intent.block_number, hash=intent.block_hash, error=news.code)


def _retracted(desk: Desk, intent: Intent, _news: Report) -> None:
    intent.block_hash = intent.block_number = intent.failure = None
    desk.move(intent, State.SUBMITTED, "retracted")


def _finalized(desk: Desk, intent: Intent, news: Report) -> None:
    if not _has_block(intent, news):
        return
    _place(intent, news)
    state = State.FAILED if intent.failure else State.FINALIZED
    desk.move(intent, state, "finalized", block=intent.block_number, hash=intent.block_hash, error=news.code)
    desk.on_work()


def _lost(desk: Desk, intent: Intent, news: Report) -> None:
    key = desk.key_of(intent)
    if news.event is Event.SUPERSEDED and key is not None:
        # First: the same news is not taken in twice, so a lock after it could get lost.
        desk.lanes.superseded(key, intent, desk.now_ms())
    intent.lost = True
    intent.keep_nonce = news.event is not Event.SUPERSEDED
    desk.move(intent, intent.state, str(news.event), nonce=intent.nonce)
    desk.hinder(intent, str(news.event), "its signature was passed by; it is signed anew once that is certain")


def _values(desk: Desk, intent: Intent, news: Report) -> None:
    wish = read_wish(json.loads(intent.request))
    if isinstance(wish, SetWeights):
        return
    values = news.values or ()
    if stands(wish, values):
        desk.move(intent, State.EFFECTIVE, "effective", block=news.block_number)
        return
    if stands(wish, values, _later_calls(desk, intent)):
        desk.move(intent, State.EFFECTIVE, "effective_until_overtaken", block=news.block_number)
        return
    failure = Failure(
        "not_effective",
        f"block {intent.block_number} holds the call, but the chain shows something else than was signed",
        "look at other sources that use this hotkey",
        may_be_submitted=True,
    )
    desk.fail(intent, failure)


def _later_calls(desk: Desk, intent: Intent) -> list[PlainCall]:
    wishes = [read_wish(json.loads(request)) for request in desk.journal.later_wishes(intent)]
    return [wish for wish in wishes if not isinstance(wish, SetWeights)]


def _weights(desk: Desk, intent: Intent, news: Report) -> None:
    if intent.kind != SetWeights.kind:
        return
    wanted = sorted(intent.weights or ())
    found = sorted((uid, value) for uid, value in news.weights or () if value)
    if found == wanted:
        desk.move(intent, State.EFFECTIVE, "effective", block=news.block_number)
    elif intent.reveal_round is None and found in [sorted(each) for each in desk.journal.later_weights(intent)]:
        # Without a rate limit one block may hold two of ours for the same slot: the later one stands, as was asked.
        desk.move(intent, State.EFFECTIVE, "effective_until_overtaken", block=news.block_number)
    elif intent.reveal_round is None:
        desk.fail(
            intent,
            Failure(
                "not_effective",
                f"block {intent.block_number} holds the call, but the chain shows other weights than were signed",
                "look at other sources that set weights with this hotkey",
                may_be_submitted=True,
            ),
        )


def _trouble(desk: Desk, intent: Intent, news: Report) -> None:
    desk.hinder(intent, _text(news.code) or "trouble", _text(news.message))


_HANDLERS = {
    Event.SUBMITTED: _submitted,
    Event.REJECTED: _rejected,
    Event.DROPPED: _dropped,
    Event.IN_BLOCK: _in_block,
    Event.RETRACTED: _retracted,
    Event.FINALIZED: _finalized,
    Event.SUPERSEDED: _lost,
    Event.OUTDATED: _lost,
    Event.WEIGHTS: _weights,
    Event.VALUES: _values,
    Event.TROUBLE: _trouble,
}


def _has_block(intent: Intent, news: Report) -> bool:
    """Whether the news names a block that could hold the extrinsic: one within its era."""
    if news.block_hash is None or news.block_number is None:
        return False
    return (intent.era_birth or 0) <= news.block_number < (intent.era_death or 0)


def _place(intent: Intent, news: Report) -> None:
    intent.block_hash, intent.block_number, intent.lost = _text(news.block_hash), news.block_number, False
    intent.failure = None
    if news.code is not None:
        intent.failure = Failure(
            "dispatch_failed",
            f"the chain executed the call and refused it: {_text(news.code)}: {_text(news.message)}",
            "the extrinsic is on the chain and had no effect; mend what the message names and ask again",
            may_be_submitted=True,
        )


def _expire(desk: Desk, intent: Intent) -> None:
    why = desk.trouble.get(intent.id)
    message = "the deadline passed before it could be signed" + (f" ({why})" if why else "")
    failure = Failure("expired", message, "ask again", may_be_submitted=intent.attempt > 0)
    desk.fail(intent, failure, State.EXPIRED)


def _renew(desk: Desk, intent: Intent) -> None:
    """Its signature is dead by finality and by our clock: sign anew while its deadline lasts, else give up."""
    if desk.now_ms() > intent.deadline_ms:
        message = "its signature was passed by and the deadline is over"
        desk.fail(intent, Failure("expired", message, "ask again", may_be_submitted=False), State.EXPIRED)
        return
    intent.lost = False
    intent.extrinsic = intent.extrinsic_hash = None
    if not intent.keep_nonce:
        intent.nonce = None
    desk.move(intent, State.ACCEPTED, "to_be_signed_anew", attempt=intent.attempt)


def _text(text: str | None) -> str:
    return (text or "")[:MAX_TEXT]
