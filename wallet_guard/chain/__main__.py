"""``python -m wallet_guard.chain --config FILE``: the chain process. See the package's docstring.

Exit status: 0 after SIGTERM or SIGINT, 78 for a configuration that must be mended.
"""

import argparse
import asyncio
import contextlib
import logging
import os
import secrets
import signal
import socket
import sys
import time
from collections.abc import Coroutine, Iterable
from typing import Any

from wallet_guard.chain import sdk
from wallet_guard.chain.endpoints import Endpoints, endpoint_urls
from wallet_guard.chain.members import Door, Registry
from wallet_guard.chain.worker import Worker
from wallet_guard.host.config import Config, ConfigurationError, load_config
from wallet_guard.host.log import start_log
from wallet_guard.host.process import die_with_supervisor
from wallet_guard.host.readiness import notify
from wallet_guard.host.sockets import inherited_sockets, listen_unix

log = logging.getLogger("wallet_guard.chain")

EX_CONFIG = 78
"""sysexits.h: something in the configuration must be mended."""

HUB_SOCKET = "chain-hub"
"""Name of the socket where the hub asks, if the service manager has opened it."""

HUB_SOCKET_MODE = 0o660
"""Of the one that is made here."""


def main(arguments: list[str] | None = None) -> int:
    """Runs until SIGTERM or SIGINT; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m wallet_guard.chain", description="wallet guard: chain process")
    parser.add_argument("--config", required=True, help="the configuration file")
    options = parser.parse_args(arguments)
    start_log("chain")
    die_with_supervisor(os.environ)
    try:
        config = load_config(options.config)
        urls = endpoint_urls(config.chain.endpoints, os.environ)
        door = _hub_socket(config)
    except ConfigurationError as error:
        log.error(error)  # noqa: TRY400 -- the message says it all, a traceback would hide it
        return EX_CONFIG
    asyncio.run(_run(config, urls, door))
    return 0


def _hub_socket(config: Config) -> socket.socket | None:
    """Where the hub asks; None where there is no hub. One that was inherited needlessly is closed."""
    inherited = inherited_sockets(os.environ, os.getpid()).get(HUB_SOCKET)
    if config.hub.enabled:
        return inherited or listen_unix(config.metagraph_socket, HUB_SOCKET_MODE)
    if inherited is not None:
        inherited.close()
    return None


async def _run(config: Config, urls: tuple[str, ...], door: socket.socket | None) -> None:
    def ready() -> None:
        # A dead chain is no reason to fail the unit; a signer out of reach is.
        notify("READY=1", os.environ)

    def alive() -> None:
        notify("WATCHDOG=1", os.environ)

    endpoints = Endpoints(
        urls, config.chain.genesis, sdk.Connection.open, sdk.make_codec, secrets.SystemRandom().random
    )
    worker = Worker(config.socket("chain"), endpoints, lambda: time.time_ns() // 1_000_000, ready, alive)
    parts = [worker.run()]
    if door is not None:
        parts.append(Door(Registry(endpoints, config.hub.netuid)).serve(door))
    running = asyncio.ensure_future(_run_all(parts))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, running.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await running
    notify("STOPPING=1", os.environ)
    log.info("stopped")


async def _run_all(parts: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Runs until cancelled; a bug in any part ends all of it."""
    async with asyncio.TaskGroup() as group:
        for part in parts:
            group.create_task(part)


if __name__ == "__main__":
    sys.exit(main())
