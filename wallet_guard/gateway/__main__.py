"""The process: ``python -m wallet_guard.gateway --config FILE``.

Exit status: 0 after SIGTERM or SIGINT, 78 where the configuration must be mended, 2 for wrong arguments.
"""

import argparse
import asyncio
import contextlib
import logging
import os
import signal
import socket
import ssl
import sys
import time
from collections.abc import Mapping
from functools import partial
from typing import Any

from wallet_guard.gateway.credentials import KNOWN_DEFAULT_TOKENS
from wallet_guard.gateway.exposition import LIMITS as METRICS_LIMITS
from wallet_guard.gateway.exposition import PATH, Exposition
from wallet_guard.gateway.figures import Figures
from wallet_guard.gateway.listeners import Doors, is_loopback, open_doors, shown_address, tls_context
from wallet_guard.gateway.routes import Desk, respond_unrouted
from wallet_guard.gateway.submission import ACCEPT_SECONDS, GOAL_SECONDS, Submissions
from wallet_guard.gateway.waits import MAX_WAITS, Waits
from wallet_guard.gateway.watchdog import keep_alive
from wallet_guard.host.config import ConfigurationError, load_config
from wallet_guard.host.log import start_log
from wallet_guard.host.process import die_with_supervisor
from wallet_guard.host.readiness import notify
from wallet_guard.ipc.asker import Asker
from wallet_guard.ipc.intents import IntentView
from wallet_guard.ipc.metrics import Family, Tally, counter, one
from wallet_guard.ipc.records import RecordError, from_json
from wallet_guard.net.limits import ServerLimits
from wallet_guard.net.server import Server
from wallet_guard.orders.weights import MAX_BODY_BYTES
from wallet_guard.wire.http1.head import Limits as HttpLimits

# Run as a program, __name__ is "__main__", which is not ours to the log.
log = logging.getLogger("wallet_guard.gateway")

STOP_SECONDS = 2.0
"""For answers under way at SIGTERM; waiting requests are answered at once."""

TOKEN_VARIABLE = "WALLET_SERVICE_TOKEN"  # noqa: S105 -- the variable's name

LIMITS = ServerLimits(
    http=HttpLimits(max_body_bytes=MAX_BODY_BYTES),
    # The longest wait and a margin: our own deadline speaks first, and says more.
    handler_seconds=max(GOAL_SECONDS.values()) + ACCEPT_SECONDS + 10.0,
    # Every wait is a connection; others look meanwhile.
    max_connections=MAX_WAITS + 256,
    # All local programs have one address: half of the house, so that none shuts out the other uid or address.
    max_connections_per_address=(MAX_WAITS + 256) // 2,
)


ENDS = ("max_connections", "max_connections_per_address", "head_seconds", "body_seconds", "handler_seconds")
"""Ceilings and deadlines that are told of before they end anything."""


def check_environment(environment: Mapping[str, str]) -> None:
    """Refuses to start beside a token that is no secret.

    The gateway needs no token; but where the seeds' default is set, a node of this host will use it.

    Raises:
        ConfigurationError: ``WALLET_SERVICE_TOKEN`` is set, to nothing or to a known default.
    """
    token = environment.get(TOKEN_VARIABLE)
    if token is not None and token.strip() in KNOWN_DEFAULT_TOKENS:
        found = "a known default" if token.strip() else "an empty one"
        raise ConfigurationError(
            f"{TOKEN_VARIABLE}: expected no token or one of 'wallet-guard client add', found {found}; unset it"
        )


async def serve(signer_socket: str, doors: Doors, tls: ssl.SSLContext | None, environment: Mapping[str, str]) -> None:
    """Answers clients until SIGTERM or SIGINT, over TCP by ``tls`` where it is given; closes the doors."""
    waits = Waits()

    def take_event(name: str, body: Any) -> None:
        # Most news concern nobody here, and a view is long: look at its id before reading it.
        if name != "intent" or not isinstance(body, dict) or not waits.follows(str(body.get("intent"))):
            return
        try:
            waits.tell(from_json(IntentView, body))
        except RecordError as error:
            log.warning(f"signer: told an intent that cannot be read: {error}")

    asker = Asker(signer_socket, on_event=take_event, on_connect=waits.doubt)
    submissions = Submissions(asker, waits)
    figures = Figures(time.time_ns() // 1_000_000)
    desk = Desk(asker, submissions, figures)
    server = Server(desk.routes(), limits=LIMITS, on_error=partial(respond_unrouted, figures))
    for listener in doors.clients:
        await server.listen_socket(listener, None if listener.family == socket.AF_UNIX else tls)
    exposition = Exposition(asker, figures, lambda: gauges(server, waits))
    measured = Server(exposition.routes(), limits=METRICS_LIMITS)
    if doors.metrics is not None:
        await measured.listen_socket(doors.metrics, None if is_loopback(doors.metrics) else tls)
        log.info(f"figures at http://{shown_address(doors.metrics)}{PATH}")
    loop = asyncio.get_running_loop()
    asking = loop.create_task(asker.run())
    # Stopping begins where asking ends: by a signal, or by a bug in it, which then ends the process.
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, asking.cancel)
    log.info(f"listening on {', '.join(shown_address(listener) for listener in doors.clients)}")
    notify("READY=1", environment)
    watching = loop.create_task(keep_alive(server, environment))
    await asyncio.wait({asking})
    notify("STOPPING=1", environment)
    log.info(f"stopping; {waits.taken} requests wait")
    submissions.stop()
    watching.cancel()
    await asyncio.gather(server.stop(STOP_SECONDS), measured.stop(STOP_SECONDS))
    with contextlib.suppress(asyncio.CancelledError):
        await asking


def gauges(server: Server, waits: Waits) -> tuple[Family, ...]:
    """What is true of the clients' server at this moment, and what its ceilings and deadlines ended."""
    ended = Tally("reason")
    for reason in {*ENDS, *server.counts}:
        ended.count(reason, times=server.counts[reason])
    return (
        one("wallet_guard_http_connections", "Open connections of clients.", server.connection_count),
        one("wallet_guard_http_waiting_requests", "Requests that wait for an intent.", waits.taken),
        counter("wallet_guard_http_limits_total", "What a ceiling or a deadline ended, or a refusal.", ended),
    )


def main(arguments: list[str]) -> int:
    """Runs the gateway; the exit status comes back."""
    parser = argparse.ArgumentParser(prog="python -m wallet_guard.gateway", description="Where clients come in.")
    parser.add_argument("--config", required=True, metavar="FILE")
    parser.add_argument("--log-level", default="info", choices=("debug", "info", "warning", "error"))
    chosen = parser.parse_args(arguments)
    start_log("gateway", chosen.log_level)
    die_with_supervisor(os.environ)
    try:
        config = load_config(chosen.config)
        check_environment(os.environ)
        tls = tls_context(config)
        doors = open_doors(config, os.environ, os.getpid())
    except ConfigurationError as error:
        log.critical(str(error))
        return 78
    asyncio.run(serve(config.socket("gateway"), doors, tls, os.environ))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
