"""What an endpoint says of its chain: best head, finalized head, and the hashes between, by parent links.

Theory of operation. Subscriptions tell headers; a header's hash is computed here, so the parent link of the next one
proves it. A header that does not link on to what is known (a reorg that was announced by its tip only, or the first
one) leaves a gap; the owner asks for the hashes and calls ``fill``. ``hash_at`` answers only what links up.
"""

from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

from wallet_guard.chain.errors import Unavailable

KEPT_BLOCKS = 512
"""Hashes kept below the best head: four times the longest era, so a follower never has to ask again."""


@dataclass(frozen=True, slots=True)
class Header:
    """A block's place: its number, its hash and its parent's hash (0x-hex)."""

    number: int
    hash: str
    parent_hash: str


def parse_header(told: Any) -> Header:
    """The header that an endpoint told, its hash computed: blake2b-256 of the SCALE header.

    Layout as in sp-runtime ``generic::Header``: parent hash, compact number, state root, extrinsics root, digest items.

    Raises:
        Unavailable: it is no header.
    """
    try:
        number = int(told["number"], 16)
        logs = [_octets(log) for log in told["digest"]["logs"]]
        parts = [_hash(told["parentHash"]), _compact(number), _hash(told["stateRoot"]), _hash(told["extrinsicsRoot"])]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise Unavailable(f"expected a block header, found {str(told)[:80]!r}") from error
    encoded = b"".join(parts) + _compact(len(logs)) + b"".join(logs)
    return Header(number, "0x" + blake2b(encoded, digest_size=32).hexdigest(), told["parentHash"])


def _octets(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("0x"))


def _hash(text: str) -> bytes:
    octets = _octets(text)
    if len(octets) != 32:
        raise ValueError("expected 32 bytes")
    return octets


def _compact(value: int) -> bytes:
    """A SCALE compact integer below 2^30: block numbers and counts."""
    if not 0 <= value < 1 << 30:
        raise ValueError("expected a number below 2^30")
    if value < 1 << 6:
        return bytes([value << 2])
    if value < 1 << 14:
        return (value << 2 | 1).to_bytes(2, "little")
    return (value << 2 | 2).to_bytes(4, "little")


class Heads:
    """The best chain as far as it is known."""

    def __init__(self, best: Header, finalized: Header) -> None:
        self.best = best
        self.finalized = finalized
        self._hashes = {best.number: best.hash}

    @property
    def whole(self) -> bool:
        """Do the hashes reach from the finalized head (or KEPT_BLOCKS back, if finality lags more) to the best?"""
        first = self.gap().start
        known = self.hash_at(first)
        return known == self.finalized.hash if first == self.finalized.number else known is not None

    def hash_at(self, number: int) -> str | None:
        """The hash of the best chain's block of that number; None if it is not known or not there yet."""
        return self._hashes.get(number)

    def move_best(self, header: Header) -> None:
        """Takes a new best head. Hashes that it does not link to are forgotten."""
        if header.number > 0 and self._hashes.get(header.number - 1) != header.parent_hash:
            self._hashes = {}
        else:
            self._hashes = {number: known for number, known in self._hashes.items() if number < header.number}
        self._hashes[header.number] = header.hash
        self._hashes.pop(header.number - KEPT_BLOCKS, None)
        self.best = header

    def move_finalized(self, header: Header) -> None:
        """Takes a new finalized head."""
        self.finalized = header

    def gap(self) -> range:
        """The numbers to ask for to be whole again: finalized head to best head, at most KEPT_BLOCKS."""
        return range(max(self.finalized.number, self.best.number - KEPT_BLOCKS + 1), self.best.number + 1)

    def fill(self, numbers: range, hashes: list[str | None]) -> bool:
        """Takes the hashes of ``gap``; False, and nothing is taken, if they do not end in the best head."""
        if len(hashes) != len(numbers) or not hashes or hashes[-1] != self.best.hash:
            return False
        self._hashes = {number: known for number, known in zip(numbers, hashes, strict=True) if known is not None}
        return self.whole
