"""Locks, the bill of materials, known vulnerabilities, and a wheel that comes out the same twice."""

import configparser
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROGRAM = ROOT / "hardening/supply_chain"
LOCKS = ROOT / "hardening/locks"


def locked(name):
    return dict(re.findall(r"(?m)^([A-Za-z0-9._-]+)==(\S+)", (LOCKS / f"{name}.txt").read_text()))


@pytest.mark.parametrize("name", ["guard", "chain", "build"])
def test_every_line_of_a_lock_is_pinned_and_hashed(name):
    text = (LOCKS / f"{name}.txt").read_text()
    for block in re.split(r"\n(?=\S)", re.sub(r"(?m)^\s*#.*\n", "", text).strip()):
        assert re.match(r"[A-Za-z0-9._-]+==\S+ ", block), block[:80]
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", block), block[:80]


def test_the_signers_lock_is_two_packages_and_what_is_below_them():
    assert set(locked("guard")) == {"bittensor-core", "pynacl", "cffi", "pycparser"}


def test_both_environments_have_the_same_of_what_both_have():
    guard, chain = locked("guard"), locked("chain")
    assert {name: chain[name] for name in guard} == guard


def test_the_locks_fit_what_setup_cfg_wants():
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    wanted = config["options"]["install_requires"].split() + config["options.extras_require"]["chain"].split()
    for line in wanted:
        name, low, high = re.fullmatch(r"([a-z-]+)>=([\d.]+),<([\d.]+)", line).groups()
        found = tuple(map(int, locked("chain")[name].split(".")))
        assert tuple(map(int, low.split("."))) <= found < tuple(map(int, high.split("."))), line


def test_the_bill_of_materials_names_every_locked_package(tmp_path):
    subprocess.run([sys.executable, PROGRAM, "sbom", tmp_path / "bill.json"], check=True, timeout=60)
    bill = json.loads((tmp_path / "bill.json").read_text())
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.5")
    found = {component["name"]: component for component in bill["components"]}
    assert {name: component["version"] for name, component in found.items()} == locked("chain")
    environments = {
        name: [each["value"] for each in component["properties"] if each["name"].endswith("environment")]
        for name, component in found.items()
    }
    assert environments["pynacl"] == ["guard", "chain"]
    assert environments["bittensor"] == ["chain"]


@pytest.mark.slow
def test_the_wheel_comes_out_the_same_twice(tmp_path):
    done = subprocess.run(
        [sys.executable, PROGRAM, "wheel", tmp_path], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    first, second = (line.split()[0] for line in done.stdout.splitlines())
    assert first == second


@pytest.mark.slow
def test_no_locked_package_has_a_known_vulnerability():
    if shutil.which("pip-audit") is None:
        pytest.skip("LOUD: no pip-audit on this machine; nothing was asked about vulnerabilities")
    done = subprocess.run([sys.executable, PROGRAM, "audit"], capture_output=True, text=True, timeout=300, check=False)
    if any(words in done.stderr + done.stdout for words in ("ConnectionError", "Max retries", "could not be audited")):
        pytest.skip("LOUD: nobody who knows vulnerabilities can be reached")
    assert done.returncode == 0, done.stdout + done.stderr
