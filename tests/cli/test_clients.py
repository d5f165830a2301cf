import io

import pytest

from wallet_guard.cli import clients
from wallet_guard.cli.errors import CommandError
from wallet_guard.client.identity import Identity
from wallet_guard.ipc.blocking import RefusedError, ask
from wallet_guard.ipc.clients import Info

ADDRESS = "5FHneW46xGXgs5mUiveU4sbTyGBzmstUspZC92UhjJM694ty"


@pytest.fixture
def run(config, signer, parse):
    def answer(*words):
        arguments = parse(clients, *words, "--config", config.path)
        return arguments.answer(arguments)

    return answer


def test_prints_the_token_alone_once_and_it_is_good(run, config, capsys):
    assert run("client", "add", "node", "--netuid", "2", "--per-hour", "7") == 0
    said = capsys.readouterr()
    token = said.out.strip()
    assert token.startswith("wg_")
    assert len(token) == 46
    assert token not in said.err
    client = ask(config.socket("gateway"), Info(token)).client
    assert (client.name, client.netuids, client.per_hour, client.calls) == ("node", (2,), 7, ("set_weights",))
    run("client", "list")
    assert token not in capsys.readouterr().out


def test_two_clients_have_two_tokens(run, capsys):
    run("client", "add", "a")
    run("client", "add", "b")
    assert len(set(capsys.readouterr().out.split())) == 2


def test_a_revoked_token_is_nothing(run, config, capsys):
    run("client", "add", "node")
    token = capsys.readouterr().out.strip()
    assert run("client", "revoke", "node") == 0
    with pytest.raises(RefusedError, match="expected a valid token"):
        ask(config.socket("gateway"), Info(token))
    capsys.readouterr()
    run("client", "list")
    assert ", revoked 20" in capsys.readouterr().out


def test_lists_what_each_may_do(run, capsys):
    run("client", "list")
    assert "no clients" in capsys.readouterr().out
    run("client", "add", "node", "--netuid", "2", "--netuid", "5")
    capsys.readouterr()
    run("client", "list")
    assert capsys.readouterr().out == "node: validator/default, set_weights, subnet 2, 5, 60 an hour\n"


def test_grants_the_calls_that_are_named_and_no_others(run, config, capsys):
    run("client", "add", "node", "--call", "session", "--call", "request", "--call", "session")
    client = ask(config.socket("gateway"), Info(capsys.readouterr().out.strip())).client
    assert client.calls == ("session", "request")


def test_grants_no_call_that_is_unknown(run, capsys):
    with pytest.raises(SystemExit):
        run("client", "add", "node", "--call", "extrinsic:Balances.transfer_all")
    assert "invalid choice" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("a/b",), "expected a plain file name"),
        (("x" * 65,), "at most 64"),
        (("n", "--key", "other/key"), "expected a loaded hotkey"),
        (("n", "--netuid", "-1"), "netuids: expected 0 to 4095"),
        (("n", "--per-hour", "0"), "per_hour: expected 1 to 100000"),
    ],
)
def test_refuses_a_client_that_cannot_be(run, words, why):
    with pytest.raises(CommandError, match=why):
        run("client", "add", *words)


def test_a_name_is_taken_for_good(run, capsys):
    run("client", "add", "node")
    run("client", "revoke", "node")
    with pytest.raises(CommandError, match="'node' is taken"):
        run("client", "add", "node")


@pytest.mark.parametrize("token", ["", "default-token", "your-token", "short", "a" * 40])
def test_refuses_a_token_that_is_no_secret(run, token, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO(token + "\n"))
    with pytest.raises(CommandError, match="token: expected"):
        run("client", "add", "node", "--token-stdin")


def test_takes_a_random_token_from_standard_input(run, config, monkeypatch, capsys):
    token = "q8Zk3vT1nB6xW0sJ5rY9dF2hL7mC4pGa"
    monkeypatch.setattr("sys.stdin", io.StringIO(token + "\n"))
    run("client", "add", "node", "--token-stdin")
    assert capsys.readouterr().out == ""
    assert ask(config.socket("gateway"), Info(token)).client.name == "node"


def test_revoking_nobody_is_an_error(run):
    with pytest.raises(CommandError, match="expected an active client, found none named 'nobody'"):
        run("client", "revoke", "nobody")


def test_a_key_made_on_the_node_makes_a_client_without_a_token(run, parse, tmp_path, capsys):
    file = tmp_path / "node.key"
    arguments = parse(clients, "client", "keygen", str(file), "--hotkey", ADDRESS)
    assert arguments.answer(arguments) == 0
    address = capsys.readouterr().out.strip()
    assert address == Identity.load(file).address
    assert run("client", "add", "signs", "--public-key", address) == 0
    said = capsys.readouterr()
    assert said.out == ""
    assert f"signs with {address}" in said.err
    with pytest.raises(CommandError, match="another client's"):
        run("client", "add", "twin", "--public-key", address)


@pytest.mark.parametrize("hotkey", ["", "5abc"])
def test_a_key_needs_to_know_its_guards_hotkey(parse, tmp_path, hotkey):
    arguments = parse(clients, "client", "keygen", str(tmp_path / "node.key"), "--hotkey", hotkey)
    with pytest.raises(CommandError, match="SS58"):
        arguments.answer(arguments)
