"""/metrics: on its own door only, in the form that Prometheus reads, whatever the signer does."""

import contextlib
import http.client
import re
import shutil
import subprocess
import time

import pytest

from wallet_guard.ipc.metrics import MetricsView, about_process, one

TOLD = MetricsView(
    families=(*about_process("signer", "0.1", 1, 2), one("wallet_guard_chain_silence_seconds", "Since it spoke.", 3.0))
)


@pytest.fixture(autouse=True)
def scripted(measured):
    measured[1].script["metrics"] = lambda _: TOLD


def read(gateway, path="/metrics", method="GET"):
    """Status, fields and text of the metrics door."""
    port = int(re.search(r"figures at http://127\.0\.0\.1:(\d+)/metrics", gateway.log)[1])
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
        connection.request(method, path)
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read().decode()


def until(truth):
    """The first true value within a minute."""
    ends = time.monotonic() + 60
    while time.monotonic() < ends:
        found = truth()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError("it did not happen within a minute")


def test_all_processes_are_told_of_in_one_text(measured):
    gateway, _ = measured
    status, fields, text = read(gateway)
    assert (status, fields["Content-Type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")
    for process in ("gateway", "signer", "chain"):
        assert f'wallet_guard_up{{process="{process}"}} 1\n' in text
    assert 'wallet_guard_build_info{process="signer",version="0.1"} 1\n' in text
    assert 'wallet_guard_process_resident_memory_bytes{process="gateway"} ' in text


def test_requests_of_clients_are_in_it(measured):
    gateway, _ = measured
    gateway.ask("GET", "/health")
    gateway.ask("GET", "/nowhere")
    gateway.ask("GET", "/wallet/info")
    _, _, text = read(gateway)
    assert re.search(r'requests_total\{method="GET",route="/health",status="200"\} [1-9]', text)
    assert re.search(r'requests_total\{method="GET",route="/wallet/info",status="401"\} [1-9]', text)
    assert re.search(r'errors_total\{code="not_found"\} [1-9]', text)
    assert "wallet_guard_http_connections " in text


@pytest.mark.skipif(shutil.which("promtool") is None, reason="LOUD: no promtool on this machine")
def test_promtool_reads_it(measured):
    _, _, text = read(measured[0])
    done = subprocess.run(
        ["promtool", "check", "metrics"], input=text, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_the_door_has_nothing_else(measured):
    gateway, _ = measured
    assert read(gateway, "/wallet/info")[0] == read(gateway, "/health")[0] == 404
    assert read(gateway, method="POST")[0] == 405


def test_clients_do_not_find_it_at_theirs(measured):
    gateway, _ = measured
    assert gateway.ask("GET", "/metrics")[0] == gateway.ask("GET", "/metrics", door="tcp")[0] == 404


def test_the_signer_is_asked_once_a_second_however_many_read(measured):
    gateway, signer = measured
    while not signer.asked.empty():
        signer.asked.get()
    begun, reads = time.monotonic(), 0
    while reads < 50 or signer.asked.empty():
        read(gateway)
        reads += 1
    assert signer.asked.qsize() <= time.monotonic() - begun + 1


def test_a_signer_that_does_not_answer_is_told_of(measured):
    gateway, signer = measured
    signer.script["metrics"] = lambda _: None
    text = until(lambda: 'up{process="signer"} 0' in (found := read(gateway)[2]) and found)
    assert 'wallet_guard_up{process="chain"} 0\n' in text
    assert 'wallet_guard_up{process="gateway"} 1\n' in text


def test_without_an_address_there_is_no_door(gateway):
    assert "figures at" not in gateway.log
