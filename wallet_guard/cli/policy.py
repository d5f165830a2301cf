"""``wallet-guard policy check|reload`` and ``explain``: what clients may do, and what would become of a request."""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from wallet_guard.cli.errors import CommandError
from wallet_guard.cli.place import add_config_option, ask_signer, find_config
from wallet_guard.cli.printing import add_json_option, print_json, tell
from wallet_guard.host.config import ConfigurationError
from wallet_guard.host.policy import ClientPolicy, read_policy
from wallet_guard.ipc.admin import PolicyReload, PolicyView
from wallet_guard.ipc.clients import CALLS
from wallet_guard.ipc.explanations import Explain, Explanation
from wallet_guard.ipc.records import to_json
from wallet_guard.ipc.wishes import SetWeights

POLICY_FILE = "policy.toml"

TEMPLATE = """\
# What each client may do. It narrows what 'wallet-guard client add' granted, and never widens it. After a change:
# 'wallet-guard policy check' and 'wallet-guard policy reload' (or SIGHUP to the signer). A file that is wrong changes
# nothing. Every key is explained in hardening/policy.md.

# Clients that have no table of their own. "any" is whatever the grant says; a list that is missing allows nothing.
[default]
keys = "any"
calls = "any"
netuids = "any"
mechanisms = "any"

# A table of its own stands in for the default, whole.
#[client.my-validator]
#keys = ["validator/default"]
#calls = ["set_weights"]
#netuids = [2, 5]
#mechanisms = [0]
# Limits; one that is missing limits nothing.
#per_hour = { set_weights = 10 }
#min_blocks = 100
#min_seconds = 1200
#uids = [3, [10, 255]]
#max_share = 0.5
#max_change = 0.8
#hours = [[6, 22]]
#expires = 2027-01-31T00:00:00Z
#dry_run_only = false
# Other limits on one subnet.
#subnet.5 = { max_share = 0.2 }

# The last line says that the file is whole.
# end
"""
"""The policy of a new guard: the grants decide alone."""


def add_words(parsers: Any) -> None:
    """``policy`` with its two words, and ``explain``."""
    policy = parsers.add_parser("policy", help="what clients may do: check the file, reload it")
    words = policy.add_subparsers(title="words", metavar="WORD", required=True)
    checking = words.add_parser("check", help="read a policy file as the signer would, and say what it lists")
    checking.add_argument("file", nargs="?", default="", help="default: the one that the configuration names")
    add_json_option(checking)
    add_config_option(checking)
    checking.set_defaults(answer=check)
    reloading = words.add_parser("reload", help="the signer reads its policy file again; a wrong one changes nothing")
    add_json_option(reloading)
    add_config_option(reloading)
    reloading.set_defaults(answer=reload)

    explaining = parsers.add_parser(
        "explain",
        help="what would become of a client's weights now: every rule, the exact call; nothing is signed",
        epilog="exit status: 0 it would be signed, 1 it would not",
    )
    explaining.add_argument("client", help="its name")
    explaining.add_argument("--netuid", type=int, required=True, metavar="N")
    explaining.add_argument("--mechid", type=int, default=0, metavar="N", help="default 0")
    explaining.add_argument("--version-key", type=int, default=0, metavar="N", help="default 0")
    explaining.add_argument("--key", default="", metavar="WALLET/HOTKEY", help="default: the only one")
    explaining.add_argument(
        "--weights", required=True, metavar="JSON", help="""by uid or hotkey: '{"1": 0.5, "2": 0.5}'; - reads it"""
    )
    add_json_option(explaining)
    add_config_option(explaining)
    explaining.set_defaults(answer=explain)


def check(chosen: argparse.Namespace) -> int:
    """0 for a policy.

    Raises:
        ConfigurationError: it is none, and the message says where.
    """
    path = chosen.file or find_config(chosen).policy_path
    if not path:
        why = "no policy file is configured: the grants of 'wallet-guard client list' decide alone"
        tell(chosen, {"sha256": None, "clients": [], "others": True}, why)
        return 0
    policy = read_policy(path, CALLS)
    tables = [*policy.clients, *([("(any other client)", policy.default)] if policy.default else [])]
    tell(
        chosen,
        {"sha256": policy.sha256, "clients": [name for name, _ in policy.clients], "others": bool(policy.default)},
        *(_line(name, table) for name, table in tables),
        *([] if policy.default else ["(any other client): nothing"]),
        f"sha256 {policy.sha256}",
    )
    return 0


def reload(chosen: argparse.Namespace) -> int:
    """0 once the file's content is in force.

    Raises:
        CommandError: it is not, and the policy before it stays.
    """
    told: PolicyView = ask_signer(find_config(chosen), PolicyReload())
    if told.error:
        raise CommandError(f"the policy stays as it was: {told.error}", "mend the file, then reload it again")
    where = told.path or "no policy file, the grants alone decide"
    tell(chosen, to_json(told), f"in force: {where}, sha256 {told.sha256 or '-'}")
    return 0


def explain(chosen: argparse.Namespace) -> int:
    """0 if it would be signed, 1 if not."""
    config = find_config(chosen)
    key = chosen.key or _only_key(config.signer.hotkeys)
    wallet, _, hotkey = key.partition("/")
    text = sys.stdin.read() if chosen.weights == "-" else chosen.weights
    uids, hotkeys, weights = _read_weights(text)
    wish = SetWeights(wallet, hotkey, chosen.netuid, chosen.mechid, uids, hotkeys, weights, chosen.version_key)
    told: Explanation = ask_signer(config, Explain(chosen.client, wish), seconds=EXPLAIN_SECONDS)
    if chosen.json:
        print_json(to_json(told))
    else:
        _print(told)
    return 0 if told.approved else 1


EXPLAIN_SECONDS = 15.0
"""The chain is asked, too; the signer ends that after ten."""


def _only_key(hotkeys: tuple[str, ...]) -> str:
    if len(hotkeys) != 1:
        raise CommandError(f"expected --key, one of {', '.join(hotkeys) or 'none'}")
    return hotkeys[0]


def _read_weights(text: str) -> tuple[tuple[int, ...] | None, tuple[str, ...] | None, tuple[float, ...]]:
    """(uids, None, weights) or (None, hotkeys, weights)."""
    expected = """weights: expected a JSON object such as '{"1": 0.5, "2": 0.5}'"""
    try:
        found = json.loads(text)
        weights = tuple(float(weight) for weight in found.values())
    except (ValueError, AttributeError, TypeError, RecursionError) as error:
        raise CommandError(expected) from error
    if all(name.isascii() and name.isdecimal() for name in found):
        return tuple(map(int, found)), None, weights
    return None, tuple(found), weights


def _print(told: Explanation) -> None:
    print(f"{told.kind} of {told.client} for {told.wallet}/{told.hotkey}, subnet {told.netuid} mechanism {told.mechid}")
    for verdict in told.rules:
        found = f", found {verdict.found}" if verdict.found else ""
        print(f"  {verdict.ruling:<6} {verdict.rule}: {verdict.passes}{found}")
    if told.call is not None:
        call = told.call
        digest = call.metadata_digest.hex() if call.metadata_digest else "off"
        print(f"  call   {call.name}, runtime {call.spec_version}, metadata digest {digest}")
        print(f"  data   0x{call.data.hex()}")
        if call.weights is not None:
            print(f"  u16    {', '.join(f'{uid}: {value}' for uid, value in call.weights)}")
        if call.reveal_round is not None:
            print(f"  reveal drand round {call.reveal_round}; the ciphertext is made anew for each signature")
        print(f"  fee    {'not told by the chain' if call.fee is None else f'{call.fee} rao'}")
    print("it would be signed" if told.approved else f"it would not be signed: {told.code}: {told.message}")


def _line(name: str, table: ClientPolicy) -> str:
    parts = [f"{what} {_listed(found)}" for what, found in (
        ("keys", table.keys), ("calls", table.calls), ("netuids", table.netuids), ("mechanisms", table.mechanisms)
    )]  # fmt: skip
    parts += ["dry runs only"] if table.dry_run_only else []
    return f"{name}: {'; '.join(parts)}"


def _listed(found: tuple[Any, ...] | None) -> str:
    return "any" if found is None else ", ".join(map(str, found)) or "none"


def write_default(folder: Path) -> Path:
    """The file of a new guard in that folder; one that is there stays."""
    path = folder / POLICY_FILE
    try:
        with path.open("x", encoding="utf-8") as opened:
            opened.write(TEMPLATE)
        path.chmod(0o644)
    except FileExistsError:
        pass
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be written: {error.strerror}") from error
    return path
