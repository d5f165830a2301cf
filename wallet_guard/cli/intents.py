"""``wallet-guard intents list|show|retry|cancel``: what was taken on, how it fares, and the operator's hand on it."""

import argparse
import json
import os
import pwd
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from wallet_guard.cli.audit import open_records
from wallet_guard.cli.errors import CommandError
from wallet_guard.cli.place import add_config_option, ask_signer, find_config
from wallet_guard.cli.printing import add_json_option, print_json
from wallet_guard.host.config import Config
from wallet_guard.ipc.intents import FINAL_STATES, IntentView, State
from wallet_guard.ipc.oversight import (
    MAX_PAGE,
    IntentAsk,
    IntentCancel,
    IntentDetails,
    IntentList,
    IntentPage,
    IntentRetry,
)
from wallet_guard.ipc.records import to_json
from wallet_guard.signed.audit import Record

MAX_STORY = 200
"""Audit records shown of one intent; a life has about six."""


def add_words(parsers: Any) -> None:
    """``intents`` with its four words."""
    intents = parsers.add_parser("intents", help="what was taken on: list, show, retry, cancel")
    words = intents.add_subparsers(title="words", metavar="WORD", required=True)

    listing = words.add_parser("list", help="the newest, newest first")
    listing.add_argument("--client", default="", metavar="NAME", help="of one client")
    listing.add_argument("--open", action="store_true", help="unfinished ones only")
    listing.add_argument("-n", type=int, default=20, metavar="COUNT", help=f"how many (default 20, at most {MAX_PAGE})")
    listing.add_argument("--before", type=_time_ms, metavar="TIME", help="older than this, such as 2026-01-31T12:00:00")
    _finish(listing, show_list)

    showing = words.add_parser("show", help="everything about one, and its story as the audit chain tells it")
    _finish(_named(showing), show)

    retrying = words.add_parser(
        "retry",
        help="hand its stored bytes to the pool once more; never signs",
        description="Sends the very bytes that were signed once more. Nothing is signed; the same bytes twice are one "
        "extrinsic to the chain. Only while the signature lives and is in no block.",
    )
    _finish(_named(retrying), retry)

    cancelling = words.add_parser(
        "cancel",
        help="end one that is not signed; its client sees by whom",
        description="Ends an intent that is not signed. One that is signed may be on its way, and cannot be called "
        "back: 'wallet-guard lock' keeps what is not sent yet from being sent.",
    )
    cancelling.add_argument("--why", default="", metavar="TEXT", help="the client and the audit chain see it")
    _finish(_named(cancelling), cancel)


def _named(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    parser.add_argument("intent", help="its id, or the first characters of it")
    return parser


def _finish(parser: argparse.ArgumentParser, answer: Any) -> None:
    add_json_option(parser)
    add_config_option(parser)
    parser.set_defaults(answer=answer)


def _time_ms(text: str) -> int:
    found = datetime.fromisoformat(text)
    return int((found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp() * 1000)


def show_list(chosen: argparse.Namespace) -> int:
    """One line each."""
    page: IntentPage = ask_signer(find_config(chosen), IntentList(chosen.client, chosen.open, chosen.before, chosen.n))
    if chosen.json:
        print_json(to_json(page))
        return 0
    for view in page.intents:
        print(line(view))
    if not page.intents:
        print("no intents")
    elif page.more:
        oldest = datetime.fromtimestamp(page.intents[-1].accepted_ms / 1000, UTC)
        print(f"there are older ones: --before {oldest.isoformat(timespec='milliseconds').replace('+00:00', 'Z')}")
    return 0


def show(chosen: argparse.Namespace) -> int:
    """What is known of one, and its story where the journal's file can be read by us."""
    config = find_config(chosen)
    details: IntentDetails = ask_signer(config, IntentAsk(chosen.intent))
    story = list(_story(config, details.view))
    if chosen.json:
        told = [{**record._asdict(), "hash": record.hash.hex(), "body": json.loads(record.body)} for record in story]
        print_json({**to_json(details), "story": told})
        return 0
    for name, value in _facts(details):
        print(f"{name:12} {value}")
    for record in story:
        print(f"{'':12} {_time(record.at_ms)} {record.kind} {_told(record)}".rstrip())
    return 0


def retry(chosen: argparse.Namespace) -> int:
    """Says how it stands now."""
    view: IntentView = ask_signer(find_config(chosen), IntentRetry(chosen.intent, _operator()))
    _print_view(chosen, view, f"its {view.extrinsic_hash} is handed to the pool again: 'wallet-guard intents show'")
    return 0


def cancel(chosen: argparse.Namespace) -> int:
    """Says what its client will see."""
    view: IntentView = ask_signer(find_config(chosen), IntentCancel(chosen.intent, chosen.why, _operator()))
    _print_view(chosen, view, "")
    return 0


def _print_view(chosen: argparse.Namespace, view: IntentView, more: str) -> None:
    if chosen.json:
        print_json(to_json(view))
        return
    print(line(view))
    if more:
        print(more)


def line(view: IntentView) -> str:
    """An intent in one line: when, which, whose, what, where, how it stands and why."""
    where = f"subnet {view.netuid}" + (f" mechanism {view.mechid}" if view.mechid else "")
    why = view.failure.message if view.failure else view.trouble
    state = f"{view.state} in block {view.block_number}" if view.block_number is not None else str(view.state)
    return f"{_time(view.accepted_ms)} {view.intent[:8]} {view.client} {view.kind} {where} {state}" + (
        f": {why}" if why else ""
    )


def _facts(details: IntentDetails) -> Iterator[tuple[str, str]]:
    view = details.view
    yield "intent", view.intent
    yield "client", view.client + (f", key {details.idempotency_key}" if details.idempotency_key else "")
    yield "hotkey", f"{view.wallet}/{view.hotkey}"
    yield "asks for", f"{view.kind} on subnet {view.netuid} mechanism {view.mechid}" + (", queued" * details.queue)
    yield "accepted", _time(view.accepted_ms)
    if view.state not in FINAL_STATES:
        yield "deadline", f"{_time(view.deadline_ms)} (to be signed)"
    yield "state", str(view.state)
    if view.trouble:
        yield "trouble", view.trouble
    if view.not_before_ms is not None and view.state is State.ACCEPTED:
        yield "not before", f"{_time(view.not_before_ms)}, block {view.not_before_block}"
    if view.failure:
        yield "failure", f"{view.failure.code}: {view.failure.message}"
        yield "to do", view.failure.hint
        yield "on its way", "maybe" if view.failure.may_be_submitted else "no"
    if details.signed_ms is not None:
        yield "signed", f"{_time(details.signed_ms)}, attempt {details.attempts}, nonce {view.nonce}, call {view.call}"
        yield "lives", f"block {details.era_birth} to {details.era_death}, by our clock until {_time(details.dead_ms)}"
    if view.extrinsic_hash:
        yield "extrinsic", f"{view.extrinsic_hash}, {len(details.extrinsic or b'')} bytes kept"
    if view.block_hash:
        yield "block", f"{view.block_number} {view.block_hash}"
    if view.weights is not None:
        shown = ", ".join(f"{uid}: {weight}" for uid, weight in view.weights[:16])
        yield "weights", shown + (f" and {len(view.weights) - 16} more" if len(view.weights) > 16 else "")


def _story(config: Config, view: IntentView) -> Iterator[Record]:
    """Its audit records, from the journal's file; none where that cannot be read by us."""
    found = 0
    try:
        with open_records(Path(config.signer.state).expanduser() / "journal.sqlite3") as records:
            for row in records:
                record = Record(*row)
                if record.client == view.client and f'"intent":"{view.intent}"' in record.body:
                    yield record
                    found += 1
                    if found == MAX_STORY:
                        return
    except (OSError, CommandError):
        return


def _told(record: Record) -> str:
    body = json.loads(record.body)
    return " ".join(
        f"{name}={body[name]}" for name in body if name not in ("intent", "state") and body[name] is not None
    )[:200]


def _time(unix_ms: int | None) -> str:
    return "never" if unix_ms is None else time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(unix_ms / 1000))


def _operator() -> str:
    """Who sits here, for the audit chain: whoever called sudo, else the user. Said, not proven."""
    try:
        return os.environ.get("SUDO_USER") or pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"uid {os.getuid()}"
