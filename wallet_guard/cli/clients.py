"""``wallet-guard client …``, ``allow-plain``, ``allow-runtime``: what the operator grants."""

import argparse
import sys
from datetime import UTC, datetime
from typing import Any

from wallet_guard.cli.errors import CommandError
from wallet_guard.cli.place import add_config_option, ask_signer, find_config
from wallet_guard.cli.printing import add_json_option, print_json, tell
from wallet_guard.client.errors import SettingsError
from wallet_guard.client.identity import Identity
from wallet_guard.ipc.admin import AllowPlain, AllowRuntime, StatusAsk, StatusView
from wallet_guard.ipc.clients import CALLS, DEFAULT_CALLS, ClientAdd, ClientAdded, ClientRevoke, ClientView
from wallet_guard.ipc.records import to_json


def add_words(parsers: Any) -> None:
    """``client`` with its words, ``allow-plain`` and ``allow-runtime``."""
    client = parsers.add_parser("client", help="who may ask: add, list, revoke, keygen")
    words = client.add_subparsers(title="words", metavar="WORD", required=True)

    adding = words.add_parser("add", help="a new client; prints its token, once")
    adding.add_argument("name")
    adding.add_argument(
        "--key", default="", metavar="WALLET/HOTKEY", help="the hotkey it may use (default: the only one)"
    )
    adding.add_argument(
        "--netuid", type=int, action="append", metavar="N", help="subnet it may use, repeatable (default any)"
    )
    adding.add_argument(
        "--call",
        action="append",
        choices=CALLS,
        metavar="CALL",
        help=f"what it may ask for, repeatable (default {', '.join(DEFAULT_CALLS)}): {', '.join(CALLS)}",
    )
    adding.add_argument("--per-hour", type=int, default=60, metavar="N", help="requests an hour (default 60)")
    adding.add_argument(
        "--public-key",
        metavar="ADDRESS",
        help="it signs its requests with this Ed25519 key (its ss58 address) instead of sending a token",
    )
    adding.add_argument(
        "--token-stdin", action="store_true", help="take the token from standard input instead of making one"
    )
    add_json_option(adding)
    add_config_option(adding)
    adding.set_defaults(answer=add)

    listing = words.add_parser("list", help="who there is, and what each may do")
    add_json_option(listing)
    add_config_option(listing)
    listing.set_defaults(answer=show)

    revoking = words.add_parser("revoke", help="a client's token is nothing from now on")
    revoking.add_argument("name")
    add_json_option(revoking)
    add_config_option(revoking)
    revoking.set_defaults(answer=revoke)

    making = words.add_parser("keygen", help="on the node: a key of its own, for 'client add --public-key'")
    making.add_argument("file", help="the new file; the node finds it by WALLET_SERVICE_KEY")
    making.add_argument("--hotkey", required=True, metavar="ADDRESS", help="the address of the hotkey in the guard")
    add_json_option(making)
    making.set_defaults(answer=keygen)

    plain = parsers.add_parser("allow-plain", help="confirm that a subnet switched commit-reveal off")
    plain.add_argument("netuid", type=int)
    add_json_option(plain)
    add_config_option(plain)
    plain.set_defaults(answer=allow_plain)

    runtime = parsers.add_parser("allow-runtime", help="confirm that the chain's runtime changed ('status' says what)")
    runtime.add_argument("spec_version", type=int)
    add_json_option(runtime)
    add_config_option(runtime)
    runtime.set_defaults(answer=allow_runtime)


def add(chosen: argparse.Namespace) -> int:
    """Prints the token alone on standard output, so that it can be piped; what it is good for on standard error."""
    config = find_config(chosen)
    wallet, _, hotkey = (chosen.key or _only_key(config)).partition("/")
    token = sys.stdin.readline().strip() if chosen.token_stdin else None
    netuids = None if chosen.netuid is None else tuple(chosen.netuid)
    calls = tuple(dict.fromkeys(chosen.call)) if chosen.call else DEFAULT_CALLS
    question = ClientAdd(chosen.name, wallet, hotkey, calls, netuids, chosen.per_hour, token, chosen.public_key)
    added: ClientAdded = ask_signer(config, question)
    if chosen.json:
        print_json(to_json(added))
        return 0
    print(f"{_line(added.client)}", file=sys.stderr)
    if token is None and added.token is not None:
        print("its token, shown only now; give it to the node as WALLET_SERVICE_TOKEN:", file=sys.stderr)
        print(added.token)
    return 0


def _only_key(config: Any) -> str:
    hotkeys = config.signer.hotkeys
    return str(hotkeys[0]) if len(hotkeys) == 1 else ""


def show(chosen: argparse.Namespace) -> int:
    """One line per client."""
    status: StatusView = ask_signer(find_config(chosen), StatusAsk())
    lines = [_line(client) for client in status.clients]
    tell(chosen, to_json(status.clients), *(lines or ["no clients; 'wallet-guard client add NAME' makes one"]))
    return 0


def revoke(chosen: argparse.Namespace) -> int:
    """Revokes at once, for everything that is not signed yet."""
    ask_signer(find_config(chosen), ClientRevoke(chosen.name))
    tell(chosen, {"revoked": chosen.name}, f"revoked {chosen.name}")
    return 0


def keygen(chosen: argparse.Namespace) -> int:
    """Prints the address of the new key alone on standard output."""
    try:
        identity = Identity.create(chosen.file, chosen.hotkey)
    except SettingsError as error:
        raise CommandError(str(error)) from error
    if chosen.json:
        print_json({"address": identity.address, "file": chosen.file})
        return 0
    print("tell the guard's operator this address, for 'wallet-guard client add NAME --public-key':", file=sys.stderr)
    print(identity.address)
    return 0


def allow_plain(chosen: argparse.Namespace) -> int:
    """Lets plain weights be signed again for the subnet."""
    ask_signer(find_config(chosen), AllowPlain(chosen.netuid))
    tell(chosen, {"allowed": chosen.netuid}, f"plain weights may be signed for subnet {chosen.netuid}")
    return 0


def allow_runtime(chosen: argparse.Namespace) -> int:
    """Lets signatures be made for the changed runtime."""
    ask_signer(find_config(chosen), AllowRuntime(chosen.spec_version))
    tell(chosen, {"allowed": chosen.spec_version}, f"signatures may be made for runtime {chosen.spec_version}")
    return 0


def _line(client: ClientView) -> str:
    netuids = "any subnet" if client.netuids is None else "subnet " + ", ".join(map(str, client.netuids))
    line = f"{client.name}: {client.wallet}/{client.hotkey}, {', '.join(client.calls)}, {netuids}, "
    line += f"{client.per_hour} an hour"
    if client.public_key is not None:
        line += f", signs with {client.public_key}"
    if client.revoked_ms is not None:
        line += f", revoked {datetime.fromtimestamp(client.revoked_ms / 1000, UTC):%Y-%m-%d %H:%M} UTC"
    return line
