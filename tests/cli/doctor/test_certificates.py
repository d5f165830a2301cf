from datetime import UTC, datetime
from pathlib import Path

import pytest

from wallet_guard.cli.doctor.certificates import certificates_in, validity_of

PEM = (Path(__file__).parents[2] / "vectors/certificates/certificate.pem").read_text()


def der_time(tag, text):
    return bytes([tag, len(text)]) + text.encode()


def der(tag, *parts):
    content = b"".join(parts)
    length = bytes([len(content)]) if len(content) < 0x80 else b"\x82" + len(content).to_bytes(2, "big")
    return bytes([tag]) + length + content


def certificate(*times, version=True):
    fields = [der(2, b"\1"), der(0x30), der(0x30), der(0x30, *times), der(0x30)]
    return der(0x30, der(0x30, *([der(0xA0, der(2, b"\2"))] if version else []), *fields))


def test_reads_the_validity_of_a_real_certificate():
    (one,) = certificates_in(PEM)
    assert validity_of(one).since == datetime(2026, 11, 21, 5, 54, 2, tzinfo=UTC)
    assert validity_of(one).until == datetime(2036, 11, 18, 5, 54, 2, tzinfo=UTC)


def test_every_certificate_of_a_chain_is_read():
    assert len(certificates_in("intro\n" + PEM + PEM)) == 2


@pytest.mark.parametrize("version", [True, False])
def test_both_kinds_of_time_and_both_versions(version):
    found = validity_of(
        certificate(der_time(0x17, "500101000000Z"), der_time(0x18, "20500101000000Z"), version=version)
    )
    assert (found.since.year, found.until.year) == (1950, 2050)


@pytest.mark.parametrize("data", [b"", b"\x30", b"\x30\x05\x00", b"\x30\x00", certificate()[:-1], certificate()])
def test_what_is_no_certificate_is_refused(data):
    with pytest.raises(ValueError):
        validity_of(data)


def test_one_over_in_a_chain_is_named(guard):
    guard.write("/etc/credstore/wallet-guard.tls-certificate", PEM + PEM, 0o600)
    guard.scene_values["now_ms"] = 2_200_000_000_000
    found = [finding.found for finding in guard.findings("tls-certificate")]
    assert [", certificate 1: over" in found[0], ", certificate 2: over" in found[1]] == [True, True]
