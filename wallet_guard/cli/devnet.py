"""``wallet-guard devnet``: the embedded chain, in the place of this process."""

import argparse
import os
import sys
from typing import Any


def add_words(parsers: Any) -> None:
    """``devnet``; everything after it goes to ``python -m wallet_guard.devnet``."""
    parser = parsers.add_parser("devnet", help="an embedded chain for development", add_help=False)
    parser.add_argument("rest", nargs=argparse.REMAINDER)
    parser.set_defaults(answer=devnet)


def devnet(chosen: argparse.Namespace) -> int:
    """Does not return: the process becomes the chain."""
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, "-m", "wallet_guard.devnet", *chosen.rest])  # noqa: S606 -- our own program
