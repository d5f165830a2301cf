import pytest

from wallet_guard.devnet import views
from wallet_guard.devnet.refusals import RpcError

ALICE = "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY"
ARGUMENTS = {"AccountId32": bytes(32), "NetUid": b"\2\0", "u16": b"\1\0", "MechId": b"\0"}


def call(state, method: str, arguments: bytes):
    return state.runtime.core.decode(state.runtime.api_types[method][1], views.call(state, method, arguments))


def arguments(state, method: str) -> bytes:
    kinds, _ = state.runtime.api_types[method]
    return b"".join(ARGUMENTS[state.runtime.core.type_name_of(int(kind.partition("::")[2]))] for kind in kinds)


@pytest.mark.parametrize("method", views.VIEWS)
def test_encodes_every_answer_as_the_metadata_says(state, method):
    assert call(state, method, arguments(state, method)) is not None


@pytest.mark.parametrize("method", [name for name in views.VIEWS if "RuntimeApi" in name])
def test_knows_of_no_other_subnets(state, method):
    given = b"\x63\0" + arguments(state, method)[2:]
    if "next_epoch" in method:
        assert call(state, method, given) == 10  # the default tempo, as on the real chain
    else:
        assert not call(state, method, given)


def test_the_metagraph_shows_what_was_done(state):
    state.put("SubtensorModule", "LastUpdate", 2, value=[9] + [0] * 15)
    graph = call(state, "SubnetInfoRuntimeApi_get_metagraph", b"\2\0")
    assert graph["hotkeys"][0] == graph["owner_hotkey"] == ALICE
    assert graph["last_update"][0] == 9
    assert graph["alpha_stake"][:3] == [10_000 * 10**9, 10_000 * 10**9, 0]
    assert graph["validator_permit"][:3] == [True, True, False]
    assert bytes(graph["name"]) == b"demo"


def test_a_mechanism_has_a_metagraph_of_its_own(state):
    state.put("SubtensorModule", "LastUpdate", 4100, value=[9] + [0] * 15)
    graph = call(state, "SubnetInfoRuntimeApi_get_mechagraph", b"\4\0\1")
    assert (graph["netuid"], graph["last_update"][0]) == (4100, 9)


def test_refuses_arguments_that_are_too_short(state):
    with pytest.raises(RpcError, match="Execution failed"):
        views.call(state, "SubnetInfoRuntimeApi_get_metagraph", b"\2")


def test_calls_of_a_hotkey_are_free(state):
    kind = state.runtime.api_types["TransactionPaymentApi_query_info"][1]
    assert state.runtime.core.decode(kind, views.payment_info(state))["partial_fee"] == 0
