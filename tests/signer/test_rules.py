"""Every rule by a table: what passes, what is refused, the boundary; and two properties of all of them together."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wallet_guard.host.policy import GRANTS_ALONE, ClientPolicy, Limits, Policy
from wallet_guard.ipc.clients import ClientView
from wallet_guard.ipc.explanations import Ruling
from wallet_guard.signer import rules
from wallet_guard.signer.rules import (
    AT_SEAL,
    LIMITS,
    PERMISSIONS,
    RULES,
    Asked,
    Case,
    Count,
    Rule,
    Signed,
    Vector,
    distance,
    judge,
    refusal_of,
    vector_asked,
    vector_signed,
)

PASS, REFUSE, LATER = Ruling.PASS, Ruling.REFUSE, Ruling.LATER

CLIENT = ClientView("node", "validator", "default", ("set_weights", "request", "session"), (2, 5), 60, 0, None)
OPEN = ClientPolicy(keys=None, calls=None, netuids=None, mechanisms=None)
WEIGHTS = Asked("validator", "default", "set_weights", 2, mechid=0)
REQUEST = Asked("validator", "default", "request")
NOON = 1_800_100_800_000
LAST = Signed(NOON - 600_000, 1000, ((1, 65535), (2, 65535)))


def case(policy: ClientPolicy | None = OPEN, **changes: Any) -> Case:
    base = Case(CLIENT, policy, WEIGHTS, NOON, 12_000.0, Count(60))
    return replace(base, **changes)


def limited(**limits: Any) -> ClientPolicy:
    return replace(OPEN, limits=Limits(**limits))


def test_noon_is_noon() -> None:
    assert rules.hours(case(limited(hours=()))).found == "12:00 UTC"


TABLE: list[tuple[Rule, Case, Ruling]] = [
    # What is granted
    (rules.granted_key, case(), PASS),
    (rules.granted_key, case(asked=replace(WEIGHTS, wallet="other")), REFUSE),
    (rules.granted_key, case(asked=replace(WEIGHTS, hotkey="other")), REFUSE),
    (rules.granted_call, case(), PASS),
    (rules.granted_call, case(asked=replace(WEIGHTS, call="serve_axon")), REFUSE),
    (rules.granted_call, case(client=replace(CLIENT, calls=())), REFUSE),
    (rules.granted_netuid, case(), PASS),
    (rules.granted_netuid, case(asked=replace(WEIGHTS, netuid=3)), REFUSE),
    (rules.granted_netuid, case(client=replace(CLIENT, netuids=None)), PASS),
    (rules.granted_netuid, case(client=replace(CLIENT, netuids=())), REFUSE),
    (rules.granted_netuid, case(asked=REQUEST), PASS),
    (rules.granted_netuid, case(asked=replace(REQUEST, any_netuid=True)), REFUSE),
    (rules.granted_netuid, case(client=replace(CLIENT, netuids=None), asked=replace(REQUEST, any_netuid=True)), PASS),
    (rules.granted_per_hour, case(count=Count(60, granted=59)), PASS),
    (rules.granted_per_hour, case(count=Count(60, granted=60)), REFUSE),
    (rules.granted_per_hour, case(count=Count(0)), REFUSE),
    # What the policy lists
    (rules.listed, case(), PASS),
    (rules.listed, case(None), REFUSE),
    (rules.keys, case(replace(OPEN, keys=("validator/default",))), PASS),
    (rules.keys, case(replace(OPEN, keys=("validator/other",))), REFUSE),
    (rules.keys, case(replace(OPEN, keys=())), REFUSE),
    (rules.keys, case(None), REFUSE),
    (rules.calls, case(replace(OPEN, calls=("set_weights",))), PASS),
    (rules.calls, case(replace(OPEN, calls=("request",))), REFUSE),
    (rules.calls, case(replace(OPEN, calls=())), REFUSE),
    (rules.calls, case(None), REFUSE),
    (rules.netuids, case(replace(OPEN, netuids=(2,))), PASS),
    (rules.netuids, case(replace(OPEN, netuids=(5,))), REFUSE),
    (rules.netuids, case(replace(OPEN, netuids=())), REFUSE),
    (rules.netuids, case(replace(OPEN, netuids=()), asked=REQUEST), PASS),
    (rules.netuids, case(replace(OPEN, netuids=(2,)), asked=replace(REQUEST, any_netuid=True)), REFUSE),
    (rules.netuids, case(None), REFUSE),
    (rules.mechanisms, case(replace(OPEN, mechanisms=(0,))), PASS),
    (rules.mechanisms, case(replace(OPEN, mechanisms=(1,))), REFUSE),
    (rules.mechanisms, case(replace(OPEN, mechanisms=())), REFUSE),
    (rules.mechanisms, case(replace(OPEN, mechanisms=()), asked=REQUEST), PASS),
    (rules.mechanisms, case(None), REFUSE),
    (rules.expires, case(), PASS),
    (rules.expires, case(replace(OPEN, expires_ms=NOON + 1)), PASS),
    (rules.expires, case(replace(OPEN, expires_ms=NOON)), REFUSE),
    (rules.expires, case(replace(OPEN, expires_ms=0)), REFUSE),
    (rules.dry_run_only, case(), PASS),
    (rules.dry_run_only, case(replace(OPEN, dry_run_only=True)), REFUSE),
    (rules.dry_run_only, case(replace(OPEN, dry_run_only=True), dry_run=True), PASS),
    # What the policy limits
    (rules.hours, case(), PASS),
    (rules.hours, case(limited(hours=((12, 13),))), PASS),
    (rules.hours, case(limited(hours=((6, 12),))), REFUSE),
    (rules.hours, case(limited(hours=((0, 6), (11, 13)))), PASS),
    (rules.hours, case(limited(hours=((22, 13),))), PASS),
    (rules.hours, case(limited(hours=((13, 12),))), REFUSE),
    (rules.hours, case(limited(hours=((0, 24),))), PASS),
    (rules.hours, case(limited(hours=())), REFUSE),
    (rules.per_hour, case(), PASS),
    (rules.per_hour, case(replace(OPEN, per_hour=(("request", 0),))), PASS),
    (rules.per_hour, case(replace(OPEN, per_hour=(("set_weights", 3),)), count=Count(60, call=2)), PASS),
    (rules.per_hour, case(replace(OPEN, per_hour=(("set_weights", 3),)), count=Count(60, call=3)), REFUSE),
    (rules.per_hour, case(replace(OPEN, per_hour=(("set_weights", 0),))), REFUSE),
    (rules.per_hour, case(None), REFUSE),
    (rules.min_seconds, case(limited(min_seconds=600), last=LAST), PASS),
    (rules.min_seconds, case(limited(min_seconds=601), last=LAST), REFUSE),
    (rules.min_seconds, case(limited(min_seconds=601)), PASS),
    (rules.min_seconds, case(limited(min_seconds=601), last=LAST, asked=REQUEST), PASS),
    (rules.min_seconds, case(limited(min_seconds=0), last=LAST), PASS),
    # 600 s are 50 blocks; the clock grants two.
    (rules.min_blocks, case(limited(min_blocks=52), last=LAST, block=1052), PASS),
    (rules.min_blocks, case(limited(min_blocks=52), last=LAST, block=1051), REFUSE),
    (rules.min_blocks, case(limited(min_blocks=52), last=LAST), LATER),
    (rules.min_blocks, case(limited(min_blocks=53), last=LAST), REFUSE),
    (rules.min_blocks, case(limited(min_blocks=53), last=LAST, block=2**32 - 1), REFUSE),
    (rules.min_blocks, case(limited(min_blocks=53)), PASS),
    (rules.min_blocks, case(limited(min_blocks=53), last=LAST, asked=REQUEST), PASS),
    (rules.min_blocks, case(limited(min_blocks=0), last=LAST), PASS),
    # A head that went back, or was a lie: held against us until twice the interval is over.
    (rules.min_blocks, case(limited(min_blocks=26), last=LAST, block=5), REFUSE),
    (rules.min_blocks, case(limited(min_blocks=25), last=LAST, block=5), PASS),
    (rules.uids, case(), PASS),
    (rules.uids, case(limited(uids=((1, 1), (5, 9))), vector=Vector({1: 0.5, 9: 0.5})), PASS),
    (rules.uids, case(limited(uids=((1, 1), (5, 9))), vector=Vector({1: 0.5, 10: 0.5})), REFUSE),
    (rules.uids, case(limited(uids=((1, 1),)), vector=Vector({1: 1.0, 10: 0.0})), PASS),
    (rules.uids, case(limited(uids=()), vector=Vector({0: 1.0})), REFUSE),
    (rules.uids, case(limited(uids=((0, 0),))), LATER),
    (rules.uids, case(limited(uids=()), asked=REQUEST), PASS),
    (rules.max_share, case(vector=Vector({1: 1.0})), PASS),
    (rules.max_share, case(limited(max_share=0.5), vector=vector_asked((1, 2), (3, 3))), PASS),
    (rules.max_share, case(limited(max_share=0.5), vector=vector_asked((1, 2), (3, 2.999))), REFUSE),
    (rules.max_share, case(limited(max_share=0.4), vector=vector_signed(((1, 65535), (2, 49151), (3, 49151)))), PASS),
    (rules.max_share, case(limited(max_share=0.4), vector=vector_signed(((1, 65535), (2, 49149), (3, 49149)))), REFUSE),
    (rules.max_share, case(limited(max_share=0), vector=Vector({1: 0.0, 2: 1.0})), REFUSE),
    (rules.max_share, case(limited(max_share=0), vector=vector_asked(range(4096), [1.0] * 4096)), REFUSE),
    (rules.max_share, case(limited(max_share=0.5)), LATER),
    (rules.max_share, case(limited(max_share=0), asked=REQUEST), PASS),
    (rules.max_change, case(last=LAST, vector=Vector({9: 1.0})), PASS),
    (rules.max_change, case(limited(max_change=0), last=LAST, vector=Vector({1: 0.5, 2: 0.5})), PASS),
    (rules.max_change, case(limited(max_change=0.5), last=LAST, vector=Vector({1: 0.75, 2: 0.25})), PASS),
    (rules.max_change, case(limited(max_change=0.5), last=LAST, vector=Vector({1: 0.751, 2: 0.249})), REFUSE),
    (rules.max_change, case(limited(max_change=1.9), last=LAST, vector=Vector({9: 1.0})), REFUSE),
    (rules.max_change, case(limited(max_change=2), last=LAST, vector=Vector({9: 1.0})), PASS),
    (rules.max_change, case(limited(max_change=0), vector=Vector({9: 1.0})), PASS),
    (rules.max_change, case(limited(max_change=0), last=LAST), LATER),
    (rules.max_change, case(limited(max_change=0), last=LAST, asked=REQUEST), PASS),
]


@pytest.mark.parametrize(("rule", "given_case", "ruling"), TABLE, ids=lambda value: getattr(value, "__name__", ""))
def test_rules_as_the_table_says(rule: Rule, given_case: Case, ruling: Ruling) -> None:
    verdict = rule(given_case)
    assert (verdict.rule, verdict.ruling) == (rule.__name__, ruling)
    assert verdict.passes
    assert ruling is not REFUSE or verdict.found


def test_every_rule_has_a_row_that_passes_and_one_that_refuses() -> None:
    rulings = {(rule.__name__, ruling) for rule, _, ruling in TABLE}
    assert {rule.__name__ for rule in RULES} == {name for name, ruling in rulings if ruling is PASS}
    assert {rule.__name__ for rule in RULES} == {name for name, ruling in rulings if ruling is REFUSE}


def test_the_seal_asks_again_what_can_have_changed() -> None:
    assert set(RULES) - set(AT_SEAL) == {rules.granted_per_hour, rules.per_hour}
    assert (*PERMISSIONS, *LIMITS) == RULES


def test_a_refusal_says_the_rule_and_what_would_pass() -> None:
    refused = refusal_of(judge(case(limited(min_seconds=700, max_share=0.1), last=LAST, vector=Vector({1: 1})), RULES))
    assert refused is not None
    assert (refused.rule, refused.code, refused.retry_after_seconds) == ("min_seconds", "rate_limited", 100)
    assert refused.message == "min_seconds: expected 700 s between weights of a slot, found 600 s"
    refused = refusal_of(judge(case(limited(max_share=0.1), vector=Vector({1: 1})), RULES))
    assert refused is not None
    assert (refused.rule, refused.code) == ("max_share", "policy_denied")
    assert refused.message == "max_share: expected at most 0.1 for one uid, found 1 for uid 1"


def test_what_is_not_known_yet_is_no_refusal() -> None:
    assert refusal_of(judge(case(limited(max_share=0.1)), RULES)) is None


def test_a_head_that_was_told_wrongly_says_a_wait_by_our_clock() -> None:
    refused = rules.min_blocks(case(limited(min_blocks=100), last=LAST._replace(block=2**32 - 1), block=1000))
    assert refused.retry_after_seconds is not None
    assert refused.retry_after_seconds <= 100 * 12 + 1


def test_distance_is_of_shares() -> None:
    assert distance(Vector({1: 1.0}), Vector({2: 1.0})) == 2.0
    assert distance(vector_asked((1, 2), (5, 15)), vector_signed(((1, 100), (2, 300)))) == 0.0


def test_what_a_node_chose_was_not_rounded() -> None:
    # Half of one in ten would be a tenth of the weight.
    assert rules.max_share(case(limited(max_share=0.8), vector=vector_signed(((1, 1), (2, 9))))).ruling is REFUSE
    assert rules.max_share(case(limited(max_share=0.9), vector=vector_signed(((1, 1), (2, 9))))).ruling is PASS
    last = LAST._replace(weights=((1, 1), (2, 1)))
    far = case(limited(max_change=0.5), last=last, vector=vector_signed(((2, 1),)))
    assert rules.max_change(far).ruling is REFUSE


def test_names_without_weight_do_not_widen_what_rounding_may_do() -> None:
    padded = ((1, 65535), *((uid, 0) for uid in range(2, 4000)), (1, 0))
    assert vector_signed(padded) == vector_signed(((1, 65535),))
    assert vector_signed((uid, 65535 if uid == 0 else 1) for uid in range(4000)).slack < 0.002


# Properties ----------------------------------------------------------------------------------------------------------

names = st.sampled_from(["a/b", "validator/default"])
call_names = st.sampled_from(["set_weights", "request", "session"])
netuids = st.integers(0, 6)
maybe_seconds = st.integers(0, 2000)


def lists(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | st.lists(values, max_size=3).map(tuple)


ranges = st.tuples(st.integers(0, 4), st.integers(0, 4)).map(sorted).map(tuple)
windows = st.tuples(st.integers(0, 24), st.integers(0, 24)).filter(lambda pair: pair[0] != pair[1])

limits = st.builds(
    Limits,
    min_blocks=st.integers(0, 100),
    min_seconds=maybe_seconds,
    uids=lists(ranges),
    max_share=st.none() | st.floats(0, 1),
    max_change=st.none() | st.floats(0, 2),
    hours=lists(windows),
)
policies = st.builds(
    ClientPolicy,
    keys=lists(names),
    calls=lists(call_names),
    netuids=lists(netuids),
    mechanisms=lists(st.integers(0, 1)),
    per_hour=st.dictionaries(call_names, st.integers(0, 5), max_size=2).map(lambda found: tuple(found.items())),
    expires_ms=st.none() | st.integers(NOON - 2, NOON + 2),
    dry_run_only=st.booleans(),
    limits=limits,
)
asks = st.builds(
    Asked, st.sampled_from(["a", "validator"]), st.sampled_from(["b", "default"]), call_names, st.none() | netuids
)
vectors = st.dictionaries(st.integers(0, 5), st.floats(0.01, 10), min_size=1).map(
    lambda found: vector_asked(found.keys(), found.values())
)
cases = st.builds(
    lambda asked, mechid, **rest: Case(
        asked=replace(asked, mechid=mechid) if asked.call == "set_weights" else asked, policy=None, **rest
    ),
    client=st.just(replace(CLIENT, netuids=None)),
    asked=asks,
    mechid=st.integers(0, 1),
    now_ms=st.integers(NOON - 86_400_000, NOON + 86_400_000),
    block_ms=st.just(12_000.0),
    count=st.builds(Count, st.just(5), st.integers(0, 6), st.integers(0, 6)),
    dry_run=st.booleans(),
    last=st.none() | st.just(LAST),
    block=st.none() | st.integers(990, 1200),
    vector=st.none() | vectors,
)


def approved(given_case: Case, policy: ClientPolicy | None) -> bool:
    return refusal_of(judge(replace(given_case, policy=policy), RULES)) is None


@given(cases)
def test_nothing_passes_the_zero_policy(given_case: Case) -> None:
    assert not approved(given_case, Policy().of(given_case.client.name))
    assert not approved(given_case, ClientPolicy())


def tightened(policy: ClientPolicy, draw: Any) -> ClientPolicy:
    """The policy with one rule tighter, or as it was where that rule cannot be any tighter."""
    which = draw(
        st.sampled_from(
            ["keys", "calls", "netuids", "mechanisms", "per_hour", "expires_ms", "dry_run_only", *Limits.__slots__]
        )
    )
    if which in ("keys", "calls", "netuids", "mechanisms"):
        changes: dict[str, Any] = {which: fewer(getattr(policy, which), draw)}
        return replace(policy, **changes)
    if which == "per_hour":
        named = dict(policy.per_hour)
        call = draw(call_names)
        return replace(policy, per_hour=(*(named | {call: draw(st.integers(0, named.get(call, 5)))}).items(),))
    if which == "expires_ms":
        most = NOON + 2 if policy.expires_ms is None else policy.expires_ms
        return replace(policy, expires_ms=draw(st.integers(0, most)))
    if which == "dry_run_only":
        return replace(policy, dry_run_only=True)
    found = getattr(policy.limits, which)
    if which in ("min_blocks", "min_seconds"):
        tighter: Any = found + draw(st.integers(0, 500))
    elif which in ("uids", "hours"):
        tighter = fewer(found, draw)
    else:
        tighter = draw(st.floats(0, 2 if found is None else found))
    return replace(policy, limits=replace(policy.limits, **{which: tighter}))


def fewer(found: tuple[Any, ...] | None, draw: Any) -> tuple[Any, ...]:
    if not found:
        return ()
    return tuple(draw(st.lists(st.sampled_from(found), max_size=len(found), unique=True)))


@given(cases, policies, st.data())
def test_a_tighter_rule_never_allows_more(given_case: Case, policy: ClientPolicy, data: Any) -> None:
    if approved(given_case, tightened(policy, data.draw)):
        assert approved(given_case, policy)


@given(cases)
def test_without_a_file_only_the_grant_decides(given_case: Case) -> None:
    granted = [rule for rule in RULES if rule.__name__.startswith("granted")]
    alone = refusal_of(judge(given_case, granted)) is None
    assert approved(given_case, GRANTS_ALONE.of("node")) is alone
