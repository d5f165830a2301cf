"""btauth/1: HTTP requests signed by a hotkey, byte for byte as ``bittensor.http_auth`` (11.3.0) has them.

Eight lines joined by LF, without a last one, are what is signed: ``btauth/1``, scheme, METHOD, request target as sent,
SHA-256 of the body in hex, nonce (Unix nanoseconds), sender, receiver (or ``-``). They travel as ``X-Bittensor-*``
fields. Checks in the order of the specification: shape, receiver, freshness, signature, replay; the memory of nonces is
written only after the signature was found right, so strangers cannot fill it against anybody.

Stricter than the reference, on purpose:

- a field that comes twice, a nonce with a sign, space, underscore or leading zero, a signature that is not ``0x`` and
  128 lower-case hex digits, an address of another network prefix: malformed. One meaning has one spelling;
- a line feed can be in no line, so that no request reads as another;
- a signature over ``<Bytes>payload</Bytes>`` is none (see ``schemes``);
- a sender's scheme can be pinned (``expected_scheme``), so that the header does not choose it.

The reference's freedom that is kept: names of fields in any case, ``X-Bittensor-Crypto`` in any case or as 0 and 1.
"""

import re
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from wallet_guard.signed.schemes import ED25519, SIGNATURE_BYTES, SR25519, AddressError, public_key_of, verify

PROTOCOL: Final = "btauth/1"
VERSION: Final = "1"

HEADER_VERSION: Final = "X-Bittensor-Version"
HEADER_HOTKEY: Final = "X-Bittensor-Hotkey"
HEADER_RECEIVER: Final = "X-Bittensor-Receiver"
HEADER_NONCE: Final = "X-Bittensor-Nonce"
HEADER_CRYPTO: Final = "X-Bittensor-Crypto"
HEADER_SIGNATURE: Final = "X-Bittensor-Signature"

HEADERS = (HEADER_VERSION, HEADER_HOTKEY, HEADER_RECEIVER, HEADER_NONCE, HEADER_CRYPTO, HEADER_SIGNATURE)

NO_RECEIVER: Final = "-"

DEFAULT_MAX_AGE_NS = 10 * 10**9
DEFAULT_MAX_SKEW_NS = 2 * 10**9
"""The reference's window: 10 s back for the network, 2 s ahead for the clocks."""

MAX_METHOD_CHARACTERS = 16
MAX_TARGET_CHARACTERS = 8192
"""What servers take in a request line (RFC 9112, section 3, wants at least 8000)."""

DEFAULT_MAX_NONCES = 262_144
"""Nonces that ``NonceMemory`` keeps: 12 s of 20,000 requests a second, about 40 MB."""

_METHOD = re.compile(r"[A-Za-z][A-Za-z0-9_-]*", re.ASCII)
_TARGET = re.compile(r"/[!-~]*", re.ASCII)
_NONCE = re.compile(r"[1-9][0-9]{0,19}", re.ASCII)
_SIGNATURE = re.compile(f"0x[0-9a-f]{{{2 * SIGNATURE_BYTES}}}", re.ASCII)
_SCHEMES = {SR25519: SR25519, ED25519: ED25519, "1": SR25519, "0": ED25519}


class AuthError(Exception):
    """A signed request is not what it claims. The messages hold nothing secret and may be told to the caller."""


class MalformedAuth(AuthError):  # noqa: N818 -- the specification's names, here and below
    """A field is missing, there twice, or cannot be read."""


class WrongReceiver(AuthError):  # noqa: N818
    """The request was signed for another receiver, or for none."""


class StaleRequest(AuthError):  # noqa: N818
    """The nonce is too old, or too far ahead."""


class BadSignature(AuthError):  # noqa: N818
    """The signature is not the sender's."""


class ReplayedRequest(AuthError):  # noqa: N818
    """This nonce of this sender was taken before."""


class TooManyRequests(AuthError):  # noqa: N818
    """No more nonces can be remembered now: what cannot be remembered is not taken."""


@dataclass(frozen=True, slots=True)
class Request:
    """What is signed. ``target`` is path and query exactly as sent, ``receiver`` None where unbound."""

    scheme: str
    method: str
    target: str
    body_sha256: bytes
    nonce_ns: int
    sender: str
    receiver: str | None

    def payload(self) -> bytes:
        """The eight lines.

        Raises:
            MalformedAuth: a line could be read as something else, or as more than one.
        """
        check_target(self.method, self.target)
        for address in (self.sender, self.receiver):
            if address is not None:
                _check_address(address)
        if self.scheme not in (SR25519, ED25519) or len(self.body_sha256) != 32 or not 0 < self.nonce_ns < 2**64:
            raise MalformedAuth("expected a known scheme, a SHA-256 and a nonce of 64 bits")
        lines = (
            PROTOCOL,
            self.scheme,
            self.method.upper(),
            self.target,
            self.body_sha256.hex(),
            str(self.nonce_ns),
            self.sender,
            self.receiver or NO_RECEIVER,
        )
        return "\n".join(lines).encode()

    def headers(self, signature: bytes) -> dict[str, str]:
        """The fields that carry it; ``X-Bittensor-Crypto`` is left out for sr25519, as the reference does."""
        assert len(signature) == SIGNATURE_BYTES
        headers = {
            HEADER_VERSION: VERSION,
            HEADER_HOTKEY: self.sender,
            HEADER_NONCE: str(self.nonce_ns),
            HEADER_SIGNATURE: "0x" + signature.hex(),
        }
        if self.scheme != SR25519:
            headers[HEADER_CRYPTO] = self.scheme
        if self.receiver is not None:
            headers[HEADER_RECEIVER] = self.receiver
        return headers


def check_target(method: str, target: str) -> None:
    """Refuses what is no method and origin-form target of one line each.

    Raises:
        MalformedAuth: names which.
    """
    if len(method) > MAX_METHOD_CHARACTERS or _METHOD.fullmatch(method) is None:
        raise MalformedAuth("expected an HTTP method")
    if len(target) > MAX_TARGET_CHARACTERS or _TARGET.fullmatch(target) is None:
        raise MalformedAuth("expected a request target: '/' and visible ASCII characters, percent-encoded otherwise")


@dataclass(frozen=True, slots=True)
class Claim:
    """The fields of a request, read but not verified."""

    sender: str
    receiver: str | None
    nonce_ns: int
    scheme: str
    signature: bytes


@dataclass(frozen=True, slots=True)
class Caller:
    """The verified sender of a request."""

    hotkey: str
    nonce_ns: int
    scheme: str


def parse_headers(fields: Iterable[tuple[str, str]]) -> Claim:
    """The claim in a request's header fields; others are passed over.

    Raises:
        MalformedAuth: a field is missing, there twice, or not in its one form.
    """
    known = {name.lower(): name for name in HEADERS}
    found: dict[str, str] = {}
    for name, value in fields:
        canonical = known.get(name.lower())
        if canonical is None:
            continue
        if canonical in found:
            raise MalformedAuth(f"expected {canonical} once")
        found[canonical] = value
    if found.get(HEADER_VERSION) != VERSION:
        raise MalformedAuth(f"missing or unsupported {HEADER_VERSION}: expected {VERSION}")
    for name in (HEADER_HOTKEY, HEADER_NONCE, HEADER_SIGNATURE):
        if not found.get(name):
            raise MalformedAuth(f"missing {name}")
    _check_address(found[HEADER_HOTKEY])
    if _NONCE.fullmatch(found[HEADER_NONCE]) is None:
        raise MalformedAuth(f"{HEADER_NONCE}: expected a decimal number of nanoseconds")
    scheme = _SCHEMES.get(found.get(HEADER_CRYPTO, SR25519).lower())
    if scheme is None:
        raise MalformedAuth(f"{HEADER_CRYPTO}: expected {SR25519} or {ED25519}")
    if _SIGNATURE.fullmatch(found[HEADER_SIGNATURE]) is None:
        raise MalformedAuth(f"{HEADER_SIGNATURE}: expected 0x and {2 * SIGNATURE_BYTES} lower-case hex digits")
    return Claim(
        sender=found[HEADER_HOTKEY],
        receiver=found.get(HEADER_RECEIVER),
        nonce_ns=int(found[HEADER_NONCE]),
        scheme=scheme,
        signature=bytes.fromhex(found[HEADER_SIGNATURE][2:]),
    )


@dataclass(frozen=True, slots=True)
class Verifier:
    """Verifies requests to one receiver.

    ``receiver`` is our own hotkey. ``expected_scheme(sender)`` gives the scheme that we know to be the sender's, None
    where we know none (then the header chooses between the two). ``take(sender, nonce_ns, now_ns)`` is False for one
    that was taken before and must remember it for the whole window: ``NonceMemory.take``.
    """

    receiver: str
    take: Callable[[str, int, int], bool]
    expected_scheme: Callable[[str], str | None] = lambda _sender: None
    max_age_ns: int = DEFAULT_MAX_AGE_NS
    max_skew_ns: int = DEFAULT_MAX_SKEW_NS

    def verify(
        self, fields: Iterable[tuple[str, str]], *, method: str, target: str, body: bytes, now_ns: int
    ) -> Caller:
        """The sender of this request, received exactly so.

        Raises:
            AuthError: the subclass says which check failed; the order is that of the specification.
        """
        claim = parse_headers(fields)
        if claim.receiver is None:
            raise WrongReceiver(f"missing {HEADER_RECEIVER}: expected a request that is bound to a receiver")
        if claim.receiver != self.receiver:
            raise WrongReceiver("the request was signed for another receiver")
        if now_ns - claim.nonce_ns > self.max_age_ns:
            raise StaleRequest(f"the nonce is older than {self.max_age_ns / 1e9:g} s")
        if claim.nonce_ns - now_ns > self.max_skew_ns:
            raise StaleRequest(f"the nonce is more than {self.max_skew_ns / 1e9:g} s ahead")
        pinned = self.expected_scheme(claim.sender)
        if pinned is not None and pinned != claim.scheme:
            raise BadSignature("the signature is not of the scheme that is known for its sender")
        request = Request(
            scheme=claim.scheme,
            method=method,
            target=target,
            body_sha256=sha256(body).digest(),
            nonce_ns=claim.nonce_ns,
            sender=claim.sender,
            receiver=claim.receiver,
        )
        if not verify(claim.scheme, public_key_of(claim.sender), request.payload(), claim.signature):
            raise BadSignature("the signature is not the sender's over this request")
        if not self.take(claim.sender, claim.nonce_ns, now_ns):
            raise ReplayedRequest("this nonce of this sender was taken before")
        return Caller(claim.sender, claim.nonce_ns, claim.scheme)


class NonceMemory:
    """Nonces taken, each for as long as the window could let it in again.

    It forgets at a restart: ``not_before_ns`` (the start of the process) refuses what may have been taken before it.
    Use one memory per receiver, with the window of its ``Verifier``.
    """

    def __init__(
        self,
        not_before_ns: int,
        *,
        window_ns: int = DEFAULT_MAX_AGE_NS + DEFAULT_MAX_SKEW_NS,
        max_nonces: int = DEFAULT_MAX_NONCES,
    ) -> None:
        self._not_before_ns = not_before_ns
        self._window_ns = window_ns
        self._max = max_nonces
        self._taken: OrderedDict[tuple[str, int], int] = OrderedDict()

    def __len__(self) -> int:
        return len(self._taken)

    def take(self, sender: str, nonce_ns: int, now_ns: int) -> bool:
        """True the first time, and then never again while the nonce is fresh.

        Raises:
            TooManyRequests: the memory is full of fresh nonces.
        """
        while self._taken:
            oldest, taken_ns = next(iter(self._taken.items()))
            if now_ns - taken_ns <= self._window_ns:
                break
            del self._taken[oldest]
        if nonce_ns < self._not_before_ns or (sender, nonce_ns) in self._taken:
            return False
        if len(self._taken) >= self._max:
            raise TooManyRequests(f"expected at most {self._max} requests in {self._window_ns / 1e9:g} s")
        self._taken[sender, nonce_ns] = now_ns
        return True


def _check_address(address: str) -> None:
    try:
        public_key_of(address)
    except AddressError as error:
        raise MalformedAuth(str(error)) from None
