"""Seal: check everything again, conform, compose, sign, write down, and only then give the bytes out.

An intent is sealed once: asked again, the stored bytes come back. Facts that cannot be are refused as facts (the
intent waits for better ones); facts under which the wish cannot be fulfilled end the intent with the reason.
"""

import json
import logging
from dataclasses import dataclass

from wallet_guard.host.process import return_memory
from wallet_guard.ipc import chain as ipc
from wallet_guard.ipc.answers import Done, Refusal
from wallet_guard.ipc.chain import Facts, Seal, Task
from wallet_guard.ipc.intents import Failure, State
from wallet_guard.ipc.wishes import SetWeights
from wallet_guard.signer.calls import read_wish
from wallet_guard.signer.compose import Call, Runtime, RuntimeUnusableError, TimelockError, reveal_ms
from wallet_guard.signer.desk import GENESIS_META, MAX_RUNTIMES, Desk
from wallet_guard.signer.drafts import Drafted, DraftError, Ground, TooEarlyError, draft
from wallet_guard.signer.eras import life_ms
from wallet_guard.signer.facts import FactsError, Known, check_facts
from wallet_guard.signer.grants import Moment, check, ground_of
from wallet_guard.signer.journal import Intent
from wallet_guard.signer.keys import Key
from wallet_guard.signer.rules import AT_SEAL, AT_SEAL_AGAIN, Asked, Signed, vector_signed
from wallet_guard.signer.shape import ShapeError, shape_of
from wallet_guard.signer.tasks import due_ms, task_of
from wallet_guard.signer.upgrades import RuntimeChangedError

log = logging.getLogger(__name__)

RETRY_SECONDS = 6.0
"""After facts that were refused: half a block, so that a node that lags has time to catch up."""

HEAD_SECONDS = 600.0
"""How long a head that facts showed is held against later ones: one lie must not shut out honest nodes for good."""

REVEAL_GRACE_BLOCKS = 100
"""Blocks after the reveal round (and the epoch that follows it) before a commit that did not reveal is an alarm."""


def learn_runtime(desk: Desk, said: ipc.Runtime) -> Done | Refusal:
    """Takes a runtime into use, and pins the genesis at first contact where the configuration does not."""
    genesis = "0x" + said.genesis_hash.hex()
    if len(said.genesis_hash) != 32 or desk.genesis not in ("", genesis):
        return Refusal("wrong_genesis", f"expected genesis {desk.genesis}, found {genesis[:66]}")
    chain = desk.config.chain
    try:
        runtime = Runtime(said, with_digest=chain.metadata_digest, pinned_sha256=chain.metadata_sha256)
    except RuntimeUnusableError as error:
        log.warning(f"runtime {said.spec_version} refused: {error}")
        return Refusal("runtime_refused", str(error))
    try:
        desk.upgrades.take(said.spec_version, shape_of(said.metadata), desk.now_ms())
    except ShapeError as error:
        return Refusal("runtime_refused", f"metadata: {error}")
    except RuntimeChangedError as error:
        for intent in desk.journal.open_intents():
            if intent.state is State.ACCEPTED:
                desk.hinder(intent, "runtime_changed", str(error))
        return Refusal("runtime_changed", str(error))
    if not desk.genesis:
        with desk.journal.transaction() as writer:
            writer.set_meta(GENESIS_META, genesis)
            writer.record(desk.now_ms(), "genesis_pinned", "", genesis=genesis)
        log.info(f"genesis {genesis} pinned at first contact; set [chain] genesis to pin it yourself")
    runtimes = desk.chain.runtimes
    runtimes[said.spec_version, said.transaction_version] = runtime
    # The last one told is the one in use.
    runtimes.move_to_end((said.spec_version, said.transaction_version))
    while len(runtimes) > MAX_RUNTIMES:
        runtimes.popitem(last=False)
    return_memory()
    log.info(f"runtime {said.spec_name} {said.spec_version} in use, metadata sha256 {runtime.metadata_sha256}")
    # What is read back is named by storage keys, which want a runtime.
    desk.on_work()
    return Done()


def seal(desk: Desk, question: Seal) -> Task | Refusal:
    """The signed intent's next task (submit these bytes), or why nothing was signed."""
    intent = desk.journal.intent(question.intent)
    if intent is None:
        return Refusal("unknown_intent", "expected the id of an intent")
    locked = desk.check_unlocked()
    if locked is not None:
        return desk.hinder(intent, locked.code, locked.message, retry_seconds=RETRY_SECONDS)
    if intent.state is not State.ACCEPTED:
        task = task_of(desk, intent)
        return task or Refusal("finished", f"expected an intent to seal, found one that is {intent.state}")
    if desk.now_ms() < due_ms(desk, intent):
        # Asked again and again, refused facts and waits would fill the audit chain.
        return Refusal("too_early", "expected to be asked once the intent is due again", intent=intent.id)
    runtime = desk.chain.runtimes.get((question.facts.spec_version, question.facts.transaction_version))
    if runtime is None:
        return Refusal("runtime_unknown", f"expected a runtime told before, found {question.facts.spec_version}")
    key = desk.key_of(intent)
    if key is None:
        return desk.fail(
            intent, _failure("unknown_wallet", f"the key of {intent.wallet}/{intent.hotkey} is no longer loaded")
        )
    locked = desk.check_key_unlocked(key)
    if locked is not None:
        return desk.hinder(intent, locked.code, locked.message, retry_seconds=RETRY_SECONDS)
    try:
        check_facts(question.facts, known_of(desk, intent.ss58_address))
    except FactsError as error:
        with desk.journal.transaction() as writer:
            writer.record(desk.now_ms(), "facts_refused", intent.client, intent=intent.id, why=str(error))
        return desk.hinder(intent, "facts_refused", str(error), retry_seconds=RETRY_SECONDS)
    _remember_head(desk, question.facts.block_number)
    doubt = desk.lanes.look(key, question.facts, desk.now_ms())
    if doubt:
        code = "locked" if desk.lanes.why(key.ss58_address) else "facts_refused"
        return desk.hinder(intent, code, doubt, retry_seconds=RETRY_SECONDS)
    return _Sealing(desk, intent, key, runtime, question.facts).seal()


def known_of(desk: Desk, ss58_address: str) -> Known:
    """What facts about this hotkey are held against."""
    return Known(
        genesis_hash=bytes.fromhex(desk.genesis.removeprefix("0x")),
        block_time_ms=int(desk.block_ms),
        lowest_nonce=desk.journal.lowest_nonce(ss58_address),
        lane=desk.journal.lane(ss58_address),
        best_block=desk.chain.best_block if desk.now_ms() < desk.chain.best_block_ms + HEAD_SECONDS * 1000 else 0,
        lowest_nonce_block=desk.journal.lowest_nonce_block(ss58_address),
    )


def _remember_head(desk: Desk, block_number: int) -> None:
    chain, now = desk.chain, desk.now_ms()
    if block_number >= chain.best_block or now > chain.best_block_ms + HEAD_SECONDS * 1000:
        chain.best_block, chain.best_block_ms = block_number, now


def _failure(code: str, message: str, hint: str = "") -> Failure:
    return Failure(code, message, hint, may_be_submitted=False)


@dataclass(slots=True)
class _Sealing:
    """One intent, its facts, and the runtime that fits them."""

    desk: Desk
    intent: Intent
    key: Key
    runtime: Runtime
    facts: Facts

    def seal(self) -> Task | Refusal:
        desk, intent = self.desk, self.intent
        if desk.now_ms() > intent.deadline_ms:
            return desk.fail(
                intent, _failure("expired", "the deadline passed before it could be signed"), State.EXPIRED
            )
        wish = read_wish(json.loads(intent.request))
        try:
            drafted = draft(
                wish, self.facts, self.runtime, (self.key.ss58_address, self.key.public_key), self._ground()
            )
            refusal = self._check_rules(drafted)
            if refusal is not None:
                return self._refuse(refusal)
            intent.weights = drafted.weights
            intent.rate_limit = self.facts.rate_limit if drafted.weights is not None else None
            return self._sign(drafted.call)
        except DraftError as error:
            return desk.fail(intent, _failure(error.code, str(error), error.hint))
        except TooEarlyError as error:
            hint = 'ask again then, or with "queue": true, which keeps the request until it is permitted'
            return self._wait(str(error), hint, error.allowed_ms, error.allowed_block)
        except TimelockError as error:
            return desk.hinder(intent, "facts_refused", str(error), retry_seconds=RETRY_SECONDS)
        except RuntimeUnusableError as error:
            return desk.hinder(intent, "runtime_refused", str(error), retry_seconds=RETRY_SECONDS)

    def _ground(self) -> Ground:
        return ground_of(self.desk, self.intent.ss58_address, self.intent.netuid, self.intent.mechid)

    def _check_rules(self, drafted: Drafted) -> Refusal | None:
        """Everything that can have changed since it was accepted: the token, the policy, the clock, the weights."""
        desk, intent = self.desk, self.intent
        client = desk.client_named(intent.client)
        if client is None:
            message = f"client {intent.client} was revoked before this was signed"
            return Refusal("unauthorized", message)
        mechid = intent.mechid if drafted.weights is not None else None
        asked = Asked(intent.wallet, intent.hotkey, intent.kind, intent.netuid, mechid=mechid)
        vector = None if drafted.weights is None else vector_signed(drafted.weights)
        moment = Moment(self.key.ss58_address, self.facts.block_number, vector)
        return check(desk, client, asked, AT_SEAL_AGAIN if self._is_last_of_slot() else AT_SEAL, moment)

    def _is_last_of_slot(self) -> bool:
        """Are its own weights those that were last signed for the slot? Then there is no interval to keep from them.

        Others may have been signed since: its signature is dead only minutes after it was made.
        """
        intent = self.intent
        last = self.desk.journal.slot(intent.ss58_address, intent.netuid, intent.mechid) if intent.attempt else None
        return last is not None and last.at_ms == intent.signed_ms

    def _refuse(self, refusal: Refusal) -> Refusal:
        seconds = refusal.retry_after_seconds
        if refusal.code == "rate_limited" and seconds is not None:
            block = refusal.next_block or self.facts.block_number + int(seconds * 1000 / self.desk.block_ms) + 1
            return self._wait(refusal.message, refusal.hint, self.desk.now_ms() + seconds * 1000, block)
        return self.desk.fail(self.intent, _failure(refusal.code, refusal.message, refusal.hint))

    def _wait(self, message: str, hint: str, allowed_ms: int, allowed_block: int) -> Refusal:
        """The end of an intent that does not wait; one that does is put off."""
        desk, intent = self.desk, self.intent
        seconds = max(1, -(-(allowed_ms - desk.now_ms()) // 1000))
        intent.not_before_ms, intent.not_before_block = allowed_ms, allowed_block
        if not intent.queue:
            refusal = desk.fail(intent, _failure("rate_limited", message, hint))
        else:
            intent.deadline_ms = allowed_ms + int(desk.config.signer.deadline_seconds * 1000)
            desk.retry_ms[intent.id] = allowed_ms
            desk.move(intent, State.ACCEPTED, "queued", until_block=allowed_block)
            refusal = desk.hinder(intent, "rate_limited", message)
        return Refusal(refusal.code, refusal.message, refusal.hint, seconds, allowed_block, intent.id)

    def _sign(self, call: Call) -> Task | Refusal:
        desk, intent, facts = self.desk, self.intent, self.facts
        nonce = self._nonce()
        era_blocks = desk.config.signer.era_blocks
        extrinsic = self.runtime.sign(call, self.key, facts, nonce=nonce, era_blocks=era_blocks)
        now = desk.now_ms()
        intent.call, intent.uid, intent.nonce = call.name, facts.uid, nonce
        intent.extrinsic, intent.extrinsic_hash = extrinsic.data, extrinsic.hash
        intent.era_birth, intent.era_death = extrinsic.era_birth, extrinsic.era_death
        intent.signed_ms, intent.lost, intent.attempt = now, False, intent.attempt + 1
        intent.dead_ms = now + life_ms(era_blocks, desk.block_ms)
        intent.reveal_round = call.reveal_round
        if call.reveal_round is not None:
            grace = (facts.tempo + REVEAL_GRACE_BLOCKS) * desk.block_ms
            intent.reveal_by_ms = reveal_ms(call.reveal_round) + int(grace)
        with desk.journal.transaction() as writer:
            if intent.kind == SetWeights.kind:
                # Another call must not wipe out that commit-reveal was on: the operator confirms that it is off.
                writer.set_commit_reveal(desk.genesis, intent.netuid, facts.commit_reveal)
            if intent.weights is not None:
                slot = (intent.ss58_address, intent.netuid, intent.mechid)
                writer.set_slot(*slot, Signed(now, facts.block_number, intent.weights))
            desk.lanes.note(writer, self.key, facts, nonce)
            desk.move_within(
                writer,
                intent,
                State.SIGNED,
                "signed",
                call=call.name,
                nonce=nonce,
                extrinsic=extrinsic.hash,
                era=[extrinsic.era_birth, extrinsic.era_death],
                weights=intent.weights,
                spec_version=facts.spec_version,
            )
        desk.trouble.pop(intent.id, None)
        desk.moved(intent)
        task = task_of(desk, intent)
        assert task is not None
        return task

    def _nonce(self) -> int:
        """The lowest free place in this hotkey's lane.

        The pool's next index counts only what it holds without a gap, so a gap that a refused extrinsic left is filled
        first; what we signed and the pool has not seen yet is skipped.
        """
        kept = self.intent.nonce if self.intent.keep_nonce else None
        if kept is not None and kept >= self.facts.finalized_nonce:
            return kept
        journal, address = self.desk.journal, self.intent.ss58_address
        taken = journal.nonces_in_flight(address, self.intent.id)
        taken |= journal.nonces_given_away(address, self.desk.now_ms())
        nonce = self.facts.nonce
        while nonce in taken:
            nonce += 1
        return nonce
