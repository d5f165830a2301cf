"""Figures on their way from who counts to who shows: families of samples, as Prometheus knows them.

The signer counts and has no network; the gateway asks it on their socket and shows both. What the chain process has to
say comes to the signer in its pulse. Names and labels by the conventions of
https://prometheus.io/docs/practices/naming/. Series are bounded where they are made: labels hold words of ours, names
of the configuration, and subnets that a client may use.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar, Final

BUCKETS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
"""Upper bounds, in seconds: from a decision in memory to a disk that hangs."""

MAX_WORDS = 64
"""Different values of one label that may come from elsewhere; what is beyond counts as ``other``."""


class Kind(StrEnum):
    """What a family is; only counters never fall."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class Sample:
    """One value. ``suffix`` is appended to the family's name (``_bucket`` of a histogram), mostly empty."""

    labels: tuple[tuple[str, str], ...]
    value: float
    suffix: str = ""


@dataclass(frozen=True, slots=True)
class Family:
    """Samples of one name. ``about`` is one line for people."""

    name: str
    kind: Kind
    about: str
    samples: tuple[Sample, ...]


@dataclass(frozen=True, slots=True)
class MetricsView:
    """Everything that the signer and the chain process measure."""

    families: tuple[Family, ...]


@dataclass(frozen=True, slots=True)
class Metrics:
    """What was counted so far? Asked without a token: figures and names, no intents, no secrets."""

    ask: ClassVar[str] = "metrics"
    answer: ClassVar[type] = MetricsView


class Tally:
    """Counts by labels, with a ceiling on how many different ones are kept."""

    def __init__(self, *labels: str, most: int = MAX_WORDS) -> None:
        self._labels = labels
        self._most = most
        self._counts: Counter[tuple[str, ...]] = Counter()

    def count(self, *values: str, times: int = 1) -> None:
        """So many more (0 makes the series appear, so that its first increase is seen)."""
        if values not in self._counts and len(self._counts) >= self._most:
            values = ("other",) * len(self._labels)
        self._counts[values] += times

    def samples(self) -> tuple[Sample, ...]:
        """All of them, in order of their labels."""
        return tuple(
            Sample(tuple(zip(self._labels, values, strict=True)), float(count))
            for values, count in sorted(self._counts.items())
        )


class Histogram:
    """Seconds by bucket, for one value of one label."""

    __slots__ = ("_buckets", "_count", "_total")

    def __init__(self) -> None:
        self._buckets = [0] * len(BUCKETS)
        self._count = 0
        self._total = 0.0

    def observe(self, seconds: float) -> None:
        """One more."""
        self._count += 1
        self._total += seconds
        for at, bound in enumerate(BUCKETS):
            if seconds <= bound:
                self._buckets[at] += 1
                return

    def samples(self, *labels: tuple[str, str]) -> Iterable[Sample]:
        """Cumulative, as Prometheus wants them."""
        below = 0
        for bound, found in zip(BUCKETS, self._buckets, strict=True):
            below += found
            yield Sample((*labels, ("le", f"{bound:g}")), float(below), "_bucket")
        yield Sample((*labels, ("le", "+Inf")), float(self._count), "_bucket")
        yield Sample(labels, self._total, "_sum")
        yield Sample(labels, float(self._count), "_count")


def counter(name: str, about: str, tally: Tally) -> Family:
    """The family of a tally."""
    return Family(name, Kind.COUNTER, about, tally.samples())


def gauge(name: str, about: str, values: Mapping[tuple[tuple[str, str], ...], float]) -> Family:
    """The family of these values, by their labels."""
    return Family(name, Kind.GAUGE, about, tuple(Sample(labels, float(value)) for labels, value in values.items()))


def one(name: str, about: str, value: float) -> Family:
    """A gauge without labels."""
    return gauge(name, about, {(): value})


def total(name: str, about: str, value: float) -> Family:
    """A counter without labels."""
    return Family(name, Kind.COUNTER, about, (Sample((), float(value)),))


def about_process(name: str, version: str, started_ms: int, resident: int) -> tuple[Family, ...]:
    """What every process tells of itself: version, start (Unix milliseconds), resident memory (bytes)."""
    labels = (("process", name),)
    return (
        gauge("wallet_guard_build_info", "The version that runs.", {(*labels, ("version", version)): 1}),
        gauge("wallet_guard_process_start_time_seconds", "When it started, Unix time.", {labels: started_ms / 1000}),
        gauge("wallet_guard_process_resident_memory_bytes", "Memory that is in RAM.", {labels: resident}),
    )


def histogram(name: str, about: str, label: str, by_value: Mapping[str, Histogram]) -> Family:
    """The family of these histograms, by the value of one label."""
    samples = [sample for value, each in sorted(by_value.items()) for sample in each.samples((label, value))]
    return Family(name, Kind.HISTOGRAM, about, tuple(samples))


def render(families: Iterable[Family]) -> str:
    """The text of all of them: exposition format 0.0.4 of Prometheus. Families of one name are told as one."""
    merged: dict[str, list[Family]] = {}
    for family in families:
        merged.setdefault(family.name, []).append(family)
    lines: list[str] = []
    for name, parts in merged.items():
        lines += [f"# HELP {name} {_escaped(parts[0].about)}", f"# TYPE {name} {parts[0].kind}"]
        for sample in (sample for part in parts for sample in part.samples):
            labels = ",".join(f'{label}="{_escaped(value, quoted=True)}"' for label, value in sample.labels)
            lines.append(f"{name}{sample.suffix}{f'{{{labels}}}' if labels else ''} {sample.value:.15g}")
    return "\n".join(lines) + "\n"


def _escaped(text: str, *, quoted: bool = False) -> str:
    text = text.replace("\\", "\\\\").replace("\n", "\\n")
    return text.replace('"', '\\"') if quoted else text
