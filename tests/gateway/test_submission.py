"""A request from the signer's yes to its answer, with a scripted signer and no sockets."""

import asyncio
import json

import pytest

from wallet_guard.gateway.credentials import Bearer
from wallet_guard.gateway.submission import ACCEPT_ATTEMPTS, GOAL_SECONDS, Envelope, Submissions
from wallet_guard.gateway.waits import Waits
from wallet_guard.ipc.answers import Refusal
from wallet_guard.ipc.asker import RefusedError, Unavailable
from wallet_guard.ipc.intents import Accept, Failure, Show, State
from wallet_guard.ipc.wishes import SetWeights
from wallet_guard.orders.weights import Order

REQUEST = SetWeights("validator", "default", 2, 0, (1,), None, (1.0,), 0)


class Asker:
    """Answers the n-th Accept by the n-th step of ``accepts``, every Show by ``show``."""

    def __init__(self, *accepts, show=None):
        self.accepts = list(accepts)
        self.show = show
        self.asked = []

    async def ask(self, question, *, seconds, answer=None):
        self.asked.append(question)
        step = self.show if isinstance(question, Show) else self.accepts.pop(0)
        await asyncio.sleep(0)
        if step is None:
            await asyncio.sleep(seconds)
            raise Unavailable("no answer in time", asked=True)
        if isinstance(step, Exception):
            raise step
        return step

    @property
    def keys(self):
        return [question.idempotency_key for question in self.asked if isinstance(question, Accept)]


def submit(asker, *, goal=State.SUBMITTED, queue=False, timeout=5.0, key="key-1", waits=None, during=None):
    """(status, content) of one request; ``during(waits, submissions)`` happens once it waits."""

    async def run():
        house = waits or Waits()
        submissions = Submissions(asker, house)
        order = Order(REQUEST, queue, goal, timeout)
        task = asyncio.ensure_future(submissions.submit(order, Envelope(Bearer("token"), key)))
        if during is not None:
            await asyncio.sleep(0.02)
            during(house, submissions)
        async with asyncio.timeout(10):
            return await task

    answer = asyncio.run(run())
    return answer.status, json.loads(answer.body)


def test_answers_as_soon_as_the_pool_has_it(new_view):
    asker = Asker(new_view(), show=new_view())
    status, content = submit(asker, during=lambda waits, _: waits.tell(new_view(State.SUBMITTED, 2)))
    assert (status, content["state"]) == (200, "submitted")
    assert [type(question) for question in asker.asked] == [Accept, Show]


def test_the_same_request_again_answers_from_the_intent_that_is_there(new_view):
    asker = Asker(new_view(State.FINALIZED, 6))
    status, content = submit(asker, goal=State.IN_BLOCK)
    assert (status, content["state"]) == (200, "finalized")
    assert len(asker.asked) == 1


def test_waits_on_where_more_is_asked_for(new_view):
    asker = Asker(new_view(State.SUBMITTED, 2), show=new_view(State.SUBMITTED, 2))
    status, content = submit(
        asker, goal=State.IN_BLOCK, during=lambda waits, _: waits.tell(new_view(State.IN_BLOCK, 3, block_number=8))
    )
    assert (status, content["block_number"]) == (200, 8)


def test_a_refusal_of_the_signer_is_the_answer(new_view):
    asker = Asker(RefusedError(Refusal("netuid_not_allowed", "expected netuid 1, found 2")))
    status, content = submit(asker)
    assert (status, content["error"]["code"], content["submitted"]) == (403, "netuid_not_allowed", "no")


def test_what_could_not_be_written_down_may_be_there_all_the_same():
    asker = Asker(RefusedError(Refusal("journal_unavailable", "the journal cannot be written: disk I/O error")))
    status, content = submit(asker)
    assert (status, content["error"]["code"]) == (503, "journal_unavailable")
    assert (content["submitted"], content["idempotency_key"]) == ("maybe", "key-1")


def test_a_failure_on_the_way_is_the_answer(new_view):
    failed = new_view(State.FAILED, 4, failure=Failure("chain_rejected", "Custom(6)", "", may_be_submitted=False))
    asker = Asker(new_view(), show=new_view())
    status, content = submit(asker, during=lambda waits, _: waits.tell(failed))
    assert (status, content["error"]["message"], content["submitted"]) == (502, "Custom(6)", "no")


def test_the_time_that_the_client_gives_is_kept(new_view):
    status, content = submit(Asker(new_view(), show=new_view()), timeout=0.05)
    assert (status, content["error"]["code"]) == (504, "deadline")
    assert "after 0.05 s" in content["message"]
    assert content["intent"] == "intent-1"


@pytest.mark.parametrize("goal", GOAL_SECONDS)
def test_no_client_waits_longer_than_the_goal_allows(new_view, goal, monkeypatch):
    monkeypatch.setitem(GOAL_SECONDS, goal, 0.05)
    status, content = submit(Asker(new_view(), show=new_view()), goal=goal, timeout=3600.0)
    assert (status, content["error"]["code"]) == (504, "deadline")


def test_says_so_where_the_chain_cannot_be_reached(new_view):
    view = new_view(trouble="cannot connect to the chain")
    status, content = submit(Asker(view, show=view), timeout=0.05)
    assert (status, content["error"]["code"], content["submitted"]) == (503, "chain_unavailable", "no")


def test_a_broken_connection_is_mended_with_the_same_key(new_view):
    asker = Asker(Unavailable("the signer closed the connection", asked=True), new_view(State.SUBMITTED, 2))
    assert submit(asker)[0] == 200
    assert asker.keys == ["key-1", "key-1"]


def test_makes_a_key_where_the_client_gave_none(new_view):
    asker = Asker(Unavailable("broken", asked=True), new_view(State.SUBMITTED, 2))
    submit(asker, key=None)
    assert asker.keys[0] == asker.keys[1]
    assert len(asker.keys[0]) == len("gateway-") + 32


def test_two_requests_without_a_key_are_two(new_view):
    asker = Asker(new_view(State.SUBMITTED, 2), new_view(State.SUBMITTED, 2))
    submit(asker, key=None)
    submit(asker, key=None)
    assert asker.keys[0] != asker.keys[1]


def test_does_not_kill_the_signer_again_and_again():
    asker = Asker(*[Unavailable("broken", asked=True)] * 10)
    status, content = submit(asker)
    assert (status, content["submitted"], content["idempotency_key"]) == (503, "maybe", "key-1")
    assert len(asker.asked) == ACCEPT_ATTEMPTS


def test_without_a_signer_nothing_was_submitted():
    status, content = submit(Asker(Unavailable("not connected", asked=False)))
    assert (status, content["error"]["code"], content["submitted"]) == (503, "signer_unavailable", "no")


def test_once_asked_always_asked():
    asker = Asker(Unavailable("broken", asked=True), Unavailable("not connected", asked=False))
    assert submit(asker)[1]["submitted"] == "maybe"


def test_a_queued_intent_is_answered_at_once(new_view):
    later = new_view(State.ACCEPTED, 2, not_before_block=99, not_before_ms=4_000_000_000_000)
    asker = Asker(new_view(), show=new_view())
    status, content = submit(asker, queue=True, during=lambda waits, _: waits.tell(later))
    assert (status, content["queued"], content["next_block"]) == (202, True, 99)


def test_an_intent_that_may_go_within_the_wait_is_waited_for(new_view):
    soon = new_view()
    soon = new_view(State.ACCEPTED, 2, not_before_ms=soon.accepted_ms + 100)
    asker = Asker(soon, show=soon)
    status, _ = submit(asker, queue=True, during=lambda waits, _: waits.tell(new_view(State.SUBMITTED, 3)))
    assert status == 200


def test_stopping_answers_who_waits_and_keeps_the_intent(new_view):
    asker = Asker(new_view(State.SIGNED, 2), show=new_view(State.SIGNED, 2))
    status, content = submit(asker, during=lambda _, submissions: submissions.stop())
    assert (status, content["error"]["code"]) == (503, "stopping")
    assert (content["intent"], content["submitted"], content["final"]) == ("intent-1", "maybe", False)


def test_stopping_while_the_signer_is_asked_admits_that_it_may_have_accepted():
    status, content = submit(Asker(None), during=lambda _, submissions: submissions.stop())
    assert (status, content["error"]["code"], content["submitted"]) == (503, "stopping", "maybe")
    assert content["idempotency_key"] == "key-1"


def test_a_full_house_asks_nobody():
    asker = Asker()
    waits = Waits(max_waits=0)
    status, content = submit(asker, waits=waits)
    assert (status, content["error"]["code"], content["submitted"]) == (429, "too_many_waiting", "no")
    assert asker.asked == []


def test_a_signer_that_is_away_while_we_wait_is_asked_again_when_it_is_back(new_view):
    asker = Asker(new_view(), show=Unavailable("gone", asked=True))

    def come_back(waits, _):
        asker.show = new_view(State.SUBMITTED, 5)
        waits.doubt()

    assert submit(asker, during=come_back)[0] == 200
    assert [type(question) for question in asker.asked] == [Accept, Show, Show]


def test_who_leaves_gives_the_place_back(new_view):
    async def run():
        waits = Waits()
        submissions = Submissions(Asker(new_view(), show=new_view()), waits)
        order = Order(REQUEST, False, State.SUBMITTED, None)
        task = asyncio.ensure_future(submissions.submit(order, Envelope(Bearer("token"), None)))
        await asyncio.sleep(0.02)
        assert (waits.taken, waits.follows("intent-1")) == (1, True)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert (waits.taken, waits.follows("intent-1")) == (0, False)

    asyncio.run(run())
