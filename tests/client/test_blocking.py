"""What only the blocking client does: keeping connections, threads, forks, TLS."""

import gc
import ssl
import subprocess
import sys
import threading

import pytest

from wallet_guard.client import SettingsError, WalletService

TOKEN = "a-token-of-43-characters-like-the-signer-ma"


@pytest.fixture
def service(unix_service):
    with WalletService(unix_service.url, TOKEN, wallet_name="validator") as service:
        yield service


def test_a_connection_is_kept_for_the_next_call(service, unix_service):
    for _ in range(3):
        assert service.set_weights(2, [1], [1])
    assert [seen.connection for seen in unix_service.seen] == [1, 1, 1]


def test_a_connection_that_the_service_will_close_is_not_kept(service, unix_service, say):
    unix_service.steps = [say.answer(say.SUCCESS, fields=[("Connection", "close")])]
    assert service.set_weights(2, [1], [1])
    assert service.set_weights(2, [1], [1])
    assert [seen.connection for seen in unix_service.seen] == [1, 2]


def test_a_kept_connection_that_was_closed_meanwhile_is_replaced(service, unix_service, say):
    assert service.set_weights(2, [1], [1])
    for connection in unix_service._open:
        connection.shutdown(2)
    assert service.set_weights(2, [1], [1])
    assert [seen.connection for seen in unix_service.seen] == [1, 2]


def test_a_kept_connection_with_bytes_that_nobody_asked_for_is_replaced(service, unix_service, say):
    assert service.set_weights(2, [1], [1])
    unix_service._open[0].sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    assert service.set_weights(2, [1], [1])
    assert [seen.connection for seen in unix_service.seen] == [1, 2]


def test_threads_share_a_service(service, unix_service):
    results = []
    threads = [
        threading.Thread(target=lambda n=n: results.append(service.set_weights(n, [1], [1]).success)) for n in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [True] * 8
    assert sorted(seen.content["transaction_data"]["netuid"] for seen in unix_service.seen) == list(range(8))
    assert len({seen.fields["Idempotency-Key"] for seen in unix_service.seen}) == 8


def test_a_forked_child_leaves_its_parents_connection_alone(unix_service):
    # In a process of its own: forking the test runner, which has threads, is asking for trouble.
    code = (
        "import os, sys\n"
        "from wallet_guard.client import WalletService\n"
        "service = WalletService(sys.argv[1], sys.argv[2], wallet_name='validator')\n"
        "assert service.set_weights(1, [1], [1])\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    os._exit(0 if service.set_weights(2, [1], [1]) else 1)\n"
        "assert os.waitpid(child, 0)[1] == 0\n"
        "assert service.set_weights(3, [1], [1])\n"
    )
    subprocess.run([sys.executable, "-c", code, unix_service.url, TOKEN], check=True, timeout=60)
    seen = [(seen.content["transaction_data"]["netuid"], seen.connection) for seen in unix_service.seen]
    assert seen == [(1, 1), (2, 2), (3, 1)]
    assert len({seen.fields["Idempotency-Key"] for seen in unix_service.seen}) == 3


def test_a_closed_service_can_be_used_again(service, unix_service):
    assert service.set_weights(2, [1], [1])
    service.close()
    assert service.set_weights(2, [1], [1])
    assert unix_service.connections == 2


def test_failed_connections_are_closed(unix_service, say):
    unix_service.steps = [say.CUT, say.answer(None, raw=b"{}"), say.answer(say.SUCCESS)]
    with WalletService(unix_service.url, TOKEN, wallet_name="validator") as service:
        service.set_weights(2, [1], [1])
        service.set_weights(2, [1], [1])
    gc.collect()  # a socket that was left open warns here, and warnings are errors


def test_the_token_has_no_printable_form(service):
    assert TOKEN not in repr(service)
    assert repr(service).startswith("WalletService('unix:///")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    subprocess.run(
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost "
        "-addext subjectAltName=DNS:localhost -keyout key.pem -out cert.pem",
        shell=True,
        check=True,
        cwd=folder,
        capture_output=True,
    )
    return folder


@pytest.fixture
def tls_service(certificate, serve_tls):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate / "cert.pem", certificate / "key.pem")
    return serve_tls(context)


def test_speaks_tls_with_the_authority_that_is_named(connect, tls_service, certificate):
    assert connect(tls_service.url, ca_file=str(certificate / "cert.pem")).set_weights(2, [1], [1])


def test_a_tls_connection_is_kept_too(tls_service, certificate):
    ca_file = str(certificate / "cert.pem")
    with WalletService(tls_service.url, TOKEN, wallet_name="validator", ca_file=ca_file) as service:
        for _ in range(3):
            assert service.set_weights(2, [1], [1])
    assert [seen.connection for seen in tls_service.seen] == [1, 1, 1]


def test_a_certificate_that_nobody_vouches_for_is_refused_at_once(connect, tls_service):
    result = connect(tls_service.url).set_weights(2, [1], [1])
    assert (result.success, result.code, result.submitted, result.final) == (False, "unreachable", "no", True)
    assert "no TLS" in result.message
    assert "ca_file" in result.hint
    assert tls_service.seen == []


@pytest.fixture
def asking_service(certificate, serve_tls):
    """A service that talks to holders of a certificate only; its own serves for that too."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate / "cert.pem", certificate / "key.pem")
    context.load_verify_locations(certificate / "cert.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    return serve_tls(context)


def test_shows_a_certificate_of_its_own(connect, asking_service, certificate):
    files = {"client_certificate": str(certificate / "cert.pem"), "client_key": str(certificate / "key.pem")}
    assert connect(asking_service.url, ca_file=str(certificate / "cert.pem"), **files).set_weights(2, [1], [1])


def test_without_a_certificate_nothing_arrives(connect, asking_service, certificate):
    service = connect(asking_service.url, ca_file=str(certificate / "cert.pem"), timeout=1.0)
    assert service.set_weights(2, [1], [1]).code == "unreachable"
    assert asking_service.seen == []


@pytest.mark.parametrize("key", [None, "cert.pem", "none.pem"])
def test_a_certificate_without_its_key_is_refused(certificate, key):
    with pytest.raises(SettingsError, match="client_certificate"):
        WalletService(
            "https://localhost",
            TOKEN,
            client_certificate=str(certificate / "cert.pem"),
            client_key=key and str(certificate / key),
        )


def test_a_certificate_for_another_name_is_refused(connect, tls_service, certificate):
    url = tls_service.url.replace("localhost", "127.0.0.1")
    result = connect(url, ca_file=str(certificate / "cert.pem")).set_weights(2, [1], [1])
    assert (result.code, result.submitted) == ("unreachable", "no")
    assert tls_service.seen == []
