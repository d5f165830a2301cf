"""What every step of an intent has at hand: the endpoints, the signer, and the reports that go to it."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any, cast

from wallet_guard.chain.endpoints import Endpoints
from wallet_guard.chain.errors import Unavailable
from wallet_guard.chain.link import Link, Runtime
from wallet_guard.ipc.answers import Refusal
from wallet_guard.ipc.asker import Asker, RefusedError
from wallet_guard.ipc.chain import Event, Facts, Report, Seal, Task
from wallet_guard.ipc.questions import Question

log = logging.getLogger(__name__)

SIGNER_SECONDS = 10.0
"""For one answer of the signer; it takes milliseconds."""

LINK_SECONDS = 1.0
"""How long a step waits for a link before the intent's client is told that there is none."""

TROUBLE_SECONDS = 30.0
"""Between reports of the same trouble of the same intent."""

CONCURRENT_READS = 64
"""Intents whose facts are gathered at once: a burst at an epoch's end must not look like an attack to the endpoint."""

_LIES = {"wrong_genesis": "wrong chain", "runtime_refused": "unusable runtime", "runtime_changed": "runtime"}
"""What the signer refuses about an endpoint, not about an intent."""


class Office:
    """Shared by all runners. ``now_ms`` gives Unix milliseconds.

    Methods that ask the signer raise ``ipc.asker.Unavailable`` and ``RefusedError``.
    """

    def __init__(self, endpoints: Endpoints, asker: Asker, now_ms: Callable[[], int]) -> None:
        self.endpoints = endpoints
        self.now_ms = now_ms
        self.reads = asyncio.Semaphore(CONCURRENT_READS)
        self._asker = asker
        self._troubles: dict[str, tuple[str, float]] = {}

    async def link(self, task: Task) -> Link:
        """The live link, however long it takes; the client learns meanwhile that there is none."""
        while True:
            try:
                return await self.endpoints.link(LINK_SECONDS)
            except Unavailable as error:
                await self.trouble(task, "unavailable", f"the chain cannot be reached: {error}")

    async def tell_runtime(self, link: Link, runtime: Runtime) -> None:
        """Gives the signer a runtime. A link whose genesis or runtime it refuses is ended."""
        try:
            await self._asker.ask(link.runtime_question(runtime), seconds=SIGNER_SECONDS)
        except RefusedError as error:
            _end_liar(link, error.refusal)
            raise

    async def seal(self, link: Link, task: Task, facts: Facts) -> Task:
        """The task that follows from sealing. A link whose runtime composes something else is ended."""
        try:
            return cast("Task", await self._asker.ask(Seal(task.intent, facts), seconds=SIGNER_SECONDS))
        except RefusedError as error:
            _end_liar(link, error.refusal)
            raise

    async def tell(self, question: Question) -> Any:
        """The signer's answer."""
        return await self._asker.ask(question, seconds=SIGNER_SECONDS)

    async def report(self, report: Report) -> None:
        """Tells the signer, and waits until it has written it down."""
        if report.event is not Event.TROUBLE:
            self._troubles.pop(report.intent, None)
        await self._asker.ask(report, seconds=SIGNER_SECONDS)

    async def trouble(self, task: Task, code: str, message: str) -> None:
        """Tells the signer what stands in the way, the same thing at most every 30 seconds."""
        now = asyncio.get_running_loop().time()
        before, told = self._troubles.get(task.intent, ("", 0.0))
        if before == code and now - told < TROUBLE_SECONDS:
            return
        self._troubles[task.intent] = (code, now)
        log.info(f"intent {task.intent}: {code}: {message[:300]}")
        await self.report(Report(task.intent, Event.TROUBLE, task.extrinsic_hash, code=code, message=message[:500]))

    def forget(self, intent: str) -> None:
        """The intent is no longer worked on."""
        self._troubles.pop(intent, None)


def _end_liar(link: Link, refusal: Refusal) -> None:
    # Metadata is asked for once per link: only another link, to this or the next endpoint, can have better.
    if refusal.code in _LIES:
        link.fail(f"{_LIES[refusal.code]}: {refusal.message}")
