import asyncio
import shutil
import ssl
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest

from wallet_guard.net import (
    Accept,
    Endpoint,
    HttpClient,
    Inbox,
    Routes,
    Server,
    WebSocket,
    client_context,
    json_response,
    open_websocket,
    parse_url,
    server_context,
)
from wallet_guard.wire.errors import HttpError

ROUTES = Routes([("GET", "/", lambda request: json_response([request.scheme, bool(request.peer.certificate)]))])


class Pair(NamedTuple):
    certificate: str
    key: str


@pytest.fixture(scope="module")
def issue(tmp_path_factory):
    """Makes a self-signed certificate for localhost; each is its own authority."""
    program = shutil.which("openssl")
    if program is None:
        pytest.skip("TLS NOT TESTED: no openssl program to make certificates with")
    folder: Path = tmp_path_factory.mktemp("tls")

    def make(name: str) -> Pair:
        pair = Pair(str(folder / f"{name}.pem"), str(folder / f"{name}.key"))
        subject = ["-subj", f"/CN={name}", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
        new = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
        files = ["-out", pair.certificate, "-keyout", pair.key]
        subprocess.run([program, *new, *subject, *files], check=True, capture_output=True, timeout=30)
        return pair

    return make


class Echo(Endpoint):
    def on_message(self, websocket: WebSocket, data: str | bytes) -> None:
        assert isinstance(data, str)
        websocket.send_text(data)


def test_https_and_wss_on_one_listener(serve, issue) -> None:
    async def main() -> None:
        pair = issue("one")
        server = Server(ROUTES, websockets={"/ws": lambda _: Accept(Echo())})
        async with serve(server, tls=server_context(*pair)) as connect:
            tls = client_context(pair.certificate)
            client = await HttpClient.connect(parse_url(f"https://localhost:{connect.port}/"), tls=tls)
            assert (await client.request("GET", "/")).body == b'["https",false]'
            client.close()
            inbox = Inbox()
            websocket = await open_websocket(parse_url(f"wss://localhost:{connect.port}/ws"), inbox, tls=tls)
            websocket.send_text("x" * 200_000)
            assert await inbox.receive() == "x" * 200_000
            websocket.close()
            assert await inbox.receive() is None

    asyncio.run(main())


def test_an_unknown_certificate_is_refused(serve, issue) -> None:
    async def main() -> None:
        async with serve(Server(ROUTES), tls=server_context(*issue("one"))) as connect:
            tls = client_context(issue("other").certificate)
            with pytest.raises(ssl.SSLCertVerificationError):
                await HttpClient.connect(parse_url(f"https://localhost:{connect.port}/"), tls=tls)

    asyncio.run(main())


def test_old_versions_are_refused(serve, issue) -> None:
    async def main() -> None:
        pair = issue("one")
        async with serve(Server(ROUTES), tls=server_context(*pair)) as connect:
            tls = client_context(pair.certificate)
            assert tls.minimum_version == ssl.TLSVersion.TLSv1_2
            client = await HttpClient.connect(parse_url(f"https://localhost:{connect.port}/"), tls=tls)
            assert client._transport.get_extra_info("ssl_object").version() == "TLSv1.3"
            client.close()

    assert server_context(*issue("two")).minimum_version == ssl.TLSVersion.TLSv1_2
    asyncio.run(main())


def test_mutual_tls_wants_a_certificate_and_shows_it_to_handlers(serve, issue) -> None:
    async def main() -> None:
        pair, friend, stranger = issue("one"), issue("friend"), issue("stranger")
        async with serve(Server(ROUTES), tls=server_context(*pair, friend.certificate)) as connect:
            address = parse_url(f"https://localhost:{connect.port}/")
            client = await HttpClient.connect(address, tls=client_context(pair.certificate, *friend))
            assert (await client.request("GET", "/")).body == b'["https",true]'
            client.close()
            for tls in (client_context(pair.certificate), client_context(pair.certificate, *stranger)):
                # in TLS 1.3 the refusal comes after the client's handshake
                with pytest.raises((OSError, HttpError), match=r"."):
                    client = await HttpClient.connect(address, tls=tls)
                    await client.request("GET", "/")

    asyncio.run(main())


def test_a_certificate_is_renewed_under_open_connections(serve, issue) -> None:
    async def main() -> None:
        old, new = issue("old"), issue("new")
        server = Server(ROUTES)
        async with serve(server, tls=server_context(*old)) as connect:
            address = parse_url(f"https://localhost:{connect.port}/")
            before = await HttpClient.connect(address, tls=client_context(old.certificate))
            await server.reload_tls(server_context(*new))
            after = await HttpClient.connect(address, tls=client_context(new.certificate))
            for client in (before, after, before):
                assert (await client.request("GET", "/")).status == 200
            with pytest.raises(ssl.SSLCertVerificationError):
                await HttpClient.connect(address, tls=client_context(old.certificate))
            before.close()
            after.close()

    asyncio.run(main())


def test_a_key_that_does_not_fit_is_refused_at_once(issue) -> None:
    with pytest.raises(ssl.SSLError):
        server_context(issue("one").certificate, issue("two").key)


def test_a_plain_request_on_a_tls_port_gets_nothing(serve, issue) -> None:
    async def main() -> None:
        async with serve(Server(ROUTES), tls=server_context(*issue("one"))) as connect:
            raw = await connect()
            await raw.say(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
            assert b"HTTP/1.1" not in await raw.hear_all()

    asyncio.run(main())
