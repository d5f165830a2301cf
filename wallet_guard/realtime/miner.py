"""The miner's side: keeps connections to its validators and sends them what it has to say.

    manager = MinerWebSocketManager(keypair, netuid=2)
    manager.register_confirmation_handler(on_confirmation)      # handler(validator_hotkey, data), plain or async
    manager.register_game_update_handler(on_game_update)
    manager.add_validator(hotkey, "203.0.113.7:8091")           # or ws://, wss:// with a path
    await manager.start()
    sent = await manager.send_prediction(hotkey, {"game_id": 1, "home_score": 2, "away_score": 1})
    await manager.stop()

Predictions go by WebSocket, else by HTTP, else they wait for the next connection; the answer says which.
"""

import asyncio
import logging
import secrets
import ssl
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from time import monotonic
from typing import Any, Final, NamedTuple

from wallet_guard.net import (
    HttpLimits,
    Routes,
    Server,
    ServerLimits,
    WebSocket,
    client_context,
    open_websocket,
    parse_url,
)
from wallet_guard.realtime import ends
from wallet_guard.realtime.admission import Attempts
from wallet_guard.realtime.ends import End, RealtimeError
from wallet_guard.realtime.limits import MINER_LIMITS, RealtimeLimits
from wallet_guard.realtime.link import SUBPROTOCOL
from wallet_guard.realtime.mailbox import Handler
from wallet_guard.realtime.openings import ClientLink
from wallet_guard.realtime.outbox import NORMAL, Item
from wallet_guard.realtime.party import Party, Peer
from wallet_guard.realtime.posting import FRAME_PATH, Office, post_lines
from wallet_guard.realtime.speaker import Keypair, Speaker
from wallet_guard.realtime.spool import Spool
from wallet_guard.realtime.upkeep import SWEEP_SECONDS, Renewal, link_limits, look_after
from wallet_guard.signed.frames import Message
from wallet_guard.wire.errors import ProtocolError

_logger = logging.getLogger("wallet_guard.realtime")

_STABLE_SECONDS: Final = 5.0  # a connection that lasted so long was a success, and back-off begins anew
_GRACE_SECONDS: Final = 5.0  # for an acknowledgement by WebSocket, before the same message goes by HTTP
_PATIENT_ENDS: Final = frozenset({ends.AUTHORISATION, ends.REPLACED})  # hurry would not help


class Via(StrEnum):
    """Which way a message went."""

    WEBSOCKET = "websocket"
    HTTP = "http"
    NONE = "none"


class Sent(NamedTuple):
    """What became of a prediction."""

    via: Via
    prediction_id: str
    delivered: bool  # the validator has acknowledged it
    confirmation: dict[str, Any] | None  # what it confirmed, within the time given
    queued: bool  # not delivered, but kept: it goes when the validator is connected again
    problem: End | None  # why not, and what to do


class MinerWebSocketManager:
    """See the module.

    `speaker` and `renew` as for the validator's manager. `validators()` gives hotkey → endpoint and is asked every
    `limits.registration_seconds`; without it `add_validator` and `remove_validator` say who. `enabled` False: HTTP
    only. `spool_path` keeps predictions across a crash of this process.
    """

    def __init__(  # noqa: PLR0913 - options, all by keyword
        self,
        speaker: Keypair | Speaker,
        *,
        netuid: int,
        validators: Callable[[], Mapping[str, str]] | None = None,
        enabled: bool = True,
        heartbeat_interval: float = 60.0,
        reconnect_base_interval: float = 1.0,
        max_reconnect_interval: float = 60.0,
        renew: Callable[[], Awaitable[Speaker]] | None = None,
        tls: ssl.SSLContext | None = None,
        limits: RealtimeLimits = MINER_LIMITS,
        spool_path: str | Path | None = None,
        verify_threads: int = 0,
        clock_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        voice = speaker if isinstance(speaker, Speaker) else Speaker.of_hotkey(speaker)
        spool = Spool(spool_path) if spool_path is not None else None
        self.party = Party(voice, netuid, limits, clock_ns=clock_ns, spool=spool, verify_threads=verify_threads)
        self.party.register("confirmation", self._on_confirmation)
        self.heartbeat_interval = heartbeat_interval
        self._base, self._max = reconnect_base_interval, max_reconnect_interval
        self._enabled = enabled
        self._validators = validators
        self._tls = tls
        self._renewal = Renewal(self.party, renew)
        self._endpoints: dict[str, str] = {}
        self._keepers: dict[str, asyncio.Task[None]] = {}
        self._ended: dict[str, asyncio.Future[End]] = {}
        self._confirmation_handler: Handler | None = None
        self._confirmed: dict[tuple[str, str], asyncio.Future[dict[str, Any]]] = {}
        self._acknowledged: dict[str, asyncio.Future[None]] = {}
        self._problems: dict[str, End] = {}
        self._server: Server | None = None
        self._sweeper: asyncio.Task[None] | None = None

    # --- life

    async def start(self) -> None:
        """Begins to connect; returns at once."""
        self._refresh()
        for hotkey in self._endpoints:
            self._keep(hotkey)
        self._sweeper = asyncio.get_running_loop().create_task(self._sweep_for_ever())

    async def stop(self, deadline_seconds: float = 5.0) -> None:
        """Sends what waits where that is possible, closes all connections, ends everything."""
        with suppress(TimeoutError):
            async with asyncio.timeout(deadline_seconds):
                while any(link.peer.outbox and link.peer.outbox.depth for link in self._links()):  # noqa: ASYNC110
                    await asyncio.sleep(0.02)
        tasks = [*self._keepers.values(), *([self._sweeper] if self._sweeper else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._keepers.clear()
        self._renewal.stop()
        for link in self._links():
            link.end(ends.CLOSING)
        if self._server is not None:
            await self._server.stop(deadline_seconds)
        await self.party.close()

    async def serve(self, host: str, port: int, tls: ssl.SSLContext | None = None) -> int:
        """Takes our validators' frames by HTTP (`POST /ws/frame`): confirmations while there is no WebSocket; the port.

        Raises:
            OSError: the address cannot be had.
        """
        attempts = Attempts(self.party.limits.attempts_per_minute)
        office = Office(self.party, self._endpoints.__contains__, attempts)
        limits = ServerLimits(http=HttpLimits(max_body_bytes=self.party.limits.max_frame_bytes))
        self._server = Server(Routes([("POST", FRAME_PATH, office.post)]), limits=limits)
        return await self._server.listen_tcp(host, port, tls)

    def add_validator(self, hotkey: str, endpoint: str) -> None:
        """Keeps a connection to this validator; `endpoint` is host:port, or a ws or wss URL.

        Raises:
            ValueError: no such endpoint.
        """
        url = endpoint if "://" in endpoint else f"ws://{endpoint}/ws"
        if parse_url(url).secure and self._tls is None:
            self._tls = client_context()
        known = self._endpoints.get(hotkey)
        self._endpoints[hotkey] = url
        if known != url and self._sweeper is not None:
            self._drop(hotkey)
            self._keep(hotkey)

    def remove_validator(self, hotkey: str) -> None:
        """Ends the connection to this validator and forgets what waits for it."""
        self._endpoints.pop(hotkey, None)
        self._drop(hotkey)
        self.party.forget(hotkey)

    # --- handlers

    def register_handler(self, type_: str, handler: Handler) -> None:
        """`handler(validator_hotkey, data)` gets the messages of this type, in order for each validator.

        Raises:
            ValueError: the type is the protocol's own.
        """
        if type_ == "confirmation":
            self._confirmation_handler = handler
        else:
            self.party.register(type_, handler)

    def register_confirmation_handler(self, handler: Handler) -> None:
        """`handler(validator_hotkey, data)` gets confirmations."""
        self._confirmation_handler = handler

    def register_game_update_handler(self, handler: Handler) -> None:
        """`handler(validator_hotkey, data)` gets game updates."""
        self.party.register("game_update", handler)

    # --- sending

    def send(
        self, validator: str, type_: str, data: dict[str, Any], *, priority: int = NORMAL, reliable: bool = False
    ) -> bool:
        """Queues a message; False if it is best effort and the validator is not connected.

        Raises:
            RealtimeError: no room in the queue, or larger than the validator takes. ValueError, TypeError: no JSON.
        """
        peer = self.party.peer(validator)
        if peer.link is None and not reliable:
            return False
        self.party.put(peer, type_, data, priority, reliable=reliable)
        if peer.link is not None:
            peer.link.flush_soon()
        return True

    async def send_prediction(self, validator: str, data: dict[str, Any], *, timeout_seconds: float = 60.0) -> Sent:
        """Sends a prediction and waits for its confirmation: by WebSocket, else by HTTP, else it is kept.

        `prediction_id` is added where there is none. Both ways carry the same message under one id, which the validator
        takes once. Without a confirmation in time the rest of the answer says how far it came.

        Raises:
            RealtimeError: no room in the queue, or larger than the validator takes. ValueError, TypeError: no JSON.
        """
        data = {"prediction_id": secrets.token_hex(12)} | data
        prediction_id = str(data["prediction_id"])
        loop = asyncio.get_running_loop()
        peer = self.party.peer(validator)
        deadline = monotonic() + timeout_seconds
        confirmed = self._confirmed[validator, prediction_id] = loop.create_future()
        item = self.party.put(peer, "prediction", data, NORMAL, reliable=True)
        acknowledged = self._acknowledged[item.id] = loop.create_future()
        try:
            via, problem = await self._deliver(peer, item, acknowledged, deadline)
            delivered = acknowledged.done() or confirmed.done()
            if delivered and not confirmed.done():
                await asyncio.wait((confirmed,), timeout=max(0.0, deadline - monotonic()))
            answer = confirmed.result() if confirmed.done() else None
            delivered = delivered or acknowledged.done()
            return Sent(via, prediction_id, delivered, answer, not delivered, None if delivered else problem)
        finally:
            del self._confirmed[validator, prediction_id], self._acknowledged[item.id]

    async def _deliver(
        self, peer: Peer, item: Item, acknowledged: asyncio.Future[None], deadline: float
    ) -> tuple[Via, End | None]:
        if peer.link is not None:
            peer.link.flush_soon()
            ended = self._ended.get(peer.hotkey)
            waits: set[asyncio.Future[Any]] = {acknowledged} if ended is None else {acknowledged, ended}
            patience = min(_GRACE_SECONDS, max(0.0, deadline - monotonic()))
            await asyncio.wait(waits, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
            if acknowledged.done():
                return Via.WEBSOCKET, None
        endpoint = self._endpoints.get(peer.hotkey, "")
        if not endpoint:
            return Via.NONE, ends.UNREACHABLE
        seconds = max(0.1, min(self.party.limits.connect_seconds, deadline - monotonic()))
        try:
            messages = await post_lines(
                self.party, peer, _http_of(endpoint), [item.line], tls=self._tls, seconds=seconds
            )
        except RealtimeError as error:
            return (Via.WEBSOCKET, None) if acknowledged.done() else (Via.NONE, error.end)
        self._take_answer(peer, messages)
        return Via.HTTP, None if acknowledged.done() else ends.INTERNAL

    def _take_answer(self, peer: Peer, messages: list[Message]) -> None:
        ids = messages[0].data.get("ids")
        taken = [id_ for id_ in ids if isinstance(id_, str)] if isinstance(ids, list) else []
        self.party.acknowledged(peer, taken)
        self.acknowledged(taken)
        for message in messages[1:]:
            if message.type in self.party.handlers and not message.ack:
                self.party.deliver(peer, message, _Silent(self.party, peer))

    # --- state

    def has_connections(self) -> bool:
        """Whether any validator is connected."""
        return any(link.ready for link in self._links())

    def get_connected_validators(self) -> list[str]:
        """The validators that are connected and have proved who they are."""
        return [link.peer.hotkey for link in self._links() if link.ready]

    def check_health(self) -> dict[str, Any]:
        """status, connections, and for each validator that is not connected the last problem and what to do."""
        connected = set(self.get_connected_validators())
        return {
            "status": "ok" if connected or not self._endpoints else "disconnected",
            "connections": len(connected),
            "problems": {
                hotkey: {"code": end.code, "meaning": end.meaning, "advice": end.advice}
                for hotkey, end in self._problems.items()
                if hotkey not in connected
            },
        }

    def render_metrics(self) -> str:
        """Text for Prometheus."""
        depth = sum(peer.outbox.depth for peer in self.party.peers.values() if peer.outbox is not None)
        return self.party.metrics.render({"connections": len(self.get_connected_validators()), "queue_depth": depth})

    def cut(self, validator: str) -> None:
        """Drops the connection to a validator without a word, as a network would; it is opened again."""
        peer = self.party.peers.get(validator)
        if peer is not None and isinstance(peer.link, ClientLink) and peer.link.websocket is not None:
            peer.link.websocket.abort()

    # --- for links

    def disconnected(self, link: ClientLink, end: End) -> None:
        """A connection is gone."""
        if link.peer.link is link:
            link.peer.link = None
        self._problems[link.peer.hotkey] = end
        ended = self._ended.get(link.peer.hotkey)
        if ended is not None and not ended.done():
            ended.set_result(end)

    def acknowledged(self, ids: list[str]) -> None:
        """A validator has taken these."""
        for id_ in ids:
            waiting = self._acknowledged.get(id_)
            if waiting is not None and not waiting.done():
                waiting.set_result(None)

    # ---

    def _links(self) -> list[ClientLink]:
        return [peer.link for peer in self.party.peers.values() if isinstance(peer.link, ClientLink)]

    def _on_confirmation(self, validator: str, data: dict[str, Any]) -> Awaitable[None] | None:
        waiting = self._confirmed.get((validator, str(data.get("prediction_id"))))
        if waiting is not None and not waiting.done():
            waiting.set_result(data)
        return self._confirmation_handler(validator, data) if self._confirmation_handler is not None else None

    def _keep(self, hotkey: str) -> None:
        if self._enabled and hotkey not in self._keepers:
            self._keepers[hotkey] = asyncio.get_running_loop().create_task(self._keep_connected(hotkey))

    def _drop(self, hotkey: str) -> None:
        task = self._keepers.pop(hotkey, None)
        if task is not None:
            task.cancel()
        peer = self.party.peers.get(hotkey)
        if peer is not None and isinstance(peer.link, ClientLink):
            peer.link.end(ends.CLOSING)

    async def _keep_connected(self, hotkey: str) -> None:
        """One connection after the other, for ever: only this task opens any to this validator."""
        failures = 0
        while True:
            began = monotonic()
            ended = self._ended[hotkey] = asyncio.get_running_loop().create_future()
            try:
                await self._connect(hotkey, self._endpoints[hotkey])
                end = await ended
            except (OSError, RealtimeError, ProtocolError, ValueError) as error:
                end = ends.end_of_attempt(error)
                _logger.info("%s at %s: %s; %s", hotkey, self._endpoints.get(hotkey), end.meaning, end.advice)
            self._problems[hotkey] = end
            failures = 0 if monotonic() - began > _STABLE_SECONDS else failures + 1
            self.party.metrics.reconnects += 1
            await asyncio.sleep(backoff(failures, self._base, self._max, patient=end in _PATIENT_ENDS))

    async def _connect(self, hotkey: str, url: str) -> None:
        party, limits = self.party, self.party.limits
        address = parse_url(url)
        fields, nonce = party.speaker.sign_opening(address.target, hotkey, party.clock_ns())
        peer = party.peer(hotkey)
        link = ClientLink(self, party, peer, nonce)
        websocket: WebSocket = await open_websocket(
            address,
            link,
            tls=self._tls if address.secure else None,
            subprotocols=(SUBPROTOCOL,),
            headers=fields,
            limits=link_limits(limits, self.heartbeat_interval),
        )
        try:
            await link.opened(limits.hello_seconds)
        except BaseException:
            websocket.abort()
            raise

    def _refresh(self) -> None:
        if self._validators is None:
            return
        try:
            found = dict(self._validators())
        except Exception:  # whatever a caller's source may raise
            _logger.exception("cannot tell which validators there are; the last answer holds")
            return
        for hotkey in self._endpoints.keys() - found.keys():
            self.remove_validator(hotkey)
        for hotkey, endpoint in found.items():
            self.add_validator(hotkey, endpoint)

    async def _sweep_for_ever(self) -> None:
        refreshed_at = monotonic()
        while True:
            await asyncio.sleep(min(SWEEP_SECONDS, self.heartbeat_interval / 2))
            now = monotonic()
            if now - refreshed_at >= self.party.limits.registration_seconds:
                refreshed_at = now
                self._refresh()
            now_ms = self.party.now_ms()
            links = self._links()
            for link in links:
                look_after(link, now, now_ms, self.heartbeat_interval)
                if now - link.spoke >= self.heartbeat_interval and link.asked is None and not link.ended:
                    link.heartbeat()
            self.party.receiver.forget(now_ms)
            self._renewal.look(now_ms, links)


class _Silent:
    """Nobody is told: the messages of an HTTP answer need no answer."""

    def __init__(self, party: Party, peer: Peer) -> None:
        self._party = party
        self._peer = peer

    def done(self, message: Message, failure: str) -> None:
        """Counts."""
        self._party.settled(self._peer, message, failure)


def backoff(failures: int, base: float, most: float, *, patient: bool, chance: float | None = None) -> float:
    """Seconds to wait: `uniform(0.5, 1) × min(most, base × 2^failures)`; from the most at once if `patient`."""
    share = secrets.randbelow(1 << 20) / (1 << 20) if chance is None else chance
    ceiling = most if patient else min(most, base * 2.0 ** min(failures, 30))
    return ceiling * (0.5 + share / 2)


def _http_of(url: str) -> str:
    scheme, _, rest = url.partition("://")
    host = rest.partition("/")[0]
    return f"{'https' if scheme in ('wss', 'https') else 'http'}://{host}/"
