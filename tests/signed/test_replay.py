"""Numbers and ids are taken once."""

import random

import pytest

from wallet_guard.signed.replay import (
    SPAN,
    STREAMS,
    WINDOW,
    ReplayWindow,
    ReplayWindows,
    Scope,
    TakenMessages,
    parse_id,
)

ALICE = Scope("alice", "sr25519", False)


def test_takes_every_number_once_in_any_order_within_the_window():
    window = ReplayWindow(999)
    numbers = list(range(1000, 1000 + WINDOW))
    random.Random(1).shuffle(numbers)
    assert all(window.is_new(number) and window.take(number) for number in numbers)
    assert not any(window.is_new(number) or window.take(number) for number in numbers)


def test_agrees_with_a_set_that_remembers_everything():
    window, taken, chance = ReplayWindow(0), set(), random.Random(2)
    top = 0
    for _ in range(20_000):
        seq = max(1, top + chance.choice((1, 1, 1, 2, -3, -900, -1023, -1024, 50, 1500)))
        expected = seq not in taken and seq > top - WINDOW
        assert window.is_new(seq) is expected
        assert window.take(seq) is expected
        if expected:
            taken.add(seq)
            top = max(top, seq)


def test_a_jump_of_any_size_costs_nothing():
    window = ReplayWindow(0)
    assert window.take(1)
    assert window.take(2**53 - 1)
    assert not window.take(1)


@pytest.mark.parametrize("floor", [5, 9, 10, 11, 10 + WINDOW])
def test_a_floor_takes_everything_up_to_it_and_nothing_above(floor):
    window = ReplayWindow(0)
    window.take(10)
    window.raise_floor(floor)
    assert [seq for seq in range(1, 20 + WINDOW) if window.is_new(seq)] == [
        seq for seq in range(1, 20 + WINDOW) if seq > floor and seq != 10
    ]


def test_the_first_frame_of_a_speaker_sets_the_edge():
    windows = ReplayWindows()
    assert windows.is_new(ALICE, 1)
    assert windows.take(ALICE, 100, 0)
    assert not windows.take(ALICE, 99, 0)
    assert windows.take(ALICE._replace(broadcast=True), 99, 0)


def test_forgets_who_was_silent_and_nobody_else():
    windows = ReplayWindows()
    windows.take(ALICE, 1, 1000)
    windows.take(ALICE._replace(sender="bob"), 1, 2000)
    windows.forget(2000)
    assert len(windows) == 1
    assert not windows.take(ALICE._replace(sender="bob"), 1, 2001)


def test_a_full_memory_says_from_when_it_knows_nothing():
    windows = ReplayWindows(max_scopes=2)
    for at, sender in enumerate("abc", 1000):
        windows.take(ALICE._replace(sender=sender), 1, at)
    assert (len(windows), windows.forgotten_ms) == (2, 1000)
    assert not windows.knows(ALICE._replace(sender="a"))


def test_messages_are_taken_once_per_stream():
    taken = TakenMessages()
    assert [taken.take(id_) for id_ in ("a.1", "a.3", "a.2", "b.1", "a.3", "a.1", "b.1")] == [
        True, True, True, True, False, False, False,
    ]  # fmt: skip


def test_exact_for_whatever_a_sender_within_its_span_does():
    taken, chance, done = TakenMessages(), random.Random(3), set()
    oldest = 1
    for _ in range(30_000):
        number = oldest + chance.randrange(SPAN)
        assert taken.take(f"s.{number}") is (number not in done)
        done.add(number)
        while oldest in done:
            oldest += 1


def test_memory_is_bounded_whatever_a_sender_does():
    taken = TakenMessages()
    for number in range(1, 400_000, 7):
        taken.take(f"s.{number}")
    for stream in range(100):
        taken.take(f"t{stream}.1")
    assert len(taken._streams) == STREAMS
    assert sum(len(stream.above) for stream in taken._streams.values()) <= 2 * SPAN * STREAMS


@pytest.mark.parametrize(
    "id_", ["", "a", "a.", ".1", "a.0", "a.01", "a.-1", "a.1x", "a.١", "x" * 33 + ".1", f"a.{2**53}"]
)
def test_refuses_what_is_no_id_of_a_reliable_message(id_):
    with pytest.raises(ValueError, match="expected"):
        parse_id(id_)
