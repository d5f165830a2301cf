"""Calls beside weights: what they become, and what shows their effect. The runtime's codec is the judge."""

from typing import Any

import bittensor_core
import pytest

from wallet_guard.ipc.answers import Refusal
from wallet_guard.ipc.chain import Event, Task
from wallet_guard.ipc.intents import IntentView, State
from wallet_guard.ipc.records import to_json
from wallet_guard.ipc.wishes import ResetAxon, ServeAxon, ServeAxonTls, ServePrometheus, SetCommitment
from wallet_guard.signer.calls import WishError, call_of, check_wish, read_wish, stands, stands_of
from wallet_guard.signer.compose import Runtime
from wallet_guard.signer.scale import decode_call, encode_call

WHO = {"wallet": "validator", "hotkey": "default", "netuid": 2}
AXON = ServeAxon(**WHO, ip="203.0.113.7", port=8091, protocol=4, version=1)
WISHES: dict[str, Any] = {
    "axon": AXON,
    "axon6": ServeAxon(**WHO, ip="2001:db8::7", port=1, protocol=255, version=2**32 - 1),
    "tls": ServeAxonTls(**WHO, ip="203.0.113.7", port=8091, protocol=4, version=1, certificate=b"\x01" + b"k" * 32),
    "tls64": ServeAxonTls(**WHO, ip="203.0.113.7", port=8091, protocol=4, version=1, certificate=b"\x01" + b"k" * 64),
    "prometheus": ServePrometheus(**WHO, ip="203.0.113.7", port=9090, version=1),
    "reset": ResetAxon(**WHO),
    "raw": SetCommitment(**WHO, data=b"https://example.org/model"),
    "raw1": SetCommitment(**WHO, data=b"\0"),
    "raw128": SetCommitment(**WHO, data=b"x" * 128),
    "big129": SetCommitment(**WHO, data=b"0x41" + b"x" * 125),
    "big512": SetCommitment(**WHO, data=bytes(range(256)) * 2),
}


@pytest.fixture(scope="module")
def codec(metadata: bytes) -> bittensor_core.Runtime:
    return bittensor_core.Runtime(metadata, 461, 1)


@pytest.mark.parametrize("name", WISHES)
def test_the_runtime_composes_the_same_bytes_as_we_do(runtime: Runtime, name: str) -> None:
    call, arguments = call_of(WISHES[name])
    check_wish(WISHES[name], queue=False)
    assert runtime.compose(call, arguments).data == encode_call(call, arguments)


@pytest.mark.parametrize("name", WISHES)
def test_a_call_reads_back(name: str) -> None:
    call, arguments = call_of(WISHES[name])
    assert decode_call(encode_call(call, arguments)) == (call, arguments)


@pytest.mark.parametrize("name", WISHES)
def test_a_wish_reads_back_from_what_is_stored(name: str) -> None:
    assert read_wish(to_json(WISHES[name])) == WISHES[name]


@pytest.mark.parametrize("name", WISHES)
def test_every_cut_and_every_byte_more_is_no_call(name: str) -> None:
    data = encode_call(*call_of(WISHES[name]))
    for at in range(len(data)):
        with pytest.raises(ValueError, match="expected"):
            decode_call(data[:at])
    with pytest.raises(ValueError, match="expected the end"):
        decode_call(data + b"\0")


def stored(codec: bittensor_core.Runtime, wish: Any) -> tuple[bytes, ...]:
    """What the chain stores for it, written by the runtime's own codec."""
    _, arguments = call_of(wish)
    kept = {name: value for name, value in arguments.items() if name not in ("netuid", "certificate", "info")}
    values = []
    for stand in stands_of(wish):
        value: Any = {"block": 77, **kept}
        if stand.item == "NeuronCertificates":
            value = {"public_key": list(wish.certificate[1:]), "algorithm": wish.certificate[0]}
        elif stand.item == "CommitmentOf":
            value = {"deposit": 5, "block": 77, "info": arguments["info"]}
        entry = codec.storage_entry(stand.pallet, stand.item)
        values.append(bytes(codec.encode(entry.value_type, value)))
    return tuple(values)


@pytest.mark.parametrize("name", WISHES)
def test_what_the_chain_stores_shows_the_effect(codec: bittensor_core.Runtime, name: str) -> None:
    values = stored(codec, WISHES[name])
    assert stands(WISHES[name], values)
    for at in range(len(values)):
        changed = bytearray(values[at])
        changed[-1] ^= 1
        for other in (bytes(changed), None, b"", values[at] + b"\0", values[at][:-1]):
            assert not stands(WISHES[name], (*values[:at], other, *values[at + 1 :]))
    assert not stands(WISHES[name], ())
    assert not stands(WISHES[name], (*values, b""))


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"ip": "example.org"}, "ip"),
        ({"ip": ""}, "ip"),
        ({"ip": "0.0.0.0"}, "ip"),
        ({"ip": "255.255.255.255"}, "ip"),
        ({"ip": "224.0.0.1"}, "ip"),
        ({"ip": "::"}, "ip"),
        ({"ip": "fe80::1%eth0"}, "ip"),
        ({"ip": "010.0.0.1"}, "ip"),
        ({"ip": "1" * 10_000}, "ip"),
        ({"port": 0}, "port"),
        ({"port": 65536}, "port"),
        ({"version": -1}, "version"),
        ({"version": 2**32}, "version"),
        ({"protocol": 256}, "protocol"),
    ],
)
def test_refuses_an_axon_that_no_subnet_takes(changes: dict[str, Any], field: str) -> None:
    fields = {name: value for name, value in to_json(AXON).items() if name != "kind"}
    wish = ServeAxon(**{**fields, **changes})
    with pytest.raises(WishError, match=field):
        check_wish(wish, queue=False)


@pytest.mark.parametrize("certificate", [b"", b"\x01", b"\x01" + b"k" * 65])
def test_refuses_a_certificate_that_the_pallet_would_drop(certificate: bytes) -> None:
    wish = ServeAxonTls(**WHO, ip="203.0.113.7", port=1, protocol=4, version=1, certificate=certificate)
    with pytest.raises(WishError, match="certificate"):
        check_wish(wish, queue=False)


@pytest.mark.parametrize("data", [b"", bytes(513)])
def test_refuses_a_commitment_of_another_length(data: bytes) -> None:
    with pytest.raises(WishError, match="data"):
        check_wish(SetCommitment(**WHO, data=data), queue=False)


def test_only_weights_can_be_queued() -> None:
    with pytest.raises(WishError, match="queue"):
        check_wish(AXON, queue=True)


# The way of a wish --------------------------------------------------------------------------------------------------


@pytest.fixture
def serving(bench: Any) -> Any:
    bench.token = bench.add_client("miner", calls=("serve_axon", "set_commitment"))
    return bench


def accepted(bench: Any, wish: Any, **changes: Any) -> str:
    view = bench.accept_wish(wish, **changes)
    assert isinstance(view, IntentView), view
    assert view.kind == wish.kind
    return view.intent


def test_a_wish_goes_the_whole_way(serving: Any, codec: bittensor_core.Runtime) -> None:
    intent = accepted(serving, AXON)
    task = serving.sealed(intent)
    assert task.extrinsic is not None
    assert encode_call(*call_of(AXON)) in task.extrinsic
    serving.report(intent, Event.FINALIZED, extrinsic_hash=task.extrinsic_hash, block_hash="0x01", block_number=5001)
    (task,) = serving.pull()
    assert task.storage_keys == (
        bytes(codec.storage_key("SubtensorModule", "Axons", [2, serving.intent(intent).ss58_address])),
    )
    serving.report(intent, Event.VALUES, values=stored(codec, AXON))
    assert serving.intent(intent).state is State.EFFECTIVE


def test_what_does_not_stand_is_an_alarm(serving: Any, codec: bittensor_core.Runtime) -> None:
    intent = accepted(serving, AXON)
    task = serving.sealed(intent)
    serving.report(intent, Event.FINALIZED, extrinsic_hash=task.extrinsic_hash, block_hash="0x01", block_number=5001)
    serving.report(intent, Event.VALUES, values=(None,))
    failure = serving.intent(intent).failure
    assert failure is not None
    assert failure.code == "not_effective"


def test_a_call_overtaken_by_our_own_in_the_same_block_had_its_effect(
    serving: Any, codec: bittensor_core.Runtime
) -> None:
    other = ServeAxon(**WHO, ip="203.0.113.8", port=8092, protocol=4, version=1)
    first, second = accepted(serving, AXON), accepted(serving, other)
    for intent in (first, second):
        serving.sealed(intent)
    for intent in (first, second):
        serving.report(intent, Event.FINALIZED, block_hash="0x01", block_number=5001)
    for intent in (first, second):
        serving.report(intent, Event.VALUES, values=stored(codec, other))
        assert serving.intent(intent).state is State.EFFECTIVE
    assert "effective_until_overtaken" in serving.kinds()


def test_a_call_that_gave_way_to_an_earlier_one_is_an_alarm(serving: Any, codec: bittensor_core.Runtime) -> None:
    other = ServeAxon(**WHO, ip="203.0.113.8", port=8092, protocol=4, version=1)
    first, second = accepted(serving, AXON), accepted(serving, other)
    for intent in (first, second):
        serving.sealed(intent)
    for intent in (first, second):
        serving.report(intent, Event.FINALIZED, block_hash="0x01", block_number=5001)
    serving.report(second, Event.VALUES, values=stored(codec, AXON))
    assert serving.intent(second).failure.code == "not_effective"


def test_a_liar_cannot_make_a_call_effective_by_talking_of_weights(serving: Any) -> None:
    intent = accepted(serving, AXON)
    task = serving.sealed(intent)
    serving.report(intent, Event.FINALIZED, extrinsic_hash=task.extrinsic_hash, block_hash="0x01", block_number=5001)
    serving.report(intent, Event.WEIGHTS, weights=())
    assert serving.intent(intent).state is State.FINALIZED


def test_nor_weights_by_talking_of_values(bench: Any) -> None:
    intent = bench.accepted()
    task = bench.sealed(intent)
    bench.report(intent, Event.FINALIZED, extrinsic_hash=task.extrinsic_hash, block_hash="0x01", block_number=5001)
    bench.report(intent, Event.VALUES, values=())
    assert bench.intent(intent).state is State.FINALIZED


def test_nothing_is_read_back_before_a_runtime_says_where(serving: Any, runtime: Runtime) -> None:
    intent = accepted(serving, AXON)
    task = serving.sealed(intent)
    serving.report(intent, Event.FINALIZED, extrinsic_hash=task.extrinsic_hash, block_hash="0x01", block_number=5001)
    serving.desk.chain.runtimes.clear()
    assert serving.pull() == ()
    serving.desk.chain.runtimes[461, 1] = runtime
    assert len(serving.pull()) == 1


def test_a_call_that_was_not_granted_is_refused(bench: Any) -> None:
    refusal = bench.accept_wish(AXON)
    assert isinstance(refusal, Refusal)
    assert refusal.code == "call_not_allowed"
    assert bench.kinds()[-1] == "denied"


def test_a_hotkey_that_is_not_registered_serves_nowhere(serving: Any) -> None:
    refusal = serving.seal(accepted(serving, AXON), uid=None)
    assert refusal.code == "not_registered"


def test_another_call_does_not_wipe_out_that_commit_reveal_was_on(serving: Any) -> None:
    genesis = serving.desk.genesis
    with serving.desk.journal.transaction() as writer:
        writer.set_commit_reveal(genesis, 2, True)
    serving.sealed(accepted(serving, AXON))
    assert serving.desk.journal.commit_reveal(genesis, 2) is True


def test_serving_does_not_count_as_setting_weights(serving: Any) -> None:
    serving.sealed(accepted(serving, AXON))
    assert serving.desk.journal.last_signed(serving.intent(accepted(serving, AXON)).ss58_address, 2, 0) is None


def test_two_calls_take_two_nonces(serving: Any) -> None:
    first = serving.sealed(accepted(serving, AXON))
    second = serving.sealed(accepted(serving, SetCommitment(**WHO, data=b"x")))
    assert isinstance(first, Task)
    assert (first.nonce, second.nonce) == (7, 8)


def test_the_same_key_for_another_call_is_a_conflict(serving: Any) -> None:
    accepted(serving, AXON, key="k")
    refusal = serving.accept_wish(SetCommitment(**WHO, data=b"x"), key="k")
    assert refusal.code == "idempotency_conflict"
