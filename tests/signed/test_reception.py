"""Which keys speak for a hotkey, until when, and what survives a restart. The vectors hold the order of checks."""

import pytest

from wallet_guard.signed.certificate import Certificate, CertificateError, Purpose, encode_certificate
from wallet_guard.signed.frames import FrameError, encode_frame, encode_message, encode_unsigned, parse_frame
from wallet_guard.signed.reception import MAX_VOICES, Receiver, Voices, is_signed
from wallet_guard.signed.schemes import Ed25519Key, address_of

NOW = 1_763_690_000_000
HOTKEY = Ed25519Key(b"\x01" * 32)
MINER = address_of(HOTKEY.public_key)
ME = address_of(Ed25519Key(b"\x09" * 32).public_key)


def certificate(key, from_ms=NOW, until_ms=NOW + 1000):
    body = Certificate(MINER, "ed25519", key.public_key, Purpose.NODE, 2, None, from_ms, until_ms, "0" * 32).body()
    return encode_certificate(body, HOTKEY.sign(body))


def add(voices, key, now_ms=NOW, **more):
    return voices.add_certificate(certificate(key, **more), receiver=ME, netuid=2, now_ms=now_ms)


def frame(key, name, seq=1, ts=NOW, to=ME):
    signed = encode_unsigned(name, seq, ts, MINER, to, [encode_message("x", "", {})])
    return parse_frame(encode_frame(key.sign(signed), signed).decode())


def session(n):
    return Ed25519Key(bytes([n]) * 32)


def test_a_session_key_is_silent_from_the_millisecond_its_certificate_ends():
    voices, receiver, key = Voices(MINER), Receiver(ME, start_ms=0), session(2)
    add(voices, key)
    receiver.check(frame(key, key.public_key.hex()), voices, NOW + 999, broadcasts=False)
    with pytest.raises(FrameError) as caught:
        receiver.check(frame(key, key.public_key.hex()), voices, NOW + 1000, broadcasts=False)
    assert caught.value.code == "expired"


def test_renewal_lets_both_keys_speak():
    voices, receiver = Voices(MINER), Receiver(ME, start_ms=0)
    for key in (session(2), session(3)):
        add(voices, key)
    for key in (session(2), session(3)):
        arrived = frame(key, key.public_key.hex())
        assert is_signed(arrived, receiver.check(arrived, voices, NOW, broadcasts=False))


def test_revoked_keys_are_silent_for_good_and_later_ones_are_not():
    voices = Voices(MINER)
    voices.add_hotkey("ed25519")
    add(voices, session(2))
    voices.revoke(NOW + 1)
    assert voices.find(session(2).public_key.hex()) is None
    assert voices.find("ed25519") is not None
    with pytest.raises(CertificateError) as caught:
        add(voices, session(2))
    assert caught.value.code == "revoked"
    add(voices, session(3), from_ms=NOW + 1)


def test_keys_of_one_hotkey_have_a_ceiling_and_ended_ones_go_first():
    voices = Voices(MINER)
    for n in range(2, 2 + MAX_VOICES + 3):
        add(voices, session(n), from_ms=NOW + n)
    assert voices.find(session(2).public_key.hex()) is None
    assert voices.find(session(MAX_VOICES + 4).public_key.hex()) is not None
    assert voices.end_ms() == NOW + 1000


def test_a_frame_from_before_the_start_is_stale_even_if_its_number_is_new():
    voices, receiver = Voices(MINER), Receiver(ME, start_ms=NOW)
    voices.add_hotkey("ed25519")
    with pytest.raises(FrameError) as caught:
        receiver.check(frame(HOTKEY, "ed25519", ts=NOW - 1), voices, NOW, broadcasts=False)
    assert caught.value.code == "stale"


def test_broadcasts_from_before_the_welcome_are_refused():
    voices, receiver = Voices(MINER), Receiver(ME, start_ms=0)
    voices.add_hotkey("ed25519")
    receiver.raise_floor(voices, "ed25519", 5, NOW)
    with pytest.raises(FrameError) as caught:
        receiver.check(frame(HOTKEY, "ed25519", seq=5, to="*"), voices, NOW, broadcasts=True)
    assert caught.value.code == "replayed"
    receiver.check(frame(HOTKEY, "ed25519", seq=6, to="*"), voices, NOW, broadcasts=True)
    receiver.check(frame(HOTKEY, "ed25519", seq=5), voices, NOW, broadcasts=True)


def test_two_copies_verified_at_the_same_time_are_taken_once():
    voices, receiver = Voices(MINER), Receiver(ME, start_ms=0)
    voices.add_hotkey("ed25519")
    for _ in range(2):
        receiver.check(frame(HOTKEY, "ed25519"), voices, NOW, broadcasts=False)
    receiver.take(frame(HOTKEY, "ed25519"), NOW)
    with pytest.raises(FrameError):
        receiver.take(frame(HOTKEY, "ed25519"), NOW)


def test_memory_let_go_holds_nothing_that_time_would_not_refuse():
    voices, receiver = Voices(MINER), Receiver(ME, start_ms=0)
    voices.add_hotkey("ed25519")
    late = frame(HOTKEY, "ed25519", ts=NOW + 5_000)
    receiver.take(late, NOW)
    for after_ms in range(0, 60_000, 500):
        receiver.forget(NOW + after_ms)
        with pytest.raises(FrameError):
            receiver.check(late, voices, NOW + after_ms, broadcasts=False)
    assert len(receiver.windows) == 0
