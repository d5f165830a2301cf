"""``wallet-guard status``: what runs, what it holds, what happened last."""

import argparse
from datetime import UTC, datetime
from typing import Any

from wallet_guard.cli.place import add_config_option, ask_signer, find_config
from wallet_guard.ipc.admin import StatusAsk, StatusView
from wallet_guard.ipc.intents import IntentView


def add_words(parsers: Any) -> None:
    """``status``."""
    parser = parsers.add_parser("status", help="what runs, what it holds, what happened last")
    add_config_option(parser)
    parser.set_defaults(answer=status)


def status(chosen: argparse.Namespace) -> int:
    """0 while all is well, 1 if something stands in the way."""
    config = find_config(chosen)
    found: StatusView = ask_signer(config, StatusAsk())
    health = found.health
    silent = health.chain_seconds is None or health.chain_seconds > 30
    chain = health.chain_trouble or ("the chain process is silent" if silent else "")
    print(f"signer    version {health.version}, {health.open_intents} open intents, audit record {found.audit_seq}")
    print(f"journal   {health.journal_error or 'ok'}")
    if health.locked:
        print(f"LOCKED    nothing is signed: {health.locked}")
    if found.runtime_trouble:
        print(f"RUNTIME   {found.runtime_trouble}")
    for locked in found.locked_keys:
        print(f"LOCKED    {locked.wallet}/{locked.hotkey}: {locked.why}")
    print(f"chain     {chain or f'{found.endpoint} at block {found.best_block}, final {found.finalized_block}'}")
    print(f"genesis   {found.genesis_hash or 'not known yet: pinned at first contact'}")
    print(f"clients   {config.client_socket}{''.join(', http://' + address for address in config.gateway.tcp)}")
    for key in found.keys:
        print(f"key       {key.wallet}/{key.hotkey} {key.ss58_address} {key.crypto}")
    for client in found.clients:
        print(f"client    {client.name}{' (revoked)' if client.revoked_ms else ''}")
    for intent in found.intents:
        print(f"intent    {_line(intent)}")
    return 1 if health.journal_error or health.locked or found.locked_keys or found.runtime_trouble or chain else 0


def _line(intent: IntentView) -> str:
    when = f"{datetime.fromtimestamp(intent.accepted_ms / 1000, UTC):%H:%M:%S}"
    where = f"subnet {intent.netuid}" + (f" mechanism {intent.mechid}" if intent.mechid else "")
    why = intent.failure.message if intent.failure else intent.trouble
    return f"{when} {intent.intent[:8]} {intent.client} {where} {intent.state}" + (f": {why}" if why else "")
