"""What a check is and what it finds."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from wallet_guard.cli.doctor.scene import Scene


class Severity(StrEnum):
    """A fault lets keys, tokens or requests be lost or keeps the guard from working; the others only might."""

    FAULT = "fault"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Finding:
    """``found`` says in one line what is so and should not be, ``mend`` the command (or the one thing to do)."""

    found: str
    mend: str
    severity: Severity = Severity.FAULT


def warning(found: str, mend: str) -> Finding:
    """A finding that does not make the guard ill by itself."""
    return Finding(found, mend, Severity.WARNING)


def note(found: str, mend: str) -> Finding:
    """Something worth knowing."""
    return Finding(found, mend, Severity.NOTE)


class SkippedError(Exception):
    """It cannot be looked at; the message says why."""


@dataclass(frozen=True, slots=True)
class Check:
    """One question about a guard. ``look`` yields what is wrong, or raises ``SkippedError``."""

    name: str
    look: Callable[[Scene], Iterable[Finding]]


@dataclass(frozen=True, slots=True)
class Result:
    """What came of one check: findings, or why it was skipped."""

    check: str
    findings: tuple[Finding, ...] = ()
    skipped: str = ""


def examine(checks: Iterable[Check], scene: Scene) -> Iterator[Result]:
    """The results, one check after the other. What a check cannot read counts as skipped, never as healthy."""
    for check in checks:
        try:
            yield Result(check.name, tuple(check.look(scene)))
        except SkippedError as why:
            yield Result(check.name, skipped=str(why))
        except PermissionError as error:
            yield Result(check.name, skipped=f"{error.filename}: {error.strerror}; run this as root")
        except OSError as error:
            yield Result(check.name, skipped=str(error))
