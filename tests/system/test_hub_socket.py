"""The hub's own door: certificates for greetings, and nothing else; closed unless the operator opens it."""

import time
from pathlib import Path

import pytest

from wallet_guard.ipc.blocking import RefusedError, ask
from wallet_guard.ipc.health import Health
from wallet_guard.ipc.signatures import IssueHubSession, SignText
from wallet_guard.signed.certificate import Purpose, verify_certificate


def test_the_hub_gets_certificates_and_nothing_else(make_house):
    guard = make_house(start=False, signer={"hub_hotkeys": ["validator/default"]}).guard
    guard.start("signer")
    path = guard.signer_socket("hub")
    assert Path(path).stat().st_mode & 0o777 == 0o660
    view = ask(path, IssueHubSession("validator", "default", bytes(32), 2))
    now_ms = time.time_ns() // 1_000_000
    found = verify_certificate(view.certificate, now_ms=now_ms, purpose=Purpose.HUB, netuid=2, receiver=None)
    assert found.speaker == guard.address
    assert ask(path, Health()).keys == 1
    with pytest.raises(RefusedError, match="expected validator/default, found other/default"):
        ask(path, IssueHubSession("other", "default", bytes(32), 2))
    with pytest.raises(ConnectionError):
        ask(path, SignText("", "validator", "default", "hello"))


def test_without_a_hotkey_to_greet_for_there_is_no_door(make_house):
    guard = make_house(start=False).guard
    guard.start("signer")
    assert not Path(guard.signer_socket("hub")).exists()
