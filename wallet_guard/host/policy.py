"""The policy file: what each client may do, in strict TOML.

It narrows what ``client add`` granted, and never widens it.

::

    [default]                        # clients that have no table of their own; without it they may do nothing
    keys = "any"                     # "any": whatever the grant says
    calls = ["set_weights"]
    netuids = "any"
    mechanisms = "any"

    [client.my-validator]
    keys = ["validator/default"]
    calls = ["set_weights", "request"]
    netuids = [2, 5]
    mechanisms = [0]
    per_hour = { set_weights = 10 }
    min_blocks = 100
    subnet.5 = { max_share = 0.2 }   # instead of the client's own limits, on this subnet

    # end

Two kinds of keys. What may be done is listed, and a list that is missing allows nothing. Limits narrow what is
listed, and a limit that is missing narrows nothing. The last line must be ``# end``: no part of a file is a policy,
so one that is half written is refused.
"""

import os
import stat
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from wallet_guard.host.tables import ConfigurationError, parse_toml

MAX_POLICY_BYTES = 256 * 1024
"""256 KiB: a client's table is about 500 bytes, and there are at most 256 clients."""

LAST_LINE = "# end\n"

MAX_NUMBER = 2**32 - 1
"""Of blocks, seconds and counts."""

MAX_NETUID, MAX_MECHID, MAX_UID = 4095, 15, 65535

Ranges = tuple[tuple[int, int], ...]
"""(first, last) pairs, both included; for hours (from, until) with the end excluded."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What narrows weights, on a subnet. None and 0 are no limit."""

    min_blocks: int = 0
    """Blocks between two signatures of weights for one slot (hotkey, netuid, mechanism), by blocks and by our clock."""
    min_seconds: int = 0
    """The same in seconds, by the signer's own clock alone."""
    uids: Ranges | None = None
    """Uids that may get weight."""
    max_share: float | None = None
    """The most that one uid may get, 0 to 1."""
    max_change: float | None = None
    """The most that shares may differ from the last signed ones of the slot: L1 distance, 0 (same) to 2 (all new)."""
    hours: Ranges | None = None
    """Hours of the day (UTC) in which anything is signed; (22, 6) goes over midnight."""


@dataclass(frozen=True, slots=True)
class ClientPolicy:
    """One client's table. Of the first four None is "any", as far as its grant goes; () is nothing."""

    keys: tuple[str, ...] | None = ()
    calls: tuple[str, ...] | None = ()
    netuids: tuple[int, ...] | None = ()
    mechanisms: tuple[int, ...] | None = ()
    per_hour: tuple[tuple[str, int], ...] = ()
    """Call → times an hour; a call that is not named has the grant's own ceiling."""
    expires_ms: int | None = None
    """From then on (Unix milliseconds) its token is nothing."""
    dry_run_only: bool = False
    """It may ask what would be signed, and gets no signature."""
    limits: Limits = field(default_factory=Limits)
    subnets: tuple[tuple[int, Limits], ...] = ()
    """Netuid → the limits there, whole."""

    def limits_on(self, netuid: int | None) -> Limits:
        """The limits on that subnet; the client's own for what concerns no subnet."""
        return next((limits for where, limits in self.subnets if where == netuid), self.limits)


@dataclass(frozen=True, slots=True)
class Policy:
    """The whole file. ``Policy()`` approves nothing."""

    clients: tuple[tuple[str, ClientPolicy], ...] = ()
    default: ClientPolicy | None = None
    path: str = ""
    sha256: str = ""
    """Of the file's bytes, in hex."""

    def of(self, client: str) -> ClientPolicy | None:
        """What applies to the client of that name; None if nothing does."""
        return next((found for name, found in self.clients if name == client), self.default)


GRANTS_ALONE = Policy(default=ClientPolicy(keys=None, calls=None, netuids=None, mechanisms=None))
"""Without a file: what ``client add`` granted, and nothing narrower."""


def read_policy(path: str | Path, calls: Collection[str]) -> Policy:
    """The policy in that file; ``calls`` are the calls that there are.

    Raises:
        ConfigurationError: it cannot be read, others than its owner (us or root) can write it, or it is no policy.
    """
    try:
        file = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(file, "rb") as opened:
            found = os.fstat(file)
            content = opened.read(MAX_POLICY_BYTES + 1)
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read: {error.strerror}") from error
    if not stat.S_ISREG(found.st_mode):
        raise ConfigurationError(f"{path}: expected a regular file")
    if found.st_uid not in (0, os.getuid()) or found.st_mode & 0o022:
        raise ConfigurationError(
            f"{path}: expected a file that only root or uid {os.getuid()} can write, "
            f"found uid {found.st_uid} and mode {stat.S_IMODE(found.st_mode):04o}"
        )
    return parse_policy(content, str(path), calls)


def parse_policy(content: bytes, path: str, calls: Collection[str]) -> Policy:
    """The policy that a file's content spells.

    Raises:
        ConfigurationError: too long, not whole, no TOML, an unknown key, or a value that cannot be.
    """
    if len(content) > MAX_POLICY_BYTES:
        raise ConfigurationError(f"{path}: expected at most {MAX_POLICY_BYTES} bytes")
    try:
        text = content.decode().replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{path}: expected UTF-8 text") from error
    if text != LAST_LINE and not text.endswith("\n" + LAST_LINE):
        raise ConfigurationError(
            f"{path}: expected {LAST_LINE.strip()!r} as the last line, or is it only half written?"
        )
    table = parse_toml(text, path)
    _check_known(table, ("default", "client"), path)
    clients = table.get("client", {})
    if not isinstance(clients, dict):
        raise ConfigurationError(f"{path}: expected tables [client.NAME], found {type(clients).__name__}")
    return Policy(
        clients=tuple((name, _client(each, f"{path}: [client.{name}]", calls)) for name, each in clients.items()),
        default=_client(table["default"], f"{path}: [default]", calls) if "default" in table else None,
        path=path,
        sha256=sha256(content).hexdigest(),
    )


def _client(table: Any, where: str, calls: Collection[str]) -> ClientPolicy:
    _check_known(table, (*_CLIENT_KEYS, *_LIMITS), where)
    limits = _limits(table, Limits(), where)
    return ClientPolicy(
        keys=_listed(table, "keys", where, lambda value: isinstance(value, str) and value.count("/") == 1),
        calls=_listed(table, "calls", where, lambda value: isinstance(value, str) and value in calls),
        netuids=_listed(table, "netuids", where, lambda value: _is_integer(value, 0, MAX_NETUID)),
        mechanisms=_listed(table, "mechanisms", where, lambda value: _is_integer(value, 0, MAX_MECHID)),
        per_hour=_per_hour(table.get("per_hour", {}), f"{where} per_hour", calls),
        expires_ms=_expiry(table.get("expires"), f"{where} expires"),
        dry_run_only=_flag(table.get("dry_run_only", False), f"{where} dry_run_only"),
        limits=limits,
        subnets=_subnets(table.get("subnet", {}), limits, f"{where} subnet"),
    )


_CLIENT_KEYS = ("keys", "calls", "netuids", "mechanisms", "per_hour", "expires", "dry_run_only", "subnet")

_EXPECTED = {
    "keys": "'wallet/hotkey' names",
    "calls": "names of calls ('wallet-guard client add --help' lists them)",
    "netuids": f"numbers from 0 to {MAX_NETUID}",
    "mechanisms": f"numbers from 0 to {MAX_MECHID}",
}


def _listed(table: Mapping[str, Any], key: str, where: str, fits: Callable[[Any], bool]) -> tuple[Any, ...] | None:
    found = table.get(key, [])
    if found == "any":
        return None
    if not isinstance(found, list):
        raise ConfigurationError(f"{where} {key}: expected 'any' or a list of {_EXPECTED[key]}, found {_shown(found)}")
    for value in found:
        if not fits(value):
            raise ConfigurationError(f"{where} {key}: expected {_EXPECTED[key]}, found {_shown(value)}")
    return tuple(found)


def _per_hour(table: Any, where: str, calls: Collection[str]) -> tuple[tuple[str, int], ...]:
    _check_known(table, calls, where)
    return tuple((call, _number(count, f"{where} {call}")) for call, count in table.items())


def _expiry(value: Any, where: str) -> int | None:
    if value is None:
        return None
    if not isinstance(value, datetime) or value.tzinfo is None:
        raise ConfigurationError(f"{where}: expected a time such as 2027-01-31T00:00:00Z, found {_shown(value)}")
    return int((value - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() * 1000)


def _subnets(table: Any, limits: Limits, where: str) -> tuple[tuple[int, Limits], ...]:
    if not isinstance(table, dict):
        raise ConfigurationError(f"{where}: expected tables by netuid, found {_shown(table)}")
    found = []
    for name, each in table.items():
        if not (name.isascii() and name.isdecimal()) or str(int(name)) != name or int(name) > MAX_NETUID:
            raise ConfigurationError(f"{where}: expected a netuid from 0 to {MAX_NETUID}, found {_shown(name)}")
        _check_known(each, _LIMITS, f"{where}.{name}")
        found.append((int(name), _limits(each, limits, f"{where}.{name}")))
    return tuple(found)


def _limits(table: Mapping[str, Any], outer: Limits, where: str) -> Limits:
    return replace(outer, **{key: read(table[key], f"{where} {key}") for key, read in _LIMITS.items() if key in table})


def _number(value: Any, where: str) -> int:
    if not _is_integer(value, 0, MAX_NUMBER):
        raise ConfigurationError(f"{where}: expected a whole number from 0 to {MAX_NUMBER}, found {_shown(value)}")
    return int(value)


def _real(most: float) -> Callable[[Any, str], float]:
    def read(value: Any, where: str) -> float:
        if type(value) not in (int, float) or not 0 <= value <= most:
            raise ConfigurationError(f"{where}: expected a number from 0 to {most:g}, found {_shown(value)}")
        return float(value)

    return read


def _flag(value: Any, where: str) -> bool:
    if type(value) is not bool:
        raise ConfigurationError(f"{where}: expected true or false, found {_shown(value)}")
    return value


def _uids(value: Any, where: str) -> Ranges:
    ranges = [(each, each) if not isinstance(each, list) else each for each in _checked_list(value, where)]
    for each in ranges:
        if len(each) != 2 or not all(_is_integer(end, 0, MAX_UID) for end in each) or each[0] > each[1]:
            raise ConfigurationError(f"{where}: expected uids or [first, last] pairs, found {_shown(each)}")
    return tuple((first, last) for first, last in ranges)


def _hours(value: Any, where: str) -> Ranges:
    for each in _checked_list(value, where):
        if not isinstance(each, list) or len(each) != 2 or not all(_is_integer(end, 0, 24) for end in each):
            raise ConfigurationError(f"{where}: expected [from, until] pairs of hours, found {_shown(each)}")
        if each[0] == each[1]:
            raise ConfigurationError(f"{where}: expected two different hours, found {_shown(each)}")
    return tuple((first, last) for first, last in value)


def _checked_list(value: Any, where: str) -> list[Any]:
    if not isinstance(value, list):
        raise ConfigurationError(f"{where}: expected a list, found {_shown(value)}")
    return value


def _is_integer(value: Any, least: int, most: int) -> bool:
    return type(value) is int and least <= value <= most


_LIMITS: dict[str, Callable[[Any, str], Any]] = {
    "min_blocks": _number,
    "min_seconds": _number,
    "uids": _uids,
    "max_share": _real(1),
    "max_change": _real(2),
    "hours": _hours,
}
"""How each of the ``Limits`` is read; the names are the record's own."""


def _check_known(table: Any, known: Collection[str], where: str) -> None:
    if not isinstance(table, dict):
        raise ConfigurationError(f"{where}: expected a table, found {_shown(table)}")
    for key in table.keys() - set(known):
        raise ConfigurationError(f"{where}: unknown key {key[:64]!r}, expected one of {', '.join(sorted(known))}")


def _shown(value: Any) -> str:
    return repr(value)[:80]
