"""Who may ask for what: the token's client, and what ``rules`` say of its grant, the policy and the journal's counters.

Deny by default: what is asked for must be granted, and the policy must not narrow it away. A stranger learns nothing
but that it is one, and a token that has expired makes a stranger; every other refusal is a record in the audit chain,
written before the refusal is told.
"""

import logging
from dataclasses import dataclass

from wallet_guard.ipc.answers import Refusal
from wallet_guard.ipc.clients import ClientView
from wallet_guard.ipc.explanations import Verdict
from wallet_guard.ipc.signatures import REQUEST, SESSION
from wallet_guard.ipc.wishes import WISHES
from wallet_guard.signer.desk import MAX_DENIALS_A_MINUTE, Desk
from wallet_guard.signer.drafts import Ground
from wallet_guard.signer.keys import Key
from wallet_guard.signer.rules import HOUR_MS, LIMITS, PERMISSIONS, Case, Count, Rule, Vector, judge, refusal_of
from wallet_guard.signer.rules import Asked as Asked

log = logging.getLogger(__name__)

PER_HOUR = {
    # 256 miners asked every 2.5 seconds, the whole hour.
    REQUEST: 360_000,
    # A certificate every 15 seconds: neurons that restart in a loop must not lock themselves out.
    SESSION: 240,
}
"""Signatures an hour of one client where its own ``per_hour``, which is meant for calls, would be out of place."""

UNAUTHORIZED = Refusal(
    "unauthorized", "expected a valid token", "check WALLET_SERVICE_TOKEN; 'wallet-guard client list' shows clients"
)


@dataclass(frozen=True, slots=True)
class Granted:
    """The client that asks, and the key that it may use."""

    client: ClientView
    key: Key


@dataclass(frozen=True, slots=True)
class Moment:
    """What is known of the matter by now: the hotkey's address ("" before it is found), the head, the weights."""

    address: str = ""
    block: int | None = None
    vector: Vector | None = None
    dry_run: bool = False


_NOTHING_KNOWN = Moment()


def find_client(desk: Desk, token: str) -> ClientView | Refusal:
    """The client whose token this is; a stranger is counted."""
    client = desk.client_of(token)
    if client is None:
        desk.strangers += 1
        return UNAUTHORIZED
    policy = desk.policies.current.of(client.name)
    if policy is not None and policy.expires_ms is not None and desk.now_ms() >= policy.expires_ms:
        # The audit knows whose it was; who holds it does not learn that it was good once.
        deny(desk, client.name, Asked("", "", "token"), Refusal("token_expired", "the policy ends this token's time"))
        return UNAUTHORIZED
    return client


def grant(desk: Desk, token: str, asked: Asked) -> Granted | Refusal:
    """The go-ahead for one signature, as far as client, key and rate are concerned; or why not, written down."""
    client = find_client(desk, token)
    if isinstance(client, Refusal):
        return client
    refusal = check(desk, client, asked, PERMISSIONS) or desk.check_unlocked() or check(desk, client, asked, LIMITS)
    if refusal is not None:
        return deny(desk, client.name, asked, refusal)
    key = find_key(desk, asked)
    return deny(desk, client.name, asked, key) if isinstance(key, Refusal) else Granted(client, key)


def verdicts(
    desk: Desk, client: ClientView, asked: Asked, rules: tuple[Rule, ...], moment: Moment = _NOTHING_KNOWN
) -> tuple[Verdict, ...]:
    """What each of the rules says now, in their order."""
    last = None
    if asked.mechid is not None and asked.netuid is not None and moment.address:
        last = desk.journal.slot(moment.address, asked.netuid, asked.mechid)
    policy = desk.policies.current.of(client.name)
    case = Case(
        client=client,
        policy=policy,
        asked=asked,
        now_ms=desk.now_ms(),
        block_ms=desk.block_ms,
        count=_count(desk, client, asked.call) if LIMITS[0] in rules else Count(0),
        dry_run=moment.dry_run,
        last=last,
        block=moment.block,
        vector=moment.vector,
    )
    return judge(case, rules)


def check(
    desk: Desk, client: ClientView, asked: Asked, rules: tuple[Rule, ...], moment: Moment = _NOTHING_KNOWN
) -> Refusal | None:
    """The first refusal of these rules, None if none refuses."""
    return refusal_of(verdicts(desk, client, asked, rules, moment))


def ground_of(desk: Desk, address: str, netuid: int, mechid: int) -> Ground:
    """What the journal and the clock know of a slot, for a draft."""
    last = desk.journal.last_signed(address, netuid, mechid)
    return Ground(
        now_ms=desk.now_ms(),
        block_ms=desk.block_ms,
        max_shift=desk.config.signer.max_shift,
        last_ms=last.signed_ms if last else None,
        last_rate_limit=(last.rate_limit or 0) if last else 0,
        was_commit_reveal=bool(desk.journal.commit_reveal(desk.genesis, netuid)),
    )


def find_key(desk: Desk, asked: Asked) -> Key | Refusal:
    """The loaded key of that name, if it is not locked."""
    key = desk.keys.find(asked.wallet, asked.hotkey)
    if key is not None:
        return desk.check_key_unlocked(key) or key
    return Refusal(
        "unknown_wallet",
        f"expected a loaded hotkey, found none named {asked.wallet[:64]}/{asked.hotkey[:64]}",
        "name it under [signer] hotkeys and restart the signer",
    )


def deny(desk: Desk, client: str, asked: Asked, refusal: Refusal) -> Refusal:
    """The refusal to the client of that name, once it is in the audit chain (beyond some a minute, as a count).

    Raises:
        JournalError: it could not be written.
    """
    count = desk.denials[client] = desk.denials.get(client, 0) + 1
    if count > MAX_DENIALS_A_MINUTE:
        return refusal
    netuid = -1 if asked.netuid is None else max(-1, min(asked.netuid, 2**32))
    with desk.journal.transaction() as writer:
        writer.record(
            desk.now_ms(),
            "denied",
            client,
            call=asked.call[:64],
            code=refusal.code,
            key=f"{asked.wallet[:64]}/{asked.hotkey[:64]}",
            netuid=netuid,
            **({"rule": refusal.rule} if refusal.rule else {}),
        )
    log.warning(f"refused {client or 'the hub'}: {asked.call[:64]}: {refusal.code}: {refusal.message}")
    return refusal


def hour_of(now_ms: int) -> int:
    """Signatures are counted by the hour of the clock: at most twice the ceiling in any sixty minutes."""
    return now_ms // HOUR_MS


def _count(desk: Desk, client: ClientView, call: str) -> Count:
    """What the hour holds: of intents the last sixty minutes, of signatures the hour of the clock."""
    now, journal = desk.now_ms(), desk.journal
    if call in WISHES:
        return Count(client.per_hour, *journal.counts_accepted(client.name, now - HOUR_MS, call))
    signed = journal.count_signed(client.name, call, hour_of(now))
    return Count(PER_HOUR.get(call, client.per_hour), signed, signed, (HOUR_MS - now % HOUR_MS) // 1000 + 1)
