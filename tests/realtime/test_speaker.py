"""Our own voice."""

import asyncio

import pytest

from wallet_guard.realtime import (
    Speaker,
    session_speaker,
)
from wallet_guard.signed.frames import parse_frame
from wallet_guard.signed.schemes import Ed25519Key


def test_numbers_rise_for_each_receiver_and_begin_at_the_clock(kit):
    speaker = Speaker.of_hotkey(kit.MINER)
    seen = [
        parse_frame(speaker.frame(to, [], 5_000_000).decode().replace('"}</', '"}\n}</')).seq for to in ("*", "*", "*")
    ]
    assert seen == [5000, 5001, 5002]
    assert speaker.last_broadcast() == 5002


def test_a_speaker_needs_its_own_certificate_and_a_scheme_that_can_be_verified(kit):
    speaker = kit.session(seed=7)
    with pytest.raises(ValueError, match="another"):
        Speaker.of_session(Ed25519Key(bytes(32)), speaker.certificate)

    class Strange:
        crypto_type, ss58_address = 2, ""

    with pytest.raises(ValueError, match="crypto type 2"):
        Speaker.of_hotkey(Strange())


def test_session_speaker_asks_for_its_own_key(kit):
    async def scene():
        asked = []

        async def ask(key):
            asked.append(key)
            return kit.session().certificate  # a certificate, but not for this key

        with pytest.raises(ValueError, match="another"):
            await session_speaker(ask)
        assert len(bytes.fromhex(asked[0])) == 32

    asyncio.run(scene())
