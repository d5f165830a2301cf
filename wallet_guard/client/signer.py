"""The SDK's ``Signer`` in front of a wallet service: bittensor 11 signs with it, and no key is here.

    signer = RemoteSigner("unix:///run/wallet-guard/gateway.sock", token, wallet="validator")
    await client.execute(bt.ServeAxon(netuid=2, ip="203.0.113.7", port=8091), signer)
    headers = bt.http_auth.sign(signer, method="POST", path="/generate", body=body, receiver_ss58=miner)

The SDK finds the two optional hooks by their names (``bittensor.signing``): ``sign_unsigned_extrinsic`` sends the whole
prepared extrinsic, which the service reads, rebuilds and signs, or refuses. What it cannot read it refuses: the commit
that ``bt.SetWeights`` makes on a subnet with commit-reveal. There, ``await AsyncWalletService(…).execute(intent)`` or
``set_weights`` let the service make the commit. The SDK itself is not imported.
"""

import re
import sys
from typing import Any

from wallet_guard.client.address import SS58_FORMAT, public_key_of
from wallet_guard.client.asynchronous import AsyncWalletService
from wallet_guard.client.blocking import WalletService
from wallet_guard.client.errors import Refused, SettingsError, WalletServiceError

CRYPTO_TYPES = {"ed25519": 0, "sr25519": 1}

_REQUEST = re.compile(
    rb"btauth/1\n(?P<scheme>\w+)\n(?P<method>[!-~]+)\n(?P<path>[!-~]+)\n(?P<body>[0-9a-f]{64})\n(?P<nonce>[0-9]{1,19})\n"
    rb"(?P<sender>\w+)\n(?P<receiver>\w+|-)",
    re.ASCII,
)

_SIGNATURE_HEADER = "X-Bittensor-Signature"

_INSTEAD = (
    "extrinsics need bittensor 11, which sends them whole; weights go by WalletService.set_weights, texts by "
    "WalletService.sign"
)

_COMMIT = "`await AsyncWalletService(…).execute(intent)` or `set_weights` let the service make the commit"


class RemoteSigner:
    """One hotkey of a wallet service, as ``bittensor.Signer`` and both of its optional hooks."""

    def __init__(
        self,
        url: str | None = None,
        token: str | None = None,
        wallet: str = "validator",
        hotkey: str = "default",
        **keywords: Any,
    ) -> None:
        """Asks the service once for the hotkey's address, so that a wrong URL or token shows here.

        ``url`` and ``token`` as for ``WalletService``, and so the keywords (``timeout``, ``ca_file`` …).

        Raises:
            WalletServiceError: settings that cannot be used, no answer, or not our hotkey.
        """
        self._blocking = WalletService(url, token, wallet_name=wallet, hotkey_name=hotkey, **keywords)
        self._asynchronous = AsyncWalletService(url, token, wallet_name=wallet, hotkey_name=hotkey, **keywords)
        try:
            info = self._blocking.info(wallet, hotkey)
        except WalletServiceError:
            self._blocking.close()
            raise
        if info.crypto_type not in CRYPTO_TYPES:
            raise SettingsError(f"crypto_type: expected sr25519 or ed25519, found {info.crypto_type[:24]!r}")
        self.ss58_address = info.hotkey_address
        self.public_key = public_key_of(info.hotkey_address)
        self.crypto_type = CRYPTO_TYPES[info.crypto_type]
        self.ss58_format = SS58_FORMAT
        self._scheme = info.crypto_type

    def __repr__(self) -> str:
        return f"RemoteSigner({self.ss58_address}, {self._blocking!r})"

    def close(self) -> None:
        """Closes idle connections. The signer stays usable."""
        self._blocking.close()

    def sign(self, payload: bytes | str) -> bytes:
        """The signature of a btauth/1 request, the one payload that can be read (``bt.http_auth.sign``); blocks.

        The service builds the eight lines again from what they say, and takes the nonce only if it is of this moment.

        Raises:
            Refused: something else, or a request that names no receiver.
            WalletServiceError: no answer, or the service refuses.
        """
        data = payload.encode() if isinstance(payload, str) else bytes(payload)
        match = _REQUEST.fullmatch(data)
        if match is None:
            raise Refused(f"expected a btauth/1 request, found {len(data)} bytes that cannot be read; {_INSTEAD}")
        said = {name: value.decode() for name, value in match.groupdict().items()}
        if said["receiver"] == "-":
            raise Refused("receiver: expected a hotkey's address, found none; give http_auth.sign a receiver_ss58")
        if (said["scheme"], said["sender"]) != (self._scheme, self.ss58_address):
            raise Refused(f"sender: expected {self.ss58_address} with {self._scheme}, found another")
        signed = self._blocking.signed_request(
            said["method"], said["path"], said["body"], said["receiver"], int(said["nonce"])
        )
        return bytes.fromhex(signed.headers.get(_SIGNATURE_HEADER, "").removeprefix("0x"))

    def metadata_digest(self, context: Any) -> bytes:
        """The digest of the runtime's metadata (RFC-0078) that the signature is bound to; the service has its own.

        Computed by the library that the SDK brings along and has loaded, in some 20 ms.

        Raises:
            SettingsError: called by something that has not loaded it.
        """
        library = sys.modules.get("bittensor_core")
        if library is None:
            raise SettingsError("bittensor_core: expected bittensor 11 around us, found it not loaded")
        return bytes(library.metadata_digest(context.metadata_bytes, context.spec_version, context.spec_name))

    async def sign_unsigned_extrinsic(self, unsigned: Any) -> bytes:
        """The signature of what the SDK has prepared, for its client (also the synchronous one).

        Raises:
            WalletServiceError: no answer, or the service refuses.
        """
        try:
            return (await self._asynchronous.extrinsic(unsigned)).signature
        except WalletServiceError as error:
            raise _hinted(error) from error

    def sign_extrinsic(self, unsigned: Any) -> bytes:
        """The same, blocking: between the SDK's ``prepare_call`` and ``submit_signature``.

        Raises:
            WalletServiceError: no answer, or the service refuses.
        """
        try:
            return self._blocking.extrinsic(unsigned).signature
        except WalletServiceError as error:
            raise _hinted(error) from error


def _hinted(error: WalletServiceError) -> WalletServiceError:
    """With our name for what the service recommends where a commit cannot be read."""
    if error.result is None or error.result.code != "call_refused" or "commit" not in str(error):
        return error
    return type(error)(f"{error}: {_COMMIT}", error.result)
