"""``wallet-guard serve``: signer, chain, gateway and, where enabled, hub together, without systemd and without root.

For development and trials: all of them run as one user, in one environment, so a captured SDK could reach the keys. The
README's guide for a real validator keeps them apart.
"""

import argparse
import logging
import os
from typing import Any

from wallet_guard.cli.errors import CommandError
from wallet_guard.cli.place import add_config_option, find_config
from wallet_guard.cli.supervisor import Service, StartError, Supervisor, own_program
from wallet_guard.host.config import Config, ConfigurationError
from wallet_guard.host.log import start_log
from wallet_guard.host.private import ensure_private_folder
from wallet_guard.host.sockets import listen_unix

log = logging.getLogger("wallet_guard.cli")

SIGNER_SOCKETS = {"gateway": 0o660, "chain": 0o660, "admin": 0o600}


def add_words(parsers: Any) -> None:
    """``serve``."""
    parser = parsers.add_parser(
        "serve", help="run signer, chain, gateway and hub here (development; see README for production)"
    )
    add_config_option(parser)
    parser.set_defaults(answer=serve)


def serve(chosen: argparse.Namespace) -> int:
    """Runs until SIGTERM or SIGINT; 78 if a process wants its configuration mended.

    Raises:
        ConfigurationError: nothing was started, something must be mended first.
        CommandError: a process does not start.
    """
    config = find_config(chosen)
    start_log("serve")
    supervisor = make_supervisor(config)
    try:
        supervisor.start()
    except StartError as error:
        if error.status == 78:
            raise ConfigurationError(f"{error} (its reason stands above)") from error
        raise CommandError(str(error), "its reason stands above") from error
    tcp = "".join(f" and http://{address}" for address in config.gateway.tcp)
    log.info(f"ready: clients come in at {config.client_socket}{tcp}")
    supervisor.run()
    return supervisor.status


def make_supervisor(config: Config) -> Supervisor:
    """The processes in their order: the one that decides first, the one that clients see last."""
    ensure_private_folder(config.run)
    modes = SIGNER_SOCKETS | ({"hub": 0o660} if config.hub.enabled else {})
    sockets = {name: listen_unix(config.socket(name), mode) for name, mode in modes.items()}
    members = {"chain-hub": listen_unix(config.metagraph_socket, 0o660)} if config.hub.enabled else {}
    file = os.path.abspath(config.path)
    services = [
        Service("signer", own_program("wallet_guard.signer", "--config", file, "--development"), sockets),
        Service("chain", own_program("wallet_guard.chain", "--config", file), members),
        Service("gateway", own_program("wallet_guard.gateway", "--config", file)),
    ]
    if config.hub.enabled:
        services.insert(2, Service("hub", own_program("wallet_guard.hub", "--config", file)))
    return Supervisor(services, config.run)
