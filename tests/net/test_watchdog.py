"""What counts as a sign of life; that the manager hears of it is tests/gateway's."""

import asyncio

from wallet_guard.net.exchange import Response
from wallet_guard.net.limits import ServerLimits
from wallet_guard.net.routes import Route, Routes
from wallet_guard.net.server import Server
from wallet_guard.net.watchdog import round_trip


def server_of(handler, **limits):
    return Server(Routes([Route("GET", "/health", handler)]), limits=ServerLimits(**limits))


def ok(_request):
    return Response(200, b"{}")


def test_an_answered_request_is_a_sign_of_life():
    assert asyncio.run(round_trip(server_of(ok), "/health")).startswith(b"HTTP/1.1 200")


def test_a_connection_closed_by_a_ceiling_is_one_too():
    assert asyncio.run(round_trip(server_of(ok, max_connections=0), "/health")) == b""
