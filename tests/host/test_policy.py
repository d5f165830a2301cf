"""The policy file: every key, every refusal by its words, and no part of a file is a policy."""

from dataclasses import fields
from pathlib import Path

import pytest

from wallet_guard.host.config import ConfigurationError
from wallet_guard.host.policy import GRANTS_ALONE, ClientPolicy, Limits, Policy, parse_policy, read_policy

CALLS = ("set_weights", "request")

WHOLE = """\
[default]
keys = "any"
calls = ["set_weights"]
netuids = "any"
mechanisms = "any"

[client.my-validator]
keys = ["validator/default"]
calls = ["set_weights", "request"]
netuids = [2, 5]
mechanisms = [0, 1]
per_hour = { set_weights = 10 }
min_blocks = 100
min_seconds = 60
uids = [3, [10, 20]]
max_share = 0.5
max_change = 2
hours = [[6, 22]]
expires = 2027-01-31T00:00:00Z
dry_run_only = true
subnet.5 = { max_share = 0.2, min_blocks = 360 }
# end
"""


def parse(text: str) -> Policy:
    return parse_policy(text.encode(), "p.toml", CALLS)


def test_every_key_is_read() -> None:
    policy = parse(WHOLE)
    found = policy.of("my-validator")
    limits = Limits(100, 60, ((3, 3), (10, 20)), 0.5, 2.0, ((6, 22),))
    assert found == ClientPolicy(
        keys=("validator/default",),
        calls=("set_weights", "request"),
        netuids=(2, 5),
        mechanisms=(0, 1),
        per_hour=(("set_weights", 10),),
        expires_ms=1_801_353_600_000,
        dry_run_only=True,
        limits=limits,
        subnets=((5, Limits(360, 60, ((3, 3), (10, 20)), 0.2, 2.0, ((6, 22),))),),
    )
    assert policy.of("another") == ClientPolicy(keys=None, calls=("set_weights",), netuids=None, mechanisms=None)


def test_a_subnets_limits_stand_in_for_the_clients_own() -> None:
    found = parse(WHOLE).of("my-validator")
    assert found is not None
    assert found.limits_on(5).max_share == 0.2
    assert found.limits_on(2).max_share == 0.5
    assert found.limits_on(None).max_share == 0.5


def test_the_zero_policy_lists_nobody() -> None:
    assert Policy().of("anyone") is None
    assert parse("# end\n").of("anyone") is None


def test_a_table_without_keys_lists_nothing() -> None:
    found = parse("[client.a]\n# end\n").of("a")
    assert found == ClientPolicy((), (), (), ())


def test_without_a_file_the_grants_decide() -> None:
    assert GRANTS_ALONE.of("anyone") == ClientPolicy(None, None, None, None)


def test_no_part_of_a_file_is_a_policy() -> None:
    content = WHOLE.encode()
    for length in range(len(content)):
        with pytest.raises(ConfigurationError):
            parse_policy(content[:length], "p.toml", CALLS)


def test_lines_may_end_as_on_windows() -> None:
    assert parse(WHOLE.replace("\n", "\r\n")).of("my-validator") == parse(WHOLE).of("my-validator")


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("uid = [1]", "[client.a]: unknown key 'uid'"),
        ("keys = 'all'", "[client.a] keys: expected 'any' or a list of 'wallet/hotkey' names, found 'all'"),
        ("keys = ['validator']", "keys: expected 'wallet/hotkey' names, found 'validator'"),
        ("calls = ['transfer']", "calls: expected names of calls"),
        ("netuids = [4096]", "netuids: expected numbers from 0 to 4095, found 4096"),
        ("netuids = [true]", "netuids: expected numbers from 0 to 4095, found True"),
        ("mechanisms = [16]", "mechanisms: expected numbers from 0 to 15, found 16"),
        ("per_hour = 5", "per_hour: expected a table, found 5"),
        ("per_hour = { transfer = 5 }", "per_hour: unknown key 'transfer'"),
        ("per_hour = { request = -1 }", "per_hour request: expected a whole number from 0"),
        ("min_blocks = 1.5", "min_blocks: expected a whole number from 0"),
        ("min_seconds = -1", "min_seconds: expected a whole number from 0"),
        ("uids = 5", "uids: expected a list, found 5"),
        ("uids = [[5, 4]]", "uids: expected uids or [first, last] pairs, found [5, 4]"),
        ("uids = [65536]", "uids: expected uids or [first, last] pairs"),
        ("uids = ['1']", "uids: expected uids or [first, last] pairs"),
        ("max_share = 1.01", "max_share: expected a number from 0 to 1, found 1.01"),
        ("max_share = nan", "max_share: expected a number from 0 to 1, found nan"),
        ("max_share = true", "max_share: expected a number from 0 to 1, found True"),
        ("max_change = inf", "max_change: expected a number from 0 to 2, found inf"),
        ("hours = [[6, 25]]", "hours: expected [from, until] pairs of hours, found [6, 25]"),
        ("hours = [6]", "hours: expected [from, until] pairs of hours, found 6"),
        ("hours = [[6, 6]]", "hours: expected two different hours"),
        ("expires = 2027-01-31", "expires: expected a time such as 2027-01-31T00:00:00Z"),
        ("expires = 2027-01-31T00:00:00", "expires: expected a time such as"),
        ("dry_run_only = 1", "dry_run_only: expected true or false, found 1"),
        ("subnet.x = {}", "subnet: expected a netuid from 0 to 4095, found 'x'"),
        ("subnet.05 = {}", "subnet: expected a netuid from 0 to 4095, found '05'"),
        ("subnet.5 = { calls = [] }", "subnet.5: unknown key 'calls'"),
        ("subnet.5 = 5", "subnet.5: expected a table, found 5"),
        ("subnet = 5", "subnet: expected tables by netuid, found 5"),
    ],
)
def test_refuses_and_names_the_place(line: str, says: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse(f"[client.a]\n{line}\n# end\n")
    assert says in str(caught.value)
    assert str(caught.value).startswith("p.toml: [client.a]")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[defaults]\n# end\n", "p.toml: unknown key 'defaults', expected one of client, default"),
        ("client = 5\n# end\n", "p.toml: expected tables [client.NAME], found int"),
        ("[default]\n", "p.toml: expected '# end' as the last line"),
        ("[default]\n# end", "expected '# end' as the last line"),
        ("[default\n# end\n", "p.toml: expected TOML"),
    ],
)
def test_refuses_what_is_no_policy(text: str, says: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse(text)
    assert says in str(caught.value)


def test_refuses_what_is_no_text_or_too_long() -> None:
    for content in (b"\xff# end\n", b"#" * (256 * 1024) + b"\n# end\n"):
        with pytest.raises(ConfigurationError):
            parse_policy(content, "p.toml", CALLS)


def test_reads_a_file_that_only_its_owner_writes(tmp_path: Path) -> None:
    path = tmp_path / "policy.toml"
    path.write_text(WHOLE)
    path.chmod(0o644)
    policy = read_policy(path, CALLS)
    assert (policy.path, len(policy.sha256)) == (str(path), 64)
    path.chmod(0o664)
    with pytest.raises(ConfigurationError, match="expected a file that only root or uid"):
        read_policy(path, CALLS)


def test_refuses_what_is_no_file(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none"):
        with pytest.raises(ConfigurationError, match="cannot be read"):
            read_policy(path, CALLS)


def test_the_example_of_the_reference_is_a_policy_with_every_key() -> None:
    reference = (Path(__file__).parents[2] / "hardening/policy.md").read_text()
    example = reference.partition("```toml\n")[2].partition("```")[0]
    # Client keys of its words are all that there are: the reference names each, and the example shows each.
    policy = parse_policy(example.encode(), "policy.md", (*CALLS, "session"))
    assert {name for name, _ in policy.clients} == {"my-validator", "monitoring"}
    for name in (*(field.name for field in fields(Limits)), *_KEYS):
        assert f"\n{name} = " in example or f"\n{name}." in example, name
        assert f"`{name}`" in reference or f"`{name}.N`" in reference, name


_KEYS = ("keys", "calls", "netuids", "mechanisms", "per_hour", "expires", "dry_run_only", "subnet")
