"""The signer as a real process: what it refuses to start with, what a kill leaves, what others can see of it."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from wallet_guard.ipc.admin import StatusAsk
from wallet_guard.ipc.blocking import RefusedError, ask
from wallet_guard.ipc.chain import Pull
from wallet_guard.ipc.clients import ClientAdd
from wallet_guard.ipc.health import Health
from wallet_guard.ipc.intents import Accept, Show
from wallet_guard.ipc.wishes import SetWeights

ROOT = Path(__file__).parents[2]
KEYFILES = ROOT / "tests/vectors/keyfiles/keyfiles.json"
READY_SECONDS = 15.0
"""On a loaded machine; by itself it takes a third of a second."""


class Signer:
    """A folder with a wallet and a configuration, and the process that is started on it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.key = folder / "wallets/validator/hotkeys/default"
        self.key.parent.mkdir(parents=True, mode=0o700)
        self.key.write_text(json.dumps(json.loads(KEYFILES.read_text())["alice_plain_keyfile"]))
        self.key.chmod(0o600)
        self.config = folder / "wallet-guard.toml"
        self.config.write_text(
            f"run = '{folder}'\n[signer]\nstate = '{folder}/state'\nwallets = '{folder}/wallets'\n"
            "hotkeys = ['validator/default']\n[chain]\nnetwork = 'local'\n"
        )
        self.started: list[subprocess.Popen[str]] = []

    def socket(self, name: str) -> str:
        return str(self.folder / f"signer-{name}.sock")

    def start(self, *options: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "wallet_guard.signer", "--config", str(self.config), *options]
        process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)
        self.started.append(process)
        return process

    def ready(self) -> subprocess.Popen[str]:
        process = self.start("--development")
        ends = time.monotonic() + READY_SECONDS
        while time.monotonic() < ends and process.poll() is None:
            try:
                ask(self.socket("admin"), Health(), seconds=1)
            except OSError:
                time.sleep(0.02)
            else:
                return process
        process.kill()
        raise AssertionError(f"not ready: {process.communicate()[1]}")

    def refused(self, *options: str) -> str:
        """What it says when it does not start; EX_CONFIG is its exit status."""
        process = self.start(*options)
        _, said = process.communicate(timeout=READY_SECONDS)
        assert process.returncode == 78, said
        assert "Traceback" not in said
        return said

    def add_client(self) -> str:
        wish = ClientAdd("node", "validator", "default", ("set_weights",), (2,), 100, None)
        return str(ask(self.socket("admin"), wish).token)

    def accept(self, token: str, key: str) -> Any:
        request = SetWeights("validator", "default", 2, 0, (1, 2), None, (1.0, 2.0), 0)
        return ask(self.socket("gateway"), Accept(token, key, False, request))


@pytest.fixture
def signer(tmp_path: Path) -> Iterator[Signer]:
    made = Signer(tmp_path)
    yield made
    for process in made.started:
        process.kill()
        process.wait()
        assert process.stderr is not None
        process.stderr.close()


def test_ready_and_gone_in_order(signer: Signer) -> None:
    started = time.monotonic()
    process = signer.ready()
    assert time.monotonic() - started < READY_SECONDS
    assert {path.name: path.stat().st_mode & 0o777 for path in signer.folder.glob("*.sock")} == {
        "signer-gateway.sock": 0o660,
        "signer-chain.sock": 0o660,
        "signer-admin.sock": 0o600,
    }
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=5)
    assert process.returncode == 0, said
    assert said.splitlines()[-1].endswith("stopped")
    assert "ready: 1 keys" in said


@pytest.mark.parametrize("mode", [0o640, 0o644, 0o666])
def test_a_key_that_others_could_read_is_no_start(signer: Signer, mode: int) -> None:
    signer.key.chmod(mode)
    said = signer.refused("--development")
    assert f"{signer.key}: expected mode 0600, found {mode:04o}; run: chmod 0600 {signer.key}" in said


def test_a_state_folder_that_others_could_enter_is_no_start(signer: Signer) -> None:
    (signer.folder / "state").mkdir()
    (signer.folder / "state").chmod(0o755)
    assert "expected mode 0700, found 0755; run: chmod 0700" in signer.refused("--development")


def test_no_key_is_no_start(signer: Signer) -> None:
    signer.config.write_text(signer.config.read_text().replace("['validator/default']", "[]"))
    assert "expected at least one 'wallet/hotkey', found none" in signer.refused("--development")


def test_an_unknown_key_in_the_file_is_no_start(signer: Signer) -> None:
    signer.config.write_text("speed = 9\n" + signer.config.read_text())
    assert f"{signer.config}: unknown key 'speed'" in signer.refused("--development")


def test_an_unknown_user_is_no_start(signer: Signer) -> None:
    signer.config.write_text(
        signer.config.read_text().replace("[chain]", "chain_user = 'nobody-of-that-name'\n[chain]")
    )
    assert "expected the name of a user, found 'nobody-of-that-name'" in signer.refused("--development")


def test_the_sdk_within_reach_is_no_start_unless_in_development(signer: Signer) -> None:
    assert "expected an environment without the bittensor SDK, found it in" in signer.refused()


def test_a_second_signer_is_refused_and_the_first_serves_on(signer: Signer) -> None:
    signer.ready()
    assert "expected no other signer on this journal, found one running" in signer.refused("--development")
    assert ask(signer.socket("admin"), Health()).keys == 1


def test_what_was_accepted_survives_a_kill(signer: Signer) -> None:
    process = signer.ready()
    token = signer.add_client()
    accepted = [signer.accept(token, f"k{at}") for at in range(3)]
    process.kill()
    process.communicate()
    signer.ready()
    for at, view in enumerate(accepted):
        assert ask(signer.socket("gateway"), Show(token, view.intent)).intent == view.intent
        assert signer.accept(token, f"k{at}").intent == view.intent
    assert [task.intent for task in ask(signer.socket("chain"), Pull()).tasks] == [view.intent for view in accepted]
    assert ask(signer.socket("admin"), StatusAsk()).health.open_intents == 3


def test_killed_while_accepting_nothing_acknowledged_is_lost(signer: Signer) -> None:
    """Kills in the midst of a stream of questions, several times over."""
    token, acknowledged = "", {}
    for round_ in range(3):
        process = signer.ready()
        token = token or signer.add_client()
        killer = subprocess.Popen(
            [sys.executable, "-c", f"import os,time; time.sleep(0.15); os.kill({process.pid}, 9)"]
        )
        at = 0
        try:
            while True:
                key = f"{round_}-{at}"
                acknowledged[key] = signer.accept(token, key).intent
                at += 1
        except (OSError, RefusedError):
            pass
        killer.wait(10)
        process.communicate()
    signer.ready()
    assert acknowledged
    for key, intent in acknowledged.items():
        assert ask(signer.socket("gateway"), Show(token, intent)).intent == intent, key


def test_others_cannot_look_inside(signer: Signer) -> None:
    process = signer.ready()
    proc = Path(f"/proc/{process.pid}")
    assert (proc / "mem").stat().st_uid == 0
    limits = (proc / "limits").read_text().splitlines()
    (core,) = [line.split() for line in limits if line.startswith("Max core file size")]
    assert core[4:6] == ["0", "0"]


def test_it_has_no_network_socket(signer: Signer) -> None:
    process = signer.ready()
    if os.getuid() != 0:
        pytest.skip("NOT CHECKED: only root can look at the descriptors of a process that is not dumpable")
    descriptors = []
    for path in Path(f"/proc/{process.pid}/fd").iterdir():
        # Closed since it was listed: a connection of the readiness check, say.
        with contextlib.suppress(FileNotFoundError):
            descriptors.append(os.readlink(path))
    inodes = {name[8:-1] for name in descriptors if name.startswith("socket:[")}
    unix = {line.split()[6] for line in Path("/proc/net/unix").read_text().splitlines()[1:]}
    assert len(inodes) >= 3
    assert inodes <= unix


def test_a_key_is_in_no_line_and_in_no_file_that_it_writes(signer: Signer) -> None:
    process = signer.ready()
    token = signer.add_client()
    signer.accept(token, "k")
    process.terminate()
    _, said = process.communicate(timeout=5)
    secret = json.loads(signer.key.read_text())["privateKey"].removeprefix("0x")
    written = b"".join(path.read_bytes() for path in (signer.folder / "state").iterdir())
    for text in (secret, token):
        assert text not in said
        assert text.encode() not in written
    assert bytes.fromhex(secret) not in written


def test_nonsense_on_the_socket_ends_that_connection_alone(signer: Signer) -> None:
    signer.ready()
    with socket.socket(socket.AF_UNIX) as stranger:
        stranger.settimeout(5)
        stranger.connect(signer.socket("gateway"))
        stranger.sendall(b"GET /wallet HTTP/1.1\r\n\r\n")
        assert stranger.recv(100) == b""
    assert ask(signer.socket("admin"), Health()).keys == 1
