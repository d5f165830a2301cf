"""Runtime upgrades: followed, followed while nothing that we sign changes, or not at all."""

import dataclasses
from typing import Any

import pytest

from wallet_guard.devnet.metadata import with_calls_swapped, with_spec_version
from wallet_guard.ipc.admin import AllowRuntime, StatusAsk
from wallet_guard.ipc.answers import Done, Refusal
from wallet_guard.ipc.chain import Event, Runtime, Task
from wallet_guard.ipc.intents import State
from wallet_guard.signer import admin, seal
from wallet_guard.signer.upgrades import RECORD_SECONDS, RuntimeChangedError, Upgrades

SHAPE = {"set_weights": "11", "serve_axon": "22"}
OTHER = {"set_weights": "33", "serve_axon": "22"}


@pytest.fixture
def upgrades(bench: Any) -> Any:
    """``upgrades(choice)``: as a start makes them."""
    return lambda choice: Upgrades(bench.desk.journal, choice)


def refused(found: Upgrades, spec_version: int, shape: dict[str, str], now_ms: int = 0) -> str:
    with pytest.raises(RuntimeChangedError) as caught:
        found.take(spec_version, shape, now_ms)
    assert found.why == str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("choice", ["same-shape", "pin", "follow"])
def test_the_first_one_is_remembered_across_restarts(bench: Any, upgrades: Any, choice: str) -> None:
    upgrades(choice).take(461, SHAPE, 1)
    assert bench.kinds()[-1] == "runtime_seen"
    seq = bench.desk.journal.audit_head[0]
    upgrades(choice).take(461, SHAPE, 2)
    assert bench.desk.journal.audit_head[0] == seq


def test_same_shape_goes_on_while_the_shape_is_the_same(bench: Any, upgrades: Any) -> None:
    found = upgrades("same-shape")
    found.take(461, SHAPE, 1)
    found.take(462, SHAPE, 2)
    assert (bench.kinds()[-1], found.why) == ("runtime_upgraded", "")
    # A node that lags.
    found.take(461, SHAPE, 3)
    said = refused(found, 463, OTHER)
    assert "runtime is now 463: set_weights changed since spec version 461" in said
    assert "wallet-guard allow-runtime 463" in said
    assert bench.kinds()[-1] == "runtime_refused"
    # And after a restart.
    refused(upgrades("same-shape"), 463, OTHER)


def test_pin_stays_with_one_version(upgrades: Any) -> None:
    found = upgrades("pin")
    found.take(461, SHAPE, 1)
    assert "spec version 461 is pinned;" in refused(found, 462, SHAPE)
    assert "spec version 461 is pinned, and set_weights changed" in refused(found, 462, OTHER)
    assert "set_weights changed since spec version 461" in refused(found, 461, OTHER)
    found.take(461, SHAPE, 2)
    assert found.why == ""


def test_follow_takes_all_and_remembers_the_last(upgrades: Any) -> None:
    found = upgrades("follow")
    for version, shape in ((461, SHAPE), (462, OTHER), (463, {"set_weights": ""})):
        found.take(version, shape, 1)
    # Whoever grows stricter later measures by the last one that was followed.
    refused(upgrades("same-shape"), 461, SHAPE)


@pytest.mark.parametrize("choice", ["same-shape", "pin"])
def test_a_first_one_that_is_strange_is_no_measure(upgrades: Any, choice: str) -> None:
    found = upgrades(choice)
    assert "not the calls that this signer knows: set_weights: it is forged, or newer" in refused(
        found, 461, {**SHAPE, "set_weights": ""}
    )
    found.take(461, SHAPE, 1)
    assert found.why == ""


def test_what_the_operator_allows_is_the_new_measure(bench: Any, upgrades: Any) -> None:
    found = upgrades("same-shape")
    found.take(461, SHAPE, 1)
    assert not found.allow(462, 2)
    refused(found, 462, OTHER)
    assert not found.allow(461, 2)
    assert found.allow(462, 2)
    assert bench.kinds()[-1] == "runtime_allowed"
    for again in (found, upgrades("same-shape"), upgrades("pin")):
        again.take(462, OTHER, 3)
        refused(again, 463, SHAPE)


def test_one_that_tells_many_fills_neither_memory_nor_disk(bench: Any, upgrades: Any) -> None:
    found = upgrades("same-shape")
    found.take(461, SHAPE, 0)
    for at in range(1_000):
        refused(found, 1_000 + at, OTHER, at)
    assert bench.kinds().count("runtime_refused") == 1
    assert not found.allow(1_000, 0)
    refused(found, 5_000, OTHER, RECORD_SECONDS * 1000)
    assert bench.kinds().count("runtime_refused") == 2
    assert found.allow(5_000, 0)


# In the signer -------------------------------------------------------------------------------------------------------


def tell(bench: Any, said: Runtime, metadata: bytes, spec_version: int) -> Any:
    """A runtime as the chain process tells it."""
    changed = dataclasses.replace(said, metadata=metadata, spec_version=spec_version)
    return seal.learn_runtime(bench.desk, changed)


def test_an_upgrade_of_the_same_shape_in_the_middle_of_an_intent(bench: Any, said: Runtime) -> None:
    assert tell(bench, said, said.metadata, 461) == Done()
    first, second = bench.accepted(netuid=1), bench.accepted(netuid=2)
    old = bench.sealed(first)
    assert bench.seal(second, spec_version=470).code == "runtime_unknown"
    assert tell(bench, said, with_spec_version(said.metadata, 470), 470) == Done()
    new = bench.sealed(second, spec_version=470)
    assert isinstance(new, Task)
    # What was signed before is re-sent as it is, and refused by the chain: its spec version is in the signature.
    assert bench.seal(first, spec_version=470).extrinsic == old.extrinsic
    bench.report(first, Event.OUTDATED)
    bench.pass_time(16 * 12 + 61)
    again = bench.sealed(first, spec_version=470)
    assert (again.nonce, again.extrinsic != old.extrinsic) == (old.nonce, True)


def test_an_upgrade_of_another_shape_signs_nothing_until_allowed(bench: Any, said: Runtime) -> None:
    assert tell(bench, said, said.metadata, 461) == Done()
    moved = with_calls_swapped(with_spec_version(said.metadata, 470), "SubtensorModule", "serve_axon", "add_stake")
    intent = bench.accepted(netuid=1)
    refusal = tell(bench, said, moved, 470)
    assert isinstance(refusal, Refusal)
    assert refusal.code == "runtime_changed"
    assert "serve_axon changed since spec version 461" in refusal.message
    assert admin.status(bench.desk, StatusAsk()).runtime_trouble == refusal.message
    assert bench.desk.view(bench.intent(intent)).trouble == f"runtime_changed: {refusal.message}"
    assert bench.changes[-1].id == intent
    assert bench.seal(intent, spec_version=470).code == "runtime_unknown"
    assert (bench.intent(intent).state, bench.intent(intent).attempt) == (State.ACCEPTED, 0)
    wrong = admin.allow_runtime(bench.desk, AllowRuntime(469))
    assert isinstance(wrong, Refusal)
    assert "runtime is now 470" in wrong.message
    assert admin.allow_runtime(bench.desk, AllowRuntime(470)) == Done()
    assert tell(bench, said, moved, 470) == Done()
    assert admin.status(bench.desk, StatusAsk()).runtime_trouble == ""
    assert isinstance(bench.sealed(intent, spec_version=470), Task)


def test_metadata_whose_shape_cannot_be_read_is_refused(bench: Any, said: Runtime, monkeypatch: Any) -> None:
    monkeypatch.setattr("wallet_guard.signer.shape.MAX_NODES", 10)
    refusal = tell(bench, said, said.metadata, 461)
    assert isinstance(refusal, Refusal)
    assert (refusal.code, "at most 10 nodes" in refusal.message) == ("runtime_refused", True)
