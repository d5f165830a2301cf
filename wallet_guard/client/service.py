"""What the blocking and the asyncio client have in common: settings, and the calls that they make."""

import re
import secrets
import ssl
from typing import Any, Self
from urllib.parse import quote

from wallet_guard.client.attempts import Call
from wallet_guard.client.errors import SettingsError, WalletServiceError, error_of
from wallet_guard.client.orders import SetWeights, name_of
from wallet_guard.client.results import Answer, Result, read_result
from wallet_guard.client.settings import choose_token, choose_url, setting

SLACK_SECONDS = 10.0
"""What a ``set_weights`` may take beyond the service's own wait: connecting, and a restart in between."""

LOOK_SECONDS = 10.0
"""For calls that only look."""

_KEY = re.compile(r"[!-~]{1,128}")


class Service:
    """A wallet service and our token for it. Use ``WalletService`` or ``AsyncWalletService``."""

    def __init__(
        self,
        url: str | None = None,
        token: str | None = None,
        *,
        wallet_name: str | None = None,
        hotkey_name: str = "default",
        timeout: float | None = None,
        ca_file: str | None = None,
    ) -> None:
        """Reads ``WALLET_SERVICE_URL`` and ``WALLET_SERVICE_TOKEN`` where an argument is None.

        ``wallet_name`` and ``hotkey_name`` are for calls that name none. ``timeout`` is for each whole call,
        attempts included, in seconds; None means what the call needs. ``ca_file`` holds the certificates to
        trust instead of the system's. Proxy settings of the environment are not used.

        Raises:
            SettingsError: a URL that cannot be used, an empty token or a known default.
        """
        self._place = choose_url(url)
        self._token = choose_token(token)
        self._wallet_name = wallet_name
        self._hotkey_name = hotkey_name
        self._timeout = timeout
        self._tls: ssl.SSLContext | None = None
        if self._place.tls:
            try:
                self._tls = ssl.create_default_context(cafile=ca_file)
            except (OSError, ssl.SSLError) as error:
                raise SettingsError(f"ca_file: expected certificates in PEM form: {error}") from error

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self._place)!r})"

    @classmethod
    def from_args(cls, args: Any, **keywords: Any) -> Self:
        """A service from parsed arguments (``add_args``), an argparse namespace or an SDK configuration.

        Takes ``--wallet.name`` and ``--wallet.hotkey`` along, where they are there.

        Raises:
            SettingsError: as the constructor.
        """
        keywords.setdefault("wallet_name", setting(args, "name"))
        keywords.setdefault("hotkey_name", setting(args, "hotkey") or "default")
        return cls(setting(args, "service_url"), setting(args, "service_token"), **keywords)

    def _weights_call(self, order: SetWeights, key: str | None, timeout: float | None) -> Call:
        seconds = timeout or self._timeout or order.goal_seconds + SLACK_SECONDS
        if key is not None and _KEY.fullmatch(key) is None:
            raise SettingsError("idempotency_key: expected 1 to 128 visible ASCII characters")
        order.encode(seconds)  # what cannot be sent is known before anything is tried
        return Call("POST", "/wallet/set_weights", order.encode, key or secrets.token_hex(16), seconds)

    def _names(self, wallet: Any, wallet_name: str | None, hotkey_name: str | None) -> tuple[str, str]:
        name = wallet_name or name_of(wallet, "name") or self._wallet_name
        if not name:
            raise SettingsError("wallet_name: expected a name, here or when the service was made, found none")
        return name, hotkey_name or name_of(wallet, "hotkey_str") or self._hotkey_name

    def _look(self, path: str) -> Call:
        return Call("GET", path, _nothing, None, self._timeout or LOOK_SECONDS)

    def _intent_call(self, intent: str) -> Call:
        return self._look(f"/wallet/intents/{quote(intent, safe='')}")

    def _info_call(self, wallet_name: str | None, hotkey_name: str | None) -> Call:
        given = {"wallet_name": wallet_name, "hotkey_name": hotkey_name}
        query = "&".join(f"{name}={quote(value, safe='')}" for name, value in given.items() if value)
        return self._look(f"/wallet/info?{query}" if query else "/wallet/info")


def settled(outcome: Answer | WalletServiceError, key: str | None, *, raise_errors: bool) -> Result:
    """The result of a call that was answered, or that failed.

    Raises:
        WalletServiceError: it is no success and ``raise_errors`` is set.
    """
    if isinstance(outcome, Answer):
        result = read_result(outcome, key)
    elif outcome.result is not None:
        result = outcome.result
    else:
        result = Result(False, str(outcome), "invalid_request", submitted="no", final=True)
    if raise_errors and not result.success:
        raise error_of(result)
    return result


def checked(answer: Answer) -> Answer:
    """The answer, if it is a success.

    Raises:
        WalletServiceError: it is none.
    """
    if answer.status >= 300:
        raise error_of(read_result(answer, None))
    return answer


def _nothing(_seconds: float) -> bytes:
    return b""
