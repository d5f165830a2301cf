import pytest

from wallet_guard.devnet import genesis
from wallet_guard.devnet.chain import Chain
from wallet_guard.devnet.genesis import Genesis, Validator
from wallet_guard.devnet.runtime import Runtime, State

S = "SubtensorModule"
ALICE = "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY"
STRANGER = "5C62Ck4UrFPiBtoCmeSrgF7x9yv9mn38446dhCpsi2mLHiFT"


def state_of(runtime: Runtime, start: Genesis) -> State:
    return State(runtime, genesis.build(runtime, start).get)


def genesis_hash(runtime: Runtime, start: Genesis) -> str:
    return Chain(runtime, genesis.build(runtime, start), slot_milliseconds=1000, finality_lag=2).genesis.hash


def test_every_subnet_has_sixteen_uids_that_know_their_hotkeys(runtime):
    state = state_of(runtime, Genesis())
    for subnet in genesis.SUBNETS:
        assert state.get(S, "SubnetworkN", subnet.netuid) == 16
        for uid in range(16):
            hotkey = state.get(S, "Keys", subnet.netuid, uid)
            assert state.get(S, "Uids", subnet.netuid, hotkey) == uid
            assert state.get(S, "IsNetworkMember", hotkey, subnet.netuid)


def test_validators_follow_the_dev_accounts(runtime):
    state = state_of(runtime, Genesis((Validator(STRANGER, 77),)))
    assert state.get(S, "Uids", 2, STRANGER) == 6
    assert state.get(S, "TotalHotkeyAlpha", STRANGER, 2) == 77 * 10**9
    assert [uid for uid, permit in enumerate(state.get(S, "ValidatorPermit", 2)) if permit] == [0, 1, 6]


def test_a_validator_that_is_a_dev_account_is_registered_once(runtime):
    state = state_of(runtime, Genesis((Validator(ALICE), Validator(STRANGER), Validator(STRANGER))))
    assert (state.get(S, "Uids", 2, ALICE), state.get(S, "Uids", 2, STRANGER)) == (0, 6)
    assert state.get(S, "SubnetworkN", 2) == 16


def test_refuses_a_validator_that_is_no_address(runtime):
    with pytest.raises(ValueError, match=r"(?i)ss58|address|base58"):
        genesis.build(runtime, Genesis((Validator("5Nobody"),)))


def test_the_genesis_hash_follows_from_the_options(runtime):
    one = genesis_hash(runtime, Genesis())
    assert genesis_hash(runtime, Genesis()) == one
    others = [
        Genesis(chain_id="other"),
        Genesis(tempo=10),
        Genesis(rate_limits=((2, 9),)),
        Genesis((Validator(STRANGER),)),
    ]
    assert len({one, *(genesis_hash(runtime, other) for other in others)}) == 5


def test_rate_limits_may_be_given(runtime):
    state = state_of(runtime, Genesis(rate_limits=((2, 9), (5, 0))))
    assert [state.get(S, "WeightsSetRateLimit", netuid) for netuid in (1, 2, 5)] == [0, 9, 0]
