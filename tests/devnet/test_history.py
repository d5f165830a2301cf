from wallet_guard.devnet.history import History


def history() -> History:
    made = History()
    made.commit(0, {b"a1": b"0", b"b": b"0"})
    made.commit(1, {b"a1": b"1", b"a2": b"1"})
    made.commit(2, {b"a1": None, b"a3": b"2"})
    return made


def test_gives_the_value_of_each_block():
    made = history()
    assert [made.get(b"a1", number) for number in range(3)] == [b"0", b"1", None]
    assert [made.get(b"a2", number) for number in range(3)] == [None, b"1", b"1"]
    assert made.get(b"never", 2) is None


def test_lists_the_keys_of_a_prefix_as_of_a_block():
    made = history()
    assert made.keys(b"a", 0, None, 9) == [b"a1"]
    assert made.keys(b"a", 1, None, 9) == [b"a1", b"a2"]
    assert made.keys(b"a", 2, None, 9) == [b"a2", b"a3"]


def test_lists_keys_in_pages():
    made = history()
    assert made.keys(b"a", 1, None, 1) == [b"a1"]
    assert made.keys(b"a", 1, b"a1", 1) == [b"a2"]
    assert made.keys(b"a", 1, b"a2", 1) == []
    assert made.keys(b"a", 1, b"a", 9) == [b"a1", b"a2"]


def test_takes_blocks_back():
    made = history()
    made.revert(0)
    assert made.get(b"a1", 5) == b"0"
    assert made.keys(b"", 5, None, 9) == [b"a1", b"b"]
    made.commit(1, {b"a1": b"other"})
    assert made.get(b"a1", 1) == b"other"


def test_forgets_what_was_overwritten_but_not_what_stands():
    made = history()
    made.commit(3, {b"a2": b"3"})
    made.forget(2)
    assert made.get(b"b", 2) == b"0"
    assert made.get(b"a2", 2) == b"1"
    assert made.get(b"a2", 3) == b"3"
    assert made.get(b"a1", 2) is None
    assert made.keys(b"", 3, None, 9) == [b"a2", b"a3", b"b"]


def test_a_key_that_was_removed_and_forgotten_may_come_back():
    made = history()
    made.forget(2)
    made.commit(3, {b"a1": b"3"})
    assert made.keys(b"a", 3, None, 9) == [b"a1", b"a2", b"a3"]
    made.revert(2)
    assert made.keys(b"a", 2, None, 9) == [b"a2", b"a3"]
