"""The hub's certificate: asked for at the signer, renewed in time, given up when the signer is locked."""

import asyncio
import logging
import secrets
from collections.abc import Callable
from typing import Final, Protocol

from wallet_guard.ipc.answers import RefusedError
from wallet_guard.ipc.asker import Asker, Unavailable
from wallet_guard.ipc.health import Health, HealthView
from wallet_guard.ipc.signatures import IssueHubSession, SessionView
from wallet_guard.realtime.speaker import Speaker
from wallet_guard.signed.schemes import Ed25519Key

log = logging.getLogger("wallet_guard.hub")

SIGNER_SECONDS: Final = 10.0
"""For one answer of the signer; it takes milliseconds."""

LOOK_SECONDS: Final = 2.0
"""Between two looks at the signer: how long after a lockdown sessions may last."""

FIRST_PAUSE_SECONDS: Final = 0.2
LONGEST_PAUSE_SECONDS: Final = 5.0
"""Between attempts to get the first certificate: a signer that starts, or is locked."""


class Session:
    """Makes speakers: each a new key, and its certificate."""

    def __init__(self, asker: Asker, name: str, netuid: int) -> None:
        self._asker = asker
        self._wallet, _, self._hotkey = name.partition("/")
        self._netuid = netuid

    async def speaker(self) -> Speaker:
        """A speaker for an hour.

        Raises:
            RefusedError: the signer says no: it is locked, say.
            Unavailable: it does not answer.
        """
        key = Ed25519Key(secrets.token_bytes(32))
        question = IssueHubSession(self._wallet, self._hotkey, key.public_key, self._netuid)
        view: SessionView = await self._asker.ask(question, seconds=SIGNER_SECONDS)
        log.info(f"certificate {view.serial}, until {view.until_ms}")
        return Speaker.of_session(key, view.certificate)

    async def first(self, alive: Callable[[], None] = lambda: None) -> Speaker:
        """The same, however long it takes; `alive` is called at each attempt."""
        pause, said = FIRST_PAUSE_SECONDS, ""
        while True:
            alive()
            try:
                locked = await self.lock()  # before the question: each refusal is a record in the journal
                if not locked:
                    return await self.speaker()
                problem = f"the signer is locked: {locked}"
            except (RefusedError, Unavailable) as error:
                problem = str(error)
            if problem != said:
                said = problem
                log.warning(f"no certificate yet: {said}")
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)

    async def lock(self) -> str:
        """Why the signer signs nothing; "" while it does.

        Raises:
            RefusedError, Unavailable: it cannot be asked.
        """
        view: HealthView = await self._asker.ask(Health(), seconds=SIGNER_SECONDS)
        return view.locked


class Speaking(Protocol):
    """The relay."""

    suspended: str

    @property
    def is_due(self) -> bool:
        """Whether its certificate shall be renewed."""

    def suspend(self, why: str) -> None:
        """Ends every connection."""

    def resume(self, speaker: Speaker) -> None:
        """Speaks with this key."""

    def tidy(self) -> None:
        """Looks after the rest."""


async def watch(session: Session, relay: Speaking) -> None:
    """Renews the certificate; ends the sessions when the signer is locked, begins again when it is not.

    Until cancelled. A signer that cannot be reached is none that is locked: the certificate holds until its end.
    """
    while True:
        try:
            locked = await session.lock()
            if locked:
                relay.suspend(f"the signer is locked: {locked}")
            elif relay.suspended or relay.is_due:
                relay.resume(await session.speaker())
        except (RefusedError, Unavailable) as error:
            log.info(f"signer: {error}")
        relay.tidy()
        await asyncio.sleep(LOOK_SECONDS)
