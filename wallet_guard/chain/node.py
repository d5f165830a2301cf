"""Typed questions to one endpoint (Substrate JSON-RPC), each with a deadline, each answer checked for its shape."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

from wallet_guard.chain.errors import Unavailable
from wallet_guard.chain.heads import Header, parse_header
from wallet_guard.chain.ports import Connection

REQUEST_SECONDS = 10.0
"""For one answer; a healthy endpoint takes a tenth of a second."""

METADATA_SECONDS = 30.0
"""Metadata is 0.8 MB in hex."""

MAX_KEYS_PER_REQUEST = 1000
"""Storage keys asked for at once: nodes bound a request at 15 MB, some gateways at far less."""


@dataclass(frozen=True, slots=True)
class Version:
    """A runtime's version (``state_getRuntimeVersion``)."""

    spec_name: str
    spec_version: int
    transaction_version: int


class Node:
    """One endpoint. Every method raises ``NodeError`` (it says no) or ``Unavailable`` (no answer, or nonsense).

    ``on_overdue`` is told of the first deadline that passed: an endpoint that keeps a connection open and does not
    answer is as good as dead.
    """

    def __init__(self, connection: Connection, on_overdue: Callable[[str], None] = lambda _why: None) -> None:
        self._connection = connection
        self._on_overdue = on_overdue

    async def block_hash(self, number: int) -> str:
        """The best chain's block hash at a number."""
        return _hex_hash(await self._ask("chain_getBlockHash", [number]))

    async def block_hashes(self, numbers: Sequence[int]) -> list[str | None]:
        """The same for many numbers in one request; None where there is no block."""
        found = await self._ask("chain_getBlockHash", [list(numbers)])
        if not isinstance(found, list):
            raise Unavailable(f"expected a list of block hashes, found {_shown(found)}")
        return [None if entry is None else _hex_hash(entry) for entry in found]

    async def header(self, block_hash: str) -> Header:
        """The header of that block, its hash computed anew."""
        return parse_header(await self._ask("chain_getHeader", [block_hash]))

    async def extrinsic_hashes(self, block_hash: str) -> tuple[str, ...]:
        """The hashes (blake2b-256, 0x-hex) of the block's extrinsics, in their order."""
        found = await self._ask("chain_getBlock", [block_hash])
        try:
            extrinsics = [bytes.fromhex(entry.removeprefix("0x")) for entry in found["block"]["extrinsics"]]
        except (TypeError, KeyError, AttributeError, ValueError) as error:
            raise Unavailable(f"expected block {block_hash}, found {_shown(found)}") from error
        return tuple("0x" + blake2b(entry, digest_size=32).hexdigest() for entry in extrinsics)

    async def storage(self, keys: Sequence[bytes], block_hash: str) -> list[bytes | None]:
        """The raw values at those keys in the state of one block, in one round trip; None where nothing is stored."""
        pages = [keys[at : at + MAX_KEYS_PER_REQUEST] for at in range(0, len(keys), MAX_KEYS_PER_REQUEST)]
        found: dict[str, bytes | None] = {}
        for page in await asyncio.gather(*(self._storage_page(page, block_hash) for page in pages)):
            found.update(page)
        return [found.get(_hex(key)) for key in keys]

    async def version(self, block_hash: str) -> Version:
        """The version of the runtime in that block's state: the one that makes the next block."""
        found = await self._ask("state_getRuntimeVersion", [block_hash])
        try:
            return Version(str(found["specName"]), int(found["specVersion"]), int(found["transactionVersion"]))
        except (TypeError, KeyError, ValueError) as error:
            raise Unavailable(f"expected a runtime version, found {_shown(found)}") from error

    async def metadata_v15(self, block_hash: str) -> bytes:
        """``Option<OpaqueMetadata>`` of the runtime in that block's state, as SCALE."""
        arguments = ["Metadata_metadata_at_version", "0x0f000000", block_hash]
        return _octets(await self._ask("state_call", arguments, METADATA_SECONDS))

    async def fee(self, call: bytes, extrinsic_bytes: int, block_hash: str) -> int:
        """What an extrinsic of that call and length costs in that block's state, in rao.

        ``RuntimeDispatchInfo`` of ``TransactionPaymentCallApi``: two compact numbers, the class, then the fee as u64
        (or u128).
        """
        argument = _hex(call + extrinsic_bytes.to_bytes(4, "little"))
        method = "TransactionPaymentCallApi_query_call_info"
        found = _octets(await self._ask("state_call", [method, argument, block_hash]))
        at = _after_compact(found, _after_compact(found, 0)) + 1
        if len(found) - at not in _BALANCE_BYTES:
            raise Unavailable(f"expected a dispatch info, found {_shown(found)}")
        return int.from_bytes(found[at:], "little")

    async def next_nonce(self, ss58_address: str) -> int:
        """The account's next nonce, extrinsics waiting in the pool counted."""
        found = await self._ask("account_nextIndex", [ss58_address])
        if type(found) is not int or found < 0:
            raise Unavailable(f"expected a nonce, found {_shown(found)}")
        return found

    async def submit(self, extrinsic: bytes) -> None:
        """Hands the bytes to the pool; ``NodeError`` is the pool's refusal (``pool_errors.judge``)."""
        await self._ask("author_submitExtrinsic", [_hex(extrinsic)])

    async def _storage_page(self, keys: Sequence[bytes], block_hash: str) -> dict[str, bytes | None]:
        answer = await self._ask("state_queryStorageAt", [[_hex(key) for key in keys], block_hash])
        if not isinstance(answer, list):
            raise Unavailable(f"expected storage values, found {_shown(answer)}")
        try:
            return {
                key: None if value is None else _octets(value) for group in answer for key, value in group["changes"]
            }
        except (TypeError, KeyError, ValueError) as error:
            raise Unavailable(f"expected storage values, found {_shown(answer)}") from error

    async def _ask(self, method: str, params: list[Any], seconds: float = REQUEST_SECONDS) -> Any:
        try:
            async with asyncio.timeout(seconds):
                return await self._connection.request(method, params)
        except TimeoutError as error:
            why = f"no answer to {method} within {seconds:g} s"
            self._on_overdue(why)
            raise Unavailable(why) from error


def _hex(octets: bytes) -> str:
    return "0x" + octets.hex()


def _octets(value: Any) -> bytes:
    if not isinstance(value, str) or not value.startswith("0x"):
        raise Unavailable(f"expected 0x-hex, found {_shown(value)}")
    try:
        return bytes.fromhex(value[2:])
    except ValueError as error:
        raise Unavailable(f"expected 0x-hex, found {_shown(value)}") from error


def _hex_hash(value: Any) -> str:
    if len(_octets(value)) != 32:
        raise Unavailable(f"expected a block hash, found {_shown(value)}")
    return str(value)


_BALANCE_BYTES = (8, 16)
"""A fee is u64 on this chain, u128 on others of its kind."""


def _after_compact(octets: bytes, at: int) -> int:
    """Where a SCALE compact number that begins at ``at`` ends."""
    mode = octets[at] & 3 if at < len(octets) else 0
    return at + (1, 2, 4, (octets[at] >> 2) + 5 if at < len(octets) else 1)[mode]


def _shown(value: Any) -> str:
    return repr(value)[:80]
