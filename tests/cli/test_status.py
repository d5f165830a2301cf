from wallet_guard.cli import status
from wallet_guard.ipc.blocking import ask
from wallet_guard.ipc.chain import Pulse
from wallet_guard.ipc.clients import ClientAdd
from wallet_guard.ipc.intents import Accept
from wallet_guard.ipc.wishes import SetWeights


def run(config, parse):
    return status.status(parse(status, "status", "--config", config.path))


def test_says_what_stands_in_the_way_and_ends_with_1(config, signer, parse, capsys):
    assert run(config, parse) == 1
    said = capsys.readouterr().out
    assert "chain     the chain process has not spoken yet" in said
    assert "genesis   not known yet" in said
    assert "key       validator/default 5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY sr25519" in said


def test_all_well_ends_with_0(config, signer, parse, capsys):
    ask(config.socket("chain"), Pulse("ws://a", 7, 5, ""))
    assert run(config, parse) == 0
    assert "chain     ws://a at block 7, final 5" in capsys.readouterr().out


def test_shows_the_newest_intents(config, signer, parse, capsys):
    token = ask(config.socket("admin"), ClientAdd("n", "validator", "default", ("set_weights",), None, 9, None)).token
    wish = SetWeights("validator", "default", 2, 1, (1,), None, (1.0,), 0)
    intent = ask(config.socket("gateway"), Accept(token, None, False, wish)).intent
    run(config, parse)
    assert f"{intent[:8]} n subnet 2 mechanism 1 accepted" in capsys.readouterr().out
