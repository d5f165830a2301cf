"""The description against the guard: requests made out of it by schemathesis, the document judged by its validator.

Both tools live in an environment of their own, named by API_TOOLS (``.ci/run`` makes it; what they depend on is more
than the guard has). Requests are made for the wallet and subnet that there are, so that they reach the signer and the
chain; everything else is as the description says.
"""

import json
import os
import re
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from wallet_guard.ipc.clients import CALLS

TOOLS = Path(os.environ.get("API_TOOLS", "/nonexistent")).absolute()

pytestmark = pytest.mark.skipif(
    not (TOOLS / "bin" / "st").exists(), reason="LOUD: no schemathesis; API_TOOLS names no environment that has it"
)

SECONDS = 900.0
"""For each tool; alone on the machine they take 2 and 25, among eighteen others 140."""

RECEIVER = "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY"

THERE_ARE: dict[str, list[Any]] = {
    "wallet_name": ["validator"],
    "hotkey_name": ["default"],
    "netuid": [2],
    "ip": ["203.0.113.7", "2001:db8::7"],
    "receiver": [RECEIVER],
}
"""What a body must name so that it is not refused at once."""


class Described(NamedTuple):
    """A running guard by its URL, a token for everything, and the description that it gives."""

    url: str
    token: str
    document: dict[str, Any]
    folder: Path


@pytest.fixture(scope="module")
def described(make_house: Any, tmp_path_factory: pytest.TempPathFactory) -> Described:
    guard = make_house(gateway={"tcp": ["127.0.0.1:0"]}, signer={"deadline_seconds": 30}).guard
    command = [sys.executable, "-m", "wallet_guard.cli.main", "client", "add", "all", "--config", str(guard.config)]
    command += ["--key", "validator/default", "--per-hour", "100000", *(f"--call={call}" for call in CALLS)]
    token = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=True).stdout.strip()
    found = re.search(r"listening on .*127\.0\.0\.1:(\d+)", guard.log("gateway"))
    assert found
    url = f"http://127.0.0.1:{found[1]}"
    with urllib.request.urlopen(f"{url}/openapi.json", timeout=SECONDS) as answer:
        document = json.load(answer)
    return Described(url, token, document, tmp_path_factory.mktemp("openapi"))


def run(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    # They leave caches where they run.
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=SECONDS, check=False)


def objects(value: Any) -> Iterator[dict[str, Any]]:
    """Every object in it, however deep."""
    if isinstance(value, dict):
        yield value
    for each in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from objects(each)


def of_tokens(document: dict[str, Any]) -> dict[str, Any]:
    """The description without signed requests, which are refused for more than their signature, not by 401 alone."""
    copied: dict[str, Any] = json.loads(json.dumps(document))
    del copied["components"]["securitySchemes"]["signature"]
    for operation in (operation for item in copied["paths"].values() for operation in item.values()):
        operation["security"] = [each for each in operation["security"] if "signature" not in each]
    return copied


def narrow(document: dict[str, Any]) -> dict[str, Any]:
    """The description of what is granted here, so that right requests reach the signer and the chain."""
    narrowed = of_tokens(document)
    for operation in (item["post"] for item in narrowed["paths"].values() if "post" in item):
        # In the body it can be asked for as well; here most requests shall be more than that.
        operation["parameters"] = [each for each in operation.get("parameters", ()) if each["name"] != "dry_run"]
        for schema in objects(operation["requestBody"]):
            fields = schema.get("properties")
            if isinstance(fields, dict):
                for name in fields.keys() & THERE_ARE.keys():
                    null = {"type": "null"} in fields[name].get("anyOf", ())
                    fields[name] = {"enum": [*THERE_ARE[name], *([None] if null else [])]}
    return narrowed


def test_the_validator_has_nothing_to_say(described):
    path = described.folder / "openapi.json"
    path.write_text(json.dumps(described.document))
    done = run(described.folder, str(TOOLS / "bin" / "openapi-spec-validator"), str(path))
    assert (done.returncode, done.stdout) == (0, f"{path}: OK\n"), done.stderr


@pytest.mark.parametrize(
    ("mode", "shaped", "phases"),
    [("positive", narrow, "examples,coverage,fuzzing,stateful"), ("negative", of_tokens, "coverage,fuzzing")],
    ids=["right requests", "wrong requests"],
)
def test_schemathesis_finds_no_answer_that_is_not_described(described, mode, shaped, phases):
    path, report = described.folder / f"{mode}.json", described.folder / f"{mode}-report.json"
    path.write_text(json.dumps(shaped(described.document)))
    done = run(
        described.folder,
        *(str(TOOLS / "bin" / "st"), "--config-file", str(Path(__file__).with_name("schemathesis.toml"))),
        *("run", str(path), "--url", described.url, "--header", f"Authorization: Bearer {described.token}"),
        *("--mode", mode, "--phases", phases, "--max-examples", "8", "--seed", "1", "--no-shrink"),
        *("--continue-on-failure", "--workers", "1", "--request-timeout", "120"),
        *("--report", "json", "--report-json-path", str(report)),
    )
    print(done.stdout[done.stdout.find("= SUMMARY =") :])
    assert done.returncode == 0, done.stdout[-12_000:] + done.stderr[-2_000:]
    told = json.loads(report.read_text())
    # A run that was cut short would find nothing either.
    assert told["operations"]["tested"] >= len(described.document["paths"]) - 3
    assert told["test_cases"]["generated"] > 300
