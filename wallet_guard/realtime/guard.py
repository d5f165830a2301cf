"""A session key's certificate from the wallet service: `POST /wallet/session`. The hotkey stays where it is.

guard = Guard(wallet_name="miner", netuid=2)          # WALLET_SERVICE_URL, WALLET_SERVICE_TOKEN
manager = MinerWebSocketManager(await guard.speaker(), netuid=2, renew=guard.speaker)
"""

import json
import ssl
from typing import Final

from wallet_guard.client.settings import choose_token, choose_url
from wallet_guard.net import HttpClient, client_context, parse_url
from wallet_guard.realtime.speaker import Speaker, session_speaker
from wallet_guard.wire.errors import ProtocolError

_PATH: Final = "/wallet/session"
_SECONDS: Final = 15.0  # for the whole question


class GuardError(Exception):
    """No certificate: the service cannot be reached, or refuses; the text says why."""


class Guard:
    """Asks one wallet service for certificates of one hotkey, for one netuid.

    `url` and `token` as for `WalletService`; `lifetime_seconds` at most what the token allows, a day at the outside.

    Raises:
        SettingsError: a URL or a token that cannot be used.
    """

    def __init__(
        self,
        url: str | None = None,
        token: str | None = None,
        *,
        wallet_name: str,
        hotkey_name: str = "default",
        netuid: int,
        lifetime_seconds: int = 3600,
    ) -> None:
        place = choose_url(url)
        scheme = "https" if place.tls else "http"
        self._address = parse_url(f"{scheme}://{place.authority}{place.prefix}{_PATH}", unix_path=place.socket)
        self._tls: ssl.SSLContext | None = client_context() if place.tls else None
        self._token = choose_token(token)
        self._question = {
            "wallet_name": wallet_name,
            "hotkey_name": hotkey_name,
            "netuid": netuid,
            "receiver": None,
            "lifetime": lifetime_seconds,
        }

    async def speaker(self) -> Speaker:
        """A speaker with a new session key; each call makes another.

        Raises:
            GuardError: no certificate.
        """
        try:
            return await session_speaker(self._ask)
        except ValueError as error:
            raise GuardError(f"expected a certificate of our key, found another answer: {error}") from error

    async def _ask(self, key: str) -> str:
        body = json.dumps(self._question | {"key": "0x" + key}).encode()
        fields = (("Authorization", f"Bearer {self._token}"), ("Content-Type", "application/json"))
        try:
            client = await HttpClient.connect(self._address, tls=self._tls, timeout_seconds=_SECONDS)
            try:
                response = await client.request(
                    "POST", self._address.target, headers=fields, body=body, timeout_seconds=_SECONDS
                )
            finally:
                client.close()
        except (OSError, ProtocolError) as error:
            raise GuardError(f"the wallet service cannot be reached: {str(error) or type(error).__name__}") from error
        try:
            answer = json.loads(response.body)
            if response.status == 200:
                return str(answer["certificate"])
            message = str(answer.get("message", ""))[:200]
        except (ValueError, KeyError, AttributeError, TypeError):
            message = "an answer that is none of a wallet service"
        raise GuardError(f"the wallet service refuses with {response.status}: {message}")
