"""Files that nobody else may touch: every mode, owner, kind and way in."""

import os
import socket
import stat
from pathlib import Path

import pytest

from wallet_guard.host.config import ConfigurationError
from wallet_guard.host.private import MAX_PRIVATE_BYTES, check_name, ensure_private_folder, read_private

NOBODY = 65534


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """wallets/validator/hotkeys/default, as the SDK makes it."""
    folder = tmp_path / "wallets" / "validator" / "hotkeys"
    folder.mkdir(parents=True, mode=0o700)
    for each in (folder, folder.parent, folder.parent.parent):
        each.chmod(0o700)
    (folder / "default").write_bytes(b"secret")
    (folder / "default").chmod(0o600)
    return tmp_path / "wallets"


def read(base: Path) -> bytes:
    return read_private(base, "validator", "hotkeys", "default")


def refused(base: Path) -> str:
    with pytest.raises(ConfigurationError) as caught:
        read(base)
    assert "secret" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("mode", [0o600, 0o400])
def test_reads_what_only_its_owner_can(base: Path, mode: int) -> None:
    (base / "validator/hotkeys/default").chmod(mode)
    assert read(base) == b"secret"


@pytest.mark.parametrize(
    "mode", [0o640, 0o620, 0o610, 0o604, 0o602, 0o601, 0o644, 0o660, 0o666, 0o777, 0o700, 0o500, 0o440, 0o444]
)
def test_names_file_mode_and_command_where_others_could(base: Path, mode: int) -> None:
    path = base / "validator/hotkeys/default"
    path.chmod(mode)
    assert refused(base) == f"{path}: expected mode 0600, found {mode:04o}; run: chmod 0600 {path}"


@pytest.mark.parametrize("folder", ["", "validator", "validator/hotkeys"])
@pytest.mark.parametrize("mode", [0o720, 0o702, 0o770, 0o777, 0o1777])
def test_refuses_a_folder_that_others_can_write(base: Path, folder: str, mode: int) -> None:
    if mode & 0o1000 and os.getuid() == 0:
        mode = 0o777
    path = base / folder
    path.chmod(mode)
    said = refused(base)
    assert f"expected a folder that only its owner can write, found mode {mode:04o}" in said
    assert f"chmod go-w {path}" in said
    path.chmod(0o700)


@pytest.mark.parametrize("mode", [0o755, 0o750, 0o711, 0o700])
def test_takes_a_folder_that_others_can_only_read(base: Path, mode: int) -> None:
    for path in (base, base / "validator", base / "validator/hotkeys"):
        path.chmod(mode)
    assert read(base) == b"secret"


def test_a_folder_above_the_base_is_looked_at_too(base: Path) -> None:
    base.parent.chmod(0o777)
    assert f"{base.parent}: expected a folder" in refused(base)
    base.parent.chmod(0o700)


def test_a_sticky_folder_of_roots_above_passes(base: Path) -> None:
    if os.getuid() != 0:
        pytest.skip("NOT CHECKED: only root can make a sticky folder of root's")
    base.parent.chmod(0o1777)
    assert read(base) == b"secret"
    base.parent.chmod(0o700)


@pytest.mark.parametrize("part", ["validator/hotkeys/default", "validator/hotkeys", "validator", ""])
def test_refuses_another_owner(base: Path, part: str) -> None:
    if os.getuid() != 0:
        pytest.skip("NOT CHECKED: only root can give a file away")
    path = base / part
    os.chown(path, NOBODY, -1)
    assert refused(base) == f"{path}: expected owner uid 0, found uid {NOBODY}; run: chown 0 {path}"


@pytest.mark.parametrize("part", ["validator/hotkeys/default", "validator/hotkeys", "validator"])
def test_refuses_a_symlink_at_each_level(base: Path, part: str) -> None:
    path = base / part
    path.rename(base.parent / "elsewhere")
    path.symlink_to(base.parent / "elsewhere")
    assert "found a symlink or something else on the way" in refused(base)


def test_a_base_that_is_a_symlink_is_the_folder_it_leads_to(base: Path) -> None:
    link = base.parent / "link"
    link.symlink_to(base)
    assert read(link) == b"secret"
    base.chmod(0o777)
    refused(link)
    base.chmod(0o700)


def test_a_dangling_symlink_is_no_file(base: Path) -> None:
    path = base / "validator/hotkeys/default"
    path.unlink()
    path.symlink_to("/nonexistent")
    assert "symlink" in refused(base)


def test_a_pipe_does_not_hang(base: Path) -> None:
    path = base / "validator/hotkeys/default"
    path.unlink()
    os.mkfifo(path, 0o600)
    assert refused(base) == f"{path}: expected a regular file, found a device, socket or pipe"


def test_a_folder_is_no_file(base: Path) -> None:
    path = base / "validator/hotkeys/default"
    path.unlink()
    path.mkdir(mode=0o700)
    assert "expected a regular file, found a folder" in refused(base)


def test_a_socket_is_no_file(base: Path) -> None:
    path = base / "validator/hotkeys/default"
    path.unlink()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        assert "cannot be opened" in refused(base)


def test_a_file_where_a_folder_should_be(base: Path) -> None:
    (base / "file").write_bytes(b"")
    with pytest.raises(ConfigurationError, match="something else on the way"):
        read_private(base, "file", "hotkeys", "default")


@pytest.mark.parametrize("names", [("nobody", "hotkeys", "default"), ("validator", "hotkeys", "nothing")])
def test_what_is_not_there_is_named(base: Path, names: tuple[str, ...]) -> None:
    with pytest.raises(ConfigurationError, match="cannot be opened: No such file"):
        read_private(base, *names)


@pytest.mark.parametrize("missing", ["nothing", "nothing/at/all"])
def test_a_base_that_is_not_there_is_named(tmp_path: Path, missing: str) -> None:
    with pytest.raises(ConfigurationError, match=r"nothing.*cannot be opened: No such file"):
        read_private(tmp_path / missing, "validator", "hotkeys", "default")


def test_a_file_over_the_ceiling_is_refused(base: Path) -> None:
    path = base / "validator/hotkeys/default"
    path.write_bytes(b"x" * MAX_PRIVATE_BYTES)
    assert len(read(base)) == MAX_PRIVATE_BYTES
    path.write_bytes(b"x" * (MAX_PRIVATE_BYTES + 1))
    assert "expected at most 65536 bytes" in refused(base)


def test_no_descriptor_is_left_open(base: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        read(base)
    (base / "validator/hotkeys/default").chmod(0o644)
    for _ in range(20):
        refused(base)
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "/etc/passwd", "../coldkey", "a\0b", "x" * 256, "é" * 128])
def test_refuses_what_is_no_plain_name(base: Path, name: str) -> None:
    with pytest.raises(ConfigurationError, match="expected a plain file name"):
        check_name(name)
    with pytest.raises(ConfigurationError, match="expected a plain file name"):
        read_private(base, name, "hotkeys", "default")
    with pytest.raises(ConfigurationError, match="expected a plain file name"):
        read_private(base, "validator", "hotkeys", name)


@pytest.mark.parametrize("name", ["default", "my key", "...", "é", "x" * 255, ".hidden", "a\\b"])
def test_takes_plain_names(name: str) -> None:
    check_name(name)


# The folder of the journal --------------------------------------------------------------------------------------------


def test_makes_a_missing_folder_private(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        ensure_private_folder(tmp_path / "a" / "b")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a" / "b").stat().st_mode) == 0o700
    ensure_private_folder(tmp_path / "a" / "b")


@pytest.mark.parametrize("mode", [0o701, 0o710, 0o750, 0o755, 0o777])
def test_refuses_a_folder_that_others_can_enter(tmp_path: Path, mode: int) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a").chmod(mode)
    with pytest.raises(ConfigurationError, match=f"expected mode 0700, found {mode:04o}; run: chmod 0700"):
        ensure_private_folder(tmp_path / "a")


def test_refuses_a_folder_of_another(tmp_path: Path) -> None:
    if os.getuid() != 0:
        pytest.skip("NOT CHECKED: only root can give a folder away")
    (tmp_path / "a").mkdir(mode=0o700)
    os.chown(tmp_path / "a", NOBODY, -1)
    with pytest.raises(ConfigurationError, match=f"expected owner uid 0, found uid {NOBODY}"):
        ensure_private_folder(tmp_path / "a")


def test_refuses_a_symlink_or_a_file_as_folder(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir(mode=0o700)
    (tmp_path / "link").symlink_to(tmp_path / "real")
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ConfigurationError, match="expected a folder, found a symlink"):
        ensure_private_folder(tmp_path / "link")
    with pytest.raises(ConfigurationError, match="cannot make the folder"):
        ensure_private_folder(tmp_path / "file")
