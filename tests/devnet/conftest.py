"""A chain without server, clock or sockets, and a signer for it."""

from collections.abc import Callable
from typing import Any

import bittensor_core
import pytest

from wallet_guard.devnet import genesis, metadata
from wallet_guard.devnet.chain import Chain
from wallet_guard.devnet.control import Control
from wallet_guard.devnet.faults import Faults
from wallet_guard.devnet.node import Node
from wallet_guard.devnet.refusals import RpcError
from wallet_guard.devnet.rpc import Session
from wallet_guard.devnet.runtime import Runtime, State

START = 1_700_000_000_000
SLOT = 1000


@pytest.fixture(scope="session")
def runtime() -> Runtime:
    return Runtime(metadata.served_metadata(SLOT), metadata.RECORDED_SPEC_VERSION)


@pytest.fixture(scope="session")
def items(runtime: Runtime) -> dict[bytes, bytes]:
    return genesis.build(runtime, genesis.Genesis())


@pytest.fixture
def chain(runtime: Runtime, items: dict[bytes, bytes]) -> Chain:
    made = Chain(runtime, items, slot_milliseconds=SLOT, finality_lag=2)
    for _ in range(3):
        made.seal(START)
    return made


@pytest.fixture
def state(chain: Chain) -> State:
    """The state in which the next block begins, to be written to freely."""
    found = chain.state_at(chain.best.number).fork()
    found.put("System", "Number", value=chain.best.number + 1)
    return found


class Signer:
    """Signs extrinsics for a chain as a client does, with whatever it is told to get wrong."""

    def __init__(self, chain: Chain, uri: str = "//Alice", scheme: int = bittensor_core.CRYPTO_SR25519) -> None:
        self.chain = chain
        self.scheme = scheme
        self.pair = bittensor_core.Keypair.create_from_uri(uri, crypto_type=scheme)
        self.address: str = self.pair.ss58_address

    def sign(
        self, pallet: str, function: str, arguments: dict[str, Any], nonce: int | None = None, **wrong: Any
    ) -> bytes:
        runtime = wrong.get("runtime", self.chain.best.runtime)
        era = wrong.get("era", {"period": 64, "current": self.chain.best.number})
        birth = bittensor_core.era_birth(era["period"], era["current"]) if era != "00" else 0
        nonce = self.chain.next_nonce(self.address) if nonce is None else nonce
        call = bytes(runtime.core.compose_call(pallet, function, arguments))
        extra = {"era": era, "nonce": nonce, "tip": wrong.get("tip", 0), "tip_asset_id": None}
        payload = bytes(
            runtime.core.signature_payload(
                call,
                genesis_hash=wrong.get("genesis_hash", bytes.fromhex(self.chain.genesis.hash[2:])),
                era_block_hash=wrong["birth_hash"]
                if "birth_hash" in wrong
                else bytes.fromhex(self.chain.blocks[birth].hash[2:]),
                metadata_hash=wrong.get("digest"),
                **extra,
            )
        )
        wrap: Callable[[bytes], bytes] = wrong.get("wrap", lambda message: message)
        raw, _ = runtime.core.encode_signed_extrinsic(
            call,
            public_key=self.pair.public_key,
            signature=bytes(self.pair.sign(wrap(payload))),
            signature_version=self.scheme,
            metadata_hash_enabled="digest" in wrong,
            **extra,
        )
        return bytes(raw)

    def weights(self, netuid: int = 2, nonce: int | None = None, **wrong: Any) -> bytes:
        arguments = {"netuid": netuid, "dests": [1, 2, 3], "weights": [100, 200, 300], "version_key": 0}
        return self.sign("SubtensorModule", "set_weights", arguments, nonce, **wrong)

    def commit(self, netuid: int = 3, nonce: int | None = None) -> bytes:
        arguments = {"netuid": netuid, "commit": b"\x01\xfe" * 20, "reveal_round": 9, "commit_reveal_version": 4}
        return self.sign("SubtensorModule", "commit_timelocked_weights", arguments, nonce)


@pytest.fixture
def alice(chain: Chain) -> Signer:
    return Signer(chain)


@pytest.fixture
def signer(chain: Chain) -> Callable[..., Signer]:
    return lambda *arguments: Signer(chain, *arguments)


class Client:
    """Calls the methods of a node and of its control, without a connection."""

    def __init__(self, chain: Chain) -> None:
        self.chain = chain
        self.faults = Faults()
        self.node = Node(chain, self.faults)
        self.control = Control(chain, self.faults, lambda: START)
        self.delivered: list[str] = []
        self.session = Session(self.delivered.append, lambda: False)
        self.handlers = self.node.methods() | self.control.methods()

    def __call__(self, method: str, *params: Any) -> Any:
        return self.handlers[method](self.session, list(params))

    def refused(self, method: str, *params: Any) -> RpcError:
        with pytest.raises(RpcError) as caught:
            self(method, *params)
        return caught.value


@pytest.fixture
def client(chain: Chain) -> Client:
    return Client(chain)


def statuses(chain: Chain) -> list[tuple[str, Any]]:
    """The statuses that the chain gives from now on, without their hashes."""
    seen: list[tuple[str, Any]] = []

    def note(extrinsic_hash: str, status: Any) -> None:
        seen.append((extrinsic_hash, status if isinstance(status, str) else next(iter(status))))

    chain.on_status = note
    return seen


@pytest.fixture
def seen(chain: Chain) -> list[tuple[str, Any]]:
    return statuses(chain)
