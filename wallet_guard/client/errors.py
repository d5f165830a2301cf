"""What can go wrong, by what the caller can do about it; every message says what to check next.

WalletServiceError
SettingsError        the URL, the token or an argument cannot be used as it is
ServiceUnreachable   nobody answered, or the service cannot work at the moment
NotAuthorised        the token is not good, or not good for this
Refused              the request itself: nothing was signed
RateLimited      too soon; ``result.retry_after_seconds``, ``next_block``, ``next_time``
TransactionFailed    it was tried, and the chain said no
Undecided            the wait ended first; the service goes on with the intent
"""

from wallet_guard.client.results import Result


class WalletServiceError(Exception):
    """``result`` holds everything that is known; None where no call was made."""

    def __init__(self, message: str, result: Result | None = None) -> None:
        super().__init__(message)
        self.result = result


class SettingsError(WalletServiceError, ValueError):
    """Mend the URL, the token or the argument that the message names."""


class ServiceUnreachable(WalletServiceError):  # noqa: N818 -- named for who reads it
    """Check that the service runs, the URL, and the network between."""


class NotAuthorised(WalletServiceError):  # noqa: N818
    """Check the token and what it may do: ``wallet-guard client list`` on the service's host."""


class Refused(WalletServiceError):  # noqa: N818
    """Check what the message names; asking the same again gives the same answer."""


class RateLimited(Refused):
    """Wait; or pass ``queue=True`` and let the service wait."""


class TransactionFailed(WalletServiceError):  # noqa: N818
    """Check what the chain's error says; ``result.submitted`` tells whether anything may be on the chain."""


class Undecided(WalletServiceError):  # noqa: N818
    """Look again with ``intent(result.intent)``, or repeat the call with ``result.idempotency_key``."""


def error_of(result: Result) -> WalletServiceError:
    """The error that a failed result means."""
    message = f"{result.message}; {result.hint}" if result.hint else result.message
    return _class_of(result)(message, result)


def _class_of(result: Result) -> type[WalletServiceError]:
    if result.status == 0:
        return SettingsError if result.code == "invalid_request" else ServiceUnreachable
    if result.status in (401, 403):
        return NotAuthorised
    if result.status == 429:
        return RateLimited
    if result.status < 500:
        return Refused
    if result.intent is None:
        return ServiceUnreachable
    # 502: the chain spoke, even where a reorganisation could still take it back.
    return TransactionFailed if result.final or result.status == 502 else Undecided
