"""Many questions in flight over one connection, against a scripted signer on real Unix sockets."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from wallet_guard.ipc import asker as module
from wallet_guard.ipc.admin import AllowPlain
from wallet_guard.ipc.answers import Done
from wallet_guard.ipc.asker import Asker, RefusedError, Unavailable
from wallet_guard.ipc.chain import Pull, Work
from wallet_guard.ipc.clients import Info
from wallet_guard.ipc.health import Health, HealthView
from wallet_guard.ipc.packets import PacketReader, encode_packet

HEALTH = {"version": "1", "keys": 1, "clients": 0, "open_intents": 0, "journal_error": "", "runtime": None}
HEALTH_ANSWER = {**HEALTH, "chain_trouble": "", "chain_seconds": None, "locked": ""}
REFUSAL = {
    "code": "no",
    "message": "expected yes",
    "hint": "",
    "retry_after_seconds": 5,
    "next_block": None,
    "rule": "",
}


class Signer:
    """What the other side does: ``script(message)`` gives the bytes to answer with, None to close."""

    def __init__(self, path: Path, script: Callable[[dict[str, Any]], bytes | None]) -> None:
        self.path, self.script = path, script
        self.heard: list[dict[str, Any]] = []
        self.writers: list[asyncio.StreamWriter] = []

    async def __aenter__(self) -> "Signer":
        self.path.unlink(missing_ok=True)
        self.server = await asyncio.start_unix_server(self._serve, self.path)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.server.close()
        for writer in self.writers:
            writer.transport.abort()
        await asyncio.sleep(0)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.append(writer)
        packets = PacketReader()
        try:
            while data := await reader.read(65536):
                for message in packets.feed(data):
                    self.heard.append(message)
                    says = self.script(message)
                    if says is None:
                        writer.transport.abort()
                        return
                    writer.write(says)
        except OSError:
            return


def answered(message: dict[str, Any]) -> bytes:
    answers: dict[str, Any] = {"health": HEALTH_ANSWER, "pull": {"tasks": []}, "allow_plain": {}}
    return encode_packet({"id": message["id"], "answer": answers[message["ask"]]})


def played(play: Callable[[Asker], Awaitable[None]], path: Path, **options: Any) -> None:
    """Runs ``play`` with an asker that runs beside it, within five seconds."""

    async def run() -> None:
        async with asyncio.timeout(5):
            asker = Asker(str(path), **options)
            running = asyncio.create_task(asker.run())
            try:
                await play(asker)
            finally:
                running.cancel()
                await asyncio.gather(running, return_exceptions=True)

    asyncio.run(run())


def test_asks_and_is_answered(tmp_path: Path) -> None:
    async def play(asker: Asker) -> None:
        async with Signer(tmp_path / "s", answered):
            assert await asker.ask(Pull(), seconds=2) == Work(())
            assert asker.connected

    played(play, tmp_path / "s")


def test_questions_that_wait_for_the_connection_keep_their_own_answers(tmp_path: Path) -> None:
    async def play(asker: Asker) -> None:
        asked = asyncio.gather(
            asker.ask(Health(), seconds=2), asker.ask(Pull(), seconds=2), asker.ask(AllowPlain(1), seconds=2)
        )
        await asyncio.sleep(0.02)
        async with Signer(tmp_path / "s", answered) as signer:
            assert await asked == [HealthView(**HEALTH_ANSWER), Work(()), Done()]
            assert len({message["id"] for message in signer.heard}) == 3

    played(play, tmp_path / "s")


def test_answers_may_come_in_any_order(tmp_path: Path) -> None:
    held: list[dict[str, Any]] = []

    def script(message: dict[str, Any]) -> bytes:
        held.append(message)
        return b"".join(map(answered, reversed(held))) if len(held) == 2 else b""

    async def play(asker: Asker) -> None:
        async with Signer(tmp_path / "s", script):
            found = await asyncio.gather(asker.ask(Pull(), seconds=2), asker.ask(AllowPlain(1), seconds=2))
            assert found == [Work(()), Done()]

    played(play, tmp_path / "s")


def test_a_refusal_is_raised_with_all_it_says(tmp_path: Path) -> None:
    def script(message: dict[str, Any]) -> bytes:
        return encode_packet({"id": message["id"], "refusal": {**REFUSAL, "intent": "abc"}})

    async def play(asker: Asker) -> None:
        async with Signer(tmp_path / "s", script):
            with pytest.raises(RefusedError, match="expected yes") as caught:
                await asker.ask(Info("t"), seconds=2)
            assert (caught.value.refusal.retry_after_seconds, caught.value.refusal.intent) == (5, "abc")

    played(play, tmp_path / "s")


def test_no_connection_before_the_deadline_was_not_asked(tmp_path: Path) -> None:
    async def play(asker: Asker) -> None:
        with pytest.raises(Unavailable) as caught:
            await asker.ask(Pull(), seconds=0.1)
        assert not caught.value.asked

    played(play, tmp_path / "s")


def test_no_answer_before_the_deadline_was_asked(tmp_path: Path) -> None:
    async def play(asker: Asker) -> None:
        async with Signer(tmp_path / "s", lambda _message: b""):
            with pytest.raises(Unavailable, match="did not answer pull within") as caught:
                await asker.ask(Pull(), seconds=0.1)
            assert caught.value.asked

    played(play, tmp_path / "s")


def test_an_answer_after_its_deadline_is_nobodys(tmp_path: Path) -> None:
    held: list[dict[str, Any]] = []

    def script(message: dict[str, Any]) -> bytes:
        held.append(message)
        return b"" if len(held) == 1 else b"".join(map(answered, held))

    async def play(asker: Asker) -> None:
        async with Signer(tmp_path / "s", script):
            with pytest.raises(Unavailable):
                await asker.ask(Health(), seconds=0.05)
            assert await asker.ask(Pull(), seconds=2) == Work(())

    played(play, tmp_path / "s")


@pytest.mark.parametrize("says", [None, b"\xff\xff\xff\xff", encode_packet({"x": 1})[:4] + b"nonsense"])
def test_a_broken_connection_ends_every_question_in_flight(tmp_path: Path, says: bytes | None) -> None:
    broken: list[int] = []

    def script(message: dict[str, Any]) -> bytes | None:
        broken.append(message["id"])
        return b"" if len(broken) == 1 else says

    async def play(asker: Asker) -> None:
        async with Signer(tmp_path / "s", script):
            found = await asyncio.gather(
                asker.ask(Pull(), seconds=2), asker.ask(AllowPlain(1), seconds=2), return_exceptions=True
            )
            assert all(isinstance(each, Unavailable) and each.asked for each in found), found

    played(play, tmp_path / "s")


def test_reconnects_and_says_so(tmp_path: Path) -> None:
    connects: list[int] = []

    async def play(asker: Asker) -> None:
        async with Signer(tmp_path / "s", answered):
            assert await asker.ask(Pull(), seconds=2) == Work(())
        while asker.connected:
            await asyncio.sleep(0.01)
        async with Signer(tmp_path / "s", answered):
            assert await asker.ask(Pull(), seconds=2) == Work(())
        assert len(connects) == 2

    played(play, tmp_path / "s", on_connect=lambda: connects.append(1))


def test_gives_on_what_is_told_unasked(tmp_path: Path) -> None:
    told: list[tuple[str, Any]] = []

    def script(message: dict[str, Any]) -> bytes:
        return encode_packet({"event": "work", "body": {"a": 1}}) + answered(message)

    async def play(asker: Asker) -> None:
        async with Signer(tmp_path / "s", script):
            await asker.ask(Pull(), seconds=2)

    played(play, tmp_path / "s", on_event=lambda name, body: told.append((name, body)))
    assert told == [("work", {"a": 1})]


def test_one_question_too_many_is_refused_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_IN_FLIGHT", 3)

    async def play(asker: Asker) -> None:
        async with Signer(tmp_path / "s", lambda _message: b""):
            waiting = [asyncio.create_task(asker.ask(Pull(), seconds=0.3)) for _ in range(3)]
            await asyncio.sleep(0.1)
            with pytest.raises(Unavailable, match="too many") as caught:
                await asker.ask(Pull(), seconds=2)
            assert not caught.value.asked
            await asyncio.gather(*waiting, return_exceptions=True)

    played(play, tmp_path / "s")


def test_a_signer_that_does_not_read_is_not_given_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_UNSENT_BYTES", 100_000)

    writers: list[asyncio.StreamWriter] = []

    async def deaf(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        writers.append(writer)

    async def play(asker: Asker) -> None:
        server = await asyncio.start_unix_server(deaf, tmp_path / "s")
        refusals = []
        for _ in range(12):
            with pytest.raises(Unavailable) as caught:
                await asker.ask(Info("x" * 100_000), seconds=0.05)
            refusals.append(caught.value.asked)
        assert refusals[0]
        assert not refusals[-1]
        server.close()
        for writer in writers:
            writer.transport.abort()
        while asker.connected:
            await asyncio.sleep(0.01)

    played(play, tmp_path / "s")


def test_a_closed_asker_leaves_nobody_waiting(tmp_path: Path) -> None:
    async def run() -> None:
        async with asyncio.timeout(5), Signer(tmp_path / "s", lambda _message: b""):
            asker = Asker(str(tmp_path / "s"))
            running = asyncio.create_task(asker.run())
            asked = asyncio.create_task(asker.ask(Pull(), seconds=4))
            await asyncio.sleep(0.1)
            running.cancel()
            with pytest.raises(Unavailable, match="closed"):
                await asked
            await asyncio.gather(running, return_exceptions=True)

    asyncio.run(run())
