"""One line per event: nothing that a peer sent can make two of one, and no values of a bug."""

import logging
import re
from collections.abc import Iterator

import pytest

from wallet_guard.host.log import _Lines, start_log


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    root, ours = logging.getLogger(), logging.getLogger("wallet_guard")
    before = (root.handlers[:], root.level, ours.level)
    yield
    root.handlers[:], level, own = before
    root.setLevel(level)
    ours.setLevel(own)


def line(message: str, *, journal: bool = False, exc_info: object = None, level: int = logging.INFO) -> str:
    record = logging.LogRecord("wallet_guard.x", level, "f.py", 1, message, None, exc_info)  # type: ignore[arg-type]
    return _Lines("signer", journal).format(record)


def test_a_line_has_time_level_process_and_text() -> None:
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z info    signer   hello", line("hello"))


@pytest.mark.parametrize(("level", "number"), [(logging.INFO, 6), (logging.WARNING, 4), (logging.CRITICAL, 2), (35, 6)])
def test_under_a_manager_the_level_comes_first(level: int, number: int) -> None:
    assert line("hello", journal=True, level=level) == f"<{number}>signer: hello"


@pytest.mark.parametrize("code", [*range(32), *range(0x7F, 0xA0), 0x2028, 0x2029])
def test_no_control_character_gets_through(code: int) -> None:
    shown = line(f"a{chr(code)}<2>forged")
    assert f"a\\x{code:02x}<2>forged" in shown
    assert len(shown.splitlines()) == 1
    assert chr(code) not in shown


def test_text_in_any_language_gets_through() -> None:
    assert line("validatör 日本").endswith("validatör 日本")


def test_a_bug_is_one_line_with_its_places_and_without_values() -> None:
    def inner(secret: str) -> None:
        raise ValueError(f"no such token: {secret}\n")

    try:
        inner("wg_secret")
    except ValueError as error:
        shown = line("went wrong", exc_info=(ValueError, error, error.__traceback__))
    assert re.search(r"went wrong \[ValueError at test_log\.py:\d+ inner < test_log\.py:\d+ test_a_bug", shown)
    assert "secret" not in shown
    assert len(shown.splitlines()) == 1


def test_only_our_own_news_at_info(capsys: pytest.CaptureFixture[str]) -> None:
    start_log("signer")
    logging.getLogger("wallet_guard.x").info("ours")
    logging.getLogger("library").info("chatter")
    logging.getLogger("library").warning("alarm")
    shown = capsys.readouterr().err
    assert "ours" in shown
    assert "chatter" not in shown
    assert "alarm" in shown
