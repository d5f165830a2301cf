import io
import json
import sys

from wallet_guard.cli import printing
from wallet_guard.cli.printing import print_json, progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_json_is_one_line_with_text_as_text(capsys):
    print_json({"a": "…", "b": [1]})
    said = capsys.readouterr().out
    assert said == '{"a": "…", "b": [1]}\n'
    assert json.loads(said)


def test_progress_says_nothing_without_a_terminal(capsys):
    with progress() as tell:
        tell("working")
    assert capsys.readouterr() == ("", "")


def test_what_is_done_at_once_is_not_told(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr(printing, "SHOW_AFTER_SECONDS", 600)
    with progress() as tell:
        tell("working")
    assert terminal.getvalue() == ""


def test_progress_is_told_on_a_terminal_and_cleared(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr(printing, "SHOW_AFTER_SECONDS", 0)
    monkeypatch.setattr(printing, "TICK_SECONDS", 0.001)
    with progress() as tell:
        tell("working" + "x" * 200)
        while "workingx" not in terminal.getvalue():
            pass
    said = terminal.getvalue()
    assert said.endswith("\r\x1b[K")
    assert max(len(line) for line in said.split("\r\x1b[K")) < 90
