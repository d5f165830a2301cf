"""An explanation's two steps: gather facts as for an intent, then ask what the drafted call would cost."""

import logging

from wallet_guard.chain.errors import NodeError, Unavailable
from wallet_guard.chain.link import Link
from wallet_guard.chain.office import Office
from wallet_guard.chain.sealing import gather
from wallet_guard.ipc.asker import RefusedError
from wallet_guard.ipc.chain import Task
from wallet_guard.ipc.explanations import Draft, Inform, Quote

log = logging.getLogger(__name__)

SIGNED_PART_BYTES = 112
"""What the signature, address, era, nonce and tip add to a call: the fee depends on the length, if there is one."""


async def explain(office: Office, task: Task) -> None:
    """Tells the signer facts and fee, if there is an endpoint that gives them. The signer waits some seconds, no more.

    Raises:
        RefusedError: the signer says no.
        ipc.asker.Unavailable: the signer is gone.
    """
    link = office.endpoints.current
    if link is None:
        return
    try:
        async with office.reads:
            facts, runtime = await gather(link, task)
    except (NodeError, Unavailable) as error:
        log.warning(f"{task.intent}: the chain's state cannot be read: {error}")
        return
    question = Inform(task.intent, facts)
    try:
        drafted = await office.tell(question)
    except RefusedError as error:
        if error.refusal.code != "runtime_unknown":
            raise
        await office.tell_runtime(link, runtime)
        drafted = await office.tell(question)
    assert isinstance(drafted, Draft)
    if drafted.data is not None:
        await office.tell(Quote(task.intent, await _fee(link, drafted.data)))


async def _fee(link: Link, call: bytes) -> int | None:
    """In rao; None where the chain does not tell."""
    try:
        return await link.node.fee(call, len(call) + SIGNED_PART_BYTES, link.heads.best.hash)
    except (NodeError, Unavailable):
        return None
