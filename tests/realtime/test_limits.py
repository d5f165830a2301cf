"""Limits hold together: none of them makes another useless."""

import pytest

from wallet_guard.realtime.limits import MINER_LIMITS, VALIDATOR_LIMITS
from wallet_guard.signed.frames import MAX_FRAME_BYTES, MAX_MESSAGES
from wallet_guard.signed.reception import MAX_AGE_MS
from wallet_guard.signed.replay import SPAN


@pytest.mark.parametrize("limits", [VALIDATOR_LIMITS, MINER_LIMITS])
def test_ceilings_fit_into_each_other(limits):
    assert limits.max_frame_bytes <= MAX_FRAME_BYTES
    assert limits.max_messages <= MAX_MESSAGES
    assert limits.max_queued <= SPAN
    assert limits.max_openings_per_address < limits.max_openings < limits.max_connections
    assert limits.resend_seconds * 1000 < MAX_AGE_MS
    assert limits.burst >= limits.rate_per_second
