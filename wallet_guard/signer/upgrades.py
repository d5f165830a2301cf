"""Runtime upgrades: which runtimes are signed for, by the operator's choice (``[signer] runtime``).

- ``same-shape``: any, as long as all that our bytes mean is unchanged (``shape``). A change is refused and said, until
  the operator has looked at it: ``wallet-guard allow-runtime``.
- ``pin``: the one that was seen first, or allowed last; its spec version stays.
- ``follow``: any. The codec's bytes must still be those of ``scale``, and the digest binds the signature, so what is
  signed is never another call; but a change is not shown to anybody first.

What was seen first is the measure, if its calls are those of our own table (``scale``).
"""

import json
import logging

from wallet_guard.signer.journal import Journal
from wallet_guard.signer.shape import Shape, differences

log = logging.getLogger(__name__)

FOLLOW, SAME_SHAPE, PIN = "follow", "same-shape", "pin"

RECORD_SECONDS = 60
"""Between two records of refused runtimes."""

_META = "runtime"


class RuntimeChangedError(ValueError):
    """This runtime is not signed for; the message says what changed, and what the operator can do."""


class Upgrades:
    """What was seen and allowed, durably. ``choice`` is one of the three above."""

    def __init__(self, journal: Journal, choice: str) -> None:
        self._journal, self._choice = journal, choice
        known = json.loads(journal.meta(_META) or "null")
        self._known: tuple[int, Shape] | None = (known[0], known[1]) if known else None
        self._refused: dict[int, Shape] = {}
        self._why = ""
        self._recorded_ms = -RECORD_SECONDS * 1000

    @property
    def why(self) -> str:
        """Why the runtime that was told last is not signed for, "" if it is."""
        return self._why

    def take(self, spec_version: int, shape: Shape, now_ms: int) -> None:
        """Returns if this runtime may be signed for.

        Raises:
            RuntimeChangedError: it may not.
            JournalError: what was seen could not be written.
        """
        changed = self._changed(spec_version, shape)
        if changed:
            self._refuse(spec_version, shape, changed, now_ms)
            raise RuntimeChangedError(self._why)
        self._why = ""
        if self._known is None:
            self._remember(spec_version, shape, "runtime_seen", now_ms)
        elif self._known != (spec_version, shape) and self._choice != PIN:
            self._remember(spec_version, shape, "runtime_upgraded", now_ms)

    def allow(self, spec_version: int, now_ms: int) -> bool:
        """The operator allows a runtime that was refused; False if none of that version was.

        Raises:
            JournalError: it could not be written; nothing changed.
        """
        shape = self._refused.get(spec_version)
        if shape is None:
            return False
        self._remember(spec_version, shape, "runtime_allowed", now_ms)
        self._refused.clear()
        self._why = ""
        return True

    def _changed(self, spec_version: int, shape: Shape) -> str:
        """What changed that must not, "" if nothing did."""
        if self._choice == FOLLOW:
            return ""
        if self._known is None:
            strange = ", ".join(part for part, digest in shape.items() if not digest)
            return (
                f"not the calls that this signer knows: {strange}: it is forged, or newer than this" if strange else ""
            )
        known_version, known_shape = self._known
        parts = ", ".join(differences(known_shape, shape))
        if self._choice == PIN and spec_version != known_version:
            return f"spec version {known_version} is pinned" + (f", and {parts} changed" if parts else "")
        return f"{parts} changed since spec version {known_version}" if parts else ""

    def _refuse(self, spec_version: int, shape: Shape, changed: str, now_ms: int) -> None:
        self._why = (
            f"the chain's runtime is now {spec_version}: {changed}; nothing is signed for it until 'wallet-guard "
            f"allow-runtime {spec_version}'"
        )
        if self._refused.get(spec_version) == shape:
            return
        # The newest alone, and a record now and then: a liar that tells many must fill neither memory nor disk.
        self._refused = {spec_version: shape}
        log.critical(self._why)
        if now_ms >= self._recorded_ms + RECORD_SECONDS * 1000:
            self._recorded_ms = now_ms
            with self._journal.transaction() as writer:
                writer.record(now_ms, "runtime_refused", "", spec_version=spec_version, why=changed)

    def _remember(self, spec_version: int, shape: Shape, kind: str, now_ms: int) -> None:
        with self._journal.transaction() as writer:
            writer.set_meta(_META, json.dumps([spec_version, shape]))
            writer.record(now_ms, kind, "", spec_version=spec_version, shape=shape)
        self._known = (spec_version, shape)
