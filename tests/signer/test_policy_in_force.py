"""The policy over every route: what it narrows is refused at the door, and again before the signature."""

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from wallet_guard.host.policy import Policy, parse_policy
from wallet_guard.ipc.answers import Refusal
from wallet_guard.ipc.chain import Event, Pulse
from wallet_guard.ipc.clients import CALLS
from wallet_guard.ipc.intents import IntentView, State
from wallet_guard.ipc.signatures import SignText
from wallet_guard.signer.follow import pulse
from wallet_guard.signer.grants import find_client
from wallet_guard.signer.journal import Journal
from wallet_guard.signer.texts import sign_text

OPEN = {"keys": '"any"', "calls": '"any"', "netuids": '"any"', "mechanisms": '"any"'}


def policy(**keys: str) -> Policy:
    lines = "\n".join(f"{name} = {value}" for name, value in {**OPEN, **keys}.items())
    return parse_policy(f"[client.node]\n{lines}\n# end\n".encode(), "p.toml", CALLS)


def enforce(bench: Any, **keys: str) -> None:
    bench.desk.policies.current = policy(**keys)


def rule_of(answer: Any) -> str:
    assert isinstance(answer, Refusal), answer
    return answer.rule


def audited(bench: Any) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(list(bench.desk.journal.records())[-1].body)
    return body


@pytest.mark.parametrize(
    ("keys", "rule"),
    [
        ({"keys": "[]"}, "keys"),
        ({"keys": '["validator/other"]'}, "keys"),
        ({"calls": '["serve_axon"]'}, "calls"),
        ({"netuids": "[1]"}, "netuids"),
        ({"mechanisms": "[1]"}, "mechanisms"),
        ({"dry_run_only": "true"}, "dry_run_only"),
        ({"per_hour": "{ set_weights = 0 }"}, "per_hour"),
        ({"hours": "[]"}, "hours"),
        ({"uids": "[1, 2]"}, "uids"),
        ({"max_share": "0.49"}, "max_share"),
        ({"subnet.2": "{ max_share = 0.49 }"}, "max_share"),
    ],
)
def test_what_the_policy_narrows_is_refused_at_the_door(bench: Any, keys: dict[str, str], rule: str) -> None:
    enforce(bench, **keys)
    assert rule_of(bench.accept()) == rule
    assert audited(bench)["rule"] == rule
    assert bench.pull() == ()


def test_a_client_that_the_policy_does_not_list_may_nothing(bench: Any) -> None:
    bench.desk.policies.current = Policy()
    assert rule_of(bench.accept()) == "listed"


def test_what_the_policy_lets_through_is_signed(bench: Any) -> None:
    enforce(bench, netuids="[2]", uids="[[1, 3]]", max_share="0.5", max_change="0.1", hours="[[0, 24]]")
    bench.sealed(bench.accepted())


def test_the_policy_never_widens_a_grant(bench: Any) -> None:
    enforce(bench, netuids="[9]")
    refused = bench.accept(netuid=9)
    assert (rule_of(refused), refused.code) == ("granted_netuid", "netuid_not_allowed")


def test_an_expired_token_is_a_strangers_and_the_audit_knows_whose(bench: Any) -> None:
    enforce(bench, expires="2020-01-01T00:00:00Z")
    refused = find_client(bench.desk, bench.token)
    stranger = find_client(bench.desk, "wg_nobody")
    assert refused == stranger
    assert audited(bench)["code"] == "token_expired"


def test_the_interval_between_weights_is_asked_at_the_door_and_at_the_seal(bench: Any) -> None:
    enforce(bench, min_seconds="600")
    first, second = bench.accepted(), bench.accepted()
    bench.sealed(first)
    refused = bench.seal(second, nonce=8)
    assert refused.code == "rate_limited"
    assert bench.intent(second).state is State.FAILED
    again = bench.accept()
    assert (rule_of(again), again.retry_after_seconds) == ("min_seconds", 600)
    bench.pass_time(600)
    bench.sealed(bench.accepted(), nonce=8)


def test_another_slot_has_its_own_interval(bench: Any) -> None:
    enforce(bench, min_seconds="600")
    bench.sealed(bench.accepted())
    bench.sealed(bench.accepted(netuid=3), nonce=8)


def test_min_blocks_are_the_chains_and_our_clocks(bench: Any, facts: Any) -> None:
    enforce(bench, min_blocks="100")
    bench.sealed(bench.accepted())
    assert rule_of(bench.accept()) == "min_blocks"
    # A chain that runs ahead does not shorten it, one that stands does.
    bench.pass_time(98 * 12)
    early = bench.accepted()
    assert bench.seal(early, nonce=8, block_number=facts.block_number + 99).code == "rate_limited"
    bench.sealed(bench.accepted(), nonce=8, block_number=facts.block_number + 100)


def test_a_request_that_waits_waits_out_the_policys_interval(bench: Any) -> None:
    enforce(bench, min_seconds="600")
    bench.sealed(bench.accepted())
    waiting = bench.accepted(queue=True)
    assert bench.seal(waiting, nonce=8).code == "rate_limited"
    assert bench.intent(waiting).state is State.ACCEPTED
    bench.pass_time(601)
    bench.sealed(waiting, nonce=8)


def test_weights_by_hotkey_are_judged_once_their_uids_are_known(bench: Any, alice: Any) -> None:
    enforce(bench, uids="[5]")
    wish = {"uids": None, "hotkeys": (alice.ss58_address,), "weights": (1.0,)}
    refused = bench.seal(bench.accepted(**wish), uids=((alice.ss58_address, 6),))
    assert refused.code == "policy_denied"
    assert refused.message.startswith("uids: expected 5, found uid 6")
    bench.sealed(bench.accepted(**wish), uids=((alice.ss58_address, 5),))


def test_the_change_is_measured_from_what_was_last_signed(bench: Any) -> None:
    enforce(bench, max_change="0.4")
    bench.sealed(bench.accepted())
    assert rule_of(bench.accept(uids=(7,), weights=(1.0,))) == "max_change"
    bench.sealed(bench.accepted(weights=(100.0, 200.0, 400.0)), nonce=8)


def test_a_policy_that_changed_meanwhile_decides_before_the_signature(bench: Any) -> None:
    intent = bench.accepted()
    enforce(bench, max_share="0.1")
    refused = bench.seal(intent)
    assert refused.code == "policy_denied"
    assert bench.intent(intent).state is State.FAILED
    assert bench.intent(intent).extrinsic is None


def test_a_signature_made_anew_is_not_too_early_for_itself(bench: Any) -> None:
    enforce(bench, min_blocks="1000", min_seconds="1000000")
    intent = bench.accepted()
    task = bench.sealed(intent)
    bench.report(intent, Event.OUTDATED, extrinsic_hash=task.extrinsic_hash)
    bench.pass_time(16 * 12 + 61)
    assert bench.intent(intent).state is State.ACCEPTED
    bench.sealed(intent)
    assert bench.intent(intent).attempt == 2


def test_a_signature_made_anew_keeps_the_interval_from_what_was_signed_since(bench: Any) -> None:
    enforce(bench, min_seconds="60")
    first = bench.accepted()
    task = bench.sealed(first)
    bench.report(first, Event.OUTDATED, extrinsic_hash=task.extrinsic_hash)
    bench.pass_time(230)
    bench.sealed(bench.accepted(weights=(1.0, 1.0, 1.0)), nonce=8)
    bench.pass_time(23)
    assert bench.intent(first).state is State.ACCEPTED
    assert bench.seal(first).code == "rate_limited"
    assert bench.intent(first).attempt == 1


def test_the_same_key_gives_the_same_intent_whatever_the_limits_say_by_then(bench: Any) -> None:
    enforce(bench, min_seconds="600", per_hour="{ set_weights = 1 }")
    first = bench.accept(key="k")
    bench.sealed(first.intent)
    again = bench.accept(key="k")
    assert isinstance(again, IntentView)
    assert again.intent == first.intent


def test_neither_a_restart_nor_a_reload_resets_a_counter(bench: Any, tmp_path: Path) -> None:
    enforce(bench, min_seconds="600", per_hour="{ set_weights = 2 }", max_change="0.1")
    bench.sealed(bench.accepted())
    # As a crash leaves it: the file and its log.
    shutil.copytree(bench.folder, tmp_path / "again")
    bench.desk.journal = Journal(tmp_path / "again")
    assert rule_of(bench.accept()) == "min_seconds"
    enforce(bench, per_hour="{ set_weights = 1 }")
    assert rule_of(bench.accept()) == "per_hour"
    enforce(bench, max_change="0.1")
    assert rule_of(bench.accept(uids=(7,), weights=(1.0,))) == "max_change"
    bench.desk.journal.close()


def test_other_signatures_are_narrowed_too(bench: Any) -> None:
    bench.token = bench.add_client("talker", calls=("text",))
    bench.desk.policies.current = dataclasses.replace(policy(calls='["set_weights"]'), default=None)
    question = SignText(bench.token, "validator", "default", "hello")
    assert rule_of(sign_text(bench.desk, question)) == "listed"
    lines = 'keys = "any"\ncalls = ["text"]\nper_hour = { text = 1 }\n'
    bench.desk.policies.current = parse_policy(f"[client.talker]\n{lines}# end\n".encode(), "p.toml", CALLS)
    assert not isinstance(sign_text(bench.desk, question), Refusal)
    assert rule_of(sign_text(bench.desk, question)) == "per_hour"


def test_the_heads_of_the_chain_process_do_not_move_our_clock(bench: Any) -> None:
    enforce(bench, min_blocks="100")
    bench.sealed(bench.accepted())
    pulse(bench.desk, Pulse("ws://x", 2**32 - 1, 2**32 - 1, ""))
    assert rule_of(bench.accept()) == "min_blocks"
