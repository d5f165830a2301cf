from wallet_guard.cli.errors import CommandError


def test_a_hint_is_no_part_of_the_message():
    error = CommandError("it did not work", "try again")
    assert str(error) == "it did not work"
    assert error.hint == "try again"
    assert CommandError("x").hint == ""
