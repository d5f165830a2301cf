"""What a node imports to act through a wallet service instead of holding a key. Standard library only.

    from wallet_guard.client import WalletService

    service = WalletService()          # WALLET_SERVICE_URL, WALLET_SERVICE_TOKEN
    success, message = service.set_weights(2, [1, 2, 3], [100, 200, 300], wallet_name="validator")

``AsyncWalletService`` is the same for asyncio. ``set_weights`` returns like the SDK's: a result that unpacks
to ``(success, message)`` and carries more; with ``raise_errors=True`` it raises one of the errors below.

Not here on purpose: a fall-back to a local wallet. Whoever can block the service would choose it, and the
key would have to lie on the node. ``Result.final`` and ``Result.submitted`` say when nothing was submitted and
nothing will be, which is all that a node needs for a decision of its own.
"""

from wallet_guard.client.asynchronous import AsyncWalletService
from wallet_guard.client.blocking import WalletService
from wallet_guard.client.errors import (
    NotAuthorised,
    RateLimited,
    Refused,
    ServiceUnreachable,
    SettingsError,
    TransactionFailed,
    Undecided,
    WalletServiceError,
)
from wallet_guard.client.results import Health, Result, WalletInfo
from wallet_guard.client.settings import add_args

__all__ = [
    "AsyncWalletService",
    "Health",
    "NotAuthorised",
    "RateLimited",
    "Refused",
    "Result",
    "ServiceUnreachable",
    "SettingsError",
    "TransactionFailed",
    "Undecided",
    "WalletInfo",
    "WalletService",
    "WalletServiceError",
    "add_args",
]
