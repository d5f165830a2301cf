"""``wallet-guard devnet``: the embedded chain, in the place of this process; ``devnet ask`` puts a question to it."""

import argparse
import os
import sys
from typing import Any


def add_words(parsers: Any) -> None:
    """``devnet``; everything after it goes to the chain's own program."""
    parser = parsers.add_parser(
        "devnet", help="an embedded chain for development; 'devnet ask' questions it", add_help=False
    )
    parser.add_argument("rest", nargs=argparse.REMAINDER)
    parser.set_defaults(answer=devnet)


def devnet(chosen: argparse.Namespace) -> int:
    """Does not return: the process becomes the chain, or the one who asks it."""
    module, rest = "wallet_guard.devnet", chosen.rest
    if rest[:1] == ["ask"]:
        module, rest = "wallet_guard.devnet.ask", rest[1:]
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, "-m", module, *rest])  # noqa: S606 -- our own program
