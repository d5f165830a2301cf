"""Session certificates: the hotkey lets a key of the node speak for it, for a while. Built here, line by line.

Two askers: a node, with its token, for everything its application says; and the hub, on a socket of its own, for
greetings only, an hour at most, for the hotkeys that the configuration names.
"""

from wallet_guard.ipc.answers import Refusal
from wallet_guard.ipc.signatures import SESSION, IssueHubSession, IssueSession, SessionView
from wallet_guard.signed.certificate import (
    MAX_LIFETIME_MS,
    SERIAL_BYTES,
    Certificate,
    CertificateError,
    Purpose,
    encode_certificate,
)
from wallet_guard.signer.desk import Desk
from wallet_guard.signer.grants import Asked, deny, find_key, grant, hour_of
from wallet_guard.signer.keys import Key

HUB_SESSION = "hub session"
"""What the hub's certificates are counted as; it is no client's."""

HUB_PER_HOUR = 240
"""A certificate every 15 seconds: hubs that restart in a loop must not fill the disk."""

HUB_CLIENT = ""
"""The hub has no token, hence no client's name."""


def issue_session(desk: Desk, question: IssueSession) -> SessionView | Refusal:
    """The node's certificate, or why not."""
    asked = Asked(question.wallet, question.hotkey, SESSION, question.netuid, any_netuid=question.netuid is None)
    granted = grant(desk, question.token, asked)
    if isinstance(granted, Refusal):
        return granted
    client, longest = granted.client.name, desk.config.signer.session_seconds
    if not 1 <= question.lifetime_seconds <= longest:
        message = f"lifetime: expected 1 to {longest} s, found {str(question.lifetime_seconds)[:24]}"
        refusal = Refusal("invalid_request", message, "ask again before the end; or raise [signer] session_seconds")
        return deny(desk, client, asked, refusal)
    certificate = _certificate(desk, granted.key, Purpose.NODE, question, question.lifetime_seconds * 1000)
    return _sign(desk, granted.key, client, asked, certificate)


def issue_hub_session(desk: Desk, question: IssueHubSession) -> SessionView | Refusal:
    """The hub's certificate, or why not."""
    asked = Asked(question.wallet, question.hotkey, HUB_SESSION, question.netuid)
    refusal = desk.check_unlocked() or _check_hub(desk, question)
    key = refusal or find_key(desk, asked)
    if isinstance(key, Refusal):
        return deny(desk, HUB_CLIENT, asked, key)
    certificate = _certificate(desk, key, Purpose.HUB, question, MAX_LIFETIME_MS[Purpose.HUB])
    return _sign(desk, key, HUB_CLIENT, asked, certificate)


def _check_hub(desk: Desk, question: IssueHubSession) -> Refusal | None:
    wanted = f"{question.wallet}/{question.hotkey}"
    if wanted not in desk.config.signer.hub_hotkeys:
        known = ", ".join(desk.config.signer.hub_hotkeys) or "none"
        return Refusal("wallet_not_allowed", f"expected {known}, found {wanted[:128]}", "see [signer] hub_hotkeys")
    if desk.journal.count_signed(HUB_CLIENT, HUB_SESSION, hour_of(desk.now_ms())) >= HUB_PER_HOUR:
        return Refusal("rate_limited", f"expected at most {HUB_PER_HOUR} certificates an hour", retry_after_seconds=60)
    return None


def _certificate(
    desk: Desk, key: Key, purpose: Purpose, question: IssueSession | IssueHubSession, lifetime_ms: int
) -> Certificate:
    now = desk.now_ms()
    return Certificate(
        speaker=key.ss58_address,
        scheme=key.scheme,
        key=question.key,
        purpose=purpose,
        netuid=question.netuid,
        receiver=question.receiver if isinstance(question, IssueSession) else None,
        from_ms=now,
        until_ms=now + lifetime_ms,
        serial=desk.random_hex(SERIAL_BYTES),
    )


def _sign(desk: Desk, key: Key, client: str, asked: Asked, certificate: Certificate) -> SessionView | Refusal:
    try:
        body = certificate.body()
    except CertificateError as error:
        return deny(desk, client, asked, Refusal("invalid_request", str(error)))
    signature = key.sign(body)
    with desk.journal.transaction() as writer:
        writer.count_signed(client, asked.call, hour_of(certificate.from_ms))
        writer.record(
            certificate.from_ms,
            "session_issued",
            client,
            key=f"{key.wallet}/{key.hotkey}",
            session_key=certificate.key.hex(),
            purpose=certificate.purpose,
            netuid=certificate.netuid,
            receiver=certificate.receiver,
            until_ms=certificate.until_ms,
            serial=certificate.serial,
        )
    return SessionView(encode_certificate(body, signature), certificate.serial, certificate.until_ms)
