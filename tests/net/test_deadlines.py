from wallet_guard.net.deadlines import TICK_SECONDS, Outflow, Wheel


def test_an_item_is_due_once_and_not_early() -> None:
    wheel: Wheel[str] = Wheel()
    wheel.add("a", 100.0, 1.0)
    assert wheel.take_due(100.9) == []
    assert wheel.take_due(101.0 + TICK_SECONDS) == ["a"]
    assert wheel.take_due(110.0) == []


def test_items_come_in_the_order_of_their_ticks() -> None:
    wheel: Wheel[str] = Wheel()
    wheel.add("late", 100.0, 2.0)
    wheel.add("soon", 100.0, 1.0)
    assert wheel.take_due(105.0) == ["soon", "late"]


def test_what_is_discarded_is_never_due_and_not_kept() -> None:
    wheel: Wheel[str] = Wheel()
    wheel.add("a", 100.0, 1.0)
    wheel.add("b", 100.0, 1.0)
    wheel.discard("a")
    wheel.discard("never in it")
    assert wheel.take_due(105.0) == ["b"]
    wheel.discard("b")
    wheel.add("b", 105.0, 1.0)
    assert wheel.take_due(110.0) == ["b"]


def test_an_item_added_for_now_is_due_at_the_next_tick() -> None:
    wheel: Wheel[str] = Wheel()
    wheel.take_due(100.0)
    wheel.add("a", 100.0, 0.0)
    assert wheel.take_due(100.0) == []
    assert wheel.take_due(100.0 + TICK_SECONDS) == ["a"]


def test_a_jump_of_the_clock_loses_nothing() -> None:
    wheel: Wheel[str] = Wheel()
    wheel.take_due(100.0)
    wheel.add("a", 100.0, 1.0)
    wheel.add("b", 100.0, 50.0)
    assert wheel.take_due(1e9) == ["a", "b"]
    wheel.add("c", 200.0, 1.0)
    assert wheel.take_due(1e9 + 1) == ["c"]


def test_a_clock_that_goes_back_repeats_nothing() -> None:
    wheel: Wheel[str] = Wheel()
    wheel.add("a", 100.0, 1.0)
    assert wheel.take_due(102.0) == ["a"]
    assert wheel.take_due(99.0) == []


def test_an_outflow_that_moves_is_not_stuck() -> None:
    outflow = Outflow(100.0)
    for second in range(20):
        assert not outflow.is_stuck(1000 - second, 100.0 + second, 5.0)


def test_an_outflow_that_stands_still_is_stuck() -> None:
    outflow = Outflow(100.0)
    assert not outflow.is_stuck(1000, 105.0, 5.0)
    assert outflow.is_stuck(1000, 105.1, 5.0)
    assert outflow.is_stuck(2000, 106.0, 5.0)
    assert not outflow.is_stuck(1999, 107.0, 5.0)


def test_an_empty_outflow_is_never_stuck() -> None:
    outflow = Outflow(100.0)
    assert not outflow.is_stuck(0, 200.0, 5.0)
    assert not outflow.is_stuck(10, 205.0, 5.0)
    assert outflow.is_stuck(10, 205.1, 5.0)
