"""``GET /metrics`` for Prometheus, on a door of its own: what all three processes measure, gathered here.

Who may read it: whoever reaches that door, which is a loopback address (any program of this host) or, beyond it, one
that asks for a client's certificate. There is no token, so an ordinary Prometheus needs none; and there is no secret,
no intent and no address in it, only counts, times, and the names of wallets and subnets. The doors for clients do not
have the path: a client shall not learn of the others.

The signer is asked at most once a second, however many read. Where it does not answer, the rest is told and
``wallet_guard_up`` says so.
"""

import time
from collections.abc import Callable

from wallet_guard import __version__
from wallet_guard.gateway.figures import Figures
from wallet_guard.host.process import resident_bytes
from wallet_guard.ipc.asker import Asker, RefusedError, Unavailable
from wallet_guard.ipc.metrics import Family, Metrics, MetricsView, Sample, about_process, gauge, render
from wallet_guard.net.exchange import Request, Response
from wallet_guard.net.limits import ServerLimits
from wallet_guard.net.routes import Route, Routes

PATH = "/metrics"

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

ASK_SECONDS = 1.0
"""Prometheus gives up after 10 by default, and an operator may want it sooner."""

KEPT_SECONDS = 1.0
"""However often it is scraped, the signer is asked once a second."""

CHAIN_SILENT_SECONDS = 30.0
"""The chain process speaks every 5 s; see ``answers`` for who else counts on it."""

LIMITS = ServerLimits(max_connections=16, max_connections_per_address=16, handler_seconds=10.0)
"""A Prometheus, its spare, and a curious operator."""


class Exposition:
    """The text, gathered when it is asked for. ``gauges()`` gives what the gateway has to say of this moment."""

    def __init__(self, asker: Asker, figures: Figures, gauges: Callable[[], tuple[Family, ...]]) -> None:
        self._asker = asker
        self._figures = figures
        self._gauges = gauges
        self._kept: tuple[float, tuple[Family, ...]] | None = None

    def routes(self) -> Routes:
        """One path."""
        return Routes([Route("GET", PATH, self._answer)])

    async def _answer(self, _request: Request) -> Response:
        now = time.monotonic()
        if self._kept is None or now - self._kept[0] > KEPT_SECONDS:
            self._kept = now, await self._ask()
        signer = self._kept[1]
        text = render(
            (
                _up(signer),
                *about_process("gateway", __version__, self._figures.started_ms, resident_bytes()),
                *self._figures.families(),
                *self._gauges(),
                *signer,
            )
        )
        return Response(200, text.encode(), CONTENT_TYPE, (("Cache-Control", "no-store"),))

    async def _ask(self) -> tuple[Family, ...]:
        try:
            view: MetricsView = await self._asker.ask(Metrics(), seconds=ASK_SECONDS)
        except (Unavailable, RefusedError):
            return ()
        return view.families


def _up(signer: tuple[Family, ...]) -> Family:
    silence = [each.value for each in _samples(signer, "wallet_guard_chain_silence_seconds")]
    values: dict[tuple[tuple[str, str], ...], float] = {
        (("process", "gateway"),): 1.0,
        (("process", "signer"),): float(bool(signer)),
        (("process", "chain"),): float(bool(silence) and silence[0] <= CHAIN_SILENT_SECONDS),
    }
    return gauge("wallet_guard_up", "1 for a process that answers.", values)


def _samples(families: tuple[Family, ...], name: str) -> tuple[Sample, ...]:
    return tuple(sample for family in families if family.name == name for sample in family.samples)
