"""A signer without its process: a desk with a scripted clock, scripted randomness, a real key and the real metadata."""

import dataclasses
import hashlib
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import bittensor_core
import pytest

from wallet_guard.host.config import ChainConfig, Config, SignerConfig
from wallet_guard.ipc import chain as ipc
from wallet_guard.ipc.chain import Event, Facts, Report, Seal, Task
from wallet_guard.ipc.clients import ClientAdd, ClientAdded
from wallet_guard.ipc.intents import Accept, IntentView
from wallet_guard.ipc.wishes import SetWeights
from wallet_guard.signer import accept, admin, follow, seal, tasks
from wallet_guard.signer.compose import Runtime
from wallet_guard.signer.desk import Desk
from wallet_guard.signer.journal import Intent, Journal
from wallet_guard.signer.keys import Key, Keyring

METADATA = Path(__file__).parents[2] / "wallet_guard/devnet/data/subtensor-spec461-v15.scale"
GENESIS = hashlib.sha256(b"a chain for tests").digest()
START_MS = time.time_ns() // 1_000_000
"""Today: the timelock library reads the system's clock by itself, so a scripted one must begin there."""
HEAD = 5_000

FACTS = Facts(
    genesis_hash=GENESIS,
    spec_version=461,
    transaction_version=1,
    block_number=HEAD,
    era_block_number=HEAD - 2,
    era_block_hash=bytes(range(32)),
    block_time_ms=12_000,
    nonce=7,
    finalized_nonce=7,
    uid=1,
    uids=(),
    mechanisms=1,
    commit_reveal=False,
    commit_reveal_version=4,
    rate_limit=0,
    last_update=0,
    min_allowed_weights=1,
    max_weight_limit=65535,
    weights_version_key=0,
    tempo=360,
    reveal_period_epochs=1,
    last_epoch_block=HEAD - 100,
    pending_epoch_at=0,
    subnet_epoch_index=13,
    blocks_since_last_step=100,
)


@pytest.fixture(scope="session")
def metadata() -> bytes:
    return METADATA.read_bytes()


@pytest.fixture(scope="session")
def said(metadata: bytes) -> ipc.Runtime:
    return ipc.Runtime(GENESIS, "node-subtensor", 461, 1, metadata)


@pytest.fixture(scope="session")
def runtime(said: ipc.Runtime) -> Runtime:
    return Runtime(said, with_digest=True, pinned_sha256=())


@pytest.fixture(scope="session")
def facts() -> Facts:
    return FACTS


@pytest.fixture(scope="session")
def alice() -> Key:
    return Key("validator", "default", bittensor_core.Keypair.create_from_uri("//Alice"))


@dataclass
class Bench:
    """A desk and the hands that use it; every method is one question of the real tables."""

    desk: Desk
    clock: list[int]
    folder: Path
    token: str = ""
    changes: list[Intent] = field(default_factory=list)
    works: list[int] = field(default_factory=list)

    @property
    def now(self) -> int:
        return self.clock[0]

    def pass_time(self, seconds: float) -> bool:
        """Moves the clock, then looks at it as the loop does. True if a task became due."""
        self.clock[0] += int(seconds * 1000)
        return follow.tick(self.desk)

    def add_client(self, name: str = "node", **changes: Any) -> str:
        wish: dict[str, Any] = {
            "name": name,
            "wallet": "validator",
            "hotkey": "default",
            "calls": ("set_weights",),
            "netuids": (1, 2, 3),
            "per_hour": 1000,
            "token": None,
        }
        added = admin.client_add(self.desk, ClientAdd(**{**wish, **changes}))
        assert isinstance(added, ClientAdded), added
        return added.token

    def wish(self, **changes: Any) -> SetWeights:
        wish: dict[str, Any] = {
            "wallet": "validator",
            "hotkey": "default",
            "netuid": 2,
            "mechid": 0,
            "uids": (1, 2, 3),
            "hotkeys": None,
            "weights": (100.0, 200.0, 300.0),
            "version_key": 0,
        }
        return SetWeights(**{**wish, **changes})

    def accept(self, *, key: str | None = None, queue: bool = False, token: str | None = None, **changes: Any) -> Any:
        request = self.wish(**changes)
        return accept.accept(self.desk, Accept(self.token if token is None else token, key, queue, request))

    def accept_wish(self, wish: Any, *, key: str | None = None, queue: bool = False) -> Any:
        """For calls other than weights."""
        return accept.accept(self.desk, Accept(self.token, key, queue, wish))

    def pull(self) -> tuple[Task, ...]:
        return tasks.pull(self.desk).tasks

    def accepted(self, **changes: Any) -> str:
        view = self.accept(**changes)
        assert isinstance(view, IntentView), view
        return view.intent

    def seal(self, intent: str, **changes: Any) -> Any:
        return seal.seal(self.desk, Seal(intent, dataclasses.replace(FACTS, **changes)))

    def sealed(self, intent: str, **changes: Any) -> Task:
        task = self.seal(intent, **changes)
        assert isinstance(task, Task), task
        return task

    def report(self, intent: str, event: Event, **changes: Any) -> Any:
        return follow.report(self.desk, Report(intent, event, **changes))

    def intent(self, intent: str) -> Intent:
        found = self.desk.journal.intent(intent)
        assert found is not None
        return found

    def kinds(self) -> list[str]:
        """What the audit chain says happened, in order."""
        return [record.kind for record in self.desk.journal.records()]


@pytest.fixture
def bench(tmp_path: Path, alice: Key, runtime: Runtime) -> Any:
    """A fresh desk with one client ("node", netuids 1 to 3) and the runtime told."""
    folder = tmp_path / "state"
    config = Config(
        path="test",
        run=str(tmp_path),
        signer=SignerConfig(state=str(folder)),
        chain=ChainConfig(network="local", genesis="0x" + GENESIS.hex()),
    )
    clock, number = [START_MS], [0]

    def random_hex(count: int) -> str:
        number[0] += 1
        return hashlib.shake_128(number[0].to_bytes(8, "big")).hexdigest(count)

    journal = Journal(folder)
    desk = Desk(config, Keyring([alice]), journal, now_ms=lambda: clock[0], random_hex=random_hex)
    desk.last_tick_ms = START_MS
    desk.chain.runtimes[461, 1] = runtime
    made = Bench(desk, clock, folder)
    made.token = made.add_client()
    desk.on_change = made.changes.append
    desk.on_work = lambda: made.works.append(clock[0])
    yield made
    journal.close()
