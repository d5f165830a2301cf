"""One ``set_weights`` request from the signer's yes to its answer.

Three ends: the goal is reached, the intent has ended, or time is up; and a fourth, the gateway is stopped.
The intent itself lives in the signer's journal and does not know that anyone waits.
"""

import asyncio
import contextlib
import secrets
import time
from collections.abc import Coroutine
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from wallet_guard.gateway import answers
from wallet_guard.gateway.answers import Answer
from wallet_guard.gateway.credentials import Credential
from wallet_guard.gateway.waits import TooManyWaits, Waits, ended, reached
from wallet_guard.ipc.answers import Refusal
from wallet_guard.ipc.asker import Asker, RefusedError, Unavailable
from wallet_guard.ipc.intents import Accept, IntentView, Show, State
from wallet_guard.ipc.questions import Question
from wallet_guard.orders.weights import Order

T = TypeVar("T")

GOAL_SECONDS = {State.SUBMITTED: 30.0, State.IN_BLOCK: 90.0, State.FINALIZED: 180.0}
"""How long a request waits for its goal, at most.

The pool answers in about a second: 30 s leave room for a reconnect to another endpoint. A block takes 12 s:
90 s are seven of them, for a full pool. Finality takes 2 to 3 blocks more: 180 s leave room for a slow round
of it.
"""

ACCEPT_SECONDS = 10.0
"""The signer decides in milliseconds and restarts in a third of a second; longer, and it is not there."""

ACCEPT_ATTEMPTS = 3
"""A request that the signer dies of must not kill it again and again."""

UNWRITTEN = "journal_unavailable"
"""The one refusal that is no certain one: what could not be synced may be on the disk all the same.

Then the signer finds the intent accepted at its next start, and sees it through.
"""


@dataclass(frozen=True, slots=True)
class Envelope:
    """Who asks, and the key that makes asking twice the same as asking once."""

    credential: Credential
    idempotency_key: str | None


class Submissions:
    """Every ``set_weights`` request under way."""

    def __init__(self, asker: Asker, waits: Waits) -> None:
        self._asker = asker
        self._waits = waits
        self._limits: set[asyncio.Timeout] = set()
        self._stopping = False

    def stop(self) -> None:
        """Ends every wait now; what comes later is not begun."""
        self._stopping = True
        now = asyncio.get_running_loop().time()
        for limit in self._limits:
            if not limit.expired():
                limit.reschedule(now)

    async def submit(self, order: Order, envelope: Envelope) -> Answer:
        """The answer to an order, when its goal is reached, the intent has ended or time is up."""
        # A key of our own lets us ask again when the signer's connection breaks, for a client that gave none.
        key = envelope.idempotency_key or f"gateway-{secrets.token_hex(16)}"
        accept = envelope.credential.question(lambda token: Accept(token, key, order.queue, order.request))
        most = GOAL_SECONDS[order.goal]
        seconds = min(order.timeout_seconds or most, most)
        try:
            with self._waits.place(envelope.credential.who):
                return await self._submit(accept, order, envelope.credential, seconds)
        except TooManyWaits as error:
            refusal = Refusal("too_many_waiting", str(error), "wait for answers first", retry_after_seconds=1)
            return answers.answer_refusal(refusal, now_ms=_now_ms(), submitted="no")
        except RefusedError as error:
            if error.refusal.code == UNWRITTEN:
                return answers.answer_unsure(UNWRITTEN, error.refusal.message, key, asked=True)
            return answers.answer_refusal(error.refusal, now_ms=_now_ms(), submitted="no")
        except Unavailable as error:
            return answers.answer_unsure("signer_unavailable", str(error), key, asked=error.asked)
        except TimeoutError:
            return answers.answer_unsure("stopping", "the server is stopping", key, asked=True)

    async def _submit(self, accept: Question, order: Order, credential: Credential, seconds: float) -> Answer:
        begun = time.monotonic()
        view = await self._stoppable(self._accept(accept, min(seconds, ACCEPT_SECONDS)), None)
        left = max(0.0, begun + seconds - time.monotonic())
        ends_ms = _now_ms() + int(left * 1000)
        intent = view.intent
        show = partial(self._show, credential.question(lambda token: Show(token, intent)), left)
        with self._waits.follow(view) as wait, contextlib.suppress(TimeoutError):
            await self._stoppable(
                wait.until(lambda view: reached(view, order.goal) or _kept(view, order.queue, ends_ms), show), left
            )
        return self._outcome(wait.view, order, seconds)

    def _outcome(self, view: IntentView, order: Order, seconds: float) -> Answer:
        now_ms = _now_ms()
        if ended(view):
            return answers.answer_ended(view, now_ms=now_ms)
        if reached(view, order.goal):
            return answers.answer_reached(view)
        if self._stopping:
            return answers.answer_stopping(view, now_ms=now_ms)
        if _kept(view, order.queue, now_ms):
            return answers.answer_queued(view)
        return answers.answer_late(view, order.goal, seconds, now_ms=now_ms)

    async def _stoppable(self, work: Coroutine[Any, Any, T], seconds: float | None) -> T:
        """The result of ``work``.

        Raises:
            TimeoutError: it took longer, or the gateway is stopped.
        """
        async with asyncio.timeout(0 if self._stopping else seconds) as limit:
            self._limits.add(limit)
            try:
                return await work
            finally:
                self._limits.discard(limit)

    async def _accept(self, accept: Question, seconds: float) -> IntentView:
        """The signer's yes.

        Raises:
            RefusedError: the signer says no.
            Unavailable: no answer; with ``asked`` if any of the attempts may have been decided.
        """
        ends = time.monotonic() + seconds
        asked = False
        for _ in range(ACCEPT_ATTEMPTS):
            left = ends - time.monotonic()
            if left <= 0:
                break
            try:
                view: IntentView = await self._asker.ask(accept, seconds=left, answer=IntentView)
            except Unavailable as error:
                if not error.asked:
                    raise Unavailable(str(error), asked=asked) from error
                asked = True
            else:
                return view
        raise Unavailable(f"the signer did not answer within {seconds:g} s", asked=asked)

    async def _show(self, show: Question, seconds: float) -> IntentView | None:
        try:
            view: IntentView = await self._asker.ask(show, seconds=seconds, answer=IntentView)
        except (Unavailable, RefusedError):
            # Away: the next connection makes us ask again. Refused (the token was revoked just now): the
            # signer will not seal for it either, and that comes as an event.
            return None
        return view


def _kept(view: IntentView, queue: bool, ends_ms: int) -> bool:
    """Is the intent kept for a rate limit that lasts longer than anyone waits here?"""
    return queue and view.state is State.ACCEPTED and view.not_before_ms is not None and view.not_before_ms > ends_ms


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
