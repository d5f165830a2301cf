"""What waits for the chain process: so many at once, so many a minute."""

from wallet_guard.signer.pending import MAX_A_MINUTE, MAX_OPEN, Later, Waitingroom


def test_each_client_has_its_own_minute() -> None:
    room = Waitingroom()
    assert all(room.takes("a", 59_999) for _ in range(MAX_A_MINUTE))
    assert not room.takes("a", 59_999)
    assert room.takes("b", 59_999)
    assert room.takes("a", 60_000)


def test_a_full_room_says_so() -> None:
    room = Waitingroom(open=dict.fromkeys(map(str, range(MAX_OPEN - 1))))  # type: ignore[arg-type]
    assert not room.is_full
    room.open["last"] = None  # type: ignore[assignment]
    assert room.is_full


def test_nobody_is_told_before_somebody_waits() -> None:
    Later().tell("anything")
