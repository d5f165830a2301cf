"""The devnet on the wire: connections, the block timer, and the faults that are met there.

One task per connection reads requests and performs them at once, one after another, so the chain is never touched by
two at a time; one more writes what waits. A request that a `slow` fault meets is performed later by a task of its
own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from wallet_guard.devnet import rpc
from wallet_guard.devnet.chain import Chain
from wallet_guard.devnet.control import Control
from wallet_guard.devnet.faults import Fault, Faults
from wallet_guard.devnet.node import Node
from wallet_guard.devnet.refusals import POOL_INVALID, RpcError
from wallet_guard.devnet.rpc import Handler, Request, Session

MAX_DELAY_MILLISECONDS = 600_000
MAX_DELAYED = 256
"""How many requests of a connection may be delayed at once; further ones are performed at once."""


class Wire(Protocol):
    """What the devnet needs of a WebSocket connection."""

    async def receive(self) -> str | None:
        """The next text message; None when the connection has ended."""

    async def send(self, text: str) -> None:
        """Send a text message. Raises: ConnectionError when the connection has ended."""

    def abort(self) -> None:
        """Cut the connection without a closing handshake."""


class Devnet:
    """The chain with its RPC methods, block timer and connections. `clock` gives the wall time in milliseconds."""

    def __init__(self, chain: Chain, clock: Callable[[], int]) -> None:
        self.chain = chain
        self.clock = clock
        self.faults = Faults()
        self.node = Node(chain, self.faults)
        self.handlers: dict[str, Handler] = self.node.methods() | Control(chain, self.faults, clock).methods()
        names = sorted([*self.handlers, "rpc_methods"])
        self.handlers["rpc_methods"] = lambda _session, _params: {"methods": names}

    async def mine(self) -> None:
        """Make a block every slot, for ever; a late one does not delay the next."""
        loop = asyncio.get_running_loop()
        slot = self.chain.slot_milliseconds / 1000
        due = loop.time()
        while True:
            due = max(due + slot, loop.time() - slot)
            await asyncio.sleep(due - loop.time())
            if self.faults.find("no_mining") is None:
                self.chain.seal(self.clock())

    async def serve(self, wire: Wire) -> None:
        """Answer one connection until it ends."""
        connection = _Connection(self, wire)
        try:
            await connection.run()
        finally:
            self.node.forget(connection.session)


class _Connection:
    def __init__(self, devnet: Devnet, wire: Wire) -> None:
        self.devnet = devnet
        self.wire = wire
        self.waiting = asyncio.Event()
        self.session = Session(self.waiting.set)
        self.delayed: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        writer = asyncio.create_task(self._write())
        try:
            while (text := await self.wire.receive()) is not None:
                self._take(text)
        finally:
            for task in (writer, *self.delayed):
                task.cancel()
            await asyncio.gather(writer, *self.delayed, return_exceptions=True)

    async def _write(self) -> None:
        while True:
            await self.waiting.wait()
            self.waiting.clear()
            if self.session.overflowed:
                self.wire.abort()
                return
            while self.session.outgoing:
                try:
                    await self.wire.send(self.session.outgoing.popleft())
                except ConnectionError:
                    return

    def _take(self, text: str) -> None:
        try:
            requests, batch = rpc.parse(text)
        except RpcError as error:
            self.session.send(rpc.failure(None, error))
            return
        faults = self.devnet.faults
        self.session.silent = faults.find("half_open") is not None
        if self.session.silent:
            requests = [request for request in requests if request.method.startswith("devnet_")]
        met: dict[str, Fault] = {}
        for request in requests:
            met |= faults.strike(request.method)
        if "close" in met:
            self.wire.abort()
        elif not requests or "mute" in met:
            return
        elif "slow" in met and len(self.delayed) < MAX_DELAYED:
            milliseconds = min(max(int(met["slow"].fields.get("milliseconds", 1000)), 0), MAX_DELAY_MILLISECONDS)
            task = asyncio.create_task(self._later(milliseconds / 1000, requests, met, batch=batch))
            self.delayed.add(task)
            task.add_done_callback(self.delayed.discard)
        else:
            self._perform(requests, met, batch=batch)

    async def _later(self, seconds: float, requests: list[Request], met: dict[str, Fault], *, batch: bool) -> None:
        await asyncio.sleep(seconds)
        self._perform(requests, met, batch=batch)

    def _perform(self, requests: list[Request], met: dict[str, Fault], *, batch: bool) -> None:
        if "refuse" in met:
            refusal = _refusal(met["refuse"])
            answers = [rpc.failure(request.id, refusal) for request in requests]
            self.session.send(answers if batch else answers[0])
            return
        known = set(self.devnet.chain.records)
        rpc.answer(self.devnet.handlers, self.session, requests, batch=batch)
        if "swallow" in met:
            for extrinsic_hash in set(self.devnet.chain.records) - known:
                self.devnet.chain.drop(extrinsic_hash, None)
        if "lose_answer" in met:
            self.session.outgoing.clear()
            self.wire.abort()


def _refusal(fault: Fault) -> RpcError:
    fields = fault.fields
    code, message = fields.get("code", POOL_INVALID), fields.get("message", "Invalid Transaction")
    return RpcError(code, message, fields.get("data", "Transaction is outdated" if "message" not in fields else None))
