"""Where the configuration is, and how the signer's admin socket is asked."""

import argparse
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from wallet_guard.cli.errors import CommandError
from wallet_guard.host.config import CONFIG_FILE, Config, ConfigurationError, load_config
from wallet_guard.ipc import blocking
from wallet_guard.ipc.packets import PacketError
from wallet_guard.ipc.questions import Question
from wallet_guard.ipc.records import RecordError

CONFIG_VARIABLE = "WALLET_GUARD_CONFIG"

HOME = Path("~/.wallet-guard")

SYSTEM = Path("/etc/wallet-guard")


def add_config_option(parser: argparse.ArgumentParser) -> None:
    """Adds ``--config``."""
    parser.add_argument(
        "--config",
        metavar="FILE",
        help=f"configuration (default: ${CONFIG_VARIABLE}, {HOME / CONFIG_FILE}, {SYSTEM / CONFIG_FILE})",
    )


def find_config(chosen: argparse.Namespace) -> Config:
    """The configuration: named, by the environment, in the home folder, or the system's, in this order.

    Raises:
        ConfigurationError: there is none, or it is wrong.
    """
    places = config_places(chosen.config or "", os.environ)
    for place in places:
        if len(places) == 1 or place.exists():
            return load_config(place)
    raise ConfigurationError(
        f"expected a configuration at {places[0]} or {places[1]}, found none; 'wallet-guard init' writes one"
    )


def config_places(named: str, environment: Mapping[str, str]) -> list[Path]:
    """Where the configuration may be, the first first: one place where it is named, else the usual two."""
    named = named or environment.get(CONFIG_VARIABLE, "")
    if named:
        return [Path(named)]
    return [(folder / CONFIG_FILE).expanduser() for folder in (HOME, SYSTEM)]


def ask_signer(config: Config, question: Question, *, seconds: float = 10.0) -> Any:
    """The running signer's answer, over its admin socket, within ``seconds``.

    Raises:
        CommandError: it does not run, may not be asked by us, or says no.
    """
    path = config.socket("admin")
    try:
        return blocking.ask(path, question, seconds=seconds)
    except blocking.RefusedError as error:
        raise CommandError(error.refusal.message, error.refusal.hint) from error
    except (FileNotFoundError, ConnectionRefusedError) as error:
        raise CommandError(f"{path}: no signer listens there", "start it with 'wallet-guard serve'") from error
    except PermissionError as error:
        raise CommandError(f"{path}: not yours to open", "run this as the signer's user, or as root") from error
    except (OSError, PacketError, RecordError) as error:
        raise CommandError(f"{path}: {error}") from error
