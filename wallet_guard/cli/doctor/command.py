"""The word ``doctor``: gathers, examines, prints; exit status by the worst that was found."""

import argparse
import os
from collections.abc import Iterator
from typing import Any

from wallet_guard.cli.doctor import certificates, chain, files, host, settings, signer, units
from wallet_guard.cli.doctor.findings import Check, Result, Severity, examine
from wallet_guard.cli.doctor.gather import gather
from wallet_guard.cli.place import add_config_option
from wallet_guard.cli.printing import add_json_option, print_json, progress

EX_CONFIG = 78

CHECKS: tuple[Check, ...] = (
    *files.CHECKS,
    *certificates.CHECKS,
    *settings.CHECKS,
    *signer.CHECKS,
    *chain.CHECKS,
    *host.CHECKS,
    *units.CHECKS,
)
"""In the order in which they are told: what keeps the guard from starting comes first."""


def add_words(parsers: Any) -> None:
    """``doctor``."""
    parser = parsers.add_parser(
        "doctor",
        help="find what is wrong, and how to mend it",
        description="Looks at configuration, files, processes, units, the signer and the chain; changes nothing.",
        epilog="exit status: 0 no fault (warnings there may be), 1 faults, 78 the configuration cannot be read",
    )
    parser.add_argument("--no-chain", action="store_true", help="do not ask the chain")
    parser.add_argument("--all", action="store_true", help="show every check, also what is well and what was skipped")
    add_json_option(parser)
    add_config_option(parser)
    parser.set_defaults(answer=doctor)


def doctor(chosen: argparse.Namespace) -> int:
    """0 without faults, 1 with, 78 where the configuration cannot be read."""
    with progress() as tell:
        scene = gather(chosen.config or "", os.environ, ask_chain=not chosen.no_chain, tell=tell)
        tell("looking")
        results = list(examine(CHECKS, scene))
    if chosen.json:
        print_json(_as_json(results, scene.config_path))
    else:
        for line in lines(results, everything=chosen.all):
            print(line)
    if scene.config_error:
        return EX_CONFIG
    return int(any(finding.severity is Severity.FAULT for result in results for finding in result.findings))


def lines(results: list[Result], *, everything: bool) -> Iterator[str]:
    """For reading: what was found, and below it the mend; then the sum."""
    for result in results:
        for finding in result.findings:
            yield f"{finding.severity.upper():8} {result.check}: {finding.found}"
            yield f"         mend: {finding.mend}"
        if everything and result.skipped:
            yield f"skipped  {result.check}: {result.skipped}"
        elif everything and not result.findings:
            yield f"well     {result.check}"
    found = [finding.severity for result in results for finding in result.findings]
    skipped = sum(bool(result.skipped) for result in results)
    counts = ", ".join(f"{found.count(severity)} {severity}s" for severity in Severity)
    yield f"{len(results)} checks: {counts}; {skipped} skipped" + ("" if everything else " (--all says why)")


def _as_json(results: list[Result], config_path: str) -> dict[str, Any]:
    found = [
        {"check": result.check, "severity": finding.severity, "found": finding.found, "mend": finding.mend}
        for result in results
        for finding in result.findings
    ]
    skipped = [{"check": result.check, "why": result.skipped} for result in results if result.skipped]
    return {"config": config_path, "checks": len(results), "findings": found, "skipped": skipped}
