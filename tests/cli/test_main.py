import subprocess
import sys

import pytest

from wallet_guard import __version__
from wallet_guard.cli.main import main


def test_says_its_version(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"wallet-guard {__version__}\n"


def test_help_names_every_word(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    said = capsys.readouterr().out
    for word in ("demo", "init", "serve", "client", "status", "audit", "devnet", "allow-plain", "allow-runtime"):
        assert word in said


@pytest.mark.parametrize("words", [[], ["nonsense"], ["client"], ["audit"], ["client", "add"], ["serve", "--nonsense"]])
def test_a_wrong_command_line_ends_with_2(words, capsys):
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
    assert "usage: wallet-guard" in capsys.readouterr().err


def test_a_configuration_to_mend_ends_with_78(tmp_path, capsys):
    (tmp_path / "c.toml").write_text('run = "/x"\nnonsense = 1\n[signer]\nstate = "s"\n')
    assert main(["status", "--config", str(tmp_path / "c.toml")]) == 78
    assert f"{tmp_path}/c.toml: unknown key 'nonsense'" in capsys.readouterr().err


def test_what_does_not_work_ends_with_1_and_a_hint(config, capsys):
    assert main(["status", "--config", config.path]) == 1
    said = capsys.readouterr().err
    assert "no signer listens there" in said
    assert "hint: start it with 'wallet-guard serve'" in said


def test_help_tells_every_exit_status(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    said = capsys.readouterr().out
    for status in ("0 ", "1 ", "2 ", "78 ", "130 ", "141 "):
        assert f"\n  {status}" in said


def test_a_reader_that_goes_away_is_no_crash(config):
    command = f"{sys.executable} -P -m wallet_guard.cli.main doctor --no-chain --all --config {config.path}"
    done = subprocess.run(
        ["/bin/bash", "-c", f"{command} | true; echo ${{PIPESTATUS[0]}}"], capture_output=True, text=True, timeout=60
    )
    assert done.stderr == ""
    # 1 where everything fitted into the pipe before the reader went away.
    assert done.stdout.strip() in ("1", "141")
