"""One question from a command, against a scripted signer on a real Unix socket."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from wallet_guard.ipc.admin import AllowPlain
from wallet_guard.ipc.answers import Done
from wallet_guard.ipc.blocking import RefusedError, ask
from wallet_guard.ipc.packets import PacketError, PacketReader, encode_packet
from wallet_guard.ipc.records import RecordError

DONE = encode_packet({"id": 1, "answer": {}})
REFUSAL = {
    "code": "no",
    "message": "expected yes",
    "hint": "",
    "retry_after_seconds": None,
    "next_block": None,
    "rule": "",
}


@contextmanager
def signer(path: Path, *says: bytes, then: Callable[[socket.socket], None] = lambda _: None) -> Iterator[list[Any]]:
    """Takes one question, sends ``says`` piece by piece, closes."""
    heard: list[Any] = []
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(path))
    listener.listen()
    listener.settimeout(5)

    def serve() -> None:
        with listener, listener.accept()[0] as connection:
            connection.settimeout(5)
            reader = PacketReader()
            while not heard:
                heard.extend(reader.feed(connection.recv(65536)))
            for piece in says:
                connection.sendall(piece)
            with suppress(OSError):
                then(connection)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield heard
    finally:
        thread.join(5)
        assert not thread.is_alive()


def test_asks_and_is_answered(tmp_path: Path) -> None:
    with signer(tmp_path / "s", DONE) as heard:
        assert ask(str(tmp_path / "s"), AllowPlain(3)) == Done()
    assert heard == [{"id": 1, "ask": "allow_plain", "body": {"netuid": 3}}]


def test_an_answer_in_pieces_is_one_answer(tmp_path: Path) -> None:
    with signer(tmp_path / "s", *(bytes([byte]) for byte in DONE)):
        assert ask(str(tmp_path / "s"), AllowPlain(3)) == Done()


def test_skips_what_is_told_unasked(tmp_path: Path) -> None:
    with signer(tmp_path / "s", encode_packet({"event": "work", "body": {}}) + DONE):
        assert ask(str(tmp_path / "s"), AllowPlain(3)) == Done()


def test_a_refusal_is_raised(tmp_path: Path) -> None:
    with signer(tmp_path / "s", encode_packet({"id": 1, "refusal": {**REFUSAL, "intent": None}})):
        with pytest.raises(RefusedError, match="expected yes") as caught:
            ask(str(tmp_path / "s"), AllowPlain(3))
    assert caught.value.refusal.code == "no"


def test_no_answer_before_the_deadline(tmp_path: Path) -> None:
    with signer(tmp_path / "s", then=lambda connection: connection.recv(1)):
        with pytest.raises(TimeoutError):
            ask(str(tmp_path / "s"), AllowPlain(3), seconds=0.1)


def test_a_drip_of_bytes_does_not_prolong_the_deadline(tmp_path: Path) -> None:
    event = encode_packet({"event": "work", "body": {}})

    def drip(connection: socket.socket) -> None:
        for _ in range(100):
            connection.sendall(event)
            threading.Event().wait(0.02)

    with signer(tmp_path / "s", then=drip):
        with pytest.raises(TimeoutError):
            ask(str(tmp_path / "s"), AllowPlain(3), seconds=0.2)


def test_a_connection_closed_without_an_answer(tmp_path: Path) -> None:
    with signer(tmp_path / "s", DONE[:5]):
        with pytest.raises(ConnectionError):
            ask(str(tmp_path / "s"), AllowPlain(3))


def test_nonsense_is_no_answer(tmp_path: Path) -> None:
    with signer(tmp_path / "s", b"\xff\xff\xff\xff"):
        with pytest.raises(PacketError):
            ask(str(tmp_path / "s"), AllowPlain(3))


def test_another_record_is_no_answer(tmp_path: Path) -> None:
    with signer(tmp_path / "s", encode_packet({"id": 1, "answer": {"x": 1}})):
        with pytest.raises(RecordError):
            ask(str(tmp_path / "s"), AllowPlain(3))


def test_nobody_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        ask(str(tmp_path / "s"), AllowPlain(3))
