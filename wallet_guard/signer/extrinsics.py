"""A node's own extrinsic, as the SDK composed it: rebuilt from its parts, read completely, or not signed.

Nothing that arrives is believed. The call is read by hand, to the last byte, against a closed list (``scale``), and
must have the same name under the runtime in use; the payload is made anew from the parts and compared. The digest
binds the signature to that runtime; where it is off, the metadata is pinned. Not on the list, whoever asks: calls with
fees, calls that hold other calls, commits whose content cannot be seen (``set_weights`` makes those here), and calls
that look harmless and are not (``associate_evm_key``, ``set_root_weights``, ``swap_hotkey`` …).

The nonce is taken in this journal until the extrinsic is dead by our own clock, so that no intent of ours meets it.
"""

from dataclasses import dataclass
from hashlib import blake2b, sha256
from typing import Any

from wallet_guard.ipc.answers import Refusal
from wallet_guard.ipc.signatures import (
    EXTRINSIC_CALLS,
    EXTRINSIC_PREFIX,
    MAX_CALL_BYTES,
    ExtrinsicView,
    SignExtrinsic,
)
from wallet_guard.signer.compose import Runtime
from wallet_guard.signer.desk import Desk
from wallet_guard.signer.eras import MAX_ERA_BLOCKS, MIN_ERA_BLOCKS, life_ms
from wallet_guard.signer.facts import MAX_NONCE
from wallet_guard.signer.grants import Asked, Granted, Moment, check, deny, find_client, grant, hour_of
from wallet_guard.signer.journal import SignedExtrinsic
from wallet_guard.signer.keys import Key
from wallet_guard.signer.rules import AT_SEAL, Signed, vector_signed
from wallet_guard.signer.scale import (
    HASHED_ABOVE_BYTES,
    decode_call,
    encode_call,
    encode_era,
    encode_payload,
    pallet_of,
)

MAX_AHEAD_BLOCKS = 2
"""How far an era's first block may be ahead of where our clock puts the head: blocks come unevenly."""

MAX_GIVEN_AWAY = 64
"""Nonces of one hotkey under signatures that may still be used: nobody holds a stock of them for another day."""

_OPAQUE = "commit_"
_NESTING = ("Proxy.", "Utility.", "Multisig.", "Sudo.", "Scheduler.")

_WEIGHTS = ("set_weights", "set_mechanism_weights")


class _RefusedError(Exception):
    def __init__(self, code: str, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.refusal = Refusal(code, message, hint)

    @classmethod
    def of(cls, refusal: Refusal) -> "_RefusedError":
        error = cls(refusal.code, refusal.message)
        error.refusal = refusal
        return error


@dataclass(frozen=True, slots=True)
class _Meaning:
    """The call, read: ``Pallet.call`` and its arguments."""

    name: str
    netuid: int
    arguments: dict[str, Any]

    @property
    def mechid(self) -> int | None:
        """Of weights; None for another call."""
        return self.arguments.get("mecid", 0) if self.name.partition(".")[2] in _WEIGHTS else None

    @property
    def weights(self) -> tuple[tuple[int, int], ...] | None:
        """The (uid, u16) pairs; None for another call."""
        if self.mechid is None:
            return None
        return tuple(zip(self.arguments["dests"], self.arguments["weights"], strict=False))

    def asked(self, key: Key) -> Asked:
        """What the rules must know of it."""
        return Asked(key.wallet, key.hotkey, EXTRINSIC_PREFIX + self.name, self.netuid, mechid=self.mechid)


def sign_extrinsic(desk: Desk, question: SignExtrinsic) -> ExtrinsicView | Refusal:
    """The signature, or why not. The same extrinsic asked for again gets the same one."""
    client = find_client(desk, question.token)
    if isinstance(client, Refusal):
        return client
    unread = Asked(question.wallet, question.hotkey, "extrinsic")
    try:
        runtime = _runtime(desk, question)
        meaning = _read(runtime, question.call_data)
    except _RefusedError as error:
        return deny(desk, client.name, unread, error.refusal)
    asked = Asked(question.wallet, question.hotkey, EXTRINSIC_PREFIX + meaning.name, meaning.netuid)
    granted = grant(desk, question.token, asked)
    if isinstance(granted, Refusal):
        return granted
    try:
        _check_signer(granted, question)
        _check_plain(desk, meaning)
        _check_era(desk, question)
        payload = _rebuild(runtime, question)
        known = _check_nonce(desk, granted, question, payload)
        if known is None:
            _check_weights(desk, granted, meaning)
    except _RefusedError as error:
        return deny(desk, granted.client.name, asked, error.refusal)
    return _sign(desk, granted, meaning, question, payload, known)


def _runtime(desk: Desk, question: SignExtrinsic) -> Runtime:
    if not 0 < len(question.call_data) <= MAX_CALL_BYTES:
        raise _RefusedError("invalid_request", f"call_data: expected 1 to {MAX_CALL_BYTES} bytes")
    if "0x" + question.genesis_hash.hex() != desk.genesis:
        found = "0x" + question.genesis_hash.hex()[:64]
        raise _RefusedError("wrong_genesis", f"genesis_hash: expected {desk.genesis or 'one known'}, found {found}")
    runtimes = desk.chain.runtimes
    if not runtimes:
        raise _RefusedError("chain_unavailable", "no runtime is known yet", "is the chain process running?")
    runtime = runtimes.get((question.spec_version, question.transaction_version))
    # The newest is the one in use: an extrinsic for the one before would be refused by the chain, or wait for its like.
    if runtime is None or runtime is not next(reversed(runtimes.values())):
        spec, transaction = next(reversed(runtimes))
        raise _RefusedError(
            "wrong_runtime",
            f"spec_version: expected {spec} (transaction {transaction}), found {str(question.spec_version)[:24]}",
            "compose it anew with the runtime in use",
        )
    return runtime


def _read(runtime: Runtime, data: bytes) -> _Meaning:
    try:
        call, arguments = decode_call(data)
        whole = encode_call(call, arguments) == data
    except (ValueError, OverflowError) as error:
        raise _refused_call(runtime.name_of(data), str(error)) from error
    name = f"{pallet_of(call)}.{call}"
    if not whole or name not in EXTRINSIC_CALLS or runtime.name_of(data) != name:
        raise _refused_call(name, "")
    return _Meaning(name, arguments["netuid"], arguments)


def _refused_call(name: str, why: str) -> _RefusedError:
    found = f"found {name[:80]}" if name else f"found none of these: {why}"
    message = f"call: expected one of {', '.join(EXTRINSIC_CALLS)}, {found}"
    hint = ""
    if name.startswith(_NESTING):
        hint = "calls that hold calls are never signed"
    elif _OPAQUE in name:
        hint = "a commit cannot be read before it is revealed: ask for set_weights, the commit is made here"
    elif name in EXTRINSIC_CALLS:
        hint, message = "", f"call: expected {name} and nothing after it: {why}"
    return _RefusedError("call_refused", message, hint)


def _check_signer(granted: Granted, question: SignExtrinsic) -> None:
    key = granted.key
    found = (question.address, question.public_key, question.crypto_type)
    if found != (key.ss58_address, key.public_key, key.crypto_type):
        raise _RefusedError(
            "payload_mismatch", f"address: expected {key.ss58_address}, found {question.address[:64]!r}"
        )


def _check_plain(desk: Desk, meaning: _Meaning) -> None:
    """Plain weights have no business on a subnet with commit-reveal: they would be refused, and public."""
    call = meaning.name.partition(".")[2]
    if call in _WEIGHTS and desk.journal.commit_reveal(desk.genesis, meaning.netuid):
        raise _RefusedError(
            "call_refused",
            f"call: expected no plain weights for subnet {meaning.netuid}, which has commit-reveal on",
            "ask for set_weights, the commit is made here",
        )


def _check_weights(desk: Desk, granted: Granted, meaning: _Meaning) -> None:
    """Weights pass the same rules as those that are composed here."""
    if meaning.weights is None:
        return
    moment = Moment(granted.key.ss58_address, _head(desk)[0], vector_signed(meaning.weights))
    refusal = check(desk, granted.client, meaning.asked(granted.key), AT_SEAL, moment)
    if refusal is not None:
        raise _RefusedError.of(refusal)


def _check_era(desk: Desk, question: SignExtrinsic) -> None:
    period, current = question.era_period, question.era_current
    if period is None:
        raise _RefusedError("era_refused", "era: expected a mortal one, found an immortal one")
    if not MIN_ERA_BLOCKS <= period <= MAX_ERA_BLOCKS or period & (period - 1):
        raise _RefusedError(
            "era_refused",
            f"era: expected a power of two from {MIN_ERA_BLOCKS} to {MAX_ERA_BLOCKS} blocks, found {str(period)[:24]}",
        )
    head, latest = _head(desk)
    # The era that is written for a block begins with that block.
    if not max(0, head - period + 1) <= current <= latest:
        raise _RefusedError(
            "era_refused", f"era: expected one that holds at block {head}, found one of block {str(current)[:24]}"
        )


def _head(desk: Desk) -> tuple[int, int]:
    """The highest head that we were told of, and the highest that it may have become since, by our own clock."""
    pulse = desk.chain.pulse
    told = pulse.best_block if pulse is not None else None
    if told is None:
        raise _RefusedError("chain_unavailable", "the chain's head is not known yet", "is the chain process running?")
    since = max(0, desk.now_ms() - desk.chain.pulse_ms) / desk.block_ms
    return told, told + int(since) + MAX_AHEAD_BLOCKS


def _rebuild(runtime: Runtime, question: SignExtrinsic) -> bytes:
    """The payload, made from the parts, if it is the one that arrived."""
    if question.tip or question.tip_asset_id is not None:
        raise _RefusedError("tip_refused", "tip: expected none")
    if question.metadata_hash != runtime.digest:
        wanted = "none" if runtime.digest is None else "0x" + runtime.digest.hex()
        raise _RefusedError(
            "payload_mismatch",
            f"metadata_hash: expected {wanted}, found another",
            "give the SDK a signer with metadata_digest",
        )
    if len(question.era_block_hash) != 32 or not 0 <= question.nonce <= MAX_NONCE:
        raise _RefusedError(
            "invalid_request", f"expected an era_block_hash of 32 bytes and a nonce of 0 to {MAX_NONCE}"
        )
    assert question.era_period is not None
    era = encode_era(question.era_period, question.era_current)
    whole = question.call_data + question.included_in_extrinsic + question.included_in_signed_data
    payload = encode_payload(
        question.call_data,
        era=era,
        nonce=question.nonce,
        versions=(question.spec_version, question.transaction_version),
        hashes=(question.genesis_hash, question.era_block_hash),
        digest=runtime.digest,
    )
    hashed = whole if len(whole) <= HASHED_ABOVE_BYTES else blake2b(whole, digest_size=32).digest()
    if payload != hashed or payload != question.payload:
        raise _RefusedError("payload_mismatch", "payload: expected the one that its parts make, found another")
    return payload


def _check_nonce(desk: Desk, granted: Granted, question: SignExtrinsic, payload: bytes) -> SignedExtrinsic | None:
    """The signature given before for this very payload, if there is one that still may be taken."""
    journal, address, now = desk.journal, granted.key.ss58_address, desk.now_ms()
    known = journal.extrinsic(address, question.nonce)
    if known is not None and known.dead_ms > now:
        if known.payload_sha256 == sha256(payload).digest():
            return known
        raise _taken(question.nonce)
    if question.nonce in journal.nonces_in_flight(address, ""):
        raise _taken(question.nonce)
    lowest = journal.lowest_nonce(address)
    if question.nonce < lowest:
        raise _RefusedError("nonce_refused", f"nonce: expected at least {lowest}, found {question.nonce}")
    if len(journal.nonces_given_away(address, now)) >= MAX_GIVEN_AWAY:
        raise _RefusedError(
            "nonce_refused",
            f"expected at most {MAX_GIVEN_AWAY} signatures that may still be used",
            "wait for their eras",
        )
    return None


def _taken(nonce: int) -> _RefusedError:
    return _RefusedError(
        "nonce_refused",
        f"nonce: expected a free one, {nonce} is taken by a signature that may still be used",
        "wait for what is in flight, or use the next one",
    )


def _sign(
    desk: Desk,
    granted: Granted,
    meaning: _Meaning,
    question: SignExtrinsic,
    payload: bytes,
    known: SignedExtrinsic | None,
) -> ExtrinsicView:
    client, key, now = granted.client, granted.key, desk.now_ms()
    assert question.era_period is not None
    dead_ms = now + life_ms(question.era_period, desk.block_ms)
    signed = known or SignedExtrinsic(sha256(payload).digest(), key.sign(payload), dead_ms)
    with desk.journal.transaction() as writer:
        if known is None:
            writer.add_extrinsic(key.ss58_address, question.nonce, signed, now)
            writer.add_signature(key.ss58_address, question.nonce)
            if meaning.weights is not None and meaning.mechid is not None:
                slot = (key.ss58_address, meaning.netuid, meaning.mechid)
                writer.set_slot(*slot, Signed(now, _head(desk)[0], meaning.weights))
        writer.count_signed(client.name, EXTRINSIC_PREFIX + meaning.name, hour_of(now))
        writer.record(
            now,
            "extrinsic_signed" if known is None else "extrinsic_given_again",
            client.name,
            key=f"{key.wallet}/{key.hotkey}",
            call=meaning.name,
            call_sha256=sha256(question.call_data).hexdigest(),
            netuid=meaning.netuid,
            nonce=question.nonce,
            era=[question.era_period, question.era_current],
            payload_sha256=signed.payload_sha256.hex(),
        )
    return ExtrinsicView(key.ss58_address, key.crypto_type, signed.signature)
