"""Counters of a manager, and their text for Prometheus (exposition format 0.0.4).

Labels have few values: message types that nobody registered count as "other", so a peer cannot make new series.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Final

_BUCKETS: Final = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)


class Histogram:
    """Durations in seconds, by bucket."""

    __slots__ = ("buckets", "count", "total")

    def __init__(self) -> None:
        self.buckets = [0] * len(_BUCKETS)
        self.count = 0
        self.total = 0.0

    def observe(self, seconds: float) -> None:
        """One more."""
        self.count += 1
        self.total += seconds
        for at, bound in enumerate(_BUCKETS):
            if seconds <= bound:
                self.buckets[at] += 1
                return

    def lines(self, name: str) -> list[str]:
        """As Prometheus wants them: cumulative."""
        lines, below = [f"# TYPE {name} histogram"], 0
        for bound, found in zip(_BUCKETS, self.buckets, strict=True):
            below += found
            lines.append(f'{name}_bucket{{le="{bound:g}"}} {below}')
        return [
            *lines,
            f'{name}_bucket{{le="+Inf"}} {self.count}',
            f"{name}_sum {self.total:.6f}",
            f"{name}_count {self.count}",
        ]


class Metrics:
    """What happened so far; read freely."""

    def __init__(self) -> None:
        self.received: Counter[str] = Counter()  # messages by type
        self.sent: Counter[str] = Counter()  # frames and broadcasts
        self.verdicts: Counter[str] = Counter()  # frames by "taken" or the code of their refusal
        self.ends: Counter[str] = Counter()  # connections and attempts by the code of their end
        self.handlers: Counter[str] = Counter()  # failed and timed out, by type
        self.duplicates = 0  # reliable messages that came again
        self.reconnects = 0
        self.round_trip = Histogram()
        self.verify = Histogram()

    def render(self, gauges: Mapping[str, float]) -> str:
        """The text of all of them; `gauges` are the caller's current values by name."""
        lines: list[str] = []
        for name, value in gauges.items():
            lines += [f"# TYPE btws_{name} gauge", f"btws_{name} {value:g}"]
        for name, label, counter in (
            ("messages_received_total", "type", self.received),
            ("frames_sent_total", "kind", self.sent),
            ("frames_received_total", "verdict", self.verdicts),
            ("ends_total", "code", self.ends),
            ("handler_failures_total", "type", self.handlers),
        ):
            lines.append(f"# TYPE btws_{name} counter")
            lines += [f'btws_{name}{{{label}="{key}"}} {count}' for key, count in sorted(counter.items())]
        lines += ["# TYPE btws_duplicates_total counter", f"btws_duplicates_total {self.duplicates}"]
        lines += ["# TYPE btws_reconnects_total counter", f"btws_reconnects_total {self.reconnects}"]
        lines += self.round_trip.lines("btws_round_trip_seconds") + self.verify.lines("btws_verify_seconds")
        return "\n".join(lines) + "\n"
