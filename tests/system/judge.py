"""What a signed extrinsic may be, judged apart from the signer: by its bytes, the wish, and what the chain said.

Nothing of ``wallet_guard.signer`` is used: the bytes are decoded with ``bittensor_core`` and the true metadata, and
the weights are held against the wish by their shares.
"""

import time
from math import fsum
from pathlib import Path
from typing import Any

import bittensor_core

from wallet_guard.ipc.chain import Facts
from wallet_guard.ipc.wishes import SetWeights

METADATA = (Path(__file__).parents[2] / "wallet_guard/devnet/data/subtensor-spec461-v15.scale").read_bytes()
CODEC = bittensor_core.Runtime(METADATA, 461, 1)
DIGEST = bytes(bittensor_core.metadata_digest(METADATA, 461, "node-subtensor"))

ERA_BLOCKS = 16
"""The default of ``[signer] era_blocks``."""

MAX_SHIFT = 0.5
"""The default of ``[signer] max_shift``."""

ROUNDING = 0.01
"""Shares are kept in 65535ths of the largest: what 256 of them may lose by rounding."""

MAX_NONCE = 2**31
MAX_REVEAL_SECONDS = 101 * 50_401 * 12 + 3600
"""The longest schedule that facts may tell (100 epochs of a week), and an hour for clocks that differ."""

BEACON_SECONDS = 1_692_803_367
"""When the drand beacon's first round was; one follows every three seconds."""


def judge(data: bytes, wish: SetWeights, pair: bittensor_core.Keypair, facts: Facts) -> bool:
    """Asserts that this extrinsic is what the wish asks for and no more.

    Returns:
        Whether the chain of the true metadata would take its signature: it would not where the chain process lied about
        the runtime.
    """
    found = CODEC.decode_extrinsic(data)
    call, values = found["call"], {entry["name"]: entry["value"] for entry in found["call"]["call_args"]}
    assert found["address"] == pair.ss58_address
    assert found["tip"] == 0
    assert found["era"][0] == ERA_BLOCKS
    assert 0 <= found["nonce"] <= MAX_NONCE + 1024, found["nonce"]
    assert values["netuid"] == wish.netuid
    assert values.get("mecid", 0) == wish.mechid
    assert call["call_module"] == "SubtensorModule"
    name = call["call_function"].replace("_mechanism", "")
    if name == "commit_timelocked_weights":
        assert facts.commit_reveal
        ahead = BEACON_SECONDS + 3 * values["reveal_round"] - time.time()
        assert -60 < ahead < MAX_REVEAL_SECONDS, ahead
        assert values["commit_reveal_version"] == facts.commit_reveal_version
    else:
        assert name == "set_weights"
        assert not facts.commit_reveal
        _judge_weights(values, wish, facts)
    body = bytes(CODEC.compose_call(call["call_module"], call["call_function"], values))
    # Nothing stands behind the call, and the bytes say what was decoded.
    assert data.endswith(body)
    return _is_taken(found, body, pair, facts)


def _judge_weights(values: dict[str, Any], wish: SetWeights, facts: Facts) -> None:
    assert values["version_key"] == wish.version_key
    uids = wish.uids
    if uids is None:
        assert wish.hotkeys is not None
        uids = tuple(dict(facts.uids)[address] for address in wish.hotkeys)
    asked = dict(zip(uids, wish.weights, strict=True))
    given = dict(zip(values["dests"], values["weights"], strict=True))
    assert len(given) == len(values["dests"])
    assert max(given.values()) == 65535
    assert given.keys() <= {uid for uid, weight in asked.items() if weight > 0}
    whole, total = fsum(wish.weights), sum(given.values())
    moved = 0.5 * fsum(abs(weight / whole - given.get(uid, 0) / total) for uid, weight in asked.items())
    assert moved <= MAX_SHIFT + ROUNDING, moved


def _is_taken(found: dict[str, Any], body: bytes, pair: bittensor_core.Keypair, facts: Facts) -> bool:
    period, phase = found["era"]
    payload = CODEC.signature_payload(
        body,
        era={"period": period, "current": phase},
        nonce=found["nonce"],
        tip=0,
        tip_asset_id=None,
        genesis_hash=facts.genesis_hash,
        era_block_hash=facts.era_block_hash,
        metadata_hash=DIGEST,
    )
    ((_, signature),) = found["signature"].items()
    return bool(pair.verify(bytes(payload), bytes.fromhex(signature.removeprefix("0x"))))
