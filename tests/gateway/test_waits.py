"""Waiting for an intent: who is told, when it ends, and how many may."""

import asyncio

import pytest

from wallet_guard.gateway.waits import TooManyWaits, Waits, ended, reached
from wallet_guard.ipc.intents import Failure, State

FAILURE = Failure("dispatch_failed", "it failed", "", may_be_submitted=True)


class Signer:
    """Answers Show with ``view``, and counts."""

    def __init__(self, view=None):
        self.view = view
        self.asked = 0

    async def show(self):
        self.asked += 1
        return self.view


async def until(waits, view, goal, signer, *steps):
    """Follows ``view`` to ``goal`` while the steps happen, one per turn of the loop."""
    with waits.follow(view) as wait:
        task = asyncio.ensure_future(wait.until(lambda view: reached(view, goal), signer.show))
        for step in steps:
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            step()
        async with asyncio.timeout(1):
            return await task


@pytest.mark.parametrize(
    ("state", "goal", "there"),
    [
        (State.ACCEPTED, State.SUBMITTED, False),
        (State.SIGNED, State.SUBMITTED, False),
        (State.SUBMITTED, State.SUBMITTED, True),
        (State.IN_BLOCK, State.SUBMITTED, True),
        (State.SUBMITTED, State.IN_BLOCK, False),
        (State.IN_BLOCK, State.FINALIZED, False),
        (State.EFFECTIVE, State.FINALIZED, True),
        (State.FAILED, State.SUBMITTED, False),
        (State.EXPIRED, State.SUBMITTED, False),
    ],
)
def test_a_goal_is_reached_by_its_state_and_those_beyond(new_view, state, goal, there):
    assert reached(new_view(state), goal) is there


def test_a_dispatch_that_failed_in_a_block_is_an_end_and_no_goal(new_view):
    view = new_view(State.IN_BLOCK, failure=FAILURE)
    assert ended(view)
    assert not reached(view, State.IN_BLOCK)


def test_what_is_reached_already_asks_nobody(new_view):
    signer = Signer()
    view = new_view(State.SUBMITTED)
    assert asyncio.run(until(Waits(), view, State.SUBMITTED, signer)) is view
    assert signer.asked == 0


def test_asks_once_at_the_beginning_since_news_may_have_passed(new_view):
    signer = Signer(new_view(State.SUBMITTED, 2))
    found = asyncio.run(until(Waits(), new_view(), State.SUBMITTED, signer))
    assert found is signer.view
    assert signer.asked == 1


def test_is_told_by_events_and_does_not_ask_again(new_view):
    signer, waits = Signer(new_view()), Waits()
    news = [new_view(State.SIGNED, 2), new_view(State.SUBMITTED, 3)]
    found = asyncio.run(until(waits, new_view(), State.SUBMITTED, signer, *(lambda v=v: waits.tell(v) for v in news)))
    assert found is news[1]
    assert signer.asked == 1


def test_old_news_do_not_undo_newer(new_view):
    signer, waits = Signer(new_view()), Waits()
    steps = [
        lambda: waits.tell(new_view(State.IN_BLOCK, 5)),
        lambda: waits.tell(new_view(State.SUBMITTED, 4)),
        lambda: waits.tell(new_view(State.FINALIZED, 6)),
    ]
    assert asyncio.run(until(waits, new_view(), State.FINALIZED, signer, *steps)).version == 6


def test_a_failure_ends_the_wait(new_view):
    signer, waits = Signer(new_view()), Waits()
    failed = new_view(State.FAILED, 2, failure=FAILURE)
    assert asyncio.run(until(waits, new_view(), State.SUBMITTED, signer, lambda: waits.tell(failed))) is failed


def test_asks_again_after_a_reconnect(new_view):
    signer, waits = Signer(), Waits()

    def reconnect():
        signer.view = new_view(State.SUBMITTED, 9)
        waits.doubt()

    assert asyncio.run(until(waits, new_view(), State.SUBMITTED, signer, reconnect)).version == 9
    assert signer.asked == 2


def test_without_an_answer_it_waits_for_news_instead_of_asking_in_a_loop(new_view):
    signer, waits = Signer(None), Waits()
    steps = [lambda: None] * 20 + [lambda: waits.tell(new_view(State.SUBMITTED, 2))]
    asyncio.run(until(waits, new_view(), State.SUBMITTED, signer, *steps))
    assert signer.asked == 1


def test_news_of_one_intent_are_not_told_to_another(new_view):
    waits = Waits()
    with waits.follow(new_view(intent="a")) as one, waits.follow(new_view(intent="b")) as other:
        waits.tell(new_view(State.SUBMITTED, 2, intent="a"))
        assert (one.view.version, other.view.version) == (2, 1)


def test_all_who_follow_one_intent_are_told(new_view):
    waits = Waits()
    with waits.follow(new_view()) as one, waits.follow(new_view()) as other:
        waits.tell(new_view(State.SUBMITTED, 2))
        assert (one.view.version, other.view.version) == (2, 2)


def test_who_left_is_forgotten(new_view):
    waits = Waits()
    with waits.follow(new_view()):
        assert waits.follows("intent-1")
    assert not waits.follows("intent-1")


def test_places_are_given_back():
    waits = Waits(max_waits=1)
    for _ in range(3):
        with waits.place("token"):
            assert waits.taken == 1
    assert waits.taken == 0


def test_a_place_is_given_back_after_an_error():
    waits = Waits(max_waits=1, max_of_one_token=1)
    with pytest.raises(ZeroDivisionError), waits.place("token"):
        raise ZeroDivisionError
    with waits.place("token"):
        assert waits.taken == 1


def test_refuses_more_than_the_house_holds():
    waits = Waits(max_waits=2)
    with waits.place("one"), waits.place("two"):
        with pytest.raises(TooManyWaits, match="at most 2 waiting requests, "), waits.place("three"):
            pass


def test_refuses_more_than_one_client_may_hold_and_serves_the_others():
    waits = Waits(max_of_one_token=1)
    with waits.place("one"):
        with pytest.raises(TooManyWaits, match="of one client"), waits.place("one"):
            pass
        with waits.place("two"):
            assert waits.taken == 2
