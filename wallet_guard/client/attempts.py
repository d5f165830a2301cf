"""When a call is tried again, and when that is given up. No I/O: both clients follow it.

Trying again is safe: looking changes nothing, and every call that submits carries an idempotency key, under which
the service has one intent, however often it is asked. So a broken connection is mended until the call's own
time is up. Only where nothing was ever sent it ends sooner: then nobody listens there.

What an attempt that got no whole answer has done is not known, whatever a later one is told: ``Answer.unclear``.
"""

import errno
import ssl
import time
from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple, NoReturn, Protocol

from wallet_guard.client.errors import ServiceUnreachable
from wallet_guard.client.results import Answer, Result, UnexpectedAnswer, read_answer
from wallet_guard.client.settings import Place
from wallet_guard.wire.errors import HttpError
from wallet_guard.wire.http1.client import Response, encode_request

PAUSES_SECONDS = (0.05, 0.2, 0.5, 1.0, 2.0)
"""Between attempts; the last one repeats. A gateway restarts in a third of a second."""

PATIENCE_SECONDS = 10.0
"""For a service that never once took a connection: longer than a restart, shorter than an epoch."""

CONNECT_SECONDS = 5.0
"""For one connection, TLS included."""

MARGIN_SECONDS = 5.0
"""Between the end of the service's wait and the end of ours, so that we hear what it says."""

PASSING_CODES = frozenset({"stopping", "signer_unavailable"})
"""The service is being restarted: the same request is right a moment later."""


class Credential(Protocol):
    """Who asks."""

    @property
    def signs(self) -> bool:
        """Is the request signed? Then the idempotency key goes into the body, which the signature covers."""

    def fields(self, method: str, target: str, body: bytes) -> tuple[tuple[str, str], ...]:
        """The header fields that say it, for one attempt."""


class Bearer:
    """The credential of a token (RFC 6750, section 2.1): the same for every attempt."""

    signs = False

    def __init__(self, token: str) -> None:
        self._fields = (("Authorization", f"Bearer {token}"),)

    def fields(self, _method: str, _target: str, _body: bytes) -> tuple[tuple[str, str], ...]:
        """The token."""
        return self._fields


class Call(NamedTuple):
    """One call. ``body`` gets how many seconds the service may take; ``key`` is the idempotency key, if any.

    ``once``: the same request is not right a second time, so it is not repeated once it may have arrived.
    """

    method: str
    path: str
    body: Callable[[float], bytes]
    key: str | None
    seconds: float
    once: bool = False


class Attempts:
    """The attempts of one call. Set ``sent`` as soon as a byte of the request may have gone out."""

    def __init__(self, call: Call, place: Place, credential: Credential) -> None:
        self._call = call
        self._place = place
        self._credential = credential
        self._failures = 0
        self._begun = time.monotonic()
        self._unclear = False
        self.sent = False

    @property
    def left_seconds(self) -> float:
        """Until the call's time is up; never negative."""
        return max(0.0, self._begun + self._call.seconds - time.monotonic())

    def request(self) -> bytes:
        """The request's bytes for the attempt that begins now.

        Raises:
            SettingsError: the body cannot be made.
        """
        call, left = self._call, self.left_seconds
        target = self._place.prefix + call.path
        body = call.body(max(left * 0.8, left - MARGIN_SECONDS))
        fields = [
            ("Host", self._place.authority),
            *self._credential.fields(call.method, target, body),
            ("Accept", "application/json"),
        ]
        if body:
            fields.append(("Content-Type", "application/json"))
        if call.key is not None and not self._credential.signs:
            fields.append(("Idempotency-Key", call.key))
        return encode_request(call.method, target, tuple(fields), body)

    def answered(self, response: Response) -> Answer | None:
        """The answer, or None if it says that the service is being restarted: ``pause`` and try again.

        Raises:
            ServiceUnreachable: what answered is no wallet service.
        """
        try:
            answer = read_answer(response)
        except UnexpectedAnswer as error:
            self._give_up(str(error), "check the URL, and what stands between")
        if answer.code in PASSING_CODES and self.left_seconds > PAUSES_SECONDS[-1]:
            self._unclear = self._unclear or answer.content.get("submitted") != "no"
            return None
        return replace(answer, unclear=self._unclear)

    def pause(self, error: OSError | HttpError | None = None) -> float:
        """Seconds until the next attempt, after this error or a passing answer.

        Raises:
            ServiceUnreachable: it is not worth while.
        """
        seconds = PAUSES_SECONDS[min(self._failures, len(PAUSES_SECONDS) - 1)]
        self._failures += 1
        if error is None:
            return seconds
        waited = time.monotonic() - self._begun
        self._unclear = self._unclear or self.sent
        hopeless = self._call.once if self.sent else isinstance(error, ssl.SSLError | PermissionError)
        patience = self._call.seconds if self.sent else min(PATIENCE_SECONDS, self._call.seconds)
        if hopeless or waited + seconds >= patience:
            self._give_up(*_explain(error, self._place))
        return seconds

    def _give_up(self, message: str, hint: str) -> NoReturn:
        submits = self._call.key is not None
        if submits and self.sent:
            message += "; the request may have arrived"
        result = Result(
            success=False,
            message=f"{self._place}: {message}",
            code="unreachable",
            hint=hint,
            submitted="maybe" if submits and self.sent else "no",
            final=not (submits and self.sent),
            idempotency_key=self._call.key,
        )
        raise ServiceUnreachable(f"{result.message}; {hint}", result) from None


def _explain(error: OSError | HttpError, place: Place) -> tuple[str, str]:
    """What happened, and what to check next."""
    if isinstance(error, HttpError):
        return f"expected HTTP, found a broken answer: {error}", "check the URL, and what stands between"
    if isinstance(error, ssl.SSLError):
        return (
            f"no TLS: {getattr(error, 'verify_message', None) or error}",
            "check the certificate; ca_file names the one to trust",
        )
    if isinstance(error, TimeoutError):
        return "no answer in time", "check that the service is ready (GET /ready), or give more timeout"
    if isinstance(error, PermissionError):
        return "this user may not connect", "check the socket's group and this user's groups"
    if isinstance(error, FileNotFoundError) or error.errno == errno.ECONNREFUSED:
        what = "the path of the socket" if place.socket else "host and port"
        return "nobody listens there", f"check that the service runs, and {what}"
    return f"no connection: {error.strerror or error}", "check the URL, and the network between"
