"""Every code that a failed answer can carry: its HTTP status, and what it means.

One table for what the gateway says itself, what the signer refuses, and why an intent failed: the same code
is the same status wherever it comes from. Statuses by RFC 9110, section 15, and RFC 6585 (429).
"""

from typing import NamedTuple


class Code(NamedTuple):
    """``status`` of the HTTP answer, ``meaning`` for people."""

    status: int
    meaning: str


CODES: dict[str, Code] = {
    # The request itself
    "bad_request": Code(400, "the bytes are no HTTP request that can be understood"),
    "invalid_header": Code(400, "a header of the request has a value that cannot be"),
    "invalid_json": Code(400, "the body is not one JSON object"),
    "invalid_request": Code(422, "a field is missing, unknown, of another type or out of range"),
    "not_found": Code(404, "there is no such path"),
    "method_not_allowed": Code(405, "the path exists, for other methods"),
    "too_large": Code(413, "the body is longer than the ceiling"),
    "unsupported_media_type": Code(415, "the body is not announced as application/json"),
    # Who asks
    "unauthorized": Code(401, "no token, or none that the signer knows"),
    "wallet_not_allowed": Code(403, "the token is for another wallet or hotkey"),
    "netuid_not_allowed": Code(403, "the token is not for this subnet"),
    "call_not_allowed": Code(403, "the token is not for this call"),
    "policy_denied": Code(403, "the operator's policy does not allow it; the rule says what would pass"),
    "call_refused": Code(403, "a call that is never signed here, whoever asks"),
    # What is asked for
    "unknown_wallet": Code(404, "the signer holds no such hotkey"),
    "unknown_intent": Code(404, "there is no such intent, or it is another client's"),
    "idempotency_conflict": Code(409, "the key was used before, with another request"),
    "old_key": Code(409, "the key was used before the guard's journal was restored from a backup"),
    "nonce_refused": Code(409, "a nonce that is used, taken, or not of this moment"),
    "wrong_runtime": Code(409, "composed for another runtime than the one in use"),
    "era_refused": Code(422, "an extrinsic that is immortal, lives too long, or not now"),
    "tip_refused": Code(422, "an extrinsic with a tip"),
    "payload_mismatch": Code(422, "a payload that is not what its parts make"),
    "rate_limited": Code(429, "too soon: the client's own rate or the subnet's"),
    "too_many_open": Code(429, "too many unfinished intents"),
    "too_many_waiting": Code(429, "too many requests wait for answers"),
    # What the subnet says
    "not_registered": Code(422, "the hotkey has no uid on the subnet"),
    "unknown_hotkey": Code(422, "a hotkey in the weights has no uid on the subnet"),
    "unknown_mechanism": Code(422, "the subnet has no such mechanism"),
    "too_few_weights": Code(422, "the subnet wants more weights above zero"),
    "weights_shifted": Code(422, "the subnet's limits would move the weights too far from the request"),
    "version_key_too_low": Code(422, "the subnet wants a newer version_key"),
    "commit_reveal_disabled": Code(409, "the subnet went from commit-reveal to plain: the operator must agree"),
    # What the chain says
    "wrong_genesis": Code(502, "the endpoint serves another chain"),
    "runtime_changed": Code(502, "the chain's runtime changed, and the operator has not allowed it yet"),
    "facts_refused": Code(502, "the chain's numbers are outside of what can be true"),
    "chain_rejected": Code(502, "the chain's pool refused the extrinsic"),
    "dispatch_failed": Code(502, "the extrinsic is in a block, and failed there"),
    "not_effective": Code(502, "the chain does not show the weights that were signed"),
    "chain_unavailable": Code(503, "the chain cannot be reached; the intent is kept until its deadline"),
    "expired": Code(504, "the intent's deadline passed"),
    "cancelled": Code(409, "the operator ended the request before it was signed"),
    "restored": Code(502, "the guard's journal was restored; what became of the request is not known"),
    # How we are
    "signer_unavailable": Code(503, "the signer does not answer"),
    "journal_unavailable": Code(503, "the signer's journal cannot be written, so nothing is signed"),
    "locked": Code(503, "the operator locked the signer"),
    "not_ready": Code(503, "a part that is needed is missing"),
    "stopping": Code(503, "the gateway is being stopped; an accepted intent goes on without it"),
    "deadline": Code(504, "not there yet when the wait ended; the intent is kept until its deadline"),
    "internal": Code(500, "a bug in the gateway"),
}

UNKNOWN_CODE_STATUS = 502
"""A code that this table lacks comes from a newer signer or from the chain: behind us, so a bad gateway."""


def status_of(code: str) -> int:
    """The HTTP status of a code."""
    found = CODES.get(code)
    return found.status if found else UNKNOWN_CODE_STATUS
