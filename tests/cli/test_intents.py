import json

import pytest

from wallet_guard.cli import intents
from wallet_guard.cli.main import main
from wallet_guard.ipc.blocking import ask
from wallet_guard.ipc.clients import ClientAdd
from wallet_guard.ipc.intents import Accept, Show
from wallet_guard.ipc.wishes import SetWeights


@pytest.fixture
def token(config, signer):
    return ask(config.socket("admin"), ClientAdd("n", "validator", "default", ("set_weights",), None, 9, None)).token


@pytest.fixture
def intent(config, token):
    wish = SetWeights("validator", "default", 2, 1, (1,), None, (1.0,), 0)
    return ask(config.socket("gateway"), Accept(token, "mine", False, wish)).intent


def run(config, *words):
    return main(["intents", *words, "--config", config.path])


def test_lists(config, intent, capsys):
    assert run(config, "list") == 0
    assert f" {intent[:8]} n set_weights subnet 2 mechanism 1 accepted" in capsys.readouterr().out


def test_says_that_there_are_none(config, signer, capsys):
    assert run(config, "list", "--open") == 0
    assert capsys.readouterr().out == "no intents\n"


def test_says_how_to_see_older_ones(config, token, intent, capsys):
    wish = SetWeights("validator", "default", 3, 0, (1,), None, (1.0,), 0)
    ask(config.socket("gateway"), Accept(token, None, False, wish))
    run(config, "list", "-n", "1")
    said = capsys.readouterr().out.splitlines()
    assert said[1].startswith("there are older ones: --before ")
    assert run(config, "list", "--before", said[1].split()[-1]) == 0


def test_shows_one_with_its_story(config, intent, capsys):
    assert run(config, "show", intent[:8]) == 0
    said = capsys.readouterr().out
    assert f"intent       {intent}\n" in said
    assert "client       n, key mine\n" in said
    assert "state        accepted\n" in said
    assert "Z accepted " in said


def test_cancels_and_the_client_sees_it(config, token, intent, capsys):
    assert run(config, "cancel", intent[:8], "--why", "wrong weights") == 0
    assert "failed: cancelled by the operator (" in capsys.readouterr().out
    view = ask(config.socket("gateway"), Show(token, intent))
    assert view.failure.code == "cancelled"
    assert view.failure.message.endswith("): wrong weights")


def test_says_why_it_cannot_be_retried(config, intent, capsys):
    assert run(config, "retry", intent) == 1
    assert "nothing is signed yet" in capsys.readouterr().err


def test_an_unknown_one_ends_with_1(config, signer, capsys):
    assert run(config, "show", "ffffffff") == 1
    said = capsys.readouterr().err
    assert "found no intent whose id begins with 'ffffffff'" in said
    assert "hint: 'wallet-guard intents list'" in said


@pytest.mark.parametrize("words", [["list"], ["show", "ID"], ["cancel", "ID"]], ids=lambda words: words[0])
def test_says_it_in_json_too(config, intent, capsys, words):
    assert run(config, *[intent if word == "ID" else word for word in words], "--json") == 0
    said = json.loads(capsys.readouterr().out)
    view = {"list": lambda: said["intents"][0], "show": lambda: said["view"], "cancel": lambda: said}[words[0]]()
    assert view["intent"] == intent
    if words[0] == "show":
        assert [record["kind"] for record in said["story"]] == ["accepted"]
        assert json.loads(said["request"])["netuid"] == 2


def test_a_time_without_a_zone_is_utc():
    assert intents._time_ms("1970-01-01T00:00:01") == intents._time_ms("1970-01-01T01:00:01+01:00") == 1000
