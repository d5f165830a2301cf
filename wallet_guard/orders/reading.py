"""The question that an HTTP request spells, from its method, target and body alone.

For the signer, where a client signed the request: the gateway's own reading of it then counts for nothing.
"""

import re
from urllib.parse import parse_qsl

from wallet_guard.ipc.clients import Info
from wallet_guard.ipc.explanations import DryRun
from wallet_guard.ipc.intents import Accept, Show
from wallet_guard.orders.fields import BodyError, shortened
from wallet_guard.orders.signatures import SIGNATURES, Signature
from wallet_guard.orders.weights import Order, parse_order
from wallet_guard.orders.wishes import KINDS, parse_wish

Read = Accept | DryRun | Show | Info | Signature

DRY_RUN_QUERY = "dry_run=1"
"""The one query that a submitting route takes, in its one plain spelling: the same as ``"dry_run": true``."""

_INTENT_PATH = re.compile(r"/wallet/intents/([A-Za-z0-9_-]{1,64})", re.ASCII)

_WALLET = "/wallet/"


def read_question(token: str, method: str, target: str, body: bytes) -> Read:
    """What is asked, in the name of ``token``.

    Paths are taken in their one plain spelling; of queries ``dry_run=1`` means something where a wish is asked for, and
    that of ``/wallet/info`` only chooses among what is answered.

    Raises:
        BodyError: no such request, or a body that is not its shape.
    """
    path, mark, query = target.partition("?")
    if method == "GET":
        return _read_look(token, path, query)
    dry_run = query == DRY_RUN_QUERY
    if method == "POST" and path == "/wallet/set_weights" and (dry_run or not mark):
        return _accept(token, parse_order(body), dry_run=dry_run)
    if method == "POST" and path.removeprefix(_WALLET) in KINDS and (dry_run or not mark):
        return _accept(token, parse_wish(path.removeprefix(_WALLET), body), dry_run=dry_run)
    if mark:
        raise BodyError(f"query: expected none, found {shortened(query)!r}")
    if method == "POST" and path in SIGNATURES:
        return SIGNATURES[path](token, body)
    raise BodyError(f"expected a request that a client may sign, found {shortened(method)} {shortened(path)}")


def _read_look(token: str, path: str, query: str) -> Show | Info:
    intent = _INTENT_PATH.fullmatch(path)
    if intent is not None and not query:
        return Show(token, intent[1])
    if path == "/wallet/info" and {name for name, _ in parse_qsl(query)} <= {"wallet_name", "hotkey_name"}:
        return Info(token)
    raise BodyError(f"expected a request that a client may sign, found GET {shortened(path)}")


def _accept(token: str, order: Order, *, dry_run: bool) -> Accept | DryRun:
    if dry_run or order.dry_run:
        return DryRun(token, order.request)
    return Accept(token, order.idempotency_key, order.queue, order.request)
