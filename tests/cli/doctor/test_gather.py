import os
from pathlib import Path

from wallet_guard.cli.doctor.gather import gather, read_journal, say
from wallet_guard.ipc.blocking import ask
from wallet_guard.ipc.clients import ClientAdd
from wallet_guard.ipc.intents import Accept
from wallet_guard.ipc.wishes import SetWeights


def look(config, **options):
    told = []
    scene = gather(config.path, {}, ask_chain=options.get("ask_chain", False), tell=told.append)
    return scene, told


def test_sees_a_running_guard(config, signer):
    scene, told = look(config)
    assert scene.status is not None
    assert (scene.status_error, scene.config_error, scene.config_path) == ("", "", config.path)
    assert scene.owner == os.getuid()
    assert told == ["asking the signer", "reading the journal"]
    assert (scene.package / "systemd").is_dir()


def test_says_why_the_signer_does_not_answer(config):
    scene, _ = look(config)
    assert scene.status is None
    assert "no signer listens there" in scene.status_error
    assert scene.journal is None


def test_says_why_the_chain_does_not_answer(tmp_path, config):
    path = Path(config.path)
    path.write_text(
        path.read_text().replace('#endpoints = ["ws://127.0.0.1:9944"]', 'endpoints = ["ws://127.0.0.1:1"]')
    )
    scene, told = look(config, ask_chain=True)
    assert scene.chain is None
    assert scene.chain_error.startswith("ws://127.0.0.1:1: ")
    assert told[-1] == "asking ws://127.0.0.1:1"


def test_a_configuration_that_is_not_there_is_said_with_its_place(tmp_path):
    scene = gather(str(tmp_path / "none.toml"), {}, ask_chain=True, tell=lambda _what: None)
    assert scene.config is None
    assert "cannot be read" in scene.config_error


def test_reads_who_ever_asked(config, signer):
    admin, gateway = config.socket("admin"), config.socket("gateway")
    tokens = {}
    for name in ("busy", "idle"):
        added = ask(admin, ClientAdd(name, "validator", "default", ("set_weights",), None, 9, None))
        tokens[name] = added.token
    wish = SetWeights("validator", "default", 2, 0, (1,), None, (1.0,), 0)
    ask(gateway, Accept(tokens["busy"], None, False, wish))
    found = read_journal(Path(config.signer.state) / "journal.sqlite3")
    assert (found.records > 0, found.broken, found.active_clients) == (True, "", frozenset({"busy"}))


def test_a_journal_that_is_none_is_not_seen(tmp_path):
    (tmp_path / "j").write_text("hello")
    assert read_journal(tmp_path / "j") is None
    assert read_journal(tmp_path / "none") is None


def test_what_programs_say():
    assert say("echo", "hello") == "hello\n"
    assert say("false") is None
    assert say("no-such-program-here") is None
