"""A live connection to one endpoint, and what it has told so far: heads, runtimes, blocks.

Rules:

1. Only an endpoint on the right chain becomes a link: its genesis is the pinned one, and hashing its genesis header
   gives that genesis, which proves that we hash headers as this chain does.
2. Heads come by subscription; nothing is polled. Two things end a link for want of life: no new best head for
   ``stall_seconds``, or an answer that is overdue.
3. Everybody waits with ``moved(generation)``, so a head that arrives while they work is not missed.
4. What cannot change is asked once (``Memo``): hundreds of intents in flight cost one request a block, not hundreds.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any, Self

from wallet_guard.chain.errors import NodeError, Unavailable
from wallet_guard.chain.heads import KEPT_BLOCKS, Header, Heads, parse_header
from wallet_guard.chain.memo import Memo
from wallet_guard.chain.node import REQUEST_SECONDS, Node, Version
from wallet_guard.chain.ports import Codec, Connection, DispatchFailure
from wallet_guard.ipc import chain as ipc

log = logging.getLogger(__name__)

STALL_SECONDS = 30.0
"""Without a new best head: never fewer, so that a fast development chain may pause."""

STALL_BLOCKS = 6
"""Without a new best head, in block times: 72 seconds on a 12-second chain."""

KEPT_EVENTS = 4
"""Blocks whose decoded events are kept: they are large, and wanted by many intents at once or never again."""

MAX_UNLINKED_HEADS = 5
"""Best heads in a row that do not fit the endpoint's own block hashes; a reorg under way is mended by the next one."""

DEFAULT_BLOCK_MS = 12_000
"""Where the runtime names no block time: Bittensor's own."""

MakeCodec = Callable[[bytes, int, int], Codec]
"""From an answer to ``Metadata_metadata_at_version``, spec and transaction version; raises Unavailable."""


@dataclass(frozen=True, slots=True)
class Runtime:
    """One runtime in use: its version, its codec, its block time (milliseconds)."""

    version: Version
    codec: Codec
    block_time_ms: int


def block_time_ms(codec: Codec) -> int:
    """The block time by the runtime's constants, as the SDK's ``block_time`` (Aura), else Babe's, else Timestamp's."""
    for pallet, name, factor in (
        ("Aura", "SlotDuration", 1),
        ("Babe", "ExpectedBlockTime", 1),
        ("Timestamp", "MinimumPeriod", 2),
    ):
        value = codec.constant(pallet, name)
        if type(value) is int and value > 0:
            return value * factor
    return DEFAULT_BLOCK_MS


class Link:
    """See the module's rules. Made by ``open``; ``run`` keeps it, and returns why it ended.

    ``generation`` grows with every change of the heads.
    """

    def __init__(self, url: str, connection: Connection, make_codec: MakeCodec, genesis: str) -> None:
        self.url = url
        self.genesis = genesis
        self.node = Node(connection, self.fail)
        self.heads: Heads
        self.runtime: Runtime
        """The one at the best head, as far as anybody asked."""
        self.generation = 0
        self._connection = connection
        self._make_codec = make_codec
        self._streams: tuple[AsyncIterator[Any], AsyncIterator[Any]]
        self._broken = ""
        self._event = asyncio.Event()
        self.extrinsic_hashes = Memo(self.node.extrinsic_hashes, KEPT_BLOCKS)
        """Of a block by its hash: the hashes of its extrinsics."""
        self._events = Memo(self._read_events, KEPT_EVENTS)
        self._versions = Memo(self.node.version, KEPT_BLOCKS)
        self._seen_at: dict[Version, str] = {}
        self._final_hashes = Memo(self.node.block_hash, KEPT_BLOCKS)
        self._runtimes = Memo(self._load_runtime, 4)
        self._nonces = Memo(self._read_nonce, KEPT_BLOCKS)

    @classmethod
    async def open(cls, url: str, connection: Connection, make_codec: MakeCodec, pinned: str) -> Self:
        """A link that knows its genesis, heads and runtime. ``pinned`` is the genesis wanted, "" for any.

        Raises:
            Unavailable: another chain, or an endpoint that does not answer as it must.
        """
        try:
            genesis = await Node(connection).block_hash(0)
            if pinned not in ("", genesis):
                raise Unavailable(f"wrong chain: expected genesis {pinned}, found {genesis}")
            link = cls(url, connection, make_codec, genesis)
            if (await link.node.header(genesis)).hash != genesis:
                raise Unavailable(f"expected a genesis header that hashes to {genesis}, found another")
            await link._start()
        except NodeError as error:
            raise Unavailable(f"the endpoint answered {error.code}: {error}") from error
        return link

    @property
    def broken(self) -> bool:
        """Has the link ended?"""
        return bool(self._broken)

    async def run(self) -> str:
        """Follows the heads until the link ends; why it ended. The connection stays to be closed by who opened it."""
        readers = [asyncio.ensure_future(self._read_best()), asyncio.ensure_future(self._read_finalized())]
        broken = asyncio.ensure_future(self._until_broken())
        try:
            done, _ = await asyncio.wait((broken, *readers), return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                if (error := task.exception()) is not None:
                    if not isinstance(error, Unavailable):
                        raise error
                    self.fail(str(error))
            return self._broken
        finally:
            self.fail("the link was closed")
            for task in (broken, *readers):
                task.cancel()
            await asyncio.gather(broken, *readers, return_exceptions=True)

    def fail(self, why: str) -> None:
        """Ends the link: everybody who waits gets ``Unavailable``."""
        self._broken = self._broken or why
        self._announce()

    def check(self) -> None:
        """Raises Unavailable if the link has ended."""
        if self._broken:
            raise Unavailable(self._broken)

    async def moved(self, generation: int) -> None:
        """Returns once the heads are of a later generation than that.

        Raises:
            Unavailable: the link ended.
        """
        while True:
            self.check()
            if self.generation != generation:
                return
            await self._event.wait()

    async def settled(self) -> None:
        """After something went wrong: returns with the next head, or at once if the link has ended."""
        generation = self.generation
        while not self._broken and self.generation == generation:
            await self._event.wait()

    async def hash_of(self, number: int) -> str | None:
        """The hash of the best chain's block of that number; None above the best head or while it is not known."""
        known = self.heads.hash_at(number)
        if known is None and number <= self.heads.finalized.number:
            return await self._final_hashes(number)
        return known

    async def runtime_at(self, block_hash: str) -> Runtime:
        """The runtime in that block's state; metadata is fetched once per version."""
        version = await self._versions(block_hash)
        self._seen_at[version] = block_hash
        runtime = await self._runtimes(version)
        if block_hash == self.heads.best.hash:
            self.runtime = runtime
        return runtime

    async def nonce_at(self, ss58_address: str, block_hash: str) -> int:
        """The account's nonce in that block's state (``System.Account``): how many of its extrinsics it holds."""
        return await self._nonces((ss58_address, block_hash))

    async def failure_in(self, block_hash: str, parent_hash: str, position: int) -> DispatchFailure | None:
        """Why the extrinsic at that position of the block failed; None if it succeeded."""
        codec, events = await self._events((block_hash, parent_hash))
        return codec.failure(events, position)

    def runtime_question(self, runtime: Runtime) -> ipc.Runtime:
        """What the signer must know of that runtime."""
        version = runtime.version
        return ipc.Runtime(
            genesis_hash=bytes.fromhex(self.genesis[2:]),
            spec_name=version.spec_name,
            spec_version=version.spec_version,
            transaction_version=version.transaction_version,
            metadata=runtime.codec.metadata,
        )

    async def _start(self) -> None:
        best = self._connection.subscribe("chain_subscribeNewHeads", "chain_unsubscribeNewHeads")
        finalized = self._connection.subscribe("chain_subscribeFinalizedHeads", "chain_unsubscribeFinalizedHeads")
        self._streams = (best, finalized)
        try:
            async with asyncio.timeout(REQUEST_SECONDS):
                first, final = await asyncio.gather(anext(best), anext(finalized))
        except TimeoutError as error:
            raise Unavailable(f"no heads within {REQUEST_SECONDS:g} s") from error
        self.heads = Heads(parse_header(first), parse_header(final))
        head = self.heads.best.hash
        self.runtime = await self.runtime_at(head)
        await self._mend()

    async def _read_best(self) -> None:
        unlinked = 0
        limit = max(STALL_SECONDS, STALL_BLOCKS * self.runtime.block_time_ms / 1000)
        while True:
            try:
                async with asyncio.timeout(limit):
                    told = await anext(self._streams[0])
            except TimeoutError:
                raise Unavailable(f"no new block within {limit:g} s") from None
            self.heads.move_best(parse_header(told))
            await self._mend()
            unlinked = 0 if self.heads.whole else unlinked + 1
            if unlinked >= MAX_UNLINKED_HEADS:
                raise Unavailable("expected heads that link up, found heads that do not fit the block hashes")

    async def _read_finalized(self) -> None:
        while True:
            header: Header = parse_header(await anext(self._streams[1]))
            self.heads.move_finalized(header)
            await self._mend()

    async def _mend(self) -> None:
        """Asks for the hashes that a gap needs, then tells everybody who waits."""
        gap = self.heads.gap()
        if gap and not self.heads.whole:
            try:
                found = await self.node.block_hashes(gap)
            except NodeError as error:
                raise Unavailable(f"the endpoint answered {error.code}: {error}") from error
            # Hashes that do not fit are of a reorg under way: its next head mends it.
            self.heads.fill(gap, found)
        self.generation += 1
        self._announce()

    def _announce(self) -> None:
        self._event.set()
        self._event = asyncio.Event()

    async def _until_broken(self) -> None:
        while not self._broken:
            await self._event.wait()

    async def _load_runtime(self, version: Version) -> Runtime:
        answer = await self.node.metadata_v15(self._seen_at[version])
        codec = self._make_codec(answer, version.spec_version, version.transaction_version)
        log.info(f"runtime {version.spec_name} {version.spec_version}: {len(codec.metadata)} bytes of metadata")
        return Runtime(version, codec, block_time_ms(codec))

    async def _read_events(self, key: tuple[str, str]) -> tuple[Codec, Any]:
        block_hash, parent_hash = key
        # A block's events are written by the runtime in its parent's state.
        codec = (await self.runtime_at(parent_hash)).codec
        (raw,) = await self.node.storage([codec.key("System", "Events", [])], block_hash)
        return codec, codec.value("System", "Events", raw)

    async def _read_nonce(self, key: tuple[str, str]) -> int:
        ss58_address, block_hash = key
        codec = self.runtime.codec
        storage_key = codec.key("System", "Account", [ss58_address])
        (raw,) = await self.node.storage([storage_key], block_hash)
        account = codec.value("System", "Account", raw)
        nonce = account.get("nonce") if isinstance(account, dict) else None
        if type(nonce) is not int:
            raise Unavailable(f"System.Account: expected a nonce, found {str(account)[:80]!r}")
        return nonce
