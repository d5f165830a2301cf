"""Managers on loopback, and a peer without manners that sends what it is told to."""

import asyncio
import contextlib
import time

import bittensor_core
import pytest

from wallet_guard.net import Inbox, WebSocketLimits, open_websocket, parse_url
from wallet_guard.realtime import MinerWebSocketManager, RealtimeLimits, Speaker, ValidatorWebSocketManager
from wallet_guard.signed.certificate import Certificate, Purpose, encode_certificate
from wallet_guard.signed.frames import encode_message, parse_frame, read_messages
from wallet_guard.signed.schemes import Ed25519Key

NETUID = 2


def keypair(name):
    return bittensor_core.Keypair.create_from_uri(f"//{name}")


# For what must come: long, since a loaded machine may stand still for seconds. Nothing waits so long where all is well.
PATIENCE_SECONDS = 60


VALIDATOR, OTHER, MINER, STRANGER = (keypair(name) for name in ("validator", "other", "miner", "stranger"))


def session(hotkey=MINER, seed=7, from_ms=None, seconds=600, purpose=Purpose.NODE, receiver=None):
    """A speaker with a session key that the hotkey has certified."""
    key = Ed25519Key(bytes([seed]) * 32)
    from_ms = time.time_ns() // 1_000_000 if from_ms is None else from_ms
    until_ms = from_ms + seconds * 1000
    fields = (purpose, NETUID, receiver, from_ms, until_ms, "0" * 32)
    body = Certificate(hotkey.ss58_address, "sr25519", key.public_key, *fields).body()  # fmt: skip
    return Speaker.of_session(key, encode_certificate(body, hotkey.sign(body)))


async def until(condition):
    """Waits for what must come; fails if it does not."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not condition():
            await asyncio.sleep(0.005)


OPENED = []


def run(scene):
    """Runs a scene to its end, and closes what its peers have left open."""

    async def played():
        try:
            await asyncio.wait_for(scene, 3 * PATIENCE_SECONDS)
        finally:
            for websocket in OPENED:
                websocket.abort()
            OPENED.clear()
            await cut_connections()

    asyncio.run(played())


async def cut_connections():
    """Ends what is still open: a transport that outlives its loop is found by the garbage collector in a later test."""
    for transport in list(asyncio.get_running_loop()._transports.values()):
        transport.abort()
    await asyncio.sleep(0)


class Peer:
    """A connection that passed the opening, or did not, and says whatever it is told to."""

    def __init__(self, port, speaker=None, receiver=VALIDATOR.ss58_address):
        self.port = port
        self.speaker = speaker or Speaker.of_hotkey(MINER)
        self.receiver = receiver
        self.inbox = Inbox(max_messages=100_000)

    async def open(self, headers=None, hello=True):
        if headers is None:
            headers, self.nonce = self.speaker.sign_opening("/ws", self.receiver, time.time_ns())
        self.websocket = await open_websocket(
            parse_url(f"ws://127.0.0.1:{self.port}/ws"), self.inbox, subprotocols=("btws.1",), headers=tuple(headers),
            limits=WebSocketLimits(handshake_seconds=PATIENCE_SECONDS),
        )  # fmt: skip
        OPENED.append(self.websocket)
        (self.welcome,) = await self.messages()
        if hello:
            self.say(encode_message("hello", "", {"challenge": self.welcome.data["challenge"]}))
        return self

    def frame(self, *lines, to=None):
        return self.speaker.frame(to or self.receiver, lines, time.time_ns()).decode()

    def say(self, *lines, to=None):
        self.websocket.send_text(self.frame(*lines, to=to))

    async def text(self):
        async with asyncio.timeout(PATIENCE_SECONDS):
            return await self.inbox.receive()

    async def messages(self):
        """The messages of the next frame; None at the end."""
        while (text := await self.text()) is not None:
            if not text.startswith("certificate "):
                return read_messages(parse_frame(text))
        return None

    async def closed(self):
        """The close code."""
        await until(lambda: self.websocket.close_code)
        return self.websocket.close_code


@contextlib.asynccontextmanager
async def validator(keypair=VALIDATOR, **options):
    options = {"netuid": NETUID, "limits": RealtimeLimits(), **options}
    manager = ValidatorWebSocketManager(keypair, **options)
    manager.port = await manager.start("127.0.0.1", 0)
    manager.seen = []
    for type_ in ("prediction", "note"):
        if type_ not in manager.party.handlers:
            manager.register_handler(type_, lambda hotkey, data: manager.seen.append((hotkey, data)))
    try:
        yield manager
    finally:
        await manager.stop(1.0)


@contextlib.asynccontextmanager
async def miner(*validators, speaker=MINER, start=True, connected=True, **options):
    options = {"netuid": NETUID, "reconnect_base_interval": 0.02, "max_reconnect_interval": 0.2, **options}
    manager = MinerWebSocketManager(speaker, **options)
    manager.seen = []
    for type_ in ("game_update", "note"):
        manager.register_handler(type_, lambda hotkey, data, type_=type_: manager.seen.append((type_, data)))
    for one in validators:
        manager.add_validator(one.party.hotkey, f"127.0.0.1:{one.port}")
    if start:
        await manager.start()
        if validators and connected:
            await until(lambda: len(manager.get_connected_validators()) == len(validators))
            for one in validators:
                await until(lambda one=one: manager.party.hotkey in one.get_connected_hotkeys())
    try:
        yield manager
    finally:
        await manager.stop(1.0)


@pytest.fixture(scope="session")
def kit():
    """Everything above, for tests that cannot import a conftest."""
    import types

    return types.SimpleNamespace(
        keypair=keypair, VALIDATOR=VALIDATOR, OTHER=OTHER, MINER=MINER, STRANGER=STRANGER, NETUID=NETUID,
        session=session,
        until=until, run=run, Peer=Peer, validator=validator, miner=miner,
    )  # fmt: skip
