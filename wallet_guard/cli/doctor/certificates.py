"""TLS files: is the key private, does it fit, and for how long is the certificate good?"""

import ssl
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from wallet_guard.cli.doctor.files import config_of
from wallet_guard.cli.doctor.findings import Check, Finding, SkippedError, warning
from wallet_guard.cli.doctor.scene import Scene

SOON_DAYS = 21
"""Three weeks before its end a certificate should have been renewed: ACME clients do it after two thirds of 90 days."""

CREDENTIALS = Path("/run/credentials/wallet-guard.service")

STORE = Path("/etc/credstore")

_BEGIN = "-----BEGIN CERTIFICATE-----"
_END = "-----END CERTIFICATE-----"

_SEQUENCE, _EXPLICIT_0, _UTC_TIME = 0x30, 0xA0, 0x17


class Validity(NamedTuple):
    """From when to when a certificate is good."""

    since: datetime
    until: datetime


def validity_of(der: bytes) -> Validity:
    """The validity of an X.509 certificate (RFC 5280, 4.1: the fourth or fifth field of the part that is signed).

    Raises:
        ValueError: it is none.
    """
    _, outer, _ = _field(der)
    _, rest, _ = _field(outer)
    tag, _, after = _field(rest)
    if tag == _EXPLICIT_0:
        rest = after
    for _ in range(3):  # serial number, signature algorithm, issuer
        _, _, rest = _field(rest)
    tag, times, _ = _field(rest)
    if tag != _SEQUENCE:
        raise ValueError("expected a validity, found something else")
    kind, since, rest = _field(times)
    other_kind, until, _ = _field(rest)
    return Validity(_time(kind, since), _time(other_kind, until))


def _field(data: bytes) -> tuple[int, bytes, bytes]:
    """Tag, content and what follows, of a DER field (X.690, 8.1) of fewer than 64 KiB."""
    if len(data) < 2:
        raise ValueError("expected a DER field, found the end")
    length, at = data[1], 2
    if length > 0x80:
        at = 2 + length - 0x80
        length = int.from_bytes(data[2:at], "big")
    if at > 4 or at + length > len(data):
        raise ValueError("expected a DER field, found one that is cut off")
    return data[0], data[at : at + length], data[at + length :]


def _time(kind: int, text: bytes) -> datetime:
    found = text.decode("ascii")
    if kind == _UTC_TIME:
        # RFC 5280, 4.1.2.5.1: years from 50 on are of the last century.
        found = ("19" if found[:2] >= "50" else "20") + found
    return datetime.strptime(found, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)


def certificates_in(text: str) -> list[bytes]:
    """Every certificate of a PEM file, as DER, in its order.

    Raises:
        ValueError: one is cut off or no base64.
    """
    parts = text.split(_BEGIN)[1:]
    return [ssl.PEM_cert_to_DER_cert(_BEGIN + part.partition(_END)[0] + _END) for part in parts]


def placed(name: str) -> Path:
    """Where a file of the configuration lies: a credential of the gateway's unit is in the store it is loaded from."""
    path = Path(name).expanduser()
    return STORE / path.name if path.parent == CREDENTIALS else path


def key(scene: Scene) -> Iterator[Finding]:
    """Others who can read it are the guard to every client."""
    shown = placed(_named(scene, "tls_key"))
    path = scene.at(shown)
    if not path.exists():
        yield Finding(f"[gateway] tls_key {shown} is not there", f"install -m 0600 KEY.pem {shown}")
        return
    mode = path.stat().st_mode & 0o7777
    if mode & 0o077:
        yield Finding(f"[gateway] tls_key {shown} has mode {mode:04o}: others can read it", f"chmod 0600 {shown}")


def certificate(scene: Scene) -> Iterator[Finding]:
    """Is it good now, and for a while? Every one of the chain."""
    yield from _validity(scene, placed(_named(scene, "tls_certificate")), "tls_certificate")


def client_authorities(scene: Scene) -> Iterator[Finding]:
    """Issuers of clients' certificates that are over shut every client out."""
    yield from _validity(scene, placed(_named(scene, "tls_client_ca")), "tls_client_ca")


def pair(scene: Scene) -> Iterator[Finding]:
    """Do certificate and key belong together?"""
    shown = [placed(_named(scene, name)) for name in ("tls_certificate", "tls_key")]
    files = [scene.at(each) for each in shown]
    if not all(each.exists() for each in files):
        raise SkippedError("one of the two is not there")
    try:
        # A key that wants a password must not ask for it here.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(files[0], files[1], password=lambda: b"")
    except (ssl.SSLError, ValueError) as error:
        why = getattr(error, "reason", None) or str(error)
        yield Finding(
            f"[gateway] tls_certificate {shown[0]} and tls_key do not fit each other ({why})",
            f"put the key of this certificate at {shown[1]} (unencrypted, mode 0600)",
        )


def _named(scene: Scene, option: str) -> str:
    named = str(getattr(config_of(scene).gateway, option))
    if not named:
        raise SkippedError(f"no [gateway] {option}")
    return named


def _validity(scene: Scene, shown: Path, option: str) -> Iterator[Finding]:
    path = scene.at(shown)
    if not path.exists():
        yield Finding(f"[gateway] {option} {shown} is not there", f"install -m 0644 CERTIFICATE.pem {shown}")
        return
    try:
        found = [validity_of(der) for der in certificates_in(path.read_text(encoding="utf-8", errors="replace"))]
    except ValueError as error:
        found = []
        why = f": {error}"
    else:
        why = ""
    if not found:
        yield Finding(f"[gateway] {option} {shown}: expected certificates in PEM, found none{why}", "put one there")
    now = datetime.fromtimestamp(scene.now_ms / 1000, UTC)
    for at, validity in enumerate(found, 1):
        which = f"[gateway] {option} {shown}" + (f", certificate {at}" if len(found) > 1 else "")
        renew = "renew it, then: systemctl restart wallet-guard"
        if now > validity.until:
            yield Finding(f"{which}: over since {validity.until:%Y-%m-%d}", renew)
        elif now < validity.since:
            yield Finding(f"{which}: not good before {validity.since:%Y-%m-%d %H:%M} UTC", "look at this host's clock")
        elif (validity.until - now).days < SOON_DAYS:
            yield warning(f"{which}: over in {(validity.until - now).days} days ({validity.until:%Y-%m-%d})", renew)


CHECKS = (
    Check("tls-key", key),
    Check("tls-certificate", certificate),
    Check("tls-pair", pair),
    Check("tls-client-ca", client_authorities),
)
