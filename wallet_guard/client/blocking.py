"""The client for threads: blocking sockets, every wait bounded by the call's own deadline.

Safe to share between threads (each call has a connection of its own) and across ``fork`` (a child leaves its
parent's connections alone). A connection is kept for the next call.
"""

import os
import socket
import ssl
import time
from collections import deque
from typing import Any, Self

from wallet_guard.client.attempts import CONNECT_SECONDS, Attempts, Call
from wallet_guard.client.errors import ServiceUnreachable, WalletServiceError
from wallet_guard.client.orders import SetWeights
from wallet_guard.client.results import Answer, Health, Result, WalletInfo, read_health, read_info, read_result
from wallet_guard.client.service import Service, checked, settled
from wallet_guard.wire.errors import HttpError
from wallet_guard.wire.http1.client import Response, ResponseParser

KEPT_CONNECTIONS = 4
"""Idle ones; more than a few threads of a neuron at the same moment pay 0.1 ms for a new one."""


class WalletService(Service):
    """A wallet service, for code that blocks; see ``Service`` for the arguments."""

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        super().__init__(*arguments, **keywords)
        # A deque's append and pop are atomic: no lock that a fork could leave locked in the child.
        self._kept: deque[tuple[int, socket.socket]] = deque(maxlen=KEPT_CONNECTIONS)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the idle connections. The service stays usable."""
        while self._kept:
            self._kept.pop()[1].close()

    def set_weights(  # noqa: PLR0913 -- the SDK's call, so that it can take its place
        self,
        netuid: int,
        uids: Any,
        weights: Any,
        *,
        wallet: Any = None,
        wallet_name: str | None = None,
        hotkey_name: str | None = None,
        mechid: int = 0,
        version_key: int = 0,
        wait_for_inclusion: bool = False,
        wait_for_finalization: bool = False,
        queue: bool = False,
        idempotency_key: str | None = None,
        timeout: float | None = None,
        raise_errors: bool = False,
    ) -> Result:
        """Sets weights; the result unpacks to ``(success, message)``.

        ``uids`` and ``weights`` are lists, tuples, arrays or tensors of the same length; or ``uids`` is None
        and ``weights`` maps uids, or hotkey addresses, to weights. Weights are relative. ``wallet`` is a name
        or an SDK wallet object, of which only the names are used.

        Without waiting, success means that the chain's pool has accepted the extrinsic. ``queue`` waits out the
        subnet's rate limit in the service instead of failing. ``timeout`` bounds the whole call in seconds,
        attempts included; None means 40, 100 or 190 by what is waited for. Every call gets an idempotency key
        of its own, so that an attempt after a broken connection cannot submit twice.

        Raises:
            WalletServiceError: only with ``raise_errors``; otherwise failures come back as results.
        """
        try:
            name, hotkey = self._names(wallet, wallet_name, hotkey_name)
            order = SetWeights(
                netuid,
                uids,
                weights,
                name,
                hotkey,
                mechid,
                version_key,
                wait_for_inclusion,
                wait_for_finalization,
                queue,
            )
            call = self._weights_call(order, idempotency_key, timeout)
        except WalletServiceError as error:
            return settled(error, None, raise_errors=raise_errors)
        try:
            outcome: Answer | WalletServiceError = self._call(call)
        except WalletServiceError as error:
            outcome = error
        return settled(outcome, call.key, raise_errors=raise_errors)

    def intent(self, intent: str) -> Result:
        """How an intent fares: the result as it stands now.

        Raises:
            WalletServiceError: no answer, or the service refuses to tell.
        """
        return read_result(checked(self._call(self._intent_call(intent))), None)

    def info(self, wallet_name: str | None = None, hotkey_name: str | None = None) -> WalletInfo:
        """What our token may do, and with which hotkey.

        Raises:
            WalletServiceError: no answer, or the service refuses to tell.
        """
        return read_info(checked(self._call(self._info_call(wallet_name, hotkey_name))))

    def health(self) -> Health:
        """Does the service answer, and can it do its work?"""
        try:
            return read_health(self._call(self._look("/ready")))
        except ServiceUnreachable as error:
            return Health(False, False, {"gateway": str(error)})

    def _call(self, call: Call) -> Answer:
        attempts = Attempts(call, self._place, self._token)
        while True:
            try:
                response = self._exchange(call.method, attempts)
            except (OSError, HttpError) as error:
                pause = attempts.pause(error)
            else:
                answer = attempts.answered(response)
                if answer is not None:
                    return answer
                pause = attempts.pause()
            time.sleep(pause)

    def _exchange(self, method: str, attempts: Attempts) -> Response:
        connection = self._take_kept() or self._connect(min(CONNECT_SECONDS, attempts.left_seconds))
        try:
            response = _roundtrip(connection, method, attempts)
        except BaseException:
            connection.close()
            raise
        if response.keep_alive and len(self._kept) < KEPT_CONNECTIONS:
            self._kept.append((os.getpid(), connection))
        else:
            connection.close()
        return response

    def _take_kept(self) -> socket.socket | None:
        while True:
            try:
                owner, connection = self._kept.pop()
            except IndexError:
                return None
            if owner == os.getpid() and _is_quiet(connection):
                return connection
            # close(2) in a forked child leaves the parent's connection as it is.
            connection.close()

    def _connect(self, seconds: float) -> socket.socket:
        place = self._place
        if place.socket:
            connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                connection.settimeout(seconds)
                connection.connect(place.socket)
            except BaseException:
                connection.close()
                raise
            return connection
        plain = socket.create_connection((place.host, place.port), seconds)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._tls is None:
            return plain
        try:
            return self._tls.wrap_socket(plain, server_hostname=place.host)
        except BaseException:
            plain.close()
            raise


def _roundtrip(connection: socket.socket, method: str, attempts: Attempts) -> Response:
    parser = ResponseParser()
    parser.begin(method)
    request = attempts.request()
    attempts.sent = True
    connection.settimeout(_positive(attempts.left_seconds))
    connection.sendall(request)
    while (response := parser.next_response()) is None:
        connection.settimeout(_positive(attempts.left_seconds))
        data = connection.recv(1 << 16)
        if data:
            parser.receive(data)
        else:
            parser.receive_eof()
    return response


def _positive(seconds: float) -> float:
    # settimeout(0) would mean "do not block", which raises another error.
    if seconds <= 0:
        raise TimeoutError("the call's time is up")
    return seconds


def _is_quiet(connection: socket.socket) -> bool:
    """An idle connection that has something to say was closed by its server, or is out of step."""
    connection.settimeout(0)
    try:
        connection.recv(1)
    except OSError as error:
        return isinstance(error, BlockingIOError | ssl.SSLWantReadError)
    return False
