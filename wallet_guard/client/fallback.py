"""The local wallet, where the service certainly did nothing. Off unless a node asks for it.

Falling back costs what the service is for: the key must lie on the node, and whoever can block the service makes the
node use it. So it takes two decisions of the node's owner (a function to set weights with, and the command line's
``--wallet.fallback_local``), a key that is there, and an answer that leaves no doubt. Doubt means two extrinsics for
one intent, so after any byte that may have arrived there is no fall-back, whatever the service or the network says.
"""

import itertools
import logging
import os
from collections.abc import Callable, Mapping
from typing import Any

from wallet_guard.client.results import Result

log = logging.getLogger(__name__)

DEFAULT_WALLET_PATH = "~/.bittensor/wallets"
"""Where the SDK keeps wallets."""

FALLBACK_CODES = frozenset(
    {
        # Nobody listened, or who listens cannot work.
        *("unreachable", "signer_unavailable", "not_ready", "stopping"),
        # It works, and not for us.
        *("unauthorized", "wallet_not_allowed", "netuid_not_allowed", "call_not_allowed", "unknown_wallet"),
    }
)
"""What the service says where another way may be right.

Not here: refusals of the request itself, which a local wallet should not get around (rates, shapes, limits),
``locked``, by which an operator stops every signature, and ``journal_unavailable``: what could not be synced may be
there after a restart.
"""


def was_not_accepted(result: Result) -> bool:
    """Is it certain that the service has not accepted the intent, and sensible to set the weights otherwise?"""
    certain = result.submitted == "no" and result.final and result.intent is None
    return certain and not result.success and result.code in FALLBACK_CODES


class Fallback:
    """Sets weights with a local wallet: ``set_weights`` is the SDK's function, or one like it.

    It is called with what the caller of the service gave, by the SDK's names, and returns something that unpacks to
    ``(success, message)``, or has both as attributes. ``count`` is how often that has happened.
    """

    def __init__(self, set_weights: Callable[..., Any], wallet_path: str | None) -> None:
        self.set_weights = set_weights
        self.count = 0
        self._numbers = itertools.count(1)  # threads share the service
        self._wallet_path = wallet_path or DEFAULT_WALLET_PATH

    def arguments(self, wallet: Any, names: tuple[str, str], given: Mapping[str, Any]) -> dict[str, Any] | None:
        """What to call ``set_weights`` with; None, logged, if there is no local key or it cannot be said to the SDK.

        ``names`` are wallet and hotkey; ``given`` is what the caller said about the weights.
        """
        weights = given["weights"]
        said = {name: value for name, value in given.items() if value or name in ("netuid", "uids", "weights")}
        if isinstance(weights, Mapping):
            if any(isinstance(key, str) for key in weights):
                log.error(
                    "no fall-back to the local wallet: the weights are given by hotkey, which the SDK cannot take"
                )
                return None
            said |= {"uids": list(weights), "weights": list(weights.values())}
        path = getattr(wallet, "path", None)
        folder = os.path.expanduser(path if isinstance(path, str) else self._wallet_path)
        keyfile = os.path.join(folder, names[0], "hotkeys", names[1])
        if not os.path.isfile(keyfile):
            log.error(f"no fall-back to the local wallet: there is no key at {keyfile}")
            return None
        return said if wallet is None or isinstance(wallet, str) else {"wallet": wallet, **said}

    def begin(self, refused: Result) -> None:
        """To be called before the local wallet is used: counts and says so."""
        self.count = next(self._numbers)
        log.error(
            f"FALL-BACK TO THE LOCAL WALLET (number {self.count}): the wallet service did not accept the weights "
            f"({refused.code}: {refused.message}); a key on this machine signs them"
        )

    def result(self, outcome: Any, refused: Result) -> Result:
        """The result of a call of ``set_weights`` that gave ``outcome``."""
        success, message = getattr(outcome, "success", None), getattr(outcome, "message", None)
        if success is None:
            success, message = outcome
        # A local failure may have been submitted: the SDK does not say.
        return Result(
            success=bool(success),
            message=f"by the local wallet: {message}" if message else "by the local wallet",
            code="" if success else "local_wallet_failed",
            hint="" if success else f"the wallet service before it: {refused.message}",
            submitted="yes" if success else "maybe",
            idempotency_key=refused.idempotency_key,
            local=True,
            fallbacks=self.count,
        )
