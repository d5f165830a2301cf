"""What a node imports to act through a wallet service instead of holding a key. Standard library only.

    from wallet_guard.client import WalletService

    service = WalletService()          # WALLET_SERVICE_URL, WALLET_SERVICE_TOKEN
    success, message = service.set_weights(2, [1, 2, 3], [100, 200, 300], wallet_name="validator")

``AsyncWalletService`` is the same for asyncio. ``set_weights`` returns like the SDK's: a result that unpacks
to ``(success, message)`` and carries more; with ``raise_errors=True`` it raises one of the errors below.
``RemoteSigner`` and ``RemoteWallet`` stand where the SDK wants a signer or a wallet.

A local wallet is used in the service's place only where that was asked for twice and nothing can happen twice: see
``fallback``. ``Result.final`` and ``Result.submitted`` say when nothing was submitted and nothing will be, which is
all that a node needs for a decision of its own.
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
from wallet_guard.client.results import Health, Result, Session, Signature, SignedRequest, SignedText, WalletInfo
from wallet_guard.client.settings import add_args
from wallet_guard.client.signer import RemoteSigner
from wallet_guard.client.wallet import RemoteWallet

__all__ = [
    "AsyncWalletService",
    "Health",
    "NotAuthorised",
    "RateLimited",
    "Refused",
    "RemoteSigner",
    "RemoteWallet",
    "Result",
    "ServiceUnreachable",
    "Session",
    "SettingsError",
    "Signature",
    "SignedRequest",
    "SignedText",
    "TransactionFailed",
    "Undecided",
    "WalletInfo",
    "WalletService",
    "WalletServiceError",
    "add_args",
]
