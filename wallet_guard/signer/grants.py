"""Who may ask for what: the token's client, what the operator granted it, and how often.

Deny by default: wallet, call and netuid must each be granted. A stranger learns nothing but that it is one; every other
refusal is a record in the audit chain, written before the refusal is told.
"""

import logging
from dataclasses import dataclass

from wallet_guard.ipc.answers import Refusal
from wallet_guard.ipc.clients import ClientView
from wallet_guard.ipc.signatures import REQUEST, SESSION
from wallet_guard.signer.desk import MAX_DENIALS_A_MINUTE, Desk
from wallet_guard.signer.keys import Key

log = logging.getLogger(__name__)

HOUR_MS = 3_600_000

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
class Asked:
    """What a grant is needed for. ``netuid`` None: it concerns no subnet; ``any_netuid``: it concerns all of them."""

    wallet: str
    hotkey: str
    call: str
    netuid: int | None = None
    any_netuid: bool = False


@dataclass(frozen=True, slots=True)
class Granted:
    """The client that asks, and the key that it may use."""

    client: ClientView
    key: Key


def find_client(desk: Desk, token: str) -> ClientView | Refusal:
    """The client whose token this is; a stranger is counted."""
    client = desk.client_of(token)
    if client is None:
        desk.strangers += 1
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


def check_grant(client: ClientView, asked: Asked) -> Refusal | None:
    """Why the operator's grant does not cover this, None if it does."""
    if (asked.wallet, asked.hotkey) != (client.wallet, client.hotkey):
        return Refusal(
            "wallet_not_allowed",
            f"expected {client.wallet}/{client.hotkey}, found {asked.wallet[:64]}/{asked.hotkey[:64]}",
            "a token is good for one hotkey; ask the operator for one for this wallet",
        )
    if asked.call not in client.calls:
        return Refusal(
            "call_not_allowed",
            f"expected one of {', '.join(client.calls) or 'nothing'}, found {asked.call[:64]}",
            "ask the operator for a token for this call ('wallet-guard client add --call')",
        )
    if client.netuids is None or (asked.netuid is None and not asked.any_netuid) or asked.netuid in client.netuids:
        return None
    allowed = ", ".join(map(str, client.netuids)) or "none"
    found = "any" if asked.any_netuid else asked.netuid
    return Refusal(
        "netuid_not_allowed",
        f"expected netuid {allowed}, found {found}",
        "ask the operator for a token for this subnet",
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
        )
    log.warning(f"refused {client or 'the hub'}: {asked.call[:64]}: {refusal.code}: {refusal.message}")
    return refusal


def hour_of(now_ms: int) -> int:
    """Signatures are counted by the hour of the clock: at most twice the ceiling in any sixty minutes."""
    return now_ms // HOUR_MS


def _check_rate(desk: Desk, client: ClientView, call: str) -> Refusal | None:
    ceiling = PER_HOUR.get(call, client.per_hour)
    now = desk.now_ms()
    if desk.journal.count_signed(client.name, call, hour_of(now)) < ceiling:
        return None
    seconds = (HOUR_MS - now % HOUR_MS) // 1000 + 1
    return Refusal(
        "rate_limited",
        f"expected at most {ceiling} signatures an hour of this client for {call}",
        "wait, or ask the operator for another client",
        retry_after_seconds=seconds,
    )
