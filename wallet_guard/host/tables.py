"""Strict TOML into frozen dataclasses: every key known, nothing coerced, every error names the place."""

import dataclasses
import tomllib
import typing
from pathlib import Path
from typing import Any


class ConfigurationError(Exception):
    """The operator must mend something; the message says what and where.

    Exit status 78 (EX_CONFIG of sysexits.h).
    """


def read_toml(path: str | Path, hint: str) -> dict[str, Any]:
    """The table that a file spells; ``hint`` is said where there is no such file.

    Raises:
        ConfigurationError: it cannot be read, is no UTF-8, or no TOML.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read: {error.strerror}; {hint}") from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{path}: expected UTF-8 text") from error
    return parse_toml(text, str(path))


def parse_toml(text: str, path: str) -> dict[str, Any]:
    """The table that a text spells.

    Raises:
        ConfigurationError: it is no TOML.
    """
    try:
        return tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigurationError(f"{path}: expected TOML: {error}") from error


def read_section(record: type[Any], table: Any, where: str) -> Any:
    """The record (a dataclass) that a TOML table spells, by its annotations; ``where`` begins every message.

    Raises:
        ConfigurationError: no table, an unknown or missing key, a wrong type.
    """
    if not isinstance(table, dict):
        raise ConfigurationError(f"{where}: expected a table, found {type(table).__name__}")
    hints = typing.get_type_hints(record)
    for key in table.keys() - hints.keys():
        raise ConfigurationError(f"{where} unknown key {key!r}, expected one of {', '.join(sorted(hints))}")
    values = {key: read_value(hints[key], value, f"{where} {key}") for key, value in table.items()}
    for name in hints:
        if name not in values and _required(record, name):
            raise ConfigurationError(f"{where} missing key {name!r}")
    return record(**values)


def _required(record: type[Any], name: str) -> bool:
    (found,) = (entry for entry in dataclasses.fields(record) if entry.name == name)
    return found.default is dataclasses.MISSING


def read_value(hint: Any, value: Any, where: str) -> Any:
    """The value, if it is of that type: str, int, float, bool, or a tuple of strings.

    Raises:
        ConfigurationError: it is not.
    """
    if typing.get_origin(hint) is tuple:
        if not isinstance(value, list) or not all(isinstance(entry, str) for entry in value):
            raise ConfigurationError(f"{where}: expected a list of strings, found {value!r}")
        return tuple(value)
    if hint is float and type(value) is int:
        try:
            return float(value)
        except OverflowError as error:
            raise ConfigurationError(f"{where}: expected a number below 1.8e308, found a larger one") from error
    if type(value) is not hint:
        names = {str: "a string", int: "a whole number", float: "a number", bool: "true or false"}
        raise ConfigurationError(f"{where}: expected {names[hint]}, found {value!r}")
    return value
