"""The policy at the command line: checked, reloaded; and a client's weights explained."""

import json
import threading
import time
from pathlib import Path

import pytest

from wallet_guard.cli import policy
from wallet_guard.cli.errors import CommandError
from wallet_guard.host.config import ConfigurationError
from wallet_guard.host.policy import GRANTS_ALONE, parse_policy
from wallet_guard.ipc.blocking import ask
from wallet_guard.ipc.clients import CALLS, ClientAdd
from wallet_guard.signer import explain

ADD = ClientAdd("node", "validator", "default", ("set_weights",), (2,), 60, None)


@pytest.fixture
def run(config, signer, parse):
    def answer(*words):
        arguments = parse(policy, *words, "--config", config.path)
        return arguments.answer(arguments)

    return answer


@pytest.fixture
def no_chain(monkeypatch):
    """No chain process answers here: the signer is not waited for."""
    monkeypatch.setattr(explain, "SECONDS", 0.0)


def test_the_file_of_a_new_guard_leaves_it_to_the_grants():
    found = parse_policy(policy.TEMPLATE.encode(), "policy.toml", CALLS)
    assert (found.clients, found.default) == ((), GRANTS_ALONE.default)


def test_every_line_that_the_template_comments_out_is_a_policy():
    text = policy.TEMPLATE
    table = text.index("#[client")
    # What begins with "#" and no blank after it is an example, not a sentence.
    lines = [line[1:] if line[:1] == "#" and line[1:2] not in ("", " ") else line for line in text[table:].split("\n")]
    found = parse_policy("\n".join(lines).encode(), "policy.toml", CALLS)
    ((name, client),) = found.clients
    assert (name, client.netuids, client.limits_on(5).max_share) == ("my-validator", (2, 5), 0.2)


def test_check_says_what_is_listed(run, config, capsys):
    assert run("policy", "check") == 0
    assert "(any other client): keys any; calls any; netuids any; mechanisms any" in capsys.readouterr().out
    path = Path(config.policy_path)
    path.write_text('[client.a]\ncalls = ["set_weights"]\nnetuids = [2]\ndry_run_only = true\n# end\n')
    assert run("policy", "check", str(path)) == 0
    said = capsys.readouterr().out
    assert "a: keys none; calls set_weights; netuids 2; mechanisms none; dry runs only" in said
    assert "(any other client): nothing" in said


def test_check_refuses_what_is_no_policy(run, config):
    Path(config.policy_path).write_text("[client.a]\ncals = []\n# end\n")
    with pytest.raises(ConfigurationError, match=r"\[client\.a\]: unknown key 'cals'"):
        run("policy", "check")


def test_reload_says_what_is_in_force(run, config, signer, capsys):
    Path(config.policy_path).write_text("# end\n")
    assert run("policy", "reload") == 0
    assert signer.policies.current.sha256 in capsys.readouterr().out
    assert signer.policies.current.default is None
    Path(config.policy_path).write_text("half")
    with pytest.raises(CommandError, match=r"the policy stays as it was: .*expected '# end' as the last line"):
        run("policy", "reload")
    assert signer.policies.current.default is None


def test_explains_and_says_by_its_status_whether_it_would_be_signed(run, config, signer, capsys, no_chain):
    ask(config.socket("admin"), ADD)
    assert run("explain", "node", "--netuid", "2", "--weights", '{"1": 1, "2": 3}') == 1
    said = capsys.readouterr().out
    assert "pass   granted_netuid: 2, found 2" in said
    assert "it would not be signed: chain_unavailable" in said
    assert run("explain", "node", "--netuid", "3", "--weights", '{"1": 1}', "--json") == 1
    told = json.loads(capsys.readouterr().out)
    assert (told["approved"], told["code"]) == (False, "netuid_not_allowed")


@pytest.mark.parametrize("weights", ["", "[]", "5", "{", '{"1": "x"}', "null"])
def test_weights_that_are_none_are_refused(run, weights):
    with pytest.raises(CommandError, match="weights: expected a JSON object"):
        run("explain", "node", "--netuid", "2", "--weights", weights)


def test_the_operator_waits_for_the_chains_word(run, config, signer, capsys, monkeypatch):
    ask(config.socket("admin"), ADD)
    done = []

    def wait():
        done.append(run("explain", "node", "--netuid", "2", "--weights", '{"1": 1}'))

    waiting = threading.Thread(target=wait)
    waiting.start()
    ends = time.monotonic() + 60
    while not signer.waitingroom.open and time.monotonic() < ends:
        time.sleep(0.01)
    (pending,) = signer.waitingroom.open.values()
    # As if its time were over: nobody answers for the chain here.
    pending.since_ms = 0
    waiting.join(60)
    assert done == [1]
    assert "chain_unavailable" in capsys.readouterr().out
