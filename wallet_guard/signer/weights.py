"""From what a node wants to what the chain takes: the SDK's own arithmetic, value for value.

The oracle is ``bittensor.intents.weights`` (``clip_to_max_weight``, ``normalize``, ``_conform``, read at
11.1.0 and 11.3.0); the tests run both on random vectors. Float operations are kept in its order, because a
different order gives a different u16.
"""

from collections.abc import Sequence
from itertools import accumulate
from math import fsum, inf, isfinite

U16_MAX = 65535


class WeightsError(ValueError):
    """These weights cannot be set there; the message says why."""


def check_weights(uids: Sequence[int], weights: Sequence[float]) -> None:
    """Refuses what no subnet takes.

    Raises:
        WeightsError: unequal lengths, a uid outside 0..65535 or named twice, a weight that is negative or
            not finite, a sum that is.
    """
    if len(uids) != len(weights):
        raise WeightsError(f"uids and weights: expected equal lengths, found {len(uids)} and {len(weights)}")
    if uids and not (min(uids) >= 0 and max(uids) <= U16_MAX and len(set(uids)) == len(uids)):
        raise _refused_uids(uids)
    if not all(map(isfinite, weights)) or (weights and min(weights) < 0):
        wrong = next(weight for weight in weights if not isfinite(weight) or weight < 0)
        raise WeightsError(f"weights: expected finite numbers of at least 0, found {wrong!r}")
    if not any(weights):
        raise WeightsError("weights: expected at least one above 0, found none")
    if not isfinite(_exact_sum(weights)) or not isfinite(sum(weights)):
        raise WeightsError("weights: expected a finite sum, found one that overflows")


def _refused_uids(uids: Sequence[int]) -> WeightsError:
    """Names the first that is wrong; one of them is."""
    seen: set[int] = set()
    for uid in uids:
        if not 0 <= uid <= U16_MAX:
            return WeightsError(f"uids: expected 0 to {U16_MAX}, found {str(uid)[:24]}")
        if uid in seen:
            break
        seen.add(uid)
    return WeightsError(f"uids: expected each uid once, found {uid} twice")


def _exact_sum(weights: Sequence[float]) -> float:
    """The sum, infinite where it is too large: rounding may hide that from ``sum``, but ``shift`` needs it."""
    try:
        return fsum(weights)
    except OverflowError:
        return inf


def normalize(uids: Sequence[int], weights: Sequence[float]) -> tuple[list[int], list[int]]:
    """Parallel (uids, u16 values): the largest weight becomes 65535, what rounds to zero is dropped."""
    top = max(weights)
    values = [round((weight / top) * U16_MAX) for weight in weights]
    kept = [(uid, value) for uid, value in zip(uids, values, strict=True) if value]
    return [uid for uid, _ in kept], [value for _, value in kept]


def clip_to_max_weight(weights: Sequence[float], limit: float) -> list[float]:
    """Shares (sum 1) of which none exceeds ``limit`` (0 to 1); uniform where no distribution can."""
    count = len(weights)
    total = float(sum(weights))
    if count * limit <= 1:
        return [1.0 / count] * count
    estimation = sorted(weight / total for weight in weights)
    if estimation[-1] <= limit:
        return [weight / total for weight in weights]
    epsilon = 1e-7
    cumulated = list(accumulate(estimation))
    below = sum(
        1 for at, share in enumerate(estimation) if share / ((count - at - 1) * share + cumulated[at] + epsilon) < limit
    )
    scale = (limit * cumulated[below - 1] - epsilon) / (1 - limit * (count - below))
    cutoff = scale * total
    clipped = [min(float(weight), cutoff) for weight in weights]
    clipped_total = sum(clipped)
    return [weight / clipped_total for weight in clipped]


def conform(
    uids: Sequence[int],
    weights: Sequence[float],
    *,
    own_uid: int,
    max_weight_limit: int,
    min_allowed_weights: int,
) -> tuple[list[int], list[int]]:
    """Parallel (uids, u16 values) as the subnet takes them.

    A single weight on oneself is exempt from both limits.

    ``max_weight_limit`` is in 65535ths of the sum.

    Raises:
        WeightsError: refused by ``check_weights``, or fewer than ``min_allowed_weights`` remain.
    """
    check_weights(uids, weights)
    to_oneself = list(uids) == [own_uid]
    shares = [float(weight) for weight in weights]
    if not to_oneself and max_weight_limit < U16_MAX:
        try:
            shares = clip_to_max_weight(shares, max_weight_limit / U16_MAX)
        except ZeroDivisionError as error:
            # Two weights, one of a ten-millionth, can be chosen so that the cutoff is exactly zero; the SDK fails too.
            raise WeightsError("weights: expected shares that can be clipped, found some that vanish") from error
    kept, values = normalize(uids, shares)
    if not to_oneself and len(kept) < min_allowed_weights:
        raise WeightsError(
            f"weights: expected at least {min_allowed_weights} above zero on this subnet, found {len(kept)}"
        )
    return kept, values


def shift(uids: Sequence[int], weights: Sequence[float], kept: Sequence[int], values: Sequence[int]) -> float:
    """How far conforming moved the shares: half the L1 distance, 0 (not at all) to 1 (entirely)."""
    asked_total, given_total = fsum(weights), sum(values)
    given = dict(zip(kept, values, strict=True))
    return 0.5 * fsum(
        abs(weight / asked_total - given.get(uid, 0) / given_total) for uid, weight in zip(uids, weights, strict=True)
    )
