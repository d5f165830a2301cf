"""One line per event on standard error: time, level, process, what happened.

Under systemd (JOURNAL_STREAM) the journal stamps time itself, so lines begin with the level as ``<N>``
(sd-daemon(3)) instead. Control characters are escaped: nothing that a peer sent can forge a line.
"""

import logging
import os
import sys
import time
import traceback

_PRIORITY = {logging.DEBUG: 7, logging.INFO: 6, logging.WARNING: 4, logging.ERROR: 3, logging.CRITICAL: 2}

_ESCAPES = {code: f"\\x{code:02x}" for code in (*range(32), *range(0x7F, 0xA0), 0x2028, 0x2029)}


class _Lines(logging.Formatter):
    def __init__(self, process: str, journal: bool) -> None:
        super().__init__()
        self._process = process
        self._journal = journal

    def format(self, record: logging.LogRecord) -> str:
        text = record.getMessage().translate(_ESCAPES)
        if record.exc_info and record.exc_info[1] is not None:
            # A bug: keep where it happened, on the one line, without values.
            error = record.exc_info[1]
            frames = traceback.extract_tb(error.__traceback__)
            places = " < ".join(f"{os.path.basename(f.filename)}:{f.lineno} {f.name}" for f in reversed(frames))
            text += f" [{type(error).__name__} at {places}]"
        if self._journal:
            return f"<{_PRIORITY.get(record.levelno, 6)}>{self._process}: {text}"
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        return f"{stamp}.{int(record.msecs):03d}Z {record.levelname.lower():7} {self._process:8} {text}"


def start_log(process: str, level: str = "info") -> None:
    """Sends this process's log to standard error. ``level`` is debug, info, warning or error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Lines(process, "JOURNAL_STREAM" in os.environ))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    # What no line of ours says is not looked up for each of them.
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    # Only our own news at info: a library's chatter is not an event.
    logging.getLogger().setLevel(logging.WARNING)
    logging.getLogger("wallet_guard").setLevel(level.upper())
