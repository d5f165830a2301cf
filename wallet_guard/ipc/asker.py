"""Asking the signer from an asyncio process: one connection, many questions in flight, reconnecting.

Questions are matched to answers by id. When the connection breaks, every question in flight ends in
``Unavailable``: the asker cannot know whether the signer decided, and only the caller knows whether asking
again is safe (an idempotency key makes it so).
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import Any, cast

from wallet_guard.ipc.answers import Refusal
from wallet_guard.ipc.answers import RefusedError as RefusedError
from wallet_guard.ipc.packets import MAX_PACKET_BYTES, PacketError, PacketReader, encode_packet
from wallet_guard.ipc.questions import Question
from wallet_guard.ipc.records import RecordError, from_json, to_json

log = logging.getLogger(__name__)

CONNECT_SECONDS = 5.0
"""A Unix socket connects at once or not at all; five seconds is a signer that is starting."""

RECONNECT_SECONDS = (0.05, 0.1, 0.2, 0.5, 1.0)
"""Pauses between attempts; the last one repeats. A signer restarts in a third of a second."""

MAX_IN_FLIGHT = 1024
"""Questions waiting for an answer; one more is refused at once rather than queued without end."""


MAX_UNSENT_BYTES = 8 * 1024 * 1024
"""What a signer that does not read may leave unsent: questions whose deadline passed are still in there."""


class Unavailable(Exception):  # noqa: N818 -- the project's word for "the world failed, try again"
    """No answer: not connected, the connection broke, or the deadline passed.

    ``asked`` tells whether the question was sent, so that it may have been decided.
    """

    def __init__(self, message: str, *, asked: bool) -> None:
        super().__init__(message)
        self.asked = asked


class Asker:
    """The connection to one of the signer's sockets.

    ``on_event(name, body)`` is called for what the signer tells unasked, ``on_connect()`` after each
    (re)connect, so that the owner can ask again what it must know. Both run in the event loop and must not
    block.
    """

    def __init__(
        self,
        path: str,
        *,
        on_event: Callable[[str, Any], None] = lambda _name, _body: None,
        on_connect: Callable[[], None] = lambda: None,
    ) -> None:
        self._path = path
        self._on_event = on_event
        self._on_connect = on_connect
        self._writer: asyncio.StreamWriter | None = None
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._next_id = 1
        self._connected = asyncio.Event()

    @property
    def connected(self) -> bool:
        """Is there a connection at this moment?"""
        return self._connected.is_set()

    async def run(self) -> None:
        """Connect, read, reconnect, until cancelled."""
        failures = 0
        try:
            while True:
                try:
                    async with asyncio.timeout(CONNECT_SECONDS):
                        reader, writer = await asyncio.open_unix_connection(self._path)
                except (OSError, TimeoutError) as error:
                    if failures == 0:
                        log.warning(f"signer: cannot connect to {self._path}: {error}")
                    await asyncio.sleep(RECONNECT_SECONDS[min(failures, len(RECONNECT_SECONDS) - 1)])
                    failures += 1
                    continue
                failures = 0
                await self._serve(reader, writer)
        finally:
            self._drop("the asker was closed")

    async def ask(self, question: Question, *, seconds: float, answer: type[Any] | None = None) -> Any:
        """The signer's answer, an instance of ``answer``, or of ``question.answer`` where that is left out.

        Raises:
            RefusedError: the signer says no.
            Unavailable: no answer within ``seconds``, connecting included.
        """
        sent, number = False, 0
        try:
            async with asyncio.timeout(seconds):
                await self._connected.wait()
                writer = self._writer
                if writer is None or len(self._waiting) >= MAX_IN_FLIGHT:
                    raise Unavailable("too many questions in flight to the signer", asked=False)
                if writer.transport.get_write_buffer_size() > MAX_UNSENT_BYTES:
                    raise Unavailable("the signer does not read its questions", asked=False)
                # Only now: questions that wait for the connection together must not share an id.
                number, self._next_id = self._next_id, self._next_id + 1
                future: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
                self._waiting[number] = future
                writer.write(encode_packet({"id": number, "ask": question.ask, "body": to_json(question)}))
                sent = True
                message = await future
        except TimeoutError as error:
            raise Unavailable(f"the signer did not answer {question.ask} within {seconds:g} s", asked=sent) from error
        finally:
            self._waiting.pop(number, None)
        if "refusal" in message:
            raise RefusedError(from_json(Refusal, message["refusal"]))
        return from_json(answer or question.answer, message.get("answer"))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        packets = PacketReader(MAX_PACKET_BYTES)
        self._writer = writer
        self._connected.set()
        log.info(f"signer: connected to {self._path}")
        self._on_connect()
        try:
            while data := await reader.read(1 << 18):
                for message in packets.feed(data):
                    self._take(message)
            self._drop("the signer closed the connection")
        except (OSError, PacketError, RecordError) as error:
            self._drop(f"the connection to the signer broke: {error}")
        finally:
            # Not close: that would wait for a peer that does not read.
            writer.transport.abort()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    def _take(self, message: dict[str, Any]) -> None:
        if "event" in message:
            self._on_event(str(message["event"]), message.get("body"))
            return
        future = self._waiting.pop(cast("int", message.get("id")), None)
        if future is not None and not future.done():
            future.set_result(message)

    def _drop(self, why: str) -> None:
        self._writer = None
        self._connected.clear()
        if self._waiting:
            log.warning(f"signer: {len(self._waiting)} questions lost: {why}")
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(Unavailable(why, asked=True))
        self._waiting.clear()
