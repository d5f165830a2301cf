"""The devnet on the wire: connections, the block timer, and the faults that are met there.

Requests are performed at once, within the read that brought them, so the chain is never touched by two at a time. A
request that a `slow` fault meets is performed later, by a timer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from wallet_guard.devnet import rpc
from wallet_guard.devnet.chain import Chain
from wallet_guard.devnet.control import Control
from wallet_guard.devnet.faults import Fault, Faults
from wallet_guard.devnet.node import Node
from wallet_guard.devnet.refusals import POOL_INVALID, RpcError
from wallet_guard.devnet.rpc import Handler, Request, Session
from wallet_guard.net import Endpoint, WebSocket

MAX_DELAY_MILLISECONDS = 600_000


class Devnet(Endpoint):
    """The chain with its RPC methods, block timer and connections. `clock` gives the wall time in milliseconds."""

    def __init__(self, chain: Chain, clock: Callable[[], int]) -> None:
        self.chain = chain
        self.clock = clock
        self.faults = Faults()
        self.node = Node(chain, self.faults)
        self.handlers: dict[str, Handler] = self.node.methods() | Control(chain, self.faults, clock).methods()
        names = sorted([*self.handlers, "rpc_methods"])
        self.handlers["rpc_methods"] = lambda _session, _params: {"methods": names}
        self._sessions: dict[WebSocket, Session] = {}

    async def mine(self) -> None:
        """Make a block every slot, for ever; one that is late does not delay the next."""
        loop = asyncio.get_running_loop()
        slot = self.chain.slot_milliseconds / 1000
        due = loop.time()
        while True:
            due = max(due + slot, loop.time() - slot)
            await asyncio.sleep(due - loop.time())
            if self.faults.find("no_mining") is None:
                self.chain.seal(self.clock())

    def on_open(self, websocket: WebSocket) -> None:
        """A client has come."""
        self._sessions[websocket] = Session(websocket.send_text, self._is_silent)

    def on_close(self, websocket: WebSocket, code: int, reason: str) -> None:  # noqa: ARG002 - why does not matter
        """A client has gone, and its subscriptions with it."""
        session = self._sessions.pop(websocket, None)
        if session is not None:
            self.node.forget(session)

    def on_message(self, websocket: WebSocket, data: str | bytes) -> None:
        """Requests of a client."""
        session = self._sessions[websocket]
        try:
            requests, batch = rpc.parse(data if isinstance(data, str) else data.decode(errors="replace"))
        except RpcError as error:
            session.send(rpc.failure(None, error))
            return
        if self._is_silent():
            requests = [request for request in requests if request.method.startswith("devnet_")]
        met: dict[str, Fault] = {}
        for request in requests:
            met |= self.faults.strike(request.method)
        if "close" in met:
            websocket.abort()
        elif not requests or "mute" in met:
            return
        elif "slow" in met:
            milliseconds = min(max(met["slow"].number_of("milliseconds", 1000), 0), MAX_DELAY_MILLISECONDS)
            loop = asyncio.get_running_loop()
            loop.call_later(milliseconds / 1000, self._perform, websocket, requests, met, batch)
        else:
            self._perform(websocket, requests, met, batch)

    def _is_silent(self) -> bool:
        return self.faults.find("half_open") is not None

    def _perform(self, websocket: WebSocket, requests: list[Request], met: dict[str, Fault], batch: bool) -> None:
        session = self._sessions.get(websocket)
        if session is None:
            return  # it left while it was kept waiting
        if "refuse" in met:
            refusal = _refusal(met["refuse"])
            answers = [rpc.failure(request.id, refusal) for request in requests]
            session.send(answers if batch else answers[0])
            return
        known = set(self.chain.records) if "swallow" in met else set()
        messages = rpc.answer(self.handlers, session, requests, batch=batch)
        if "swallow" in met:
            for extrinsic_hash in set(self.chain.records) - known:
                self.chain.drop(extrinsic_hash, None)
        if "lose_answer" in met:
            websocket.abort()
            return
        for message in messages:
            websocket.send_text(message)


def _refusal(fault: Fault) -> RpcError:
    fields = fault.fields
    if "message" in fields:
        return RpcError(fault.number_of("code", POOL_INVALID), str(fields["message"]), fields.get("data"))
    return RpcError(fault.number_of("code", POOL_INVALID), "Invalid Transaction", "Transaction is outdated")
