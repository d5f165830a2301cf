"""Our own voice: a key that signs frames, and the counters that go with it.

A node that holds its hotkey speaks with it. Better it holds a session key which the hotkey, in its guard, has certified
for some hours: `session_speaker` makes one, with whatever way there is to ask the guard.
"""

import secrets
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Protocol

from wallet_guard.signed.btauth import Request
from wallet_guard.signed.certificate import parse_certificate
from wallet_guard.signed.frames import BROADCAST, encode_frame, encode_unsigned
from wallet_guard.signed.schemes import ED25519, SR25519, Ed25519Key, address_of

_FOREVER_MS: Final = 2**63
_MAX_COUNTERS: Final = 8192  # receivers; a counter that was dropped begins anew at the clock, so it still rises
_SCHEMES: Final = {0: ED25519, 1: SR25519}  # by the SDK's crypto_type


class Keypair(Protocol):
    """A hotkey as `bittensor_core.Keypair` and the SDK's wallets have it. `sign` must not be a coroutine."""

    @property
    def ss58_address(self) -> str:
        """Its address."""

    @property
    def crypto_type(self) -> int:
        """0 for Ed25519, 1 for sr25519."""

    def sign(self, data: bytes) -> bytes:
        """The 64-byte signature."""


class Speaker:
    """Signs frames in the name of `hotkey`, as `name`; `certificate` is "" where the hotkey speaks for itself."""

    def __init__(self, hotkey: str, name: str, sign: Callable[[bytes], bytes], certificate: str = "") -> None:
        self.hotkey = hotkey
        self.name = name
        self.certificate = certificate
        self.from_ms, self.until_ms = 0, _FOREVER_MS
        if certificate:
            claimed = parse_certificate(certificate).certificate
            self.from_ms, self.until_ms = claimed.from_ms, claimed.until_ms
        self.sign = sign
        self._counters: OrderedDict[str, int] = OrderedDict()

    @classmethod
    def of_hotkey(cls, keypair: Keypair) -> "Speaker":
        """The hotkey itself, sr25519 or Ed25519.

        Raises:
            ValueError: a hotkey of another scheme.
        """
        name = _SCHEMES.get(keypair.crypto_type)
        if name is None:
            raise ValueError(f"expected an sr25519 or Ed25519 hotkey, found crypto type {keypair.crypto_type}")
        return cls(keypair.ss58_address, name, lambda data: bytes(keypair.sign(data)))

    @classmethod
    def of_seed(cls, seed: bytes) -> "Speaker":
        """An Ed25519 hotkey made of 32 random bytes: for demos and tests; a real one stays in its guard."""
        key = Ed25519Key(seed)
        return cls(address_of(key.public_key), ED25519, key.sign)

    @classmethod
    def of_session(cls, key: Ed25519Key, certificate: str) -> "Speaker":
        """A session key with its certificate.

        Raises:
            CertificateError: no certificate.
            ValueError: the certificate is another key's.
        """
        claimed = parse_certificate(certificate).certificate
        if claimed.key != key.public_key:
            raise ValueError("expected a certificate of this key, found another's")
        return cls(claimed.speaker, key.public_key.hex(), key.sign, certificate)

    def frame(self, receiver: str, lines: Sequence[str], now_ns: int) -> bytes:
        """A signed frame with these messages; its number is the next for this receiver."""
        return self.sign_frame(receiver, self._next(receiver, now_ns), lines, now_ns)

    def sign_frame(self, receiver: str, seq: int, lines: Sequence[str], now_ns: int) -> bytes:
        """A signed frame with a number of the caller's choice."""
        signed = encode_unsigned(self.name, seq, now_ns // 1_000_000, self.hotkey, receiver, lines)
        return encode_frame(self.sign(signed), signed)

    def last_broadcast(self) -> int:
        """The number of the last broadcast, 0 if there was none."""
        return self._counters.get(BROADCAST, 0)

    def sign_opening(self, target: str, receiver: str, now_ns: int) -> tuple[tuple[tuple[str, str], ...], str]:
        """The header fields that open a WebSocket at this target, and the nonce that the welcome must repeat."""
        if self.certificate:
            nonce = secrets.token_hex(16)
            return (
                ("Btws-Certificate", self.certificate), ("Btws-Receiver", receiver), ("Btws-Nonce", nonce),
            ), nonce  # fmt: skip
        request = Request(self.name, "GET", target, _SHA256_OF_NOTHING, now_ns, self.hotkey, receiver)
        return tuple(request.headers(self.sign(request.payload())).items()), str(now_ns)

    def _next(self, receiver: str, now_ns: int) -> int:
        last = self._counters.pop(receiver, None)
        seq = now_ns // 1000 if last is None else last + 1
        if len(self._counters) >= _MAX_COUNTERS:
            self._counters.popitem(last=False)
        self._counters[receiver] = seq
        return seq


async def session_speaker(ask: Callable[[str], Awaitable[str]]) -> Speaker:
    """A speaker with a new session key, certified by `ask(public key in hex)`: the guard's `POST /wallet/session`.

    Raises:
        ValueError: the answer is no certificate of this key; and whatever `ask` raises.
    """
    key = Ed25519Key(secrets.token_bytes(32))
    return Speaker.of_session(key, await ask(key.public_key.hex()))


_SHA256_OF_NOTHING: Final = bytes.fromhex("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
