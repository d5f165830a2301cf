"""What the tests of the wire share: the vectors, and every way to cut bytes into pieces.

A vector file says which rule is broken (`rule:`), how we answer (`answer:` an HTTP status or a close code), and what
arrives: escaped text for HTTP, where line ends of the file mean nothing, or hexadecimal for WebSocket.
A test that takes an argument `vector_of_<folder>` runs once for each file of tests/vectors/wire/<folder>.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

VECTORS = Path(__file__).parents[1] / "vectors" / "wire"
PREFIX = "vector_of_"
SPLIT_EVERYWHERE_BELOW = 700  # bytes; longer inputs are split at this many offsets


class Vector(NamedTuple):
    rule: str
    answer: int
    data: bytes


def read_vector(path: Path) -> Vector:
    rule, answer, _, *lines = path.read_text().splitlines()
    if path.parent.name.startswith("websocket"):
        data = bytes.fromhex("".join(lines))
    else:
        data = "".join(lines).encode("ascii").decode("unicode_escape").encode("latin-1")
    return Vector(rule.removeprefix("rule: "), int(answer.removeprefix("answer: ")), data)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    for name in metafunc.fixturenames:
        if name.startswith(PREFIX):
            paths = sorted((VECTORS / name.removeprefix(PREFIX)).glob("*.txt"))
            assert paths
            metafunc.parametrize(name, [read_vector(path) for path in paths], ids=[path.stem for path in paths])


def all_cuts(data: bytes) -> Iterator[list[bytes]]:
    """Whole, byte by byte, and in two at every offset."""
    yield [data]
    yield [data[index : index + 1] for index in range(len(data))]
    for offset in range(1, len(data), len(data) // SPLIT_EVERYWHERE_BELOW + 1):
        yield [data[:offset], data[offset:]]


@pytest.fixture
def cuts() -> Callable[[bytes], Iterator[list[bytes]]]:
    return all_cuts
