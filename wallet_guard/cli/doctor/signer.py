"""What the running signer says about itself, and what its journal shows."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

from wallet_guard import __version__
from wallet_guard.cli.doctor.files import config_of
from wallet_guard.cli.doctor.findings import Check, Finding, SkippedError, note, warning
from wallet_guard.cli.doctor.scene import JournalSight, Scene
from wallet_guard.host.config import ConfigurationError
from wallet_guard.host.policy import read_policy
from wallet_guard.ipc.admin import StatusView
from wallet_guard.ipc.clients import CALLS

SILENT_SECONDS = 30
"""The chain process speaks every 10."""

UNUSED_DAYS = 7
"""A token that nobody used for a week after it was made is one that nobody would miss, or that never arrived."""

RESERVE_BYTES = 8 * 1024 * 1024
"""As ``signer.disk`` makes it."""

_DAY_MS = 86_400_000
"""A day."""

SOON_MS = 14 * _DAY_MS
"""Two weeks to give a node another token."""


def _status(scene: Scene) -> StatusView:
    if scene.status is None:
        raise SkippedError("the signer does not answer")
    return scene.status


def _journal(scene: Scene) -> JournalSight:
    if scene.journal is None:
        raise SkippedError("the journal cannot be read here; as root, or as the signer's user, it can")
    return scene.journal


def answers(scene: Scene) -> Iterator[Finding]:
    """Does it run, and may we ask?"""
    if scene.status_error:
        start = "systemctl start wallet-guard" if scene.is_system else "wallet-guard serve"
        yield Finding(scene.status_error, "run this as root" if "not yours" in scene.status_error else start)


def versions(scene: Scene) -> Iterator[Finding]:
    """An upgrade that was not followed by a restart."""
    running = _status(scene).health.version
    if running != __version__:
        yield Finding(f"the signer runs {running}, this command is {__version__}", "systemctl restart wallet-guard")


def lockdown(scene: Scene) -> Iterator[Finding]:
    """Nothing is signed while it is locked."""
    if scene.status is not None:
        why = scene.status.health.locked
    else:
        lock = scene.at(Path(config_of(scene).signer.state)) / "lock"
        why = "the file 'lock' in the state folder" if lock.exists() else ""
    if why:
        yield Finding(f"locked, nothing is signed: {why}", "find out why, then: wallet-guard unlock")


def journal_error(scene: Scene) -> Iterator[Finding]:
    """After an error nothing is signed until a restart."""
    error = _status(scene).health.journal_error
    if error:
        yield Finding(error, "mend the disk, then: systemctl restart wallet-guard-signer")


def audit_chain(scene: Scene) -> Iterator[Finding]:
    """Every record, from the first."""
    broken = _journal(scene).broken
    if broken:
        yield Finding(f"the audit chain is broken: {broken}", "do not go on; compare: wallet-guard restore BACKUP.tar")


def reserve(scene: Scene) -> Iterator[Finding]:
    """Room in which refusals can still be written down when the disk is full."""
    state = Path(config_of(scene).signer.state).expanduser()
    if not scene.at(state / "journal.sqlite3").exists():
        raise SkippedError("there is no journal yet")
    path = scene.at(state / "reserve")
    if not path.exists() or path.stat().st_blocks * 512 < RESERVE_BYTES:
        yield Finding(
            f"{state / 'reserve'} is not there or too small: the disk is or was full", "make room; it comes back"
        )


def locked_hotkeys(scene: Scene) -> Iterator[Finding]:
    """Somebody else signs with them."""
    for locked in _status(scene).locked_keys:
        name = f"{locked.wallet}/{locked.hotkey}"
        yield Finding(
            f"hotkey {name} is locked: {locked.why}", f"find who else has it, then: wallet-guard unlock --key {name}"
        )


def runtime(scene: Scene) -> Iterator[Finding]:
    """A runtime that is not signed for."""
    trouble = _status(scene).runtime_trouble
    if trouble:
        yield Finding(f"the chain's runtime is not signed for: {trouble}", "wallet-guard allow-runtime SPEC_VERSION")


def policy_in_force(scene: Scene) -> Iterator[Finding]:
    """What the file says is in force only once it was read."""
    found = _status(scene).policy
    if found.error:
        yield Finding(f"the policy in force is not the file's: {found.error}", "wallet-guard policy check, then reload")
        return
    wanted = config_of(scene).policy_path
    if found.path != wanted:
        yield Finding(
            f"the policy in force is {found.path or 'none'}, configured is {wanted or 'none'}",
            "systemctl restart wallet-guard-signer",
        )
    elif wanted and hashlib.sha256(scene.at(wanted).read_bytes()).hexdigest() != found.sha256:
        yield Finding(f"{wanted} was changed since the signer read it", "wallet-guard policy reload")


def token_time(scene: Scene) -> Iterator[Finding]:
    """Tokens whose time the policy ends."""
    path = config_of(scene).policy_path
    if not path:
        raise SkippedError("no policy file is configured")
    try:
        policy = read_policy(scene.at(path), CALLS)
    except ConfigurationError as error:
        raise SkippedError(f"{path} cannot be used") from error
    for client in _status(scene).clients:
        ends = found.expires_ms if (found := policy.of(client.name)) else None
        if client.revoked_ms is not None or ends is None:
            continue
        mend = f"a later 'expires' in {path}, or: wallet-guard client revoke {client.name}"
        if scene.now_ms >= ends:
            yield Finding(f"the token of client {client.name!r} has expired", mend)
        elif ends - scene.now_ms < SOON_MS:
            yield warning(
                f"the token of client {client.name!r} expires in {(ends - scene.now_ms) // _DAY_MS} days", mend
            )


def chain_process(scene: Scene) -> Iterator[Finding]:
    """Does it live, and does it reach the chain?"""
    health = _status(scene).health
    start = "systemctl restart wallet-guard-chain" if scene.is_system else "see the log of wallet-guard serve"
    if health.chain_seconds is None:
        yield Finding("the chain process has not spoken yet", start)
    elif health.chain_seconds > SILENT_SECONDS:
        yield Finding(f"the chain process is silent for {health.chain_seconds:.0f} s", start)
    elif health.chain_trouble:
        yield Finding(f"the chain process: {health.chain_trouble}", "look at [chain] endpoints and the firewall")


def keys_loaded(scene: Scene) -> Iterator[Finding]:
    """Keys are read at the start: what was named since then is not there yet."""
    loaded = {f"{key.wallet}/{key.hotkey}" for key in _status(scene).keys}
    for entry in config_of(scene).signer.hotkeys:
        if entry not in loaded:
            yield Finding(f"hotkey {entry} is named, but not loaded", "systemctl restart wallet-guard-signer")


def clients(scene: Scene) -> Iterator[Finding]:
    """Somebody must be allowed to ask."""
    found = _status(scene).clients
    if not found:
        yield warning("no client: nobody may ask", "wallet-guard client add NAME --netuid N")
    elif all(client.revoked_ms is not None for client in found):
        yield warning("every client is revoked: nobody may ask", "wallet-guard client add NAME --netuid N")


def client_keys(scene: Scene) -> Iterator[Finding]:
    """A client whose hotkey is not loaded is refused everything."""
    status = _status(scene)
    loaded = {(key.wallet, key.hotkey) for key in status.keys}
    for client in status.clients:
        if client.revoked_ms is None and (client.wallet, client.hotkey) not in loaded:
            yield Finding(
                f"client {client.name!r} may use {client.wallet}/{client.hotkey}, which is not loaded",
                f'add "{client.wallet}/{client.hotkey}" to [signer] hotkeys, or: wallet-guard client revoke '
                f"{client.name}",
            )


def client_scope(scene: Scene) -> Iterator[Finding]:
    """Least privilege: a token for one subnet cannot be used on another."""
    for client in _status(scene).clients:
        if client.revoked_ms is None and client.netuids is None:
            yield note(f"client {client.name!r} may use any subnet", "make a new one with --netuid, revoke this one")


def client_use(scene: Scene) -> Iterator[Finding]:
    """Tokens that lie around, unused, are there to be found by others."""
    used = _journal(scene).active_clients
    for client in _status(scene).clients:
        if client.revoked_ms is not None or client.name in used:
            continue
        if scene.now_ms - client.created_ms > UNUSED_DAYS * _DAY_MS:
            yield warning(
                f"client {client.name!r} never asked for anything in {UNUSED_DAYS} days",
                f"wallet-guard client revoke {client.name}",
            )


def stuck_intents(scene: Scene) -> Iterator[Finding]:
    """Something stands in their way."""
    for intent in _status(scene).intents:
        if intent.trouble:
            yield warning(
                f"intent {intent.intent[:8]} of {intent.client} is {intent.state}: {intent.trouble[:120]}",
                f"wallet-guard intents show {intent.intent[:8]}",
            )


CHECKS = (
    Check("signer", answers),
    Check("versions", versions),
    Check("lockdown", lockdown),
    Check("journal-error", journal_error),
    Check("audit-chain", audit_chain),
    Check("reserve", reserve),
    Check("locked-hotkeys", locked_hotkeys),
    Check("runtime", runtime),
    Check("policy-in-force", policy_in_force),
    Check("token-expiry", token_time),
    Check("chain-process", chain_process),
    Check("keys-loaded", keys_loaded),
    Check("clients", clients),
    Check("client-keys", client_keys),
    Check("client-scope", client_scope),
    Check("client-use", client_use),
    Check("intents", stuck_intents),
)
