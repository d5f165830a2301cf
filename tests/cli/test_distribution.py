import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from wallet_guard.cli.distribution import copy_sources, find_distribution
from wallet_guard.cli.errors import CommandError

ROOT = Path(__file__).parents[2]


@pytest.fixture
def tree(tmp_path):
    copy_sources(ROOT, tmp_path / "tree")
    return tmp_path / "tree"


def pip(*words, environment=None):
    subprocess.run([sys.executable, "-m", "pip", *words], check=True, env={**os.environ, **(environment or {})})


def test_a_tree_names_its_version_and_what_belongs_to_it(tree):
    found = find_distribution(str(tree))
    assert found.label.startswith(f"{found.version}-")
    assert {"wallet-guard.service", "wallet-guard-signer.service", "wallet-guard.sysusers"} <= set(
        found.folder("systemd")
    )
    assert {"guard.txt", "chain.txt"} <= set(found.folder("locks"))


def test_the_same_content_has_the_same_label(tree, tmp_path):
    label = find_distribution(str(tree)).label
    shutil.copytree(tree, tmp_path / "other")
    (tmp_path / "other" / "wallet_guard" / "__pycache__").mkdir(exist_ok=True)
    (tmp_path / "other" / "wallet_guard" / "__pycache__" / "x.pyc").touch()
    assert find_distribution(str(tmp_path / "other")).label == label


@pytest.mark.parametrize(
    "name", ["wallet_guard/signer/keys.py", "systemd/wallet-guard.service", "hardening/locks/guard.txt"]
)
def test_another_content_has_another_label(tree, name):
    label = find_distribution(str(tree)).label
    (tree / name).write_text((tree / name).read_text() + "# changed\n")
    assert find_distribution(str(tree)).label != label


def wheel_of(path, *names):
    with zipfile.ZipFile(path, "w") as opened:
        for name in names:
            opened.writestr(name, "content")
    return str(path)


def test_a_wheel_carries_what_belongs_to_it(tmp_path):
    share = "wallet_guard-1.2.data/data/share/wallet-guard/"
    names = (f"{share}systemd/a.service", f"{share}locks/guard.txt", f"{share}systemd/deep/er", "wallet_guard/x.py")
    found = find_distribution(wheel_of(tmp_path / "wallet_guard-1.2-py3-none-any.whl", *names))
    assert (found.version, found.files) == ("1.2", {"systemd/a.service": b"content", "locks/guard.txt": b"content"})
    with found.wheel(pip) as wheel:
        assert wheel == found.origin


def test_a_wheel_without_units_is_refused(tmp_path):
    with pytest.raises(CommandError, match="expected the files of systemd/ in it, found none"):
        find_distribution(wheel_of(tmp_path / "wallet_guard-1.2-py3-none-any.whl", "wallet_guard/x.py"))


def test_another_packages_wheel_is_refused(tmp_path):
    with pytest.raises(CommandError, match="expected a wheel named wallet_guard-VERSION"):
        find_distribution(wheel_of(tmp_path / "other-1.2-py3-none-any.whl", "x"))


def test_what_is_neither_is_refused(tmp_path):
    with pytest.raises(CommandError, match="expected a source tree or a wheel, found neither"):
        find_distribution(str(tmp_path / "none"))
    with pytest.raises(CommandError, match=r"expected a source tree with a setup\.cfg"):
        find_distribution(str(tmp_path))


def test_only_what_a_wheel_is_made_of_is_copied(tree):
    assert not (tree / "tests").exists()
    assert not (tree / ".git").exists()
    assert not list(tree.rglob("__pycache__"))


def test_a_tree_becomes_the_same_wheel_twice(tree, tmp_path):
    found = find_distribution(str(tree))
    kept = []
    for name in ("one", "two"):
        with found.wheel(pip) as wheel:
            kept.append(shutil.copy(wheel, tmp_path / name))
            assert wheel.name == f"wallet_guard-{found.version}-py3-none-any.whl"
    assert Path(kept[0]).read_bytes() == Path(kept[1]).read_bytes()
    with zipfile.ZipFile(kept[0]) as opened:
        assert "wallet_guard/signer/keys.py" in opened.namelist()
        assert not [name for name in opened.namelist() if name.startswith("tests")]
