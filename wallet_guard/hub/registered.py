"""Who may connect: the hotkeys registered on the subnet, by the chain process's word."""

import logging
from collections.abc import Collection
from typing import Final

from wallet_guard.ipc.answers import RefusedError
from wallet_guard.ipc.asker import Asker, Unavailable
from wallet_guard.ipc.metagraph import MAX_MEMBERS, Members, MembersView
from wallet_guard.signed.schemes import address_of

log = logging.getLogger("wallet_guard.hub")

CHAIN_SECONDS: Final = 10.0
"""For one answer; the chain process gives up its own reading after 8."""


class Registered:
    """The last answer, and the way to a newer one."""

    def __init__(self, asker: Asker, netuid: int) -> None:
        self._asker = asker
        self._netuid = netuid
        self._hotkeys: frozenset[str] = frozenset()
        self.known = False
        """Whether there was an answer at all."""

    async def hotkeys(self) -> Collection[str]:
        """Their addresses now; those of the last answer where there is none."""
        try:
            view: MembersView = await self._asker.ask(Members(self._netuid), seconds=CHAIN_SECONDS)
        except (RefusedError, Unavailable) as error:
            log.warning(f"who is registered cannot be told; the last answer holds: {error}")
            return self._hotkeys
        if view.netuid != self._netuid or len(view.keys) > MAX_MEMBERS or any(len(key) != 32 for key in view.keys):
            log.warning("expected the members of our subnet, found something else; the last answer holds")
            return self._hotkeys
        self._hotkeys = frozenset(map(address_of, view.keys))
        self.known = True
        return self._hotkeys
