"""The process: ``python -m wallet_guard.hub --config FILE``.

Exit status: 0 after SIGTERM or SIGINT, 78 where the configuration must be mended, 2 for wrong arguments.
"""

import argparse
import asyncio
import contextlib
import ipaddress
import logging
import os
import signal
import socket
import ssl
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from wallet_guard.host.addresses import listen_tcp, parse_address, shown_address
from wallet_guard.host.config import Config, ConfigurationError, load_config
from wallet_guard.host.log import start_log
from wallet_guard.host.private import read_private
from wallet_guard.host.process import die_with_supervisor, forbid_dumps
from wallet_guard.host.readiness import notify
from wallet_guard.host.sockets import inherited_sockets
from wallet_guard.hub.registered import Registered
from wallet_guard.hub.relay import Relay
from wallet_guard.hub.session import Session, watch
from wallet_guard.ipc.asker import Asker
from wallet_guard.net import Request, Response, Route, plain_error, server_context, watchdog
from wallet_guard.realtime.limits import VALIDATOR_LIMITS
from wallet_guard.realtime.validator import HEALTH_PATH

# Run as a program, __name__ is "__main__", which is not ours to the log.
log = logging.getLogger("wallet_guard.hub")

STOP_SECONDS: Final = 4.0
"""For what waits to be sent at SIGTERM; a supervisor kills after five."""

REGISTERED_SECONDS: Final = 1.0
"""Between two attempts to hear who is registered, until it was heard once."""

LIMITS: Final = VALIDATOR_LIMITS._replace(registration_seconds=12.0)
"""Who is registered is asked once a block."""

METRICS_PATH: Final = "/metrics"

INHERITED_PREFIX: Final = "peers"
"""Of the names (FileDescriptorName= of systemd.socket(5)) of the sockets that are for peers."""


def enabled(config: Config) -> Config:
    """The configuration, of a hub that shall run.

    Raises:
        ConfigurationError: it shall not.
    """
    if not config.hub.enabled:
        raise ConfigurationError(f"{config.path}: [hub] enabled: expected true, found false")
    return config


def open_listeners(config: Config, environment: Mapping[str, str], pid: int) -> list[socket.socket]:
    """Listening sockets: the inherited ones if there are any, else those of the configuration.

    Raises:
        ConfigurationError: an address is none, cannot be had, or would show messages beyond this host.
    """
    passed = inherited_sockets(environment, pid)
    opened = [found for name, found in passed.items() if name.startswith(INHERITED_PREFIX)]
    if opened:
        for listener in opened:
            _check_clear(listener.getsockname()[0], "a socket of the service manager", config)
        return opened
    where = f"{config.path}: [hub] tcp"
    try:
        for text in config.hub.tcp:
            _check_clear(parse_address(text, where)[0], where, config)
            opened.append(listen_tcp(text, where))
    except BaseException:
        for listener in opened:
            listener.close()
        raise
    return opened


def tls_context(config: Config) -> ssl.SSLContext | None:
    """What the listeners speak TLS with; None where none is configured.

    Raises:
        ConfigurationError: a file cannot be read, does not fit the other, or the key is open to others.
    """
    hub, where = config.hub, f"{config.path}: [hub] tls"
    if not hub.tls_certificate:
        return None
    key = Path(hub.tls_key)
    read_private(key.parent, key.name)
    try:
        return server_context(hub.tls_certificate, hub.tls_key, None)
    except OSError as error:
        raise ConfigurationError(f"{where}: expected PEM files that fit each other: {error}") from error


def _check_clear(host: str, where: str, config: Config) -> None:
    hub = config.hub
    if not (hub.tls_certificate or hub.messages_in_clear or ipaddress.ip_address(host).is_loopback):
        raise ConfigurationError(
            f"{where}: {host} is no loopback address: expected [hub] tls_certificate and tls_key, found none; others "
            "could read the messages, though not alter them (messages_in_clear = true accepts that)"
        )


async def serve(
    config: Config, listeners: list[socket.socket], tls: ssl.SSLContext | None, environment: Mapping[str, str]
) -> None:
    """Serves peers until cancelled; closes the listeners."""
    hub = config.hub
    signer, chain = Asker(config.socket("hub")), Asker(config.metagraph_socket)
    session, registered = Session(signer, hub.hotkey, hub.netuid), Registered(chain, hub.netuid)

    def alive() -> None:
        notify("WATCHDOG=1", environment)

    log.info(f"listening on {', '.join(map(shown_address, listeners))}")
    # Peers wait in the kernel's queue until there is a certificate: a locked signer is no reason to fail the unit.
    notify("READY=1", environment)
    async with asyncio.TaskGroup() as group:
        for asker in (signer, chain):
            group.create_task(asker.run())
        speaker = await session.first(alive)
        relay = Relay(
            speaker, netuid=hub.netuid, registered=registered.hotkeys, allow=hub.allow, deny=hub.deny, limits=LIMITS
        )
        try:
            server = await relay.prepare([Route("GET", METRICS_PATH, lambda request: show_metrics(relay, request))])
            for listener in listeners:
                await server.listen_socket(listener, tls)
            log.info(f"greets for {relay.party.hotkey} on subnet {hub.netuid}")
            group.create_task(watch(session, relay))
            group.create_task(until_known(relay, registered))
            allowed = environment.get("WATCHDOG_USEC", "")
            await watchdog.keep_alive(server, HEALTH_PATH, allowed, alive)
            await asyncio.Event().wait()  # where nobody watches
        finally:
            notify("STOPPING=1", environment)
            await relay.stop(STOP_SECONDS)


async def until_known(relay: Relay, registered: Registered) -> None:
    """Asks again soon while nobody has said who is registered; the relay itself asks every half minute."""
    while not registered.known:
        await asyncio.sleep(REGISTERED_SECONDS)
        await relay.admission.refresh()


def show_metrics(relay: Relay, request: Request) -> Response:
    """Text for Prometheus, for programs of this host alone; not for what a proxy of this host passes on."""
    try:
        local = ipaddress.ip_address(request.peer.address).is_loopback
    except ValueError:
        local = False
    if not local or any(request.headers.get(name) for name in ("Forwarded", "X-Forwarded-For", "Via")):
        return plain_error(404, "no such path")
    application = f"# TYPE btws_application gauge\nbtws_application {int(relay.has_application)}\n"
    return Response(200, (relay.render_metrics() + application).encode(), "text/plain; version=0.0.4; charset=utf-8")


async def _run(
    config: Config, listeners: list[socket.socket], tls: ssl.SSLContext | None, environment: Mapping[str, str]
) -> None:
    running = asyncio.ensure_future(serve(config, listeners, tls, environment))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, running.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await running
    for listener in listeners:
        listener.close()
    log.info("stopped")


def main(arguments: list[str]) -> int:
    """Runs the hub; the exit status comes back."""
    parser = argparse.ArgumentParser(prog="python -m wallet_guard.hub", description="Where miners come in.")
    parser.add_argument("--config", required=True, metavar="FILE")
    parser.add_argument("--log-level", default="info", choices=("debug", "info", "warning", "error"))
    chosen = parser.parse_args(arguments)
    start_log("hub", chosen.log_level)
    die_with_supervisor(os.environ)
    # It holds a key, if only for an hour.
    forbid_dumps()
    try:
        config = enabled(load_config(chosen.config))
        tls = tls_context(config)
        listeners = open_listeners(config, os.environ, os.getpid())
    except ConfigurationError as error:
        log.critical(str(error))
        return 78
    asyncio.run(_run(config, listeners, tls, os.environ))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
