"""The call and its signature, composed here and nowhere else.

``bittensor_core.Runtime`` encodes by the metadata that the chain process delivered. Metadata may be forged. Where the
forgery is one of types, the RFC-0078 digest that is signed in (``CheckMetadataHash``) is not the chain's, and the chain
refuses the signature. What the digest does not cover (the list of pallets) is covered here: the codec's bytes are
signed only where they equal those that ``scale`` encodes by hand. Where the digest is off, the operator has pinned the
metadata's SHA-256.
"""

import hashlib
from dataclasses import dataclass
from typing import Any

import bittensor_core

from wallet_guard.ipc import chain as ipc
from wallet_guard.ipc.chain import Facts
from wallet_guard.signer.keys import Key
from wallet_guard.signer.scale import encode_call, encode_era, encode_payload, pallet_of

DRAND_GENESIS_SECONDS = 1_692_803_367
"""Unix time of round 1 of the quicknet beacon, which has a round every three seconds (drand.love, chain 52db9ba7…).
"""
DRAND_PERIOD_SECONDS = 3

MAX_METADATA_BYTES = 3 * 1024 * 1024
"""3 MiB: today's is 0.4."""

_METADATA_MAGIC = b"meta\x0f"
"""MetadataVersioned V15: the only version that the digest is defined for here."""


class RuntimeUnusableError(ValueError):
    """This runtime cannot be signed for; the message says why."""


class TimelockError(ValueError):
    """The epoch schedule gives no reveal round that could be right."""


@dataclass(frozen=True, slots=True)
class Call:
    """A composed call.

    ``name`` is like ``SubtensorModule.set_weights``, ``data`` its SCALE bytes, ``reveal_round`` a commit's drand round.
    """

    name: str
    data: bytes
    reveal_round: int | None


@dataclass(frozen=True, slots=True)
class Extrinsic:
    """A signed extrinsic: the whole bytes, their hash (0x-hex), and where it is valid (birth ≤ block < death)."""

    data: bytes
    hash: str
    nonce: int
    era_birth: int
    era_death: int


class Runtime:
    """One runtime of one chain, ready to compose for.

    Raises (on making):
        RuntimeUnusableError: metadata that is no V15, not pinned where it must be, or that
            ``bittensor_core`` cannot read.
    """

    def __init__(self, said: ipc.Runtime, *, with_digest: bool, pinned_sha256: tuple[str, ...]) -> None:
        if len(said.metadata) > MAX_METADATA_BYTES or not said.metadata.startswith(_METADATA_MAGIC):
            raise RuntimeUnusableError(
                f"metadata: expected V15 of at most {MAX_METADATA_BYTES} bytes, found {len(said.metadata)} bytes "
                f"starting with {said.metadata[:5].hex()}"
            )
        sha256 = hashlib.sha256(said.metadata).hexdigest()
        if pinned_sha256 and sha256 not in pinned_sha256:
            raise RuntimeUnusableError(f"metadata: expected one of the pinned SHA-256, found {sha256}")
        try:
            self._codec = bittensor_core.Runtime(said.metadata, said.spec_version, said.transaction_version)
            digest = bittensor_core.metadata_digest(said.metadata, said.spec_version, said.spec_name)
        except (ValueError, OverflowError) as error:
            raise RuntimeUnusableError(f"metadata: expected a readable runtime: {str(error)[:200]}") from error
        self.spec_version = said.spec_version
        self.transaction_version = said.transaction_version
        self.metadata_sha256 = sha256
        self.digest = bytes(digest) if with_digest else None
        extensions = self._codec.signed_extension_identifiers()
        if with_digest and "CheckMetadataHash" not in extensions:
            raise RuntimeUnusableError("metadata: expected the signed extension CheckMetadataHash, found none")

    def set_weights(self, netuid: int, mechid: int, uids: list[int], values: list[int], version_key: int) -> Call:
        """The plaintext call: ``set_weights`` for mechanism 0, ``set_mechanism_weights`` otherwise.

        Raises:
            RuntimeUnusableError: this runtime has no such call.
        """
        arguments: dict[str, Any] = {
            "netuid": netuid,
            "dests": uids,
            "weights": values,
            "version_key": version_key,
        }
        if mechid:
            return self.compose("set_mechanism_weights", {**arguments, "mecid": mechid})
        return self.compose("set_weights", arguments)

    def commit_timelocked(
        self,
        public_key: bytes,
        facts: Facts,
        place: tuple[int, int],
        weights: tuple[list[int], list[int]],
        version_key: int,
    ) -> Call:
        """The commit call with its drand timelock ciphertext, made offline (4 to 8 ms).

        ``public_key`` is the hotkey's, ``place`` is (netuid, mechid).

        ``facts`` must have passed ``check_facts``: the simulation inside takes time in proportion to its
        numbers.

        Raises:
            TimelockError: the schedule gives no reveal.
            RuntimeUnusableError: this runtime has no such call.
        """
        (netuid, mechid), (uids, values) = place, weights
        try:
            commit, reveal_round = bittensor_core.get_encrypted_commit_v2(
                uids=uids,
                weights=values,
                version_key=version_key,
                last_epoch_block=facts.last_epoch_block,
                pending_epoch_at=facts.pending_epoch_at,
                subnet_epoch_index=facts.subnet_epoch_index,
                tempo=facts.tempo,
                blocks_since_last_step=facts.blocks_since_last_step,
                current_block=facts.block_number,
                subnet_reveal_period_epochs=facts.reveal_period_epochs,
                block_time=facts.block_time_ms / 1000,
                hotkey=public_key,
            )
        except (ValueError, RuntimeError, OverflowError) as error:
            raise TimelockError(f"the epoch schedule gives no reveal round: {str(error)[:200]}") from error
        arguments: dict[str, Any] = {
            "netuid": netuid,
            "commit": bytes(commit),
            "reveal_round": reveal_round,
            "commit_reveal_version": facts.commit_reveal_version,
        }
        if mechid:
            call = self.compose("commit_timelocked_mechanism_weights", {**arguments, "mecid": mechid})
        else:
            call = self.compose("commit_timelocked_weights", arguments)
        return Call(call.name, call.data, reveal_round)

    def sign(self, call: Call, key: Key, facts: Facts, *, nonce: int, era_blocks: int) -> Extrinsic:
        """The signed extrinsic: mortal, no tip, bound to genesis, versions and metadata digest.

        Raises:
            RuntimeUnusableError: this runtime wants something else signed, or cannot encode it.
            ValueError: the signature does not verify (see ``Key.sign``).
        """
        payload = encode_payload(
            call.data,
            era=encode_era(era_blocks, facts.era_block_number),
            nonce=nonce,
            versions=(self.spec_version, self.transaction_version),
            hashes=(facts.genesis_hash, facts.era_block_hash),
            digest=self.digest,
        )
        era = {"period": era_blocks, "current": facts.era_block_number}
        common: dict[str, Any] = {"era": era, "nonce": nonce, "tip": 0, "tip_asset_id": None}
        try:
            found = self._codec.signature_payload(
                call.data,
                genesis_hash=facts.genesis_hash,
                era_block_hash=facts.era_block_hash,
                metadata_hash=self.digest,
                **common,
            )
        except (ValueError, KeyError, OverflowError) as error:
            raise RuntimeUnusableError(f"payload: {str(error)[:200]}") from error
        if bytes(found) != payload:
            raise RuntimeUnusableError("payload: expected era, nonce, tip and metadata digest, found something else")
        signature = key.sign(payload)
        try:
            data, digest = self._codec.encode_signed_extrinsic(
                call.data,
                public_key=key.public_key,
                signature=signature,
                signature_version=key.crypto_type,
                metadata_hash_enabled=self.digest is not None,
                **common,
            )
        except (ValueError, KeyError, OverflowError) as error:
            raise RuntimeUnusableError(f"extrinsic: {str(error)[:200]}") from error
        birth = int(bittensor_core.era_birth(era_blocks, facts.era_block_number))
        return Extrinsic(bytes(data), _hex(digest), nonce, birth, birth + era_blocks)

    def compose(self, name: str, arguments: dict[str, Any]) -> Call:
        """One of the calls of ``scale``, as this runtime encodes it and as we do by hand.

        Raises:
            RuntimeUnusableError: this runtime has no such call, or another one of that name.
        """
        pallet = pallet_of(name)
        try:
            data = bytes(self._codec.compose_call(pallet, name, arguments))
            meant = encode_call(name, arguments)
        except (ValueError, KeyError, OverflowError) as error:
            raise RuntimeUnusableError(f"{pallet}.{name}: {str(error)[:200]}") from error
        if data != meant:
            raise RuntimeUnusableError(
                f"{pallet}.{name}: expected the call that was meant, found other bytes: the metadata is forged, or "
                "newer than this signer"
            )
        return Call(f"{pallet}.{name}", data, None)

    def name_of(self, call_data: bytes) -> str:
        """How this runtime names a call, like ``Balances.transfer_all``: for messages; "" where it cannot read it."""
        try:
            read = self._codec.decode_call(call_data)
        except (ValueError, KeyError, OverflowError, RecursionError):
            return ""
        return f"{read['call_module']}.{read['call_function']}"

    def storage_key(self, pallet: str, item: str, keys: list[Any]) -> bytes:
        """Where a storage item lies.

        Raises:
            RuntimeUnusableError: this runtime has no such item.
        """
        try:
            return bytes(self._codec.storage_key(pallet, item, keys))
        except (ValueError, KeyError, OverflowError) as error:
            raise RuntimeUnusableError(f"{pallet}.{item}: {str(error)[:200]}") from error


def reveal_ms(reveal_round: int) -> int:
    """When the beacon publishes this round: Unix milliseconds."""
    return (DRAND_GENESIS_SECONDS + (reveal_round - 1) * DRAND_PERIOD_SECONDS) * 1000


def _hex(digest: bytes | str) -> str:
    return digest if isinstance(digest, str) else "0x" + bytes(digest).hex()
