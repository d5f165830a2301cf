"""What the hub remembers of hotkeys, and whom it takes for the application."""

import time

import pytest

from wallet_guard.hub.party import CERTIFICATES_KEPT, RelayParty
from wallet_guard.realtime import RealtimeLimits
from wallet_guard.realtime.party import Peer
from wallet_guard.signed.certificate import CertificateError


def party(kit):
    return RelayParty(kit.hub_speaker(), kit.NETUID, RealtimeLimits(), clock_ns=time.time_ns)


def test_certificates_are_kept_as_they_were_shown_the_latest_of_each_hotkey(kit):
    known, peer = party(kit), Peer(kit.MINER.ss58_address)
    speakers = [kit.session(kit.MINER, seed) for seed in range(20, 22 + CERTIFICATES_KEPT)]
    for speaker in speakers:
        known.add_certificate(speaker.certificate, peer)
    assert list(known.certificates[peer.hotkey]) == [speaker.name for speaker in speakers[-CERTIFICATES_KEPT:]]
    assert known.certificate(peer.hotkey, speakers[-1].name) == speakers[-1].certificate
    assert known.certificate(peer.hotkey, speakers[0].name) == ""
    known.forget(peer.hotkey)
    assert known.certificate(peer.hotkey, speakers[-1].name) == ""


@pytest.mark.parametrize(
    ("changed", "code"),
    [({"purpose": "hub"}, "wrong_purpose"), ({"receiver": "own"}, "wrong_receiver"), ({"netuid": 3}, "wrong_netuid")],
)
def test_an_application_shows_what_miners_may_see(kit, changed, code):
    changed = {name: kit.Purpose.HUB if value == "hub" else value for name, value in changed.items()}
    changed = {name: kit.VALIDATOR.ss58_address if value == "own" else value for name, value in changed.items()}
    known, own = party(kit), Peer(kit.VALIDATOR.ss58_address)
    with pytest.raises(CertificateError) as caught:
        known.add_certificate(kit.session(kit.VALIDATOR, 2, **changed).certificate, own)
    assert caught.value.code == code
    assert known.certificates == {}


def test_certificates_of_who_may_not_come_any_more_are_let_go(kit):
    known = party(kit)
    for pair in (kit.MINER, kit.OTHER):
        known.add_certificate(kit.session(pair, 20).certificate, Peer(pair.ss58_address))
    known.tidy(lambda hotkey: hotkey == kit.MINER.ss58_address)
    assert list(known.certificates) == [kit.MINER.ss58_address]
