"""``wallet-guard backup`` and ``restore``: journal and audit chain, audit key, configuration, policy, in one tar file.

The journal is copied by SQLite's backup interface, so the service may run. The copy is marked as one: the first start
on it opens a new generation, which is locked until whatever was signed after the backup is dead
(``signer.generation``). Hotkeys are left out unless asked for. The audit key is in it, unencrypted like everything
here: who reads the file can sign checkpoints in this guard's name, and nothing else. So the file is made with mode
0600, and says so.
"""

import argparse
import contextlib
import fcntl
import io
import os
import shutil
import sqlite3
import tarfile
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from wallet_guard.cli.errors import CommandError
from wallet_guard.cli.place import add_config_option, find_config
from wallet_guard.cli.printing import add_json_option, for_people, progress, tell
from wallet_guard.host.config import Config, load_config
from wallet_guard.signed.audit import BrokenChainError, Record, verify_chain

JOURNAL = "journal.sqlite3"

CONFIG = "wallet-guard.toml"

AUDIT_KEY = "audit.key"

POLICY = "policy.toml"

COPIED_META = "copied_ms"
"""What marks a copy (``signer.generation`` reads it)."""

MAX_MEMBER_BYTES = 4 * 1024 * 1024 * 1024
"""4 GiB: a journal of a million intents has about one."""


def add_words(parsers: Any) -> None:
    """``backup`` and ``restore``."""
    saving = parsers.add_parser("backup", help="journal, audit key, settings into one file; the service may run")
    saving.add_argument("file", help="a tar file to be made, mode 0600")
    saving.add_argument("--with-keys", action="store_true", help="the hotkeys' files too, as they lie there")
    add_json_option(saving)
    add_config_option(saving)
    saving.set_defaults(answer=backup)

    reading = parsers.add_parser("restore", help="put a backup's journal in place; the service must not run")
    reading.add_argument("file")
    reading.add_argument("--with-keys", action="store_true", help="the hotkeys' files too, where there are none")
    reading.add_argument("--replace", action="store_true", help="set a journal that is there aside")
    add_json_option(reading)
    add_config_option(reading)
    reading.set_defaults(answer=restore)


def backup(chosen: argparse.Namespace) -> int:
    """Writes the file, and says what it holds.

    Raises:
        CommandError: the file is there already, or the journal cannot be read.
    """
    config = find_config(chosen)
    state = Path(config.signer.state).expanduser()
    target = Path(chosen.file).expanduser().absolute()
    with tempfile.TemporaryDirectory() as work, _new_file(target) as opened, progress() as working:
        working("copying the journal")
        copy = Path(work, JOURNAL)
        _copy_journal(state / JOURNAL, copy, time.time_ns() // 1_000_000)
        working("verifying the audit chain")
        count, head = check_journal(copy)
        with tarfile.open(fileobj=opened, mode="w", format=tarfile.PAX_FORMAT) as archive:
            archive.add(copy, JOURNAL, filter=_plain)
            archive.add(config.path, CONFIG, filter=_plain)
            beside = [(state / AUDIT_KEY, AUDIT_KEY), (Path(config.policy_path or "/nowhere"), POLICY)]
            for path, name in beside:
                if path.is_file():
                    archive.add(path, name, filter=_plain)
            keys = list(_keys(config)) if chosen.with_keys else []
            for path, name in keys:
                archive.add(path, name, filter=_plain)
        opened.flush()
        os.fsync(opened.fileno())
    said = f", {len(keys)} hotkeys: keep it as safe as the keys" if chosen.with_keys else ", no hotkeys"
    tell(
        chosen,
        {"wrote": str(target), "records": count, "head": head.hex(), "hotkeys": len(keys)},
        f"wrote {target}: journal with {count} audit records{said}",
        "it holds the audit key and your settings in clear: readable by its owner alone, keep it so",
        f"audit head {head.hex()}: keep it elsewhere, 'wallet-guard audit verify --head' asks for it",
    )
    return 0


def restore(chosen: argparse.Namespace) -> int:
    """Puts the journal in place, owned by who owns its folder.

    Raises:
        CommandError: no backup, a broken audit chain, a signer that runs, or a journal that is there.
    """
    config = find_config(chosen)
    state = Path(config.signer.state).expanduser()
    with tempfile.TemporaryDirectory() as work, for_people(chosen), progress() as working:
        working("verifying the backup")
        members = _unpack(Path(chosen.file).expanduser(), Path(work))
        load_config(Path(work, CONFIG))
        same_config = Path(work, CONFIG).read_bytes() == Path(config.path).read_bytes()
        count, head = check_journal(Path(work, JOURNAL))
        state.mkdir(mode=0o700, exist_ok=True)
        owner = state.parent.stat() if state.stat().st_uid == 0 else state.stat()
        os.chown(state, owner.st_uid, owner.st_gid)
        with _alone(state):
            _set_aside(state / JOURNAL, replace=chosen.replace)
            _place(Path(work, JOURNAL), state / JOURNAL, owner)
            _place_audit_key(Path(work, AUDIT_KEY), state / AUDIT_KEY, owner)
            _place_policy(Path(work, POLICY), config, owner)
            for name in members if chosen.with_keys else ():
                _place_key(config, Path(work, name), name, owner)
    differs = f"the backup's configuration differs from {config.path}, which was left as it is"
    tell(
        chosen,
        {"restored": str(state / JOURNAL), "records": count, "head": head.hex(), "same_configuration": same_config},
        f"restored {state / JOURNAL}: {count} audit records, head {head.hex()}",
        *([] if same_config else [differs]),
        "What was signed after this backup is not known to it. So it starts locked: once all that was signed is dead",
        "(128 blocks), look at 'wallet-guard status' and at the chain, then 'wallet-guard unlock'. Old idempotency",
        "keys are refused, and what was under way has failed. Two guards with one hotkey must never run.",
    )
    return 0


def check_journal(path: Path) -> tuple[int, bytes]:
    """How many audit records a journal has, and the head of their chain.

    Raises:
        CommandError: no journal, or the chain is broken.
    """
    try:
        with contextlib.closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as journal:
            rows = journal.execute("SELECT seq, at_ms, kind, client, body, hash FROM audit ORDER BY seq")
            return verify_chain(Record(*row) for row in rows)
    except sqlite3.Error as error:
        raise CommandError(f"{path}: expected a journal: {error}") from error
    except BrokenChainError as error:
        raise CommandError(f"{path}: the audit chain is broken: {error}") from error


def _copy_journal(source: Path, target: Path, now_ms: int) -> None:
    if not source.is_file():
        raise CommandError(f"{source}: no such file", "run this as root, or as the signer's user")
    try:
        with (
            contextlib.closing(sqlite3.connect(f"{source.absolute().as_uri()}?mode=ro", uri=True)) as journal,
            contextlib.closing(sqlite3.connect(target)) as copy,
        ):
            journal.backup(copy)
            copy.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (COPIED_META, str(now_ms)))
            copy.commit()
            # One file, no log beside it.
            copy.execute("PRAGMA journal_mode = DELETE")
    except sqlite3.Error as error:
        raise CommandError(f"{source}: cannot be copied: {error}") from error


@contextlib.contextmanager
def _new_file(path: Path) -> Iterator[io.BufferedWriter]:
    try:
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise CommandError(f"{path}: cannot be made: {error.strerror}") from error
    try:
        with open(file, "wb") as opened:
            yield opened
    except BaseException:
        path.unlink()
        raise


def _plain(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid, member.gid, member.uname, member.gname, member.mode = 0, 0, "", "", 0o600
    return member


def _keys(config: Config) -> Iterator[tuple[Path, str]]:
    for entry in config.signer.hotkeys:
        wallet, _, hotkey = entry.partition("/")
        yield Path(config.signer.wallets).expanduser() / wallet / "hotkeys" / hotkey, f"keys/{wallet}/{hotkey}"


def _unpack(file: Path, folder: Path) -> list[str]:
    """The names of the keys in it; everything is below ``folder`` then, as plain files."""
    try:
        with tarfile.open(file, mode="r:") as archive:
            names = archive.getnames()
            for member in archive:
                parts = member.name.split("/")
                known = member.name in (JOURNAL, CONFIG, AUDIT_KEY, POLICY) or (parts[0] == "keys" and len(parts) == 3)
                if not (known and member.isreg() and ".." not in parts and member.size <= MAX_MEMBER_BYTES):
                    raise CommandError(f"{file}: expected a backup, found {member.name[:80]!r} in it")
                target = folder / member.name
                target.parent.mkdir(parents=True, exist_ok=True)
                source = archive.extractfile(member)
                assert source is not None, "a regular member has content"
                with source, target.open("wb") as written:
                    shutil.copyfileobj(source, written)
    except (OSError, tarfile.TarError) as error:
        raise CommandError(f"{file}: expected a backup: {error}") from error
    if not {JOURNAL, CONFIG} <= set(names):
        raise CommandError(f"{file}: expected {JOURNAL} and {CONFIG} in it, found {', '.join(names)[:200]!r}")
    return sorted(set(names) - {JOURNAL, CONFIG, AUDIT_KEY, POLICY})


@contextlib.contextmanager
def _alone(state: Path) -> Iterator[None]:
    """Holds the lock that a running signer holds (signer.journal)."""
    lock = os.open(state, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        raise CommandError(f"{state}: a signer runs on this journal", "systemctl stop wallet-guard") from error
    finally:
        os.close(lock)


def _set_aside(journal: Path, *, replace: bool) -> None:
    if not journal.exists():
        return
    if not replace:
        raise CommandError(f"{journal}: there is one already", "--replace sets it aside")
    stamp = _stamp()
    for suffix in ("", "-wal", "-shm"):
        path = journal.with_name(journal.name + suffix)
        if path.exists():
            path.rename(path.with_name(f"{journal.name}.before-{stamp}{suffix}"))
    print(f"set aside: {journal}.before-{stamp}")


def _stamp() -> str:
    return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())


def _place_audit_key(source: Path, target: Path, owner: os.stat_result) -> None:
    """The restored chain goes on under the key that it was signed with."""
    if not source.exists() or (target.exists() and target.read_bytes() == source.read_bytes()):
        return
    if target.exists():
        aside = target.with_name(f"{AUDIT_KEY}.before-{_stamp()}")
        target.rename(aside)
        print(f"set aside: {aside}")
    _place(source, target, owner)


def _place_policy(source: Path, config: Config, owner: os.stat_result) -> None:
    """The policy where there is none; one that is there is the operator's."""
    if not source.exists() or not config.policy_path:
        return
    target = Path(config.policy_path)
    if not target.exists():
        _place(source, target, owner)
        print(f"restored {target}")
    elif target.read_bytes() != source.read_bytes():
        print(f"the backup's policy differs from {target}, which was left as it is")


def _place(source: Path, target: Path, owner: os.stat_result) -> None:
    with open(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600), "wb") as opened:
        os.fchown(opened.fileno(), owner.st_uid, owner.st_gid)
        with source.open("rb") as read:
            while block := read.read(1 << 20):
                opened.write(block)
        opened.flush()
        os.fsync(opened.fileno())


def _place_key(config: Config, source: Path, name: str, owner: os.stat_result) -> None:
    _, wallet, hotkey = name.split("/")
    target = Path(config.signer.wallets).expanduser() / wallet / "hotkeys" / hotkey
    for folder in (target.parents[2], target.parents[1], target.parent):
        if not folder.exists():
            folder.mkdir(mode=0o700)
            os.chown(folder, owner.st_uid, owner.st_gid)
    if target.exists():
        print(f"{target}: is there already, left as it is")
    else:
        _place(source, target, owner)
