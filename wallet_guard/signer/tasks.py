"""What the chain process shall do next for an intent: one row per state."""

import json
from collections.abc import Iterator
from itertools import chain

from wallet_guard.ipc.chain import Action, Task, Work
from wallet_guard.ipc.intents import State
from wallet_guard.ipc.wishes import SetWeights
from wallet_guard.signer.calls import read_wish, stands_of
from wallet_guard.signer.compose import RuntimeUnusableError, reveal_ms
from wallet_guard.signer.desk import Desk
from wallet_guard.signer.journal import Intent

ACTIONS = {
    State.ACCEPTED: Action.FACTS,
    State.SIGNED: Action.SUBMIT,
    State.SUBMITTED: Action.FOLLOW,
    State.IN_BLOCK: Action.FOLLOW,
    State.FINALIZED: Action.READ_BACK,
}


MAX_WORK_BYTES = 2 * 1024 * 1024
"""What one answer to ``pull`` may hold, about: half of what a packet takes."""

_TASK_BYTES = 1024
"""A task without its extrinsic and hotkeys, as JSON, generously."""

_ADDRESS_BYTES = 64
"""An address with its quotes, generously."""


def pull(desk: Desk) -> Work:
    """Every unfinished intent's next step that is due, oldest first, as many as one packet takes.

    What is left out comes as soon as something older is done: the order is always the same.
    """
    tasks: list[Task] = []
    held = 0
    for task in chain(_tasks(desk), _explaining(desk)):
        held += _TASK_BYTES + len(task.hotkeys) * _ADDRESS_BYTES + len(task.extrinsic or b"") * 4 // 3
        if tasks and held > MAX_WORK_BYTES:
            break
        tasks.append(task)
    return Work(tuple(tasks))


def _tasks(desk: Desk) -> Iterator[Task]:
    for intent in desk.journal.open_intents():
        task = task_of(desk, intent)
        # What was signed and is not out yet stays in while the signer is locked.
        if task is not None and not (task.action is Action.SUBMIT and _is_held(desk, intent)):
            yield task


def _explaining(desk: Desk) -> Iterator[Task]:
    """The explanations whose facts are wanted: like an intent's first step, under a name that no intent has."""
    for name, pending in desk.waitingroom.open.items():
        wish = pending.request
        if not pending.rules:
            yield Task(
                intent=name,
                action=Action.EXPLAIN,
                version=1,
                ss58_address=pending.address,
                netuid=wish.netuid,
                mechid=wish.mechid if isinstance(wish, SetWeights) else 0,
                hotkeys=(wish.hotkeys or ()) if isinstance(wish, SetWeights) else (),
                not_before_block=None,
                extrinsic=None,
                extrinsic_hash=None,
                nonce=None,
                era_birth=None,
                era_death=None,
                uid=None,
                block_hash=None,
                block_number=None,
                reveal_round=None,
            )


def _is_held(desk: Desk, intent: Intent) -> bool:
    return bool(desk.lockdown.why or desk.lanes.why(intent.ss58_address))


def task_of(desk: Desk, intent: Intent) -> Task | None:
    """The intent's next step; None if there is none now."""
    action = ACTIONS.get(intent.state)
    if action is None or desk.now_ms() < due_ms(desk, intent):
        return None
    hotkeys: tuple[str, ...] = ()
    storage_keys: tuple[bytes, ...] = ()
    if intent.kind == SetWeights.kind:
        if action is Action.FACTS:
            wish = read_wish(json.loads(intent.request))
            assert isinstance(wish, SetWeights)
            hotkeys = wish.hotkeys or ()
    elif action is Action.READ_BACK:
        storage_keys = _storage_keys(desk, intent)
        if not storage_keys:
            return None
    timelocked = action is Action.READ_BACK and intent.reveal_round is not None
    return Task(
        intent=intent.id,
        action=action,
        version=intent.version,
        ss58_address=intent.ss58_address,
        netuid=intent.netuid,
        mechid=intent.mechid,
        hotkeys=hotkeys,
        storage_keys=storage_keys,
        not_before_block=intent.not_before_block,
        extrinsic=intent.extrinsic if action in (Action.SUBMIT, Action.FOLLOW) else None,
        extrinsic_hash=intent.extrinsic_hash,
        nonce=intent.nonce,
        era_birth=intent.era_birth,
        era_death=intent.era_death,
        uid=intent.uid,
        # A plain call shows in the block that holds it; a commit only at its reveal, later, at the head.
        block_hash=None if timelocked else intent.block_hash,
        block_number=intent.block_number,
        reveal_round=intent.reveal_round,
    )


def _storage_keys(desk: Desk, intent: Intent) -> tuple[bytes, ...]:
    """Where the effect of a call other than weights shows; () while no runtime is known that can say it."""
    wish = read_wish(json.loads(intent.request))
    assert not isinstance(wish, SetWeights)
    for runtime in reversed(desk.chain.runtimes.values()):
        try:
            return tuple(
                runtime.storage_key(stand.pallet, stand.item, [intent.netuid, intent.ss58_address])
                for stand in stands_of(wish)
            )
        except RuntimeUnusableError:
            continue
    return ()


def due_ms(desk: Desk, intent: Intent) -> int:
    """When the intent's next step may be done: Unix milliseconds, 0 for at once."""
    if intent.state is State.FINALIZED and intent.reveal_round is not None:
        return reveal_ms(intent.reveal_round)
    if intent.lost:
        # Its signature was passed by; what comes next is a matter of our own clock (`follow.tick`).
        return intent.deadline_ms + (intent.dead_ms or 0)
    return max(desk.retry_ms.get(intent.id, 0), (intent.not_before_ms or 0) if intent.state is State.ACCEPTED else 0)
