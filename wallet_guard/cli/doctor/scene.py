"""What a guard is judged by, gathered once: so that a check is a function of it, and can be tried without a host."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from wallet_guard.cli.doctor.processes import Process, read_processes
from wallet_guard.host.config import CONFIG_FILE, Config
from wallet_guard.ipc.admin import StatusView

UNITS = Path("/etc/systemd/system")

SIGNER_UNIT = UNITS / "wallet-guard-signer.service"

SYSTEM_CONFIG = Path("/etc/wallet-guard") / CONFIG_FILE

Say = Callable[..., str | None]
"""What a program prints (words in), None where it cannot be run or says no."""


@dataclass(frozen=True, slots=True)
class Neuron:
    """One loaded hotkey on one subnet that a client may use it on, as the chain shows it.

    ``stake_rao`` is its own alpha and its own share of root: what others' child keys add is not in it.
    """

    key: str
    netuid: int
    subnet_exists: bool
    uid: int | None = None
    permit: bool = False
    stake_rao: int = 0
    last_update: int = 0
    rate_limit: int = 0


@dataclass(frozen=True, slots=True)
class ChainSight:
    """What one endpoint says, asked by ourselves: not by the signer, and not through the chain process."""

    endpoint: str
    genesis: str
    best_block: int
    time_ms: int
    stake_threshold_rao: int = 0
    neurons: tuple[Neuron, ...] = ()


@dataclass(frozen=True, slots=True)
class JournalSight:
    """The journal's file, read without the signer: the chain's length or why it is broken; who ever asked."""

    records: int = 0
    broken: str = ""
    active_clients: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Scene:
    """One guard. An ``…_error`` says why its neighbour is None ("" if nobody looked).

    ``root`` is "/", or a folder that stands for it; ``owner`` the uid that the signer runs as, None where nobody can
    tell; ``package`` the folder with the units and locks that came with this command, None if it has none.
    """

    config_path: str
    config: Config | None
    config_error: str = ""
    root: Path = Path("/")
    environment: Mapping[str, str] = field(default_factory=dict)
    now_ms: int = 0
    uid: int = 0
    owner: int | None = None
    python: tuple[int, int] = (3, 11)
    status: StatusView | None = None
    status_error: str = ""
    journal: JournalSight | None = None
    chain: ChainSight | None = None
    chain_error: str = ""
    package: Path | None = None
    say: Say = lambda *_words: None

    def at(self, path: str | Path) -> Path:
        """Where an absolute path lies below ``root``."""
        return self.root / Path(path).expanduser().absolute().relative_to("/")

    @property
    def is_system(self) -> bool:
        """Is this the guard of the host's services, and not one for development?"""
        return Path(self.config_path) == SYSTEM_CONFIG and self.at(SIGNER_UNIT).is_file()

    @property
    def processes(self) -> tuple[Process, ...]:
        """This guard's processes that run here: those that were started with its configuration."""
        return tuple(found for found in read_processes(self.at("/proc")) if self.config_path in found.command)

    def process(self, name: str) -> Process | None:
        """The running ``signer``, ``gateway``, ``chain`` or ``hub``, None if there is none."""
        return next((found for found in self.processes if found.name == name), None)

    def uid_of(self, user: str) -> int | None:
        """The uid of a user of this host, None if there is no such user."""
        try:
            lines = self.at("/etc/passwd").read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            return None
        return next((int(line.split(":")[2]) for line in lines if line.startswith(f"{user}:")), None)
