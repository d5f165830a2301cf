"""The last step: what stands on the chain, read for the signer to compare with what it signed."""

import asyncio
import dataclasses
import logging
from typing import Any

from wallet_guard.chain.errors import NodeError, Unavailable
from wallet_guard.chain.facts import PALLET, storage_index
from wallet_guard.chain.link import Link
from wallet_guard.chain.office import Office
from wallet_guard.ipc.chain import Event, Report, Task

log = logging.getLogger(__name__)

DRAND_GENESIS_SECONDS = 1_692_803_367
DRAND_PERIOD_SECONDS = 3
"""Quicknet (``bittensor.timelock``): round r is published at genesis + (r - 1) * period."""


async def read_back(office: Office, task: Task) -> None:
    """Reports what stands: a plain call's once, a timelocked one's at every finalized block from its round's time on.

    The second kind ends by being cancelled, when the signer no longer lists the task.

    Raises:
        RefusedError, ipc.asker.Unavailable: the signer.
    """
    if task.block_hash is None:
        await _until_round(office, task)
    while True:
        link = await office.link(task)
        try:
            if task.block_hash is not None:
                await _report(office, task, link, task.block_hash, task.block_number)
                return
            while True:
                final = link.heads.finalized
                await _report(office, task, link, final.hash, final.number)
                while link.heads.finalized.number == final.number:
                    await link.moved(link.generation)
        except (Unavailable, NodeError) as error:
            if task.block_hash is not None and "discarded" in str(error):
                # Too long ago: what stands at the finalized head is all that can still be read.
                log.warning(f"intent {task.intent}: {error}; reading at the finalized head instead")
                final = link.heads.finalized
                task = dataclasses.replace(task, block_hash=final.hash, block_number=final.number)
                continue
            await office.trouble(task, "unavailable", f"the weights cannot be read back: {error}")
            await link.settled()


def parse_weights(value: Any) -> tuple[tuple[int, int], ...]:
    """The (uid, u16) pairs of a decoded ``Weights`` value.

    Raises:
        Unavailable: it is something else.
    """
    try:
        pairs = tuple((uid, weight) for uid, weight in value)
    except (TypeError, ValueError) as error:
        raise Unavailable(f"Weights: expected pairs, found {str(value)[:80]!r}") from error
    if any(type(entry) is not int for pair in pairs for entry in pair):
        raise Unavailable(f"Weights: expected pairs of numbers, found {str(value)[:80]!r}")
    return pairs


async def _until_round(office: Office, task: Task) -> None:
    if task.reveal_round is None:
        return
    published_ms = (DRAND_GENESIS_SECONDS + (task.reveal_round - 1) * DRAND_PERIOD_SECONDS) * 1000
    await asyncio.sleep(max(0, published_ms - office.now_ms()) / 1000)


async def _report(office: Office, task: Task, link: Link, block_hash: str, number: int | None) -> None:
    if task.storage_keys:
        values = tuple(await link.node.storage(task.storage_keys, block_hash))
        log.debug(f"intent {task.intent}: {len(values)} values at block {number}")
        await office.report(Report(task.intent, Event.VALUES, task.extrinsic_hash, block_hash, number, values=values))
        return
    runtime = await link.runtime_at(block_hash)
    key = runtime.codec.key(PALLET, "Weights", [storage_index(task.netuid, task.mechid), task.uid])
    (raw,) = await link.node.storage([key], block_hash)
    weights = parse_weights(runtime.codec.value(PALLET, "Weights", raw))
    log.debug(f"intent {task.intent}: {len(weights)} weights at block {number}")
    await office.report(
        Report(task.intent, Event.WEIGHTS, task.extrinsic_hash, block_hash, number, weights=weights),
    )
