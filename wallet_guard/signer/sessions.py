"""Session certificates: the hotkey lets a key of the node speak for it, for a while. Built here, line by line."""

from wallet_guard.ipc.questions import Refusal
from wallet_guard.ipc.signatures import SESSION, IssueSession, SessionView
from wallet_guard.signed.certificate import (
    SERIAL_BYTES,
    Certificate,
    CertificateError,
    Purpose,
    encode_certificate,
)
from wallet_guard.signer.desk import Desk
from wallet_guard.signer.grants import Asked, Granted, deny, grant, hour_of


def issue_session(desk: Desk, question: IssueSession) -> SessionView | Refusal:
    """The certificate, or why not."""
    asked = Asked(question.wallet, question.hotkey, SESSION, question.netuid, any_netuid=question.netuid is None)
    granted = grant(desk, question.token, asked)
    if isinstance(granted, Refusal):
        return granted
    longest = desk.config.signer.session_seconds
    if not 1 <= question.lifetime_seconds <= longest:
        message = f"lifetime: expected 1 to {longest} s, found {str(question.lifetime_seconds)[:24]}"
        refusal = Refusal("invalid_request", message, "ask again before the end; or raise [signer] session_seconds")
        return deny(desk, granted.client, asked, refusal)
    now = desk.now_ms()
    certificate = Certificate(
        speaker=granted.key.ss58_address,
        scheme=granted.key.scheme,
        key=question.key,
        purpose=Purpose.NODE,
        netuid=question.netuid,
        receiver=question.receiver,
        from_ms=now,
        until_ms=now + question.lifetime_seconds * 1000,
        serial=desk.random_hex(SERIAL_BYTES),
    )
    try:
        body = certificate.body()
    except CertificateError as error:
        return deny(desk, granted.client, asked, Refusal("invalid_request", str(error)))
    return _sign(desk, granted, certificate, body)


def _sign(desk: Desk, granted: Granted, certificate: Certificate, body: bytes) -> SessionView:
    client, key = granted.client, granted.key
    signature = key.sign(body)
    with desk.journal.transaction() as writer:
        writer.count_signed(client.name, SESSION, hour_of(certificate.from_ms))
        writer.record(
            certificate.from_ms,
            "session_issued",
            client.name,
            key=f"{key.wallet}/{key.hotkey}",
            session_key=certificate.key.hex(),
            purpose=certificate.purpose,
            netuid=certificate.netuid,
            receiver=certificate.receiver,
            until_ms=certificate.until_ms,
            serial=certificate.serial,
        )
    return SessionView(encode_certificate(body, signature), certificate.serial, certificate.until_ms)
