import pytest

from wallet_guard.devnet.faults import MAX_FAULTS, FaultError, Faults, parse


def test_a_fault_meets_the_requests_that_its_patterns_name():
    faults = Faults()
    faults.add("slow", {"methods": ["author_*", "state_call"]})
    assert list(faults.strike("author_submitExtrinsic")) == ["slow"]
    assert list(faults.strike("state_call")) == ["slow"]
    assert faults.strike("chain_getHead") == {}


def test_a_fault_meets_all_requests_but_those_that_could_heal_it():
    faults = Faults()
    faults.add("mute", {})
    assert list(faults.strike("chain_getHead")) == ["mute"]
    assert faults.strike("devnet_heal") == {}


def test_a_fault_passes_some_meets_some_and_ends():
    faults = Faults()
    faults.add("close", {"skip": 1, "times": 2})
    assert [list(faults.strike("a")) for _ in range(4)] == [[], ["close"], ["close"], []]
    assert faults.standing() == []


def test_lies_are_no_faults_of_the_wire():
    faults = Faults()
    faults.add("lie_nonce", {"value": 1})
    assert faults.strike("account_nextIndex") == {}
    assert faults.find("lie_nonce") is not None


def test_heals_one_or_all():
    faults = Faults()
    first, second = faults.add("mute", {}), faults.add("slow", {})
    assert faults.heal(first.number) == 1
    assert faults.heal(first.number) == 0
    assert faults.standing() == [second]
    assert faults.heal(None) == 1


def test_the_newest_of_a_kind_counts():
    faults = Faults()
    faults.add("lie_nonce", {"value": 1})
    newest = faults.add("lie_nonce", {"value": 2})
    assert faults.find("lie_nonce") is newest


def test_faults_have_a_ceiling():
    faults = Faults()
    for _ in range(MAX_FAULTS):
        faults.add("mute", {})
    with pytest.raises(FaultError, match="at most"):
        faults.add("mute", {})


def test_names_the_field_that_is_unknown():
    with pytest.raises(FaultError, match="'seconds'"):
        parse({"kind": "slow", "seconds": 1})
