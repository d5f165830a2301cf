"""What both managers do every second: silence, certificates that end, messages that were not acknowledged."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection
from typing import Final

from wallet_guard.net import MessageLimits, WebSocketLimits
from wallet_guard.realtime import ends
from wallet_guard.realtime.limits import HIGH_BYTES, RealtimeLimits
from wallet_guard.realtime.link import Link
from wallet_guard.realtime.party import Party
from wallet_guard.realtime.speaker import Speaker

_logger = logging.getLogger("wallet_guard.realtime")

SWEEP_SECONDS: Final = 1.0
_RENEW_SECONDS: Final = 30.0  # for the guard's answer
_RETRY_MS: Final = 10_000  # between two attempts


class Renewal:
    """Takes care that our certificate does not end: asks for the next after two thirds of its life."""

    def __init__(self, party: Party, renew: Callable[[], Awaitable[Speaker]] | None) -> None:
        self._party = party
        self._renew = renew
        self._next_ms = 0
        self._task: asyncio.Task[None] | None = None

    def look(self, now_ms: int, links: Collection[Link]) -> None:
        """Begins to renew if it is time; the new certificate is presented to these connections."""
        speaker = self._party.speaker
        due_ms = speaker.from_ms + (speaker.until_ms - speaker.from_ms) * 2 // 3
        if self._renew is None or now_ms < max(due_ms, self._next_ms):
            return
        if self._task is None or self._task.done():
            self._next_ms = now_ms + _RETRY_MS
            self._task = asyncio.get_running_loop().create_task(self._present_next(self._renew, speaker, links))

    def stop(self) -> None:
        """Asks no more."""
        if self._task is not None:
            self._task.cancel()

    async def _present_next(
        self, renew: Callable[[], Awaitable[Speaker]], speaker: Speaker, links: Collection[Link]
    ) -> None:
        try:
            async with asyncio.timeout(_RENEW_SECONDS):
                fresh = await renew()
        except Exception:  # whatever the caller's way to the guard may raise; the old one still holds
            _logger.exception("the certificate ends at %d and cannot be renewed", speaker.until_ms)
            return
        if fresh.hotkey != speaker.hotkey:
            _logger.error("expected a certificate for %s, found one for %s", speaker.hotkey, fresh.hotkey)
            return
        self._party.speaker = fresh
        for link in links:
            link.present(fresh.certificate)


def look_after(link: Link, now: float, now_ms: int, heartbeat_interval: float) -> None:
    """Ends a connection that is silent or whose keys have all ended; sends again what was not acknowledged."""
    silence = now - link.heard
    if link.is_held or link.vouched:
        pass  # it is we who do not listen; or it is a hub who looks
    elif silence > heartbeat_interval + link.party.limits.pong_seconds:
        link.end(ends.HEARTBEAT)
        return
    elif silence > heartbeat_interval and not link.asked_at:
        link.ping()
    if link.peer.voices.end_ms() <= now_ms and not link.vouched:
        link.end(ends.CERTIFICATE, "the last certificate has ended")
        return
    outbox = link.peer.outbox
    if outbox is not None and outbox.unacknowledged and outbox.resend(now):
        link.flush_soon()


def link_limits(limits: RealtimeLimits, heartbeat_interval: float) -> WebSocketLimits:
    """Of the layer below: it asks for life as well, but only where a manager's own sweep would have ended it."""
    return WebSocketLimits(
        messages=MessageLimits(max_message_bytes=limits.max_frame_bytes, max_frame_bytes=limits.max_frame_bytes),
        handshake_seconds=limits.connect_seconds,
        ping_seconds=3 * heartbeat_interval + limits.pong_seconds,
        max_queued_bytes=limits.max_queued_bytes,
        pause_reading_bytes=HIGH_BYTES,  # so that `WebSocket.drain` waits for what a link waits for
    )
