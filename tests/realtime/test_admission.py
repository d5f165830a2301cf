"""Who may connect, and how often one may try."""

import asyncio

import pytest

from wallet_guard.realtime.admission import Admission, Attempts


@pytest.mark.parametrize(
    ("allow", "deny", "registered", "admitted"),
    [
        (None, (), None, "abc"), (None, "b", None, "ac"), ("a", (), None, "a"), (None, (), "ab", "ab"),
        ("c", (), "a", "ac"), ("c", "c", "a", "a"), (None, (), "", ""),
    ],
)  # fmt: skip
def test_deny_goes_before_allow_before_registration(allow, deny, registered, admitted):
    async def scene():
        source = None if registered is None else lambda: list(registered)
        admission = Admission(source, None, allow, deny)
        await admission.refresh()
        assert "".join(hotkey for hotkey in "abc" if admission.admits(hotkey)) == admitted

    asyncio.run(scene())


def test_a_source_that_fails_leaves_the_last_answer_and_a_metagraph_is_a_source(caplog):
    class Metagraph:
        hotkeys = ("a",)

    metagraph = Metagraph()
    admission = Admission(None, metagraph, None, ())

    async def scene():
        assert not admission.admits("a")
        await admission.refresh()
        assert admission.admits("a")
        del Metagraph.hotkeys
        await admission.refresh()
        assert admission.admits("a")

    asyncio.run(scene())
    assert "the last answer holds" in caplog.text


def test_attempts_run_out_and_come_back():
    attempts = Attempts(6)
    for _ in range(6):
        assert attempts.may("a", 0.0)
        attempts.failed("a", 0.0)
    assert not attempts.may("a", 9.0)
    assert attempts.may("b", 0.0)
    assert attempts.may("a", 10.0)
    for number in range(20_000):
        attempts.failed(str(number), 20.0)
    assert len(attempts._left) <= 10_000
