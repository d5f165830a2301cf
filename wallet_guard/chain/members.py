"""Who is registered: read from the chain for the hub, which asks on a socket of its own and may ask nothing else.

The service manager decides who can open that socket (its group is the hub's): this process may live in a user
namespace, where every other uid looks the same. What is told is public; so what is guarded here is this process's
time: one subnet, one reading in so many seconds, few connections, small packets, deadlines.
"""

import asyncio
import contextlib
import logging
import socket
from typing import Any, Final

from wallet_guard.chain.endpoints import Endpoints
from wallet_guard.chain.errors import NodeError, Unavailable
from wallet_guard.chain.facts import PALLET
from wallet_guard.chain.link import Link
from wallet_guard.ipc.answers import Refusal
from wallet_guard.ipc.metagraph import MAX_MEMBERS, METAGRAPH, Members, MembersView
from wallet_guard.ipc.packets import PacketError, PacketReader, encode_packet
from wallet_guard.ipc.records import RecordError, from_json, to_json

log = logging.getLogger(__name__)

FRESH_SECONDS = 6.0
"""An answer serves for so long, half a block: a hub that asks in a loop costs the endpoint nothing."""

LINK_SECONDS = 1.0
"""For a link to the chain; then the hub is told that there is none, and keeps to the last answer."""

READ_SECONDS = 8.0
"""For one reading; the hub gives up after 10."""

MAX_CONNECTIONS = 4
"""One hub, and its successor during a restart; twice that."""

MAX_QUESTION_BYTES = 4096
"""Of a question: a word and a number."""

SEND_SECONDS = 10.0
"""For a hub that does not take its answer."""

_KEY_BYTES: Final = 32


class Registry:
    """Answers ``Members`` for one subnet, from the link at hand."""

    def __init__(self, endpoints: Endpoints, netuid: int) -> None:
        self._endpoints = endpoints
        self._netuid = netuid
        self._read_at = 0.0
        self._last: MembersView | None = None
        self._reading = asyncio.Lock()

    async def members(self, netuid: int) -> MembersView | Refusal:
        """Who is registered now, or was within FRESH_SECONDS; or why that cannot be told."""
        if netuid != self._netuid:
            return Refusal("netuid_not_allowed", f"expected netuid {self._netuid}, found {netuid}", "see [hub] netuid")
        loop = asyncio.get_running_loop()
        async with self._reading:
            if self._last is not None and loop.time() - self._read_at < FRESH_SECONDS:
                return self._last
            try:
                async with asyncio.timeout(READ_SECONDS):
                    self._last = await read_members(await self._endpoints.link(LINK_SECONDS), netuid)
            except (Unavailable, NodeError, TimeoutError) as error:
                return Refusal("unavailable", f"the chain cannot be read: {str(error) or 'no answer in time'}"[:300])
            self._read_at = loop.time()
            return self._last


async def read_members(link: Link, netuid: int) -> MembersView:
    """The hotkeys of a subnet at the best head.

    Raises:
        Unavailable: no answer, or one that makes no sense.
        NodeError: the endpoint says no.
    """
    head = link.heads.best
    codec = (await link.runtime_at(head.hash)).codec
    (raw,) = await link.node.storage([codec.key(PALLET, "SubnetworkN", [netuid])], head.hash)
    count = codec.value(PALLET, "SubnetworkN", raw)
    if type(count) is not int or not 0 <= count <= MAX_MEMBERS:
        raise Unavailable(f"SubnetworkN: expected 0 to {MAX_MEMBERS}, found {str(count)[:40]!r}")
    keys = [codec.key(PALLET, "Keys", [netuid, uid]) for uid in range(count)]
    raws = await link.node.storage(keys, head.hash) if keys else []
    # An account is its 32 bytes, in SCALE as anywhere.
    found = tuple(raw for raw in raws if raw is not None)
    if any(len(key) != _KEY_BYTES for key in found):
        raise Unavailable(f"Keys: expected accounts of {_KEY_BYTES} bytes")
    return MembersView(netuid, head.number, found)


class Door:
    """The socket where the hub asks. ``serve`` takes a listening socket."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._open = 0

    async def serve(self, listener: socket.socket) -> None:
        """Answers until cancelled; closes the socket."""
        server = await asyncio.start_unix_server(self._converse, sock=listener)
        async with server:
            await server.serve_forever()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open += 1
        try:
            if self._open > MAX_CONNECTIONS:
                log.warning(f"refused a connection to the hub's socket: {MAX_CONNECTIONS} are open")
                return
            packets = PacketReader(MAX_QUESTION_BYTES)
            while data := await reader.read(MAX_QUESTION_BYTES):
                for message in packets.feed(data):
                    writer.write(encode_packet(await self._answer(message)))
                    async with asyncio.timeout(SEND_SECONDS):
                        await writer.drain()
        except (PacketError, RecordError) as error:
            log.warning(f"closed a connection of the hub's socket: it spoke nonsense: {error}")
        except asyncio.CancelledError:
            pass  # the process stops; asyncio's own callback asks each of these tasks for its result (before 3.12)
        except OSError as error:  # a broken connection, a reader that does not read
            log.info(f"closed a connection of the hub's socket: {str(error) or type(error).__name__}")
        finally:
            self._open -= 1
            writer.transport.abort()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _answer(self, message: dict[str, Any]) -> dict[str, Any]:
        number, ask = message.get("id"), message.get("ask")
        if type(number) is not int or not isinstance(ask, str) or message.keys() != {"id", "ask", "body"}:
            raise PacketError("expected a question with id, ask and body")
        if ask not in METAGRAPH:
            raise PacketError(f"expected a question of the hub, found {ask[:40]!r}")
        result = await self._registry.members(from_json(Members, message["body"]).netuid)
        kind = "refusal" if isinstance(result, Refusal) else "answer"
        return {"id": number, kind: to_json(result)}
