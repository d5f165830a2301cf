"""Each planted fault is found, a healthy guard shows none, and the exit status says which it was."""

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from doctor_faults import FAULTS

from wallet_guard.cli.doctor.command import CHECKS, lines
from wallet_guard.cli.doctor.findings import Finding, Result, Severity
from wallet_guard.cli.main import main


def test_a_healthy_guard_yields_nothing(guard):
    assert guard.findings() == []


def test_a_healthy_guard_is_looked_at_by_every_check(guard):
    skipped = {result.check: result.skipped for result in guard.results() if result.skipped}
    assert skipped == {"hub": "no hub is wanted", "firewall": skipped["firewall"]}


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.what.replace(" ", "-"))
def test_finds_what_was_planted(guard, fault):
    fault.plant(guard)
    found = guard.findings(fault.check)
    assert found
    assert all(finding.found and finding.mend and "\n" not in finding.found + finding.mend for finding in found)


def test_every_check_has_a_planted_fault():
    # A disk that is nearly full is judged in test_host.
    assert {check.name for check in CHECKS} - {fault.check for fault in FAULTS} == {"disk"}


def test_check_names_are_unique():
    assert len({check.name for check in CHECKS}) == len(CHECKS)


def test_tells_fault_mend_and_sum():
    results = [
        Result("a", (Finding("x is wrong", "mend x", Severity.WARNING),)),
        Result("b", skipped="no y here"),
        Result("c"),
    ]
    assert list(lines(results, everything=True)) == [
        "WARNING  a: x is wrong",
        "         mend: mend x",
        "skipped  b: no y here",
        "well     c",
        "3 checks: 0 faults, 1 warnings, 0 notes; 1 skipped",
    ]
    assert len(list(lines(results, everything=False))) == 3


def test_a_configuration_that_cannot_be_read_ends_with_78_and_says_so(tmp_path, capsys):
    (tmp_path / "c.toml").write_text("nonsense = 1\n")
    assert main(["doctor", "--config", str(tmp_path / "c.toml")]) == 78
    assert "FAULT    configuration: " in capsys.readouterr().out


def test_faults_end_with_1_also_for_programs(config, capsys):
    assert main(["doctor", "--no-chain", "--json", "--config", config.path]) == 1
    said = json.loads(capsys.readouterr().out)
    assert said["checks"] == len(CHECKS)
    assert [found["check"] for found in said["findings"] if found["severity"] == "fault"] == ["signer"]
    assert {"check": "chain-genesis", "why": "the chain was not seen"} in said["skipped"]
