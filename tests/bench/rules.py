"""What the rules cost: every rule, every limit set, one vector of 256 uids.

python tests/bench/rules.py
"""

import statistics
import time

from wallet_guard.host.policy import ClientPolicy, Limits
from wallet_guard.ipc.clients import ClientView
from wallet_guard.signer.rules import RULES, Asked, Case, Count, Signed, judge, refusal_of, vector_signed

ROUNDS = 2000

CLIENT = ClientView("node", "validator", "default", ("set_weights",), (2,), 60, 0, None)
LIMITS = Limits(100, 1200, ((0, 255),), 0.5, 0.8, ((0, 24),))
POLICY = ClientPolicy(
    ("validator/default",), ("set_weights",), (2,), (0,), (("set_weights", 10),), 2**60, False, LIMITS
)
WEIGHTS = tuple((uid, 65535 - uid) for uid in range(256))


def judged() -> float:
    """Seconds for one case."""
    begun = time.perf_counter()
    case = Case(
        CLIENT,
        POLICY,
        Asked("validator", "default", "set_weights", 2, mechid=0),
        now_ms=10**12,
        block_ms=12_000.0,
        count=Count(60),
        last=Signed(0, 0, WEIGHTS),
        block=10**6,
        vector=vector_signed(WEIGHTS),
    )
    assert refusal_of(judge(case, RULES)) is None
    return time.perf_counter() - begun


if __name__ == "__main__":
    found = [judged() for _ in range(ROUNDS)]
    print(f"{statistics.median(found) * 1e6:.0f} us median of {ROUNDS}: all rules, every limit set, 256 uids")
