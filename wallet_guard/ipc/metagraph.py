"""What the hub may ask the chain process, on a socket of its own: who is registered. It is public knowledge."""

from dataclasses import dataclass
from typing import ClassVar

MAX_MEMBERS = 4096
"""Hotkeys of one subnet: the chain holds 256 of them today; sixteen times that is room, not a hole."""


@dataclass(frozen=True, slots=True)
class MembersView:
    """The public keys (32 bytes each) of the hotkeys registered on a subnet, by uid, at that block."""

    netuid: int
    block: int
    keys: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Members:
    """Who is registered on this subnet?"""

    netuid: int

    ask: ClassVar[str] = "members"
    answer: ClassVar[type] = MembersView


METAGRAPH = {Members.ask: Members}
"""What may be asked there, as ``questions.HUB`` is for the signer."""
