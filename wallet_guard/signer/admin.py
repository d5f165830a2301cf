"""What the operator may do, through the admin socket (mode 0600): clients, status, confirmations."""

import base64
from hashlib import sha256

from wallet_guard import __version__
from wallet_guard.host.config import ConfigurationError
from wallet_guard.host.private import check_name
from wallet_guard.ipc.admin import (
    AllowPlain,
    AllowRuntime,
    AuditCheckpoint,
    CheckpointView,
    Lock,
    LockedKey,
    PolicyReload,
    PolicyView,
    StatusAsk,
    StatusView,
    Unlock,
)
from wallet_guard.ipc.answers import Done, Refusal
from wallet_guard.ipc.clients import (
    CALLS,
    MAX_NAME_CHARACTERS,
    ClientAdd,
    ClientAdded,
    ClientRevoke,
    ClientView,
    Info,
    InfoView,
)
from wallet_guard.ipc.health import Health, HealthView
from wallet_guard.signed.audit import Point
from wallet_guard.signed.schemes import AddressError, public_key_of
from wallet_guard.signer.accept import MAX_NETUID
from wallet_guard.signer.desk import Desk
from wallet_guard.signer.grants import find_client
from wallet_guard.signer.journal import Journal
from wallet_guard.signer.keys import Keyring

TOKEN_BYTES = 32
"""256 bits of the system's randomness."""

MIN_TOKEN_CHARACTERS = 32
"""For a token that the operator brings along; ours have 46."""

MAX_TOKEN_CHARACTERS = 512

MAX_CLIENTS = 256

MAX_NETUIDS = 256
"""Of one client: twice the subnets that there are."""

DEFAULT_TOKENS = ("", "default-token", "your-token", "your-secret-api-key")
"""What the documents and code that users come from give as examples, and as defaults that ran."""

STATUS_INTENTS = 20


def check_no_default_tokens(journal: Journal) -> None:
    """Refuses a journal in which a known default is a client's token.

    Raises:
        ConfigurationError: names the client.
    """
    defaults = {sha256(token.encode()).digest() for token in DEFAULT_TOKENS}
    for digest, client in journal.clients():
        if digest in defaults and client.revoked_ms is None:
            raise ConfigurationError(f"client {client.name!r}: expected a random token, found a known default")


def client_add(desk: Desk, question: ClientAdd) -> ClientAdded | Refusal:
    """The new client and its token, which is not kept: only its hash is."""
    why = _wrong_client(desk, question)
    if why:
        return Refusal("invalid_request", why)
    token = question.token
    if token is None and question.public_key is None:
        raw = bytes.fromhex(desk.random_hex(TOKEN_BYTES))
        token = "wg_" + base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
    client = ClientView(
        name=question.name,
        wallet=question.wallet,
        hotkey=question.hotkey,
        calls=question.calls,
        netuids=question.netuids,
        per_hour=question.per_hour,
        created_ms=desk.now_ms(),
        revoked_ms=None,
        public_key=question.public_key,
    )
    with desk.journal.transaction() as writer:
        writer.add_client(None if token is None else sha256(token.encode()).digest(), client)
        writer.record(
            client.created_ms,
            "client_added",
            client.name,
            key=f"{client.wallet}/{client.hotkey}",
            calls=client.calls,
            netuids=client.netuids,
            per_hour=client.per_hour,
            public_key=client.public_key,
        )
    return ClientAdded(client, token)


def _wrong_client(desk: Desk, question: ClientAdd) -> str:
    known = desk.journal.clients()
    try:
        check_name(question.name)
    except ConfigurationError as error:
        return f"name: {error}"
    if len(question.name) > MAX_NAME_CHARACTERS or not question.name.isprintable():
        return f"name: expected at most {MAX_NAME_CHARACTERS} printable characters"
    if any(client.name == question.name for _, client in known):
        return f"name: expected a new one, {question.name!r} is taken (a revoked name stays taken: the audit knows it)"
    if len(known) >= MAX_CLIENTS:
        return f"expected at most {MAX_CLIENTS} clients"
    if desk.keys.find(question.wallet, question.hotkey) is None:
        loaded = ", ".join(f"{key.wallet}/{key.hotkey}" for key in desk.keys) or "none"
        return f"key: expected a loaded hotkey ({loaded}), found {question.wallet[:64]}/{question.hotkey[:64]}"
    why = _wrong_grant(question)
    if why:
        return why
    if question.public_key is not None:
        return _wrong_key(question, {client.public_key for _, client in known}, desk.keys)
    return _wrong_token(question.token, {digest for digest, _ in known})


def _wrong_key(question: ClientAdd, known: set[str | None], keys: Keyring) -> str:
    if question.token is not None:
        return "token: expected none for a client that has a key"
    try:
        public_key_of(str(question.public_key))
    except AddressError as error:
        return f"public_key: {error}"
    if question.public_key in known:
        return "public_key: expected a new one, this one is another client's"
    if keys.of_address(str(question.public_key)) is not None:
        # Whoever may have requests signed with that hotkey could speak as this client.
        return "public_key: expected a key of the client's own, found a hotkey of this guard"
    return ""


def _wrong_grant(question: ClientAdd) -> str:
    for call in question.calls:
        if call not in CALLS:
            return f"calls: expected some of {', '.join(CALLS)}, found {call[:64]!r}"
    if len(set(question.calls)) != len(question.calls):
        return "calls: expected each once"
    if not 1 <= question.per_hour <= 100_000:
        return f"per_hour: expected 1 to 100000, found {question.per_hour}"
    netuids = question.netuids or ()
    if any(not 0 <= netuid <= MAX_NETUID for netuid in netuids):
        return f"netuids: expected 0 to {MAX_NETUID}"
    if len(netuids) > MAX_NETUIDS:
        return f"netuids: expected at most {MAX_NETUIDS}, found {len(netuids)}"
    return ""


def _wrong_token(token: str | None, known: set[bytes]) -> str:
    if token is None:
        return ""
    if token in DEFAULT_TOKENS:
        return "token: expected a random one, found a known default"
    if not MIN_TOKEN_CHARACTERS <= len(token) <= MAX_TOKEN_CHARACTERS or not token.isascii() or not token.isprintable():
        return f"token: expected {MIN_TOKEN_CHARACTERS} to {MAX_TOKEN_CHARACTERS} printable ASCII characters"
    if len(set(token)) < 10:
        return "token: expected a random one, found fewer than 10 different characters"
    if sha256(token.encode()).digest() in known:
        return "token: expected a new one, this one is another client's"
    return ""


def client_revoke(desk: Desk, question: ClientRevoke) -> Done | Refusal:
    """From now on the client's token is nothing; its accepted intents that are not signed yet will fail."""
    for _, client in desk.journal.clients():
        if client.name == question.name and client.revoked_ms is None:
            with desk.journal.transaction() as writer:
                writer.revoke_client(client.name, desk.now_ms())
                writer.record(desk.now_ms(), "client_revoked", client.name)
            return Done()
    return Refusal("unknown_client", f"expected an active client, found none named {question.name[:64]!r}")


def allow_plain(desk: Desk, question: AllowPlain) -> Done | Refusal:
    """Plain weights may be signed again for a subnet that switched commit-reveal off."""
    if not 0 <= question.netuid <= MAX_NETUID or not desk.journal.commit_reveal(desk.genesis, question.netuid):
        return Refusal("not_needed", f"subnet {question.netuid} is not known to have had commit-reveal on")
    with desk.journal.transaction() as writer:
        writer.set_commit_reveal(desk.genesis, question.netuid, False)
        writer.record(desk.now_ms(), "plain_allowed", "", netuid=question.netuid)
    return Done()


def allow_runtime(desk: Desk, question: AllowRuntime) -> Done | Refusal:
    """The runtime of that version may be signed for from now on."""
    if not desk.upgrades.allow(question.spec_version, desk.now_ms()):
        why = desk.upgrades.why or "no runtime is refused at the moment"
        return Refusal("not_needed", f"expected the version of a runtime that was refused: {why}")
    desk.retry_ms.clear()
    desk.on_work()
    return Done()


def lock(desk: Desk, question: Lock) -> Done:
    """Nothing is signed from now on. Locked again, the first reason stays."""
    desk.lockdown.engage(question.reason or "by the operator")
    desk.lockdown.settle(desk.now_ms())
    return Done()


def unlock(desk: Desk, question: Unlock) -> Done | Refusal:
    """Signs again; what was accepted and is not over its deadline goes on. Nothing to do where it is open."""
    if question.key:
        return _unlock_key(desk, question.key)
    if not desk.lockdown.why:
        return Done()
    left_ms = desk.generation.until_ms - desk.now_ms()
    if left_ms > 0 and not question.force:
        seconds = -(-left_ms // 1000)
        return Refusal(
            "too_early",
            f"the journal was restored from a backup: what was signed after it may live for another "
            f"{seconds // 60} min {seconds % 60} s, and could be signed again",
            "unlock then; '--force' if you know that nothing was signed after the backup",
            retry_after_seconds=seconds,
        )
    try:
        desk.lockdown.release(desk.now_ms(), forced=left_ms > 0)
    except OSError as error:
        return Refusal("lock_file", f"the lock file cannot be removed: {error.strerror}", "mend that, then unlock")
    # What was put off only because of the lock is due now.
    desk.retry_ms.clear()
    desk.on_work()
    return Done()


def _unlock_key(desk: Desk, name: str) -> Done | Refusal:
    key = desk.keys.find(*name.partition("/")[::2])
    if key is None:
        return Refusal("unknown_wallet", f"expected a loaded hotkey (wallet/hotkey), found {name[:130]!r}")
    if desk.lanes.why(key.ss58_address):
        desk.lanes.release(key, desk.now_ms())
        desk.retry_ms.clear()
        desk.on_work()
    return Done()


def audit_checkpoint(desk: Desk, _question: AuditCheckpoint) -> CheckpointView | Refusal:
    """The chain as it stands on disk, signed with the audit key."""
    if desk.journal.error:
        return Refusal("journal_unavailable", desk.journal.error, "mend the disk, then restart the signer")
    note = desk.audit_key.checkpoint(Point(*desk.journal.audit_head), desk.now_ms())
    return CheckpointView(note, str(desk.audit_key.verifier))


def policy_reload(desk: Desk, _question: PolicyReload) -> PolicyView:
    """What is in force once the file was read again."""
    desk.policies.want()
    desk.policies.reload(desk.journal, desk.now_ms())
    return _policy(desk)


def _policy(desk: Desk) -> PolicyView:
    policies = desk.policies
    return PolicyView(policies.path, policies.current.sha256, policies.error)


def info(desk: Desk, question: Info) -> InfoView | Refusal:
    """What the token is good for."""
    client = find_client(desk, question.token)
    if isinstance(client, Refusal):
        return client
    key = desk.keys.find(client.wallet, client.hotkey)
    locked = desk.check_unlocked() or (desk.check_key_unlocked(key) if key else None)
    return InfoView(client, () if key is None else (key.view(),), locked.message if locked else "")


def health(desk: Desk, _question: Health) -> HealthView:
    """Counts, and what is wrong at the moment."""
    chain = desk.chain
    runtime = max((spec for spec, _ in chain.runtimes), default=None)
    return HealthView(
        version=__version__,
        keys=len(desk.keys),
        clients=sum(client.revoked_ms is None for _, client in desk.journal.clients()),
        open_intents=desk.journal.count_open(),
        journal_error=desk.journal.error,
        runtime=runtime,
        chain_trouble="the chain process has not spoken yet" if chain.pulse is None else chain.pulse.trouble,
        chain_seconds=None if chain.pulse is None else (desk.now_ms() - chain.pulse_ms) / 1000,
        locked=desk.lockdown.why,
    )


def status(desk: Desk, _question: StatusAsk) -> StatusView:
    """Everything at a glance."""
    seq, head = desk.journal.audit_head
    pulse = desk.chain.pulse
    return StatusView(
        health=health(desk, Health()),
        keys=tuple(key.view() for key in desk.keys),
        clients=tuple(client for _, client in desk.journal.clients()),
        genesis_hash=desk.genesis or None,
        endpoint=pulse.endpoint if pulse else "",
        best_block=pulse.best_block if pulse else None,
        finalized_block=pulse.finalized_block if pulse else None,
        audit_seq=seq,
        audit_head=head.hex(),
        locked_keys=tuple(
            LockedKey(key.wallet, key.hotkey, desk.lanes.why(key.ss58_address))
            for key in desk.keys
            if desk.lanes.why(key.ss58_address)
        ),
        generation=desk.generation.number,
        runtime_trouble=desk.upgrades.why,
        policy=_policy(desk),
        intents=tuple(desk.view(intent) for intent in desk.journal.newest_intents(STATUS_INTENTS)),
    )
