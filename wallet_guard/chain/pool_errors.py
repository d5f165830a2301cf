"""What a transaction pool means by refusing an extrinsic, and whether its word is the last one.

Codes of the answer: sc-rpc-api ``author::error``. Texts: sp-runtime ``transaction_validity``. Numbers of ``Custom
error:
N``: RaoFoundation/subtensor ``docs/concepts/transactions.mdx`` at 843795a7 (``common/src/transaction_error.rs``).
"""

import re
from dataclasses import dataclass
from enum import Enum

from wallet_guard.chain.errors import NodeError

INVALID_TRANSACTION = 1010
TEMPORARILY_BANNED = 1012
ALREADY_IMPORTED = 1013
PRIORITY_TOO_LOW = 1014
IMMEDIATELY_DROPPED = 1016

BAD_PROOF = "BadProof"
"""The name of a refused signature: the runtime, its metadata or its genesis is not the one signed for."""

CUSTOM_ERRORS = {
    0: "ColdkeyInSwapSchedule",
    1: "StakeAmountTooLow",
    2: "BalanceTooLow",
    3: "SubnetNotExists",
    4: "HotkeyAccountDoesntExist",
    5: "NotEnoughStakeToWithdraw",
    6: "RateLimitExceeded",
    7: "InsufficientLiquidity",
    8: "SlippageTooHigh",
    9: "TransferDisallowed",
    10: "HotKeyNotRegisteredInNetwork",
    11: "InvalidIpAddress",
    12: "ServingRateLimitExceeded",
    13: "InvalidPort",
    14: "ZeroMaxAmount",
    15: "InvalidRevealRound",
    16: "CommitNotFound",
    17: "CommitBlockNotInRevealRange",
    18: "InputLengthsUnequal",
    19: "UidNotFound",
    20: "EvmKeyAssociateRateLimitExceeded",
    21: "ColdkeySwapDisputed",
    22: "InvalidRealAccount",
    23: "FailedShieldedTxParsing",
    24: "InvalidShieldedTxPubKeyHash",
    25: "NonAssociatedColdKey",
    26: "DelegateTakeTooLow",
    27: "DelegateTakeTooHigh",
    255: "BadRequest",
}


class Meaning(Enum):
    """What follows from a refusal."""

    HELD = "held"
    """The pool has the extrinsic already."""
    REFUSED = "refused"
    """These bytes will not be taken."""
    UNSETTLED = "unsettled"
    """Nothing is certain: it may be on the chain already, or be taken later. Finality decides."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The refusal's stable name, the sentence for people, and what follows."""

    name: str
    message: str
    meaning: Meaning


_HELD, _REFUSED, _UNSETTLED = Meaning.HELD, Meaning.REFUSED, Meaning.UNSETTLED

_BY_CODE = {
    TEMPORARILY_BANNED: ("TemporarilyBanned", _UNSETTLED),  # also what was in a block a moment ago
    ALREADY_IMPORTED: ("AlreadyImported", _HELD),
    PRIORITY_TOO_LOW: ("PriorityTooLow", _UNSETTLED),  # another extrinsic waits with this nonce
    IMMEDIATELY_DROPPED: ("ImmediatelyDropped", _UNSETTLED),  # the pool is full
}

# (words of the text, name, what follows): the first that is found counts.
_BY_TEXT = (
    ("already imported", "AlreadyImported", _HELD),
    ("transaction is outdated", "Stale", _UNSETTLED),  # the nonce is used, perhaps by these very bytes
    ("ancient birth block", "AncientBirthBlock", _UNSETTLED),  # the era is over, or the node lags behind
    ("valid in the future", "Future", _UNSETTLED),
    ("exhaust the resources", "ExhaustsResources", _UNSETTLED),
    ("block limits", "ExhaustsResources", _UNSETTLED),
    ("priority is too low", "PriorityTooLow", _UNSETTLED),
    ("bad signature", BAD_PROOF, _REFUSED),
    ("inability to pay", "Payment", _REFUSED),
    ("call is not expected", "Call", _REFUSED),
    ("invalid signing address", "BadSigner", _REFUSED),
)

_CUSTOM = re.compile(r"Custom(?: error:|\()\s*(\d{1,3})")


def judge(error: NodeError) -> Verdict:
    """What the pool's answer to ``author_submitExtrinsic`` means.

    What is not known is UNSETTLED: to take an unknown word for a refusal could sign twice what is still on its way.
    """
    text = str(error)[:300]
    custom = _CUSTOM.search(text)
    if error.code == INVALID_TRANSACTION and custom:
        number = int(custom[1])
        name = CUSTOM_ERRORS.get(number, f"Custom{number}")
        return Verdict(name, f"the pool refused it: {name} ({text})", _REFUSED)
    if error.code in _BY_CODE:
        name, meaning = _BY_CODE[error.code]
        return Verdict(name, f"the pool answered {error.code}: {text}", meaning)
    for words, name, meaning in _BY_TEXT:
        if words in text.lower():
            return Verdict(name, f"the pool answered {error.code}: {text}", meaning)
    return Verdict(f"Rpc{error.code}", f"the endpoint answered {error.code}: {text}", _UNSETTLED)
