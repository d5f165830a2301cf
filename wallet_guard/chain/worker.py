"""The worker: what the signer lists as unfinished, and one runner for each of those intents.

Rules:

1. The signer's list is the truth. It is pulled after each (re)connect, whenever the signer tells ``work``, and every
few
   seconds in case a word was lost. After a reconnect every runner starts anew from the list.
2. One runner per intent, ever; its steps are in order. A list that was made before the runner's last step changes
   nothing (``Task.version``), one that shows another step replaces the runner.
3. A runner ends when its step is done, the signer refuses (it has written down why), or the signer is gone. Trouble
   with the chain does not end it: it waits for a link, and says so.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from wallet_guard import __version__
from wallet_guard.chain.endpoints import Endpoints, shown
from wallet_guard.chain.explaining import explain
from wallet_guard.chain.office import SIGNER_SECONDS, Office
from wallet_guard.chain.readback import read_back
from wallet_guard.chain.sealing import seal
from wallet_guard.chain.submission import submit_and_follow
from wallet_guard.host.process import resident_bytes
from wallet_guard.ipc.asker import Asker, RefusedError, Unavailable
from wallet_guard.ipc.chain import Action, Pull, Pulse, Task, Work

log = logging.getLogger(__name__)

PULSE_SECONDS = 5.0
"""Between signs of life: the signer counts on one every 10 seconds."""

MAX_RUNNERS = 1024
"""Intents worked on at once, the oldest first: eight for each of the 128 subnets that a hotkey can serve."""

_SENDING = (Action.SUBMIT, Action.FOLLOW)


@dataclass(slots=True)
class _Runner:
    """The work on one intent: its task as last known, and the asyncio task that does it."""

    task: Task
    job: asyncio.Task[None] | None = None


class Worker:
    """Everything between the signer's socket and the endpoints.

    ``on_ready`` is called once, when the signer's socket is reached for the first time. ``on_round`` is called after
    each round of pulses, at least every PULSE_SECONDS and twice SIGNER_SECONDS: the signer took one, or its absence
    was noticed.
    """

    def __init__(
        self,
        socket: str,
        endpoints: Endpoints,
        now_ms: Callable[[], int],
        on_ready: Callable[[], None],
        on_round: Callable[[], None] = lambda: None,
    ) -> None:
        self._asker = Asker(socket, on_event=self._told, on_connect=self._connected)
        self._endpoints = endpoints
        self._office = Office(endpoints, self._asker, now_ms)
        self._started_ms = now_ms()
        self._on_ready: Callable[[], None] | None = on_ready
        self._on_round = on_round
        self._runners: dict[str, _Runner] = {}
        self._pull_wanted = asyncio.Event()
        self._pulse_wanted = asyncio.Event()
        self._anew = False
        self._connections = 0
        self._introduced: tuple[object, ...] = ()
        self._group: asyncio.TaskGroup
        endpoints.on_change = self._pulse_wanted.set

    async def run(self) -> None:
        """Works until cancelled. A bug in any part ends all of it: the service manager starts it again."""
        async with asyncio.TaskGroup() as self._group:
            for part in (self._asker.run(), self._endpoints.run(), self._pulling(), self._pulsing()):
                self._group.create_task(part)

    # What the signer tells -----------------------------------------------------------------------------------------

    def _told(self, event: str, _body: Any) -> None:
        if event == "work":
            self._pull_wanted.set()

    def _connected(self) -> None:
        self._anew = True
        self._connections += 1
        self._pull_wanted.set()
        self._pulse_wanted.set()
        if self._on_ready is not None:
            self._on_ready()
            self._on_ready = None

    # The list ------------------------------------------------------------------------------------------------------

    async def _pulling(self) -> None:
        while True:
            await self._pull_wanted.wait()
            self._pull_wanted.clear()
            if self._anew:
                self._anew = False
                await self._drop(list(self._runners))
            try:
                work: Work = await self._asker.ask(Pull(), seconds=SIGNER_SECONDS)
            except (Unavailable, RefusedError) as error:
                # The next connect or pulse asks again.
                log.warning(f"signer: no work to be had: {error}")
                continue
            await self._arrange(work.tasks)

    async def _arrange(self, tasks: tuple[Task, ...]) -> None:
        listed = {task.intent: task for task in tasks}
        replaced = [
            intent
            for intent, runner in self._runners.items()
            if intent not in listed or not _continues(runner.task, listed[intent])
        ]
        await self._drop(replaced)
        for task in tasks:
            if task.intent not in self._runners and len(self._runners) < MAX_RUNNERS:
                runner = self._runners[task.intent] = _Runner(task)
                runner.job = self._group.create_task(self._run(runner))

    async def _drop(self, intents: list[str]) -> None:
        jobs = [runner.job for intent in intents if (runner := self._runners.pop(intent, None)) and runner.job]
        for job in jobs:
            job.cancel()
        # Two runners of one intent must never overlap, not even while the first one ends.
        await asyncio.gather(*jobs, return_exceptions=True)

    # One intent ----------------------------------------------------------------------------------------------------

    async def _run(self, runner: _Runner) -> None:
        intent = runner.task.intent
        try:
            await self._step(runner)
        except RefusedError as error:
            log.info(f"intent {intent}: the signer refused: {error.refusal.code}: {error.refusal.message}")
        except Unavailable as error:
            log.info(f"intent {intent}: put off: {error}")
        finally:
            self._office.forget(intent)
            if self._runners.get(intent) is runner:
                del self._runners[intent]

    async def _step(self, runner: _Runner) -> None:
        fresh = False
        if runner.task.action is Action.FACTS:
            runner.task = await seal(self._office, runner.task)
            # Bytes that were sealed before come by the list, as SUBMIT: those may have been sent.
            fresh = True
        if runner.task.action in _SENDING:
            await submit_and_follow(self._office, runner.task, fresh=fresh)
        elif runner.task.action is Action.READ_BACK:
            await read_back(self._office, runner.task)
        elif runner.task.action is Action.EXPLAIN:
            await explain(self._office, runner.task)

    # Signs of life -------------------------------------------------------------------------------------------------

    async def _pulsing(self) -> None:
        while True:
            self._pulse_wanted.clear()
            if self._asker.connected:
                try:
                    await self._asker.ask(self._pulse(), seconds=SIGNER_SECONDS)
                    await self._introduce()
                except (Unavailable, RefusedError) as error:
                    log.warning(f"signer: pulse or runtime not taken: {error}")
            self._on_round()
            try:
                async with asyncio.timeout(PULSE_SECONDS):
                    await self._pulse_wanted.wait()
            except TimeoutError:
                self._pull_wanted.set()

    def _pulse(self) -> Pulse:
        link = self._endpoints.current
        endpoint, best, finalized, trouble = "", None, None, self._endpoints.trouble[:300]
        if link is not None:
            endpoint, best, finalized = shown(link.url), link.heads.best.number, link.heads.finalized.number
            trouble = ""
        return Pulse(
            endpoint=endpoint,
            best_block=best,
            finalized_block=finalized,
            trouble=trouble,
            version=__version__,
            started_ms=self._started_ms,
            resident_bytes=resident_bytes(),
            runners=len(self._runners),
            connections=self._endpoints.connections,
        )

    async def _introduce(self) -> None:
        """Gives the signer the runtime ahead of the first seal, once for each connection, link and runtime."""
        link = self._endpoints.current
        if link is None:
            return
        introduction = (link, link.runtime.version, self._connections)
        if introduction != self._introduced:
            self._introduced = introduction
            await self._office.tell_runtime(link, link.runtime)


def _continues(running: Task, listed: Task) -> bool:
    """Is the listed step the one that the runner is at, or one that it has already left behind?"""
    if listed.version <= running.version:
        return True
    if listed.action in _SENDING and running.action in _SENDING:
        return listed.extrinsic_hash == running.extrinsic_hash
    return listed.action is running.action
