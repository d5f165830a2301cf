"""The policy in force: a wrong file at the start is no start, a wrong one later changes nothing."""

import json
from pathlib import Path
from typing import Any

import pytest

from wallet_guard.host.config import ConfigurationError
from wallet_guard.host.policy import GRANTS_ALONE
from wallet_guard.signer.journal import JournalError
from wallet_guard.signer.policies import Policies, open_policies

NARROW = '[default]\nkeys = "any"\ncalls = ["set_weights"]\nnetuids = [2]\nmechanisms = "any"\n# end\n'


def written(folder: Path, text: str) -> str:
    path = folder / "policy.toml"
    path.write_text(text)
    path.chmod(0o600)
    return str(path)


def reload(bench: Any, policies: Policies) -> dict[str, Any]:
    """Reads again, and gives the body of the record about it."""
    policies.want()
    policies.reload(bench.desk.journal, bench.now)
    record = list(bench.desk.journal.records())[-1]
    assert record.kind == "reload"
    body: dict[str, Any] = json.loads(record.body)
    return body


def test_without_a_file_the_grants_alone_decide() -> None:
    assert open_policies("").current == GRANTS_ALONE


def test_a_wrong_file_is_no_start(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="expected '# end' as the last line"):
        open_policies(written(tmp_path, "[default]\n"))


def test_nothing_is_read_before_it_is_wanted(bench: Any, tmp_path: Path) -> None:
    policies = open_policies(written(tmp_path, NARROW))
    written(tmp_path, "# end\n")
    policies.reload(bench.desk.journal, bench.now)
    assert policies.current.default is not None


def test_a_good_file_is_in_force_once_it_is_recorded(bench: Any, tmp_path: Path) -> None:
    policies = open_policies(written(tmp_path, "# end\n"))
    written(tmp_path, NARROW)
    body = reload(bench, policies)
    assert policies.current.default is not None
    assert body == {"path": policies.path, "sha256": policies.current.sha256, "why": ""}
    assert (policies.wanted, policies.error) == (False, "")


@pytest.mark.parametrize("text", ["[default]\nkeys = 5\n# end\n", "[defaul", "", NARROW[:-20]])
def test_a_bad_or_half_written_file_changes_nothing_and_says_why(bench: Any, tmp_path: Path, text: str) -> None:
    policies = open_policies(written(tmp_path, NARROW))
    before = policies.current
    written(tmp_path, text)
    body = reload(bench, policies)
    assert policies.current is before
    assert body["why"] == policies.error != ""
    assert body["sha256"] == before.sha256
    # Once it is whole, it counts.
    written(tmp_path, "# end\n")
    assert reload(bench, policies)["why"] == ""
    assert (policies.error, policies.current.default) == ("", None)


def test_a_file_that_is_gone_changes_nothing(bench: Any, tmp_path: Path) -> None:
    path = written(tmp_path, NARROW)
    policies = open_policies(path)
    Path(path).unlink()
    assert "cannot be read" in reload(bench, policies)["why"]
    assert policies.current.default is not None


def test_what_cannot_be_recorded_does_not_change_the_policy(bench: Any, tmp_path: Path) -> None:
    policies = open_policies(written(tmp_path, NARROW))
    before = policies.current
    written(tmp_path, "# end\n")
    bench.desk.journal.error = "the disk is gone"
    policies.want()
    with pytest.raises(JournalError):
        policies.reload(bench.desk.journal, bench.now)
    assert policies.current is before
    assert policies.wanted
