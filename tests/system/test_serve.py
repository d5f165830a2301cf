"""``wallet-guard serve`` and the words around it: one supervisor, three processes, what an operator may do wrong."""

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("bittensor")

SECONDS = 60
PROCESSES = ("signer", "chain", "gateway")
STARTED = re.compile(r"started (\w+), pid (\d+)")


class Serve:
    """``wallet-guard init``, then ``serve``, on a chain."""

    def __init__(self, folder: Path, url: str, wallets: Path) -> None:
        self.folder = folder
        self.config = folder / "g" / "wallet-guard.toml"
        self.environment = {
            name: value for name, value in os.environ.items() if not name.startswith(("BT_", "WALLET_"))
        }
        self.environment |= {"HOME": str(folder), "BITTENSOR_RUNTIME_CACHE_DIR": str(folder / "cache")}
        self.init = ("init", str(folder / "g"), "--network", "local", "--endpoint", url, "--block-time", "0.25")
        self.init += ("--wallets", str(wallets), "--tcp", "127.0.0.1:0")
        self.log_path = folder / "serve.log"
        self.process: subprocess.Popen[bytes] | None = None

    def command(self, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
        """A word of the command line, run to its end."""
        return subprocess.run(
            [sys.executable, "-m", "wallet_guard.cli.main", *words],
            env=self.environment | {"WALLET_GUARD_CONFIG": str(self.config)} | more,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )

    def start(self, until: Any) -> None:
        command = [sys.executable, "-m", "wallet_guard.cli.main", "serve", "--config", str(self.config)]
        with self.log_path.open("wb") as log:
            self.process = subprocess.Popen(command, env=self.environment, stdin=subprocess.DEVNULL, stderr=log)
        until(lambda: "ready: clients come in at" in self.log() or self.process.poll() is not None, "serve")
        assert self.process.poll() is None, self.log()

    def log(self) -> str:
        return self.log_path.read_text()

    def pids(self) -> dict[str, int]:
        """Of the processes as they were started last."""
        return {name: int(pid) for name, pid in STARTED.findall(self.log())}

    def post(self, token: str, connection: socket.socket | None = None) -> tuple[int, dict[str, Any]]:
        body = {"wallet_name": "validator", "transaction_data": {"netuid": 2, "uids": [1], "weights": [1]}}
        fields = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        asking = http.client.HTTPConnection("localhost")
        with connection or socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as unix:
            unix.settimeout(SECONDS)
            if connection is None:
                unix.connect(str(self.folder / "g" / "run" / "gateway.sock"))
            asking.sock = unix
            asking.request("POST", "/wallet/set_weights", json.dumps(body), fields)
            answer = asking.getresponse()
            return answer.status, json.loads(answer.read())

    def end(self, number: int = signal.SIGTERM) -> int:
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            return self.process.wait(SECONDS)
        finally:
            self.process.kill()


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.fixture(scope="module")
def chain(make_house):
    """A chain and a wallet that is a validator on it; the guard that comes with them is not started."""
    return make_house(start=False)


@pytest.fixture
def place(chain, tmp_path_factory):
    """A place where ``init`` may write, beside the wallet; whatever runs there ends with the test."""
    made = Serve(tmp_path_factory.mktemp("s"), chain.devnet.url, chain.guard.folder / "wallets")
    yield made
    if made.process is not None:
        made.end()


@pytest.fixture
def mortal(place, until):
    """One that runs, to be killed."""
    assert place.command(*place.init).returncode == 0
    place.start(until)
    return place


@pytest.fixture(scope="module")
def served(chain, tmp_path_factory, until):
    """One that runs, for all who leave it alive."""
    made = Serve(tmp_path_factory.mktemp("s"), chain.devnet.url, chain.guard.folder / "wallets")
    assert made.command(*made.init).returncode == 0
    made.start(until)
    yield made
    assert made.end() == 0
    assert "Traceback" not in made.log()


def test_one_sigterm_stops_all_in_order(mortal):
    pids = mortal.pids()
    assert set(pids) == set(PROCESSES)
    assert mortal.end(signal.SIGTERM) == 0
    assert not any(alive(pid) for pid in pids.values())
    stopped = re.findall(r"stopped (\w+), status (-?\d+)", mortal.log())
    assert stopped == [("gateway", "0"), ("chain", "0"), ("signer", "0")]
    assert "Traceback" not in mortal.log()


def test_a_killed_serve_takes_its_processes_along(mortal, until):
    pids = mortal.pids()
    assert mortal.end(signal.SIGKILL) == -signal.SIGKILL
    until(lambda: not any(alive(pid) for pid in pids.values()), "the end of all three")
    # And the journal is free again.
    mortal.start(until)
    assert mortal.end() == 0


def test_restarts_what_crashes_and_refuses_nobody_meanwhile(mortal, until):
    token = mortal.command("client", "add", "node").stdout.strip()
    status, answer = mortal.post(token)
    assert (status, answer["success"]) == (200, True)
    for victim in PROCESSES:
        pid = mortal.pids()[victim]
        os.kill(pid, signal.SIGKILL)
        if victim == "signer":
            # Its sockets are the supervisor's: an operator's question waits in the queue instead of being refused.
            assert mortal.command("client", "list").returncode == 0
        until(lambda victim=victim, pid=pid: mortal.pids()[victim] != pid, f"a new {victim}")
        assert not alive(pid)

        def answered() -> bool:
            try:
                return mortal.post(token)[0] == 200
            except (OSError, http.client.HTTPException):
                return False

        until(answered, f"an answer after the {victim} came back")
    assert mortal.end() == 0


def test_takes_clients_by_tcp_where_the_configuration_says(served):
    (port,) = re.findall(r"tcp:127\.0\.0\.1:(\d+)|127\.0\.0\.1:(\d{2,})", served.log().split("listening on")[1])[:1]
    connection = socket.create_connection(("127.0.0.1", int("".join(port))), timeout=SECONDS)
    status, answer = served.post("wg_nobody", connection)
    assert (status, answer["error"]["code"]) == (401, "unauthorized")


def test_a_revoked_token_is_nothing_at_once(served):
    added = served.command("client", "add", "node", "--netuid", "2", "--per-hour", "10")
    assert added.returncode == 0, added.stderr
    token = added.stdout.strip()
    assert token
    assert token not in added.stderr
    assert served.post(token)[0] == 200
    listed = served.command("client", "list")
    assert "node: validator/default, set_weights, subnet 2, 10 an hour" in listed.stdout
    assert token not in listed.stdout
    assert served.command("client", "revoke", "node").returncode == 0
    status, answer = served.post(token)
    assert (status, answer["error"]["code"], answer["submitted"]) == (401, "unauthorized", "no")
    assert "revoked" in served.command("client", "list").stdout
    assert token not in served.log()
    assert served.command("client", "revoke", "nobody").returncode == 1


def test_status_tells_what_runs(served):
    found = served.command("status")
    assert found.returncode == 0, found.stdout + found.stderr
    for word in ("signer", "journal   ok", "chain     ws://", "validator/default"):
        assert word in found.stdout


def test_fifty_clients_at_once_are_answered(served):
    token = served.command("client", "add", "many", "--per-hour", "1000").stdout.strip()
    answers: list[int] = []
    threads = [threading.Thread(target=lambda: answers.append(served.post(token)[0])) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SECONDS)
    assert answers == [200] * 50


# Before anything runs -----------------------------------------------------------------------------------------------


def test_init_writes_private_folders_and_replaces_nothing(place):
    assert place.command(*place.init).returncode == 0
    for folder in (place.config.parent, place.config.parent / "state", place.config.parent / "run"):
        assert folder.stat().st_mode & 0o777 == 0o700
    before = place.config.read_bytes()
    again = place.command(*place.init, "--hotkey", "other/default")
    assert again.returncode == 78
    assert f"{place.config}: is there already" in again.stderr
    assert place.config.read_bytes() == before


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("[gateway]", "[gateway]\nprot = 1", "[gateway] unknown key 'prot'"),
        ("[signer]", "[singer]", "unknown key 'singer'"),
        ('network = "local"', 'network = "lokal"', "[chain] network: expected one of"),
        ("block_time_seconds = 0.25", 'block_time_seconds = "fast"', "[chain] block_time_seconds: expected a number"),
        ('hotkeys = ["validator/default"]', "hotkeys = []", "[signer] hotkeys"),
        ('hotkeys = ["validator/default"]', 'hotkeys = ["validator/../default"]', "'"),
    ],
)
def test_serve_ends_with_78_and_names_file_and_key(place, old, new, said):
    assert place.command(*place.init).returncode == 0
    text = place.config.read_text()
    assert old in text
    place.config.write_text(text.replace(old, new, 1))
    ended = place.command("serve")
    assert ended.returncode == 78, ended.stderr
    assert said in ended.stderr
    assert str(place.config) in ended.stderr or ".." in new
    assert "Traceback" not in ended.stderr


def test_serve_refuses_a_hotkey_that_others_can_read(place, chain):
    assert place.command(*place.init).returncode == 0
    hotkey = chain.guard.folder / "wallets" / "validator" / "hotkeys" / "default"
    hotkey.chmod(0o644)
    try:
        ended = place.command("serve")
    finally:
        hotkey.chmod(0o600)
    assert ended.returncode == 78
    assert f"{hotkey}: expected mode 0600, found 0644; run: chmod 0600 {hotkey}" in ended.stderr


@pytest.mark.parametrize("token", ["default-token", ""])
def test_serve_refuses_the_seeds_default_tokens(place, token):
    assert place.command(*place.init).returncode == 0
    ended = place.command("serve", WALLET_SERVICE_TOKEN=token)
    assert ended.returncode == 78
    assert "WALLET_SERVICE_TOKEN" in ended.stderr


def test_client_add_refuses_a_default_token(served):
    command = [sys.executable, "-m", "wallet_guard.cli.main", "client", "add", "x", "--token-stdin"]
    environment = served.environment | {"WALLET_GUARD_CONFIG": str(served.config)}
    for token in ("default-token", "short"):
        refused = subprocess.run(
            command, env=environment, input=f"{token}\n", capture_output=True, text=True, timeout=SECONDS, check=False
        )
        assert refused.returncode == 1, refused
        assert "Traceback" not in refused.stderr


def test_words_that_need_a_signer_say_that_none_runs(place):
    assert place.command(*place.init).returncode == 0
    for words in (("status",), ("client", "list"), ("client", "add", "x")):
        ended = place.command(*words)
        assert ended.returncode == 1
        assert "no signer listens there" in ended.stderr
        assert "start it with 'wallet-guard serve'" in ended.stderr
