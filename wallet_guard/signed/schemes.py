"""The two signature schemes of the ecosystem, verified in one form only.

Ed25519 through PyNaCl (libsodium: canonical S, no points of small order), sr25519 through ``bittensor_core``. This is
the only module that verifies, and the only one outside the signer's keys that signs: with Ed25519 keys that a node
made for itself, never with a hotkey.

Stricter than the ecosystem's own verifiers: those accept a signature over ``<Bytes>message</Bytes>`` for ``message``
(``sp_core`` and polkadot-js do, for browser wallets), so whoever can have a text signed could have a request signed.
Here a wrapped signature is none. For sr25519 that costs a second look (about 70 µs more in 70), since the library has
no verification without it. Addresses have one spelling as well: network prefix 42, canonical base58.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Final

import bittensor_core
import nacl.bindings
import nacl.exceptions
import nacl.signing

SR25519: Final = "sr25519"
ED25519: Final = "ed25519"

SS58_PREFIX = 42

PUBLIC_KEY_BYTES = 32
SIGNATURE_BYTES = 64
SEED_BYTES = 32

_WRAP = (b"<Bytes>", b"</Bytes>")

MAX_ADDRESS_CHARACTERS = 64
"""An address of a 32-byte key has 46 to 48 characters; base58 takes time in the square of its length."""


MAX_KNOWN_ADDRESSES = 4096
"""Kept at hand, since base58 costs microseconds: more than the peers of a hub."""


class AddressError(ValueError):
    """This is no ss58 address of a 32-byte key in its canonical form, prefix 42."""


def public_key_of(address: str) -> bytes:
    """The 32 bytes that an address stands for.

    Raises:
        AddressError: not base58, a wrong checksum, another length, network prefix or spelling.
    """
    if len(address) > MAX_ADDRESS_CHARACTERS or not address.isascii():
        raise AddressError(f"expected an ss58 address, found {len(address)} characters that are none")
    try:
        key = bytes(bittensor_core.ss58_decode(address))
    except ValueError:
        raise AddressError(f"expected an ss58 address, found {address!r}") from None
    if len(key) != PUBLIC_KEY_BYTES or address_of(key) != address:
        raise AddressError(f"expected a canonical ss58 address of prefix {SS58_PREFIX}, found {address!r}")
    return key


@lru_cache(MAX_KNOWN_ADDRESSES)
def address_of(public_key: bytes) -> str:
    """The ss58 address (prefix 42) of a 32-byte public key."""
    return str(bittensor_core.ss58_encode(public_key, SS58_PREFIX))


@lru_cache(MAX_KNOWN_ADDRESSES)
def sr25519_verifier(public_key: bytes) -> Callable[[bytes, bytes], bool]:
    """`verify(message, signature)` of this key, which takes a signature of the wrapped message as well.

    For text that could not have been signed in any other form; `verify` is for everything else.
    """
    # kept with its point, which saves the 2 µs of decoding an address each time
    found: Callable[[bytes, bytes], bool] = bittensor_core.Keypair(address_of(public_key)).verify
    return found


def verify(scheme: str, public_key: bytes, message: bytes, signature: bytes) -> bool:
    """Is this the signature, of exactly this scheme, over exactly these bytes?

    False for everything else: another scheme's name, wrong lengths, points that are none, wrapped signatures.
    """
    if len(public_key) != PUBLIC_KEY_BYTES or len(signature) != SIGNATURE_BYTES:
        return False
    if scheme == ED25519:
        return _verify_ed25519(public_key, message, signature)
    if scheme == SR25519:
        return _verify_sr25519(public_key, message, signature)
    return False


def _verify_ed25519(public_key: bytes, message: bytes, signature: bytes) -> bool:
    try:
        # the function below `VerifyKey.verify`: what that does in Python besides holds the interpreter's lock
        nacl.bindings.crypto_sign_open(signature + message, public_key)
    except nacl.exceptions.CryptoError:
        return False
    return True


def _verify_sr25519(public_key: bytes, message: bytes, signature: bytes) -> bool:
    address, crypto = address_of(public_key), bittensor_core.CRYPTO_SR25519
    try:
        # The library takes a bare or a wrapped signature for the first; only a wrapped one is right for the second.
        # (It wraps what is wrapped already once more, so that is no short cut.)
        bare_or_wrapped = bool(bittensor_core.verify(message, signature, address, crypto))
        return bare_or_wrapped and not bittensor_core.verify(message.join(_WRAP), signature, address, crypto)
    except ValueError:
        return False


class Ed25519Key:
    """A key that a node made for itself: a session key, or a client key. Not printable, not picklable.

    ``seed`` is 32 bytes of the system's randomness (the caller's ``secrets.token_bytes``).

    Raises:
        ValueError: another length.
    """

    __slots__ = ("_key", "public_key")

    def __init__(self, seed: bytes) -> None:
        if len(seed) != SEED_BYTES:
            raise ValueError(f"expected a seed of {SEED_BYTES} bytes, found {len(seed)}")
        self._key = nacl.signing.SigningKey(seed)
        self.public_key = bytes(self._key.verify_key)

    def __repr__(self) -> str:
        return f"Ed25519Key({self.public_key.hex()})"

    def __reduce__(self) -> str:
        raise TypeError("a key cannot be copied or pickled")

    def sign(self, message: bytes) -> bytes:
        """The 64-byte signature (about 30 µs)."""
        return bytes(self._key.sign(message).signature)
