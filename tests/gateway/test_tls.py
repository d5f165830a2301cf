"""The gateway over TLS, with a certification authority of the test's own."""

import http.client
import json
import os
import re
import shutil
import ssl
import subprocess
import sys
import time

import pytest

from wallet_guard.gateway.listeners import tls_context
from wallet_guard.host.config import ConfigurationError, parse_config

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="LOUD: no openssl to make certificates with")


def openssl(*words, cwd):
    subprocess.run(["openssl", *words], cwd=cwd, check=True, capture_output=True, timeout=30)


@pytest.fixture(scope="module")
def papers(tmp_path_factory):
    """A folder with ca.pem, server.pem/.key and client.pem/.key."""
    folder = tmp_path_factory.mktemp("papers")
    new = ("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj")
    openssl(*new, "/CN=test authority", "-x509", "-days", "2", "-keyout", "ca.key", "-out", "ca.pem", cwd=folder)
    for name in ("server", "client"):
        openssl(*new, f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.csr", cwd=folder)
        (folder / "ext").write_text("subjectAltName=IP:127.0.0.1\n")
        signing = ("x509", "-req", "-days", "2", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial")
        openssl(*signing, "-extfile", "ext", "-in", f"{name}.csr", "-out", f"{name}.pem", cwd=folder)
        (folder / f"{name}.key").chmod(0o600)
    return folder


def gateway_table(papers, **changed):
    return {"tls_certificate": str(papers / "server.pem"), "tls_key": str(papers / "server.key"), **changed}


def config_of(folder, gateway):
    table = {"run": str(folder), "signer": {"state": "x"}, "gateway": gateway, "chain": {"network": "local"}}
    return parse_config(table, "file.toml")


@pytest.fixture
def serve(tmp_path):
    """Starts a gateway; the port of its TCP listener."""
    started = []

    def serve(gateway, address="127.0.0.1:0"):
        lines = [f"{name} = {json.dumps(value)}" for name, value in {**gateway, "tcp": [address]}.items()]
        (tmp_path / "c.toml").write_text(
            f'run = "{tmp_path}"\n[signer]\nstate = "s"\n[chain]\nnetwork = "local"\n[gateway]\n' + "\n".join(lines)
        )
        log = tmp_path / "log"
        command = [sys.executable, "-m", "wallet_guard.gateway", "--config", str(tmp_path / "c.toml")]
        with log.open("w") as stream:
            started.append(subprocess.Popen(command, stderr=stream))
        ends = time.monotonic() + 20
        while time.monotonic() < ends and started[-1].poll() is None:
            found = re.search(r"listening on .*[\d.\]]:(\d+)", log.read_text())
            if found:
                return int(found[1])
            time.sleep(0.05)
        raise AssertionError(log.read_text())

    yield serve
    for process in started:
        process.terminate()
        process.wait(10)


def ask(port, context):
    connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=10, context=context)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status
    finally:
        connection.close()


def test_answers_over_tls_to_who_trusts_its_authority(papers, serve):
    port = serve(gateway_table(papers), "0.0.0.0:0")
    assert ask(port, ssl.create_default_context(cafile=papers / "ca.pem")) == 200
    with pytest.raises(ssl.SSLCertVerificationError):
        ask(port, ssl.create_default_context())


def test_says_nothing_in_clear(papers, serve):
    port = serve(gateway_table(papers))
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", "/health")
    with pytest.raises((http.client.HTTPException, ConnectionError)):
        connection.getresponse()
    connection.close()


def test_wants_a_client_certificate_where_told(papers, serve):
    port = serve(gateway_table(papers, tls_client_ca=str(papers / "ca.pem")))
    context = ssl.create_default_context(cafile=papers / "ca.pem")
    with pytest.raises((ssl.SSLError, http.client.HTTPException, ConnectionError)):
        ask(port, context)
    context.load_cert_chain(papers / "client.pem", papers / "client.key")
    assert ask(port, context) == 200


def test_refuses_a_key_that_others_can_read(papers, tmp_path):
    shutil.copy(papers / "server.key", tmp_path / "k")
    os.chmod(tmp_path / "k", 0o644)
    with pytest.raises(ConfigurationError, match="expected mode 0600, found 0644"):
        tls_context(config_of(tmp_path, gateway_table(papers, tls_key=str(tmp_path / "k"))))


def test_refuses_a_key_of_another_certificate(papers, tmp_path):
    with pytest.raises(ConfigurationError, match="expected PEM files that fit each other"):
        tls_context(config_of(tmp_path, gateway_table(papers, tls_key=str(papers / "client.key"))))


@pytest.mark.parametrize(
    ("gateway", "words"),
    [
        ({"tls_certificate": "a"}, "expected both or none"),
        ({"tls_key": "a"}, "expected both or none"),
        ({"tls_client_ca": "a"}, "expected tls_certificate and tls_key with it"),
        ({"tokens_in_clear": "yes"}, "expected true or false"),
    ],
)
def test_refuses_a_configuration_that_does_not_say_what_it_means(tmp_path, gateway, words):
    with pytest.raises(ConfigurationError, match=words):
        config_of(tmp_path, gateway)
