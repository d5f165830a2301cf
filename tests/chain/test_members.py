"""Who is registered: read at the head, kept for some seconds, told on a socket that takes one question."""

import asyncio
import socket

import pytest

from wallet_guard.chain import members
from wallet_guard.chain.errors import Unavailable
from wallet_guard.chain.members import Door, Registry, read_members
from wallet_guard.ipc.answers import Refusal
from wallet_guard.ipc.asker import Asker, RefusedError
from wallet_guard.ipc.chain import Pull
from wallet_guard.ipc.metagraph import Members, MembersView
from wallet_guard.ipc.packets import PacketReader, encode_packet

ALICE, BOB = b"\x01" * 32, b"\x02" * 32
SECONDS = 60.0


@pytest.fixture
def subnet(chain, kit):
    """A chain with two hotkeys on subnet 2, and a free uid between them."""
    chain.set("SubnetworkN", 2, value=3)
    chain.put = lambda uid, raw: chain.blocks[-1].state.__setitem__(kit.key_of("SubtensorModule", "Keys", 2, uid), raw)
    chain.put(0, ALICE)
    chain.put(2, BOB)
    return chain


def ask(registry, netuid=2):
    return asyncio.run(registry.members(netuid))


def test_reads_the_hotkeys_of_the_subnet_in_two_requests(subnet):
    async def scene():
        link = await subnet.link()
        subnet.asked.clear()
        assert await read_members(link, 2) == MembersView(2, 0, (ALICE, BOB))
        assert subnet.asked == ["state_queryStorageAt"] * 2
        assert (await read_members(link, 3)).keys == ()

    asyncio.run(scene())


@pytest.mark.parametrize("count", [4097, -1, "three", None])
def test_a_number_of_members_that_cannot_be_is_refused(subnet, count):
    async def scene():
        subnet.set("SubnetworkN", 2, value=count)
        with pytest.raises(Unavailable, match="SubnetworkN: expected 0 to 4096"):
            await read_members(await subnet.link(), 2)

    asyncio.run(scene())


def test_a_key_that_is_no_account_is_refused(subnet):
    async def scene():
        subnet.put(1, b"short")
        with pytest.raises(Unavailable, match="accounts of 32 bytes"):
            await read_members(await subnet.link(), 2)

    asyncio.run(scene())


def test_one_reading_serves_everybody_for_a_while(subnet, kit, monkeypatch):
    async def scene():
        registry = Registry(kit.endpoints(await subnet.link()), 2)
        subnet.asked.clear()
        await asyncio.gather(*(registry.members(2) for _ in range(100)))
        assert len(subnet.asked) == 2
        monkeypatch.setattr(members, "FRESH_SECONDS", 0.0)
        subnet.put(1, b"\x03" * 32)
        assert len((await registry.members(2)).keys) == 3

    asyncio.run(scene())


def test_another_subnet_and_a_dead_chain_are_refusals(subnet, kit):
    async def scene():
        link = await subnet.link()
        registry = Registry(kit.endpoints(link), 2)
        assert (await registry.members(3)).code == "netuid_not_allowed"
        assert (await Registry(kit.endpoints(), 2).members(2)).code == "unavailable"
        link.fail("gone")
        found = await registry.members(2)
        assert isinstance(found, Refusal)
        assert found.code == "unavailable"

    asyncio.run(scene())


class Scene:
    """A door on a socket pair's path, and the registry behind it."""

    def __init__(self, folder, registry):
        self.path = str(folder / "door")
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.path)
        self.listener.listen()
        self.door = Door(registry)

    async def __aenter__(self):
        self.serving = asyncio.ensure_future(self.door.serve(self.listener))
        return self

    async def __aexit__(self, *_):
        self.serving.cancel()
        await asyncio.gather(self.serving, return_exceptions=True)

    async def say(self, data):
        """What comes back until the door is shut, or one packet."""
        reader, writer = await asyncio.open_unix_connection(self.path)
        try:
            writer.write(data)
            async with asyncio.timeout(SECONDS):
                packets = PacketReader()
                while read := await reader.read(1 << 16):
                    if found := packets.feed(read):
                        return found
            return None
        except ConnectionResetError:
            return None
        finally:
            writer.transport.abort()


def test_the_hub_asks_and_is_answered(subnet, kit, tmp_path):
    async def scene():
        async with Scene(tmp_path, Registry(kit.endpoints(await subnet.link()), 2)) as door:
            asker = Asker(door.path)
            running = asyncio.ensure_future(asker.run())
            assert (await asker.ask(Members(2), seconds=SECONDS)).keys == (ALICE, BOB)
            with pytest.raises(RefusedError, match="expected netuid 2, found 9"):
                await asker.ask(Members(9), seconds=SECONDS)
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    asyncio.run(scene())


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        encode_packet({"id": 1, "ask": Pull.ask, "body": {}}),
        encode_packet({"id": 1, "ask": "members", "body": {"netuid": "2"}}),
        encode_packet({"id": 1, "ask": "members", "body": {"netuid": 2, "more": 1}}),
        encode_packet({"id": 1, "ask": "members", "body": {"netuid": 2}, "token": "x"}),
        encode_packet({"id": "1", "ask": "members", "body": {"netuid": 2}}),
        b"\x00\x00\xff\xff" + b"x" * 100,
    ],
)
def test_nonsense_shuts_the_door(subnet, kit, tmp_path, data):
    async def scene():
        async with Scene(tmp_path, Registry(kit.endpoints(await subnet.link()), 2)) as door:
            assert await door.say(data) is None
            assert (await door.say(encode_packet({"id": 1, "ask": "members", "body": {"netuid": 2}})))[0]["id"] == 1

    asyncio.run(scene())


def test_more_connections_than_a_hub_needs_are_shut(subnet, kit, tmp_path):
    async def scene():
        async with Scene(tmp_path, Registry(kit.endpoints(await subnet.link()), 2)) as door:
            held = [await asyncio.open_unix_connection(door.path) for _ in range(members.MAX_CONNECTIONS)]
            assert await door.say(encode_packet({"id": 1, "ask": "members", "body": {"netuid": 2}})) is None
            for _, writer in held:
                writer.transport.abort()

    asyncio.run(scene())
