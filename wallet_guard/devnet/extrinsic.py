"""A signed extrinsic taken apart, and the checks of the transaction extensions that need no pallet.

Layout (version 4): compact length, 0x84, MultiAddress::Id, MultiSignature, then what the extensions put into the
extrinsic: era, compact nonce, compact tip, CheckMetadataHash mode; then the call. Spec version, transaction version,
genesis, the era's birth block and the metadata digest are only in the signed payload, so a signer who had any of them
wrong is told `BadProof`, as on the real chain.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from typing import NamedTuple

import bittensor_core

from wallet_guard.devnet.refusals import bad_format, undecodable_extrinsic
from wallet_guard.devnet.runtime import TRANSACTION_VERSION, Runtime, Value

MAX_EXTRINSIC_BYTES = 1 << 20
"""Longer ones are refused unread; the largest real one, a full weights call, is about 1 kB."""

_SIGNED_V4 = 0x84
_ADDRESS_ID = 0x00
_SIGNATURE_BYTES = {0: 64, 1: 64, 2: 65}
_HASHED_ABOVE_BYTES = 256
_MIN_PERIOD = 4


class Era(NamedTuple):
    """A mortal era: valid for `period` blocks from the last block whose number is `phase` modulo `period`."""

    period: int
    phase: int

    def birth(self, current: int) -> int:
        """The first block of the era that contains block `current`."""
        return (max(current, self.phase) - self.phase) // self.period * self.period + self.phase

    def death(self, current: int) -> int:
        """The first block after that era."""
        return self.birth(current) + self.period


@dataclass(frozen=True, slots=True)
class Signed:
    """A decoded signed extrinsic: not yet checked, except that its call decodes."""

    raw: bytes
    hash: str
    signer: str
    scheme: int
    signature: bytes
    era: Era | None
    nonce: int
    tip: int
    metadata_hash: bool
    extra: bytes
    call: bytes
    pallet: str
    function: str
    arguments: dict[str, Value]

    @property
    def name(self) -> str:
        """The call as `Pallet.function`."""
        return f"{self.pallet}.{self.function}"


def extrinsic_hash(raw: bytes) -> str:
    """The extrinsic's hash, by which the pool and the SDK know it."""
    return "0x" + blake2b(raw, digest_size=32).hexdigest()


class _Reader:
    def __init__(self, data: bytes) -> None:
        self.data = data
        self.position = 0

    def take(self, count: int) -> bytes:
        end = self.position + count
        if end > len(self.data):
            raise undecodable_extrinsic(f"expected {count} bytes at {self.position}, found the end")
        taken = self.data[self.position : end]
        self.position = end
        return taken

    def compact(self) -> int:
        first = self.take(1)[0]
        mode = first & 3
        if mode < 3:
            return int.from_bytes(bytes([first]) + self.take((1 << mode) - 1), "little") >> 2
        return int.from_bytes(self.take((first >> 2) + 4), "little")

    def era(self) -> Era | None:
        first = self.take(1)[0]
        if first == 0:
            return None
        encoded = first | self.take(1)[0] << 8
        period = 2 << (encoded % 16)
        phase = (encoded >> 4) * max(period >> 12, 1)
        if period < _MIN_PERIOD or phase >= period:
            raise undecodable_extrinsic(f"invalid era {encoded:#06x}")
        return Era(period, phase)


def decode(runtime: Runtime, raw: bytes) -> Signed:
    """The parts of a signed extrinsic.

    Raises: RpcError as a node would give it: 1001 for a wrong length prefix, 1002 for anything else that does not
        decode.
    """
    if not 0 < len(raw) <= MAX_EXTRINSIC_BYTES:
        raise bad_format(f"expected 1 to {MAX_EXTRINSIC_BYTES} bytes, found {len(raw)}")
    reader = _Reader(raw)
    length = reader.compact()
    if length != len(raw) - reader.position:
        raise bad_format(f"expected {length} bytes after the length, found {len(raw) - reader.position}")
    head = reader.take(2)
    if head != bytes([_SIGNED_V4, _ADDRESS_ID]):
        raise undecodable_extrinsic(f"expected a signed version 4 extrinsic by an account id, found {head.hex()!r}")
    public_key = reader.take(32)
    scheme = reader.take(1)[0]
    if scheme not in _SIGNATURE_BYTES:
        raise undecodable_extrinsic(f"expected a signature scheme 0, 1 or 2, found {scheme}")
    signature = reader.take(_SIGNATURE_BYTES[scheme])
    extra_start = reader.position
    era, nonce, tip = reader.era(), reader.compact(), reader.compact()
    mode = reader.take(1)[0]
    if mode > 1:
        raise undecodable_extrinsic(f"expected a metadata hash mode 0 or 1, found {mode}")
    call = raw[reader.position :]
    try:
        decoded = runtime.core.decode_call(call)
    except ValueError as error:
        raise undecodable_extrinsic(f"call does not decode: {str(error)[:120]}") from None
    return Signed(
        raw=raw,
        hash=extrinsic_hash(raw),
        signer=bittensor_core.ss58_encode(public_key, runtime.core.ss58_format),
        scheme=scheme,
        signature=signature,
        era=era,
        nonce=nonce,
        tip=tip,
        metadata_hash=mode == 1,
        extra=raw[extra_start : reader.position],
        call=call,
        pallet=decoded["call_module"],
        function=decoded["call_function"],
        arguments={argument["name"]: argument["value"] for argument in decoded["call_args"]},
    )


def signed_payload(signed: Signed, runtime: Runtime, genesis_hash: bytes, birth_hash: bytes) -> bytes:
    """The bytes that a valid signature covers: 32 bytes (blake2b) where there are more than 256."""
    digest = b"\x01" + runtime.digest if signed.metadata_hash else b"\x00"
    versions = runtime.spec_version.to_bytes(4, "little") + TRANSACTION_VERSION.to_bytes(4, "little")
    payload = signed.call + signed.extra + versions + genesis_hash + birth_hash + digest
    return blake2b(payload, digest_size=32).digest() if len(payload) > _HASHED_ABOVE_BYTES else payload


def verifies(signed: Signed, payload: bytes) -> bool:
    """Whether the signature is the signer's, over exactly `payload`.

    The library also takes a signature over `<Bytes>payload</Bytes>`, which a node does not: that one is told apart
    by being a valid signature of the wrapped text itself.
    """
    if signed.scheme not in (bittensor_core.CRYPTO_ED25519, bittensor_core.CRYPTO_SR25519):
        return False

    def check(message: bytes) -> bool:
        try:
            return bool(bittensor_core.verify(message, signed.signature, signed.signer, signed.scheme))
        except ValueError:
            return False

    return check(payload) and not check(b"<Bytes>" + payload + b"</Bytes>")
