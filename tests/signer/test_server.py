"""The loop on real Unix sockets: one thread, cut off whoever speaks nonsense, does not read, or is nobody we know."""

import json
import os
import socket
import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from wallet_guard.host.sockets import listen_unix
from wallet_guard.ipc.admin import Lock
from wallet_guard.ipc.chain import Pull, Pulse
from wallet_guard.ipc.health import Health
from wallet_guard.ipc.intents import Accept, Show
from wallet_guard.ipc.packets import MAX_ASKER_PACKET_BYTES, PacketReader, encode_packet
from wallet_guard.ipc.records import to_json
from wallet_guard.signer import server as module
from wallet_guard.signer.server import Server

NAMES = ("gateway", "chain", "admin")


class Peer:
    """A blocking connection to one of the sockets, every wait at most five seconds."""

    def __init__(self, folder: Path, name: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(5)
        self.socket.connect(str(folder / name))
        self.reader = PacketReader()
        self.held: list[dict[str, Any]] = []

    def send(self, *questions: Any) -> None:
        packets = [
            encode_packet({"id": at, "ask": question.ask, "body": to_json(question)})
            for at, question in enumerate(questions, 1)
        ]
        self.socket.sendall(b"".join(packets))

    def next(self) -> dict[str, Any] | None:
        """The next packet, None at the end."""
        while not self.held:
            try:
                data = self.socket.recv(1 << 20)
            except ConnectionError:
                return None
            if not data:
                return None
            self.held += self.reader.feed(data)
        return self.held.pop(0)

    def ended(self) -> bool:
        while (message := self.next()) is not None:
            assert "answer" in message or "event" in message or "refusal" in message
        return True

    def close(self) -> None:
        self.socket.close()


@pytest.fixture
def served(bench: Any, tmp_path: Path) -> Any:
    """``served(play)`` runs the loop here and ``play(connect)`` beside it; what ``play`` raises is raised."""

    def run(play: Callable[[Callable[[str], Peer]], None], users: dict[str, frozenset[int]] | None = None) -> Server:
        own = frozenset({os.getuid()})
        listeners = {name: listen_unix(tmp_path / name, 0o600) for name in NAMES}
        alive: list[float] = []
        server = Server(bench.desk, listeners, users or dict.fromkeys(NAMES, own), alive=lambda: alive.append(1))
        wake, woken = socket.socketpair()
        server.watch(woken)
        peers: list[Peer] = []
        raised: list[BaseException] = []

        def connect(name: str) -> Peer:
            peers.append(Peer(tmp_path, name))
            return peers[-1]

        def beside() -> None:
            try:
                play(connect)
            except BaseException as error:
                raised.append(error)
            finally:
                server.stop()
                wake.send(b"x")

        thread = threading.Thread(target=beside)
        thread.start()
        try:
            server.run()
        finally:
            thread.join(10)
            for each in (*peers, *listeners.values(), wake, woken):
                each.close()
        if raised:
            raise raised[0]
        assert alive
        return server

    return run


def test_answers_each_socket_by_its_table(served: Any) -> None:
    def play(connect: Callable[[str], Peer]) -> None:
        for name, question in (("gateway", Health()), ("admin", Health()), ("chain", Pull())):
            peer = connect(name)
            peer.send(question)
            message = peer.next()
            assert message is not None
            assert message["id"] == 1
            assert "answer" in message

    served(play)


def test_many_questions_at_once_and_byte_by_byte(served: Any) -> None:
    def play(connect: Callable[[str], Peer]) -> None:
        peer = connect("gateway")
        peer.send(*[Health()] * 100)
        assert [message and message["id"] for message in (peer.next() for _ in range(100))] == list(range(1, 101))
        for byte in encode_packet({"id": 7, "ask": "health", "body": {}}):
            peer.socket.sendall(bytes([byte]))
        message = peer.next()
        assert message is not None
        assert message["id"] == 7

    served(play)


def accepts(bench: Any, count: int) -> list[Accept]:
    return [Accept(bench.token, f"key {at}", False, bench.wish(netuid=1 + at % 3)) for at in range(count)]


def replies(peer: Peer, count: int) -> list[dict[str, Any]]:
    """The answers and refusals to that many questions; events are passed over."""
    found: list[dict[str, Any]] = []
    while len(found) < count:
        message = peer.next()
        assert message is not None
        if "event" not in message:
            found.append(message)
    return found


def test_what_arrives_together_is_written_together(served: Any, bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_TOGETHER_SECONDS", 60.0)
    said: list[str] = []
    bench.desk.journal._db.set_trace_callback(said.append)

    def play(connect: Callable[[str], Peer]) -> None:
        chain, peer = connect("chain"), connect("gateway")
        chain.send(Pull())
        assert chain.next() is not None
        peer.send(*accepts(bench, 20))
        assert [message["id"] for message in replies(peer, 20) if "answer" in message] == list(range(1, 21))
        # The chain process is told once that there is work.
        assert chain.next() == {"event": "work", "body": {}}
        chain.send(Pull())
        message = chain.next()
        assert message is not None
        assert len(message["answer"]["tasks"]) == 20

    served(play)
    assert said.count("COMMIT") == 1


def test_an_operator_does_not_wait_behind_what_gateways_have_asked(
    served: Any, bench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_TOGETHER_SECONDS", -1.0)
    true, operator = module.answer, list[Peer]()

    def lock_with_the_first(desk: Any, name: str, message: dict[str, Any], *others: Any) -> Any:
        if name == "gateway" and message["id"] == 1:
            operator[0].send(Lock(""))
        return true(desk, name, message, *others)

    monkeypatch.setattr(module, "answer", lock_with_the_first)

    def play(connect: Callable[[str], Peer]) -> None:
        operator.append(connect("admin"))
        operator[0].send(Health())
        assert operator[0].next() is not None
        peer = connect("gateway")
        peer.send(*accepts(bench, 50))
        found = replies(peer, 50)
        assert "answer" in found[0]
        assert [message["refusal"]["code"] for message in found[1:]] == ["locked"] * 49

    served(play)


def test_a_refusal_among_them_undoes_nothing(served: Any, bench: Any) -> None:
    questions = [*accepts(bench, 3), Accept(bench.token, None, False, bench.wish(netuid=99)), *accepts(bench, 5)[3:]]

    def play(connect: Callable[[str], Peer]) -> None:
        peer = connect("gateway")
        peer.send(*questions)
        assert ["refusal" in message for message in replies(peer, 6)] == [at == 3 for at in range(6)]

    served(play)
    assert len(bench.desk.journal.open_intents()) == 5


def test_what_cannot_be_synced_is_told_as_not_done(served: Any, bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_TOGETHER_SECONDS", 60.0)
    journal = bench.desk.journal
    true = journal._db

    class Unsynced:
        """Everything works but the commit."""

        def execute(self, query: str, *values: Any) -> Any:
            if query == "COMMIT":
                raise sqlite3.OperationalError("disk I/O error")
            return true.execute(query, *values)

    def play(connect: Callable[[str], Peer]) -> None:
        peer = connect("gateway")
        peer.send(Health())
        assert "answer" in replies(peer, 1)[0]
        journal._db = Unsynced()
        peer.send(*accepts(bench, 4))
        codes = [message["refusal"]["code"] for message in replies(peer, 4)]
        assert codes == ["journal_unavailable"] * 4
        journal._db = true
        peer.send(Health())
        assert replies(peer, 1)[0]["answer"]["journal_error"]

    served(play)
    assert journal.open_intents() == []


def test_what_comes_before_nonsense_is_answered(served: Any, bench: Any) -> None:
    def play(connect: Callable[[str], Peer]) -> None:
        peer = connect("gateway")
        (first,) = accepts(bench, 1)
        peer.socket.sendall(
            encode_packet({"id": 1, "ask": "accept", "body": to_json(first)})
            + encode_packet({"id": 2, "ask": "seal", "body": {}})
            + encode_packet({"id": 3, "ask": "health", "body": {}})
        )
        messages = []
        while (message := peer.next()) is not None:
            messages.append(message)
        assert [message["id"] for message in messages if "answer" in message] == [1]

    served(play)


@pytest.mark.parametrize(
    "nonsense",
    [
        pytest.param(b"\xff\xff\xff\xff", id="a length over the ceiling"),
        pytest.param((MAX_ASKER_PACKET_BYTES + 1).to_bytes(4, "big"), id="a length over an asker's ceiling"),
        pytest.param(b"\0\0\0\0", id="an empty packet"),
        pytest.param(b"\0\0\0\x02[]", id="a list"),
        pytest.param(b"GET / HTTP/1.1\r\n\r\n", id="another protocol"),
        pytest.param(encode_packet({"id": 1, "ask": "seal", "body": {}}), id="another socket's question"),
        pytest.param(encode_packet({"id": 1, "ask": "show", "body": {"token": "a", "intent": 5}}), id="a wrong field"),
        pytest.param(encode_packet({"id": 1, "ask": "client_add", "body": {}}), id="the operator's question"),
    ],
)
def test_nonsense_ends_that_connection_and_no_other(served: Any, nonsense: bytes) -> None:
    def play(connect: Callable[[str], Peer]) -> None:
        good, bad = connect("gateway"), connect("gateway")
        bad.socket.sendall(nonsense)
        assert bad.ended()
        good.send(Health())
        assert good.next() is not None

    served(play)


def test_the_chain_process_may_say_more_at_once_than_a_gateway(served: Any) -> None:
    def play(connect: Callable[[str], Peer]) -> None:
        peer = connect("chain")
        peer.send(Pulse("x" * (MAX_ASKER_PACKET_BYTES + 1), 1, 1, ""))
        message = peer.next()
        assert message is not None
        assert message["answer"] == {}

    served(play)


def test_tells_gateways_of_changes_and_chain_processes_of_work(served: Any, bench: Any) -> None:
    def play(connect: Callable[[str], Peer]) -> None:
        first, second, chain, admin = connect("gateway"), connect("gateway"), connect("chain"), connect("admin")
        for peer, question in ((second, Health()), (chain, Pull()), (admin, Health())):
            peer.send(question)
            assert peer.next() is not None
        first.send(Accept(bench.token, None, False, bench.wish()))
        messages = [first.next(), first.next()]
        (view,) = [message["answer"] for message in messages if message and "answer" in message]
        told = second.next()
        assert told == {"event": "intent", "body": view}
        assert told in messages
        assert chain.next() == {"event": "work", "body": {}}
        admin.send(Health())
        message = admin.next()
        assert message is not None
        assert "answer" in message

    served(play)


def test_an_unknown_uid_is_turned_away(served: Any) -> None:
    def play(connect: Callable[[str], Peer]) -> None:
        stranger = connect("chain")
        assert stranger.ended()
        gateway = connect("gateway")
        gateway.send(Health())
        assert gateway.next() is not None

    own = frozenset({os.getuid()})
    served(play, {"gateway": own, "chain": frozenset({os.getuid() + 1}), "admin": own})


def test_connections_have_a_ceiling_per_socket(served: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_CONNECTIONS", 2)

    def play(connect: Callable[[str], Peer]) -> None:
        held = [connect("gateway"), connect("gateway")]
        for peer in held:
            peer.send(Health())
            assert peer.next() is not None
        assert connect("gateway").ended()
        chain = connect("chain")
        chain.send(Pull())
        assert chain.next() is not None
        held[0].close()
        # The place is free again once the loop has seen it.
        for _ in range(50):
            again = connect("gateway")
            try:
                again.send(Health())
                if again.next() is not None:
                    return
            except OSError:
                pass
            time.sleep(0.02)
        pytest.fail("no place became free")

    served(play)


def test_a_peer_that_does_not_read_is_cut_off_and_asks_no_more(
    served: Any, bench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_UNSENT_BYTES", 100_000)
    answered: list[int] = []
    true = module.answer

    def counted(*arguments: Any) -> Any:
        answered.append(1)
        return true(*arguments)

    monkeypatch.setattr(module, "answer", counted)
    count = 20_000

    def play(connect: Callable[[str], Peer]) -> None:
        slow, good = connect("gateway"), connect("gateway")
        with suppress(OSError):
            slow.send(*[Health()] * count)
        good.send(Health())
        assert good.next() is not None
        try:
            slow.ended()
        except TimeoutError:
            pytest.fail("it was not cut off")

    served(play)
    # What two buffers take, not what one read of the socket held: 5,000 and more.
    assert len(answered) < 3_000


def test_a_peer_that_is_gone_when_it_is_told_ends_nothing(served: Any, bench: Any) -> None:
    # A question that changes something, then nonsense, then gone: the connection was closed twice once, which ended
    # the process.
    accept = Accept(bench.token, None, False, bench.wish())

    def play(connect: Callable[[str], Peer]) -> None:
        for _ in range(5):
            bad = connect("gateway")
            packet = encode_packet({"id": 1, "ask": "accept", "body": to_json(accept)})
            bad.socket.sendall(packet * 3 + b"\0\0\0\x02[]")
            bad.close()
            worse = connect("gateway")
            nonsense = encode_packet({"id": 1, "ask": "seal", "body": {}})
            worse.socket.sendall(packet + nonsense)
            worse.close()
        good = connect("gateway")
        good.send(Health())
        while (message := good.next()) is not None and "answer" not in message:
            pass
        assert message is not None

    served(play)


def test_strangers_are_recorded_once_a_minute_not_one_by_one(
    served: Any, bench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "STRANGERS_SECONDS", 0.0)
    monkeypatch.setattr(module, "TICK_SECONDS", 0.2)

    def play(connect: Callable[[str], Peer]) -> None:
        peer = connect("gateway")
        peer.send(*[Show("nobody's", "x")] * 50)
        for _ in range(50):
            assert peer.next() is not None
        time.sleep(0.3)
        peer.send(Health())
        assert peer.next() is not None

    served(play)
    records = [record for record in bench.desk.journal.records() if record.kind == "strangers"]
    assert 1 <= len(records) <= 3
    assert sum(json.loads(record.body)["refused"] for record in records) == 50


def test_what_time_alone_changes_is_told(served: Any, bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TICK_SECONDS", 0.05)
    bench.accepted()

    def play(connect: Callable[[str], Peer]) -> None:
        peer = connect("gateway")
        peer.send(Health())
        assert peer.next() is not None
        bench.clock[0] += 301_000
        message = peer.next()
        assert message is not None
        assert (message["event"], message["body"]["state"]) == ("intent", "expired")

    served(play)


def test_a_journal_that_failed_stops_nothing_but_writing(served: Any, bench: Any) -> None:
    bench.accepted()
    bench.desk.journal.error = "disk I/O error"
    bench.clock[0] += 301_000

    def play(connect: Callable[[str], Peer]) -> None:
        peer = connect("gateway")
        time.sleep(0.6)
        peer.send(Health(), Accept(bench.token, None, False, bench.wish()))
        first, second = peer.next(), peer.next()
        assert first is not None
        assert second is not None
        assert first["answer"]["journal_error"] == "disk I/O error"
        assert second["refusal"]["code"] == "journal_unavailable"

    served(play)
