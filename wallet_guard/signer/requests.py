"""btauth/1 requests that a node is about to send: the eight lines are built here, and the nonce is of this moment.

A request's signature is worth something only now: the nonce is stamped here, or is the node's own (the SDK chooses it)
if it lies within seconds of our clock, so none can be made in advance. Each nonce is used once, durably. The sender is
the key's own address; the receiver is mandatory.
"""

from wallet_guard.ipc.answers import Refusal
from wallet_guard.ipc.signatures import REQUEST, RequestView, SignRequest
from wallet_guard.signed.btauth import MalformedAuth, Request
from wallet_guard.signed.schemes import AddressError, public_key_of
from wallet_guard.signer.desk import Desk
from wallet_guard.signer.grants import Asked, Granted, deny, grant, hour_of

NONCE_WINDOW_NS = 2 * 10**9
"""How far a node's nonce may be from our clock, either way: what a verifier grants to clocks that differ."""

_MS = 10**6
"""Nanoseconds in the millisecond that our clock counts."""


def sign_request(desk: Desk, question: SignRequest) -> RequestView | Refusal:
    """The header fields of the signed request, or why not."""
    asked = Asked(question.wallet, question.hotkey, REQUEST)
    granted = grant(desk, question.token, asked)
    if isinstance(granted, Refusal):
        return granted
    now_ns = desk.now_ms() * _MS
    nonce = _nonce(desk, granted, question.nonce_ns, now_ns)
    request = Request(
        scheme=granted.key.scheme,
        method=question.method,
        target=question.target,
        body_sha256=question.body_sha256,
        nonce_ns=nonce,
        sender=granted.key.ss58_address,
        receiver=question.receiver,
    )
    try:
        # Said apart, because a receiver of "" would be none.
        public_key_of(question.receiver)
        payload = request.payload()
    except (MalformedAuth, AddressError) as error:
        return deny(desk, granted.client.name, asked, Refusal("invalid_request", str(error)))
    if abs(nonce - now_ns) > NONCE_WINDOW_NS:
        return deny(desk, granted.client.name, asked, _too_far(nonce - now_ns))
    return _sign(desk, granted, asked, request, payload)


def _nonce(desk: Desk, granted: Granted, wanted_ns: int | None, now_ns: int) -> int:
    """The node's, or the first free one of this millisecond."""
    if wanted_ns is not None:
        return wanted_ns
    last = desk.journal.last_request_nonce(granted.key.ss58_address, now_ns, now_ns + _MS - 1)
    return now_ns if last is None else last + 1


def _too_far(distance_ns: int) -> Refusal:
    return Refusal(
        "nonce_refused",
        f"nonce: expected now, give or take {NONCE_WINDOW_NS / 1e9:g} s, found {distance_ns / 1e9:.3g} s from it",
        "leave the nonce out, or set the node's clock",
    )


def _sign(desk: Desk, granted: Granted, asked: Asked, request: Request, payload: bytes) -> RequestView | Refusal:
    client, key, now = granted.client, granted.key, desk.now_ms()
    signature = key.sign(payload)
    with desk.journal.transaction() as writer:
        fresh = writer.take_request_nonce(key.ss58_address, request.nonce_ns, now * _MS - 2 * NONCE_WINDOW_NS)
        if fresh:
            writer.count_signed(client.name, REQUEST, hour_of(now))
            writer.record(
                now,
                "request_signed",
                client.name,
                key=f"{key.wallet}/{key.hotkey}",
                method=request.method.upper(),
                target=request.target[:256],
                body_sha256=request.body_sha256.hex(),
                nonce=request.nonce_ns,
                receiver=request.receiver,
            )
    if not fresh:
        used = Refusal("nonce_refused", "nonce: expected one that was not used before", "sign each attempt anew")
        return deny(desk, client.name, asked, used)
    return RequestView(request.sender, request.nonce_ns, tuple(request.headers(signature).items()))
