"""Clients that trust no gateway: they sign their requests (btauth/1, Ed25519), and what was signed is read here.

A captured gateway can then keep a request back and read it, no more: what is asked comes from the signed bytes and not
from the gateway's reading of them, the receiver is the hotkey's own address, the nonce is fresh by this clock. An
intent's id is the hash of the signed bytes, so the same bytes give the same intent, however often they come; of other
requests each nonce is taken once, durably.
"""

from collections.abc import Callable, Mapping
from hashlib import sha256
from typing import Any, NamedTuple

from wallet_guard.ipc.answers import Refusal
from wallet_guard.ipc.clients import ClientView, Info
from wallet_guard.ipc.clientsigned import ClientSigned
from wallet_guard.ipc.intents import Accept, Show
from wallet_guard.orders.fields import BodyError
from wallet_guard.orders.reading import read_question
from wallet_guard.signed.btauth import (
    DEFAULT_MAX_AGE_NS,
    DEFAULT_MAX_SKEW_NS,
    AuthError,
    Claim,
    Request,
    StaleRequest,
    Verifier,
    parse_headers,
)
from wallet_guard.signed.schemes import ED25519
from wallet_guard.signer import accept
from wallet_guard.signer.desk import Desk
from wallet_guard.signer.grants import Asked, deny

_MS = 10**6
"""Nanoseconds in the millisecond that our clock counts."""

_REMEMBER_NS = 2 * (DEFAULT_MAX_AGE_NS + DEFAULT_MAX_SKEW_NS)
"""A nonce is remembered for twice as long as the window could let it in."""

STRANGER = Refusal(
    "unauthorized",
    "expected a request signed by a client's key",
    "'wallet-guard client list' shows the keys; the receiver is the hotkey's address, the clock must be right to 2 s",
)

_UNSAID = Asked("", "", "")
"""What is asked is not known where the signature is not right."""


class _Proven(NamedTuple):
    """A signature that is right. ``fresh`` is what is wrong with its time, None if nothing is."""

    client: ClientView
    claim: Claim
    intent: str
    stale: StaleRequest | None


def answer_signed(
    desk: Desk,
    question: ClientSigned,
    answerers: Mapping[type[Any], Callable[[Desk, Any], Any]],
    look: Callable[[Any], None],
) -> Any:
    """The answer to what the request asks, or why it is none. ``look`` sees the question before it is answered.

    Raises:
        JournalError: a decision could not be written.
    """
    proven = _prove(desk, question)
    if isinstance(proven, Refusal):
        return proven
    name = proven.client.name
    known = desk.journal.intent(proven.intent)
    if known is not None:
        # The bytes were taken before; whoever brings them again, and whenever, learns how the intent fares.
        return desk.view(known)
    if proven.stale is not None:
        return deny(desk, name, _UNSAID, Refusal("stale_request", str(proven.stale), "sign each attempt anew"))
    with desk.admitting(proven.client) as token:
        try:
            inner = read_question(token, question.method, question.target, question.body)
        except BodyError as error:
            return deny(desk, name, _UNSAID, Refusal("invalid_request", str(error), "mend it and sign it anew"))
        look(inner)
        if isinstance(inner, Accept):
            return accept.accept(desk, inner, intent_id=proven.intent)
        if not isinstance(inner, (Show, Info)) and not _take(desk, proven.claim):
            used = Refusal("replayed_request", "expected a nonce that was not used before", "sign each attempt anew")
            return deny(desk, name, _UNSAID, used)
        return answerers[type(inner)](desk, inner)


def _prove(desk: Desk, question: ClientSigned) -> _Proven | Refusal:
    """Whose signature it is. A stranger is counted, and learns only what a verifier of btauth/1 says."""
    try:
        claim = parse_headers(question.fields)
        client = desk.client_with_key(claim.sender) if claim.scheme == ED25519 else None
        key = None if client is None else desk.keys.find(client.wallet, client.hotkey)
        if client is None or key is None:
            desk.strangers += 1
            return STRANGER
        stale = _verify(question, key.ss58_address, claim, desk.now_ms() * _MS)
    except AuthError as error:
        desk.strangers += 1
        return Refusal("unauthorized", str(error), STRANGER.hint)
    request = Request(
        scheme=ED25519,
        method=question.method,
        target=question.target,
        body_sha256=sha256(question.body).digest(),
        nonce_ns=claim.nonce_ns,
        sender=claim.sender,
        receiver=claim.receiver,
    )
    return _Proven(client, claim, sha256(request.payload()).hexdigest()[:INTENT_CHARACTERS], stale)


INTENT_CHARACTERS = 32
"""128 bits of the hash, as long as the ids that the signer draws."""


def _verify(question: ClientSigned, receiver: str, claim: Claim, now_ns: int) -> StaleRequest | None:
    """What is wrong with its time alone, None if nothing is; the signature itself is right.

    Raises:
        AuthError: it is not.
    """

    def verify(now_ns: int) -> None:
        verifier = Verifier(receiver, take=lambda *_: True, expected_scheme=lambda _: ED25519)
        verifier.verify(
            question.fields, method=question.method, target=question.target, body=question.body, now_ns=now_ns
        )

    try:
        verify(now_ns)
    except StaleRequest as error:
        verify(claim.nonce_ns)
        return error
    return None


def _take(desk: Desk, claim: Claim) -> bool:
    with desk.journal.transaction() as writer:
        return writer.take_request_nonce(claim.sender, claim.nonce_ns, desk.now_ms() * _MS - _REMEMBER_NS)
