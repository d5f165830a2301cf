"""``wallet-guard init``: a commented configuration and the folders it names, with the right modes."""

import argparse
import os
from pathlib import Path
from typing import Any

from wallet_guard.cli.place import HOME
from wallet_guard.cli.policy import write_default
from wallet_guard.cli.printing import add_json_option, tell
from wallet_guard.host.config import CONFIG_FILE, NETWORKS, ConfigurationError, load_config
from wallet_guard.host.private import ensure_private_folder

_TEMPLATE = """\
# Wallet Guard. Every key is known: a wrong one is an error that says so. No secret belongs in this file.

# Sockets between the processes (and for clients) are made here.
run = {run}

[signer]
# Journal, counters, clients' token hashes, audit chain. Mode 0700. Back it up; never run two copies of it.
state = {state}
# Bittensor wallets: <wallets>/<wallet>/hotkeys/<hotkey>. Only the hotkeys named here are ever opened.
wallets = {wallets}
hotkeys = {hotkeys}
# What each client may do beyond its grant: narrower, never wider. Read again on 'wallet-guard policy reload'.
policy = "policy.toml"
# Encrypted hotkeys find their password in this file (mode 0600, one line).
#password_file = "/path/to/password"
# A key that nobody has a reason to ask for (not among hotkeys): any request that names it locks the signer.
#canary = "spare/default"
# Blocks that a signature lives, a power of two from 4 to 128.
#era_blocks = 16
# How long an accepted request may wait to be signed, for example while the chain cannot be reached.
#deadline_seconds = 300
# How much of the weight the subnet's own limits may move before we refuse to sign (0 to 1).
#max_shift = 0.5
# Users that the other processes run as, where they are not the signer's own.
#gateway_user = "wallet-guard-gateway"
#chain_user = "wallet-guard-chain"
# What the hub may greet miners for, and its user.
#hub_hotkeys = ["validator/default"]
#hub_user = "wallet-guard-hub"

[chain]
# finney, test or local.
network = {network}
# Tried in order; BT_FALLBACK_ENDPOINTS after them. Default: the network's own.
{endpoints_mark}endpoints = {endpoints}
# Pinned at first contact where it is not given (finney's is known).
{genesis_mark}genesis = {genesis}
# The chain's block time; eras and intervals are timed by it, whatever a node says.
block_time_seconds = {block_time}

[gateway]
# Clients: a Unix socket (mode 0660) and TCP. An address that is not loopback wants TLS.
#unix = {client_socket}
tcp = {tcp}
# PEM files; with them every TCP address speaks TLS.
#tls_certificate = "/path/to/certificate.pem"
#tls_key = "/path/to/key.pem"
# Issuers of the certificates that clients must show.
#tls_client_ca = "/path/to/authorities.pem"
# Let tokens travel readable beyond this host: only inside a tunnel.
#tokens_in_clear = false
# Figures for Prometheus at /metrics, of all processes; without a token, so beyond loopback with tls_client_ca only.
#metrics = "127.0.0.1:9464"

# Where miners come in, for messages; 'serve' runs it where it is enabled. See hardening/btws.md.
[hub]
#enabled = true
# One of [signer] hub_hotkeys, and the subnet whose registered hotkeys may connect.
#hotkey = "validator/default"
#netuid = 2
# An address that is not loopback wants tls_certificate and tls_key, or messages_in_clear.
#tcp = ["127.0.0.1:8091"]
# Hotkeys (addresses) that may connect though they are not registered, and those that may not.
#allow = []
#deny = []
"""


def add_words(parsers: Any) -> None:
    """``init``."""
    parser = parsers.add_parser("init", help="write a commented configuration and make the folders")
    parser.add_argument("folder", nargs="?", default=str(HOME), help=f"where (default {HOME})")
    parser.add_argument("--network", choices=sorted(NETWORKS), default="finney")
    parser.add_argument("--endpoint", action="append", default=[], metavar="URL", help="ws:// or wss://, repeatable")
    parser.add_argument(
        "--genesis", default="", metavar="0xHASH", help="pin the chain (default: known, or at first contact)"
    )
    parser.add_argument("--block-time", type=float, default=12.0, metavar="SECONDS")
    parser.add_argument("--wallets", default="~/.bittensor/wallets", metavar="FOLDER")
    parser.add_argument(
        "--hotkey",
        action="append",
        default=[],
        metavar="WALLET/HOTKEY",
        help="to hold, repeatable (default validator/default)",
    )
    parser.add_argument("--tcp", action="append", metavar="HOST:PORT", help="default 127.0.0.1:8000; '' for none")
    add_json_option(parser)
    parser.set_defaults(answer=init)


def init(chosen: argparse.Namespace) -> int:
    """Writes the file; refuses to replace one.

    Raises:
        ConfigurationError: there is one already, a folder is not private, or what was asked for makes no valid file.
    """
    folder = Path(chosen.folder).expanduser().absolute()
    path = folder / CONFIG_FILE
    for private in (folder, folder / "state", folder / "run"):
        ensure_private_folder(private)
    endpoints, genesis = NETWORKS[chosen.network]
    tcp = ["127.0.0.1:8000"] if chosen.tcp is None else [address for address in chosen.tcp if address]
    text = _TEMPLATE.format(
        run=_toml(str(folder / "run")),
        state=_toml(str(folder / "state")),
        wallets=_toml(chosen.wallets),
        hotkeys=_toml(chosen.hotkey or ["validator/default"]),
        network=_toml(chosen.network),
        endpoints_mark="" if chosen.endpoint else "#",
        endpoints=_toml(chosen.endpoint or list(endpoints)),
        genesis_mark="" if chosen.genesis else "#",
        genesis=_toml(chosen.genesis or genesis or "0x…"),
        block_time=chosen.block_time,
        client_socket=_toml(str(folder / "run" / "gateway.sock")),
        tcp=_toml(tcp),
    )
    try:
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    except FileExistsError as error:
        raise ConfigurationError(f"{path}: is there already; edit it, or name another folder") from error
    with open(file, "w", encoding="utf-8") as opened:
        opened.write(text)
    write_default(folder)
    try:
        load_config(path)
    except ConfigurationError:
        path.unlink()
        raise
    tell(
        chosen,
        {"wrote": str(path)},
        f"wrote {path}",
        f"next: wallet-guard serve --config {path}",
        f"then: wallet-guard client add my-validator --config {path}",
    )
    return 0


def _toml(value: str | list[str]) -> str:
    if isinstance(value, list):
        return "[" + ", ".join(_toml(entry) for entry in value) + "]"
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
