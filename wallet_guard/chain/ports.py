"""What the rest of this process needs of the SDK; ``sdk`` offers it, tests script it."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class DispatchFailure:
    """Why a call failed in its block: the error's name and its documentation."""

    name: str
    documentation: str


class Connection(Protocol):
    """One WebSocket to one endpoint; after ``Unavailable`` it is done."""

    async def request(self, method: str, params: list[Any]) -> Any:
        """The result of one JSON-RPC request; raises NodeError or Unavailable. No deadline of its own."""

    def subscribe(self, method: str, unsubscribe: str) -> AsyncIterator[Any]:
        """What a subscription tells; ends only by Unavailable."""

    async def close(self) -> None:
        """Ends it, and every wait on it, within about a second."""


class Codec(Protocol):
    """One runtime's storage keys, values, constants and errors; every method may raise Unavailable."""

    @property
    def metadata(self) -> bytes:
        """The V15 metadata blob that all this comes from."""

    def has(self, pallet: str, item: str) -> bool:
        """Does this runtime have the storage item?"""

    def key(self, pallet: str, item: str, params: list[Any]) -> bytes:
        """The storage key of an item that the runtime has."""

    def value(self, pallet: str, item: str, raw: bytes | None) -> Any:
        """The decoded value; what the runtime defines for absent keys where ``raw`` is None."""

    def constant(self, pallet: str, name: str) -> Any:
        """A pallet constant, None if the runtime has none of that name."""

    def failure(self, events: Any, extrinsic_index: int) -> DispatchFailure | None:
        """Why that extrinsic failed, by the block's decoded events; None if it succeeded."""
