"""Modes, owners and places of files: who else could read a key, or put another file in its place."""

import stat
from collections.abc import Iterator
from pathlib import Path

from wallet_guard.cli.doctor.findings import Check, Finding, SkippedError, note, warning
from wallet_guard.cli.doctor.scene import Scene
from wallet_guard.host.config import Config

CREDENTIAL_STORES = (Path("/etc/credstore"), Path("/etc/credstore.encrypted"))

STATE_FILES = ("journal.sqlite3", "journal.sqlite3-wal", "journal.sqlite3-shm", "audit.key", "reserve", "lock")

PRIVATE = 0o077
"""Bits that nobody but the owner should have."""

WRITABLE = 0o022


def config_of(scene: Scene) -> Config:
    """The configuration.

    Raises:
        SkippedError: it cannot be read.
    """
    if scene.config is None:
        raise SkippedError("the configuration cannot be read")
    return scene.config


def _mode(found: int) -> str:
    return f"{stat.S_IMODE(found):04o}"


def _look(path: Path) -> int | None:
    """The mode of what lies there, symlinks not followed; None if nothing does."""
    try:
        return path.lstat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return None


def _wrong_owner(scene: Scene, path: Path, shown: Path, *, root_too: bool = False) -> Iterator[Finding]:
    uid = path.lstat().st_uid
    if scene.owner is not None and uid != scene.owner and not (root_too and uid == 0):
        yield Finding(f"{shown} belongs to uid {uid}, expected {scene.owner}", f"chown -h {scene.owner} {shown}")


def _exposed(scene: Scene, shown: Path, wanted: str) -> Iterator[Finding]:
    """A file that others can touch, or that is another's."""
    path = scene.at(shown)
    mode = _look(path)
    if mode is None:
        return
    if mode & PRIVATE and not stat.S_ISLNK(mode):
        yield Finding(f"{shown} has mode {_mode(mode)}: others can reach it", f"chmod {wanted} {shown}")
    yield from _wrong_owner(scene, path, shown)


def _loose_parents(scene: Scene, shown: Path) -> Iterator[Finding]:
    """Folders above it in which others could rename it away."""
    for folder in shown.parents:
        path = scene.at(folder)
        if path == scene.root:
            break
        mode = _look(path)
        if mode is None or stat.S_ISLNK(mode):
            continue
        if mode & WRITABLE and not mode & stat.S_ISVTX:
            yield Finding(f"{folder} has mode {_mode(mode)}: others can replace what is in it", f"chmod go-w {folder}")


def configuration(scene: Scene) -> Iterator[Finding]:
    """Can it be read, and is it right?"""
    if scene.config_error:
        mend = f"edit {scene.config_path}; 'wallet-guard init /tmp/example' writes one with every key explained"
        yield Finding(scene.config_error, mend if scene.config_path else "wallet-guard init")


def configuration_file(scene: Scene) -> Iterator[Finding]:
    """Whoever can write it says which chain and which folders are ours."""
    shown = Path(scene.config_path)
    path = scene.at(shown)
    mode = _look(path)
    if mode is None:
        raise SkippedError("there is none")
    if mode & WRITABLE:
        yield Finding(f"{shown} has mode {_mode(mode)}: others can change it", f"chmod go-w {shown}")
    uid = path.stat().st_uid
    if uid not in (0, scene.uid, scene.owner):
        yield Finding(f"{shown} belongs to uid {uid}, expected root", f"chown 0 {shown}")
    yield from _loose_parents(scene, shown)


def state_folder(scene: Scene) -> Iterator[Finding]:
    """The journal's folder."""
    shown = Path(config_of(scene).signer.state).expanduser()
    path = scene.at(shown)
    mode = _look(path)
    if mode is None:
        yield warning(f"{shown} is not there: this guard never ran", "start it: wallet-guard serve, or systemctl start")
        return
    if stat.S_ISLNK(mode) or not stat.S_ISDIR(mode):
        yield Finding(
            f"{shown} is no real folder", f"make it one: mv {shown} {shown}.old && install -d -m 0700 {shown}"
        )
        return
    yield from _exposed(scene, shown, "0700")
    yield from _loose_parents(scene, shown)


def state_files(scene: Scene) -> Iterator[Finding]:
    """Journal and audit key, each private."""
    folder = Path(config_of(scene).signer.state).expanduser()
    for name in STATE_FILES:
        yield from _exposed(scene, folder / name, "0600")
    there = [(scene.at(folder) / name).exists() for name in ("audit.key", "journal.sqlite3")]
    if there == [True, False]:
        yield Finding(
            f"{folder / 'journal.sqlite3'} is gone, its audit key is there", "wallet-guard restore BACKUP.tar"
        )


def run_folder(scene: Scene) -> Iterator[Finding]:
    """Whoever can write here can put a socket of his own in the place of ours."""
    shown = Path(config_of(scene).run)
    mode = _look(scene.at(shown))
    if mode is None:
        raise SkippedError(f"{shown} is not there: nothing runs")
    if mode & WRITABLE:
        yield Finding(f"{shown} has mode {_mode(mode)}: others can replace sockets", f"chmod go-w {shown}")
    yield from _loose_parents(scene, shown)


def admin_socket(scene: Scene) -> Iterator[Finding]:
    """Whoever can open it is the operator."""
    shown = Path(config_of(scene).socket("admin"))
    mode = _look(scene.at(shown))
    if mode is not None and mode & PRIVATE:
        yield Finding(f"{shown} has mode {_mode(mode)}: others are operators too", f"chmod 0600 {shown}")


def hotkeys(scene: Scene) -> Iterator[Finding]:
    """Each key that the configuration names: there, real, private, and the signer's."""
    config = config_of(scene)
    if not config.signer.hotkeys:
        yield Finding("[signer] hotkeys is empty: the signer will not start", f'add "WALLET/HOTKEY" in {config.path}')
    for entry in config.signer.hotkeys:
        yield from _hotkey(scene, key_file(config, entry), entry)


def key_file(config: Config, entry: str) -> Path:
    """Where a hotkey named ``wallet/hotkey`` is kept."""
    wallet, _, hotkey = entry.partition("/")
    return Path(config.signer.wallets).expanduser() / wallet / "hotkeys" / hotkey


def _hotkey(scene: Scene, shown: Path, entry: str) -> Iterator[Finding]:
    mode = _look(scene.at(shown))
    if mode is None:
        mend = f"wallet-guard key import ~/.bittensor/wallets/{entry.replace('/', '/hotkeys/')}"
        yield Finding(f"hotkey {entry}: {shown} is not there", mend)
    elif stat.S_ISLNK(mode):
        yield Finding(f"hotkey {entry}: {shown} is a symlink", f"cp --remove-destination $(realpath {shown}) {shown}")
    elif not stat.S_ISREG(mode):
        yield Finding(f"hotkey {entry}: {shown} is no regular file", "wallet-guard key import FILE")
    else:
        yield from _exposed(scene, shown, "0600")


def hotkey_folders(scene: Scene) -> Iterator[Finding]:
    """Folders on the way to the keys, each once."""
    config = config_of(scene)
    seen: dict[str, Finding] = {}
    for entry in config.signer.hotkeys:
        shown = key_file(config, entry)
        for folder in (shown.parent, shown.parents[1]):
            mode = _look(scene.at(folder))
            if mode is not None and stat.S_ISLNK(mode):
                seen[str(folder)] = Finding(f"{folder} is a symlink: none is followed", f"put the folder at {folder}")
        seen.update((finding.found, finding) for finding in _loose_parents(scene, shown))
    yield from seen.values()


def coldkeys(scene: Scene) -> Iterator[Finding]:
    """A coldkey owns the stake. The guard never opens one, so none should lie beside what it opens."""
    config = config_of(scene)
    for wallet in sorted({entry.partition("/")[0] for entry in config.signer.hotkeys}):
        shown = Path(config.signer.wallets).expanduser() / wallet / "coldkey"
        if _look(scene.at(shown)) is None:
            continue
        found = f"{shown}: a coldkey lies with the guard's hotkeys"
        mend = f"move it to a machine that is offline, then: shred --remove {shown}"
        yield Finding(found, mend) if scene.is_system else warning(found, mend)


def originals(scene: Scene) -> Iterator[Finding]:
    """An imported hotkey whose original still lies in somebody's home is held by two."""
    config = config_of(scene)
    if not scene.is_system:
        raise SkippedError("only for the guard of the host's services")
    homes = [Path("/root"), *(Path("/home") / home.name for home in sorted(_children(scene.at("/home"))))]
    for entry in config.signer.hotkeys:
        wallet, _, hotkey = entry.partition("/")
        for home in homes:
            shown = home / ".bittensor/wallets" / wallet / "hotkeys" / hotkey
            if shown != key_file(config, entry) and scene.at(shown).is_file():
                yield warning(f"{shown}: a copy of {entry} outside the guard", f"shred --remove {shown}")


def _children(folder: Path) -> list[Path]:
    return list(folder.iterdir()) if folder.is_dir() else []


def password_file(scene: Scene) -> Iterator[Finding]:
    """It opens every encrypted hotkey."""
    named = config_of(scene).signer.password_file
    if not named:
        raise SkippedError("none is named")
    if named.startswith("/run/credentials/"):
        raise SkippedError("it is a credential of the service manager")
    shown = Path(named).expanduser()
    if _look(scene.at(shown)) is None:
        yield Finding(f"[signer] password_file {shown} is not there", f"install -m 0600 /dev/stdin {shown}")
    yield from _exposed(scene, shown, "0600")


def credentials(scene: Scene) -> Iterator[Finding]:
    """What the service manager hands to our processes: root's alone."""
    for store in CREDENTIAL_STORES:
        for path in sorted(scene.at(store).glob("wallet-guard.*")):
            shown, mode = store / path.name, path.lstat().st_mode
            if mode & PRIVATE:
                yield Finding(f"credential {shown} has mode {_mode(mode)}", f"chmod 0600 {shown}")
            if path.lstat().st_uid not in (0, scene.root.stat().st_uid):
                yield Finding(f"credential {shown} is not root's", f"chown root: {shown}")


def backups(scene: Scene) -> Iterator[Finding]:
    """A backup beside the journal dies with it."""
    folder = Path(config_of(scene).signer.state).expanduser()
    for path in sorted(scene.at(folder).glob("*.tar")):
        yield note(f"{folder / path.name}: a backup on the same disk", "move it to another machine")


CHECKS = (
    Check("configuration", configuration),
    Check("configuration-file", configuration_file),
    Check("state-folder", state_folder),
    Check("state-files", state_files),
    Check("run-folder", run_folder),
    Check("admin-socket", admin_socket),
    Check("hotkeys", hotkeys),
    Check("hotkey-folders", hotkey_folders),
    Check("coldkeys", coldkeys),
    Check("hotkey-originals", originals),
    Check("password-file", password_file),
    Check("credentials", credentials),
    Check("backups", backups),
)
