"""Writes limits.md: every ceiling, deadline and count of the package, with its value, unit and reason, from the source.

    python hardening/limits.py >hardening/limits.md

A ceiling is a constant of a module, or a field of a class of limits, whose name says so: MAX_…, MIN_…, …_SECONDS,
…_BYTES and so on. Its reason is the docstring or comment that stands with it. tests/test_limits.py holds that the file
is what this program writes, and that no ceiling lacks a reason.
"""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]

UNITS = {
    "SECONDS": "s",
    "MS": "ms",
    "BYTES": "bytes",
    "BLOCKS": "blocks",
    "CHARACTERS": "characters",
    "CHARS": "characters",
    "EPOCHS": "epochs",
}

NAME = re.compile(
    rf"_?(MAX_\w+|MIN_\w+|\w+_({'|'.join(UNITS)})|\w*(BACKLOG|KEPT|ATTEMPTS|CONNECTIONS)\w*)", re.IGNORECASE
)

NOT_OURS = {"devnet", "neurons"}
"""Rooms that no deployment runs."""

NO_LIMIT = re.compile(
    r"_?(\w*GENESIS_SECONDS|\w*FOREVER_MS|HOUR_MS|DRAND_PERIOD_SECONDS|\w+_OF_INFO|HASHED_ABOVE_BYTES"
    r"|(PUBLIC_KEY|SIGNATURE|SEED|LENGTH|KEY|SERIAL|KEY_ID|TASK|ADDRESS|CALL_HEAD)_BYTES)"
)
"""Sizes that a format has, and instants: nothing that could be chosen."""


class Limit(NamedTuple):
    """One line of the table."""

    room: str
    name: str
    value: str
    unit: str
    reason: str


def find_limits() -> Iterator[Limit]:
    """Every ceiling of the package, room by room."""
    folder = ROOT / "wallet_guard"
    for path in sorted(folder.rglob("*.py")):
        module = ".".join(path.relative_to(folder).with_suffix("").parts)
        room = module.partition(".")[0]
        if room not in NOT_OURS:
            source = path.read_text(encoding="utf-8")
            for name, value, reason in _constants(ast.parse(source).body, source.splitlines()):
                yield Limit(room, f"{module}.{name}", value, _unit(name), reason)


def render() -> str:
    """The whole file."""
    lines = [
        "# Ceilings",
        "",
        "Every queue has a ceiling and every wait a deadline. Written by hardening/limits.py; a test holds it.",
        "The units' own (memory, tasks, files) are in `systemd/*.service`.",
    ]
    room = ""
    for limit in find_limits():
        if limit.room != room:
            room = limit.room
            lines += ["", f"## {room}", "", "| constant | value | unit | reason |", "|---|---|---|---|"]
        lines.append(f"| `{limit.name.removeprefix(room + '.')}` | {limit.value} | {limit.unit} | {limit.reason} |")
    return "\n".join(lines) + "\n"


def _constants(body: list[ast.stmt], lines: list[str]) -> Iterator[tuple[str, str, str]]:
    for at, node in enumerate(body):
        if isinstance(node, ast.ClassDef) and node.name.lower().endswith("limits"):
            for name, value, reason in _constants(node.body, lines):
                yield f"{node.name}.{name}", value, reason
        name, value = _assigned(node)
        if value is not None and NAME.fullmatch(name) and not NO_LIMIT.fullmatch(name) and _is_plain(value):
            yield name, _shown(value), _reason(body, at, lines)


def _assigned(node: ast.stmt) -> tuple[str, ast.expr | None]:
    if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
        return node.targets[0].id, node.value
    if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
        return node.target.id, node.value
    return "", None


def _is_plain(value: ast.expr) -> bool:
    return not any(isinstance(part, ast.Call | ast.Subscript) for part in ast.walk(value))


def _shown(value: ast.expr) -> str:
    text = ast.unparse(value)
    try:
        number = _number(value)
    except TypeError:
        return f"`{text}`"
    return f"{number:,}".replace(",", " ") if isinstance(number, int) else f"{number:g}"


def _number(value: ast.expr) -> int | float:
    """The number that an expression of numbers spells; TypeError where it is something else."""
    if isinstance(value, ast.Constant) and type(value.value) in (int, float):
        return value.value  # type: ignore[return-value]
    if isinstance(value, ast.BinOp):
        left, right = _number(value.left), _number(value.right)
        if isinstance(value.op, ast.Mult):
            return left * right
        if isinstance(value.op, ast.Sub):
            return left - right
        if isinstance(value.op, ast.Pow):
            return left**right
        if isinstance(value.op, ast.LShift) and isinstance(left, int) and isinstance(right, int):
            return left << right
    raise TypeError


def _reason(body: list[ast.stmt], at: int, lines: list[str]) -> str:
    """The docstring below it (several constants may share one), the comment beside it, or the comment above."""
    for node in body[at + 1 :]:
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            return _one_line(node.value.value)
        if node.lineno != body[at].end_lineno + 1 or not _assigned(node)[0] or "#" in lines[node.lineno - 1]:  # type: ignore[operator]
            break
        at += 1
    node = body[at]
    beside = lines[node.end_lineno - 1].partition("#")[2]  # type: ignore[operator]
    if beside and "noqa" not in beside:
        return _one_line(beside)
    above = []
    number = node.lineno - 2
    while number >= 0 and lines[number].strip().startswith("#"):
        above.insert(0, lines[number].strip().lstrip("# "))
        number -= 1
    return _one_line(" ".join(above))


def _one_line(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _unit(name: str) -> str:
    last = name.rpartition(".")[2].upper().split("_")
    return next((UNITS[word] for word in reversed(last) if word in UNITS), "")


if __name__ == "__main__":
    sys.stdout.write(render())
