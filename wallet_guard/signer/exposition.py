"""The answer to ``Metrics``: what was counted, and what is true at this moment, of the signer and the chain process."""

from collections import Counter

from wallet_guard import __version__
from wallet_guard.host.process import resident_bytes
from wallet_guard.ipc.metrics import Family, Metrics, MetricsView, about_process, gauge, one, total
from wallet_guard.signer.desk import Desk
from wallet_guard.signer.figures import Slot

MAX_AGE_BLOCKS = 50_400
"""A week. A slot without weights for longer was given up, and is no longer told: its alarm had its time."""


def metrics(desk: Desk, _question: Metrics) -> MetricsView:
    """Everything, in a few milliseconds."""
    journal = desk.journal
    clients = sum(client.revoked_ms is None for _, client in journal.clients())
    return MetricsView(
        (
            *about_process("signer", __version__, desk.figures.started_ms, resident_bytes()),
            *desk.figures.families(),
            *_intents(desk),
            *_weights(desk),
            *_chain(desk),
            one("wallet_guard_keys", "Hotkeys that are loaded.", len(desk.keys)),
            one("wallet_guard_clients", "Clients that are not revoked.", clients),
            one(
                "wallet_guard_locked", "1 while nothing is signed until the operator unlocks.", bool(desk.lockdown.why)
            ),
            one("wallet_guard_journal_failed", "1 while the journal cannot be written.", bool(journal.error)),
            total("wallet_guard_audit_records_total", "Records of the audit chain.", journal.audit_head[0]),
        )
    )


def _intents(desk: Desk) -> tuple[Family, ...]:
    open_now: Counter[tuple[tuple[str, str], ...]] = Counter()
    timelocked_now = 0
    for call, state, timelocked, count in desk.journal.count_open_by_state():
        open_now[("call", call), ("state", state)] += count
        timelocked_now += count if timelocked else 0
    return (
        gauge("wallet_guard_open_intents", "Unfinished intents.", open_now),
        one("wallet_guard_timelocked_commits", "Timelocked weights not yet shown to be revealed.", timelocked_now),
    )


def _weights(desk: Desk) -> tuple[Family, ...]:
    best = desk.chain.pulse.best_block if desk.chain.pulse else None
    blocks: dict[tuple[tuple[str, str], ...], float] = {}
    ages: dict[tuple[tuple[str, str], ...], float] = {}
    for slot, block in desk.figures.effective(desk.journal).items():
        labels = tuple((name, str(value)) for name, value in zip(Slot._fields, slot, strict=True))
        if best is not None and best - block <= MAX_AGE_BLOCKS:
            blocks[labels], ages[labels] = block, max(0, best - block)
    return (
        gauge("wallet_guard_weights_effective_block", "Block of the newest weights that took effect.", blocks),
        gauge("wallet_guard_weights_age_blocks", "Blocks since the newest weights that took effect.", ages),
    )


def _chain(desk: Desk) -> tuple[Family, ...]:
    chain, now_ms = desk.chain, desk.now_ms()
    pulse = chain.pulse
    reachable = one(
        "wallet_guard_chain_reachable",
        "1 while the chain process reaches its endpoint.",
        pulse is not None and not pulse.trouble,
    )
    if pulse is None:
        return (reachable,)
    families = [
        reachable,
        *about_process("chain", pulse.version, pulse.started_ms, pulse.resident_bytes),
        one("wallet_guard_chain_silence_seconds", "Since the chain process spoke.", (now_ms - chain.pulse_ms) / 1000),
        one("wallet_guard_chain_runners", "Intents that the chain process works on.", pulse.runners),
        total("wallet_guard_chain_connections_total", "Connections to endpoints that stood.", pulse.connections),
    ]
    for name, block in (("best", pulse.best_block), ("finalized", pulse.finalized_block)):
        if block is not None:
            families.append(one(f"wallet_guard_chain_{name}_block", f"The {name} block.", block))
    if chain.head_ms:
        age = (now_ms - chain.head_ms) / 1000
        families.append(one("wallet_guard_chain_head_age_seconds", "Since the best block was another one.", age))
    if chain.runtimes:
        spec_version = max(spec for spec, _ in chain.runtimes)
        families.append(one("wallet_guard_chain_spec_version", "The newest runtime that is known.", spec_version))
    return tuple(families)
