"""A node's own Ed25519 key, for one that does not trust the guard's gateway: it signs its requests (btauth/1).

What is signed is method, path, body, the moment and the receiver, so whoever stands between can keep a request back,
and neither change nor repeat it. The key is good for nothing but this, and is worth no more than a token: it sets
weights within what the operator granted.

Needs PyNaCl. A prefix in the service's URL (a proxy that rewrites paths) would break the signature.
"""

import json
import os
import secrets
import stat
import time
from hashlib import sha256
from pathlib import Path
from typing import Any, Self

from nacl.signing import SigningKey

from wallet_guard.client.address import address_of, public_key_of
from wallet_guard.client.errors import SettingsError

SEED_BYTES = 32

MAX_FILE_BYTES = 4096
"""A key file has 150."""


class Identity:
    """The key and the guard's hotkey that requests are meant for. Has no printable secret."""

    signs = True

    def __init__(self, seed: bytes, receiver: str) -> None:
        """``receiver`` is the address of the hotkey that the guard holds for this node.

        Raises:
            SettingsError: no 32 bytes, or no address.
        """
        if len(seed) != SEED_BYTES:
            raise SettingsError(f"seed: expected {SEED_BYTES} bytes, found {len(seed)}")
        public_key_of(receiver)
        self._key = SigningKey(seed)
        self.receiver = receiver
        self.address = address_of(bytes(self._key.verify_key))

    def __repr__(self) -> str:
        return f"Identity({self.address!r}, receiver={self.receiver!r})"

    @classmethod
    def create(cls, path: str | Path, receiver: str) -> Self:
        """A new key in a new file that only its owner can read.

        Raises:
            SettingsError: the receiver is no address, or the file cannot be made.
        """
        seed = os.urandom(SEED_BYTES)
        identity = cls(seed, receiver)
        text = json.dumps({"seed": seed.hex(), "receiver": receiver, "address": identity.address}) + "\n"
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise SettingsError(f"{path}: expected to make a new file: {error.strerror}") from error
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        return identity

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """The key in a file of ``create``.

        Raises:
            SettingsError: the file cannot be read, others may read it, or it is none.
        """
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
            with os.fdopen(descriptor, "rb") as file:
                mode = os.fstat(file.fileno()).st_mode
                text = file.read(MAX_FILE_BYTES)
        except OSError as error:
            raise SettingsError(f"{path}: expected a key file: {error.strerror}") from error
        if not stat.S_ISREG(mode) or mode & 0o077:
            raise SettingsError(
                f"{path}: expected a file that only its owner reads, found mode {stat.S_IMODE(mode):04o}; "
                f"chmod 600 {path}"
            )
        return cls(*_read(text, path))

    def fields(self, method: str, target: str, body: bytes) -> tuple[tuple[str, str], ...]:
        """The btauth/1 fields (``bittensor.http_auth``) of one request that is sent now."""
        # To the microsecond, the rest by lot: threads and forked children do not meet in one nonce.
        nonce = time.time_ns() & ~0x3FF | secrets.randbits(10)
        lines = ("btauth/1", "ed25519", method, target, sha256(body).hexdigest(), str(nonce), self.address)
        payload = "\n".join((*lines, self.receiver)).encode()
        return (
            ("X-Bittensor-Version", "1"),
            ("X-Bittensor-Hotkey", self.address),
            ("X-Bittensor-Nonce", str(nonce)),
            ("X-Bittensor-Crypto", "ed25519"),
            ("X-Bittensor-Receiver", self.receiver),
            ("X-Bittensor-Signature", "0x" + self._key.sign(payload).signature.hex()),
        )


def _read(text: bytes, path: str | Path) -> tuple[bytes, str]:
    try:
        content: dict[str, Any] = json.loads(text)
        return bytes.fromhex(content["seed"]), str(content["receiver"])
    except (ValueError, TypeError, KeyError):
        # Not quoted: it holds a secret.
        raise SettingsError(f"{path}: expected a key file of 'wallet-guard client keygen'") from None
