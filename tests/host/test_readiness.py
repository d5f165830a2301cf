"""Telling the service manager, against a manager of our own."""

import os
import socket
from pathlib import Path

import pytest

from wallet_guard.host.readiness import notify


@pytest.mark.parametrize("abstract", [False, True])
def test_tells_the_manager(tmp_path: Path, abstract: bool) -> None:
    name = f"@wg-test-{os.getpid()}" if abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.settimeout(2)
        manager.bind("\0" + name[1:] if abstract else name)
        notify("READY=1", {"NOTIFY_SOCKET": name})
        assert manager.recv(100) == b"READY=1"


@pytest.mark.parametrize("address", ["", "relative", "/nonexistent/notify", "@nobody-listens-here", "/" + "x" * 300])
def test_no_manager_is_no_trouble(address: str) -> None:
    notify("READY=1", {"NOTIFY_SOCKET": address} if address else {})
