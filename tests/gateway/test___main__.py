"""The process: how it starts, how it refuses to, how it ends, what it costs."""

import contextlib
import importlib.util
import json
import os
import signal
import socket
import subprocess
import sys
import time

import pytest

from wallet_guard.gateway.waits import MAX_WAITS_OF_ONE_TOKEN

TOKEN = "a-token-of-43-characters-like-the-signer-ma"
MAX_RESIDENT_KB = 40_000


def run(*arguments, **environment):
    return subprocess.run(
        [sys.executable, "-m", "wallet_guard.gateway", *arguments],
        capture_output=True,
        text=True,
        timeout=20,
        env={**os.environ, **environment},
    )


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "wallet-guard.toml"
    path.write_text(f'run = "{tmp_path}"\n[signer]\nstate = "{tmp_path}/state"\n[chain]\nnetwork = "local"\n')
    return path


@pytest.mark.parametrize("token", ["", " ", "default-token", "your-token", "your-secret-api-key"])
def test_does_not_start_beside_a_token_that_is_no_secret(config, token):
    ended = run("--config", str(config), WALLET_SERVICE_TOKEN=token)
    assert ended.returncode == 78
    assert "WALLET_SERVICE_TOKEN: expected no token or one of 'wallet-guard client add'" in ended.stderr


def test_does_not_start_without_a_configuration(tmp_path):
    ended = run("--config", str(tmp_path / "none.toml"))
    assert ended.returncode == 78
    assert "none.toml: cannot be read" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_does_not_start_where_its_socket_is_taken(config, tmp_path):
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(tmp_path / "gateway.sock"))
        other.listen()
        ended = run("--config", str(config))
    assert ended.returncode == 78
    assert "another process already listens there" in ended.stderr


def test_starts_without_a_signer_and_says_that_it_is_not_ready(new_gateway, tmp_path):
    gateway = new_gateway(tmp_path)
    assert gateway.ask("GET", "/health")[0] == 200
    status, headers, content = gateway.ask("GET", "/ready")
    assert (status, content["missing"]) == (503, {"signer": "does not answer"})
    assert headers["Retry-After"]
    status, _, content = gateway.set_weights(timeout=0.2)
    assert (status, content["error"]["code"], content["submitted"]) == (503, "signer_unavailable", "no")


def test_waits_for_a_signer_that_starts_later(new_gateway, new_signer, new_view, tmp_path):
    gateway = new_gateway(tmp_path)
    signer = new_signer(tmp_path / "signer-gateway.sock")
    signer.script["accept"] = lambda _: new_view("submitted")
    assert gateway.set_weights()[0] == 200


def test_tells_the_service_manager_when_it_listens(new_gateway, tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(5)
        gateway = new_gateway(tmp_path, {"NOTIFY_SOCKET": str(tmp_path / "notify")})
        assert manager.recv(100) == b"READY=1"
        gateway.stop()
        assert manager.recv(100) == b"STOPPING=1"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_answers_who_waits_and_ends_it(new_gateway, new_signer, new_view, tmp_path, number):
    signer = new_signer(tmp_path / "signer-gateway.sock")
    signer.script["accept"] = signer.script["show"] = lambda _: new_view()
    gateway = new_gateway(tmp_path)
    body = json.dumps({"wallet_name": "a", "transaction_data": {"netuid": 2, "uids": [1], "weights": [1]}})
    fields = {"Content-Type": "application/json", "Authorization": f"Bearer {TOKEN}"}
    with contextlib.closing(gateway.connect()) as waiting, contextlib.closing(gateway.connect("tcp")) as idle:
        idle.request("GET", "/health")
        idle.getresponse().read()
        waiting.request("POST", "/wallet/set_weights", body, fields)
        signer.next_asked("show")
        begun = time.monotonic()
        gateway.process.send_signal(number)
        response = waiting.getresponse()
        content = json.loads(response.read())
        assert (response.status, content["error"]["code"]) == (503, "stopping")
        assert content["message"].startswith("the server is stopping; the intent is kept until ")
        assert gateway.process.wait(timeout=5) == 0
    assert time.monotonic() - begun < 3


def test_ends_in_time_while_a_client_dawdles(new_gateway, tmp_path):
    gateway = new_gateway(tmp_path)
    with socket.create_connection(("127.0.0.1", gateway.tcp_port), 5) as dawdler:
        dawdler.sendall(b"POST /wallet/set_weights HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{")
        time.sleep(0.1)
        begun = time.monotonic()
        assert gateway.stop() == 0
        assert time.monotonic() - begun < 3


def test_takes_the_sockets_that_the_service_manager_opened(config, tmp_path):
    # As a service manager does: the socket becomes fd 3, LISTEN_PID the process that the gateway will be.
    become = (
        "import os, sys; os.dup2(int(sys.argv[1]), 3); os.environ['LISTEN_PID'] = str(os.getpid()); "
        "os.execv(sys.executable, [sys.executable, '-m', 'wallet_guard.gateway', '--config', sys.argv[2]])"
    )
    with socket.socket(socket.AF_UNIX) as client, socket.create_server(("127.0.0.1", 0)) as passed:
        port = passed.getsockname()[1]
        process = subprocess.Popen(
            [sys.executable, "-c", become, str(passed.fileno()), str(config)],
            pass_fds=[passed.fileno()],
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "LISTEN_FDS": "1", "LISTEN_FDNAMES": "http-tcp.socket"},
        )
        try:
            assert f"listening on 127.0.0.1:{port}" in process.stderr.readline()
            with pytest.raises(FileNotFoundError):
                client.connect(str(tmp_path / "gateway.sock"))
        finally:
            process.terminate()
            process.communicate(timeout=5)
    assert process.returncode == 0


def test_one_client_may_wait_as_often_as_there_are_subnets_and_no_more(new_gateway, new_signer, new_view, tmp_path):
    signer = new_signer(tmp_path / "signer-gateway.sock")
    signer.script["accept"] = signer.script["show"] = lambda _: new_view()
    gateway = new_gateway(tmp_path)
    body = json.dumps({"wallet_name": "a", "transaction_data": {"netuid": 2, "uids": [1], "weights": [1]}})
    fields = {"Content-Type": "application/json", "Authorization": f"Bearer {TOKEN}"}
    with contextlib.ExitStack() as stack:
        for _ in range(MAX_WAITS_OF_ONE_TOKEN):
            waiting = stack.enter_context(contextlib.closing(gateway.connect()))
            waiting.request("POST", "/wallet/set_weights", body, fields)
            signer.next_asked("show")
        status, headers, content = gateway.set_weights()
        assert (status, content["error"]["code"], headers["Retry-After"]) == (429, "too_many_waiting", "1")
        signer.script["accept"] = lambda _: new_view("submitted")
        assert gateway.set_weights(token="another-client")[0] == 200


def test_stays_small(gateway):
    gateway.ask("GET", "/ready")
    with open(f"/proc/{gateway.process.pid}/status") as status:
        resident = next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))
    assert resident < MAX_RESIDENT_KB


def test_loads_no_sdk_and_no_cryptography(gateway):
    with open(f"/proc/{gateway.process.pid}/maps") as maps:
        mapped = maps.read()
    for name in ("bittensor", "nacl", "sodium", "numpy"):
        assert name not in mapped


def test_importing_it_loads_only_what_it_uses():
    code = "import sys, wallet_guard.gateway.__main__; print(*sorted(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert importlib.util.find_spec("wallet_guard.signer") is not None
    for name in ("bittensor", "bittensor_core", "nacl", "sqlite3", "http.client", "wallet_guard.signer"):
        assert name not in loaded
