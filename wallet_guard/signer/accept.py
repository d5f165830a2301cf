"""Accept: decide on a wish and write it down, before anybody is told yes.

Order of the checks: who asks (token), what is asked (shape), may they (policy), can we (key, ceilings). A stranger
learns nothing but that it is one; every other refusal is a record in the audit chain.
"""

import json
from hashlib import sha256
from typing import NamedTuple

import bittensor_core

from wallet_guard.ipc.answers import Refusal
from wallet_guard.ipc.clients import ClientView
from wallet_guard.ipc.intents import MAX_IDEMPOTENCY_KEY_CHARACTERS, Accept, IntentView, Show
from wallet_guard.ipc.records import to_json
from wallet_guard.ipc.wishes import MAX_TARGETS, SetWeights, Wish
from wallet_guard.signer.calls import WishError, check_wish
from wallet_guard.signer.desk import Desk
from wallet_guard.signer.grants import Asked, Granted, Moment, check, deny, find_client, find_key
from wallet_guard.signer.journal import Intent
from wallet_guard.signer.rules import INTERVALS, LIMITS, PERMISSIONS, Vector, vector_asked
from wallet_guard.signer.weights import WeightsError, check_weights

MAX_OPEN_PER_CLIENT = 256
"""A validator serves at most 128 subnets; twice that is a backlog, not work."""

MAX_OPEN = 1024
"""Unfinished intents in all."""

MAX_NETUID = 4095
"""The chain's own ceiling (GLOBAL_MAX_SUBNET_COUNT is 4096: weights of mechanism m live under index m * 4096 + netuid).
"""

MAX_MECHID = 15

U64_MAX = 2**64 - 1

_encode = json.JSONEncoder(check_circular=False, separators=(",", ":"), sort_keys=True).encode


def accept(desk: Desk, question: Accept, intent_id: str = "") -> IntentView | Refusal:
    """The intent, new or the one that the same idempotency key made before; or why not.

    ``intent_id`` is the id of a new one; "" draws it.
    """
    client = find_client(desk, question.token)
    if isinstance(client, Refusal):
        return client
    request = question.request
    asked = asked_of(request)
    refusal = (
        check_shape(request, key=question.idempotency_key, queue=question.queue)
        or check(desk, client, asked, PERMISSIONS)
        or desk.check_unlocked()
    )
    if refusal is not None:
        return deny(desk, client.name, asked, refusal)
    text = _encode(to_json(request))
    request_sha256 = _digest(text, queue=question.queue)
    known = desk.journal.intent_by_key(client.name, question.idempotency_key) if question.idempotency_key else None
    if known is not None and known.generation != desk.generation.number:
        old = Refusal(
            "old_key",
            "this idempotency key was used before the guard's journal was restored from a backup",
            "see what became of its intent and of the chain; use a new key for a new request",
            intent=known.id,
        )
        return deny(desk, client.name, asked, old)
    if known is not None:
        if known.request_sha256 == request_sha256:
            return desk.view(known)
        conflict = Refusal(
            "idempotency_conflict",
            "this idempotency key was used for another request",
            "use a new key for a new request, and the same key only to repeat one",
            intent=known.id,
        )
        return deny(desk, client.name, asked, conflict)
    key = find_key(desk, asked)
    if isinstance(key, Refusal):
        return deny(desk, client.name, asked, key)
    # One that waits is asked for its intervals when it is sealed.
    limits = tuple(rule for rule in LIMITS if not (question.queue and rule in INTERVALS))
    moment = Moment(key.ss58_address, vector=vector_of(request))
    refusal = check(desk, client, asked, limits, moment) or _check_open(desk, client)
    if refusal is not None:
        return deny(desk, client.name, asked, refusal)
    meant = _Meant(question, text, request_sha256)
    return _write(desk, Granted(client, key), meant, intent_id or desk.random_hex(16))


def show(desk: Desk, question: Show) -> IntentView | Refusal:
    """The intent, if it is this client's own. Another's looks like none."""
    client = find_client(desk, question.token)
    if isinstance(client, Refusal):
        return client
    intent = desk.journal.intent(question.intent)
    if intent is None or intent.client != client.name:
        return Refusal("unknown_intent", "expected the id of one of your intents, found none of that name")
    return desk.view(intent)


class _Meant(NamedTuple):
    """A question, its request as JSON (keys sorted), and the digest that tells it from another."""

    question: Accept
    text: str
    sha256: bytes


def _write(desk: Desk, granted: Granted, meant: _Meant, intent_id: str) -> IntentView:
    client, key, now, question = granted.client, granted.key, desk.now_ms(), meant.question
    request = question.request
    mechid = request.mechid if isinstance(request, SetWeights) else 0
    intent = Intent(
        id=intent_id,
        kind=request.kind,
        client=client.name,
        wallet=key.wallet,
        hotkey=key.hotkey,
        ss58_address=key.ss58_address,
        netuid=request.netuid,
        mechid=mechid,
        request=meant.text,
        request_sha256=meant.sha256,
        idempotency_key=question.idempotency_key,
        queue=question.queue,
        generation=desk.generation.number,
        accepted_ms=now,
        deadline_ms=now + int(desk.config.signer.deadline_seconds * 1000),
    )
    with desk.journal.transaction() as writer:
        writer.add_intent(intent)
        writer.record(
            now,
            "accepted",
            client.name,
            intent=intent.id,
            call=request.kind,
            key=f"{key.wallet}/{key.hotkey}",
            netuid=request.netuid,
            mechid=mechid,
            request_sha256=meant.sha256.hex(),
        )
    desk.moved(intent)
    desk.on_work()
    return desk.view(intent)


def _digest(text: str, *, queue: bool) -> bytes:
    """Of the JSON object that holds both: {"queue": …, "request": …}."""
    return sha256(f'{{"queue":{_encode(queue)},"request":{text}}}'.encode()).digest()


def asked_of(request: Wish) -> Asked:
    """What the rules must know of a wish."""
    mechid = request.mechid if isinstance(request, SetWeights) else None
    return Asked(request.wallet, request.hotkey, request.kind, request.netuid, mechid=mechid)


def vector_of(request: Wish) -> Vector | None:
    """The shares that are asked for; None where there are none, or none by uid yet."""
    if not isinstance(request, SetWeights) or request.uids is None:
        return None
    return vector_asked(request.uids, request.weights)


def _check_open(desk: Desk, client: ClientView) -> Refusal | None:
    if desk.journal.count_open(client.name) >= MAX_OPEN_PER_CLIENT or desk.journal.count_open() >= MAX_OPEN:
        return Refusal(
            "too_many_open",
            f"expected at most {MAX_OPEN_PER_CLIENT} unfinished intents of one client and {MAX_OPEN} in all",
            "wait until some are finished",
            retry_after_seconds=60,
        )
    return None


def check_shape(request: Wish, *, key: str | None = None, queue: bool = False) -> Refusal | None:
    """What no subnet and no journal would take, None if all is well."""
    try:
        _check_key(key)
        _check_range("netuid", request.netuid, MAX_NETUID)
        if isinstance(request, SetWeights):
            _check_weights(request)
        else:
            check_wish(request, queue=queue)
    except (WeightsError, WishError) as error:
        return Refusal("invalid_request", str(error), "mend the field named and ask again")
    return None


def _check_key(key: str | None) -> None:
    if key is not None and not (0 < len(key) <= MAX_IDEMPOTENCY_KEY_CHARACTERS and key.isprintable() and key.isascii()):
        raise WishError(f"Idempotency-Key: expected 1 to {MAX_IDEMPOTENCY_KEY_CHARACTERS} printable ASCII characters")


def _check_range(name: str, value: int, ceiling: int) -> None:
    if not 0 <= value <= ceiling:
        raise WishError(f"{name}: expected 0 to {ceiling}, found {str(value)[:24]}")


def _check_weights(request: SetWeights) -> None:
    _check_range("mechid", request.mechid, MAX_MECHID)
    _check_range("version_key", request.version_key, U64_MAX)
    if (request.uids is None) == (request.hotkeys is None):
        raise WeightsError("weights: expected either uids or hotkeys")
    targets = request.uids if request.uids is not None else request.hotkeys
    assert targets is not None
    if not 1 <= len(targets) <= MAX_TARGETS:
        raise WeightsError(f"weights: expected 1 to {MAX_TARGETS} entries, found {len(targets)}")
    if len(targets) != len(request.weights):
        raise WeightsError(f"uids and weights: expected equal lengths, found {len(targets)} and {len(request.weights)}")
    if request.hotkeys is not None:
        _check_addresses(request.hotkeys)
    check_weights(request.uids if request.uids is not None else range(len(targets)), request.weights)


def _check_addresses(hotkeys: tuple[str, ...]) -> None:
    for address in hotkeys:
        try:
            bittensor_core.ss58_decode(address)
        except ValueError:
            raise WeightsError(f"weights: expected ss58 addresses as keys, found {address[:64]!r}") from None
    if len(set(hotkeys)) != len(hotkeys):
        raise WeightsError("weights: expected each hotkey once, found one twice")
