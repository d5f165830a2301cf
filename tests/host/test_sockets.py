"""Listening sockets: exactly their mode, never over a living one, inherited by name."""

import os
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from wallet_guard.host.config import ConfigurationError
from wallet_guard.host.sockets import inherited_sockets, listen_unix


@pytest.mark.parametrize("mode", [0o600, 0o660])
@pytest.mark.parametrize("umask", [0, 0o022, 0o077, 0o777])
def test_a_socket_has_exactly_its_mode_whatever_the_umask(tmp_path: Path, mode: int, umask: int) -> None:
    before = os.umask(umask)
    try:
        with listen_unix(tmp_path / "s", mode):
            assert stat.S_IMODE((tmp_path / "s").stat().st_mode) == mode
            assert os.umask(umask) == umask
    finally:
        os.umask(before)


def test_it_listens(tmp_path: Path) -> None:
    with listen_unix(tmp_path / "s", 0o600) as listener, socket.socket(socket.AF_UNIX) as caller:
        caller.connect(str(tmp_path / "s"))
        listener.accept()[0].close()


def test_a_living_socket_is_refused_and_lives_on(tmp_path: Path) -> None:
    with listen_unix(tmp_path / "s", 0o600) as first:
        with pytest.raises(ConfigurationError, match="another process already listens there"):
            listen_unix(tmp_path / "s", 0o600)
        with socket.socket(socket.AF_UNIX) as caller:
            caller.connect(str(tmp_path / "s"))
        first.accept()[0].close()


def test_a_dead_socket_is_replaced(tmp_path: Path) -> None:
    listen_unix(tmp_path / "s", 0o600).close()
    assert (tmp_path / "s").exists()
    listen_unix(tmp_path / "s", 0o660).close()
    assert stat.S_IMODE((tmp_path / "s").stat().st_mode) == 0o660


@pytest.mark.parametrize("kind", ["file", "folder", "symlink"])
def test_something_else_in_its_place_is_left_alone(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "s"
    if kind == "file":
        path.write_text("precious")
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ConfigurationError, match="found something else there"):
        listen_unix(path, 0o600)
    assert path.is_symlink() or path.exists()


@pytest.mark.parametrize("path", ["none/s", "x" * 200])
def test_a_place_where_none_can_be_is_named(tmp_path: Path, path: str) -> None:
    with pytest.raises(ConfigurationError, match="cannot listen"):
        listen_unix(tmp_path / path, 0o600)


INHERIT = """
import os, sys
from wallet_guard.host.sockets import inherited_sockets
found = inherited_sockets({**os.environ, "LISTEN_PID": str(os.getpid())}, os.getpid())
print(sorted((name, s.getsockname().rpartition("/")[2], s.get_inheritable()) for name, s in found.items()))
"""


def test_inherits_sockets_by_name_in_a_real_process(tmp_path: Path) -> None:
    listeners = [listen_unix(tmp_path / name, 0o600) for name in ("a", "b")]
    # dup2 to 3 and 4 in the child, as a service manager does.
    code = (
        f"import os; os.dup2({listeners[0].fileno()}, 113); os.dup2({listeners[1].fileno()}, 114); os.dup2(113, 3); "
        "os.dup2(114, 4)\n" + INHERIT
    )
    shown = subprocess.run(
        [sys.executable, "-c", code],
        env={"LISTEN_FDS": "2", "LISTEN_FDNAMES": "gateway.socket:chain", "PATH": ""},
        pass_fds=[listener.fileno() for listener in listeners],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    for listener in listeners:
        listener.close()
    assert shown.stdout.strip() == "[('chain', 'b', False), ('gateway', 'a', False)]", shown.stderr


@pytest.mark.parametrize(
    "environment", [{}, {"LISTEN_PID": "7"}, {"LISTEN_FDS": "1", "LISTEN_PID": "8"}, {"LISTEN_PID": ""}]
)
def test_what_is_not_for_this_process_is_left_alone(environment: dict[str, str]) -> None:
    assert inherited_sockets(environment, 7) == {}


@pytest.mark.parametrize(
    ("environment", "says"),
    [
        ({"LISTEN_FDS": "x"}, "LISTEN_FDS: expected a number, found 'x'"),
        ({"LISTEN_FDS": "2", "LISTEN_FDNAMES": "a"}, "expected 2 names, found 1"),
        ({"LISTEN_FDS": "1", "LISTEN_FDNAMES": "a:b"}, "expected 1 names, found 2"),
    ],
)
def test_variables_that_contradict_each_other_are_refused(environment: dict[str, str], says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        inherited_sockets({**environment, "LISTEN_PID": "7"}, 7)


def test_a_descriptor_that_is_no_socket_is_refused() -> None:
    code = """
import os
from wallet_guard.host.config import ConfigurationError
from wallet_guard.host.sockets import inherited_sockets
os.dup2(os.open("/dev/null", os.O_RDONLY), 3)
try:
    inherited_sockets({"LISTEN_FDS": "1", "LISTEN_FDNAMES": "a"}, 1)
except ConfigurationError as error:
    print(error)
"""
    shown = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert shown.stdout.startswith("LISTEN_FDS: expected a socket as descriptor 3"), shown.stderr
