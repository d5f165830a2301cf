"""What waits for a peer: order, ceilings, and nothing lost that was promised."""

import random

import pytest

from wallet_guard.realtime.ends import QueueFullError
from wallet_guard.realtime.outbox import CONFIRMATION, GAME_UPDATE, NORMAL, Outbox
from wallet_guard.signed.replay import SPAN


def put(outbox, value, priority=NORMAL, **how):
    return outbox.put("note", {"n": value}, priority, **how)


def take(outbox, count=64, size=1 << 20, now=0.0):
    return [int(line.partition('{"n":')[2].rstrip("}")) for line in outbox.take(count, size, now, 5.0)]


def test_urgent_ones_overtake_and_equals_keep_their_order():
    outbox = Outbox("s")
    for value, priority in ((1, NORMAL), (2, GAME_UPDATE), (3, CONFIRMATION), (4, CONFIRMATION), (5, NORMAL)):
        put(outbox, value, priority)
    assert take(outbox) == [3, 4, 2, 1, 5]
    assert outbox.depth == 0


def test_takes_no_more_than_fits_but_always_one():
    outbox = Outbox("s")
    for value in range(5):
        put(outbox, value)
    assert take(outbox, count=2) == [0, 1]
    assert take(outbox, size=1) == [2]
    assert take(outbox) == [3, 4]


def test_the_oldest_of_the_least_urgent_goes_when_there_is_no_room():
    outbox = Outbox("s", max_items=3)
    put(outbox, 1, CONFIRMATION)
    for value in range(2, 7):
        put(outbox, value)
    assert take(outbox) == [1, 5, 6]
    assert outbox.dropped == 3


def test_bytes_have_a_ceiling_too():
    outbox = Outbox("s", max_bytes=200)
    for value in range(50):
        put(outbox, value)
    assert 0 < outbox.depth <= 6
    assert take(outbox)[-1] == 49


def test_the_latest_takes_the_place_of_one_that_still_waits():
    outbox = Outbox("s")
    put(outbox, 1, latest=True)
    put(outbox, 2)
    put(outbox, 3, latest=True)
    assert take(outbox) == [3, 2]
    put(outbox, 4, latest=True)
    assert take(outbox) == [4]


def test_reliable_ones_stay_until_they_are_acknowledged():
    outbox = Outbox("s")
    ids = [put(outbox, value, reliable=True).id for value in range(3)]
    assert ids == ["s.1", "s.2", "s.3"]
    assert take(outbox) == [0, 1, 2]
    assert outbox.acknowledge(["s.2", "s.2", "x.9"]) == ["s.2"]
    assert outbox.resend() == 2
    assert take(outbox) == [0, 2]
    assert outbox.acknowledge(ids) == ["s.1", "s.3"]
    assert (outbox.unacknowledged, outbox.resend()) == (0, 0)


def test_what_is_sent_again_goes_before_what_came_later():
    outbox = Outbox("s")
    put(outbox, 1, reliable=True)
    put(outbox, 2, reliable=True)
    take(outbox)
    put(outbox, 3, reliable=True)
    outbox.resend()
    assert take(outbox) == [1, 2, 3]


def test_without_acknowledgement_the_pauses_double_up_to_a_minute():
    outbox = Outbox("s")
    put(outbox, 1, reliable=True)
    now, pauses = 0.0, []
    for _ in range(7):
        assert take(outbox, now=now) == [1]
        began = now
        while not outbox.resend(now):
            now += 1.0
        pauses.append(now - began)
    assert pauses == [5, 10, 20, 40, 60, 60, 60]


def test_reliable_ones_are_refused_and_never_dropped():
    outbox = Outbox("s", max_items=2)
    put(outbox, 1, reliable=True)
    put(outbox, 2, reliable=True)
    with pytest.raises(QueueFullError):
        put(outbox, 3, reliable=True)
    with pytest.raises(QueueFullError):
        put(outbox, 4)
    assert take(outbox) == [1, 2]
    with pytest.raises(QueueFullError):
        put(outbox, 5, reliable=True)


def test_is_never_further_ahead_than_a_receiver_remembers():
    outbox = Outbox("s", max_items=SPAN * 2)
    for value in range(SPAN):
        put(outbox, value, reliable=True)
    with pytest.raises(QueueFullError):
        put(outbox, SPAN, reliable=True)
    outbox.acknowledge(["s.1"])
    put(outbox, SPAN, reliable=True)


def test_a_former_life_comes_back_in_order_and_numbers_go_on():
    outbox = Outbox("s")
    outbox.restore("s.7", NORMAL, '{"type":"note","id":"s.7","ack":true,"data":{"n":7}}')
    outbox.restore("s.9", NORMAL, '{"type":"note","id":"s.9","ack":true,"data":{"n":9}}')
    assert put(outbox, 10, reliable=True).id == "s.10"
    assert take(outbox) == [7, 9, 10]


def test_counts_and_contents_agree_whatever_happens():
    outbox, chance, alive = Outbox("s", max_items=40), random.Random(5), set()
    for step in range(20_000):
        action = chance.randrange(4)
        try:
            if action == 0:
                alive.add(put(outbox, step, chance.randrange(4), reliable=True).id)
            elif action == 1:
                put(outbox, step, chance.randrange(4), latest=chance.random() < 0.3)
        except QueueFullError:
            pass
        if action == 2:
            outbox.take(chance.randrange(1, 9), 1 << 20, step, 5.0)
        if action == 3 and alive:
            gone = chance.sample(sorted(alive), min(len(alive), 3))
            assert set(outbox.acknowledge(gone)) == set(gone)
            alive -= set(gone)
        if chance.random() < 0.05:
            outbox.resend()
        waiting = [item for queue in outbox._by_priority.values() for item in queue]
        assert outbox.depth == len(waiting) <= 81
        assert outbox._bytes == sum(len(item.line) for item in waiting)
        assert outbox.unacknowledged == len(alive)
