"""What the configuration and the environment say, and should not."""

import ipaddress
from collections.abc import Iterator
from urllib.parse import urlsplit

from wallet_guard.cli.doctor.files import config_of
from wallet_guard.cli.doctor.findings import Check, Finding, SkippedError, note, warning
from wallet_guard.cli.doctor.scene import UNITS, Scene
from wallet_guard.host.config import ConfigurationError
from wallet_guard.host.policy import read_policy
from wallet_guard.ipc.clients import CALLS

DEFAULT_TOKENS = ("default-token", "your-token", "your-secret-api-key")
"""As the signer refuses them (``signer.admin``): what documents give as examples, and what then ran."""

SHORT_TOKEN = 32
"""Characters; ours have 46."""

TOKEN_VARIABLES = ("WALLET_SERVICE_TOKEN", "PYLON_TOKEN")

FALLBACK_VARIABLE = "BT_FALLBACK_ENDPOINTS"


def tokens(scene: Scene) -> Iterator[Finding]:
    """A token in this environment that is no secret, or is a default."""
    mend = "wallet-guard client add NAME, and give the node what it prints"
    for variable in TOKEN_VARIABLES:
        token = scene.environment.get(variable)
        if token is None:
            continue
        if not token.strip():
            yield Finding(f"{variable} is set to nothing: the gateway will not start beside it", f"unset {variable}")
        elif token.strip() in DEFAULT_TOKENS:
            yield Finding(f"{variable} is a known default", mend)
        elif len(token.strip()) < SHORT_TOKEN:
            yield Finding(f"{variable} has {len(token.strip())} characters, expected {SHORT_TOKEN} at least", mend)


def fallback_endpoints(scene: Scene) -> Iterator[Finding]:
    """Endpoints that the environment adds: one that is no URL keeps the chain process from starting."""
    for url in scene.environment.get(FALLBACK_VARIABLE, "").split(","):
        if url.strip() and not url.strip().startswith(("ws://", "wss://")):
            yield Finding(
                f"{FALLBACK_VARIABLE}: expected ws:// or wss:// URLs, found {url.strip()[:40]!r}",
                f"unset {FALLBACK_VARIABLE}",
            )


def listeners(scene: Scene) -> Iterator[Finding]:
    """A token must not travel readable beyond this host."""
    config = config_of(scene)
    if config.gateway.tls_certificate:
        return
    far = [address for address in (*config.gateway.tcp, *_unit_addresses(scene)) if not _is_loopback(address)]
    for address in dict.fromkeys(far):
        if config.gateway.tokens_in_clear:
            yield warning(
                f"[gateway] tokens_in_clear with {address}: tokens travel readable",
                "only inside a tunnel; else set tls_certificate and tls_key",
            )
        else:
            yield Finding(
                f"the gateway listens on {address} without TLS: it will not start",
                "set [gateway] tls_certificate and tls_key",
            )


def _unit_addresses(scene: Scene) -> list[str]:
    """TCP addresses that drop-ins add to the socket unit."""
    found = []
    for path in sorted(scene.at(UNITS / "wallet-guard-tcp.socket.d").glob("*.conf")):
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            key, equals, value = line.partition("=")
            if equals and key.strip() == "ListenStream" and ":" in value:
                found.append(value.strip())
    return found


def _is_loopback(address: str) -> bool:
    host = address.rpartition(":")[0].strip("[]")
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def endpoints(scene: Scene) -> Iterator[Finding]:
    """Beyond this host and its private networks a chain endpoint should be wss."""
    for url in config_of(scene).chain.endpoints:
        host = urlsplit(url).hostname or ""
        try:
            is_near = ipaddress.ip_address(host).is_private
        except ValueError:
            is_near = host == "localhost" or "." not in host
        if url.startswith("ws://") and not is_near:
            yield warning(
                f"[chain] endpoints: {url[:80]} is in clear: whoever sits between can hold back blocks",
                f"use {url[:80].replace('ws://', 'wss://', 1)}, or a node of your own",
            )


def genesis_pin(scene: Scene) -> Iterator[Finding]:
    """Without it the first endpoint that answers says which chain is ours."""
    config = config_of(scene)
    if config.chain.genesis or config.chain.network == "local":
        return
    known = scene.status.genesis_hash if scene.status else None
    yield note(
        f"[chain] genesis is not given: {'pinned at first contact' if known else 'the first answer will be taken'}",
        f'genesis = "{known or "0x…"}" in {config.path}',
    )


def metadata_digest(scene: Scene) -> Iterator[Finding]:
    """It ties a signature to the runtime that it was meant for."""
    config = config_of(scene)
    if not config.chain.metadata_digest:
        yield warning("[chain] metadata_digest is off", f"metadata_digest = true in {config.path}, unless refused")


def block_time(scene: Scene) -> Iterator[Finding]:
    """Intervals are timed by it; finney and test have blocks of 12 s."""
    chain = config_of(scene).chain
    if chain.network in ("finney", "test") and chain.block_time_seconds != 12.0:
        yield Finding(
            f"[chain] block_time_seconds is {chain.block_time_seconds:g}, {chain.network} has blocks of 12 s",
            "block_time_seconds = 12.0",
        )


def users(scene: Scene) -> Iterator[Finding]:
    """Each process wants a uid of its own, and it must exist."""
    signer = config_of(scene).signer
    named = {"gateway_user": signer.gateway_user, "chain_user": signer.chain_user}
    for option, user in named.items():
        if not user:
            if scene.is_system:
                yield Finding(f"[signer] {option} is empty: only the signer's own uid may ask", f"name it: {option} =")
        elif scene.uid_of(user) is None:
            yield Finding(f"[signer] {option}: there is no user {user!r}", "systemd-sysusers")
        elif scene.uid_of(user) == scene.owner:
            yield Finding(
                f"[signer] {option} {user!r} is the signer's own uid: it could read the keys",
                "systemd-sysusers, and name a user of its own",
            )
    if signer.gateway_user and signer.gateway_user == signer.chain_user:
        yield warning(
            f"[signer] gateway_user and chain_user are both {signer.gateway_user!r}: the SDK sits beside the tokens",
            "name two users",
        )


def policy(scene: Scene) -> Iterator[Finding]:
    """Can the file be read, is it whole and right, and nobody else's to write?"""
    path = config_of(scene).policy_path
    if not path:
        yield note("no policy file: the clients' grants alone decide", 'policy = "policy.toml" in [signer]')
        return
    try:
        read_policy(scene.at(path), CALLS)
    except ConfigurationError as error:
        found = str(error).replace(str(scene.at(path)), path)
        yield Finding(f"the policy is not what it should be: {found}", f"wallet-guard policy check {path}")


def hub(scene: Scene) -> Iterator[Finding]:
    """A hub that may greet for nobody, or that is wanted and cannot be."""
    config = config_of(scene)
    enabled = scene.at(UNITS / "multi-user.target.wants/wallet-guard-hub.service").is_symlink()
    if not (config.hub.enabled or config.signer.hub_user or enabled or scene.process("hub")):
        raise SkippedError("no hub is wanted")
    if not config.signer.hub_hotkeys:
        yield Finding(
            "a hub is set up, but [signer] hub_hotkeys is empty: its socket stays closed",
            f'hub_hotkeys = ["WALLET/HOTKEY"] in {config.path}, then restart the signer',
        )
    if enabled and not config.hub.enabled:
        yield Finding("the hub's unit is enabled, [hub] enabled is not true", f"enabled = true in {config.path}")
    if scene.is_system and config.hub.enabled and scene.uid_of(config.signer.hub_user or "") is None:
        yield Finding(
            f"[signer] hub_user: there is no user {config.signer.hub_user!r}",
            'hub_user = "wallet-guard-hub", systemd-sysusers',
        )
    if config.hub.enabled and not config.hub.tls_certificate:
        for address in config.hub.tcp:
            if not _is_loopback(address):
                say = warning if config.hub.messages_in_clear else Finding
                yield say(f"[hub] {address} is open beyond this host without TLS", "set [hub] tls_certificate, tls_key")


def deadline(scene: Scene) -> Iterator[Finding]:
    """A signature that got lost is signed anew only within the deadline."""
    config = config_of(scene)
    life = config.signer.era_blocks * config.chain.block_time_seconds
    if config.signer.deadline_seconds < life:
        yield warning(
            f"[signer] deadline_seconds is {config.signer.deadline_seconds:g}, a signature lives {life:g} s: "
            "one that got lost is not signed anew",
            f"deadline_seconds = {life * 1.5:g}, or fewer era_blocks",
        )


CHECKS = (
    Check("tokens-in-environment", tokens),
    Check("fallback-endpoints", fallback_endpoints),
    Check("listeners", listeners),
    Check("endpoints", endpoints),
    Check("genesis-pin", genesis_pin),
    Check("metadata-digest", metadata_digest),
    Check("block-time", block_time),
    Check("deadline", deadline),
    Check("users", users),
    Check("policy", policy),
    Check("hub", hub),
)
