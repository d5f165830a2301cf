"""What the gateway counts of its own work: requests by route and status, failures by code, seconds by route."""

from wallet_guard.gateway.codes import CODES
from wallet_guard.ipc.metrics import Family, Histogram, Tally, counter, histogram

MAX_OUTCOMES = 512
"""Methods and paths are the route table's; each of its 15 rows has a dozen statuses at most."""

UNROUTED = "none"
"""The route of what never reached one."""

LEFT = "left"
"""The status of a request whose client went away first."""


class Figures:
    """Counters since ``started_ms`` (Unix milliseconds)."""

    def __init__(self, started_ms: int) -> None:
        self.started_ms = started_ms
        self._requests = Tally("method", "route", "status", most=MAX_OUTCOMES)
        self._errors = Tally("code", most=len(CODES))
        self._seconds: dict[str, Histogram] = {}
        for code in CODES:
            # There from the start: an increase is seen only of a series that was there before.
            self._errors.count(code, times=0)

    def answered(self, method: str, route: str, status: int, code: str, seconds: float) -> None:
        """A request was answered; ``code`` is "" where it did not fail."""
        self._requests.count(method, route, str(status))
        self._seconds.setdefault(route, Histogram()).observe(seconds)
        if code:
            self._errors.count(code)

    def left(self, method: str, route: str) -> None:
        """Its client left before the answer."""
        self._requests.count(method, route, LEFT)

    def unrouted(self, status: int, code: str) -> None:
        """An answer without a route."""
        self._requests.count(UNROUTED, UNROUTED, str(status))
        self._errors.count(code)

    def families(self) -> tuple[Family, ...]:
        """All counters."""
        return (
            counter("wallet_guard_http_requests_total", "Requests by route and status.", self._requests),
            counter("wallet_guard_http_errors_total", "Answers that told of a failure.", self._errors),
            histogram("wallet_guard_http_request_seconds", "Seconds until the answer.", "route", self._seconds),
        )
