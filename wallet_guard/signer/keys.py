"""The hotkeys: loaded once, from private files only, never printed, never written.

``bittensor_core`` reads every keyfile format (plain JSON, ``$NACL``, Ansible vault, Fernet, legacy JSON,
bare seed or mnemonic). Coldkeys are not opened: the path always goes through ``hotkeys``. Wiping secrets
from CPython's memory is not possible, and not claimed.
"""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import bittensor_core

from wallet_guard.host.config import ConfigurationError, SignerConfig
from wallet_guard.host.private import check_name, read_private
from wallet_guard.ipc.clients import KeyView

log = logging.getLogger(__name__)

CRYPTO_NAMES = {bittensor_core.CRYPTO_ED25519: "ed25519", bittensor_core.CRYPTO_SR25519: "sr25519"}

_PROBE = b"<Bytes>wallet-guard key check</Bytes>"


@dataclass(frozen=True, slots=True, repr=False)
class Key:
    """One hotkey. It can sign, and say who it is; its secret has no printable form."""

    wallet: str
    hotkey: str
    _pair: bittensor_core.Keypair
    _gate: Callable[[str], None] | None = None
    """Asked before each signature; it raises where none may be made. None only for a key outside a keyring in use."""

    def __repr__(self) -> str:
        return f"Key({self.wallet}/{self.hotkey} {self.ss58_address})"

    def __reduce__(self) -> str:
        raise TypeError("a key cannot be copied or pickled")

    @property
    def ss58_address(self) -> str:
        """The address, network prefix 42."""
        return str(self._pair.ss58_address)

    @property
    def public_key(self) -> bytes:
        """32 bytes."""
        return bytes(self._pair.public_key)

    @property
    def crypto_type(self) -> int:
        """0 for ed25519, 1 for sr25519: also the MultiSignature variant."""
        return int(self._pair.crypto_type)

    @property
    def scheme(self) -> str:
        """``sr25519`` or ``ed25519``."""
        return CRYPTO_NAMES[self.crypto_type]

    def sign(self, payload: bytes) -> bytes:
        """The 64-byte signature, verified before it is given out: a fault in signing must not leak the key.

        Raises:
            LockedError: the signer, or this key, is locked (``lockdown``, ``lanes``).
            ValueError: the signature does not verify.
        """
        if self._gate is not None:
            self._gate(self.ss58_address)
        signature = bytes(self._pair.sign(payload))
        if not self._pair.verify(payload, signature):
            raise ValueError("the signature just made does not verify")
        return signature

    def view(self) -> KeyView:
        """What others may know of it."""
        return KeyView(self.wallet, self.hotkey, self.ss58_address, self.scheme)


class Keyring:
    """The loaded keys, by (wallet, hotkey)."""

    def __init__(self, keys: list[Key]) -> None:
        self._keys = {(key.wallet, key.hotkey): key for key in keys}

    def __len__(self) -> int:
        return len(self._keys)

    def __iter__(self) -> Iterator[Key]:
        return iter(self._keys.values())

    def guard(self, gate: Callable[[str], None]) -> None:
        """From now on every key asks ``gate(address)`` before it signs."""
        self._keys = {name: replace(key, _gate=gate) for name, key in self._keys.items()}

    def of_address(self, ss58_address: str) -> Key | None:
        """The key with that address, None if it is not loaded."""
        return next((key for key in self if key.ss58_address == ss58_address), None)

    def find(self, wallet: str, hotkey: str) -> Key | None:
        """The key of that name, None if it is not loaded."""
        return self._keys.get((wallet, hotkey))


def load_keys(config: SignerConfig) -> Keyring:
    """Every hotkey that the configuration names.

    Raises:
        ConfigurationError: a name, file, mode, owner, password or content is wrong; the message says which
            and what to run.
    """
    password: str | None = None
    keys = []
    for at, entry in enumerate(config.hotkeys, 1):
        wallet, slash, hotkey = entry.partition("/")
        if not slash:
            raise ConfigurationError(f"[signer] hotkeys: expected 'wallet/hotkey', found {entry!r}")
        check_name(wallet)
        check_name(hotkey)
        data = read_private(Path(config.wallets).expanduser(), wallet, "hotkeys", hotkey)
        if bittensor_core.keyfile_data_is_encrypted(data):
            if password is None:
                password = _password(config, entry)
            log.info(f"decrypting {entry}, key {at} of {len(config.hotkeys)} (seconds each, 512 MiB where it is $NACL)")
            data = _decrypted(data, password, entry)
        keys.append(_key(wallet, hotkey, data))
    return Keyring(keys)


def _password(config: SignerConfig, entry: str) -> str:
    if not config.password_file:
        raise ConfigurationError(f"{entry} is encrypted: expected [signer] password_file, found none")
    path = Path(config.password_file).expanduser().absolute()
    try:
        return read_private(path.parent, path.name).decode().rstrip("\r\n")
    except UnicodeDecodeError:
        # From None: the error holds what it could not decode.
        raise ConfigurationError(f"{path}: expected a password in UTF-8") from None


def _decrypted(data: bytes, password: str, entry: str) -> bytes:
    try:
        return bytes(bittensor_core.decrypt_keyfile_data(data, password))
    except bittensor_core.WrongPasswordError:
        # From None: what the library says may hold what it was given.
        raise ConfigurationError(f"{entry}: the password of [signer] password_file does not open it") from None
    except bittensor_core.KeyfileError:
        raise ConfigurationError(f"{entry}: expected an encrypted keyfile, found a damaged one") from None


def _key(wallet: str, hotkey: str, data: bytes) -> Key:
    try:
        pair = bittensor_core.deserialize_keypair_from_keyfile_data(data)
    except (bittensor_core.KeyfileError, ValueError):
        raise ConfigurationError(
            f"{wallet}/{hotkey}: expected a Bittensor keyfile whose address fits its key, found something else"
        ) from None
    key = Key(wallet, hotkey, pair)
    try:
        key.sign(_PROBE)
    except Exception:  # noqa: BLE001 -- the library raises various types here; all mean that this file cannot sign
        raise ConfigurationError(f"{wallet}/{hotkey}: expected a private key, found only a public one") from None
    return key
