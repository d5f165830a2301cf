"""Which handler answers which method and path."""

from collections.abc import Awaitable, Callable, Iterable
from typing import NamedTuple

from wallet_guard.net.exchange import Request, Response

Answer = Response | Awaitable[Response]
# A plain function answers at once, without a task: the fast way. A coroutine function gets a task of its own.
Handler = Callable[[Request], Answer]


class Route(NamedTuple):
    """One row. A path segment `{}` or `{name}` matches any one segment, given to the handler in `parameters`."""

    method: str
    path: str
    handler: Handler


class Found(NamedTuple):
    """The outcome of a look-up: a handler, or the methods that the path knows (none: no such path)."""

    handler: Handler | None
    parameters: tuple[str, ...] = ()
    allowed: tuple[str, ...] = ()


class Routes:
    """A table of routes; exact paths are found with one look-up, whatever the number of rows.

    A path without a row for HEAD answers it with its GET, without the body (RFC 9110, section 9.3.2).
    """

    def __init__(self, routes: Iterable[Route | tuple[str, str, Handler]] = ()) -> None:
        self._exact: dict[tuple[str, str], Found] = {}
        self._patterns: list[tuple[list[str], Route]] = []
        self._paths: dict[str, tuple[str, ...]] = {}
        for route in routes:
            self.add(*route)

    def add(self, method: str, path: str, handler: Handler) -> None:
        """Adds a row; the first of two that match is used."""
        if "{" in path:
            self._patterns.append((path.split("/"), Route(method, path, handler)))
            return
        self._exact.setdefault((method, path), Found(handler))
        self._paths[path] = (*self._paths.get(path, ()), method)

    def find(self, method: str, path: str) -> Found:
        """The handler for it, or what is allowed instead."""
        found = self._exact.get((method, path))
        if found is not None:
            return found
        allowed = list(self._paths.get(path, ()))
        segments = path.split("/")
        for pattern, route in self._patterns:
            parameters = _match(pattern, segments)
            if parameters is None:
                continue
            if route.method == method:
                return Found(route.handler, parameters)
            allowed.append(route.method)
        if method == "HEAD" and "GET" in allowed:
            return self.find("GET", path)
        return Found(None, (), tuple(allowed))


def _match(pattern: list[str], segments: list[str]) -> tuple[str, ...] | None:
    if len(pattern) != len(segments):
        return None
    parameters = []
    for expected, found in zip(pattern, segments, strict=True):
        if expected.startswith("{"):
            if not found:
                return None
            parameters.append(found)
        elif expected != found:
            return None
    return tuple(parameters)
