"""``--json``: every word that prints has it, and says one JSON value on standard output, also when it did not work."""

import argparse
import json

import pytest

from wallet_guard.cli import main as cli
from wallet_guard.cli.main import main

WITHOUT = {
    "serve": "prints a log",
    "devnet": "the chain's own program; 'devnet ask' prints JSON",
    "top": "live; 'status --json' is the same once",
    "completion": "prints a script",
    "audit export": "prints lines of JSON",
}
"""Word → why it has no such option."""


def leaves(parser, path=()):
    inner = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    if not inner:
        yield " ".join(path), parser
    for action in inner:
        for name, each in action.choices.items():
            yield from leaves(each, (*path, name))


def words():
    parser = argparse.ArgumentParser()
    parsers = parser.add_subparsers()
    for word in cli.WORDS:
        word.add_words(parsers)
    return dict(leaves(parser))


def test_every_word_that_prints_has_it():
    has = {word for word, parser in words().items() if "--json" in parser.format_help()}
    assert set(words()) - has == set(WITHOUT)


def run(capsys, *line):
    status = main(list(line))
    return status, json.loads(capsys.readouterr().out)


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        (("client", "list"), []),
        (("client", "revoke", "nobody"), None),
        (("lock", "--reason", "test"), {"locked": True}),
        (("unlock",), {"unlocked": True}),
        (("allow-plain", "2"), None),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_the_operators_words(config, signer, capsys, line, wanted):
    status, said = run(capsys, *line, "--json", "--config", config.path)
    if wanted is None:
        assert status == 1
        assert said["error"]
        assert "hint" in said
    else:
        assert (status, said) == (0, wanted)


def test_a_new_client_and_its_token(config, signer, capsys):
    _, said = run(capsys, "client", "add", "n", "--netuid", "2", "--json", "--config", config.path)
    assert said["client"]["name"] == "n"
    assert said["token"].startswith("wg_")
    _, listed = run(capsys, "client", "list", "--json", "--config", config.path)
    assert [client["netuids"] for client in listed] == [[2]]


def test_audit(config, signer, capsys):
    main(["lock", "--config", config.path])
    capsys.readouterr()
    _, said = run(capsys, "audit", "verify", "--json", "--config", config.path)
    assert said["records"] >= 1
    assert len(said["head"]) == 64
    _, told = run(capsys, "audit", "checkpoint", "--json", "--config", config.path)
    assert set(told) == {"note", "key"}
    assert main(["audit", "tail", "-n", "1", "--json", "--config", config.path]) == 0
    assert json.loads(capsys.readouterr().out)["kind"] == "locked"


def test_backup(config, signer, tmp_path, capsys):
    _, said = run(capsys, "backup", str(tmp_path / "b.tar"), "--json", "--config", config.path)
    assert (said["wrote"], said["hotkeys"]) == (str(tmp_path / "b.tar"), 0)


def test_init_and_a_wrong_configuration(tmp_path, capsys):
    _, said = run(capsys, "init", str(tmp_path / "g"), "--network", "local", "--json")
    assert said == {"wrote": str(tmp_path / "g/wallet-guard.toml")}
    (tmp_path / "c.toml").write_text("nonsense = 1\n")
    status, said = run(capsys, "status", "--json", "--config", str(tmp_path / "c.toml"))
    assert status == 78
    assert "nonsense" in said["error"]


def test_a_plan_is_told_on_standard_error(capsys):
    status = main(["uninstall", "--json"])
    told = capsys.readouterr()
    assert status == 0
    assert json.loads(told.out)["applied"] is False
    assert "remove" in told.err
