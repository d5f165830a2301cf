"""Session certificates: one spelling, one meaning, and an end."""

import base64
import dataclasses

import bittensor_core
import pytest

from wallet_guard.signed.certificate import (
    FIRST_LINE,
    MAX_LIFETIME_MS,
    MAX_SKEW_MS,
    Certificate,
    CertificateError,
    Purpose,
    encode_certificate,
    parse_certificate,
    verify_certificate,
)
from wallet_guard.signed.schemes import ED25519, SR25519

NOW = 1_763_690_000_000
HOUR = 3_600_000
CRYPTO = {SR25519: bittensor_core.CRYPTO_SR25519, ED25519: bittensor_core.CRYPTO_ED25519}
BOB = bittensor_core.Keypair.create_from_uri("//Bob", 1).ss58_address
CHARLIE = bittensor_core.Keypair.create_from_uri("//Charlie", 1).ss58_address


def pair_of(scheme=SR25519):
    return bittensor_core.Keypair.create_from_uri("//Alice", CRYPTO[scheme])


def certificate_of(scheme=SR25519, **changes):
    fields = {
        "speaker": pair_of(scheme).ss58_address,
        "scheme": scheme,
        "key": bytes(range(32)),
        "purpose": Purpose.NODE,
        "netuid": 2,
        "receiver": BOB,
        "from_ms": NOW,
        "until_ms": NOW + HOUR,
        "serial": "0f" * 16,
    }
    return Certificate(**fields | changes)


def issue(certificate):
    body = certificate.body()
    return encode_certificate(body, bytes(pair_of(certificate.scheme).sign(body)))


def check(text, **changes):
    where = {"now_ms": NOW + 1, "purpose": Purpose.NODE, "netuid": 2, "receiver": BOB}
    return verify_certificate(text, **where | changes)


def code_of(text, **changes):
    with pytest.raises(CertificateError) as caught:
        check(text, **changes)
    return caught.value.code


def respelled(change):
    """The good certificate with a changed text, signed by the hotkey over exactly that."""
    body = change(certificate_of().body().decode()).encode()
    return encode_certificate(body, bytes(pair_of().sign(body)))


def test_the_signed_text_is_this():
    assert certificate_of().body().decode().split("\n") == [
        "wallet-guard session/1",
        f"speaker {pair_of().ss58_address}",
        "scheme sr25519",
        "key 000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
        "purpose node",
        "netuid 2",
        f"receiver {BOB}",
        "from 1763690000000",
        "until 1763693600000",
        "serial 0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f",
    ]


@pytest.mark.parametrize("scheme", [SR25519, ED25519])
@pytest.mark.parametrize("netuid", [None, 0, 2, 4095])
@pytest.mark.parametrize("receiver", [None, BOB])
def test_a_certificate_reads_back(scheme, netuid, receiver):
    certificate = certificate_of(scheme, netuid=netuid, receiver=receiver)
    assert check(issue(certificate), netuid=2 if netuid is None else netuid) == certificate


def test_its_form_on_the_wire_fits_a_header_field():
    text = issue(certificate_of())
    assert len(text) < 700
    assert text.isascii()
    assert text.replace("-", "").replace("_", "").isalnum()


def test_it_holds_from_its_first_millisecond_to_before_its_last():
    text = issue(certificate_of())
    assert check(text, now_ms=NOW - MAX_SKEW_MS)
    assert check(text, now_ms=NOW + HOUR - 1)
    assert code_of(text, now_ms=NOW - MAX_SKEW_MS - 1) == "not_yet_valid"
    assert code_of(text, now_ms=NOW + HOUR) == "expired"


def test_it_is_for_one_purpose():
    assert code_of(issue(certificate_of()), purpose=Purpose.HUB) == "wrong_purpose"
    assert code_of(issue(certificate_of(purpose=Purpose.HUB))) == "wrong_purpose"


def test_it_is_for_one_netuid_or_for_any():
    assert code_of(issue(certificate_of()), netuid=3) == "wrong_netuid"
    assert check(issue(certificate_of(netuid=None)), netuid=3)


def test_it_is_for_one_receiver_or_for_anyone():
    assert code_of(issue(certificate_of()), receiver=CHARLIE) == "wrong_receiver"
    assert check(issue(certificate_of(receiver=None)), receiver=CHARLIE)
    assert check(issue(certificate_of()), receiver=None)


def test_it_must_be_signed_by_its_speaker():
    body = certificate_of().body()
    stranger = bittensor_core.Keypair.create_from_uri("//Mallory", 1)
    assert code_of(encode_certificate(body, bytes(stranger.sign(body)))) == "bad_signature"
    assert code_of(encode_certificate(body, bytes(64))) == "bad_signature"


@pytest.mark.parametrize("scheme", [SR25519, ED25519])
def test_a_wrapped_signature_is_none(scheme):
    body = certificate_of(scheme).body()
    wrapped = bytes(pair_of(scheme).sign(b"<Bytes>" + body + b"</Bytes>"))
    assert bittensor_core.verify(body, wrapped, pair_of(scheme).ss58_address, CRYPTO[scheme])
    assert code_of(encode_certificate(body, wrapped)) == "bad_signature"


def test_every_changed_character_is_noticed():
    text = issue(certificate_of())
    for at in range(0, len(text), 5):
        other = "A" if text[at] != "A" else "B"
        assert code_of(text[:at] + other + text[at + 1 :])


@pytest.mark.parametrize(
    ("purpose", "lifetime", "code"),
    [
        (Purpose.NODE, MAX_LIFETIME_MS[Purpose.NODE], None),
        (Purpose.NODE, MAX_LIFETIME_MS[Purpose.NODE] + 1, "lifetime"),
        (Purpose.HUB, HOUR, None),
        (Purpose.HUB, HOUR + 1, "lifetime"),
        (Purpose.NODE, 0, "lifetime"),
        (Purpose.NODE, -1, "lifetime"),
    ],
)
def test_a_lifetime_has_a_ceiling_on_both_sides(purpose, lifetime, code):
    certificate = certificate_of(purpose=purpose, until_ms=NOW + lifetime)
    if code is None:
        assert check(issue(certificate), purpose=purpose)
        return
    with pytest.raises(CertificateError) as caught:
        certificate.body()
    assert caught.value.code == code
    text = respelled(
        lambda body: body.replace("purpose node", f"purpose {purpose}").replace(
            f"until {NOW + HOUR}", f"until {NOW + lifetime}"
        )
    )
    assert code_of(text, purpose=purpose) in ("lifetime", "malformed")


@pytest.mark.parametrize(
    "change",
    [
        lambda body: body + "\n",
        lambda body: " " + body,
        lambda body: body.replace("\n", "\r\n"),
        lambda body: body.replace("netuid 2", "netuid 02"),
        lambda body: body.replace("netuid 2", "netuid  2"),
        lambda body: body.replace("netuid 2", "netuid +2"),
        lambda body: body.replace("netuid 2", "netuid 4096"),
        lambda body: body.replace("netuid 2", "netuid"),
        lambda body: body.replace("key 0001", "key 0X01").replace("0a0b", "0A0B"),
        lambda body: body.replace("0a0b", "0A0B"),
        lambda body: body.replace("purpose node", "purpose root"),
        lambda body: body.replace("scheme sr25519", "scheme SR25519"),
        lambda body: body.replace(FIRST_LINE, "wallet-guard session/2"),
        lambda body: body.replace(FIRST_LINE, "wallet-guard message"),
        lambda body: body.replace("serial 0f", "serial 0F"),
        lambda body: body + "\nextra 1",
        lambda body: "\n".join(reversed(body.split("\n"))),
        lambda body: body.replace(f"receiver {BOB}", "receiver -"),
        lambda body: body.replace("from 17", "from -17"),
        lambda body: body.replace("until ", "until 9999999"),
        lambda body: body.replace("purpose", "purposé"),
        lambda body: "",
    ],
)
def test_another_spelling_is_refused_however_well_signed(change):
    assert code_of(respelled(change)) == "malformed"


@pytest.mark.parametrize(
    "text",
    ["", "=", "A", "AAAA", "Ä" * 40, "A" * 1025, "!" * 400],
)
def test_refuses_what_is_no_certificate(text):
    with pytest.raises(CertificateError) as caught:
        parse_certificate(text)
    assert caught.value.code == "malformed"


def test_refuses_other_spellings_of_base64():
    text = issue(certificate_of())
    padded = text + "=" * (-len(text) % 4)
    standard = base64.b64encode(base64.urlsafe_b64decode(padded)).decode().rstrip("=")
    for other in (text + "=", text[:-1] + " " + text[-1], text + "\n", *([standard] if standard != text else [])):
        assert code_of(other) == "malformed"


@pytest.mark.parametrize(
    "changes",
    [
        {"speaker": BOB + "\nscheme sr25519"},
        {"receiver": "*"},
        {"receiver": "anyone"},
        {"key": bytes(31)},
        {"netuid": -1},
        {"netuid": 5000},
        {"serial": "0F" * 16},
        {"serial": ""},
        {"scheme": "ecdsa"},
        {"from_ms": -1},
    ],
)
def test_nothing_is_made_that_would_not_read_back(changes):
    with pytest.raises(CertificateError):
        dataclasses.replace(certificate_of(), **changes).body()
