"""The policy on a real chain: rules that refuse, a file that is reloaded, dry runs that leave no trace on the chain."""

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from wallet_guard.ipc.admin import StatusAsk
from wallet_guard.ipc.blocking import ask

TABLE = '[default]\nkeys = "any"\ncalls = "any"\nnetuids = "any"\nmechanisms = "any"\n'


class Policed:
    """A guard, its policy file, and what its status says of it."""

    def __init__(self, house: Any, path: Path, until: Any) -> None:
        self.house, self.guard, self.path, self._until = house, house.guard, path, until
        self.changes = 0

    @property
    def status(self) -> Any:
        return ask(self.guard.signer_socket("admin"), StatusAsk())

    def write(self, text: str) -> None:
        self.path.write_text(text)

    def hang_up(self) -> None:
        self.guard.programs["signer"].process.send_signal(signal.SIGHUP)

    def enforce(self, lines: str) -> None:
        """Puts a policy in force by SIGHUP, and returns once it is."""
        before = self.status.policy.sha256
        self.changes += 1
        self.write(f"# {self.changes}\n{TABLE}{lines}\n# end\n")
        self.hang_up()
        self._until(lambda: self.status.policy.sha256 != before, "the policy is in force")

    def refused(self, **changed: Any) -> tuple[int, str]:
        answer = self.guard.set_weights(**changed)
        assert answer.body["submitted"] == "no"
        return answer.status, answer.body["error"].get("rule", "")

    def explain(self, **changed: Any) -> dict[str, Any]:
        inner = {"netuid": 2, "uids": [1, 2, 3], "weights": [100, 200, 300], **changed}
        body = {"wallet_name": "validator", "hotkey_name": "default", "transaction_data": inner}
        answer = self.guard.request("POST", "/wallet/set_weights?dry_run=1", body)
        assert answer.status == 200, answer.body
        return answer.body


@pytest.fixture(scope="module")
def policed(make_house, until, tmp_path_factory):
    path = tmp_path_factory.mktemp("policy") / "policy.toml"
    path.write_text(TABLE + "# end\n")
    path.chmod(0o644)
    house = make_house(signer={"policy": str(path)})
    return Policed(house, path, until)


def test_rules_refuse_what_the_chain_would_take_and_say_what_would_pass(policed):
    before = len(policed.house.devnet.extrinsics())
    policed.enforce("max_share = 0.4")
    assert policed.refused() == (403, "max_share")
    policed.enforce("uids = [[1, 2]]")
    assert policed.refused() == (403, "uids")
    policed.enforce("subnet.2 = { hours = [] }")
    assert policed.refused() == (403, "hours")
    policed.enforce("dry_run_only = true")
    assert policed.refused() == (403, "dry_run_only")
    assert len(policed.house.devnet.extrinsics()) == before
    policed.enforce("max_share = 0.5\nuids = [[1, 3]]\nhours = [[0, 24]]")
    answer = policed.guard.insist(wait_for_inclusion=True)
    assert answer.status == 200


def test_the_interval_outlives_the_signer(policed, until):
    policed.enforce("")
    assert policed.guard.insist(wait_for_inclusion=True).status == 200
    policed.enforce("min_seconds = 100000")
    assert policed.refused() == (429, "min_seconds")
    policed.guard.restart("signer")
    until(policed.guard.connected, "the guard works again")
    assert policed.refused() == (429, "min_seconds")


def test_a_bad_or_half_written_file_changes_nothing_and_says_why(policed, until):
    policed.enforce("max_share = 0.4")
    whole = f"{TABLE}max_share = 1\n# end\n"
    for text in (whole[: len(whole) // 2], whole[:-1], "max_share = 5\n# end\n"):
        before = policed.status.policy.sha256
        policed.write(text)
        policed.hang_up()
        until(lambda: policed.status.policy.error, "the file is refused")
        assert policed.status.policy.sha256 == before
        assert policed.refused() == (403, "max_share")
        policed.write(f"{TABLE}max_share = 0.4\n# end\n")
        policed.hang_up()
        until(lambda: not policed.status.policy.error, "the file is good again")
    assert "the policy stays as it was" in policed.guard.log("signer")
    policed.guard.audit()


def test_a_dry_run_shows_what_is_then_signed_and_leaves_no_trace(policed):
    policed.enforce("")
    before = len(policed.house.devnet.extrinsics())
    open_before = policed.status.health.open_intents
    told = policed.explain()
    assert (told["approved"], told["submitted"], told["error"]) == (True, "no", None)
    assert {verdict["verdict"] for verdict in told["rules"]} == {"pass"}
    call = told["call"]
    assert (call["name"], call["fee_rao"]) == ("SubtensorModule.set_weights", 0)
    assert len(call["metadata_digest"]) == 66
    assert len(policed.house.devnet.extrinsics()) == before
    assert policed.status.health.open_intents == open_before
    answer = policed.guard.insist(wait_for_inclusion=True)
    view = policed.guard.view(answer.body["intent"])
    assert [list(pair) for pair in view.weights] == call["weights"]
    # The devnet keeps what it was sent.
    sent = policed.house.devnet.extrinsics(policed.guard.address)[-1]
    assert sent["call"] == call["name"]


def test_a_dry_run_says_what_a_rule_and_what_the_chain_would_refuse(policed):
    policed.enforce("max_share = 0.4\nuids = [1]")
    told = policed.explain()
    assert told["approved"] is False
    assert [each["rule"] for each in told["rules"] if each["verdict"] == "refuse"] == ["uids", "max_share"]
    assert told["call"] is not None
    policed.enforce("")
    told = policed.explain(netuid=9)
    assert (told["approved"], told["call"]) == (False, None)


def test_the_operators_word_explains_the_same(policed):
    policed.enforce("")
    words = ("explain", "node", "--netuid", "2", "--weights", '{"1": 100, "2": 200, "3": 300}', "--json")
    command = [sys.executable, "-m", "wallet_guard.cli.main", *words, "--config", str(policed.guard.config)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["approved"] is True
    assert [list(pair) for pair in told["call"]["weights"]] == policed.explain()["call"]["weights"]
