"""Every storage item of the last blocks, as versions per key: old blocks answer without copies of the state.

Rules that must stay in step: versions of a key rise strictly by block number; `_touched[n]` names exactly the keys
that have a version at block n; block numbers are committed in order, and may be taken back only from the newest down.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Mapping
from itertools import takewhile
from operator import itemgetter

_number = itemgetter(0)


class History:
    """Storage as it was at each block that is still kept."""

    def __init__(self) -> None:
        self._versions: dict[bytes, list[tuple[int, bytes | None]]] = {}
        self._sorted: list[bytes] = []
        self._touched: dict[int, tuple[bytes, ...]] = {}

    def get(self, key: bytes, number: int) -> bytes | None:
        """The bytes stored under `key` after block `number`, or None."""
        versions = self._versions.get(key)
        if not versions:
            return None
        # The newest version is what is asked for almost always.
        if versions[-1][0] <= number:
            return versions[-1][1]
        at = bisect_right(versions, number, key=_number)
        return versions[at - 1][1] if at else None

    def keys(self, prefix: bytes, number: int, after: bytes | None, limit: int) -> list[bytes]:
        """At most `limit` stored keys with this prefix, in order, those after `after` only."""
        start = bisect_left(self._sorted, prefix)
        if after is not None:
            start = max(start, bisect_right(self._sorted, after))
        found: list[bytes] = []
        for key in self._sorted[start:]:
            if len(found) >= limit or not key.startswith(prefix):
                break
            if self.get(key, number) is not None:
                found.append(key)
        return found

    def commit(self, number: int, changes: Mapping[bytes, bytes | None]) -> None:
        """Add the writes of block `number`, which must be newer than all before."""
        assert not self._touched or number > next(reversed(self._touched)), "blocks are committed in order"
        for key, value in changes.items():
            if key not in self._versions:
                self._versions[key] = []
                insort(self._sorted, key)
            self._versions[key].append((number, value))
        self._touched[number] = tuple(changes)

    def revert(self, number: int) -> None:
        """Take back every block above `number`."""
        for newest in list(takewhile(lambda n: n > number, reversed(self._touched))):
            for key in self._touched.pop(newest):
                self._versions[key].pop()
                self._drop_if_empty(key)

    def forget(self, number: int) -> None:
        """Keep the state from block `number` on; what was overwritten before it can no longer be asked for."""
        for old in list(takewhile(lambda n: n <= number, self._touched)):
            for key in self._touched.pop(old):
                versions = self._versions.get(key)
                if versions is None:
                    continue
                at = bisect_right(versions, number, key=_number)
                del versions[: max(at - 1, 0)]
                # A removal that nothing older hides behind says the same as no version at all.
                if versions and versions[0][0] <= number and versions[0][1] is None:
                    del versions[0]
                self._drop_if_empty(key)

    def _drop_if_empty(self, key: bytes) -> None:
        if not self._versions[key]:
            del self._versions[key]
            del self._sorted[bisect_left(self._sorted, key)]
