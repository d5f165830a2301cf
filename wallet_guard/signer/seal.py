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
from wallet_guard.signer.calls import PlainCall, call_of, read_wish
from wallet_guard.signer.compose import Call, Runtime, RuntimeUnusableError, TimelockError, reveal_ms
from wallet_guard.signer.desk import GENESIS_META, MAX_RUNTIMES, Desk
from wallet_guard.signer.eras import life_ms
from wallet_guard.signer.facts import FactsError, Known, check_facts
from wallet_guard.signer.journal import Intent
from wallet_guard.signer.keys import Key
from wallet_guard.signer.tasks import due_ms, task_of
from wallet_guard.signer.weights import WeightsError, conform, shift

log = logging.getLogger(__name__)

RETRY_SECONDS = 6.0
"""After facts that were refused: half a block, so that a node that lags has time to catch up."""

HEAD_SECONDS = 600.0
"""How long a head that facts showed is held against later ones: one lie must not shut out honest nodes for good."""

MAX_CLOCK_INTERVAL_BLOCKS = 360
"""The most blocks (one default tempo) that a remembered rate limit keeps a slot waiting by our own clock alone."""

REVEAL_GRACE_BLOCKS = 100
"""Blocks after the reveal round (and the epoch that follows it) before a commit that did not reveal is an alarm."""

RATE_SLACK_BLOCKS = 2
"""How much shorter the interval on our own clock may be than the chain's: a signature waits that long for its block."""


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
        check_facts(question.facts, _known(desk, intent))
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


def _known(desk: Desk, intent: Intent) -> Known:
    return Known(
        genesis_hash=bytes.fromhex(desk.genesis.removeprefix("0x")),
        block_time_ms=int(desk.block_ms),
        lowest_nonce=desk.journal.lowest_nonce(intent.ss58_address),
        lane=desk.journal.lane(intent.ss58_address),
        best_block=desk.chain.best_block if desk.now_ms() < desk.chain.best_block_ms + HEAD_SECONDS * 1000 else 0,
        lowest_nonce_block=desk.journal.lowest_nonce_block(intent.ss58_address),
    )


def _remember_head(desk: Desk, block_number: int) -> None:
    chain, now = desk.chain, desk.now_ms()
    if block_number >= chain.best_block or now > chain.best_block_ms + HEAD_SECONDS * 1000:
        chain.best_block, chain.best_block_ms = block_number, now


def _failure(code: str, message: str, hint: str = "") -> Failure:
    return Failure(code, message, hint, may_be_submitted=False)


class _RefusedError(Exception):
    """This ends the intent: nothing was signed, and the facts say that nothing will be."""

    def __init__(self, code: str, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.failure = _failure(code, message, hint)


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
            self._check_client()
            call = self._compose_weights(wish) if isinstance(wish, SetWeights) else self._compose_plain(wish)
            return call if isinstance(call, Refusal) else self._sign(call)
        except _RefusedError as error:
            return desk.fail(intent, error.failure)
        except TimelockError as error:
            return desk.hinder(intent, "facts_refused", str(error), retry_seconds=RETRY_SECONDS)
        except RuntimeUnusableError as error:
            return desk.hinder(intent, "runtime_refused", str(error), retry_seconds=RETRY_SECONDS)

    def _compose_plain(self, wish: PlainCall) -> Call:
        self._check_registered(wish.netuid)
        return self.runtime.compose(*call_of(wish))

    def _compose_weights(self, request: SetWeights) -> Call | Refusal:
        uids = self._check_place(request)
        waiting = self._check_interval()
        if waiting is not None:
            return waiting
        kept, values = self._conform(request, uids)
        call = self._compose(request, kept, values)
        self.intent.weights, self.intent.rate_limit = tuple(zip(kept, values, strict=True)), self.facts.rate_limit
        return call

    def _check_client(self) -> None:
        """The token may have been revoked since."""
        name = self.intent.client
        for _, client in self.desk.journal.clients():
            if client.name == name and client.revoked_ms is None:
                return
        raise _RefusedError("unauthorized", f"client {name} was revoked before this was signed")

    def _check_registered(self, netuid: int) -> None:
        if self.facts.uid is None:
            raise _RefusedError(
                "not_registered",
                f"hotkey {self.key.ss58_address} is not registered on subnet {netuid}",
                "register it (btcli subnet register), or check netuid and network",
            )

    def _check_place(self, request: SetWeights) -> tuple[int, ...]:
        facts, netuid = self.facts, request.netuid
        last = max(facts.mechanisms, 1) - 1
        if request.mechid > last:
            raise _RefusedError(
                "unknown_mechanism",
                f"mechid: expected 0 to {last} on subnet {netuid}, found {request.mechid}",
            )
        self._check_registered(netuid)
        if request.version_key < facts.weights_version_key:
            raise _RefusedError(
                "version_key_too_low",
                f"version_key: expected at least {facts.weights_version_key}, found {request.version_key}",
                "update the validator's code, which knows the version that the subnet wants",
            )
        if request.hotkeys is None:
            assert request.uids is not None
            return request.uids
        found = dict(facts.uids)
        for address in request.hotkeys:
            if address not in found:
                raise _RefusedError("unknown_hotkey", f"hotkey {address} is not registered on subnet {netuid}")
        uids = tuple(found[address] for address in request.hotkeys)
        if len(set(uids)) != len(uids):
            raise _RefusedError("unknown_hotkey", "the chain gives one uid for two hotkeys")
        return uids

    def _check_interval(self) -> Refusal | None:
        """The subnet's rate limit, by the chain's blocks and by our own clock."""
        facts, desk, now = self.facts, self.desk, self.desk.now_ms()
        wait_blocks = facts.last_update + facts.rate_limit - facts.block_number if facts.last_update else 0
        allowed_ms = now + int(wait_blocks * desk.block_ms)
        last = desk.journal.last_signed(self.intent.ss58_address, self.intent.netuid, self.intent.mechid)
        interval = facts.rate_limit
        if last is not None and last.signed_ms is not None:
            # The longer of the two: a node that says the limit is gone does not shorten the interval that is running.
            interval = max(interval, min(last.rate_limit or 0, MAX_CLOCK_INTERVAL_BLOCKS))
            clock_ms = max(interval - RATE_SLACK_BLOCKS, 0) * desk.block_ms
            allowed_ms = max(allowed_ms, last.signed_ms + int(clock_ms))
        if allowed_ms <= now:
            return None
        allowed_block = facts.block_number + max(wait_blocks, -(-(allowed_ms - now) // int(desk.block_ms)))
        return self._wait(interval, allowed_ms, allowed_block)

    def _wait(self, interval: int, allowed_ms: int, allowed_block: int) -> Refusal:
        desk, intent = self.desk, self.intent
        seconds = max(1, -(-(allowed_ms - desk.now_ms()) // 1000))
        intent.not_before_ms, intent.not_before_block = allowed_ms, allowed_block
        message = (
            f"subnet {intent.netuid} takes weights every {interval} blocks; "
            f"next permitted at block {allowed_block}, in about {seconds} s"
        )
        if not intent.queue:
            hint = 'ask again then, or with "queue": true, which keeps the request until it is permitted'
            refusal = desk.fail(intent, _failure("rate_limited", message, hint))
        else:
            intent.deadline_ms = allowed_ms + int(desk.config.signer.deadline_seconds * 1000)
            desk.retry_ms[intent.id] = allowed_ms
            desk.move(intent, State.ACCEPTED, "queued", until_block=allowed_block)
            refusal = desk.hinder(intent, "rate_limited", message)
        return Refusal(refusal.code, refusal.message, refusal.hint, seconds, allowed_block, intent.id)

    def _conform(self, request: SetWeights, uids: tuple[int, ...]) -> tuple[list[int], list[int]]:
        facts = self.facts
        assert facts.uid is not None
        # The SDK sorts a mapping by uid; so does this where the uids were only now looked up.
        pairs = (
            sorted(zip(uids, request.weights, strict=True))
            if request.hotkeys
            else list(zip(uids, request.weights, strict=True))
        )
        asked, weights = [uid for uid, _ in pairs], [weight for _, weight in pairs]
        try:
            kept, values = conform(
                asked,
                weights,
                own_uid=facts.uid,
                max_weight_limit=facts.max_weight_limit,
                min_allowed_weights=facts.min_allowed_weights,
            )
        except WeightsError as error:
            raise _RefusedError("too_few_weights", str(error)) from error
        moved, most = shift(asked, weights, kept, values), self.desk.config.signer.max_shift
        if moved > most:
            raise _RefusedError(
                "weights_shifted",
                f"the subnet's limits would move {moved:.0%} of the weight, at most {most:.0%} is allowed",
                "spread the weights within max_weight_limit, or raise [signer] max_shift",
            )
        return kept, values

    def _compose(self, request: SetWeights, kept: list[int], values: list[int]) -> Call:
        facts, place = self.facts, (request.netuid, request.mechid)
        if not facts.commit_reveal:
            if self.desk.journal.commit_reveal(self.desk.genesis, request.netuid):
                raise _RefusedError(
                    "commit_reveal_disabled",
                    f"subnet {request.netuid} had commit-reveal on, now off: plain weights would be public at once",
                    f"if its owner did that, the operator allows it: wallet-guard allow-plain {request.netuid}",
                )
            return self.runtime.set_weights(*place, kept, values, request.version_key)
        call = self.runtime.commit_timelocked(self.key, facts, place, (kept, values), request.version_key)
        self._check_reveal(call)
        return call

    def _check_reveal(self, call: Call) -> None:
        """The reveal round against our own clock: not in the past, not beyond what the schedule can mean."""
        assert call.reveal_round is not None
        facts, ahead_ms = self.facts, reveal_ms(call.reveal_round) - self.desk.now_ms()
        longest = (facts.reveal_period_epochs + 1) * (facts.tempo + 1) * self.desk.block_ms + 60_000
        if not 0 < ahead_ms <= longest:
            raise TimelockError(f"reveal round: expected in 0 to {longest / 1000:.0f} s, found {ahead_ms / 1000:.0f} s")

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
