"""The client for asyncio. Each call has a connection of its own and leaves nothing behind.

No connection is kept: one belongs to the event loop that made it, and what it would save (0.1 ms) is nothing
beside a call that waits for a chain.
"""

import asyncio
import contextlib
from typing import Any

from wallet_guard.client.attempts import CONNECT_SECONDS, Attempts, Call
from wallet_guard.client.errors import ServiceUnreachable, WalletServiceError
from wallet_guard.client.orders import SetWeights
from wallet_guard.client.results import Answer, Health, Result, WalletInfo, read_health, read_info, read_result
from wallet_guard.client.service import Service, checked, settled
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
    ) -> Result:
        """Sets weights, as ``WalletService.set_weights``.

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
            outcome: Answer | WalletServiceError = await self._call(call)
        except WalletServiceError as error:
            outcome = error
        return settled(outcome, call.key, raise_errors=raise_errors)

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

    async def _call(self, call: Call) -> Answer:
        attempts = Attempts(call, self._place, self._token)
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
