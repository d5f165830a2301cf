"""A scripted chain: blocks made by hand, a connection without sockets, a codec without SCALE."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable
from hashlib import blake2b
from typing import Any

import pytest

from wallet_guard.chain.errors import NodeError, Unavailable
from wallet_guard.chain.heads import parse_header
from wallet_guard.chain.link import Link
from wallet_guard.chain.ports import DispatchFailure
from wallet_guard.ipc.answers import Done, Refusal
from wallet_guard.ipc.asker import RefusedError
from wallet_guard.ipc.chain import Action, Event, Report, Task

ADDRESS = "5Alice"


def hash_of(octets: bytes) -> str:
    return "0x" + blake2b(octets, digest_size=32).hexdigest()


def key_of(pallet: str, item: str, *params: Any) -> bytes:
    return json.dumps([pallet, item, *params]).encode()


class ScriptedCodec:
    """Keys are JSON, values are JSON; items that ``lacking`` names do not exist."""

    def __init__(self, metadata: bytes = b"meta\x0f", lacking: frozenset[str] = frozenset()) -> None:
        self.metadata = metadata
        self.lacking = lacking
        self.constants: dict[str, Any] = {"Aura.SlotDuration": 12_000}
        self.absent: dict[str, Any] = {"Account": {"nonce": 0}, "LastUpdate": [], "Weights": []}

    def has(self, pallet: str, item: str) -> bool:
        return item not in self.lacking

    def key(self, pallet: str, item: str, params: list[Any]) -> bytes:
        return key_of(pallet, item, *params)

    def value(self, pallet: str, item: str, raw: bytes | None) -> Any:
        if raw is not None:
            return json.loads(raw)
        if item in self.absent:
            return self.absent[item]
        return {"Uids": None, "CommitRevealWeightsEnabled": False}.get(item, 0)

    def constant(self, pallet: str, name: str) -> Any:
        return self.constants.get(f"{pallet}.{name}")

    def failure(self, events: Any, extrinsic_index: int) -> DispatchFailure | None:
        found = (events or {}).get(str(extrinsic_index))
        return DispatchFailure(*found) if found else None


class Block:
    def __init__(self, told: dict[str, Any], extrinsics: list[bytes], state: dict[bytes, bytes]) -> None:
        self.told = told
        self.extrinsics = extrinsics
        self.state = state
        self.header = parse_header(told)


class ScriptedChain:
    """The chain behind a scripted connection. Extrinsics are any bytes; each in a block adds one to ADDRESS's nonce."""

    def __init__(self) -> None:
        self.blocks: list[Block] = []
        self.by_hash: dict[str, Block] = {}
        self.final = 0
        self.pool: list[bytes] = []
        self.asked: list[str] = []
        self.answers: dict[str, list[Any]] = {}
        self.codec = ScriptedCodec()
        self.spec_version = 461
        self.genesis_lie: str | None = None
        self.closed = False
        self._forks = 0
        self._streams: list[tuple[bool, asyncio.Queue[Any]]] = []
        self.make_block()

    # making blocks

    def make_block(self, *extrinsics: bytes, events: Any = None, **state: Any) -> Block:
        """A block on the best one; ``state`` sets SubtensorModule items by their JSON key."""
        parent = self.blocks[-1] if self.blocks else None
        self._forks += 1
        told = {
            "parentHash": parent.header.hash if parent else "0x" + "00" * 32,
            "number": hex(len(self.blocks)),
            "stateRoot": "0x" + f"{self._forks:064x}",
            "extrinsicsRoot": "0x" + "22" * 32,
            "digest": {"logs": ["0x0011"]},
        }
        now = dict(parent.state) if parent else {}
        nonce = json.loads(now.get(key_of("System", "Account", ADDRESS), b'{"nonce": 0}'))["nonce"] + len(extrinsics)
        now[key_of("System", "Account", ADDRESS)] = json.dumps({"nonce": nonce}).encode()
        now[key_of("System", "Events")] = json.dumps(events or {}).encode()
        block = Block(told, list(extrinsics), now)
        self.blocks.append(block)
        self.by_hash[block.header.hash] = block
        self._tell(False, told)
        return block

    def set(self, item: str, *keys: Any, value: Any) -> None:
        """Changes the state of the best block."""
        self.blocks[-1].state[key_of("SubtensorModule", item, *keys)] = json.dumps(value).encode()

    def finalize(self, number: int | None = None) -> None:
        self.final = len(self.blocks) - 1 if number is None else number
        self._tell(True, self.blocks[self.final].told)

    def take_back(self, depth: int) -> None:
        """The newest blocks are gone; the next one made stands in their place."""
        for block in self.blocks[-depth:]:
            del self.by_hash[block.header.hash]
        del self.blocks[-depth:]

    def _tell(self, final: bool, told: Any) -> None:
        for is_final, queue in self._streams:
            if is_final is final:
                queue.put_nowait(told)

    # the connection

    async def request(self, method: str, params: list[Any]) -> Any:
        self.asked.append(method)
        await asyncio.sleep(0)
        if self.answers.get(method):
            answer = self.answers[method].pop(0)
            if isinstance(answer, Exception):
                raise answer
            if callable(answer):
                return answer(params)
            return answer
        handler: Callable[[list[Any]], Any] = getattr(
            self, "_" + re.sub("([A-Z])", lambda found: "_" + found[1].lower(), method)
        )
        return handler(params)

    async def subscribe(self, method: str, unsubscribe: str) -> AsyncIterator[Any]:
        final = "Finalized" in method
        queue: asyncio.Queue[Any] = asyncio.Queue()
        self._streams.append((final, queue))
        yield self.blocks[self.final if final else -1].told
        while True:
            told = await queue.get()
            if isinstance(told, Exception):
                raise told
            yield told

    async def close(self) -> None:
        self.closed = True

    def cut(self) -> None:
        for _, queue in self._streams:
            queue.put_nowait(Unavailable("the connection was lost"))

    def _at(self, block_hash: str) -> Block:
        if block_hash not in self.by_hash:
            raise NodeError(4003, "Client error: UnknownBlock", block_hash)
        return self.by_hash[block_hash]

    def _chain_get_block_hash(self, params: list[Any]) -> Any:
        if isinstance(params[0], list):
            return [self._chain_get_block_hash([number]) for number in params[0]]
        if params[0] == 0 and self.genesis_lie:
            return self.genesis_lie
        return self.blocks[params[0]].header.hash if params[0] < len(self.blocks) else None

    def _chain_get_header(self, params: list[Any]) -> Any:
        block = self.blocks[0] if params[0] == self.genesis_lie else self.by_hash.get(params[0])
        return block.told if block else None

    def _chain_get_block(self, params: list[Any]) -> Any:
        block = self.by_hash.get(params[0])
        return {"block": {"extrinsics": ["0x" + raw.hex() for raw in block.extrinsics]}} if block else None

    def _state_query_storage_at(self, params: list[Any]) -> Any:
        state = self._at(params[1]).state
        values = [(key, state.get(bytes.fromhex(key[2:]))) for key in params[0]]
        return [
            {"block": params[1], "changes": [[key, None if raw is None else "0x" + raw.hex()] for key, raw in values]}
        ]

    def _state_get_runtime_version(self, params: list[Any]) -> Any:
        self._at(params[0])
        return {"specName": "node-subtensor", "specVersion": self.spec_version, "transactionVersion": 1}

    def _state_call(self, params: list[Any]) -> Any:
        return "0x" + self.codec.metadata.hex()

    def _account_next_index(self, params: list[Any]) -> Any:
        state = self.blocks[-1].state
        return json.loads(state[key_of("System", "Account", ADDRESS)])["nonce"] + len(self.pool)

    def _author_submit_extrinsic(self, params: list[Any]) -> Any:
        raw = bytes.fromhex(params[0][2:])
        if raw in self.pool:
            raise NodeError(1013, "Transaction Already Imported", hash_of(raw))
        self.pool.append(raw)
        return hash_of(raw)

    # using it

    def make_codec(self, answer: bytes, spec_version: int, transaction_version: int) -> ScriptedCodec:
        return self.codec

    async def link(self) -> Link:
        return await Link.open("ws://scripted", self, self.make_codec, "")


class ScriptedSigner:
    """Stands for the asker: writes down what it is asked, answers ``Done`` or what ``answers`` holds."""

    def __init__(self) -> None:
        self.asked: list[Any] = []
        self.answers: dict[str, list[Any]] = {}
        self.connected = True

    async def ask(self, question: Any, *, seconds: float) -> Any:
        self.asked.append(question)
        await asyncio.sleep(0)
        answers = self.answers.get(question.ask)
        answer = answers.pop(0) if answers else Done()
        if isinstance(answer, Refusal):
            raise RefusedError(answer)
        if isinstance(answer, Exception):
            raise answer
        return answer

    @property
    def reports(self) -> list[Report]:
        return [question for question in self.asked if isinstance(question, Report)]

    @property
    def events(self) -> list[Event]:
        return [report.event for report in self.reports]


class ScriptedEndpoints:
    """One link after the other, in the order given; waits when there is none left."""

    def __init__(self, *links: Link) -> None:
        self.links = list(links)
        self.on_change: Callable[[], None] = lambda: None
        self.trouble = "nothing listens"
        self.connections = 1

    @property
    def current(self) -> Link | None:
        while self.links and self.links[0].broken:
            self.links.pop(0)
        return self.links[0] if self.links else None

    async def link(self, seconds: float) -> Link:
        while self.current is None:
            await asyncio.sleep(0)
            if not self.links:
                raise Unavailable(self.trouble)
        return self.current


def make_task(action: Action, **changes: Any) -> Task:
    values: dict[str, Any] = {
        "intent": "a1",
        "action": action,
        "version": 1,
        "ss58_address": ADDRESS,
        "netuid": 2,
        "mechid": 0,
        "hotkeys": (),
        "not_before_block": None,
        "extrinsic": None,
        "extrinsic_hash": None,
        "nonce": None,
        "era_birth": None,
        "era_death": None,
        "uid": None,
        "block_hash": None,
        "block_number": None,
        "reveal_round": None,
    }
    return Task(**{**values, **changes})


async def settle() -> None:
    """Lets everything run that can run without anything new happening."""
    for _ in range(200):
        await asyncio.sleep(0)


@pytest.fixture
def chain() -> ScriptedChain:
    return ScriptedChain()


@pytest.fixture
def signer() -> ScriptedSigner:
    return ScriptedSigner()


@pytest.fixture
def kit() -> Any:
    """The names of this file, since test modules cannot import it."""

    class Kit:
        address = ADDRESS
        chain = ScriptedChain
        codec = ScriptedCodec
        endpoints = ScriptedEndpoints
        task = staticmethod(make_task)
        settle = staticmethod(settle)
        hash_of = staticmethod(hash_of)
        key_of = staticmethod(key_of)

    return Kit
