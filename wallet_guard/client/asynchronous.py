"""The client for asyncio. Each call has a connection of its own and leaves nothing behind.

No connection is kept: one belongs to the event loop that made it, and what it would save (0.1 ms) is nothing
beside a call that waits for a chain.
"""

import asyncio
import contextlib
import inspect
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any, Unpack

from wallet_guard.client.attempts import CONNECT_SECONDS, Attempts, Call
from wallet_guard.client.errors import ServiceUnreachable, WalletServiceError
from wallet_guard.client.fallback import Fallback, was_not_accepted
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


class AsyncWalletService(Service):
    """A wallet service, for code under asyncio; see ``Service`` for the arguments.

    A call that is cancelled stops waiting; what it asked for goes on in the service.
    """

    async def set_weights(  # noqa: PLR0913 -- the SDK's call, so that it can take its place
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
        timeout: float | None = None,  # noqa: ASYNC109 -- covers several attempts, and is told to the service
        raise_errors: bool = False,
        raise_error: bool = False,
        dry_run: bool = False,
        **sdk: Any,
    ) -> Result:
        """Sets weights, as ``WalletService.set_weights``; ``fallback_local`` may be a coroutine function.

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
        result = await self._submit(call)
        if self._fallback is not None and not dry_run and was_not_accepted(result):
            said = self._fallback.arguments(wallet, names, given_weights(order))
            if said is not None:
                self._fallback.begin(result)
                outcome = await _call_local(self._fallback, said)
                result = self._fallback.result(outcome, result)
        return raised(result, raise_errors=raise_errors)

    async def serve_axon(
        self, netuid: int, ip: str, port: int, *, protocol: int = 4, version: int = 1, **how: Unpack[How]
    ) -> Result:
        """Publishes where the neuron listens; result, keywords and errors as ``set_weights``."""
        fields = partial(endpoint_fields, ip, port, protocol=protocol, version=version)
        return await self._wish("serve_axon", netuid, fields, how)

    async def serve_axon_tls(
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

        return await self._wish("serve_axon_tls", netuid, fields, how)

    async def serve_prometheus(
        self, netuid: int, ip: str, port: int, *, version: int = 1, **how: Unpack[How]
    ) -> Result:
        """Publishes where the neuron's metrics are; result, keywords and errors as ``set_weights``."""
        return await self._wish("serve_prometheus", netuid, partial(endpoint_fields, ip, port, version=version), how)

    async def reset_axon(self, netuid: int, **how: Unpack[How]) -> Result:
        """Takes the published axon back; result, keywords and errors as ``set_weights``."""
        return await self._wish("reset_axon", netuid, dict, how)

    async def set_commitment(self, netuid: int, data: bytes | str, **how: Unpack[How]) -> Result:
        """Publishes a text, or bytes; result, keywords and errors as ``set_weights``."""
        return await self._wish("set_commitment", netuid, partial(commitment_fields, data), how)

    async def execute(self, intent: Any, **how: Unpack[How]) -> Result:
        """Does what an SDK 11 intent means (``bt.SetWeights``, ``bt.ServeAxon`` …); the service composes the call.

        In place of ``client.execute(intent, signer)``: works on subnets with commit-reveal too, where a call that the
        SDK composed could not be read by the service and would be refused.
        """
        try:
            kind, arguments = read_intent(intent)
        except WalletServiceError as error:
            return raised(settled(error, None), raise_errors=how.get("raise_errors", False))
        does: dict[str, Callable[..., Awaitable[Result]]] = {
            "set_weights": self.set_weights,
            "serve_axon": self.serve_axon,
            "serve_axon_tls": self.serve_axon_tls,
            "serve_prometheus": self.serve_prometheus,
            "reset_axon": self.reset_axon,
        }
        return await does[kind](**arguments, **how)

    async def request(
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
        return viewed(await self._call(call), read_request)

    async def session(
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
        return viewed(await self._call(call), read_session)

    async def extrinsic(self, unsigned: Any, **who: Unpack[Who]) -> Signature:
        """The signature of the SDK's ``UnsignedExtrinsic``, which the service reads and rebuilds first.

        Raises:
            WalletServiceError: no answer, or the service refuses.
        """
        call = self._question_call("/wallet/extrinsic", extrinsic_fields(unsigned), who)
        return viewed(await self._call(call), read_signature)

    async def sign(self, message: str, **who: Unpack[Who]) -> SignedText:
        """The signature of a text, wrapped so that it can be nothing else.

        Raises:
            WalletServiceError: no answer, or the service refuses.
        """
        call = self._question_call("/wallet/sign", {"message": message}, who)
        return viewed(await self._call(call), read_text)

    async def intent(self, intent: str) -> Result:
        """How an intent fares: the result as it stands now.

        Raises:
            WalletServiceError: no answer, or the service refuses to tell.
        """
        return read_result(checked(await self._call(self._intent_call(intent))), None)

    async def info(self, wallet_name: str | None = None, hotkey_name: str | None = None) -> WalletInfo:
        """What our token may do, and with which hotkey.

        Raises:
            WalletServiceError: no answer, or the service refuses to tell.
        """
        return read_info(checked(await self._call(self._info_call(wallet_name, hotkey_name))))

    async def health(self) -> Health:
        """Does the service answer, and can it do its work?"""
        try:
            return read_health(await self._call(self._look("/ready")))
        except ServiceUnreachable as error:
            return Health(False, False, {"gateway": str(error)})

    async def _wish(self, kind: str, netuid: int, fields: Callable[[], Mapping[str, Any]], how: How) -> Result:
        check_names(how, How)
        try:
            result = await self._submit(self._wish_call(kind, netuid, fields, how))
        except WalletServiceError as error:
            result = settled(error, None)
        return raised(result, raise_errors=how.get("raise_errors", False))

    async def _submit(self, call: Call) -> Result:
        try:
            outcome: Answer | WalletServiceError = await self._call(call)
        except WalletServiceError as error:
            outcome = error
        return settled(outcome, call.key)

    async def _call(self, call: Call) -> Answer:
        attempts = Attempts(call, self._place, self._credential)
        while True:
            try:
                response = await self._exchange(call.method, attempts)
            except (OSError, HttpError) as error:
                pause = attempts.pause(error)
            else:
                answer = attempts.answered(response)
                if answer is not None:
                    return answer
                pause = attempts.pause()
            await asyncio.sleep(pause)

    async def _exchange(self, method: str, attempts: Attempts) -> Response:
        async with asyncio.timeout(min(CONNECT_SECONDS, attempts.left_seconds)):
            reader, writer = await self._connect()
        try:
            async with asyncio.timeout(attempts.left_seconds):
                return await _roundtrip(reader, writer, method, attempts)
        finally:
            writer.close()
            # The answer is here, or the connection broke: how it closes changes neither.
            with contextlib.suppress(OSError, TimeoutError):
                async with asyncio.timeout(1.0):
                    await writer.wait_closed()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        place = self._place
        if place.socket:
            return await asyncio.open_unix_connection(place.socket)
        return await asyncio.open_connection(place.host, place.port, ssl=self._tls)


async def _roundtrip(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, method: str, attempts: Attempts
) -> Response:
    parser = ResponseParser()
    parser.begin(method)
    request = attempts.request()
    attempts.sent = True
    writer.write(request)
    while (response := parser.next_response()) is None:
        data = await reader.read(1 << 16)
        if data:
            parser.receive(data)
        else:
            parser.receive_eof()
    return response


async def _call_local(fallback: Fallback, said: dict[str, Any]) -> Any:
    if inspect.iscoroutinefunction(fallback.set_weights):
        return await fallback.set_weights(**said)
    outcome = await asyncio.to_thread(fallback.set_weights, **said)
    return await outcome if inspect.isawaitable(outcome) else outcome
