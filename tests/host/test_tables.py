"""Strict tables: every key known, nothing coerced, every error names the place."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from wallet_guard.host.tables import ConfigurationError, parse_toml, read_section, read_toml, read_value


@dataclass(frozen=True, slots=True)
class Section:
    name: str
    count: int = 1


def test_reads_what_is_there_and_fills_in_defaults() -> None:
    assert read_section(Section, {"name": "x"}, "f: [s]") == Section("x", 1)


@pytest.mark.parametrize(
    ("table", "says"),
    [
        (5, "f: [s]: expected a table, found int"),
        ({"name": "x", "size": 1}, "f: [s] unknown key 'size', expected one of count, name"),
        ({}, "f: [s] missing key 'name'"),
        ({"name": 5}, "f: [s] name: expected a string, found 5"),
        ({"name": "x", "count": True}, "f: [s] count: expected a whole number, found True"),
    ],
)
def test_refuses_and_names_the_place(table: Any, says: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        read_section(Section, table, "f: [s]")
    assert str(caught.value) == says


def test_takes_a_whole_number_for_a_number() -> None:
    assert read_value(float, 2, "f") == 2.0


def test_says_what_to_do_where_there_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="No such file or directory; make one"):
        read_toml(tmp_path / "none.toml", "make one")


def test_refuses_what_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / "f.toml"
    path.write_bytes(b"\xff")
    with pytest.raises(ConfigurationError, match="expected UTF-8 text"):
        read_toml(path, "")


@pytest.mark.parametrize("text", ["a = ", "a = 1\na = 2", "a = " + "[" * 5000])
def test_refuses_what_is_no_toml(text: str) -> None:
    with pytest.raises(ConfigurationError, match=r"f\.toml: expected TOML"):
        parse_toml(text, "f.toml")
