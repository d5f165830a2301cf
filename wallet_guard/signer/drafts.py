"""Drafts: the call that a wish and the chain's facts make, or the reason why there is none. No key, no journal.

The same draft is sealed and explained: what a dry run shows is what would be signed.
"""

from dataclasses import dataclass

from wallet_guard.ipc.chain import Facts
from wallet_guard.ipc.wishes import SetWeights, Wish
from wallet_guard.signer.calls import call_of
from wallet_guard.signer.compose import Call, Runtime, TimelockError, reveal_ms
from wallet_guard.signer.weights import WeightsError, conform, shift

MAX_CLOCK_INTERVAL_BLOCKS = 360
"""The most blocks (one default tempo) that a remembered rate limit keeps a slot waiting by our own clock alone."""

RATE_SLACK_BLOCKS = 2
"""How much shorter the interval on our own clock may be than the chain's: a signature waits that long for its block."""


class DraftError(Exception):
    """Nothing can be signed for this wish, and later facts will not change that."""

    def __init__(self, code: str, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.hint = hint


class TooEarlyError(Exception):
    """The subnet's rate limit: not before ``allowed_ms`` and ``allowed_block``, whichever comes later."""

    def __init__(self, message: str, allowed_ms: int, allowed_block: int) -> None:
        super().__init__(message)
        self.allowed_ms = allowed_ms
        self.allowed_block = allowed_block


@dataclass(frozen=True, slots=True)
class Ground:
    """What this process knows by itself when it drafts.

    ``last_ms`` is when weights of this slot were last signed, None if never, ``last_rate_limit`` the subnet's interval
    then. ``was_commit_reveal``: the subnet had commit-reveal on, and the operator has not allowed plain weights since.
    """

    now_ms: int
    block_ms: float
    max_shift: float
    last_ms: int | None
    last_rate_limit: int
    was_commit_reveal: bool


@dataclass(frozen=True, slots=True)
class Drafted:
    """The call, and the (uid, u16) pairs in it; None for what is no weights."""

    call: Call
    weights: tuple[tuple[int, int], ...] | None


def draft(wish: Wish, facts: Facts, runtime: Runtime, speaker: tuple[str, bytes], ground: Ground) -> Drafted:
    """The call for that wish; ``speaker`` is the hotkey's address and public key. ``facts`` passed ``check_facts``.

    Raises:
        DraftError: there is none.
        TooEarlyError: there is none yet.
        TimelockError: the facts give no reveal round that could be right.
        RuntimeUnusableError: this runtime has no such call, or another one of that name.
    """
    address, public_key = speaker
    if not isinstance(wish, SetWeights):
        _check_registered(facts, address, wish.netuid)
        return Drafted(runtime.compose(*call_of(wish)), None)
    uids = _place(wish, facts, address)
    _check_interval(wish.netuid, facts, ground)
    kept, values = _conformed(wish, uids, facts, ground.max_shift)
    return Drafted(
        _weights_call(wish, (kept, values), facts, runtime, public_key, ground), tuple(zip(kept, values, strict=True))
    )


def _check_registered(facts: Facts, address: str, netuid: int) -> None:
    if facts.uid is None:
        raise DraftError(
            "not_registered",
            f"hotkey {address} is not registered on subnet {netuid}",
            "register it (btcli subnet register), or check netuid and network",
        )


def _place(request: SetWeights, facts: Facts, address: str) -> tuple[int, ...]:
    """The uids that are meant, once mechanism, registration and version key fit."""
    netuid, last = request.netuid, max(facts.mechanisms, 1) - 1
    if request.mechid > last:
        raise DraftError(
            "unknown_mechanism", f"mechid: expected 0 to {last} on subnet {netuid}, found {request.mechid}"
        )
    _check_registered(facts, address, netuid)
    if request.version_key < facts.weights_version_key:
        raise DraftError(
            "version_key_too_low",
            f"version_key: expected at least {facts.weights_version_key}, found {request.version_key}",
            "update the validator's code, which knows the version that the subnet wants",
        )
    if request.hotkeys is None:
        assert request.uids is not None
        return request.uids
    found = dict(facts.uids)
    for hotkey in request.hotkeys:
        if hotkey not in found:
            raise DraftError("unknown_hotkey", f"hotkey {hotkey} is not registered on subnet {netuid}")
    uids = tuple(found[hotkey] for hotkey in request.hotkeys)
    if len(set(uids)) != len(uids):
        raise DraftError("unknown_hotkey", "the chain gives one uid for two hotkeys")
    return uids


def _check_interval(netuid: int, facts: Facts, ground: Ground) -> None:
    """The subnet's rate limit, by the chain's blocks and by our own clock."""
    now, interval = ground.now_ms, facts.rate_limit
    wait_blocks = facts.last_update + interval - facts.block_number if facts.last_update else 0
    allowed_ms = now + int(wait_blocks * ground.block_ms)
    if ground.last_ms is not None:
        # The longer of the two: a node that says the limit is gone does not shorten the interval that is running.
        interval = max(interval, min(ground.last_rate_limit, MAX_CLOCK_INTERVAL_BLOCKS))
        clock_ms = max(interval - RATE_SLACK_BLOCKS, 0) * ground.block_ms
        allowed_ms = max(allowed_ms, ground.last_ms + int(clock_ms))
    if allowed_ms <= now:
        return
    allowed_block = facts.block_number + max(wait_blocks, -(-(allowed_ms - now) // int(ground.block_ms)))
    seconds = max(1, -(-(allowed_ms - now) // 1000))
    raise TooEarlyError(
        f"subnet {netuid} takes weights every {interval} blocks; "
        f"next permitted at block {allowed_block}, in about {seconds} s",
        allowed_ms,
        allowed_block,
    )


def _conformed(
    request: SetWeights, uids: tuple[int, ...], facts: Facts, max_shift: float
) -> tuple[list[int], list[int]]:
    assert facts.uid is not None
    pairs = list(zip(uids, request.weights, strict=True))
    if request.hotkeys:
        # The SDK sorts a mapping by uid; so does this where the uids were only now looked up.
        pairs.sort()
    asked, weights = [uid for uid, _ in pairs], [weight for _, weight in pairs]
    try:
        kept, values = conform(
            asked,
            weights,
            own_uid=facts.uid,
            max_weight_limit=facts.max_weight_limit,
            min_allowed_weights=facts.min_allowed_weights,
        )
    except WeightsError as error:
        raise DraftError("too_few_weights", str(error)) from error
    moved = shift(asked, weights, kept, values)
    if moved > max_shift:
        raise DraftError(
            "weights_shifted",
            f"the subnet's limits would move {moved:.0%} of the weight, at most {max_shift:.0%} is allowed",
            "spread the weights within max_weight_limit, or raise [signer] max_shift",
        )
    return kept, values


def _weights_call(
    request: SetWeights,
    weights: tuple[list[int], list[int]],
    facts: Facts,
    runtime: Runtime,
    public_key: bytes,
    ground: Ground,
) -> Call:
    place = (request.netuid, request.mechid)
    if not facts.commit_reveal:
        if ground.was_commit_reveal:
            raise DraftError(
                "commit_reveal_disabled",
                f"subnet {request.netuid} had commit-reveal on, now off: plain weights would be public at once",
                f"if its owner did that, the operator allows it: wallet-guard allow-plain {request.netuid}",
            )
        return runtime.set_weights(*place, *weights, request.version_key)
    call = runtime.commit_timelocked(public_key, facts, place, weights, request.version_key)
    _check_reveal(call, facts, ground)
    return call


def _check_reveal(call: Call, facts: Facts, ground: Ground) -> None:
    """The reveal round against our own clock: not in the past, not beyond what the schedule can mean."""
    assert call.reveal_round is not None
    ahead_ms = reveal_ms(call.reveal_round) - ground.now_ms
    longest = (facts.reveal_period_epochs + 1) * (facts.tempo + 1) * ground.block_ms + 60_000
    if not 0 < ahead_ms <= longest:
        raise TimelockError(f"reveal round: expected in 0 to {longest / 1000:.0f} s, found {ahead_ms / 1000:.0f} s")
