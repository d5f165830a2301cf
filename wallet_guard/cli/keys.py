"""``wallet-guard key import``: a hotkey moves into the guard's care.

Run it with the command that ``wallet-guard install`` placed: its environment has no SDK, so nothing else sees the key.
The file is read as root, then every privilege is given up for the signer's uid, and only then something is written.
With ``--encrypt`` the key lies encrypted (the wallet's own format, so that it can be opened elsewhere), and its
password sealed by systemd-creds(1) to this machine: a stolen disk or backup is then no stolen key.
"""

import argparse
import os
import secrets
import subprocess
import sys
from pathlib import Path
from typing import Any

import bittensor_core

from wallet_guard.cli.errors import CommandError
from wallet_guard.cli.place import add_config_option, find_config
from wallet_guard.cli.printing import add_json_option, progress, tell
from wallet_guard.host.private import MAX_PRIVATE_BYTES, check_name, ensure_private_folder
from wallet_guard.host.process import forbid_dumps, refuse_sdk

CREDENTIAL = "wallet-guard.sealed-key-password"
"""Name of the sealed password; the signer's unit loads it, the configuration names it."""

STORE = Path("/etc/credstore.encrypted")

SECONDS = 60.0
"""For systemd-creds(1), which may ask a TPM."""


def add_words(parsers: Any) -> None:
    """``key import``."""
    key = parsers.add_parser("key", help="hotkeys: import")
    words = key.add_subparsers(title="words", metavar="WORD", required=True)
    adding = words.add_parser("import", help="copy a hotkey to where the signer alone can read it")
    adding.add_argument("file", help="such as ~/.bittensor/wallets/validator/hotkeys/default")
    adding.add_argument("--as", dest="name", metavar="WALLET/HOTKEY", help="default: by the file's place")
    adding.add_argument("--encrypt", action="store_true", help="encrypt it, and seal the password to this machine")
    adding.add_argument("--password-stdin", action="store_true", help="the password, instead of a random one")
    add_json_option(adding)
    add_config_option(adding)
    adding.set_defaults(answer=import_key)


def import_key(chosen: argparse.Namespace) -> int:
    """Copies the key, and tells how to remove the original.

    Raises:
        CommandError: not a private hotkey, a wrong password, another key of that name, or nothing to seal with.
        ConfigurationError: the SDK is in this environment, or a folder is not private.
    """
    forbid_dumps()
    refuse_sdk()
    config = find_config(chosen)
    source = Path(chosen.file).expanduser().absolute()
    wallet, hotkey = _name(chosen.name, source)
    data = _read(source)
    password = sys.stdin.readline().rstrip("\r\n") if chosen.password_stdin else ""
    with progress() as working:
        working("encrypting and decrypting (seconds each, 512 MiB)")
        data = _safe(chosen, data, password, source)
    target = Path(config.signer.wallets).expanduser() / wallet / "hotkeys" / hotkey
    _become_owner_of(target)
    _write(target, data)
    named = f"{wallet}/{hotkey}" in config.signer.hotkeys
    tell(
        chosen,
        {"imported": str(source), "as": f"{wallet}/{hotkey}", "to": str(target), "named": named},
        f"imported {source} as {wallet}/{hotkey}: {target}",
        *([] if named else [f'next: add "{wallet}/{hotkey}" to [signer] hotkeys in {config.path}']),
        "then: systemctl restart wallet-guard, and see that 'wallet-guard status' shows the key",
        f"last: remove the original: shred --remove {source} (flash and copy-on-write disks may keep it)",
        "A hotkey that lived on a rented machine should be swapped: btcli wallet swap-hotkey",
    )
    return 0


def _safe(chosen: argparse.Namespace, data: bytes, password: str, source: Path) -> bytes:
    """What shall lie in the guard: encrypted where asked for, or where it was; a key that can sign in any case."""
    if chosen.encrypt or password or bittensor_core.keyfile_data_is_encrypted(data):
        return _encrypted(data, password or _sealed_password(), source)
    _address(data, source)
    return data


def _name(given: str | None, source: Path) -> tuple[str, str]:
    if given is None and source.parent.name == "hotkeys":
        given = f"{source.parent.parent.name}/{source.name}"
    wallet, slash, hotkey = (given or "").partition("/")
    if not slash:
        raise CommandError(f"{source}: expected …/WALLET/hotkeys/HOTKEY, or its name", "--as WALLET/HOTKEY")
    check_name(wallet)
    check_name(hotkey)
    return wallet, hotkey


def _read(source: Path) -> bytes:
    try:
        with open(os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as opened:
            data = opened.read(MAX_PRIVATE_BYTES + 1)
    except OSError as error:
        raise CommandError(f"{source}: cannot be read: {error.strerror}") from error
    if len(data) > MAX_PRIVATE_BYTES:
        raise CommandError(f"{source}: expected at most {MAX_PRIVATE_BYTES} bytes, found more")
    return data


def _address(data: bytes, source: Path) -> str:
    try:
        pair = bittensor_core.deserialize_keypair_from_keyfile_data(data)
        pair.sign(b"<Bytes>wallet-guard key check</Bytes>")
    except Exception as error:  # noqa: BLE001 -- the library raises various types; all mean that this cannot sign
        # From None: what the library says may hold what it was given.
        raise CommandError(f"{source}: expected a private hotkey, found none ({type(error).__name__})") from None
    return str(pair.ss58_address)


def _encrypted(data: bytes, password: str, source: Path) -> bytes:
    """The file encrypted with that password, and the password sealed."""
    try:
        if not bittensor_core.keyfile_data_is_encrypted(data):
            _address(data, source)
            data = bytes(bittensor_core.encrypt_keyfile_data(data, password))
        _address(bytes(bittensor_core.decrypt_keyfile_data(data, password)), source)
    except (bittensor_core.WrongPasswordError, bittensor_core.KeyfileError):
        raise CommandError(
            f"{source}: expected the password that opens it, found another", "give it: --password-stdin"
        ) from None
    if _sealed() != password:
        _seal(password)
    return data


def _sealed_password() -> str:
    return _sealed() or secrets.token_urlsafe(32)


def _sealed() -> str:
    """The sealed password, "" if there is none."""
    path = STORE / CREDENTIAL
    return _systemd_creds("decrypt", f"--name={CREDENTIAL}", str(path), "-") if path.exists() else ""


def _seal(password: str) -> None:
    path = STORE / CREDENTIAL
    if path.exists():
        raise CommandError(
            f"{path}: holds another password: all keys of a guard share one",
            "import without --password-stdin, or remove it together with the keys that it opens",
        )
    STORE.mkdir(mode=0o700, exist_ok=True)
    _systemd_creds("encrypt", f"--name={CREDENTIAL}", "-", str(path), given=password)
    path.chmod(0o600)


def _systemd_creds(*words: str, given: str = "") -> str:
    try:
        done = subprocess.run(
            ("/usr/bin/systemd-creds", *words),
            input=given,
            capture_output=True,
            text=True,
            check=False,
            timeout=SECONDS,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CommandError(f"systemd-creds: {error}", "it comes with systemd 250 and later") from error
    if done.returncode != 0:
        raise CommandError(f"systemd-creds {words[0]} ended with status {done.returncode}: {done.stderr.strip()[:300]}")
    return done.stdout


def _become_owner_of(target: Path) -> None:
    """Gives up root for the owner of the nearest folder there is: nothing that he planted can mislead us then."""
    folder = next(parent for parent in target.parents if parent.exists())
    owner = folder.stat()
    if owner.st_uid != os.geteuid():
        if os.geteuid() != 0:
            raise CommandError(f"{folder}: belongs to uid {owner.st_uid}", "run this as root")
        os.setgroups([])
        os.setresgid(owner.st_gid, owner.st_gid, owner.st_gid)
        os.setresuid(owner.st_uid, owner.st_uid, owner.st_uid)


def _write(target: Path, data: bytes) -> None:
    for folder in (target.parents[1], target.parent):
        ensure_private_folder(folder)
    try:
        with open(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600), "wb") as opened:
            opened.write(data)
            opened.flush()
            os.fsync(opened.fileno())
    except FileExistsError as error:
        raise CommandError(f"{target}: is there already", "remove it first if it shall be replaced") from error
