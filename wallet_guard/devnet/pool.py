"""The transaction pool: extrinsics that are valid now, or will be once a gap in their signer's nonces is closed.

Rules, as a real pool of this runtime has them: one extrinsic per signer and nonce, and none can be replaced (priority
is 1 for all, tips are ignored); the same extrinsic twice is refused as already imported; a nonce ahead of the
account's waits as `future`; what becomes invalid is thrown out after each block.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from wallet_guard.devnet import refusals
from wallet_guard.devnet.extrinsic import Signed

MAX_EXTRINSICS = 8192
"""A node's own default (`--pool-limit`); one more is dropped at once."""

Nonces = Callable[[str], int]
"""The next nonce of an account, as the chain's state has it."""


@dataclass(frozen=True, slots=True)
class Pending:
    """An extrinsic in the pool.

    `tag` is what no other may provide besides it (None: nothing but its nonce); `last_block` the last block that its
    era allows; `spec_version` the code that its signature is for.
    """

    signed: Signed
    tag: object
    last_block: int
    spec_version: int


class Pool:
    """What waits for a block."""

    def __init__(self) -> None:
        self._pending: dict[str, Pending] = {}
        self._slots: dict[tuple[str, int], str] = {}
        self._tags: dict[object, str] = {}

    def __len__(self) -> int:
        return len(self._pending)

    def __contains__(self, extrinsic_hash: str) -> bool:
        return extrinsic_hash in self._pending

    def __iter__(self) -> Iterator[Pending]:
        return iter(list(self._pending.values()))

    def add(self, pending: Pending) -> None:
        """Take an extrinsic that has been found valid.

        Raises: RpcError 1013, 1014 or 1016 as a node's pool would.
        """
        signed = pending.signed
        if signed.hash in self._pending:
            raise refusals.already_imported(signed.hash)
        if (signed.signer, signed.nonce) in self._slots or (pending.tag is not None and pending.tag in self._tags):
            raise refusals.too_low_priority()
        if len(self._pending) >= MAX_EXTRINSICS:
            raise refusals.immediately_dropped()
        self._pending[signed.hash] = pending
        self._slots[(signed.signer, signed.nonce)] = signed.hash
        if pending.tag is not None:
            self._tags[pending.tag] = signed.hash

    def remove(self, extrinsic_hash: str) -> Pending | None:
        """Take an extrinsic out; None when the pool does not hold it."""
        pending = self._pending.pop(extrinsic_hash, None)
        if pending is not None:
            del self._slots[(pending.signed.signer, pending.signed.nonce)]
            if pending.tag is not None:
                del self._tags[pending.tag]
        return pending

    def next_nonce(self, signer: str, nonces: Nonces) -> int:
        """The first nonce of the account that neither the chain nor an unbroken run in the pool has used."""
        nonce = nonces(signer)
        while (signer, nonce) in self._slots:
            nonce += 1
        return nonce

    def at(self, signer: str, nonce: int) -> Pending | None:
        """What waits under this nonce of this signer."""
        found = self._slots.get((signer, nonce))
        return None if found is None else self._pending[found]

    def is_ready(self, signed: Signed, nonces: Nonces) -> bool:
        """Whether no nonce is missing before this one."""
        return nonces(signed.signer) <= signed.nonce < self.next_nonce(signed.signer, nonces)

    def ready(self, nonces: Nonces) -> list[Pending]:
        """What the next block may take: in order of arrival, but each signer's nonces in their own order."""
        taken: set[str] = set()
        order: list[Pending] = []
        for pending in self._pending.values():
            signer = pending.signed.signer
            if signer in taken:
                continue
            taken.add(signer)
            nonce = nonces(signer)
            while (found := self._slots.get((signer, nonce))) is not None:
                order.append(self._pending[found])
                nonce += 1
        return order
