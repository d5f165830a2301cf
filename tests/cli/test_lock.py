import pytest

from wallet_guard.cli import audit, lock, status
from wallet_guard.cli.errors import CommandError
from wallet_guard.ipc.blocking import RefusedError, ask
from wallet_guard.ipc.clients import ClientAdd
from wallet_guard.ipc.health import Health
from wallet_guard.ipc.intents import Accept
from wallet_guard.ipc.wishes import SetWeights


def test_locks_and_unlocks(config, signer, parse, capsys):
    token = ask(config.socket("admin"), ClientAdd("n", "validator", "default", ("set_weights",), None, 9, None)).token
    question = Accept(token, None, False, SetWeights("validator", "default", 2, 1, (1,), None, (1.0,), 0))
    assert lock.lock(parse(lock, "lock", "--config", config.path, "--reason", "a rumour")) == 0
    assert ask(config.socket("gateway"), Health()).locked == "a rumour"
    with pytest.raises(RefusedError, match="the signer is locked: a rumour"):
        ask(config.socket("gateway"), question)
    status.status(parse(status, "status", "--config", config.path))
    assert "LOCKED    nothing is signed: a rumour" in capsys.readouterr().out
    assert lock.unlock(parse(lock, "unlock", "--config", config.path)) == 0
    assert ask(config.socket("gateway"), question).state == "accepted"
    audit.tail(parse(audit, "audit", "tail", "--config", config.path))
    kinds = [line.split(" ")[2] for line in capsys.readouterr().out.splitlines()[1:]]
    assert kinds == ["client_added", "locked", "denied", "unlocked", "accepted"]


def test_needs_a_signer_that_runs(config, parse):
    with pytest.raises(CommandError, match="no signer listens there"):
        lock.lock(parse(lock, "lock", "--config", config.path))
