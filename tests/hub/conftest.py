"""A relay on loopback, an application attached to it, and miners: real managers, real keys, no processes."""

import asyncio
import contextlib
import time
import types

import bittensor_core
import pytest

from wallet_guard.hub.relay import Relay
from wallet_guard.net import Inbox, WebSocketLimits, open_websocket, parse_url
from wallet_guard.realtime import MinerWebSocketManager, Speaker, ValidatorWebSocketManager
from wallet_guard.signed.certificate import Certificate, Purpose, encode_certificate
from wallet_guard.signed.frames import encode_message, parse_frame, read_messages
from wallet_guard.signed.schemes import Ed25519Key

NETUID = 2
SECONDS = 60.0
"""For anything at all, on a busy machine."""


def keypair(name):
    return bittensor_core.Keypair.create_from_uri(f"//{name}")


VALIDATOR, MINER, OTHER, STRANGER = (keypair(name) for name in ("validator", "miner", "other", "stranger"))


def certificate(hotkey, key, **changed):
    """The text of a certificate that the hotkey signs for a session key."""
    now_ms = time.time_ns() // 1_000_000
    fields = {
        "purpose": Purpose.NODE, "netuid": NETUID, "receiver": None, "from_ms": now_ms - 1000,
        "until_ms": now_ms + 600_000, "serial": "0" * 32,
    } | changed  # fmt: skip
    body = Certificate(hotkey.ss58_address, "sr25519", key.public_key, **fields).body()
    return encode_certificate(body, hotkey.sign(body))


def session(hotkey, seed, **changed):
    """A speaker with a session key that the hotkey has certified."""
    key = Ed25519Key(bytes([seed]) * 32)
    return Speaker.of_session(key, certificate(hotkey, key, **changed))


def hub_speaker(seed=1, **changed):
    return session(VALIDATOR, seed, purpose=Purpose.HUB, **changed)


async def until(condition, seconds=SECONDS):
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.005)


OPENED = []


def run(scene):
    async def played():
        try:
            await asyncio.wait_for(scene, 2 * SECONDS)
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


def note_all(manager, *types_):
    manager.seen = []
    for type_ in types_:
        manager.register_handler(type_, lambda hotkey, data, type_=type_: manager.seen.append((hotkey, type_, data)))


@contextlib.asynccontextmanager
async def relay(speaker=None, registered=(MINER, OTHER), port=0, **options):
    """A hub, listening."""
    addresses = {pair.ss58_address for pair in registered}
    hub = Relay(speaker or hub_speaker(), netuid=NETUID, registered=lambda: addresses, **options)
    hub.addresses = addresses
    server = await hub.prepare()
    hub.port = await server.listen_tcp("127.0.0.1", port)
    try:
        yield hub
    finally:
        await hub.stop(1.0)


@contextlib.asynccontextmanager
async def application(port, speaker=None, attached=True, **options):
    """The validator's application, attached to the hub at this port."""
    manager = ValidatorWebSocketManager(speaker or session(VALIDATOR, 2), netuid=NETUID, **options)
    note_all(manager, "prediction", "note")
    await manager.attach(f"ws://127.0.0.1:{port}/ws")
    try:
        if attached:
            await until(lambda: manager.hub_problem is None)
        yield manager
    finally:
        await manager.stop(1.0)


@contextlib.asynccontextmanager
async def miner(port, speaker=MINER, **options):
    """A miner that knows the hub as its validator."""
    options = {"netuid": NETUID, "reconnect_base_interval": 0.02, "max_reconnect_interval": 0.2, **options}
    manager = MinerWebSocketManager(speaker, **options)
    note_all(manager, "game_update", "note", "answer")
    manager.add_validator(VALIDATOR.ss58_address, f"127.0.0.1:{port}")
    await manager.start()
    try:
        yield manager
    finally:
        await manager.stop(1.0)


class Peer:
    """A connection to the hub that says whatever it is told to."""

    def __init__(self, port, speaker):
        self.port = port
        self.speaker = speaker
        self.inbox = Inbox(max_messages=100_000)
        self.certificates = []

    async def open(self, hello=True, headers=None):
        if headers is None:
            headers, _ = self.speaker.sign_opening("/ws", VALIDATOR.ss58_address, time.time_ns())
        self.websocket = await open_websocket(
            parse_url(f"ws://127.0.0.1:{self.port}/ws"), self.inbox, subprotocols=("btws.1",), headers=tuple(headers),
            limits=WebSocketLimits(handshake_seconds=SECONDS),
        )  # fmt: skip
        OPENED.append(self.websocket)
        (self.welcome,) = await self.messages()
        if hello:
            self.say(encode_message("hello", "", {"challenge": self.welcome.data["challenge"]}))
        return self

    def frame(self, *lines, to=None, now_ns=None):
        return self.speaker.frame(to or VALIDATOR.ss58_address, lines, now_ns or time.time_ns()).decode()

    def say(self, *lines, to=None):
        self.websocket.send_text(self.frame(*lines, to=to))

    async def text(self):
        async with asyncio.timeout(SECONDS):
            return await self.inbox.receive()

    async def messages(self):
        """The messages of the next frame; None at the end. Certificates are kept."""
        while (text := await self.text()) is not None:
            if text.startswith("certificate "):
                self.certificates.append(text)
            else:
                return read_messages(parse_frame(text))
        return None

    async def closed(self):
        await until(lambda: self.websocket.close_code)
        return self.websocket.close_code


@pytest.fixture(scope="session")
def kit():
    """Everything above, for tests that cannot import a conftest."""
    return types.SimpleNamespace(**{name: value for name, value in globals().items() if not name.startswith("_")})
