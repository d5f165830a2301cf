"""The first step of an intent: gather its facts in one round trip and have the signer seal it."""

import asyncio

from wallet_guard.chain.errors import NodeError, Unavailable
from wallet_guard.chain.facts import plan, read
from wallet_guard.chain.link import Link, Runtime
from wallet_guard.chain.office import Office
from wallet_guard.ipc.asker import RefusedError
from wallet_guard.ipc.chain import Facts, Task


async def gather(link: Link, task: Task) -> tuple[Facts, Runtime]:
    """The facts at the best head, all asked for at once, and the runtime they were read by.

    Raises:
        Unavailable, NodeError: the endpoint.
    """
    best, final = link.heads.best, link.heads.finalized
    runtime = link.runtime
    while True:
        codec = runtime.codec
        wanted = plan(codec, task)
        raws, nonce, finalized_nonce, current = await asyncio.gather(
            link.node.storage(wanted.keys, best.hash),
            link.node.next_nonce(task.ss58_address),
            link.nonce_at(task.ss58_address, final.hash),
            link.runtime_at(best.hash),
        )
        if current.version == runtime.version:
            break
        # The runtime was upgraded: keys and values are read anew by the metadata that fits them.
        runtime = current
    reading = read(codec, wanted, raws)
    facts = Facts(
        genesis_hash=bytes.fromhex(link.genesis[2:]),
        spec_version=runtime.version.spec_version,
        transaction_version=runtime.version.transaction_version,
        block_number=best.number,
        era_block_number=final.number,
        era_block_hash=bytes.fromhex(final.hash[2:]),
        block_time_ms=runtime.block_time_ms,
        nonce=nonce,
        finalized_nonce=finalized_nonce,
        uids=reading.uids,
        **reading.values,
    )
    return facts, runtime


async def seal(office: Office, task: Task) -> Task:
    """The signed task, as soon as the chain and the signer allow.

    Raises:
        RefusedError: the signer says no, and has written down what there was to write.
        ipc.asker.Unavailable: the signer is gone.
    """
    while True:
        link = await office.link(task)
        try:
            while task.not_before_block is not None and link.heads.best.number < task.not_before_block:
                await link.moved(link.generation)
            async with office.reads:
                facts, runtime = await gather(link, task)
            return await _sealed(office, link, runtime, task, facts)
        except (Unavailable, NodeError) as error:
            await office.trouble(task, "unavailable", f"the chain's state cannot be read: {error}")
            await link.settled()


async def _sealed(office: Office, link: Link, runtime: Runtime, task: Task, facts: Facts) -> Task:
    try:
        return await office.seal(link, task, facts)
    except RefusedError as error:
        if error.refusal.code != "runtime_unknown":
            raise
    try:
        await office.tell_runtime(link, runtime)
    except RefusedError as error:
        await office.trouble(task, error.refusal.code, error.refusal.message)
        raise
    return await office.seal(link, task, facts)
