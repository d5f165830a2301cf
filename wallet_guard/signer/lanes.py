"""Nonce lanes: one for each hotkey, in which every nonce that finality shows consumed must have been signed here.

One that was not means that somebody else signs with this hotkey: a second guard on a copy of its key, a program beside
the guard, a thief. Then that hotkey is locked, and that one alone: nothing is signed with it until the operator has
found the other one and unlocks the key. The rules against false alarms:

1. What was used before our first contact is not ours to judge: a lane begins at the chain's next nonce, pool included.
2. Every signature of an extrinsic counts as ours, of intents and of nodes' own alike, whatever became of it.
3. Only what is final counts: no reorganisation takes it back.
4. A count from facts must show twice, at two finalized blocks: one wrong answer of a node locks nothing.
5. After an unlock, and in a restored journal, a lane begins anew.
"""

import logging

from wallet_guard.ipc.chain import Facts
from wallet_guard.signer.journal import Intent, Journal, Writer
from wallet_guard.signer.keys import Key
from wallet_guard.signer.lockdown import LockedError

log = logging.getLogger(__name__)

_ANOTHER = "another guard or program signs with this hotkey"


class Lanes:
    """The lanes of one journal, and which hotkeys are locked."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._locked = journal.locked_lanes()
        self._doubts: dict[str, int] = {}
        """Address → the finalized block at which it first looked as if somebody else signed."""

    @property
    def locked(self) -> dict[str, str]:
        """Address → why nothing is signed with that hotkey."""
        return dict(self._locked)

    def why(self, ss58_address: str) -> str:
        """Why nothing is signed with this hotkey, "" while it is open."""
        return self._locked.get(ss58_address, "")

    def check(self, ss58_address: str) -> None:
        """Returns while this hotkey is open.

        Raises:
            LockedError: it is locked.
        """
        why = self.why(ss58_address)
        if why:
            raise LockedError(f"this hotkey is locked: {why}")

    def look(self, key: Key, facts: Facts, now_ms: int) -> str:
        """What is wrong with this lane by checked facts, "" if nothing is. Locks the key once it is certain.

        Raises:
            JournalError: the lock could not be written; it is locked all the same.
        """
        address, final = key.ss58_address, facts.finalized_nonce
        begin = self._journal.lane(address)
        strange = None if begin is None or final <= begin else self._journal.first_strange_nonce(address, begin, final)
        if strange is None:
            self._doubts.pop(address, None)
            return ""
        why = f"nonce {strange} is used on the chain, and was not signed here: {_ANOTHER}"
        if facts.era_block_number <= self._doubts.setdefault(address, facts.era_block_number):
            return f"{why}, it seems; looking again at a later block"
        self._lock(key, why, strange, now_ms)
        return why

    def superseded(self, key: Key, intent: Intent, now_ms: int) -> None:
        """Finality shows the intent's nonce consumed, but not by its extrinsic: was it another one of ours?

        Raises:
            JournalError: the lock could not be written; it is locked all the same.
        """
        assert intent.nonce is not None
        if self._journal.count_signatures(key.ss58_address, intent.nonce) <= 1 and not self.why(key.ss58_address):
            why = f"nonce {intent.nonce} was taken on the chain by an extrinsic that is not ours: {_ANOTHER}"
            self._lock(key, why, intent.nonce, now_ms)

    def note(self, writer: Writer, key: Key, facts: Facts, nonce: int) -> None:
        """Inside the transaction of a signature: what is consumed by now, and that this nonce is ours."""
        address = key.ss58_address
        begin = self._journal.lane(address)
        if begin is None:
            writer.set_lane(address, max(facts.finalized_nonce, facts.nonce))
        elif facts.finalized_nonce > begin:
            # A nonce whose intent is still open may yet turn out to be consumed by another.
            open_nonces = self._journal.nonces_in_flight(address, "")
            writer.set_lane(address, facts.finalized_nonce, keep_from=min({facts.finalized_nonce, *open_nonces}))
        writer.add_signature(address, nonce)

    def release(self, key: Key, now_ms: int) -> None:
        """The operator unlocks the key; its lane begins anew at the next facts.

        Raises:
            JournalError: it could not be written; it stays locked.
        """
        address = key.ss58_address
        with self._journal.transaction() as writer:
            writer.forget_lane(address)
            writer.record(now_ms, "key_unlocked", "", key=f"{key.wallet}/{key.hotkey}", was=self.why(address))
        self._locked.pop(address, None)
        self._doubts.pop(address, None)
        log.warning(f"{key.wallet}/{key.hotkey} unlocked")

    def _lock(self, key: Key, why: str, nonce: int, now_ms: int) -> None:
        name = f"{key.wallet}/{key.hotkey}"
        self._locked[key.ss58_address] = why
        log.critical(f"{name} locked: {why}; find it and stop it, then 'wallet-guard unlock --key {name}'")
        with self._journal.transaction() as writer:
            writer.lock_lane(key.ss58_address, why)
            writer.record(now_ms, "key_locked", "", key=name, nonce=nonce, why=why)
