"""Frames by HTTP at a hub: taken here, answered by the application, in its own signed frame."""

import asyncio
from collections.abc import Callable, Sequence
from itertools import count
from typing import Final, Protocol

from wallet_guard.hub.party import RelayParty
from wallet_guard.net import Request, Response
from wallet_guard.realtime import ends
from wallet_guard.realtime.admission import Attempts
from wallet_guard.realtime.attachment import MAX_POSTS, NO_CERTIFICATE, POST
from wallet_guard.realtime.ends import ENDS, End
from wallet_guard.realtime.party import Peer
from wallet_guard.realtime.posting import CERTIFICATE_FIELD, CONTENT_TYPE, Office, refusal
from wallet_guard.signed.frames import Frame, FrameError, Message, encode_frame

GRACE_SECONDS: Final = 5.0
"""On top of what the application's handlers are given, for the way there and back."""

_OWN: Final = frozenset({"heartbeat", "heartbeat_ack"})
_BY_CODE: Final = {end.code: end for end in ENDS}


class Relays(Protocol):
    """The relay."""

    suspended: str

    @property
    def has_application(self) -> bool:
        """Whether the application is attached."""

    def tell(self, line: str) -> bool:
        """Tells the application; whether it is there."""


class RelayOffice(Office):
    """The route of a hub. At most `MAX_POSTS` wait for the application at once."""

    def __init__(self, relay: Relays, party: RelayParty, admits: Callable[[str], bool], attempts: Attempts) -> None:
        super().__init__(party, admits, attempts)
        self._relay = relay
        self._known = party
        self._numbers = count(1)
        self._waiting: dict[int, tuple[str, asyncio.Future[Frame | End]]] = {}

    async def post(self, request: Request) -> Response:
        """The answer to a frame; none is looked at while the hub may not speak."""
        if self._relay.suspended:
            return refusal(ends.CLOSING, self._relay.suspended)
        return await super().post(request)

    async def answer(self, peer: Peer, frame: Frame, messages: Sequence[Message]) -> Response:
        """The application's answer; what is for the hub alone it answers itself."""
        if all(message.type in _OWN for message in messages):
            return await super().answer(peer, frame, messages)
        if len(self._waiting) >= MAX_POSTS:
            return refusal(ends.CONNECTIONS, "too many requests wait for the application")._replace(status=503)
        number = next(self._numbers)
        future: asyncio.Future[Frame | End] = asyncio.get_running_loop().create_future()
        self._waiting[number] = (peer.hotkey, future)
        certificate = self._known.certificate(peer.hotkey, frame.speaker) or NO_CERTIFICATE
        text = encode_frame(frame.signature, frame.signed).decode()
        try:
            if not self._relay.tell(f"{POST} {number} {certificate}\n{text}"):
                return refusal(ends.CLOSING, "the application is away")
            async with asyncio.timeout(self._known.limits.handler_seconds + GRACE_SECONDS):
                found = await future
        except TimeoutError:
            return refusal(ends.TIMEOUT, "the application does not answer")
        finally:
            del self._waiting[number]
        if isinstance(found, End):
            return refusal(found)
        shown = self._known.certificate(self._known.hotkey, found.speaker)
        body = encode_frame(found.signature, found.signed)
        return Response(200, body, CONTENT_TYPE, ((CERTIFICATE_FIELD, shown),))

    def answered(self, number: int, frame: Frame) -> None:
        """The application's answer, verified.

        Raises:
            FrameError: it is for somebody else.
        """
        hotkey, future = self._waiting.get(number, (frame.receiver, None))
        if hotkey != frame.receiver:
            raise FrameError("receiver", "expected an answer to who has asked")
        if future is not None and not future.done():
            future.set_result(frame)

    def refused(self, number: int, code: str) -> None:
        """The application refuses it."""
        _, future = self._waiting.get(number, ("", None))
        if future is not None and not future.done():
            future.set_result(_BY_CODE.get(code, ends.FORMAT))

    def lose(self) -> None:
        """The application is away: nobody will answer."""
        for _, future in self._waiting.values():
            if not future.done():
                future.set_result(ends.CLOSING)
