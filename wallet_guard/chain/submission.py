"""From sealed bytes to finality: hand them to the pool, find them in a block, see that block become final.

Theory of operation. Blocks are followed by heads, so it makes no difference whether it was this process, another one
before a crash, or another endpoint's peer that brought the bytes into a block. Each new head is looked at once:

1. The account's nonce in the head's state tells whether the bytes *can* be on the chain; only then are blocks of the
   era searched for their hash, newest first.
2. Found: IN_BLOCK with the outcome; no longer there: RETRACTED; at or below the finalized head: FINALIZED, done.
3. Not found although finality shows the nonce consumed: SUPERSEDED. Not found and the era over at finality: OUTDATED.
   Both are done: only finality says so.
4. Not found, and they can still be taken: they are sent, and sent again every few blocks (a pool that has them answers
   1013, one that lost them takes them again). The very same bytes each time.

A refusal by the pool ends an intent (REJECTED) only for bytes that were never sent before: if they ever were, they
may be on their way, and finality decides.
"""

import asyncio
import logging
from dataclasses import dataclass

from wallet_guard.chain.errors import NodeError, Unavailable
from wallet_guard.chain.heads import Header
from wallet_guard.chain.link import Link
from wallet_guard.chain.office import Office
from wallet_guard.chain.pool_errors import BAD_PROOF, Meaning, Verdict, judge
from wallet_guard.chain.ports import DispatchFailure
from wallet_guard.ipc.chain import Event, Report, Task

log = logging.getLogger(__name__)

RESEND_BLOCKS = 3
"""Blocks between sending and sending again."""

SEARCHED_AT_ONCE = 4
"""Blocks asked for at a time, newest first: nearly always the newest has it."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where the extrinsic stands, and why its call failed there, if it did."""

    number: int
    hash: str
    failure: DispatchFailure | None


async def submit_and_follow(office: Office, task: Task, *, fresh: bool) -> None:
    """Returns when finality has spoken, or the pool refused bytes that were never sent.

    ``fresh``: the bytes were sealed a moment ago and never sent.

    Raises:
        RefusedError, ipc.asker.Unavailable: the signer.
    """
    errand = Submission(office, task, fresh=fresh)
    while True:
        link = await office.link(task)
        try:
            if await errand.follow(link):
                return
        except (Unavailable, NodeError) as error:
            await office.trouble(task, "unavailable", f"the chain cannot be asked: {error}")
            await link.settled()


class Submission:
    """One extrinsic's way, across however many links it takes."""

    def __init__(self, office: Office, task: Task, *, fresh: bool) -> None:
        assert task.extrinsic is not None
        assert task.extrinsic_hash is not None
        assert task.nonce is not None
        assert task.era_birth is not None
        assert task.era_death is not None
        self._office = office
        self._task = task
        self._extrinsic = task.extrinsic
        self._hash = task.extrinsic_hash
        self._nonce = task.nonce
        self._era = range(task.era_birth, task.era_death)
        self._fresh = fresh
        self._accepted = False
        self._searched: set[str] = set()
        self._place: Place | None = None
        self._reported = task.block_hash
        """The block that the signer believes it to be in."""

    async def follow(self, link: Link) -> bool:
        """True once all is said. Raises what the link and the signer raise."""
        send_at = 0
        if self._fresh:
            if await self._send(link):
                return True
            send_at = self._next_send(link.heads.best.number)
        while True:
            generation = link.generation
            if link.heads.whole:
                if await self._look(link):
                    return True
                best = link.heads.best.number
                if self._place is None and best >= send_at and best + 1 in self._era:
                    await self._send(link)
                    send_at = self._next_send(best)
            await link.moved(generation)

    def _next_send(self, best: int) -> int:
        """What the pool has taken is sent again after some blocks, what it has not yet, at the next."""
        return best + (RESEND_BLOCKS if self._accepted else 1)

    # Sending -------------------------------------------------------------------------------------------------------

    async def _send(self, link: Link) -> bool:
        """True if the pool refused bytes that were never sent before, which ends it."""
        first, self._fresh = self._fresh, False
        try:
            await link.node.submit(self._extrinsic)
        except NodeError as error:
            verdict = judge(error)
            if verdict.meaning is not Meaning.HELD:
                return await self._refused(link, verdict, first=first)
        else:
            if self._accepted:
                log.warning(f"intent {self._task.intent}: the pool had lost the extrinsic and took it again")
        if not self._accepted:
            self._accepted = True
            await self._report(Event.SUBMITTED)
        return False

    async def _refused(self, link: Link, verdict: Verdict, *, first: bool) -> bool:
        if first and verdict.meaning is Meaning.REFUSED:
            await self._report(Event.REJECTED, failure=DispatchFailure(verdict.name, verdict.message))
            if verdict.name == BAD_PROOF:
                # The digest of its metadata is in the signature: the next intent must not be signed for it too.
                link.fail("the chain refuses signatures for the runtime that this endpoint tells of")
            return True
        await self._office.trouble(self._task, verdict.name, verdict.message)
        return False

    # Looking -------------------------------------------------------------------------------------------------------

    async def _look(self, link: Link) -> bool:
        """True once finality has spoken."""
        # Both are of one moment: what is final by then was searched by then.
        best, final = link.heads.best, link.heads.finalized
        await self._find(link, best)
        place = self._place
        if place is not None:
            if place.number > final.number or await link.hash_of(place.number) != place.hash:
                return False
            await self._report(Event.FINALIZED, place, place.failure)
            return True
        if await link.nonce_at(self._task.ss58_address, final.hash) > self._nonce:
            await self._report(Event.SUPERSEDED)
            return True
        if final.number >= self._era.stop - 1:
            await self._report(Event.OUTDATED)
            return True
        return False

    async def _find(self, link: Link, best: Header) -> None:
        """Brings ``_place``, and what the signer knows of it, up to date with the best head."""
        place = self._place
        if place is not None and await link.hash_of(place.number) != place.hash:
            place = None
        if place is None:
            place = await self._search(link, best)
        self._place = place
        if self._reported is not None and (place is None or place.hash != self._reported):
            self._reported = None
            await self._report(Event.RETRACTED)
        if place is not None and self._reported is None:
            self._reported = place.hash
            await self._report(Event.IN_BLOCK, place, place.failure)

    async def _search(self, link: Link, best: Header) -> Place | None:
        if await link.nonce_at(self._task.ss58_address, best.hash) <= self._nonce:
            return None
        numbers = range(min(best.number, self._era.stop - 1), self._era.start - 1, -1)
        for at in range(0, len(numbers), SEARCHED_AT_ONCE):
            page = numbers[at : at + SEARCHED_AT_ONCE]
            hashes = [await link.hash_of(number) for number in page]
            found = await asyncio.gather(*(self._position(link, block_hash) for block_hash in hashes))
            for number, block_hash, position in zip(page, hashes, found, strict=True):
                if position is not None and block_hash is not None:
                    return Place(number, block_hash, await self._outcome(link, number, block_hash, position))
        return None

    async def _position(self, link: Link, block_hash: str | None) -> int | None:
        """The extrinsic's index in that block, None if it is not there."""
        if block_hash is None:
            raise Unavailable("the best chain changed while it was searched")
        if block_hash in self._searched:
            return None
        hashes = await link.extrinsic_hashes(block_hash)
        if self._hash in hashes:
            return hashes.index(self._hash)
        self._searched.add(block_hash)
        return None

    async def _outcome(self, link: Link, number: int, block_hash: str, position: int) -> DispatchFailure | None:
        """Why the call failed, None if it did not, or if the endpoint no longer keeps the block's events.

        In the last case the weights that are read back after finality tell.
        """
        parent = await link.hash_of(number - 1)
        if parent is None:
            raise Unavailable("the best chain changed while it was searched")
        try:
            return await link.failure_in(block_hash, parent, position)
        except NodeError as error:
            if "discarded" not in str(error):
                raise
            log.warning(f"intent {self._task.intent}: the events of block {number} are no longer kept: {error}")
            return None

    async def _report(self, event: Event, place: Place | None = None, failure: DispatchFailure | None = None) -> None:
        where = f" {place.number}" if place else ""
        why = f": {failure.name}" if failure else ""
        log.info(f"intent {self._task.intent}: {event}{where}{why}")
        await self._office.report(
            Report(
                intent=self._task.intent,
                event=event,
                extrinsic_hash=self._hash,
                block_hash=place.hash if place else None,
                block_number=place.number if place else None,
                code=failure.name if failure else None,
                message=failure.documentation if failure else "",
            )
        )
