"""Blocks of the emulated chain: header, hash, and the extrinsics they carry.

A header is encoded and hashed as Substrate does (blake2b-256 of the SCALE header). The two roots in it are hashes over
the same contents as a real chain's, but not Merkle roots: nobody can ask this chain for a proof.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b

from wallet_guard.devnet.metadata import compact
from wallet_guard.devnet.runtime import Runtime

ZERO_HASH = "0x" + "00" * 32


@dataclass(frozen=True, slots=True)
class Block:
    """A block of the chain; `runtime` is the code in its state, which makes its child and answers calls at it."""

    number: int
    hash: str
    parent_hash: str
    state_root: str
    extrinsics_root: str
    logs: tuple[str, ...]
    extrinsics: tuple[bytes, ...]
    timestamp: int
    runtime: Runtime

    def header(self) -> dict[str, object]:
        """The header as the RPC gives it."""
        return {
            "parentHash": self.parent_hash,
            "number": hex(self.number),
            "stateRoot": self.state_root,
            "extrinsicsRoot": self.extrinsics_root,
            "digest": {"logs": list(self.logs)},
        }


def digest(*parts: bytes) -> bytes:
    """blake2b-256 of the parts, one after another."""
    state = blake2b(digest_size=32)
    for part in parts:
        state.update(part)
    return state.digest()


def changes_root(parent_root: str, changes: Mapping[bytes, bytes | None]) -> str:
    """A hash that two chains share only if they have the same state: over the parent's and all writes since."""
    parts = [bytes.fromhex(parent_root[2:])]
    for key in sorted(changes):
        value = changes[key]
        parts += [compact(len(key)), key, b"\0" if value is None else b"\x01" + compact(len(value)) + value]
    return "0x" + digest(*parts).hex()


def pre_runtime_log(slot: int) -> str:
    """The digest item by which an Aura author names its slot."""
    return "0x" + (b"\x06aura" + compact(8) + slot.to_bytes(8, "little")).hex()


def other_log(data: bytes) -> str:
    """A digest item without meaning: it tells the blocks of one fork from those of another."""
    return "0x" + (b"\x00" + compact(len(data)) + data).hex()


def make(
    parent: Block | None,
    state_root: str,
    logs: Sequence[str],
    extrinsics: Sequence[bytes],
    timestamp: int,
    runtime: Runtime,
) -> Block:
    """The block on top of `parent` (None: block 0) with these contents, and the hash that follows from them."""
    number, parent_hash = (0, ZERO_HASH) if parent is None else (parent.number + 1, parent.hash)
    extrinsics_root = digest(*extrinsics)
    head = bytes.fromhex(parent_hash[2:]) + compact(number) + bytes.fromhex(state_root[2:]) + extrinsics_root
    encoded = head + compact(len(logs)) + b"".join(bytes.fromhex(log[2:]) for log in logs)
    return Block(
        number=number,
        hash="0x" + digest(encoded).hex(),
        parent_hash=parent_hash,
        state_root=state_root,
        extrinsics_root="0x" + extrinsics_root.hex(),
        logs=tuple(logs),
        extrinsics=tuple(extrinsics),
        timestamp=timestamp,
        runtime=runtime,
    )
