"""A wallet without keys, for code that wants an SDK wallet object: names, public keys, and a hotkey that asks.

    wallet = RemoteWallet("unix:///run/wallet-guard/gateway.sock", token, "validator", "default")
    wallet.hotkey.ss58_address, wallet.hotkey_str, wallet.name

Of bittensor's wallet it has what neurons use; everything that would need a private key says where to go instead.
"""

from typing import Any, NamedTuple, NoReturn

from wallet_guard.client.address import SS58_FORMAT, public_key_of
from wallet_guard.client.errors import Refused, SettingsError
from wallet_guard.client.signer import RemoteSigner


class PublicKey(NamedTuple):
    """The public half of a key, by the names of the SDK's keypair."""

    ss58_address: str
    public_key: bytes
    crypto_type: int
    ss58_format: int = SS58_FORMAT

    def sign(self, _payload: bytes) -> NoReturn:
        """Refuses: a public key signs nothing."""
        raise Refused("expected a hotkey's call, found one for a coldkey; a wallet service never has coldkeys")


class UnknownColdkey:
    """In the place of a coldkey whose address nobody gave; everything but being there is an error that says so."""

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("__"):
            raise AttributeError(name)
        raise SettingsError(
            f"coldkeypub.{name}: a wallet service never has coldkeys; give RemoteWallet the coldkey_address"
        )


class RemoteWallet:
    """A wallet of a service: ``hotkey`` signs through it; ``hotkeypub``, ``coldkeypub``, ``coldkey`` are public."""

    def __init__(
        self,
        url: str | None = None,
        token: str | None = None,
        name: str = "validator",
        hotkey: str = "default",
        *,
        coldkey_address: str | None = None,
        **keywords: Any,
    ) -> None:
        """As ``RemoteSigner``; ``coldkey_address`` is for code that reads ``wallet.coldkeypub.ss58_address``.

        Raises:
            WalletServiceError: as ``RemoteSigner``; or the address is none.
        """
        self.name = name
        self.hotkey_str = hotkey
        self.coldkeypub: PublicKey | UnknownColdkey = UnknownColdkey()
        if coldkey_address is not None:
            self.coldkeypub = PublicKey(coldkey_address, public_key_of(coldkey_address), 1)
        self.coldkey = self.coldkeypub
        self.hotkey = RemoteSigner(url, token, name, hotkey, **keywords)
        self.hotkeypub = PublicKey(self.hotkey.ss58_address, self.hotkey.public_key, self.hotkey.crypto_type)

    def __repr__(self) -> str:
        return f"RemoteWallet({self.name!r}, {self.hotkey_str!r}, {self.hotkey!r})"

    def close(self) -> None:
        """Closes idle connections. The wallet stays usable."""
        self.hotkey.close()

    def unlock_hotkey(self) -> RemoteSigner:
        """The hotkey: there is nothing to unlock here."""
        return self.hotkey

    def unlock_coldkey(self) -> NoReturn:
        """Refuses; raises Refused."""
        raise Refused("expected a hotkey's call, found one that unlocks a coldkey; a wallet service never has coldkeys")
