"""What a node may wish: weights, and the other calls that the signer composes itself and follows alike.

Each says its ``kind``, by which the record is told from the others on the wire; it is also the word by which a client
is allowed to wish it. ``wallet`` and ``hotkey`` are the folder names of the wallet; ``ip`` is an address in text, IPv4
or IPv6.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

MAX_TARGETS = 4096
"""Entries of one weight vector.

A subnet has at most 256 uids today; sixteen times that is room, not a hole.
"""

MAX_COMMITMENT_BYTES = 512
"""The pallet's longest field (``Data::BigRaw``)."""

MAX_CERTIFICATE_BYTES = 65
"""An algorithm byte and up to 64 bytes of public key: what the pallet takes for a neuron's certificate."""


@dataclass(frozen=True, slots=True)
class SetWeights:
    """A wish, as the node meant it: plaintext and relative.

    ``wallet`` and ``hotkey`` are the folder names of the wallet. Exactly one of ``uids`` and ``hotkeys`` is
    given, as long as ``weights``; hotkeys (ss58 addresses) are looked up at sealing, since uids are
    recycled.
    """

    wallet: str
    hotkey: str
    netuid: int
    mechid: int
    uids: tuple[int, ...] | None
    hotkeys: tuple[str, ...] | None
    weights: tuple[float, ...]
    version_key: int

    kind: ClassVar[str] = "set_weights"


@dataclass(frozen=True, slots=True)
class ServeAxon:
    """Publish where this neuron can be reached."""

    wallet: str
    hotkey: str
    netuid: int
    ip: str
    port: int
    protocol: int
    version: int

    kind: ClassVar[str] = "serve_axon"


@dataclass(frozen=True, slots=True)
class ServeAxonTls:
    """The same, with a neuron certificate: one byte for the algorithm, then the public key."""

    wallet: str
    hotkey: str
    netuid: int
    ip: str
    port: int
    protocol: int
    version: int
    certificate: bytes

    kind: ClassVar[str] = "serve_axon_tls"


@dataclass(frozen=True, slots=True)
class ServePrometheus:
    """Publish where this neuron's metrics can be read."""

    wallet: str
    hotkey: str
    netuid: int
    ip: str
    port: int
    version: int

    kind: ClassVar[str] = "serve_prometheus"


@dataclass(frozen=True, slots=True)
class ResetAxon:
    """No longer say where this neuron can be reached: the axon becomes the SDK's placeholder (ip 0, port 1)."""

    wallet: str
    hotkey: str
    netuid: int

    kind: ClassVar[str] = "reset_axon"


@dataclass(frozen=True, slots=True)
class SetCommitment:
    """Publish these bytes as this neuron's commitment, in plain."""

    wallet: str
    hotkey: str
    netuid: int
    data: bytes

    kind: ClassVar[str] = "set_commitment"


Wish = SetWeights | ServeAxon | ServeAxonTls | ServePrometheus | ResetAxon | SetCommitment
"""What becomes an intent: composed, signed, sent and followed by the guard."""

WISHES: dict[str, type[Any]] = {
    wish.kind: wish for wish in (SetWeights, ServeAxon, ServeAxonTls, ServePrometheus, ResetAxon, SetCommitment)
}
