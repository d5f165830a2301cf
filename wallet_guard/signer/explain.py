"""Explanations: what would be signed for a wish, and every rule's word. Nothing here can lead to a signature.

A wish is asked about, the chain process is asked for the same facts as for an intent, and what it brings (``Inform``,
then ``Quote`` for the fee) ends the explanation. There is no intent, no nonce, no counter; a key is only looked up for
its address and its public half. The answer waits for the chain process, so it comes later than other answers.
"""

from dataclasses import replace

from wallet_guard.ipc.answers import Done, Refusal
from wallet_guard.ipc.chain import Facts
from wallet_guard.ipc.clients import ClientView
from wallet_guard.ipc.explanations import Composed, Draft, DryRun, Explain, Explanation, Inform, Quote
from wallet_guard.ipc.wishes import SetWeights, Wish
from wallet_guard.signer.accept import asked_of, check_shape, vector_of
from wallet_guard.signer.compose import RuntimeUnusableError, TimelockError
from wallet_guard.signer.desk import Desk
from wallet_guard.signer.drafts import Drafted, DraftError, TooEarlyError, draft
from wallet_guard.signer.facts import FactsError, check_facts
from wallet_guard.signer.grants import Moment, deny, find_client, find_key, ground_of, verdicts
from wallet_guard.signer.journal import JournalError
from wallet_guard.signer.pending import MAX_A_MINUTE, MAX_OPEN, Later, Pending
from wallet_guard.signer.rules import PERMISSIONS, RULES, refusal_of, vector_signed
from wallet_guard.signer.seal import known_of

SECONDS = 10.0
"""How long the chain process has for facts and fee; without them the rules alone are explained."""

_PREFIX = "explain-"

MAX_FEE = 2**64 - 1
"""In rao: all that a u64 balance can hold."""


def dry_run(desk: Desk, question: DryRun) -> Later | Explanation | Refusal:
    """For a node. What it may not ask about at all is explained at once, by the rules that say so."""
    client = find_client(desk, question.token)
    if isinstance(client, Refusal):
        return client
    if not desk.waitingroom.takes(client.name, desk.now_ms()):
        refusal = Refusal(
            "rate_limited", f"expected at most {MAX_A_MINUTE} dry runs a minute", "wait", retry_after_seconds=60
        )
        return deny(desk, client.name, asked_of(question.request), refusal)
    return _begin(desk, client, question.request)


def explain(desk: Desk, question: Explain) -> Later | Explanation | Refusal:
    """For the operator, in a client's name."""
    client = desk.client_named(question.client)
    if client is None:
        return Refusal("unknown_client", f"expected an active client, found none named {question.client[:64]!r}")
    return _begin(desk, client, question.request)


def inform(desk: Desk, question: Inform) -> Draft | Refusal:
    """Takes the facts; the draft that they make, for its fee to be asked."""
    found = desk.waitingroom.open.get(question.explanation)
    if found is None:
        return _unknown()
    facts = question.facts
    runtime = desk.chain.runtimes.get((facts.spec_version, facts.transaction_version))
    if runtime is None:
        return Refusal("runtime_unknown", f"expected a runtime told before, found {facts.spec_version}")
    drafted = _draft(desk, found, facts)
    # A head that is refused with its facts is not judged by.
    block = None if found.code == "facts_refused" else facts.block_number
    vector = vector_of(found.request) if drafted is None else drafted.weights and vector_signed(drafted.weights)
    _judge(desk, found, Moment(found.address, block, vector or None, dry_run=True))
    if drafted is None:
        _finish(desk, question.explanation, found)
        return Draft(None)
    found.call = Composed(
        name=drafted.call.name,
        data=drafted.call.data,
        weights=drafted.weights,
        reveal_round=drafted.call.reveal_round,
        spec_version=runtime.spec_version,
        metadata_digest=runtime.digest,
        fee=None,
    )
    return Draft(drafted.call.data)


def quote(desk: Desk, question: Quote) -> Done | Refusal:
    """Takes the fee; that is the end."""
    found = desk.waitingroom.open.get(question.explanation)
    if found is None or found.call is None:
        return _unknown()
    if question.fee is not None and not 0 <= question.fee <= MAX_FEE:
        return Refusal("invalid_quote", f"fee: expected 0 to {MAX_FEE}")
    found.call = replace(found.call, fee=question.fee)
    _finish(desk, question.explanation, found)
    return Done()


def tick(desk: Desk) -> None:
    """Ends what the chain process left waiting."""
    for name, found in list(desk.waitingroom.open.items()):
        if desk.now_ms() >= found.since_ms + int(SECONDS * 1000):
            if not found.rules:
                why = desk.chain.pulse.trouble if desk.chain.pulse else "the chain process has not spoken yet"
                found.code = "chain_unavailable"
                found.message = f"the chain's facts did not come within {SECONDS:g} s: {why or 'no reason given'}"
                moment = Moment(found.address, vector=vector_of(found.request), dry_run=True)
                _judge(desk, found, moment)
            _finish(desk, name, found)


def _begin(desk: Desk, client: ClientView, request: Wish) -> Later | Explanation | Refusal:
    wrong = check_shape(request)
    if wrong is not None:
        return wrong
    asked = asked_of(request)
    found = Pending(client, request, "", b"", desk.now_ms())
    permitted = verdicts(desk, client, asked, PERMISSIONS, Moment(dry_run=True))
    refusal = refusal_of(permitted)
    if refusal is not None:
        # No more than the rules: whether there is such a key is nobody's business who may not use it.
        found.rules, found.code, found.message = permitted, refusal.code, refusal.message
        return _end(desk, found)
    key = find_key(desk, asked)
    if isinstance(key, Refusal):
        return key
    if desk.waitingroom.is_full:
        message = f"expected at most {MAX_OPEN} explanations under way"
        return Refusal("too_many_waiting", message, "wait for answers first", retry_after_seconds=1)
    found.address, found.public_key = key.ss58_address, key.public_key
    desk.waitingroom.open[_PREFIX + desk.random_hex(16)] = found
    desk.on_work()
    return found.later


def _draft(desk: Desk, found: Pending, facts: Facts) -> Drafted | None:
    """The draft; None where there is none, and ``found`` says why."""
    request, runtime = found.request, desk.chain.runtimes[facts.spec_version, facts.transaction_version]
    mechid = request.mechid if isinstance(request, SetWeights) else 0
    ground = ground_of(desk, found.address, request.netuid, mechid)
    try:
        check_facts(facts, known_of(desk, found.address))
        return draft(request, facts, runtime, (found.address, found.public_key), ground)
    except DraftError as error:
        found.code, found.message = error.code, str(error)
    except TooEarlyError as error:
        found.code, found.message = "rate_limited", str(error)
    except (FactsError, TimelockError) as error:
        found.code, found.message = "facts_refused", str(error)
    except RuntimeUnusableError as error:
        found.code, found.message = "runtime_refused", str(error)
    return None


def _judge(desk: Desk, found: Pending, moment: Moment) -> None:
    found.rules = verdicts(desk, found.client, asked_of(found.request), RULES, moment)
    refusal = refusal_of(found.rules)
    if refusal is not None:
        # What the operator forbids comes before what the chain would not take.
        found.code, found.message = refusal.code, refusal.message


def _finish(desk: Desk, name: str, found: Pending) -> None:
    del desk.waitingroom.open[name]
    try:
        found.later.tell(_end(desk, found))
    except JournalError as error:
        found.later.tell(Refusal("journal_unavailable", str(error), "mend the disk, then restart the signer"))


def _end(desk: Desk, found: Pending) -> Explanation:
    """The explanation, once it is in the audit chain.

    Raises:
        JournalError: it could not be written.
    """
    locked = desk.check_unlocked()
    if locked is not None:
        found.code, found.message = locked.code, locked.message
    asked = asked_of(found.request)
    with desk.journal.transaction() as writer:
        writer.record(
            desk.now_ms(),
            "dry_run",
            found.client.name,
            call=asked.call,
            key=f"{asked.wallet[:64]}/{asked.hotkey[:64]}",
            netuid=asked.netuid,
            approved=not found.code,
            code=found.code,
        )
    return Explanation(
        client=found.client.name,
        kind=asked.call,
        wallet=asked.wallet,
        hotkey=asked.hotkey,
        netuid=found.request.netuid,
        mechid=asked.mechid or 0,
        approved=not found.code,
        code=found.code,
        message=found.message,
        rules=found.rules,
        call=found.call,
    )


def _unknown() -> Refusal:
    return Refusal("unknown_intent", "expected an explanation under way, found none of that name")
