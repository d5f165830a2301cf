"""The validator's side: accepts miners, hears them, answers them, tells them all.

    manager = ValidatorWebSocketManager(keypair, netuid=2, metagraph=metagraph)
    PredictionHandler(validator).register_with_websocket_manager(manager)
    manager.register_handler("question", on_question)          # handler(miner_hotkey, data), plain or async
    port = await manager.start("0.0.0.0", 8091, tls=None)
    await manager.send(hotkey, "answer", {...}); await manager.broadcast_game_update({"games": [...]})
    await manager.stop()

Handlers are called in order for each miner; one that raises, hangs or is flooded is its own miner's trouble only.
"""

import asyncio
import hashlib
import json
import logging
import ssl
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import Any, Final

from wallet_guard.net import (
    Accept,
    HttpLimits,
    Request,
    Response,
    Route,
    Routes,
    Server,
    ServerLimits,
    json_response,
)
from wallet_guard.realtime import ends
from wallet_guard.realtime.admission import Admission, Attempts, Registered
from wallet_guard.realtime.attachment import AttachedLink, Attachment
from wallet_guard.realtime.ends import End, RealtimeError
from wallet_guard.realtime.limits import READ_BYTES, VALIDATOR_LIMITS, RealtimeLimits
from wallet_guard.realtime.link import SUBPROTOCOL
from wallet_guard.realtime.mailbox import Handler
from wallet_guard.realtime.openings import ServerLink
from wallet_guard.realtime.outbox import CONFIRMATION, NORMAL
from wallet_guard.realtime.party import Party, Peer
from wallet_guard.realtime.posting import CERTIFICATE_FIELD, FRAME_PATH, Office, post_lines, refusal
from wallet_guard.realtime.speaker import Keypair, Speaker
from wallet_guard.realtime.spool import Spool
from wallet_guard.realtime.upkeep import SWEEP_SECONDS, Renewal, link_limits, look_after
from wallet_guard.signed.btauth import AuthError, NonceMemory, Verifier
from wallet_guard.signed.certificate import CertificateError, parse_certificate
from wallet_guard.signed.frames import BROADCAST, encode_message
from wallet_guard.wire.websocket.frames import FIN, TEXT, encode_frame
from wallet_guard.wire.websocket.handshake import offered_subprotocols

_logger = logging.getLogger("wallet_guard.realtime")

WS_PATH: Final = "/ws"
HEALTH_PATH: Final = "/ws/health"
_SLICE: Final = 500  # links looked at before others have their turn
_NONCE_CHARS: Final = range(16, 65)


class ValidatorWebSocketManager:
    """See the module.

    `speaker` is a hotkey's keypair, or a `Speaker` with a session key (then give `renew`, which makes the next one;
    it is asked for after two thirds of the certificate's life). `registered`, `metagraph`, `allow`, `deny`: see
    `admission`. `endpoint_of(hotkey)` is where a miner that is not connected takes confirmations by HTTP, as
    "http://host:port", or "". `spool_path` keeps reliable messages across a crash of this process.
    """

    party_type: type[Party] = Party

    def __init__(  # noqa: PLR0913 - options, all by keyword
        self,
        speaker: Keypair | Speaker,
        *,
        netuid: int,
        registered: Registered | None = None,
        metagraph: Any = None,
        allow: Iterable[str] | None = None,
        deny: Iterable[str] = (),
        endpoint_of: Callable[[str], str] = lambda _hotkey: "",
        renew: Callable[[], Awaitable[Speaker]] | None = None,
        heartbeat_interval: float = 60.0,
        limits: RealtimeLimits = VALIDATOR_LIMITS,
        spool_path: str | Path | None = None,
        verify_threads: int = 0,
        clock_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        voice = speaker if isinstance(speaker, Speaker) else Speaker.of_hotkey(speaker)
        spool = Spool(spool_path) if spool_path is not None else None
        self.party = self.party_type(
            voice, netuid, limits, clock_ns=clock_ns, spool=spool, verify_threads=verify_threads
        )
        self.admission = Admission(registered, metagraph, allow, deny)
        self.heartbeat_interval = heartbeat_interval
        self.client_tls: ssl.SSLContext | None = None  # for confirmations to https endpoints
        self._endpoint_of = endpoint_of
        self._renewal = Renewal(self.party, renew)
        self._attempts = Attempts(limits.attempts_per_minute)
        self._office = Office(self.party, self.admission.admits, self._attempts)
        self._verifier = Verifier(voice.hotkey, NonceMemory(clock_ns()).take)
        self._links: set[ServerLink | AttachedLink] = set()
        self._openings: Counter[str] = Counter()  # connections without hello, by address
        self._last_broadcast: dict[str, bytes] = {}
        self._server: Server | None = None
        self._attachment: Attachment | None = None
        self._sweeper: asyncio.Task[None] | None = None
        self._started = monotonic()

    # --- life

    @property
    def is_running(self) -> bool:
        """Whether it listens, or keeps itself attached to a hub."""
        return self._server is not None or self._attachment is not None

    async def start(self, host: str, port: int, tls: ssl.SSLContext | None = None) -> int:
        """Listens, and returns the port (of use with port 0). Use TLS wherever miners are on other machines.

        Raises:
            OSError: the address cannot be had.
        """
        return await (await self.prepare()).listen_tcp(host, port, tls)

    async def prepare(self, routes: Sequence[Route] = ()) -> Server:
        """A server that listens nowhere yet, with these routes beside its own; `stop` stops it."""
        await self.admission.refresh()
        own = [Route("GET", HEALTH_PATH, self._get_health), Route("POST", FRAME_PATH, self._office.post)]
        self._server = Server(
            Routes([*own, *routes]),
            websockets={WS_PATH: self._open},
            limits=self._server_limits(self.party.limits),
            on_error=_on_error,
        )
        self._sweeper = asyncio.get_running_loop().create_task(self._sweep_for_ever())
        return self._server

    async def attach(self, url: str, tls: ssl.SSLContext | None = None) -> None:
        """Speaks through the hub at this URL instead of listening; returns at once, and keeps itself attached.

        The miners are the hub's to keep connected, so a restart of this process drops none of them. The speaker must
        have a certificate (purpose node) that names no receiver: give `renew` as well. Without `tls` a wss URL is
        checked against the system's authorities.

        Raises:
            ValueError: the speaker has none, or the URL is none.
        """
        if not self.party.speaker.certificate:
            raise ValueError("expected a speaker with a session certificate; a hub takes no bare hotkey")
        await self.admission.refresh()
        self._attachment = Attachment(self, self._office, url, tls)
        self._attachment.start()
        self._sweeper = asyncio.get_running_loop().create_task(self._sweep_for_ever())

    async def stop(self, deadline_seconds: float = 10.0) -> None:
        """Ends it in order: what waits is sent, connections close with 1001, then nothing of it runs any more."""
        if self._sweeper is not None:
            self._sweeper.cancel()
            with suppress(asyncio.CancelledError):
                await self._sweeper
        if self.is_running:
            with suppress(TimeoutError):
                async with asyncio.timeout(deadline_seconds / 2):
                    while any(link.ready and link.peer.outbox and link.peer.outbox.depth for link in self._links):  # noqa: ASYNC110
                        await asyncio.sleep(0.02)
        if self._attachment is not None:
            await self._attachment.stop()
            self._attachment = None
        if self._server is not None:
            for link in list(self._links):
                link.end(ends.CLOSING)
            await self._server.stop(deadline_seconds / 2)
            self._server = None
        self._renewal.stop()
        await self.party.close()

    # --- handlers

    def register_handler(self, type_: str, handler: Handler) -> None:
        """`handler(miner_hotkey, data)` gets the messages of this type, in order for each miner.

        Raises:
            ValueError: the type is the protocol's own.
        """
        self.party.register(type_, handler)

    def register_prediction_handler(self, handler: Handler) -> None:
        """`handler(miner_hotkey, data)` gets predictions."""
        self.party.register("prediction", handler)

    # --- sending

    async def send(
        self, hotkey: str, type_: str, data: dict[str, Any], *, priority: int = NORMAL, reliable: bool = False
    ) -> bool:
        """Sends a message to a miner; False if it is not connected and cannot be reached otherwise.

        A reliable one is kept until the miner acknowledges it and counts as sent, connected or not.

        Raises:
            RealtimeError: no room in the queue, or larger than the miner takes. ValueError, TypeError: no JSON of
                btws/1.
        """
        peer = self.party.peer(hotkey)
        if peer.link is None and peer.answer is not None and not reliable:
            peer.answer.say(encode_message(type_, "", data))
            return True
        if peer.link is None and not reliable:
            return await self._post(peer, encode_message(type_, "", data))
        self.party.put(peer, type_, data, priority, reliable=reliable)
        if peer.link is not None:
            peer.link.flush_soon()
        return True

    async def send_confirmation(self, miner_hotkey: str, data: dict[str, Any]) -> bool:
        """Confirms a prediction: by WebSocket if the miner is connected, else by HTTP; ahead of game updates."""
        return await self.send(miner_hotkey, "confirmation", data, priority=CONFIRMATION)

    def broadcast(self, type_: str, data: dict[str, Any], *, skip_unchanged: bool = False) -> int:
        """Sends a message to every connected miner, signed and encoded once; to how many.

        With `skip_unchanged` nothing is sent (and 0 returned) if only `timestamp` differs from the last one. A miner
        that does not keep up gets the latest of each type.

        Raises:
            RealtimeError: larger than a frame. ValueError, TypeError: no JSON of btws/1.
        """
        line = encode_message(type_, "", data)
        if skip_unchanged:
            content = json.dumps({key: value for key, value in data.items() if key != "timestamp"}, sort_keys=True)
            digest = hashlib.sha256(content.encode()).digest()
            if self._last_broadcast.get(type_) == digest:
                return 0
            self._last_broadcast[type_] = digest
        frame = self.party.speaker.frame(BROADCAST, [line], self.party.clock_ns())
        if len(frame) > 1024 * 1024:
            raise RealtimeError(ends.SIZE, f"the broadcast has {len(frame)} bytes, a frame holds 1 MiB")
        self.party.metrics.sent["broadcast"] += 1
        if self._attachment is not None:
            return self._attachment.broadcast(type_, frame)
        encoded = encode_frame(FIN | TEXT, frame)
        return sum(link.broadcast(type_, frame, encoded) for link in list(self._links) if link.ready)

    async def broadcast_game_update(self, data: dict[str, Any], *, skip_unchanged: bool = False) -> int:
        """Sends game data to every connected miner; see `broadcast`."""
        return self.broadcast("game_update", data, skip_unchanged=skip_unchanged)

    # --- state

    def get_connected_hotkeys(self) -> list[str]:
        """The miners that are connected and have proved who they are."""
        return [link.peer.hotkey for link in self._links if link.ready]

    def get_uptime_seconds(self) -> float:
        """Since it was made."""
        return monotonic() - self._started

    def check_health(self) -> dict[str, Any]:
        """What `/ws/health` says: status, connections, active_connections, uptime in seconds."""
        ready = sum(link.ready for link in self._links)
        return {
            "status": "ok" if self.is_running else "stopped",
            "connections": len(self._links),
            "active_connections": ready,
            "uptime": round(self.get_uptime_seconds(), 1),
        }

    @property
    def hub_problem(self) -> End | None:
        """Why there is no hub, after `attach`; None while there is one."""
        return None if self._attachment is None else self._attachment.problem

    def render_metrics(self) -> str:
        """Text for Prometheus; serve it where strangers do not come."""
        depth = sum(peer.outbox.depth for peer in self.party.peers.values() if peer.outbox is not None)
        ready = sum(link.ready for link in self._links)
        return self.party.metrics.render(
            {"connections": ready, "openings": self._openings.total(), "queue_depth": depth}
        )

    def disconnect(self, hotkey: str, end: End = ends.AUTHORISATION) -> bool:
        """Ends a miner's connection; whether there was one."""
        found = [link for link in self._links if link.peer.hotkey == hotkey]
        for link in found:
            link.end(end)
        return bool(found)

    def revoke(self, hotkey: str, before_ms: int) -> None:
        """Silences the session keys of a hotkey whose certificates began earlier, as its own `revoke` would."""
        self.party.peer(hotkey).voices.revoke(before_ms)

    # --- for links

    def connected(self, link: ServerLink) -> None:
        """A miner has proved who it is; only now it takes the place of an older connection."""
        self._opened(link)
        peer = link.peer
        known = link.peer = self.party.adopt(peer)
        known.voices.learn(peer.voices)
        older, known.link = known.link, link
        if isinstance(older, ServerLink):
            older.end(ends.REPLACED)
        self.party.reconnected(known)
        link.flush_soon()

    def joined(self, link: AttachedLink) -> None:
        """A miner is there, behind the hub."""
        self._links.add(link)
        link.peer.link = link
        self.party.reconnected(link.peer)
        link.flush_soon()

    def disconnected(self, link: ServerLink | AttachedLink, end: End) -> None:
        """A connection is gone; a newer one of the same hotkey is none of its business."""
        if link not in self._links:
            return
        self._links.discard(link)
        if isinstance(link, ServerLink):
            if end in ends.FAULTS:
                # who has proved its hotkey answers for it wherever it comes from; others could have named any hotkey
                self._attempts.failed(link.peer.hotkey if link.ready else link.address, monotonic())
            if not link.ready:
                self._opened(link)
        if link.peer.link is link:
            link.peer.link = None

    # ---

    def _open(self, request: Request) -> Accept | Response:
        """Looks at an opening: cheap checks, then the signature, then who may."""
        now, address = monotonic(), request.peer.key
        limits = self.party.limits
        if not self._attempts.may(address, now):
            return self._refuse(ends.CONNECTIONS)
        if self._openings[address] >= limits.max_openings_per_address:
            return self._refuse(ends.CONNECTIONS)
        if self._openings.total() >= limits.max_openings:
            return self._refuse(ends.CONNECTIONS)._replace(status=503)
        if SUBPROTOCOL not in offered_subprotocols(request.headers):
            return self._refuse(ends.FORMAT, f"expected the subprotocol {SUBPROTOCOL}")
        try:
            peer, nonce = self._identify(request)
        except AuthError as error:
            self._attempts.failed(address, now)
            return self._refuse(ends.end_of_auth(error), str(error))
        except CertificateError as error:
            self._attempts.failed(address, now)
            return self._refuse(ends.CERTIFICATE, str(error))
        except RealtimeError as error:
            self._attempts.failed(address, now)
            return self._refuse(error.end, str(error))
        link = self._make_link(peer, nonce)
        link.address = address
        self._links.add(link)
        self._openings[address] += 1
        return Accept(link, SUBPROTOCOL)

    def _make_link(self, peer: Peer, nonce: str) -> ServerLink:
        return ServerLink(self, self.party, peer, nonce)

    def _identify(self, request: Request) -> tuple[Peer, str]:
        certificate = request.headers.get(CERTIFICATE_FIELD)
        if not certificate:
            caller = self._verifier.verify(
                list(request.headers), method="GET", target=request.target, body=b"", now_ns=self.party.clock_ns()
            )
            peer = self._admitted(caller.hotkey)
            if not peer.voices.speaks_itself:
                peer.voices.add_hotkey(caller.scheme)
            return peer, str(caller.nonce_ns)
        if request.headers.get("Btws-Receiver") != self.party.hotkey:
            raise RealtimeError(ends.RECEIVER, "expected Btws-Receiver to be this validator")
        nonce = request.headers.get("Btws-Nonce")
        if len(nonce) not in _NONCE_CHARS or set(nonce) - set("0123456789abcdef"):
            raise RealtimeError(ends.FORMAT, "expected Btws-Nonce of 32 hex digits")
        peer = self._admitted(parse_certificate(certificate).certificate.speaker)
        self.party.add_certificate(certificate, peer)
        return peer, nonce

    def _admitted(self, hotkey: str) -> Peer:
        """The peer, on trial until its hello if it is new."""
        if not self.admission.admits(hotkey):
            raise RealtimeError(ends.AUTHORISATION)
        if not self._attempts.may(hotkey, monotonic()):
            raise RealtimeError(ends.CONNECTIONS)
        known = self.party.peers.get(hotkey)
        return known if known is not None else Peer(hotkey)

    def _opened(self, link: ServerLink) -> None:
        self._openings[link.address] -= 1
        if self._openings[link.address] <= 0:
            del self._openings[link.address]

    def _refuse(self, end: End, detail: str = "") -> Response:
        self.party.metrics.ends[end.code] += 1
        return refusal(end, detail)

    def _get_health(self, request: Request) -> Response:  # noqa: ARG002 - a route's
        return json_response(self.check_health())

    async def _post(self, peer: Peer, line: str) -> bool:
        endpoint = self._endpoint_of(peer.hotkey)
        if not endpoint:
            return False
        try:
            await post_lines(
                self.party, peer, endpoint, [line], tls=self.client_tls, seconds=self.party.limits.connect_seconds
            )
        except RealtimeError as error:
            _logger.info("%s cannot be reached at its endpoint: %s", peer.hotkey, error)
            return False
        return True

    async def _sweep_for_ever(self) -> None:
        registered_at = monotonic()
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            now = monotonic()
            if now - registered_at >= self.party.limits.registration_seconds:
                registered_at = now
                await self.admission.refresh()
                for hotkey in [hotkey for hotkey in self.party.peers if not self.admission.admits(hotkey)]:
                    self.disconnect(hotkey)
                    self.party.forget(hotkey)
            now_ms = self.party.now_ms()
            links = list(self._links)
            for at, link in enumerate(links, 1):
                self._look(link, now, now_ms)
                if at % _SLICE == 0:
                    await asyncio.sleep(0)
            self.party.receiver.forget(now_ms)
            hub = self._attachment.link if self._attachment is not None else None
            if hub is not None:
                look_after(hub, now, now_ms, self.heartbeat_interval)
            self._renewal.look(now_ms, [link for link in links if link.ready] if hub is None else [hub])

    def _look(self, link: ServerLink | AttachedLink, now: float, now_ms: int) -> None:
        if not link.ready:
            if now - link.began > self.party.limits.hello_seconds:
                link.end(ends.HELLO)
            return
        look_after(link, now, now_ms, self.heartbeat_interval)

    def _server_limits(self, limits: RealtimeLimits) -> ServerLimits:
        return ServerLimits(
            http=HttpLimits(max_body_bytes=limits.max_frame_bytes),
            read_bytes=READ_BYTES,
            websocket=link_limits(limits, self.heartbeat_interval),
            max_connections=limits.max_connections,
            max_connections_per_address=limits.max_connections_per_address,
        )


def _on_error(status: int, reason: str) -> Response:
    return json_response({"error": {"code": str(status), "reason": reason, "advice": "see hardening/btws.md"}}, status)
