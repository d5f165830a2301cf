"""The demo as a whole is tested in tests/system/test_demo.py; here, that it cannot lie about its acts."""

import pytest

from wallet_guard.cli import demo
from wallet_guard.cli.errors import CommandError


def run(parse):
    return demo.demo(parse(demo, "demo"))


def test_an_act_that_fails_fails_the_demo_and_leaves_nothing_behind(parse, monkeypatch, capsys):
    folders = []

    def act(stage):
        folders.append(stage.folder)
        (stage.folder / "file").touch()
        demo._expect(False, "the sky to be green", stage)

    monkeypatch.setattr(demo, "ACTS", (("1. An act", act),))
    with pytest.raises(CommandError, match="expected the sky to be green"):
        run(parse)
    assert not folders[0].exists()
    assert "all came out as said" not in capsys.readouterr().out


def test_a_process_of_an_act_ends_with_the_demo(parse, monkeypatch):
    started = []

    def act(stage):
        started.append(stage.start("sleeper", ["/bin/sleep", "60"]))

    monkeypatch.setattr(demo, "ACTS", (("1. An act", act),))
    assert run(parse) == 0
    assert started[0].poll() is not None


def test_a_process_that_ends_early_is_noticed(parse, monkeypatch):
    def act(stage):
        stage.start("short", ["/bin/false"])
        demo._wait_for(lambda: False, "something", stage)

    monkeypatch.setattr(demo, "ACTS", (("1. An act", act),))
    with pytest.raises(CommandError, match="but a process ended"):
        run(parse)
