"""Looking at the chain ourselves: a few storage items of one endpoint, by JSON-RPC.

No SDK is here, and no metadata: the prefixes of the items are written down (two 128-bit hashes of pallet and item name,
as Substrate makes them), and a test compares them with a runtime's metadata.
"""

import asyncio
import hashlib
import json
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple

from wallet_guard.cli.doctor.scene import ChainSight, Neuron
from wallet_guard.net.client import open_websocket, parse_url
from wallet_guard.net.tls import client_context
from wallet_guard.net.websocket import Inbox
from wallet_guard.signed.schemes import public_key_of

LOOK_SECONDS = 20.0
"""For all endpoints together: handshakes over a thin line, and three questions."""

NOW = bytes.fromhex("f0c365c3cf59d671eb72da0e7a4113c49f1f0515f462cdcf84e0f1d6045dfcbb")

_PALLET = bytes.fromhex("658faa385070e074c85bf6b568cf0555")

PREFIXES = {
    "Uids": _PALLET + bytes.fromhex("aab1b4e78e1ea8305462ee53b3686dc8"),
    "ValidatorPermit": _PALLET + bytes.fromhex("56af5b07ace59da2c9d7f0d48bc93143"),
    "LastUpdate": _PALLET + bytes.fromhex("696e262a16e52255a69d8acd79354146"),
    "WeightsSetRateLimit": _PALLET + bytes.fromhex("2d919f5b3b970cd2c91638872d3aa64c"),
    "NetworksAdded": _PALLET + bytes.fromhex("0e30450fc4d507a846032a7fa65d9a43"),
    "StakeThreshold": _PALLET + bytes.fromhex("782d99ebaa64a1ba18b3e8cda1047327"),
    "TotalHotkeyAlpha": _PALLET + bytes.fromhex("ee25c3b5b1886863480497907f1829e6"),
    "TaoWeight": _PALLET + bytes.fromhex("6b2684762c3b1e22ffb4a92939298741"),
}

DEFAULT_RATE_LIMIT = 100
"""DefaultWeightsSetRateLimit of the pallet."""

DEFAULT_TAO_WEIGHT = 971_718_665_099_567_868
"""DefaultTaoWeight: 5.3 % of 2**64."""

ROOT = 0


class Wanted(NamedTuple):
    """A hotkey on a subnet: what it is called here, its address, the subnet."""

    key: str
    ss58_address: str
    netuid: int


Ask = Callable[..., Awaitable[Any]]
"""Method and parameters in, the ``result`` out."""


def look(urls: Sequence[str], wanted: Sequence[Wanted]) -> tuple[ChainSight | None, str]:
    """What the first endpoint that answers says; else None, and why."""
    return asyncio.run(_look(urls, wanted))


async def _look(urls: Sequence[str], wanted: Sequence[Wanted]) -> tuple[ChainSight | None, str]:
    why = "no endpoint is configured"
    try:
        async with asyncio.timeout(LOOK_SECONDS):
            for url in urls:
                try:
                    return await _look_at(url, wanted), ""
                except (OSError, ValueError, KeyError, TypeError) as error:
                    why = f"{url}: {str(error)[:120] or type(error).__name__}"
    except TimeoutError:
        why = f"no endpoint answered within {LOOK_SECONDS:g} s"
    return None, why


async def _look_at(url: str, wanted: Sequence[Wanted]) -> ChainSight:
    address, inbox = parse_url(url), Inbox()
    websocket = await open_websocket(address, inbox, tls=client_context() if address.secure else None)
    asked = 0

    async def ask(method: str, *parameters: Any) -> Any:
        nonlocal asked
        asked += 1
        websocket.send_text(json.dumps({"jsonrpc": "2.0", "id": asked, "method": method, "params": parameters}))
        async for data in inbox:
            answer = json.loads(data)
            if answer.get("id") == asked:
                if "error" in answer:
                    raise ValueError(f"{method}: {json.dumps(answer['error'])[:100]}")
                return answer["result"]
        raise ConnectionError("the chain closed the connection without an answer")

    try:
        return await read_chain(ask, url, wanted)
    finally:
        websocket.close(1000, "")


async def read_chain(ask: Ask, url: str, wanted: Sequence[Wanted]) -> ChainSight:
    """The sight, by three questions.

    Raises:
        OSError, ValueError, KeyError, TypeError: the chain does not answer, or something else than a chain does.
    """
    genesis = str(await ask("chain_getBlockHash", 0))
    head = str(await ask("chain_getBlockHash"))
    number = int((await ask("chain_getHeader", head))["number"], 16)
    keys = sorted(
        {NOW, PREFIXES["StakeThreshold"], PREFIXES["TaoWeight"], *(k for each in wanted for k in _keys(each))}
    )
    (changes,) = await ask("state_queryStorageAt", ["0x" + key.hex() for key in keys], head)
    values = {key: bytes.fromhex(value[2:]) for key, value in changes["changes"] if value is not None}
    found = Values(values)
    return ChainSight(
        endpoint=url,
        genesis=genesis,
        best_block=number,
        time_ms=found.number(NOW, 0),
        stake_threshold_rao=found.number(PREFIXES["StakeThreshold"], 0),
        neurons=tuple(_neuron(found, each) for each in wanted),
    )


class Values:
    """Raw storage values, by the hex of their key, and the few SCALE shapes that are read here."""

    def __init__(self, raw: dict[str, bytes]) -> None:
        self._raw = raw

    def raw(self, key: bytes) -> bytes | None:
        """The bytes, None where nothing is stored."""
        return self._raw.get("0x" + key.hex())

    def number(self, key: bytes, default: int) -> int:
        """A little-endian number of any width, ``default`` where nothing is stored."""
        raw = self.raw(key)
        return default if raw is None else int.from_bytes(raw, "little")

    def entry(self, key: bytes, at: int, width: int) -> int:
        """One number of a vector of numbers that are ``width`` bytes each; 0 where it is shorter."""
        raw = self.raw(key) or b"\0"
        # SCALE's compact length: the two low bits of the first byte say how many bytes it has (1, 2 or 4).
        start = (1, 2, 4, 4)[raw[0] & 3] + at * width
        return int.from_bytes(raw[start : start + width], "little")


def _netuid(netuid: int) -> bytes:
    return netuid.to_bytes(2, "little")


def _hotkey(address: str) -> bytes:
    """Blake2_128Concat of the account."""
    account = public_key_of(address)
    return hashlib.blake2b(account, digest_size=16).digest() + account


def _keys(wanted: Wanted) -> list[bytes]:
    netuid, hotkey = _netuid(wanted.netuid), _hotkey(wanted.ss58_address)
    return [
        PREFIXES["NetworksAdded"] + netuid,
        PREFIXES["Uids"] + netuid + hotkey,
        PREFIXES["ValidatorPermit"] + netuid,
        PREFIXES["LastUpdate"] + netuid,
        PREFIXES["WeightsSetRateLimit"] + netuid,
        PREFIXES["TotalHotkeyAlpha"] + hotkey + netuid,
        PREFIXES["TotalHotkeyAlpha"] + hotkey + _netuid(ROOT),
    ]


def _neuron(values: Values, wanted: Wanted) -> Neuron:
    exists, uid, permits, updates, limit, alpha, root = _keys(wanted)
    raw_uid = values.raw(uid)
    at = None if raw_uid is None else int.from_bytes(raw_uid, "little")
    # A hotkey's root stake counts by TaoWeight (a share of 2**64).
    tao = values.number(root, 0) * values.number(PREFIXES["TaoWeight"], DEFAULT_TAO_WEIGHT) >> 64
    return Neuron(
        key=wanted.key,
        netuid=wanted.netuid,
        subnet_exists=bool(values.number(exists, 0)),
        uid=at,
        permit=at is not None and bool(values.entry(permits, at, 1)),
        stake_rao=values.number(alpha, 0) + tao,
        last_update=0 if at is None else values.entry(updates, at, 8),
        rate_limit=values.number(limit, DEFAULT_RATE_LIMIT),
    )
