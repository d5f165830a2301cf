"""Signatures, on the event loop or beside it.

PyNaCl lets go of the interpreter's lock while it verifies, `bittensor_core` does not. So Ed25519 goes to threads
where many frames wait, and sr25519 never does. A hop to a thread costs about what a verification does, hence rounds:
what has arrived is split among the threads, and while they work the next round gathers. Few frames are verified in
place: no hop, no wait. Results are told in the order of arrival, so each peer's frames stay in order.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from time import perf_counter
from typing import Final, NamedTuple, Protocol

from wallet_guard.realtime.metrics import Histogram
from wallet_guard.signed.frames import Frame
from wallet_guard.signed.reception import Voice, is_signed
from wallet_guard.signed.schemes import SR25519

_MIN_ROUND: Final = 8  # frames; 8 × 70 µs are worth a hop of 50 µs
_SAMPLED: Final = 16  # one verification in so many is timed; the clock and the histogram cost 2 µs
_MAX_ROUND: Final = 256  # frames; 18 ms on one core, which bounds what a peer waits for the others'


class Judge(Protocol):
    """Who asked: a connection."""

    ended: bool

    def judged(self, frame: Frame, voice: Voice, *, genuine: bool) -> None:
        """The answer."""


class Question(NamedTuple):
    """Whether a frame bears this key's signature."""

    judge: Judge
    frame: Frame
    voice: Voice


class Verifier:
    """Answers in order. `threads` 0: everything in place."""

    def __init__(self, threads: int, durations: Histogram) -> None:
        self._threads = threads
        self._durations = durations
        self._pool = ThreadPoolExecutor(threads, "btws-verify") if threads else None
        self._waiting: deque[Question] = deque()
        self._scheduled = False
        self.count = -1  # verifications in place, from 0

    def submit(self, judge: Judge, frame: Frame, voice: Voice) -> None:
        """Asks; `judged` follows, at once or later."""
        if self._pool is None or (voice.scheme == SR25519 and not self._scheduled):
            self._answer(judge, frame, voice)
            return
        self._waiting.append(Question(judge, frame, voice))
        if not self._scheduled:
            self._scheduled = True
            # behind the reads of this turn of the loop, so that their frames go together
            asyncio.get_running_loop().call_soon(self._round)

    def close(self) -> None:
        """Ends the threads; what waits is not answered any more."""
        self._waiting.clear()
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
            self._pool = None

    def _answer(self, judge: Judge, frame: Frame, voice: Voice) -> None:
        if judge.ended:
            return
        self.count += 1
        if self.count % _SAMPLED:
            genuine = is_signed(frame, voice)
        else:
            began = perf_counter()
            genuine = is_signed(frame, voice)
            self._durations.observe(perf_counter() - began)
        judge.judged(frame, voice, genuine=genuine)

    def _round(self) -> None:
        if len(self._waiting) < _MIN_ROUND or self._pool is None:
            self._scheduled = False
            while self._waiting and not self._scheduled:
                self._answer(*self._waiting.popleft())
            return
        batch = [self._waiting.popleft() for _ in range(min(len(self._waiting), _MAX_ROUND))]
        loop = asyncio.get_running_loop()
        parts = [batch[at :: self._threads] for at in range(self._threads)]
        futures = [loop.run_in_executor(self._pool, _verify_all, part) for part in parts]
        loop.create_task(self._tell(batch, futures))  # noqa: RUF006 - it keeps itself: its futures call it

    async def _tell(self, batch: list[Question], futures: list[asyncio.Future[tuple[list[bool], float]]]) -> None:
        verdicts = [False] * len(batch)
        for at, (answers, seconds) in enumerate(await asyncio.gather(*futures)):
            verdicts[at :: self._threads] = answers
            self._durations.observe(seconds / max(1, len(answers)))
        ahead = len(self._waiting) >= _MIN_ROUND
        if ahead:
            self._round()  # the threads go on while this one is told; its own answers come in a later turn of the loop
        for question, genuine in zip(batch, verdicts, strict=True):
            if not question.judge.ended:
                question.judge.judged(question.frame, question.voice, genuine=genuine)
        if ahead:
            return
        if self._waiting:
            self._round()
        else:
            self._scheduled = False


def _verify_all(questions: Sequence[Question]) -> tuple[list[bool], float]:
    began = perf_counter()
    return [
        not asked.judge.ended and is_signed(asked.frame, asked.voice) for asked in questions
    ], perf_counter() - began
