"""What is installed: a wheel of this package, and the units and locks that belong to it.

They come from a source tree or from a wheel, which carries them below ``share/wallet-guard``.
"""

import hashlib
import re
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import wallet_guard
from wallet_guard.cli.errors import CommandError

FOLDERS = {"systemd": "systemd", "locks": "hardening/locks"}
"""What belongs to it beside the package: name below ``share/wallet-guard`` → folder of the source tree."""

SOURCES = ("wallet_guard", "systemd", "hardening", "setup.cfg", "pyproject.toml", "README.md", "LICENSE")
"""What a wheel is made of."""

_VERSION = re.compile(r"^version = (\S+)$", re.MULTILINE)

EPOCH = "315532800"
"""SOURCE_DATE_EPOCH: the first moment that a zip file can name, 1980-01-01. Same sources, same wheel."""

RunPip = Callable[..., None]
"""Runs pip with these words, and an environment as ``environment=``."""


@dataclass(frozen=True, slots=True)
class Distribution:
    """``label`` names version and content; ``files`` are those of ``FOLDERS``, as ``systemd/wallet-guard.service``."""

    origin: Path
    version: str
    label: str
    files: dict[str, bytes]

    def folder(self, name: str) -> dict[str, bytes]:
        """The files of one folder, by their name in it."""
        return {path.name: self.files[str(path)] for path in map(Path, self.files) if path.parts[0] == name}

    @contextmanager
    def wheel(self, run_pip: RunPip) -> Iterator[Path]:
        """The wheel's path, while the context lasts."""
        if self.origin.is_file():
            yield self.origin
            return
        with tempfile.TemporaryDirectory() as work:
            # A copy: setuptools leaves a build folder, whose old files would find their way into the next wheel.
            copy_sources(self.origin, Path(work, "source"))
            words = ("wheel", "--quiet", "--no-deps", "--wheel-dir", f"{work}/wheels", f"{work}/source")
            run_pip(*words, environment={"SOURCE_DATE_EPOCH": EPOCH})
            (made,) = Path(work, "wheels").glob("*.whl")
            yield made


def find_distribution(origin: str) -> Distribution:
    """What a source tree or wheel holds; "" is the source tree that runs.

    Raises:
        CommandError: it is neither, or it lacks the units or locks.
    """
    path = Path(origin).expanduser().absolute() if origin else Path(wallet_guard.__file__).parents[1]
    if not origin and not (path / "setup.cfg").is_file():
        raise CommandError(
            "expected to run from a source tree, found an installed package",
            "name one, or a wheel (pip download --no-deps wallet-guard): --from PATH",
        )
    if path.is_dir():
        found = _from_tree(path)
    elif zipfile.is_zipfile(path):
        found = _from_wheel(path)
    else:
        raise CommandError(f"{path}: expected a source tree or a wheel, found neither")
    for name, folder in FOLDERS.items():
        if not found.folder(name):
            raise CommandError(f"{path}: expected the files of {folder}/ in it, found none")
    return found


def copy_sources(tree: Path, target: Path) -> None:
    """Copies what a wheel is made of, and nothing else."""
    target.mkdir(parents=True)
    for name in SOURCES:
        if (tree / name).is_dir():
            shutil.copytree(tree / name, target / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
        elif (tree / name).is_file():
            shutil.copy(tree / name, target / name)


def _from_tree(tree: Path) -> Distribution:
    try:
        (version,) = _VERSION.findall((tree / "setup.cfg").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CommandError(f"{tree}: expected a source tree with a setup.cfg that names its version") from error
    files = {
        f"{name}/{path.name}": path.read_bytes()
        for name, folder in FOLDERS.items()
        for path in sorted((tree / folder).glob("*.*"))
    }
    content = hashlib.sha256()
    for path in sorted((tree / "wallet_guard").rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            content.update(_framed(str(path.relative_to(tree)), path.read_bytes()))
    content.update(_framed("setup.cfg", (tree / "setup.cfg").read_bytes()))
    return Distribution(tree, version, _label(version, content.digest(), files), files)


def _from_wheel(path: Path) -> Distribution:
    parts = path.name.split("-")
    if path.suffix != ".whl" or len(parts) < 5 or parts[0] != "wallet_guard":
        raise CommandError(f"{path}: expected a wheel named wallet_guard-VERSION-…whl")
    version, files = parts[1], {}
    share = f"wallet_guard-{version}.data/data/share/wallet-guard/"
    with zipfile.ZipFile(path) as opened:
        for name in sorted(opened.namelist()):
            if name.startswith(share) and name.count("/") == share.count("/") + 1:
                files[name.removeprefix(share)] = opened.read(name)
    return Distribution(path, version, _label(version, hashlib.sha256(path.read_bytes()).digest(), files), files)


def _label(version: str, content: bytes, files: dict[str, bytes]) -> str:
    digest = hashlib.sha256(content)
    for name, data in files.items():
        digest.update(_framed(name, data))
    return f"{version}-{digest.hexdigest()[:8]}"


def _framed(name: str, data: bytes) -> bytes:
    return f"{len(name)} {len(data)} {name}\n".encode() + data
