"""The demo comes out as said, and says so when it does not."""

import asyncio
import subprocess
import sys
import time

import pytest

from wallet_guard.neurons import demo
from wallet_guard.realtime import ValidatorWebSocketManager

PROGRAM = (sys.executable, "-W", "error", "-m", "wallet_guard.neurons.demo")


def test_act_comes_out_as_said_in_time():
    began = time.monotonic()
    done = subprocess.run((*PROGRAM, "--mode", "act"), capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert time.monotonic() - began < 10
    assert "refused: a wrong signature" in done.stdout


def test_act_fails_if_the_forgery_is_taken(monkeypatch, capsys):
    from wallet_guard.realtime import link, posting

    for module in (link, posting):
        monkeypatch.setattr(module, "is_signed", lambda frame, voice: True, raising=False)
    assert demo.main(["--mode", "act"]) == 1
    assert "NOT AS SAID" in capsys.readouterr().out


def test_act_fails_if_nothing_is_confirmed(monkeypatch, capsys):
    async def silent(self, miner_hotkey, data):
        return True

    monkeypatch.setattr(ValidatorWebSocketManager, "send_confirmation", silent)
    assert demo.main(["--mode", "act"]) == 1


def test_two_terminals_show_everything():
    validator = subprocess.Popen(
        (*PROGRAM, "--mode", "validator", "--port", "0", "--once"), stdout=subprocess.PIPE, text=True
    )
    try:
        assert validator.stdout is not None
        port = validator.stdout.readline().split("127.0.0.1:")[1].split(";")[0]
        endpoint = ("--mode", "miner", "--endpoint", f"127.0.0.1:{port}", "--once")
        miner = subprocess.run((*PROGRAM, *endpoint), capture_output=True, text=True, timeout=40, check=False)
        seen, _ = validator.communicate(timeout=20)
    finally:
        validator.kill()
        validator.wait()
    assert (miner.returncode, validator.returncode) == (0, 0), miner.stdout + seen
    said = ("connected to", "prediction by websocket: delivered", "confirmation: success", "game update",
            "heartbeat answered", "cutting", "connected again")  # fmt: skip
    assert all(text in miner.stdout for text in said)
    assert seen.count("connected") == 2
    assert "gone" in seen


def test_a_miner_without_validator_says_so(monkeypatch, capsys):
    monkeypatch.setattr(demo, "MAX_WAIT_SECONDS", 0.2)
    assert demo.main(["--mode", "miner", "--endpoint", "127.0.0.1:1", "--once"]) == 1
    assert "expected a validator" in capsys.readouterr().out


def test_the_wait_has_an_end():
    with pytest.raises(demo.UnexpectedError, match="expected nothing"):
        asyncio.run(demo.until(lambda: False, "nothing", 0.05))
