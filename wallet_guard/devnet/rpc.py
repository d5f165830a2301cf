"""JSON-RPC 2.0 over one connection: requests in, answers and subscription notifications out; no I/O.

A `Session` is one connection. The answer to a request is delivered before any notification that the request caused.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from wallet_guard.devnet.refusals import (
    INVALID_REQUEST,
    METHOD_NOT_FOUND,
    PARSE_ERROR,
    RpcError,
)

MAX_SUBSCRIPTIONS = 1024
"""A node's own default per connection (`--rpc-max-subscriptions-per-connection`)."""

Json = Any
"""A value as `json.loads` gives it."""


@dataclass(frozen=True, slots=True)
class Request:
    """One call of a batch, or the only one; `id` as it came (None in a notification, which is answered too)."""

    id: Json
    method: str
    params: list[Json]


class Session:
    """One connection: `deliver` takes each message for it; while `is_silent` says so, it gets no notifications."""

    def __init__(self, deliver: Callable[[str], object], is_silent: Callable[[], bool]) -> None:
        self.subscriptions: dict[str, str] = {}
        self._deliver = deliver
        self._is_silent = is_silent
        self._held: list[str] | None = None
        self._ids = itertools.count(1)

    def send(self, message: Json) -> None:
        """Deliver a message, or keep it while an answer is being made."""
        text = json.dumps(message, separators=(",", ":"))
        if self._held is None:
            self._deliver(text)
        else:
            self._held.append(text)

    def hold(self) -> None:
        """Keep messages until `release`."""
        self._held = []

    def release(self) -> list[str]:
        """Keep no longer: what was kept, in order."""
        held, self._held = self._held or [], None
        return held

    def open(self, notification: str) -> str:
        """A new subscription, whose updates carry `notification` as their method; its id. Raises: RpcError."""
        if len(self.subscriptions) >= MAX_SUBSCRIPTIONS:
            raise RpcError(
                -32006, "Too many subscriptions on the connection", f"Exceeded max limit of {MAX_SUBSCRIPTIONS}"
            )
        subscription = f"devnet-{next(self._ids)}"
        self.subscriptions[subscription] = notification
        return subscription

    def close(self, subscription: Json) -> bool:
        """End a subscription; False when there is none of that id."""
        return self.subscriptions.pop(str(subscription), None) is not None

    def notify(self, subscription: str, result: Json) -> None:
        """Send an update of a subscription, if it is still open."""
        method = self.subscriptions.get(subscription)
        if method is not None and not self._is_silent():
            params = {"subscription": subscription, "result": result}
            self.send({"jsonrpc": "2.0", "method": method, "params": params})


Handler = Callable[[Session, list[Json]], Json]


def parse(text: str) -> tuple[list[Request], bool]:
    """The requests of a message, and whether they came as a batch.

    Raises: RpcError for what is no JSON-RPC request.
    """
    try:
        message = json.loads(text)
    except (ValueError, RecursionError):
        raise RpcError(PARSE_ERROR, "Parse error") from None
    batch = isinstance(message, list)
    requests = message if batch else [message]
    if not requests:
        raise RpcError(INVALID_REQUEST, "Invalid request")
    return [_request(item) for item in requests], batch


def _request(item: Json) -> Request:
    if not isinstance(item, dict) or not isinstance(item.get("method"), str):
        raise RpcError(INVALID_REQUEST, "Invalid request")
    params = item.get("params", [])
    if not isinstance(params, list | dict):
        raise RpcError(INVALID_REQUEST, "Invalid request")
    return Request(item.get("id"), item["method"], params if isinstance(params, list) else list(params.values()))


def failure(request_id: Json, error: RpcError) -> Json:
    """The answer that carries an error."""
    return {"jsonrpc": "2.0", "id": request_id, "error": error.record()}


def perform(handlers: dict[str, Handler], session: Session, request: Request) -> Json:
    """The answer to one request."""
    handler = handlers.get(request.method)
    if handler is None:
        return failure(request.id, RpcError(METHOD_NOT_FOUND, "Method not found"))
    try:
        return {"jsonrpc": "2.0", "id": request.id, "result": handler(session, request.params)}
    except RpcError as error:
        return failure(request.id, error)


def answer(handlers: dict[str, Handler], session: Session, requests: list[Request], *, batch: bool) -> list[str]:
    """Perform requests in order; what is to be delivered then: the answer, and behind it what the requests caused."""
    session.hold()
    try:
        answers = [perform(handlers, session, request) for request in requests]
    finally:
        caused = session.release()
    return [json.dumps(answers if batch else answers[0], separators=(",", ":")), *caused]
