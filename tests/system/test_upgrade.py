"""From the version before to this one: its tree is taken out of the history and really run, then this one goes on.

What the old one accepted, signed and promised holds under the new one: tokens, idempotency keys, open intents, the
audit chain. The embedded chain stands still for nobody meanwhile.
"""

import contextlib
import http.client
import io
import json
import os
import signal
import socket
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

pytest.importorskip("bittensor")

ROOT = Path(__file__).parents[2]
BEFORE = "9fc26ae86ab50dbc085923b281b039824980d638"
"""The last tree whose journal is of version 1."""

SECONDS = 60


def tree_of(commit, folder):
    """The tree of that commit below ``folder``; skips where this clone has no such history."""
    done = subprocess.run(
        ["git", "-C", ROOT, "archive", commit, "wallet_guard"], capture_output=True, timeout=SECONDS, check=False
    )
    if done.returncode != 0:
        pytest.skip(f"LOUD: THE UPGRADE IS NOT TESTED: this clone has no commit {commit[:7]} ({done.stderr[:100]!r})")
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
        archive.extractall(folder, filter="data")
    return folder


class Version:
    """The command of one tree, on one configuration."""

    def __init__(self, tree, folder):
        self.folder = folder
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("BT_", "WALLET_"))}
        self.environment = kept | {"HOME": str(folder), "PYTHONPATH": str(tree), "WALLET_GUARD_CONFIG": self.config}
        self.environment |= {"BITTENSOR_RUNTIME_CACHE_DIR": str(folder / "cache")}
        self.log_path = folder / f"serve-{tree.name}.log"
        self.process = None

    @property
    def config(self):
        return str(self.folder / "g" / "wallet-guard.toml")

    def command(self, *words, status=0):
        line = [sys.executable, "-P", "-m", "wallet_guard.cli.main", *words]
        done = subprocess.run(line, env=self.environment, capture_output=True, text=True, timeout=SECONDS, check=False)
        assert done.returncode == status, done.stdout + done.stderr + self.log()
        return done.stdout

    def start(self, until):
        line = [sys.executable, "-P", "-m", "wallet_guard.cli.main", "serve"]
        with self.log_path.open("wb") as log:
            self.process = subprocess.Popen(line, env=self.environment, stdin=subprocess.DEVNULL, stderr=log)
        until(lambda: "ready: clients come in at" in self.log() or self.process.poll() is not None, "serve")
        assert self.process.poll() is None, self.log()

    def log(self):
        return self.log_path.read_text() if self.log_path.exists() else ""

    def end(self):
        if self.process is None or self.process.poll() is not None:
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            assert self.process.wait(SECONDS) == 0, self.log()
        finally:
            self.process.kill()

    @contextlib.contextmanager
    def asked(self, token, netuid, key, **more):
        """A request under way."""
        data = {"netuid": netuid, "uids": [1, 2], "weights": [1, 2], "wait_for_inclusion": True, **more}
        body = {"wallet_name": "validator", "transaction_data": data}
        fields = {"Authorization": f"Bearer {token}", "Content-Type": "application/json", "Idempotency-Key": key}
        asking = http.client.HTTPConnection("localhost")
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as unix:
            unix.settimeout(SECONDS)
            unix.connect(str(self.folder / "g" / "run" / "gateway.sock"))
            asking.sock = unix
            asking.request("POST", "/wallet/set_weights", json.dumps(body), fields)
            yield asking

    def set_weights(self, token, netuid, key):
        with self.asked(token, netuid, key) as asking:
            answer = asking.getresponse()
            return answer.status, json.loads(answer.read())


@pytest.fixture(scope="module")
def house(make_house):
    """Subnet 5 takes weights so seldom that a queued request outlives the upgrade."""
    return make_house("--rate-limit", "5:1000", start=False)


def test_what_the_version_before_promised_holds(house, tmp_path_factory, until):
    folder = tmp_path_factory.mktemp("u")
    old, new = Version(tree_of(BEFORE, folder / "old"), folder), Version(ROOT, folder)
    try:
        wallets = str(house.guard.folder / "wallets")
        words = ("--network", "local", "--endpoint", house.devnet.url, "--block-time", "0.25", "--tcp", "")
        old.command("init", str(folder / "g"), "--wallets", wallets, *words)
        old.start(until)
        token = old.command("client", "add", "node", "--per-hour", "1000").strip()
        status, first = old.set_weights(token, 5, "first")
        assert status == 200, first
        with old.asked(token, 5, "queued", queue=True):
            until(lambda: " accepted" in old.command("status"), "the queued request to be accepted")
        records = int(old.command("audit", "verify").split()[0])
        old.end()

        new.start(until)
        # Everything that was there is there.
        assert int(new.command("audit", "verify").split()[0]) > records
        listed = {each["intent"]: each for each in json.loads(new.command("intents", "list", "--json"))["intents"]}
        (queued,) = set(listed) - {first["intent"]}
        assert (len(listed), listed[queued]["state"]) == (2, "accepted")
        assert json.loads(new.command("intents", "show", queued, "--json"))["idempotency_key"] == "queued"
        # The same key is the same request, under the same token.
        assert new.set_weights(token, 5, "first")[1]["intent"] == first["intent"]
        # And it works on: the next nonce is right, no hotkey is locked, the open one can be called off.
        status, answer = new.set_weights(token, 2, "next")
        assert status == 200, answer
        shown = json.loads(new.command("status", "--json"))
        assert (shown["well"], shown["status"]["locked_keys"]) == (True, [])
        view = json.loads(new.command("intents", "cancel", queued, "--json"))
        assert view["failure"]["code"] == "cancelled"
        until(
            lambda: "effective" in new.command("intents", "show", answer["intent"][:8]),
            "the weights to be read back",
        )
    finally:
        old.end()
        new.end()
    assert "Traceback" not in old.log() + new.log()
