"""The only door to the Bittensor SDK: one WebSocket session, and one runtime's codec.

Written against SDK 11.1.0 and 11.3.0. The SDK's public surface (``bittensor.Substrate``) reads one storage item per
call, with two more requests to find the runtime of the block, and reconnects where it likes; a task here reads two
dozen items in one request from an endpoint whose genesis was checked. So this module reaches for the layer below, whose
source is the same in both versions:

- ``bittensor._transport.rpc.RpcSession``: JSON-RPC over one WebSocket, requests matched to answers, subscriptions. Its
  reconnecting is switched off (one dial, one failure): which endpoint comes next is ``endpoints``' business.
- ``bittensor._transport.codec``: ``RuntimeCodec`` and ``strip_option_opaque_metadata``, SCALE by the Rust core.
- ``bittensor._transport.extrinsics.resolve_outcome``: the outcome of an extrinsic from its events.
- ``bittensor._transport.errors``.

``websockets``, which the SDK brings, opens the sockets: with a ceiling on messages, and pings.

Importing the SDK takes about a second and 45 MB: this module is imported once, when the process starts.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from typing import Any

from bittensor._transport.codec import RuntimeCodec, StorageEntry, strip_option_opaque_metadata
from bittensor._transport.errors import (
    RpcPolicyRejection,
    StateDiscardedError,
    StorageFunctionNotFound,
    SubstrateRequestException,
)
from bittensor._transport.extrinsics import resolve_outcome
from bittensor._transport.rpc import RpcSession
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from wallet_guard.chain.errors import NodeError, Unavailable
from wallet_guard.chain.ports import DispatchFailure

MAX_MESSAGE_BYTES = 32 * 1024 * 1024
"""32 MiB: a full block is 5 MiB, 10 MiB in hex; the SDK itself would take 4 GiB from anyone."""

HANDSHAKE_SECONDS = 10.0
"""TCP, TLS and WebSocket handshake: the SDK's own limit."""

PING_SECONDS = 10.0
"""Between pings, and until a missing pong means a dead peer: proxies cut what is silent for a minute."""

CLOSE_SECONDS = 1.0
"""For the closing handshake: a process must stop within two seconds."""

SS58_FORMAT = 42
"""Bittensor's address format."""

STATE_DISCARDED = 4003
"""The code under which an endpoint says that it no longer keeps a block's state (the SDK hides the code)."""

# The SDK tells of lost connections in its own words; `endpoints` tells it in ours.
logging.getLogger("bittensor").setLevel(logging.ERROR)
logging.getLogger("websockets").setLevel(logging.ERROR)


class Connection:
    """One WebSocket to one endpoint. It never comes back by itself: after ``Unavailable`` open another."""

    def __init__(self, session: RpcSession, dial: "_Dial") -> None:
        self._session = session
        self._dial = dial

    @classmethod
    async def open(cls, url: str) -> "Connection":
        """A connection that is open.

        Raises:
            Unavailable: refused, no handshake within 10 seconds, or turned away by the endpoint's policy.
        """
        dial = _Dial()
        session = RpcSession(url, max_retries=1, connect_factory=dial)
        try:
            async with asyncio.timeout(HANDSHAKE_SECONDS):
                await session.connect()
        except TimeoutError as error:
            await _closed(session)
            raise Unavailable(f"no WebSocket handshake within {HANDSHAKE_SECONDS:g} s") from error
        except (SubstrateRequestException, OSError) as error:
            await _closed(session)
            # The session knows one endpoint; its words are for many.
            raise Unavailable(str(error).removeprefix("could not connect to any endpoint: ")[:300]) from error
        return cls(session, dial)

    async def request(self, method: str, params: list[Any]) -> Any:
        """The result of one JSON-RPC request. No deadline of its own.

        Raises:
            NodeError: the endpoint answered with an error.
            Unavailable: the connection broke or the endpoint's policy turned us away.
        """
        try:
            return await self._session.request(method, params)
        except SubstrateRequestException as error:
            raise self._translated(error) from error

    async def subscribe(self, method: str, unsubscribe: str) -> AsyncIterator[Any]:
        """What a subscription tells, from the first update on; ends only by ``Unavailable``.

        Raises:
            Unavailable: not subscribed, or the connection broke.
        """
        try:
            subscription = await self._session.subscribe(method, [], unsubscribe)
            async for update in subscription:
                yield update.get("result")
        except SubstrateRequestException as error:
            raise self._translated(error) from error
        raise Unavailable(self._dial.lost or "the connection was closed")

    async def close(self) -> None:
        """Closes within a second or so; whoever still waits gets ``Unavailable``."""
        await _closed(self._session)

    def _translated(self, error: SubstrateRequestException) -> NodeError | Unavailable:
        payload = error.payload.get("error") if error.payload else None
        if isinstance(payload, dict) and not isinstance(error, RpcPolicyRejection):
            code, data = payload.get("code"), payload.get("data")
            text = "" if data is None else data if isinstance(data, str) else repr(data)
            return NodeError(code if isinstance(code, int) else 0, str(payload.get("message", ""))[:500], text[:500])
        if isinstance(error, StateDiscardedError):
            return NodeError(STATE_DISCARDED, f"state already discarded for {error.block_hash[:80]}")
        return Unavailable(self._dial.lost or str(error)[:300])


class _Dial:
    """The session's way to a socket, once: it would dial again by itself, unchecked, when asked after a loss.

    Stands between session and socket for a second reason: the session's own handling of a connection that the endpoint
    closed in an orderly way fails (it makes a ``ConnectionClosed`` that cannot be) and leaves everybody waiting.
    """

    def __init__(self) -> None:
        self.lost = ""
        """Why the connection was lost; "" before that."""
        self._socket: ClientConnection | None = None

    async def __call__(self, url: str) -> "_Dial":
        if self._socket is not None:
            raise ConnectionError(self.lost or "the connection was lost")
        self._socket = await connect(
            url,
            max_size=MAX_MESSAGE_BYTES,
            open_timeout=HANDSHAKE_SECONDS,
            ping_interval=PING_SECONDS,
            ping_timeout=PING_SECONDS,
            close_timeout=CLOSE_SECONDS,
        )
        return self

    async def send(self, message: str) -> None:
        assert self._socket is not None
        await self._socket.send(message)

    async def recv(self) -> str | bytes:
        assert self._socket is not None
        try:
            return await self._socket.recv()
        except ConnectionClosed as error:
            self.lost = f"the connection was lost: {str(error)[:200]}"
            raise ConnectionError(self.lost) from error

    async def close(self) -> None:
        assert self._socket is not None
        await self._socket.close()


async def _closed(session: RpcSession) -> None:
    with contextlib.suppress(TimeoutError, SubstrateRequestException, OSError):
        async with asyncio.timeout(2 * CLOSE_SECONDS):
            await session.close()


class Codec:
    """One runtime's storage keys, values, constants and errors, by its metadata.

    ``metadata`` is the V15 blob as ``ipc.chain.Runtime`` wants it.

    Raises (on making one):
        Unavailable: the metadata cannot be read.
    """

    def __init__(self, metadata: bytes, *, spec_version: int, transaction_version: int) -> None:
        self.metadata = metadata
        try:
            self._codec = RuntimeCodec(
                metadata,
                spec_version=spec_version,
                transaction_version=transaction_version,
                ss58_format=SS58_FORMAT,
            )
        except _DECODING as error:
            raise Unavailable(f"expected runtime metadata: {str(error)[:200]}") from error
        self._entries: dict[tuple[str, str], StorageEntry | None] = {}

    def has(self, pallet: str, item: str) -> bool:
        """Does this runtime have the storage item?"""
        return self._entry(pallet, item) is not None

    def key(self, pallet: str, item: str, params: list[Any]) -> bytes:
        """The storage key of an item that the runtime has.

        Raises:
            Unavailable: the runtime keys the item in another way.
        """
        entry = self._entry(pallet, item)
        assert entry is not None, "ask for what the runtime has"
        try:
            return self._codec.storage_key(entry, params)
        except _DECODING as error:
            raise Unavailable(f"{pallet}.{item}: expected {len(params)} keys: {str(error)[:200]}") from error

    def value(self, pallet: str, item: str, raw: bytes | None) -> Any:
        """The decoded value; what the runtime defines for absent keys where ``raw`` is None.

        Raises:
            Unavailable: the bytes are no value of that item.
        """
        entry = self._entry(pallet, item)
        assert entry is not None, "ask for what the runtime has"
        try:
            if raw is None:
                return self._codec.decode(entry.decode_type(False), entry.default_bytes)
            return self._codec.decode(entry.value_type, raw)
        except _DECODING as error:
            raise Unavailable(f"{pallet}.{item}: expected a value of its type: {str(error)[:200]}") from error

    def constant(self, pallet: str, name: str) -> Any:
        """A pallet constant, None if the runtime has none of that name."""
        try:
            return self._codec.constant(pallet, name)
        except _DECODING as error:
            raise Unavailable(f"{pallet}.{name}: expected a constant: {str(error)[:200]}") from error

    def failure(self, events: Any, extrinsic_index: int) -> DispatchFailure | None:
        """Why the extrinsic of that index failed, by the block's decoded ``System.Events``; None if it succeeded.

        Raises:
            Unavailable: the events do not tell.
        """
        try:
            mine = [event for event in events or [] if event.get("extrinsic_idx") == extrinsic_index]
            outcome = resolve_outcome(mine, self._codec)
        except _DECODING as error:
            raise Unavailable(f"expected the events of extrinsic {extrinsic_index}: {str(error)[:200]}") from error
        if outcome["is_success"]:
            return None
        found = outcome["error_message"]
        if not isinstance(found, dict):
            raise Unavailable(f"expected the outcome of extrinsic {extrinsic_index} in the events, found none")
        docs = found.get("docs") or ""
        return DispatchFailure(str(found.get("name")), " ".join(docs) if isinstance(docs, list) else str(docs))

    def _entry(self, pallet: str, item: str) -> StorageEntry | None:
        if (pallet, item) not in self._entries:
            try:
                self._entries[pallet, item] = self._codec.storage_entry(pallet, item)
            except StorageFunctionNotFound:
                self._entries[pallet, item] = None
        return self._entries[pallet, item]


# What the Rust core and the SDK raise for bytes and shapes that are not what they should be.
_DECODING = (ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError)


def make_codec(answer: bytes, spec_version: int, transaction_version: int) -> Codec:
    """The codec of a runtime, from its answer to ``Metadata_metadata_at_version(15)``.

    Raises:
        Unavailable: no metadata, or none of version 15.
    """
    try:
        metadata = strip_option_opaque_metadata(answer)
    except _DECODING as error:
        raise Unavailable("expected metadata in an Option") from error
    if metadata is None or metadata[4:5] != b"\x0f":
        raise Unavailable("expected a runtime that tells V15 metadata, found one that does not")
    return Codec(metadata, spec_version=spec_version, transaction_version=transaction_version)
