"""The words of the command line, and where each is answered."""

import argparse
import os
import sys
from collections.abc import Sequence

from wallet_guard import __version__
from wallet_guard.cli import (
    audit,
    backup,
    clients,
    completion,
    demo,
    devnet,
    init,
    install,
    intents,
    keys,
    lock,
    policy,
    serve,
    status,
    top,
)
from wallet_guard.cli.doctor import command as doctor
from wallet_guard.cli.errors import CommandError
from wallet_guard.cli.printing import print_json
from wallet_guard.host.config import ConfigurationError

EX_CONFIG = 78
"""sysexits.h: something in the configuration must be mended."""

EX_INTERRUPTED = 130

EX_PIPE = 141
"""As a shell shows SIGPIPE."""

EPILOG = """\
'wallet-guard WORD --help' tells more; 'wallet-guard demo' shows everything in under a minute.

exit status:
  0    done; doctor, status: all is well
  1    it did not work, or something stands in the way: the message says what to do
  2    the command line is wrong
  78   the configuration must be mended
  130  interrupted
  141  whoever read the output went away
"""

WORDS = (
    demo,
    init,
    serve,
    clients,
    status,
    top,
    doctor,
    intents,
    lock,
    policy,
    audit,
    devnet,
    install,
    keys,
    backup,
    completion,
)
"""Each adds its words with ``add_words(parsers)`` and sets ``answer``: arguments in, exit status out."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Answers one command line; the exit status."""
    parser = argparse.ArgumentParser(
        prog="wallet-guard",
        description="Holds Bittensor hotkeys for nodes that own none, and sets their weights.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"wallet-guard {__version__}")
    parsers = parser.add_subparsers(title="words", metavar="WORD", required=True)
    for word in WORDS:
        word.add_words(parsers)
    words = sys.argv[1:] if arguments is None else list(arguments)
    if words[:1] == ["devnet"]:
        devnet.become_devnet(words[1:])
    chosen = parser.parse_args(words)
    try:
        return int(chosen.answer(chosen))
    except ConfigurationError as error:
        return _fail(chosen, str(error), "", EX_CONFIG)
    except CommandError as error:
        return _fail(chosen, str(error), error.hint, 1)
    except BrokenPipeError:
        # Whoever read our output has enough (head); what is left of it goes nowhere, also at the interpreter's end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EX_PIPE
    except KeyboardInterrupt:
        return EX_INTERRUPTED


def _fail(chosen: argparse.Namespace, message: str, hint: str, status: int) -> int:
    """Says why; on standard error for people, and with ``--json`` for programs as well."""
    print(f"wallet-guard: {message}", file=sys.stderr)
    if hint:
        print(f"hint: {hint}", file=sys.stderr)
    if getattr(chosen, "json", False):
        print_json({"error": message, "hint": hint})
    return status


if __name__ == "__main__":
    sys.exit(main())
