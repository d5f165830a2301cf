"""The scripts are tried in real shells: what is typed before a tab becomes what was meant."""

import argparse
import contextlib
import os
import pty
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from wallet_guard.cli import completion
from wallet_guard.cli.main import main

SECONDS = 60


@pytest.fixture(scope="module")
def scripts(tmp_path_factory):
    """A file for each shell."""
    folder = tmp_path_factory.mktemp("completion")
    for shell in completion.SHELLS:
        command = [sys.executable, "-P", "-m", "wallet_guard.cli.main", "completion", shell]
        said = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=True).stdout
        (folder / shell).write_text(said)
    return folder


def ask_bash(scripts, *words):
    """What bash would offer after these words, the last of which is being typed."""
    code = (
        'source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); '
        'compopt() { :; }; _wallet_guard; printf "%s\\n" "${COMPREPLY[@]}"'
    )
    command = ["bash", "--norc", "-c", code, "bash", str(scripts / "bash"), "wallet-guard", *words]
    said = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=True)
    assert said.stderr == ""
    return said.stdout.split()


def _complete(shown, mark):
    """With the rest of its line, where the mark is the beginning of one."""
    return mark in shown and (not mark.endswith(": ") or "\n" in shown.partition(mark)[2])


def type_in(command, lines):
    """Types into a shell on a terminal, each line once what goes before it showed its mark; all that it showed."""
    pid, terminal = pty.fork()
    if pid == 0:
        with contextlib.suppress(OSError):
            os.execvpe(command[0], command, {"PATH": os.environ["PATH"], "TERM": "dumb", "HOME": "/nonexistent"})
        os._exit(127)
    shown, ends = "", time.monotonic() + SECONDS
    try:
        for line, mark in lines:
            os.write(terminal, line.encode())
            before = len(shown)
            while not _complete(shown[before:], mark) and time.monotonic() < ends:
                if select.select([terminal], [], [], 1)[0]:
                    # A bell comes with each completion that is not the only one.
                    shown += os.read(terminal, 65536).decode(errors="replace").replace("\x07", "")
        return shown
    finally:
        os.kill(pid, 9)
        os.waitpid(pid, 0)
        os.close(terminal)


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (("doc",), ["doctor"]),
        (("int",), ["intents"]),
        (("client", ""), ["add", "list", "revoke", "keygen", "-h", "--help"]),
        (("intents", "c"), ["cancel"]),
        (("intents", "list", "--o"), ["--open"]),
        (("init", "--network", ""), ["finney", "local", "test"]),
        (("completion", "b"), ["bash"]),
        (("client", "add", "--call", "serve_p"), ["serve_prometheus"]),
        (("client", "add", "name", "--net"), ["--netuid"]),
        (("client", "add", "--per-hour", ""), []),
        (("nonsense", "doc"), ["doctor"]),
        (("--ver",), ["--version"]),
    ],
    ids=" ".join,
)
def test_bash_offers(scripts, words, offered):
    assert sorted(ask_bash(scripts, *words)) == sorted(offered)


def test_bash_offers_files_where_one_is_wanted(scripts, tmp_path, monkeypatch):
    (tmp_path / "some-config.toml").touch()
    monkeypatch.chdir(tmp_path)
    assert ask_bash(scripts, "doctor", "--config", "some") == ["some-config.toml"]


# Ends with what was really run. A mark must not stand in the line that is typed: the terminal shows that as well.
TELL = 'wallet-guard() { echo "r""an: $*"; }; echo rea\'\'dy\n'
TYPED = [("wallet-guard intents can\t", "cancel"), ("--wh\t", "--why"), ("wrong\n", "ran: ")]


def ran(said):
    return said.partition("ran: ")[2].partition("\r")[0]


def test_bash_really_completes(scripts):
    lines = [(f"source {scripts / 'bash'}; {TELL}", "ready"), *TYPED]
    assert ran(type_in(["bash", "--norc", "--noprofile", "-i"], lines)) == "intents cancel --why wrong"


@pytest.mark.skipif(shutil.which("zsh") is None, reason="ZSH COMPLETION NOT TRIED: no zsh here")
def test_zsh_really_completes(scripts, tmp_path):
    setup = f"autoload -Uz compinit; compinit -u -d {tmp_path}/dump; source {scripts / 'zsh'}; {TELL}"
    assert ran(type_in(["zsh", "-f", "-i"], [(setup, "ready"), *TYPED])) == "intents cancel --why wrong"


@pytest.mark.skipif(shutil.which("fish") is None, reason="FISH COMPLETION NOT TRIED: no fish here")
def test_fish_offers(scripts, tmp_path):
    for typed, wanted in [("wallet-guard intents can", "cancel"), ("wallet-guard init --network fi", "finney")]:
        code = f"source {scripts / 'fish'}; complete -C '{typed}'"
        environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
        command = ["fish", "--no-config", "-c", code]
        said = subprocess.run(
            command, capture_output=True, text=True, timeout=SECONDS, check=True, env=environment
        ).stdout
        assert [line.split("\t")[0] for line in said.splitlines()] == [wanted]


def test_every_word_of_the_command_has_its_place(scripts, capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    said = capsys.readouterr().out
    listed = [line.split()[0] for line in said.splitlines() if line.startswith("    ") and line[4].isalpha()]
    assert listed
    assert set(listed) <= set(ask_bash(scripts, ""))


def test_help_texts_cannot_break_a_script():
    parser = argparse.ArgumentParser()
    parsers = parser.add_subparsers()
    inner = parsers.add_parser("it's", help="a 'quoted' $(word) `x` \\ of 100%% \"all\"")
    inner.add_argument("--why's", help="it's", metavar="FILE")
    places = list(completion.read_places(parsers, ""))
    for shell, command in [("bash", ["bash", "-n"]), ("zsh", ["zsh", "-n"]), ("fish", ["fish", "--no-execute"])]:
        if shutil.which(shell):
            text = completion.SHELLS[shell](places)
            said = subprocess.run(command, input=text, text=True, capture_output=True, timeout=SECONDS, check=False)
            assert (said.returncode, said.stderr) == (0, "")


def test_is_made_of_the_parser_alone():
    assert Path(completion.__file__).read_text().count("doctor") == 0
