"""hardening/limits.md says what the source says."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]

WITHOUT_REASON = {
    *("cli.demo.STOP_SECONDS", "gateway.credentials.MAX_TOKEN_CHARACTERS", "orders.signatures.MAX_ADDRESS_CHARACTERS"),
    *("orders.wishes.MAX_U32", "orders.wishes.MAX_IP_CHARACTERS", "host.sockets.BACKLOG"),
    *("net.client._DEFAULT_TIMEOUT_SECONDS", "realtime.admission._MAX_ADDRESSES"),
    *("realtime.limits.RealtimeLimits.hello_seconds", "realtime.limits.RealtimeLimits.connect_seconds"),
    *("realtime.limits.RealtimeLimits.max_queued", "realtime.limits.RealtimeLimits.max_queued_bytes"),
    *("realtime.limits.RealtimeLimits.registration_seconds", "realtime.limits.RealtimeLimits.max_connections"),
    *("realtime.outbox._MAX_RESEND_SECONDS", "realtime.predictions._MAX_ID_CHARS", "realtime.spool._MIN_HISTORY"),
    *("realtime.upkeep.SWEEP_SECONDS", "signed.frames._FIRST_LINE_CHARS", "signed.reception.MAX_VOICES"),
    *("signer.accept.MAX_MECHID", "signer.admin.MAX_TOKEN_CHARACTERS", "signer.admin.MAX_CLIENTS"),
    *("signer.server.STRANGERS_SECONDS", "signer.server._RECEIVE_BYTES", "wire.http1.body._MAX_SIZE_DIGITS"),
}
"""Those whose names say it all, or nearly; the list may only become shorter."""


def written():
    done = subprocess.run(
        [sys.executable, ROOT / "hardening/limits.py"], capture_output=True, text=True, timeout=60, check=True
    )
    return done.stdout


def test_the_file_is_what_the_source_says():
    found = (ROOT / "hardening/limits.md").read_text(encoding="utf-8")
    assert found == written(), "run: python hardening/limits.py >hardening/limits.md"


def test_every_ceiling_has_its_reason():
    room, bare = "", set()
    for line in written().splitlines():
        if line.startswith("## "):
            room = line[3:]
        elif line.startswith("| `") and line.endswith("|  |"):
            bare.add(f"{room}.{line.split('`')[1]}")
    assert bare - WITHOUT_REASON == set()


def test_well_known_ceilings_are_in_it():
    text = written()
    for words in (
        "| `packets.MAX_PACKET_BYTES` | 4 194 304 | bytes |",
        "`limits.ServerLimits.max_connections`",
        "## wire",
    ):
        assert words in text
