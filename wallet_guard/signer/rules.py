"""The rules: each a small function from a case to a verdict, in the order in which they are told. Pure.

A case is everything that is known when a rule is asked: who asks for what, what the operator granted and what the
policy file says, the counters of the journal, the clock. Before the chain's facts are there, some rules answer
``LATER``; they are asked again right before the signature, when everything is known.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from math import fsum
from typing import NamedTuple

from wallet_guard.host.policy import ClientPolicy, Limits, Ranges
from wallet_guard.ipc.answers import Refusal
from wallet_guard.ipc.clients import ClientView
from wallet_guard.ipc.explanations import Ruling, Verdict

HOUR_MS = 3_600_000

DAY_HOURS = 24

SLACK_BLOCKS = 2
"""How much shorter ``min_blocks`` may be by our own clock: blocks come unevenly."""

BELIEVED_TIMES = 2
"""After so many times ``min_blocks`` by our own clock, a head that stands still or went back no longer counts.

One lie about the head must not shut a slot for good.
"""

U16_MAX = 65535

_MOST_SLACK = 256 / 2 / U16_MAX
"""The most that rounding moves a share on a subnet of 256 uids, the largest there are: 0.2 percent."""

_ROUNDING = 1e-9
"""Of sums of floats: shares of a vector that was asked for."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked for. ``netuid`` None: it concerns no subnet; ``any_netuid``: it concerns all of them.

    ``mechid`` is None for what is no weights.
    """

    wallet: str
    hotkey: str
    call: str
    netuid: int | None = None
    any_netuid: bool = False
    mechid: int | None = None


@dataclass(frozen=True, slots=True)
class Vector:
    """Weights as shares of their sum. ``slack`` is how far rounding to u16 may have moved a share."""

    shares: dict[int, float]
    slack: float = _ROUNDING


class Signed(NamedTuple):
    """The weights that were last signed for a slot (hotkey, netuid, mechanism): when, at which head, what."""

    at_ms: int
    block: int
    weights: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Count:
    """Approvals of the running hour: of what the grant's ceiling counts, and of this call alone."""

    ceiling: int
    granted: int = 0
    call: int = 0
    wait_seconds: int = 60


@dataclass(frozen=True, slots=True)
class Case:
    """See the module. ``block`` and ``vector`` are None while they are not known; ``last`` if nothing was signed."""

    client: ClientView
    policy: ClientPolicy | None
    asked: Asked
    now_ms: int
    block_ms: float
    count: Count
    dry_run: bool = False
    last: Signed | None = None
    block: int | None = None
    vector: Vector | None = None

    @property
    def limits(self) -> Limits:
        """The policy's limits where this is asked for; none without a policy, which then refuses by itself."""
        return self.policy.limits_on(self.asked.netuid) if self.policy else Limits()

    @property
    def is_weights(self) -> bool:
        """Does it set weights?"""
        return self.asked.mechid is not None


Rule = Callable[[Case], Verdict]


def vector_asked(uids: Iterable[int], weights: Iterable[float]) -> Vector:
    """The shares that a node asked for: weights of at least 0, some above it."""
    pairs = list(zip(uids, weights, strict=True))
    total = fsum(weight for _, weight in pairs)
    return Vector({uid: weight / total for uid, weight in pairs})


def vector_signed(weights: Iterable[tuple[int, int]]) -> Vector:
    """The shares of u16 weights. Those with a largest of 65535 may have been rounded, each by half of one.

    Nothing above zero has no shares at all; a uid named twice has both.
    """
    pairs = [pair for pair in weights if pair[1]]
    if not pairs:
        return Vector({})
    total = sum(value for _, value in pairs)
    shares: dict[int, float] = {}
    for uid, value in pairs:
        shares[uid] = shares.get(uid, 0.0) + value / total
    # Small numbers were chosen, not rounded: half of one would be much of them.
    rounded = max(value for _, value in pairs) == U16_MAX
    return Vector(shares, _ROUNDING + (min(len(pairs) / 2 / total, _MOST_SLACK) if rounded else 0.0))


def distance(one: Vector, other: Vector) -> float:
    """The L1 distance of shares, 0 to 2."""
    return fsum(abs(one.shares.get(uid, 0.0) - other.shares.get(uid, 0.0)) for uid in one.shares | other.shares)


def judge(case: Case, rules: Iterable[Rule]) -> tuple[Verdict, ...]:
    """What each rule says, in order; all are asked, whatever the first ones say."""
    return tuple(rule(case) for rule in rules)


def refusal_of(verdicts: Iterable[Verdict]) -> Refusal | None:
    """The first refusal as it is told to the client; None if no rule refuses."""
    for verdict in verdicts:
        if verdict.ruling is Ruling.REFUSE:
            code, hint = CODES.get(verdict.rule, ("policy_denied", "the guard's operator sets this in the policy file"))
            return Refusal(
                code,
                f"{verdict.rule}: expected {verdict.passes}, found {verdict.found}",
                hint,
                verdict.retry_after_seconds,
                verdict.next_block,
                rule=verdict.rule,
            )
    return None


CODES = {
    "granted_key": ("wallet_not_allowed", "a token is good for one hotkey; ask the operator for one for this wallet"),
    "granted_call": (
        "call_not_allowed",
        "ask the operator for a token for this call ('wallet-guard client add --call')",
    ),
    "granted_netuid": ("netuid_not_allowed", "ask the operator for a token for this subnet"),
    "granted_per_hour": ("rate_limited", "wait, or ask the operator for a higher rate"),
    "per_hour": ("rate_limited", "wait, or ask the operator for a higher rate"),
    "min_seconds": ("rate_limited", "ask again then"),
    "min_blocks": ("rate_limited", "ask again then"),
}
"""Rule → code and hint of its refusal; the others refuse as ``policy_denied``."""


# What is granted ----------------------------------------------------------------------------------------------------


def granted_key(case: Case) -> Verdict:
    """A token is good for one hotkey."""
    granted = f"{case.client.wallet}/{case.client.hotkey}"
    return _among("granted_key", (granted,), _key(case))


def granted_call(case: Case) -> Verdict:
    """The calls of ``client add``."""
    return _among("granted_call", case.client.calls, case.asked.call[:64])


def granted_netuid(case: Case) -> Verdict:
    """The subnets of ``client add``."""
    return _netuid("granted_netuid", case.client.netuids, case)


def granted_per_hour(case: Case) -> Verdict:
    """The rate of ``client add``."""
    return _below("granted_per_hour", case.count.ceiling, case.count.granted, case.count.wait_seconds)


# What the policy lists ----------------------------------------------------------------------------------------------


def listed(case: Case) -> Verdict:
    """The policy says something of this client, if only by its default."""
    passes = "a table for this client, or a default"
    return _verdict("listed", case.policy is not None, passes, "one" if case.policy else "none")


def keys(case: Case) -> Verdict:
    """The hotkeys that the policy lists."""
    return _among("keys", case.policy.keys if case.policy else (), _key(case))


def calls(case: Case) -> Verdict:
    """The calls that the policy lists."""
    return _among("calls", case.policy.calls if case.policy else (), case.asked.call[:64])


def netuids(case: Case) -> Verdict:
    """The subnets that the policy lists."""
    return _netuid("netuids", case.policy.netuids if case.policy else (), case)


def mechanisms(case: Case) -> Verdict:
    """The mechanisms that the policy lists; for weights alone."""
    if case.asked.mechid is None:
        return _pass("mechanisms", "anything: no weights")
    return _among("mechanisms", case.policy.mechanisms if case.policy else (), case.asked.mechid)


def expires(case: Case) -> Verdict:
    """The end of the token."""
    until = case.policy.expires_ms if case.policy else None
    if until is None:
        return _pass("expires", "any time")
    # Not when: who holds a token that is nothing any more shall not learn of it.
    return _verdict("expires", case.now_ms < until, "a token that has not expired", "one")


def dry_run_only(case: Case) -> Verdict:
    """Some clients get explanations and no signatures."""
    only = case.policy is not None and case.policy.dry_run_only
    found = "a dry run" if case.dry_run else "a request to sign"
    return _verdict("dry_run_only", case.dry_run or not only, "a dry run" if only else "anything", found)


# What the policy limits ---------------------------------------------------------------------------------------------


def hours(case: Case) -> Verdict:
    """The hours of the day, UTC."""
    windows = case.limits.hours
    if windows is None:
        return _pass("hours", "any hour")
    hour = case.now_ms // HOUR_MS % DAY_HOURS
    passes = ", ".join(f"{start:02}:00 to {end:02}:00 UTC" for start, end in windows) or "none"
    within = [_within_day(start, end, hour) for start, end in windows]
    return _verdict("hours", any(within), passes, f"{hour:02}:00 UTC")


def per_hour(case: Case) -> Verdict:
    """The policy's own ceiling for this call."""
    ceiling = (
        next((count for call, count in case.policy.per_hour if call == case.asked.call), None) if case.policy else 0
    )
    if ceiling is None:
        return _pass("per_hour", "any number")
    return _below("per_hour", ceiling, case.count.call, case.count.wait_seconds)


def min_seconds(case: Case) -> Verdict:
    """The interval between weights of a slot, by our own clock."""
    least = case.limits.min_seconds
    if not case.is_weights or not least or case.last is None:
        return _pass("min_seconds", f"{least} s between weights of a slot")
    since_ms = case.now_ms - case.last.at_ms
    wait = -((since_ms - least * 1000) // 1000)
    return _verdict(
        "min_seconds",
        since_ms >= least * 1000,
        f"{least} s between weights of a slot",
        f"{since_ms / 1000:.0f} s",
        wait,
    )


def min_blocks(case: Case) -> Verdict:
    """The interval between weights of a slot: by the chain's blocks, and by our own clock."""
    least, last = case.limits.min_blocks, case.last
    passes = f"{least} blocks between weights of a slot"
    if not case.is_weights or not least or last is None:
        return _pass("min_blocks", passes)
    since_ms, next_block = case.now_ms - last.at_ms, last.block + least
    missing_ms = max(least - SLACK_BLOCKS, 0) * case.block_ms - since_ms
    believed = since_ms < BELIEVED_TIMES * least * case.block_ms
    early = case.block is not None and case.block < next_block and believed
    if early:
        assert case.block is not None
        missing_ms = max(missing_ms, (next_block - case.block) * case.block_ms)
    if missing_ms > 0 or early:
        # By the clock it is never longer than the interval, whatever block was told.
        seconds = max(1, int(min(missing_ms, least * case.block_ms) // 1000) + 1)
        found = f"{max(case.block - last.block, 0)}" if case.block is not None else f"{since_ms / 1000:.0f} s"
        return Verdict("min_blocks", Ruling.REFUSE, passes, found, seconds, next_block)
    if case.block is None:
        return Verdict("min_blocks", Ruling.LATER, passes, "")
    return Verdict("min_blocks", Ruling.PASS, passes, str(max(case.block - last.block, 0)))


def uids(case: Case) -> Verdict:
    """Who may get weight."""
    ranges = case.limits.uids
    if not case.is_weights or ranges is None:
        return _pass("uids", "any uid")
    passes = ", ".join(str(first) if first == last else f"{first} to {last}" for first, last in ranges) or "none"
    if case.vector is None:
        return Verdict("uids", Ruling.LATER, passes, "")
    strange = [uid for uid, share in case.vector.shares.items() if share > 0 and not _in_ranges(ranges, uid)]
    found = f"uid {min(strange)}" + (f" and {len(strange) - 1} more" if strange[1:] else "") if strange else "these"
    return _verdict("uids", not strange, passes, found)


def max_share(case: Case) -> Verdict:
    """How much one uid may get."""
    most = case.limits.max_share
    if not case.is_weights or most is None:
        return _pass("max_share", "any share")
    passes = f"at most {most:g} for one uid"
    if case.vector is None:
        return Verdict("max_share", Ruling.LATER, passes, "")
    uid, share = max(case.vector.shares.items(), key=lambda pair: pair[1], default=(0, 0.0))
    # Nothing is not more than a little: a limit of 0 means none at all.
    fits = most > 0 and share - case.vector.slack <= most
    return _verdict("max_share", fits, passes, f"{share:.4g} for uid {uid}")


def max_change(case: Case) -> Verdict:
    """How far shares may be from those that were last signed for the slot. The first have nothing to be far from."""
    most, last = case.limits.max_change, case.last
    if not case.is_weights or most is None or last is None:
        return _pass("max_change", "any change" if most is None else f"at most {most:g} from the last")
    passes = f"at most {most:g} from the last"
    if case.vector is None:
        return Verdict("max_change", Ruling.LATER, passes, "")
    before = vector_signed(last.weights)
    moved = distance(case.vector, before)
    slack = 2 * (case.vector.slack + before.slack)
    return _verdict("max_change", moved - slack <= most, passes, f"{moved:.4g}")


PERMISSIONS: tuple[Rule, ...] = (
    *(granted_key, granted_call, granted_netuid),
    *(listed, expires, keys, calls, netuids, mechanisms, dry_run_only),
)
"""Who may ask for what: the same at every moment, so they come before the answer to a repeated request."""

LIMITS: tuple[Rule, ...] = (granted_per_hour, per_hour, hours, min_seconds, min_blocks, uids, max_share, max_change)
"""How much, how often, when."""

AT_SEAL: tuple[Rule, ...] = (*PERMISSIONS, hours, min_seconds, min_blocks, uids, max_share, max_change)
"""Asked again before the signature; what an hour holds was counted when the wish was accepted."""

INTERVALS: tuple[Rule, ...] = (min_seconds, min_blocks)
"""What a request that waits waits for."""

AT_SEAL_AGAIN: tuple[Rule, ...] = tuple(rule for rule in AT_SEAL if rule not in INTERVALS)
"""Asked before a signature is made anew in place of a dead one, if nothing was signed for the slot since."""

RULES = (*PERMISSIONS, *LIMITS)


def _verdict(rule: str, fits: bool, passes: str, found: str, wait: int | None = None) -> Verdict:
    ruling = Ruling.PASS if fits else Ruling.REFUSE
    return Verdict(rule, ruling, passes, found, None if fits or wait is None else max(1, wait))


def _pass(rule: str, passes: str) -> Verdict:
    return Verdict(rule, Ruling.PASS, passes, "")


def _among(rule: str, allowed: tuple[str, ...] | tuple[int, ...] | None, found: str | int) -> Verdict:
    if allowed is None:
        return Verdict(rule, Ruling.PASS, "anything that is granted", str(found))
    return _verdict(rule, found in allowed, ", ".join(map(str, allowed)) or "none", str(found))


def _netuid(rule: str, allowed: tuple[int, ...] | None, case: Case) -> Verdict:
    asked = case.asked
    if asked.netuid is None and not asked.any_netuid:
        return _pass(rule, "anything: no subnet")
    if asked.any_netuid:
        fits = allowed is None
        return _verdict(rule, fits, "any" if fits else ", ".join(map(str, allowed or ())) or "none", "any")
    assert asked.netuid is not None
    return _among(rule, allowed, asked.netuid)


def _below(rule: str, ceiling: int, count: int, wait: int) -> Verdict:
    return _verdict(rule, count < ceiling, f"at most {ceiling} an hour", f"{count + 1}", wait)


def _key(case: Case) -> str:
    return f"{case.asked.wallet[:64]}/{case.asked.hotkey[:64]}"


def _within_day(start: int, end: int, hour: int) -> bool:
    return start <= hour < end if start < end else hour >= start or hour < end


def _in_ranges(ranges: Ranges, uid: int) -> bool:
    return any(first <= uid <= last for first, last in ranges)
