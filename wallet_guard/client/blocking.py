"""The client for threads: blocking sockets, every wait bounded by the call's own deadline.

Safe to share between threads (each call has a connection of its own) and across ``fork`` (a child leaves its
parent's connections alone). A connection is kept for the next call.
"""

import os
import socket
import ssl
import time
from collections import deque
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Self, Unpack

from wallet_guard.client.attempts import CONNECT_SECONDS, Attempts, Call
from wallet_guard.client.errors import ServiceUnreachable, WalletServiceError
from wallet_guard.client.fallback import was_not_accepted
from wallet_guard.client.orders import (
    SetWeights,
    commitment_fields,
    endpoint_fields,
    extrinsic_fields,
    hex_of,
    read_intent,
    request_fields,
    session_fields,
)
from wallet_guard.client.results import (
    Answer,
    Health,
    Result,
    Session,
    Signature,
    SignedRequest,
    SignedText,
    WalletInfo,
    read_health,
    read_info,
    read_request,
    read_result,
    read_session,
    read_signature,
    read_text,
)
from wallet_guard.client.service import (
    How,
    Service,
    Who,
    check_names,
    check_sdk_settings,
    checked,
    given_weights,
    raised,
    settled,
    viewed,
)
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
        raise_error: bool = False,
        dry_run: bool = False,
        **sdk: Any,
    ) -> Result:
        """Sets weights; the result unpacks to ``(success, message)``.

        ``uids`` and ``weights`` are lists, tuples, arrays or tensors of the same length; or ``uids`` is None
        and ``weights`` maps uids, or hotkey addresses, to weights. Weights are relative. ``wallet`` is a name
        or an SDK wallet object, of which only the names are used.

        Without waiting, success means that the chain's pool has accepted the extrinsic. ``queue`` waits out the
        subnet's rate limit in the service instead of failing. ``timeout`` bounds the whole call in seconds,
        attempts included; None means 40, 100 or 190 by what is waited for. Every call gets an idempotency key
        of its own, so that an attempt after a broken connection cannot submit twice.

        With ``dry_run`` nothing is signed: ``result.explanation`` says what would be, and why or why not.

        Takes the place of ``subtensor.set_weights`` of bittensor 9 and 10, by keywords: what else that takes
        (``period``, ``max_retries`` …) is taken and not used, ``raise_error`` is ``raise_errors``.

        Raises:
            WalletServiceError: only with ``raise_errors``; otherwise failures come back as results.
        """
        check_sdk_settings(sdk)
        raise_errors = raise_errors or raise_error
        try:
            names = self._names(wallet, wallet_name, hotkey_name)
            order = SetWeights(
                netuid,
                uids,
                weights,
                *names,
                mechid,
                version_key,
                wait_for_inclusion,
                wait_for_finalization,
                queue,
                dry_run,
            )
            call = self._order_call(order, idempotency_key, timeout)
        except WalletServiceError as error:
            return raised(settled(error, None), raise_errors=raise_errors)
        result = self._submit(call)
        if self._fallback is not None and not dry_run and was_not_accepted(result):
            said = self._fallback.arguments(wallet, names, given_weights(order))
            if said is not None:
                self._fallback.begin(result)
                outcome = self._fallback.set_weights(**said)
                result = self._fallback.result(outcome, result)
        return raised(result, raise_errors=raise_errors)

    def serve_axon(
        self, netuid: int, ip: str, port: int, *, protocol: int = 4, version: int = 1, **how: Unpack[How]
    ) -> Result:
        """Publishes where the neuron listens; result, keywords and errors as ``set_weights``."""
        fields = partial(endpoint_fields, ip, port, protocol=protocol, version=version)
        return self._wish("serve_axon", netuid, fields, how)

    def serve_axon_tls(
        self,
        netuid: int,
        ip: str,
        port: int,
        certificate: bytes | str,
        *,
        protocol: int = 4,
        version: int = 1,
        **how: Unpack[How],
    ) -> Result:
        """As ``serve_axon``, with a neuron certificate: an algorithm byte and a public key, as bytes or hex."""

        def fields() -> dict[str, Any]:
            place = endpoint_fields(ip, port, protocol=protocol, version=version)
            return place | {"certificate": hex_of(certificate, "certificate")}

        return self._wish("serve_axon_tls", netuid, fields, how)

    def serve_prometheus(self, netuid: int, ip: str, port: int, *, version: int = 1, **how: Unpack[How]) -> Result:
        """Publishes where the neuron's metrics are; result, keywords and errors as ``set_weights``."""
        return self._wish("serve_prometheus", netuid, partial(endpoint_fields, ip, port, version=version), how)

    def reset_axon(self, netuid: int, **how: Unpack[How]) -> Result:
        """Takes the published axon back; result, keywords and errors as ``set_weights``."""
        return self._wish("reset_axon", netuid, dict, how)

    def set_commitment(self, netuid: int, data: bytes | str, **how: Unpack[How]) -> Result:
        """Publishes a text, or bytes; result, keywords and errors as ``set_weights``."""
        return self._wish("set_commitment", netuid, partial(commitment_fields, data), how)

    def execute(self, intent: Any, **how: Unpack[How]) -> Result:
        """Does what an SDK 11 intent means (``bt.SetWeights``, ``bt.ServeAxon`` …); the service composes the call.

        In place of ``client.execute(intent, signer)``: works on subnets with commit-reveal too, where a call that the
        SDK composed could not be read by the service and would be refused.
        """
        try:
            kind, arguments = read_intent(intent)
        except WalletServiceError as error:
            return raised(settled(error, None), raise_errors=how.get("raise_errors", False))
        does: dict[str, Callable[..., Result]] = {
            "set_weights": self.set_weights,
            "serve_axon": self.serve_axon,
            "serve_axon_tls": self.serve_axon_tls,
            "serve_prometheus": self.serve_prometheus,
            "reset_axon": self.reset_axon,
        }
        return does[kind](**arguments, **how)

    def request(
        self,
        method: str,
        path: str,
        *,
        receiver: str | None,
        body: bytes | str = b"",
        nonce: int | None = None,
        **who: Unpack[Who],
    ) -> SignedRequest:
        """The btauth/1 header fields for a request that is sent within seconds; ``path`` includes the query.

        Raises:
            WalletServiceError: no answer, or the service refuses.
        """
        fields = request_fields(method, path, body, receiver, nonce)
        call = self._question_call("/wallet/request", fields, who, once=nonce is not None)
        return viewed(self._call(call), read_request)

    def signed_request(
        self, method: str, path: str, body_sha256: str, receiver: str, nonce: int, **who: Unpack[Who]
    ) -> SignedRequest:
        """As ``request``, where only the body's hash is at hand (64 hex digits) and the nonce is chosen.

        Raises:
            WalletServiceError: no answer, or the service refuses.
        """
        fields = {"method": method, "path": path, "body_sha256": body_sha256, "receiver": receiver, "nonce": str(nonce)}
        return viewed(self._call(self._question_call("/wallet/request", fields, who, once=True)), read_request)

    def session(
        self,
        key: bytes | str,
        *,
        netuid: int | None,
        receiver: str | None = None,
        lifetime: int = 3600,
        **who: Unpack[Who],
    ) -> Session:
        """A certificate by which an Ed25519 public key speaks for the hotkey; None means any; seconds.

        Raises:
            WalletServiceError: no answer, or the service refuses.
        """
        call = self._question_call("/wallet/session", session_fields(key, netuid, receiver, lifetime), who)
        return viewed(self._call(call), read_session)

    def extrinsic(self, unsigned: Any, **who: Unpack[Who]) -> Signature:
        """The signature of the SDK's ``UnsignedExtrinsic``, which the service reads and rebuilds first.

        Raises:
            WalletServiceError: no answer, or the service refuses.
        """
        call = self._question_call("/wallet/extrinsic", extrinsic_fields(unsigned), who)
        return viewed(self._call(call), read_signature)

    def sign(self, message: str, **who: Unpack[Who]) -> SignedText:
        """The signature of a text, wrapped so that it can be nothing else.

        Raises:
            WalletServiceError: no answer, or the service refuses.
        """
        call = self._question_call("/wallet/sign", {"message": message}, who)
        return viewed(self._call(call), read_text)

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

    def _wish(self, kind: str, netuid: int, fields: Callable[[], Mapping[str, Any]], how: How) -> Result:
        check_names(how, How)
        try:
            result = self._submit(self._wish_call(kind, netuid, fields, how))
        except WalletServiceError as error:
            result = settled(error, None)
        return raised(result, raise_errors=how.get("raise_errors", False))

    def _submit(self, call: Call) -> Result:
        try:
            outcome: Answer | WalletServiceError = self._call(call)
        except WalletServiceError as error:
            outcome = error
        return settled(outcome, call.key)

    def _call(self, call: Call) -> Answer:
        attempts = Attempts(call, self._place, self._credential)
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
