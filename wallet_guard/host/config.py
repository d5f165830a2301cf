"""The one configuration file: strict TOML, every key known, every value checked, defaults that are safe.

All processes read the same file (it holds no secret); each uses its own section. An unknown key, a wrong
type or a value out of range is a ``ConfigurationError`` that names file, key, what was expected and what
was found.
"""

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wallet_guard.host.tables import ConfigurationError as ConfigurationError
from wallet_guard.host.tables import read_section, read_toml

CONFIG_FILE = "wallet-guard.toml"

FINNEY_GENESIS = "0x2f0555cc76fc2840a25a6ea3b9637146806f1f44b090c175ffde2a7e5ab36c03"
"""Mainnet (``bittensor.settings.FINNEY_GENESIS_HASH``)."""

NETWORKS = {
    "finney": (("wss://entrypoint-finney.opentensor.ai:443",), FINNEY_GENESIS),
    "test": (("wss://test.finney.opentensor.ai:443",), ""),
    "local": (("ws://127.0.0.1:9944",), ""),
}
"""Endpoints and genesis of the networks that have a name; "" is pinned at first contact."""


MAX_NETUID = 4095
"""The chain's ``GLOBAL_MAX_SUBNET_COUNT``, less one."""


@dataclass(frozen=True, slots=True)
class SignerConfig:
    """``[signer]``: what the key holder keeps and how long its signatures may live."""

    state: str
    """Folder of the journal, mode 0700, owned by the signer's uid."""
    wallets: str = "~/.bittensor/wallets"
    """The Bittensor wallets folder: <wallets>/<wallet>/hotkeys/<hotkey>."""
    hotkeys: tuple[str, ...] = ()
    """``wallet/hotkey`` names to load; nothing else is opened."""
    policy: str = ""
    """The policy file (``host.policy``); relative to this file. "" lets the clients' grants alone decide."""
    canary: str = ""
    """``wallet/hotkey`` of a key that nobody has a reason to ask for: any request that names it locks the signer."""
    password_file: str = ""
    """Where encrypted hotkeys find their password: a file of mode 0600 or 0400, one line."""
    gateway_user: str = ""
    """User that the gateway runs as; "" is the signer's own (development)."""
    chain_user: str = ""
    """User that the chain process runs as; "" is the signer's own (development)."""
    era_blocks: int = 16
    """Blocks that a signature lives: a power of two, 4 to 128.

    16 blocks are 3.2 minutes, so that one that got lost can be signed anew within the default deadline.
    """
    keep_days: int = 90
    """Days that intents are kept, 7 to 3650, and with them their idempotency keys. The audit chain is kept for ever."""
    runtime: str = "same-shape"
    """Which runtimes are signed for: ``same-shape``, ``pin`` or ``follow`` (any).

    ``same-shape`` is any in which all that our signatures mean is unchanged; ``pin`` the first one seen, or the last
    one allowed.
    """
    deadline_seconds: float = 300.0
    """How long an accepted intent may wait to be signed."""
    max_shift: float = 0.5
    """How far the subnet's limits may move weights from the request: half the L1 distance of shares."""

    session_seconds: int = 3600
    """The longest lifetime of a session certificate, 60 to 86400: there is no revocation but time."""
    hub_hotkeys: tuple[str, ...] = ()
    """``wallet/hotkey`` names that the hub may greet for; () leaves its socket closed."""
    hub_user: str = ""
    """User that the hub runs as; "" is the signer's own (development)."""


@dataclass(frozen=True, slots=True)
class ChainConfig:
    """``[chain]``: which chain, and how to reach it."""

    network: str = "finney"
    """``finney``, ``test`` or ``local``; fills the two keys below where they are empty."""
    endpoints: tuple[str, ...] = ()
    """WebSocket URLs, tried in order; ``BT_FALLBACK_ENDPOINTS`` (comma separated) are tried after them."""
    genesis: str = ""
    """0x-hex; "" means the network's known one, or pinned at first contact."""
    block_time_seconds: float = 12.0
    """The chain's block time by our own word: eras and intervals are timed by it, whatever a node says."""
    metadata_digest: bool = True
    """Sign the RFC-0078 metadata digest in (CheckMetadataHash)."""
    metadata_sha256: tuple[str, ...] = ()
    """SHA-256 (hex) of the runtime metadata that may be used; must be given where metadata_digest is off."""


@dataclass(frozen=True, slots=True)
class GatewayConfig:
    """``[gateway]``: where clients come in."""

    unix: str = ""
    """Path of the client socket (mode 0660); "" is gateway.sock in the run folder."""
    tcp: tuple[str, ...] = ("127.0.0.1:8000",)
    """Addresses, host:port. One that is not loopback wants TLS."""
    tls_certificate: str = ""
    """PEM file of the certificate chain; with it every TCP address speaks TLS, "" is none."""
    tls_key: str = ""
    """PEM file of its private key, mode 0600 or 0400."""
    tls_client_ca: str = ""
    """PEM file of the issuers that clients' certificates must have (mutual TLS); "" asks for none."""
    tokens_in_clear: bool = False
    """Accept that tokens travel readable beyond this host: inside a tunnel that does what TLS would."""
    metrics: str = ""
    """Address where /metrics is for Prometheus, such as 127.0.0.1:9464; beyond loopback with tls_client_ca only."""


@dataclass(frozen=True, slots=True)
class HubConfig:
    """``[hub]``: where miners come in, for messages."""

    enabled: bool = False
    """Run it; what stands here is checked either way."""
    hotkey: str = ""
    """``wallet/hotkey`` of the validator that it greets for, one of ``[signer] hub_hotkeys``."""
    netuid: int = -1
    """The subnet whose registered hotkeys may connect."""
    tcp: tuple[str, ...] = ("127.0.0.1:8091",)
    """Addresses, host:port. One that is not loopback wants TLS."""
    tls_certificate: str = ""
    """PEM file of the certificate chain; with it every address speaks TLS, "" is none."""
    tls_key: str = ""
    """PEM file of its private key, mode 0600 or 0400."""
    messages_in_clear: bool = False
    """Accept that others may read the messages (not alter them): they are signed, not secret."""
    metagraph: str = ""
    """Path of the socket where the chain process answers it; "" is chain-hub.sock in the run folder."""
    allow: tuple[str, ...] = ()
    """Addresses (ss58) of hotkeys that may connect though they are not registered."""
    deny: tuple[str, ...] = ()
    """Addresses of hotkeys that may not, whoever they are."""


@dataclass(frozen=True, slots=True)
class Config:
    """The whole file. ``path`` is where it was read, for messages."""

    path: str
    run: str
    """Folder of the sockets between the processes, mode 0750 or tighter."""
    signer: SignerConfig
    chain: ChainConfig = field(default_factory=ChainConfig)
    gateway: GatewayConfig = field(default_factory=GatewayConfig)
    hub: HubConfig = field(default_factory=HubConfig)

    def socket(self, name: str) -> str:
        """Path of the signer's socket for ``gateway``, ``chain`` or ``admin``."""
        return str(Path(self.run) / f"signer-{name}.sock")

    @property
    def policy_path(self) -> str:
        """Where the policy file is, "" if there is none."""
        policy = self.signer.policy
        return str(Path(self.path).absolute().parent / Path(policy).expanduser()) if policy else ""

    @property
    def metagraph_socket(self) -> str:
        """Path of the chain process's socket, where the hub asks who is registered."""
        return self.hub.metagraph or str(Path(self.run) / "chain-hub.sock")

    @property
    def client_socket(self) -> str:
        """Path of the socket that clients (curl, neurons) use."""
        return self.gateway.unix or str(Path(self.run) / "gateway.sock")


def load_config(path: str | Path) -> Config:
    """The checked configuration.

    Raises:
        ConfigurationError: no such file, no TOML, an unknown or missing key, a wrong type, a value out of
            range.
    """
    return parse_config(read_toml(path, "'wallet-guard init' writes one"), str(path))


def parse_config(table: dict[str, Any], path: str) -> Config:
    """The configuration that a TOML table spells; see ``load_config``."""
    sections: dict[str, Any] = {
        "signer": SignerConfig,
        "chain": ChainConfig,
        "gateway": GatewayConfig,
        "hub": HubConfig,
    }
    known = {"run", *sections}
    for key in table.keys() - known:
        raise ConfigurationError(f"{path}: unknown key {key!r}, expected one of {', '.join(sorted(known))}")
    read = {name: read_section(record, table.get(name, {}), f"{path}: [{name}]") for name, record in sections.items()}
    run = table.get("run")
    if not isinstance(run, str) or not run:
        raise ConfigurationError(f"{path}: run: expected the path of a folder, found {run!r}")
    config = Config(path=path, run=_expand(run), **read)
    _check_signer(config)
    _check_gateway(config)
    _check_hub(config)
    return dataclasses.replace(config, chain=_checked_chain(config.chain, path))


def _expand(path: str) -> str:
    return str(Path(path).expanduser().absolute())


def _check_signer(config: Config) -> None:
    signer, where = config.signer, f"{config.path}: [signer]"
    if signer.era_blocks not in (4, 8, 16, 32, 64, 128):
        raise ConfigurationError(
            f"{where} era_blocks: expected a power of two from 4 to 128, found {signer.era_blocks}"
        )
    if signer.canary and ("/" not in signer.canary or signer.canary in signer.hotkeys):
        raise ConfigurationError(
            f"{where} canary: expected 'wallet/hotkey' that is not among hotkeys, found {signer.canary!r}"
        )
    if not 7 <= signer.keep_days <= 3650:
        raise ConfigurationError(f"{where} keep_days: expected 7 to 3650, found {signer.keep_days}")
    if signer.runtime not in ("same-shape", "pin", "follow"):
        raise ConfigurationError(
            f"{where} runtime: expected 'same-shape', 'pin' or 'follow', found {signer.runtime[:40]!r}"
        )
    if not 1 <= signer.deadline_seconds <= 86_400:
        raise ConfigurationError(f"{where} deadline_seconds: expected 1 to 86400, found {signer.deadline_seconds:g}")
    for entry in signer.hub_hotkeys:
        if entry not in signer.hotkeys:
            raise ConfigurationError(f"{where} hub_hotkeys: expected some of hotkeys, found {entry!r}")
    if not 60 <= signer.session_seconds <= 86_400:
        raise ConfigurationError(f"{where} session_seconds: expected 60 to 86400, found {signer.session_seconds}")
    if not 0 <= signer.max_shift <= 1:
        raise ConfigurationError(f"{where} max_shift: expected 0 to 1, found {signer.max_shift:g}")


def _check_gateway(config: Config) -> None:
    gateway, where = config.gateway, f"{config.path}: [gateway]"
    if bool(gateway.tls_certificate) != bool(gateway.tls_key):
        raise ConfigurationError(f"{where} tls_certificate and tls_key: expected both or none, found one")
    if gateway.tls_client_ca and not gateway.tls_certificate:
        raise ConfigurationError(f"{where} tls_client_ca: expected tls_certificate and tls_key with it, found none")


def _check_hub(config: Config) -> None:
    hub, where = config.hub, f"{config.path}: [hub]"
    if bool(hub.tls_certificate) != bool(hub.tls_key):
        raise ConfigurationError(f"{where} tls_certificate and tls_key: expected both or none, found one")
    if not hub.enabled:
        return
    if hub.hotkey not in config.signer.hub_hotkeys:
        raise ConfigurationError(f"{where} hotkey: expected one of [signer] hub_hotkeys, found {hub.hotkey!r}")
    if not 0 <= hub.netuid <= MAX_NETUID:
        raise ConfigurationError(f"{where} netuid: expected 0 to {MAX_NETUID}, found {hub.netuid}")


def _checked_chain(chain: ChainConfig, path: str) -> ChainConfig:
    where = f"{path}: [chain]"
    if chain.network not in NETWORKS:
        raise ConfigurationError(f"{where} network: expected one of {', '.join(NETWORKS)}, found {chain.network!r}")
    endpoints, genesis = NETWORKS[chain.network]
    chain = dataclasses.replace(chain, endpoints=chain.endpoints or endpoints, genesis=chain.genesis.lower() or genesis)
    for endpoint in chain.endpoints:
        if not endpoint.startswith(("ws://", "wss://")):
            raise ConfigurationError(f"{where} endpoints: expected ws:// or wss:// URLs, found {endpoint!r}")
    if chain.genesis and not (chain.genesis.startswith("0x") and _is_hash(chain.genesis[2:])):
        raise ConfigurationError(f"{where} genesis: expected 0x and 64 hex digits, found {chain.genesis!r}")
    if not 0.05 <= chain.block_time_seconds <= 120:
        raise ConfigurationError(
            f"{where} block_time_seconds: expected 0.05 to 120, found {chain.block_time_seconds:g}"
        )
    for digest in chain.metadata_sha256:
        # Lower case: it is compared with what hashlib writes.
        if not _is_hash(digest) or digest != digest.lower():
            raise ConfigurationError(f"{where} metadata_sha256: expected 64 lower-case hex digits, found {digest!r}")
    if not chain.metadata_digest and not (chain.genesis and chain.metadata_sha256):
        raise ConfigurationError(
            f"{where} metadata_digest: expected genesis and metadata_sha256 to be pinned where it is off: "
            "without the digest nothing else ties a signature to the runtime that it was meant for"
        )
    return chain


def _is_hash(text: str) -> bool:
    return len(text) == 64 and all(digit in "0123456789abcdef" for digit in text.lower())
