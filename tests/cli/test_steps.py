import os
import stat

import pytest

from wallet_guard.cli.errors import CommandError
from wallet_guard.cli.steps import command, keep_file, link, remove, run, run_plan, write_file


def test_shows_and_changes_nothing_unless_told(tmp_path, capsys):
    step = write_file(tmp_path / "a" / "b", b"text")
    assert run_plan([step], apply=False) == 1
    assert not (tmp_path / "a").exists()
    assert capsys.readouterr().out == f"  to do    write {tmp_path}/a/b (mode 0644, 4 bytes)\n"


def test_what_is_done_is_left_alone(tmp_path, capsys):
    steps = [write_file(tmp_path / "f", b"text", 0o600), link(tmp_path / "l", "f")]
    assert run_plan(steps, apply=True) == 2
    assert run_plan(steps, apply=True) == 0
    assert capsys.readouterr().out.count("  is so    ") == 2
    assert (tmp_path / "l").read_bytes() == b"text"


def test_a_file_gets_its_mode_whatever_the_umask(tmp_path):
    before = os.umask(0o077)
    try:
        run_plan([write_file(tmp_path / "f", b"", 0o644)], apply=True)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "f").stat().st_mode) == 0o644


@pytest.mark.parametrize("change", [lambda path: path.write_bytes(b"other"), lambda path: path.chmod(0o666)])
def test_a_file_that_was_changed_is_written_again(tmp_path, change):
    step = write_file(tmp_path / "f", b"text")
    run_plan([step], apply=True)
    change(tmp_path / "f")
    assert run_plan([step], apply=True) == 1
    assert (tmp_path / "f").read_bytes() == b"text"


def test_what_the_operator_changed_is_kept_where_told_so(tmp_path):
    (tmp_path / "f").write_text("mine")
    assert run_plan([keep_file(tmp_path / "f", b"yours")], apply=True) == 0
    assert (tmp_path / "f").read_text() == "mine"


def test_a_link_is_switched(tmp_path):
    run_plan([link(tmp_path / "l", "one")], apply=True)
    assert run_plan([link(tmp_path / "l", "two")], apply=True) == 1
    assert os.readlink(tmp_path / "l") == "two"


def test_a_dangling_link_is_removed(tmp_path):
    (tmp_path / "l").symlink_to("nowhere")
    assert run_plan([remove(tmp_path / "l")], apply=True) == 1
    assert not (tmp_path / "l").is_symlink()


def test_a_program_that_fails_ends_the_plan(tmp_path):
    with pytest.raises(CommandError, match="'/bin/false' ended with status 1"):
        run_plan([command("/bin/false"), write_file(tmp_path / "f", b"")], apply=True)
    assert not (tmp_path / "f").exists()


def test_a_program_that_is_not_there_is_said():
    with pytest.raises(CommandError, match="/nowhere/program: "):
        run("/nowhere/program")
