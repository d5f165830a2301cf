"""``wallet-guard status``: what runs, what it holds, what happened last."""

import argparse
import contextlib
import http.client
import json
import time
from typing import Any

from wallet_guard.cli import panel
from wallet_guard.cli.place import add_config_option, ask_signer, find_config
from wallet_guard.cli.printing import add_json_option, print_json
from wallet_guard.host.config import Config
from wallet_guard.ipc.oversight import Overview, OverviewView
from wallet_guard.ipc.records import to_json

HUB_SECONDS = 1.0
"""The hub is on this host."""

MAX_HUB_BYTES = 64 * 1024
"""64 KiB: its answer is some hundred bytes."""


def add_words(parsers: Any) -> None:
    """``status``."""
    parser = parsers.add_parser(
        "status",
        help="what runs, what it holds, what happened last",
        epilog="exit status: 0 all is well, 1 something stands in the way ('wallet-guard doctor' says how to mend it)",
    )
    add_json_option(parser)
    add_config_option(parser)
    parser.set_defaults(answer=status)


def status(chosen: argparse.Namespace) -> int:
    """0 while all is well, 1 if something stands in the way."""
    config = find_config(chosen)
    found: OverviewView = ask_signer(config, Overview())
    stands = panel.troubles(found.status)
    if chosen.json:
        print_json({"well": not stands, "troubles": stands, **to_json(found)})
    else:
        for line in panel.lines(found, config, time.time_ns() // 1_000_000, ask_hub(config)):
            print(line)
    return int(bool(stands))


def ask_hub(config: Config) -> str:
    """What the hub of this guard says of its peers, "" where there is none, or it speaks TLS alone."""
    hub = config.hub
    if not hub.enabled or hub.tls_certificate or not hub.tcp:
        return ""
    try:
        with contextlib.closing(http.client.HTTPConnection(hub.tcp[0], timeout=HUB_SECONDS)) as connection:
            connection.request("GET", "/ws/health")
            found = json.loads(connection.getresponse().read(MAX_HUB_BYTES))
            return f"http://{hub.tcp[0]} {found['status']}, {found['active_connections']} peers connected"
    except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError) as error:
        return f"http://{hub.tcp[0]} does not answer: {error}"
