"""Explanations: the whole trace and the exact call, no signature, no counter, no more than one may know."""

import dataclasses
import json
from typing import Any

import pytest

from wallet_guard.host.policy import parse_policy
from wallet_guard.ipc.answers import Done, Refusal
from wallet_guard.ipc.chain import Action, Facts
from wallet_guard.ipc.clients import CALLS
from wallet_guard.ipc.explanations import Draft, DryRun, Explain, Explanation, Inform, Quote, Ruling
from wallet_guard.ipc.wishes import ResetAxon
from wallet_guard.signer import explain
from wallet_guard.signer.keys import Key
from wallet_guard.signer.pending import MAX_A_MINUTE, MAX_OPEN, Later
from wallet_guard.signer.rules import PERMISSIONS, RULES


class Asker:
    """Somebody who waits for explanations."""

    def __init__(self, bench: Any, facts: Facts) -> None:
        self.bench, self.facts = bench, facts
        self.told: list[Any] = []

    def ask(self, wish: Any = None, **changes: Any) -> Any:
        """The answer at once, or None while it is waited for."""
        wish = self.bench.wish(**changes) if wish is None else wish
        answer = explain.dry_run(self.bench.desk, DryRun(self.bench.token, wish))
        if not isinstance(answer, Later):
            return answer
        answer.tell = self.told.append
        return None

    def inform(self, **changes: Any) -> Any:
        (name,) = self.bench.desk.waitingroom.open
        return explain.inform(self.bench.desk, Inform(name, dataclasses.replace(self.facts, **changes)))

    def quote(self, fee: int | None = 0) -> Any:
        (name,) = self.bench.desk.waitingroom.open
        return explain.quote(self.bench.desk, Quote(name, fee))

    def explained(self, wish: Any = None, facts: Any = None, **changes: Any) -> Explanation:
        """All the way, as a chain process goes it."""
        answer = self.ask(wish, **changes)
        if answer is None:
            drafted = self.inform(**(facts or {}))
            assert isinstance(drafted, Draft), drafted
            if drafted.data is not None:
                assert self.quote() == Done()
            answer = self.told.pop()
        assert isinstance(answer, Explanation), answer
        return answer

    def narrow(self, line: str) -> None:
        text = f'[default]\nkeys = "any"\ncalls = "any"\nnetuids = "any"\nmechanisms = "any"\n{line}\n# end\n'
        self.bench.desk.policies.current = parse_policy(text.encode(), "p.toml", CALLS)


@pytest.fixture
def asker(bench: Any, facts: Facts) -> Asker:
    return Asker(bench, facts)


def refused(told: Explanation) -> list[str]:
    return [verdict.rule for verdict in told.rules if verdict.ruling is Ruling.REFUSE]


def test_the_explained_call_is_the_one_that_is_signed(asker: Asker, bench: Any) -> None:
    told = asker.explained()
    assert (told.approved, told.code, told.message) == (True, "", "")
    assert told.call is not None
    task = bench.sealed(bench.accepted())
    assert told.call.data in task.extrinsic
    assert told.call.weights == bench.intent(task.intent).weights
    assert (told.call.name, told.call.fee, told.call.spec_version) == ("SubtensorModule.set_weights", 0, 461)
    assert told.call.metadata_digest == bench.desk.chain.runtimes[461, 1].digest


def test_every_rule_has_its_word(asker: Asker) -> None:
    told = asker.explained()
    assert [verdict.rule for verdict in told.rules] == [rule.__name__ for rule in RULES]
    assert {verdict.ruling for verdict in told.rules} == {Ruling.PASS}


def test_nothing_is_signed_and_no_counter_moves(asker: Asker, bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def sign(*_: Any) -> bytes:
        raise AssertionError("a dry run signed")

    monkeypatch.setattr(Key, "sign", sign)
    asker.narrow("min_seconds = 600\nper_hour = { set_weights = 1 }\nmax_change = 0.1")
    for _ in range(3):
        assert asker.explained().approved
    assert asker.explained(facts={"commit_reveal": True}).approved
    journal = bench.desk.journal
    assert (journal.count_open(), journal.count_accepted("node", 0)) == (0, 0)
    assert bench.pull() == ()


def test_what_one_rule_forbids_is_said_beside_all_the_others(asker: Asker) -> None:
    asker.narrow("max_share = 0.2\nuids = [1]")
    told = asker.explained()
    assert (told.approved, told.code) == (False, "policy_denied")
    assert refused(told) == ["uids", "max_share"]
    # It can be composed all the same, and is shown.
    assert told.call is not None


def test_what_the_chain_would_not_take_is_said(asker: Asker) -> None:
    told = asker.explained(facts={"uid": None})
    assert (told.approved, told.code, told.call) == (False, "not_registered", None)
    told = asker.explained(facts={"rate_limit": 100, "last_update": asker.facts.block_number - 5})
    assert (told.code, refused(told)) == ("rate_limited", [])


def test_facts_that_cannot_be_are_no_ground(asker: Asker) -> None:
    told = asker.explained(facts={"genesis_hash": b"\x01" * 32})
    assert (told.code, told.call) == ("facts_refused", None)


def test_another_call_is_explained_too(asker: Asker, bench: Any) -> None:
    bench.token = bench.add_client("axon", calls=("reset_axon",))
    told = asker.explained(ResetAxon("validator", "default", 2))
    assert told.approved
    assert told.call is not None
    assert told.call.weights is None


def test_a_client_for_dry_runs_alone_gets_explanations_and_no_signatures(asker: Asker, bench: Any) -> None:
    asker.narrow("dry_run_only = true")
    assert asker.explained().approved
    assert bench.accept().rule == "dry_run_only"


def test_a_stranger_learns_nothing(asker: Asker, bench: Any) -> None:
    bench.token = "wg_nobody"
    answer = asker.ask()
    assert isinstance(answer, Refusal)
    assert (answer.code, bench.desk.waitingroom.open) == ("unauthorized", {})


def test_another_wallet_is_not_looked_for(asker: Asker) -> None:
    there, nowhere = asker.ask(wallet="validator", hotkey="other"), asker.ask(wallet="none", hotkey="other")
    assert isinstance(there, Explanation)
    assert isinstance(nowhere, Explanation)
    assert (there.code, nowhere.code) == ("wallet_not_allowed", "wallet_not_allowed")
    assert len(there.rules) == len(nowhere.rules) == len(PERMISSIONS)


def test_a_wish_of_no_shape_is_refused(asker: Asker) -> None:
    answer = asker.ask(weights=(float("nan"), 1.0, 1.0))
    assert isinstance(answer, Refusal)
    assert answer.code == "invalid_request"


def test_a_locked_signer_says_so_and_explains(asker: Asker, bench: Any) -> None:
    bench.desk.lockdown.engage("by a test")
    told = asker.explained()
    assert (told.approved, told.code) == (False, "locked")
    assert told.call is not None


def test_the_chain_process_is_asked_for_facts_under_a_name_that_no_intent_has(asker: Asker, bench: Any) -> None:
    asker.ask(uids=None, hotkeys=(bench.desk.keys.find("validator", "default").ss58_address,), weights=(1.0,))
    (task,) = bench.pull()
    assert (task.action, task.netuid, len(task.hotkeys)) == (Action.EXPLAIN, 2, 1)
    assert bench.seal(task.intent).code == "unknown_intent"
    assert bench.desk.journal.intent(task.intent) is None
    asker.inform(uids=(("x", 1),))
    assert bench.pull() == ()


def test_without_facts_the_rules_alone_are_explained_after_a_while(asker: Asker, bench: Any) -> None:
    asker.narrow("min_blocks = 5\nmax_share = 0.9")
    bench.sealed(bench.accepted())
    asker.ask()
    bench.clock[0] += int(explain.SECONDS * 1000) - 1
    explain.tick(bench.desk)
    assert asker.told == []
    bench.clock[0] += 1
    explain.tick(bench.desk)
    (told,) = asker.told
    assert (told.code, told.call, told.approved) == ("rate_limited", None, False)
    assert {verdict.rule: verdict.ruling for verdict in told.rules}["max_share"] is Ruling.PASS
    bench.clock[0] += 600_000
    asker.ask()
    bench.clock[0] += int(explain.SECONDS * 1000)
    explain.tick(bench.desk)
    assert asker.told[-1].code == "chain_unavailable"
    assert "min_blocks" in [verdict.rule for verdict in asker.told[-1].rules if verdict.ruling is Ruling.LATER]


def test_without_a_fee_the_rest_is_explained_after_a_while(asker: Asker, bench: Any) -> None:
    asker.ask()
    asker.inform()
    bench.clock[0] += int(explain.SECONDS * 1000)
    explain.tick(bench.desk)
    (told,) = asker.told
    assert told.approved
    assert told.call.fee is None
    assert bench.desk.waitingroom.open == {}


def test_late_or_invented_facts_and_fees_change_nothing(asker: Asker, bench: Any) -> None:
    for answer in (
        explain.inform(bench.desk, Inform("explain-x", asker.facts)),
        explain.quote(bench.desk, Quote("explain-x", 0)),
    ):
        assert isinstance(answer, Refusal)
        assert answer.code == "unknown_intent"
    asker.ask()
    assert asker.quote().code == "unknown_intent"
    assert asker.inform(spec_version=999).code == "runtime_unknown"
    asker.inform()
    assert asker.quote(-1).code == "invalid_quote"


def test_each_is_recorded_and_many_are_refused(asker: Asker, bench: Any) -> None:
    asker.explained()
    record = list(bench.desk.journal.records())[-1]
    assert (record.kind, record.client) == ("dry_run", "node")
    body = json.loads(record.body)
    assert (body["approved"], body["code"], body["netuid"]) == (True, "", 2)
    for _ in range(MAX_A_MINUTE - 1):
        assert isinstance(asker.ask(netuid=9), Explanation)
    answer = asker.ask(netuid=9)
    assert isinstance(answer, Refusal)
    assert answer.code == "rate_limited"
    bench.clock[0] += 60_000
    assert isinstance(asker.ask(netuid=9), Explanation)


def test_no_more_than_some_wait_at_once(asker: Asker, bench: Any) -> None:
    for _ in range(MAX_OPEN):
        assert asker.ask() is None
    answer = asker.ask()
    assert isinstance(answer, Refusal)
    assert answer.code == "too_many_waiting"
    assert len(bench.pull()) == MAX_OPEN


def test_the_operator_asks_in_a_clients_name(asker: Asker, bench: Any) -> None:
    answer = explain.explain(bench.desk, Explain("node", bench.wish()))
    assert isinstance(answer, Later)
    answer.tell = asker.told.append
    asker.inform()
    asker.quote()
    assert asker.told[0].client == "node"
    answer = explain.explain(bench.desk, Explain("nobody", bench.wish()))
    assert isinstance(answer, Refusal)
    assert answer.code == "unknown_client"
