"""``wallet-guard devnet``: the embedded chain, in the place of this process; ``devnet ask`` puts a question to it."""

import os
import sys
from collections.abc import Sequence
from typing import Any, NoReturn


def add_words(parsers: Any) -> None:
    """``devnet``, for the list of words; what follows it belongs to the chain's own program (see ``main``)."""
    parsers.add_parser("devnet", help="an embedded chain for development; 'devnet ask' questions it", add_help=False)


def become_devnet(rest: Sequence[str]) -> NoReturn:
    """Does not return: the process becomes the chain, or the one who asks it."""
    module = "wallet_guard.devnet"
    if list(rest[:1]) == ["ask"]:
        module, rest = "wallet_guard.devnet.ask", rest[1:]
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, "-P", "-m", module, *rest])  # noqa: S606 -- our own program
