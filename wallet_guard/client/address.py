"""SS58: the public key in a hotkey's address, by the standard library."""

from hashlib import blake2b

from wallet_guard.client.errors import SettingsError

SS58_FORMAT = 42
"""Bittensor's, and every Substrate chain's that has none of its own."""

_ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_VALUES = {character: value for value, character in enumerate(_ALPHABET)}

_ADDRESS_BYTES = 35
"""One of the format, 32 of the key, two of the checksum."""


def public_key_of(address: str) -> bytes:
    """The 32 bytes of the key.

    Raises:
        SettingsError: no SS58 address of format 42, or a wrong checksum.
    """
    number = 0
    for character in address[:64]:
        value = _VALUES.get(character)
        if value is None:
            raise SettingsError(f"expected an SS58 address, found {address[:64]!r}")
        number = number * 58 + value
    data = number.to_bytes(48, "big")[-_ADDRESS_BYTES:] if number < 1 << (8 * _ADDRESS_BYTES) else b""
    checksum = blake2b(b"SS58PRE" + data[:-2]).digest()[:2]
    if len(data) != _ADDRESS_BYTES or data[0] != SS58_FORMAT or data[-2:] != checksum:
        raise SettingsError(f"expected an SS58 address of format {SS58_FORMAT}, found {address[:64]!r}")
    return data[1:33]


def address_of(public_key: bytes) -> str:
    """The SS58 address of a 32-byte key."""
    data = bytes([SS58_FORMAT]) + public_key
    number = int.from_bytes(data + blake2b(b"SS58PRE" + data).digest()[:2], "big")
    digits = ""
    while number:
        number, value = divmod(number, 58)
        digits = _ALPHABET[value] + digits
    return digits
