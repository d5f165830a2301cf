"""Session certificates: "this Ed25519 key speaks for this hotkey, for this purpose, to this receiver, until then".

What the hotkey signs is this text, its lines in this order, joined by LF, without a last one::

    wallet-guard session/1
    speaker 5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY
    scheme sr25519                      the hotkey's own scheme
    key 3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c
    purpose node                        node, or hub
    netuid 2                            or *
    receiver 5FHneW46xGXgs5mUiveU4sbTyGBzmstUspZC92UhjJM694ty    or *
    from 1763690000000                  Unix milliseconds, the first at which it holds
    until 1763693600000                 and the first at which it no longer does
    serial 0f1e2d3c4b5a69788796a5b4c3d2e1f0

The fixed first line is the domain: no btauth payload begins so, no message that ``/wallet/sign`` signs, and no call
(pallet 119 is none, and a payload that a node would take ends in a hash). It travels as ``base64url(text ‖
signature)``, without padding: 0.6 kB that fit a header field.

There is no revocation but time: hence the ceilings, which the verifier enforces as well as the signer.
"""

import base64
import binascii
import re
from dataclasses import dataclass
from enum import StrEnum

from wallet_guard.signed.schemes import (
    ED25519,
    PUBLIC_KEY_BYTES,
    SIGNATURE_BYTES,
    SR25519,
    AddressError,
    public_key_of,
    verify,
)

FIRST_LINE = "wallet-guard session/1"

ANY = "*"

MAX_NETUID = 4095
"""The chain's ceiling: GLOBAL_MAX_SUBNET_COUNT is 4096."""

MAX_SKEW_MS = 10_000
"""How much earlier than ``from`` a verifier takes it: the signer's clock may be ahead of the verifier's."""

MAX_TEXT_CHARACTERS = 1024
"""Of the form that travels; the longest possible one has about 600."""

SERIAL_BYTES = 16


class Purpose(StrEnum):
    """What the key may say; the receiver's protocol decides which messages that is."""

    NODE = "node"
    """Everything that the hotkey's own application says."""
    HUB = "hub"
    """What a relay says in the hotkey's name: welcome, heartbeat, ack, error."""


MAX_LIFETIME_MS = {Purpose.NODE: 24 * 3_600_000, Purpose.HUB: 3_600_000}
"""The hard ceilings: a day for a node's key, an hour for the hub's, which parses the internet."""


class CertificateError(ValueError):
    """Not a certificate, or not one that holds here and now.

    ``code`` is ``malformed``, ``bad_signature``, ``expired``, ``not_yet_valid``, ``wrong_purpose``, ``wrong_netuid``,
    ``wrong_receiver`` or ``lifetime``; the message may be told to anyone.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Certificate:
    """What is certified. ``netuid`` None means any, ``receiver`` None anyone; times are Unix milliseconds."""

    speaker: str
    scheme: str
    key: bytes
    purpose: Purpose
    netuid: int | None
    receiver: str | None
    from_ms: int
    until_ms: int
    serial: str

    def body(self) -> bytes:
        """The bytes that the hotkey signs.

        Raises:
            CertificateError: a field is not what the form allows, or the lifetime is over its ceiling.
        """
        lines = (
            FIRST_LINE,
            f"speaker {self.speaker}",
            f"scheme {self.scheme}",
            f"key {self.key.hex()}",
            f"purpose {self.purpose}",
            f"netuid {ANY if self.netuid is None else self.netuid}",
            f"receiver {self.receiver or ANY}",
            f"from {self.from_ms}",
            f"until {self.until_ms}",
            f"serial {self.serial}",
        )
        body = "\n".join(lines).encode()
        if _parse_body(body) != self:
            raise CertificateError("malformed", "expected fields that read back as they were written")
        return body


@dataclass(frozen=True, slots=True)
class SignedCertificate:
    """A certificate as it arrived: ``body`` is exactly what was signed."""

    certificate: Certificate
    body: bytes
    signature: bytes


def encode_certificate(body: bytes, signature: bytes) -> str:
    """The form that travels: ASCII without spaces, fit for a header field or a JSON string."""
    assert len(signature) == SIGNATURE_BYTES
    return base64.urlsafe_b64encode(body + signature).rstrip(b"=").decode()


def parse_certificate(text: str) -> SignedCertificate:
    """The certificate that a text spells; its signature is not looked at (see ``verify_certificate``).

    Raises:
        CertificateError: ``malformed`` or ``lifetime``.
    """
    if not 0 < len(text) <= MAX_TEXT_CHARACTERS or not text.isascii():
        raise CertificateError("malformed", f"expected a certificate of at most {MAX_TEXT_CHARACTERS} characters")
    try:
        data = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise CertificateError("malformed", "expected a certificate in base64url without padding") from None
    body, signature = data[:-SIGNATURE_BYTES], data[-SIGNATURE_BYTES:]
    if len(signature) != SIGNATURE_BYTES or encode_certificate(body, signature) != text:
        raise CertificateError("malformed", "expected a certificate in canonical base64url, found another spelling")
    return SignedCertificate(_parse_body(body), body, signature)


def verify_certificate(
    text: str, *, now_ms: int, purpose: Purpose, netuid: int, receiver: str | None, max_skew_ms: int = MAX_SKEW_MS
) -> Certificate:
    """The certificate, if it holds here and now.

    ``receiver`` is our own hotkey: a certificate for anyone or for us passes. None is for a third party that checks a
    proof and is nobody's receiver: every receiver passes. A certificate for any netuid passes on each. Cheap checks
    first, the signature (70 to 180 µs) last.

    Raises:
        CertificateError: with the code that says which check failed.
    """
    signed = parse_certificate(text)
    found = signed.certificate
    if now_ms >= found.until_ms:
        raise CertificateError("expired", "expected a certificate that holds now, found one that has ended")
    if now_ms < found.from_ms - max_skew_ms:
        raise CertificateError("not_yet_valid", "expected a certificate that holds now, found one that begins later")
    if found.purpose is not purpose:
        raise CertificateError("wrong_purpose", f"expected a certificate for {purpose}, found one for {found.purpose}")
    if found.netuid not in (None, netuid):
        raise CertificateError("wrong_netuid", f"expected a certificate for netuid {netuid}, found {found.netuid}")
    if receiver is not None and found.receiver not in (None, receiver):
        raise CertificateError("wrong_receiver", "expected a certificate for this receiver, found another's")
    if not verify(found.scheme, public_key_of(found.speaker), signed.body, signed.signature):
        raise CertificateError("bad_signature", "the certificate's signature is not its speaker's")
    return found


_NAMES = ("speaker", "scheme", "key", "purpose", "netuid", "receiver", "from", "until", "serial")

# One spelling per number: no sign, no leading zero.
_NUMBER = re.compile(r"0|[1-9][0-9]{0,14}", re.ASCII)
_KEY = re.compile(f"[0-9a-f]{{{2 * PUBLIC_KEY_BYTES}}}", re.ASCII)
_SERIAL = re.compile(f"[0-9a-f]{{{2 * SERIAL_BYTES}}}", re.ASCII)


def _parse_body(body: bytes) -> Certificate:
    try:
        first, *lines = body.decode("ascii").split("\n")
    except UnicodeDecodeError:
        raise CertificateError("malformed", "expected a certificate in ASCII") from None
    if first != FIRST_LINE or len(lines) != len(_NAMES):
        raise CertificateError("malformed", f"expected {FIRST_LINE!r} and {len(_NAMES)} lines")
    values = []
    for name, line in zip(_NAMES, lines, strict=True):
        found, space, value = line.partition(" ")
        if found != name or not space:
            raise CertificateError("malformed", f"expected the line {name!r}, found {found[:20]!r}")
        values.append(value)
    speaker, scheme, key, purpose, netuid, receiver, begin, end, serial = values
    certificate = Certificate(
        speaker=_address(speaker, "speaker"),
        scheme=_one_of(scheme, "scheme", (SR25519, ED25519)),
        key=bytes.fromhex(_matched(key, "key", _KEY)),
        purpose=Purpose(_one_of(purpose, "purpose", tuple(Purpose))),
        netuid=None if netuid == ANY else int(_matched(netuid, "netuid", _NUMBER)),
        receiver=None if receiver == ANY else _address(receiver, "receiver"),
        from_ms=int(_matched(begin, "from", _NUMBER)),
        until_ms=int(_matched(end, "until", _NUMBER)),
        serial=_matched(serial, "serial", _SERIAL),
    )
    _check_ranges(certificate)
    return certificate


def _check_ranges(certificate: Certificate) -> None:
    if certificate.netuid is not None and certificate.netuid > MAX_NETUID:
        raise CertificateError("malformed", f"netuid: expected 0 to {MAX_NETUID}, found {certificate.netuid}")
    lifetime, ceiling = certificate.until_ms - certificate.from_ms, MAX_LIFETIME_MS[certificate.purpose]
    if not 0 < lifetime <= ceiling:
        raise CertificateError(
            "lifetime", f"lifetime: expected above 0 and at most {ceiling // 1000} s, found {lifetime / 1000:g} s"
        )


def _address(value: str, name: str) -> str:
    try:
        public_key_of(value)
    except AddressError as error:
        raise CertificateError("malformed", f"{name}: {error}") from None
    return value


def _one_of(value: str, name: str, known: tuple[str, ...]) -> str:
    if value not in known:
        raise CertificateError("malformed", f"{name}: expected one of {', '.join(known)}, found {value[:20]!r}")
    return value


def _matched(value: str, name: str, form: re.Pattern[str]) -> str:
    if form.fullmatch(value) is None:
        raise CertificateError("malformed", f"{name}: expected another form, found {value[:40]!r}")
    return value
