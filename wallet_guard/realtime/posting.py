"""Frames by HTTP: `POST /ws/frame`, either end (hardening/btws.md, section 8).

The same frame as on a WebSocket, taken once whichever way it comes. The answer is a frame as well: signed, bound to the
request by its number, with the acknowledgements and whatever else there is to say to this sender.
"""

import asyncio
import ssl
from collections.abc import Callable, Sequence
from time import monotonic
from typing import Final

from wallet_guard.net import HttpClient, HttpLimits, Request, Response, json_response, parse_url
from wallet_guard.realtime import ends
from wallet_guard.realtime.admission import Attempts
from wallet_guard.realtime.ends import End, RealtimeError
from wallet_guard.realtime.party import Party, Peer, error_data
from wallet_guard.signed.certificate import CertificateError, parse_certificate
from wallet_guard.signed.frames import MAX_FRAME_BYTES, Frame, FrameError, Message, encode_message, parse_frame
from wallet_guard.signed.reception import Voice, is_signed
from wallet_guard.wire.errors import ProtocolError

FRAME_PATH: Final = "/ws/frame"
CERTIFICATE_FIELD: Final = "Btws-Certificate"
CONTENT_TYPE: Final = "text/plain; charset=utf-8"
_MAX_SAID: Final = 256  # messages that one answer takes along


class Posted:
    """One request in the making of its answer: an `Answer` for the peer's messages."""

    def __init__(self, party: Party, peer: Peer, frame: Frame) -> None:
        self._party = party
        self._peer = peer
        self._frame = frame
        self._open = 0
        self._ids: list[str] = []
        self._lines: list[str] = []
        self._through = asyncio.Event()

    async def handle(self, messages: Sequence[Message], seconds: float) -> bytes:
        """The signed answer, once the handlers are through with these messages or the time is over."""
        before, self._peer.answer = self._peer.answer, self
        self._open = len(messages)
        try:
            for message in messages:
                self._receive(message)
            if self._open:
                async with asyncio.timeout(seconds):
                    await self._through.wait()
        except TimeoutError:
            pass  # what is not done is not acknowledged
        finally:
            self._peer.answer = before
        ack = encode_message("ack", "", {"ids": self._ids, "seq": self._frame.seq})
        # as many as the format allows; what is left over was best effort
        lines = [ack, *self._lines[: self._party.limits.max_messages - 1]]
        return self._party.speaker.frame(self._peer.hotkey, lines, self._party.clock_ns())

    def done(self, message: Message, failure: str) -> None:
        """A handler is through with a message."""
        self._party.settled(self._peer, message, failure)
        if message.ack:
            self._ids.append(message.id)
        if failure:
            self.say(encode_message("error", "", error_data(failure, f"{message.type} was not handled", message.id)))
        self._finished()

    def say(self, line: str) -> None:
        """Takes a message along."""
        if len(self._lines) < _MAX_SAID:
            self._lines.append(line)

    def _receive(self, message: Message) -> None:
        if message.type == "ack":
            ids = message.data.get("ids")
            if isinstance(ids, list):
                self._party.acknowledged(self._peer, [id_ for id_ in ids if isinstance(id_, str)])
            self._finished()
        elif message.type == "heartbeat":
            self.say(encode_message("heartbeat_ack", "", {"re": message.id}))
            self._finished()
        elif message.ack and self._peer.running is not None and message.id in self._peer.running:
            self._finished()  # it came by WebSocket as well and is under way: not done, so not acknowledged here
        else:
            self._party.deliver(self._peer, message, self)

    def _finished(self) -> None:
        self._open -= 1
        if self._open <= 0:
            self._through.set()


class Office:
    """The route: who may post is the manager's rule; failures are counted by address."""

    def __init__(self, party: Party, admits: Callable[[str], bool], attempts: Attempts) -> None:
        self._party = party
        self._admits = admits
        self._attempts = attempts

    async def post(self, request: Request) -> Response:
        """The answer to a frame."""
        now = monotonic()
        address = request.peer.key
        if not self._attempts.may(address, now):
            return refusal(ends.CONNECTIONS)
        try:
            text, certificate = _decode(request.body), request.headers.get(CERTIFICATE_FIELD)
            peer, frame, messages = self.read(text, certificate)
        except FrameError as error:
            self._attempts.failed(address, now)
            self._party.metrics.verdicts[error.code] += 1
            return refusal(ends.OF_FRAME.get(error.code, ends.FORMAT), error.reason)
        except CertificateError as error:
            self._attempts.failed(address, now)
            self._party.metrics.verdicts[f"certificate {error.code}"] += 1
            return refusal(ends.CERTIFICATE, str(error))
        except RealtimeError as error:
            self._attempts.failed(address, now)
            self._party.metrics.ends[error.end.code] += 1
            return refusal(error.end)
        return await self.answer(peer, frame, messages)

    async def answer(self, peer: Peer, frame: Frame, messages: Sequence[Message]) -> Response:
        """The response to a frame that was taken."""
        body = await Posted(self._party, peer, frame).handle(messages, self._party.limits.handler_seconds)
        return Response(200, body, CONTENT_TYPE, certificate_fields(self._party))

    def read(self, text: str, certificate: str) -> tuple[Peer, Frame, list[Message]]:
        """Takes a frame: its sender, and the messages; `certificate` is "" where the hotkey itself has signed.

        Raises:
            FrameError, CertificateError, RealtimeError: it is refused.
        """
        claimed = parse_frame(text, self._party.limits.max_frame_bytes)
        if not self._admits(claimed.sender):
            raise RealtimeError(ends.AUTHORISATION)
        known = self._party.peers.get(claimed.sender)
        # a stranger's words make no lasting entry before their signature is verified
        peer = known if known is not None else Peer(claimed.sender)
        _learn(self._party, peer, certificate)
        frame, voice = self._party.check(text, peer, broadcasts=False, new=True)
        _verify(frame, voice)
        messages = self._party.take(frame, voice, peer)
        return self._party.adopt(peer), frame, messages


async def post_lines(
    party: Party, peer: Peer, endpoint: str, lines: Sequence[str], *, tls: ssl.SSLContext | None, seconds: float
) -> list[Message]:
    """Posts messages in one frame to an endpoint of the peer; the verified messages of its answer, the `ack` first.

    Raises:
        RealtimeError: no connection, a refusal, or an answer that is not the peer's answer to this frame.
    """
    frame = party.speaker.frame(peer.hotkey, lines, party.clock_ns())
    sent = parse_frame(frame.decode())
    try:
        async with asyncio.timeout(seconds):
            client = await HttpClient.connect(
                parse_url(endpoint), tls=tls, limits=HttpLimits(max_body_bytes=MAX_FRAME_BYTES), timeout_seconds=seconds
            )
            try:
                fields = (("Content-Type", CONTENT_TYPE), *certificate_fields(party))
                answer = await client.request("POST", FRAME_PATH, headers=fields, body=frame, timeout_seconds=seconds)
            finally:
                client.close()
    except (OSError, ProtocolError) as error:
        raise RealtimeError(ends.end_of_attempt(error), str(error)[:120]) from error
    if answer.status != 200:
        raise RealtimeError(ends.end_of_response(answer.status, answer.body))
    try:
        _learn(party, peer, answer.fields.get(CERTIFICATE_FIELD))
        received, voice = party.check(_decode(answer.body), peer, broadcasts=False, new=True)
        _verify(received, voice)
        messages = party.take(received, voice, peer)
    except FrameError as error:
        raise RealtimeError(ends.OF_FRAME.get(error.code, ends.FORMAT), error.reason) from error
    except CertificateError as error:
        raise RealtimeError(ends.CERTIFICATE, str(error)) from error
    if not messages or messages[0].type != "ack" or messages[0].data.get("seq") != sent.seq:
        raise RealtimeError(ends.FORMAT, "the answer is none to this frame")
    return messages


def refusal(end: End, detail: str = "") -> Response:
    """A refusal in HTTP."""
    return json_response(ends.describe(end, detail), end.status)


def certificate_fields(party: Party) -> tuple[tuple[str, str], ...]:
    """The header field with our certificate, if we speak with a session key."""
    return ((CERTIFICATE_FIELD, party.speaker.certificate),) if party.speaker.certificate else ()


def _learn(party: Party, peer: Peer, certificate: str) -> None:
    """Takes a certificate that is new to us."""
    if certificate:
        key = parse_certificate(certificate).certificate.key.hex()
        if peer.voices.find(key) is None:
            party.add_certificate(certificate, peer)


def _verify(frame: Frame, voice: Voice) -> None:
    if not is_signed(frame, voice):
        raise FrameError("signature", "the signature is not the speaker's over this frame")


def _decode(body: bytes) -> str:
    try:
        return body.decode()
    except UnicodeDecodeError:
        raise FrameError("shape", "expected UTF-8") from None
