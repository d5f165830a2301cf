"""One hotkey, two journals: a second guard, a journal from a backup; and a chain whose runtime changes.

Real processes on an embedded chain, in the order of an operator's bad day: each test goes on where the one before
ended.
"""

import shutil
import subprocess
import sys
from typing import Any

import pytest

from wallet_guard.ipc.admin import AllowRuntime, StatusAsk, Unlock
from wallet_guard.ipc.blocking import RefusedError, ask

pytest.importorskip("bittensor")

pytestmark = pytest.mark.slow

NAME = "validator/default"


@pytest.fixture(scope="module")
def house(make_house: Any) -> Any:
    house = make_house()
    assert house.guard.insist(2, "first", wait_for_finalization=True).status == 200
    return house


def status(guard: Any) -> Any:
    return ask(guard.signer_socket("admin"), StatusAsk())


def command(guard: Any, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "wallet_guard.cli.main", *words, "--config", str(guard.config)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def ours(house: Any) -> list[dict[str, Any]]:
    return [each for each in house.devnet.extrinsics(house.guard.address) if each["state"] != "invalid"]


def test_a_second_guard_on_the_same_hotkey_stops_the_first(house: Any, until: Any, tmp_path_factory: Any) -> None:
    folder = tmp_path_factory.mktemp("s")
    shutil.copytree(house.guard.folder / "wallets", folder / "wallets")
    second = type(house.guard)(
        folder, house.guard.address, [house.devnet.url], house.devnet.genesis, chain={"block_time_seconds": 0.25}
    )
    try:
        second.start()
        second.token = second.add_client()
        # What was used before its first contact is nothing that it could judge.
        assert second.insist(2, "theirs", wait_for_finalization=True).status == 200
        assert status(second).locked_keys == ()
        before = len(ours(house))
        answer = house.guard.set_weights(2, "mine", timeout=0.2)
        assert answer.status != 200, answer
        locked = until(lambda: status(house.guard).locked_keys, "the first guard's lock")
        assert f"{locked[0].wallet}/{locked[0].hotkey}" == NAME
        assert "was not signed here: another guard or program signs with this hotkey" in locked[0].why
        assert len(ours(house)) == before
        refused = house.guard.set_weights(3, "more", timeout=0.2)
        assert (refused.status, refused.code) == (503, "locked"), refused
    finally:
        second.end()
    shown = command(house.guard, "status")
    assert shown.returncode == 1
    assert f"LOCKED    {NAME}: nonce" in shown.stdout
    assert f"'wallet-guard unlock --key {NAME}'" in house.guard.log("signer")
    assert "key_locked" in command(house.guard, "audit", "tail").stdout


def test_it_outlives_a_restart_and_ends_with_the_operators_word(house: Any, until: Any) -> None:
    house.guard.restart("signer")
    until(house.guard.connected, "the guard's connection to the chain")
    assert len(status(house.guard).locked_keys) == 1
    done = command(house.guard, "unlock", "--key", NAME)
    assert (done.returncode, done.stdout) == (0, f"unlocked {NAME}\n"), done
    # What waited is done now, once.
    answer = house.guard.insist(2, "mine", wait_for_finalization=True)
    assert answer.status == 200, answer
    view = house.guard.wait(answer.body["intent"], "effective", "finalized")
    assert [each["nonce"] for each in ours(house)].count(view.nonce) == 1
    assert status(house.guard).locked_keys == ()


def test_a_journal_from_a_backup_signs_nothing_that_was_sent(house: Any, until: Any, tmp_path: Any) -> None:
    guard = house.guard
    saved = tmp_path / "backup.tar"
    assert command(guard, "backup", str(saved)).returncode == 0
    # Sent after the backup: unknown to it.
    assert guard.insist(2, "after", wait_for_finalization=True).status == 200
    before = ours(house)
    guard.end()
    done = command(guard, "restore", str(saved), "--replace")
    assert done.returncode == 0, done
    assert "So it starts locked" in done.stdout
    guard.start("signer")
    # At once: an era of these blocks and its margin are over after a minute and a half.
    with pytest.raises(RefusedError, match="may live for another"):
        ask(guard.signer_socket("admin"), Unlock())
    guard.start("chain", "gateway")
    until(guard.connected, "the guard's connection to the chain")
    assert (status(guard).generation, guard.set_weights(2, "after", timeout=0.2).code) == (2, "locked")
    assert command(guard, "unlock", "--force").returncode == 0
    answer = guard.set_weights(2, "mine", timeout=0.2)
    assert (answer.status, answer.code) == (409, "old_key"), answer
    assert len(ours(house)) == len(before)
    # A new request takes the nonce that the chain is at, not the one that the copy remembers.
    answer = guard.insist(2, "anew", wait_for_finalization=True)
    assert answer.status == 200, answer
    view = guard.wait(answer.body["intent"], "effective", "finalized")
    assert view.nonce == max(each["nonce"] for each in before) + 1
    assert "unbroken" in guard.audit()


def test_a_runtime_of_another_shape_is_signed_for_once_it_is_allowed(house: Any, until: Any) -> None:
    guard, spec = house.guard, house.devnet("devnet_info")["spec_version"]
    before = len(ours(house))
    # An upgrade in the middle of an intent: accepted under one runtime, to be signed under the next.
    house.devnet.fault("upgrade", spec_version=spec + 1, swap=["serve_axon", "add_stake"])
    until(lambda: house.devnet("devnet_info")["spec_version"] == spec + 1, "the upgrade")
    answer = guard.set_weights(2, "upgraded", timeout=0.2)
    assert answer.status != 200, answer
    until(lambda: f"runtime is now {spec + 1}" in status(guard).runtime_trouble, "a word on the runtime")
    assert "serve_axon changed since" in status(guard).runtime_trouble
    assert len(ours(house)) == before
    shown = command(guard, "status")
    assert (shown.returncode, "RUNTIME   the chain's runtime is now" in shown.stdout) == (1, True)
    with pytest.raises(RefusedError, match="expected the version of a runtime that was refused"):
        ask(guard.signer_socket("admin"), AllowRuntime(spec))
    assert command(guard, "allow-runtime", str(spec + 1)).returncode == 0
    answer = guard.insist(2, "upgraded", wait_for_finalization=True)
    assert answer.status == 200, answer
    assert len(ours(house)) == before + 1
    assert all(each["error"] is None for each in ours(house))


def test_a_runtime_of_the_same_shape_is_followed(house: Any, until: Any) -> None:
    spec = house.devnet("devnet_info")["spec_version"]
    house.devnet.fault("upgrade")
    until(lambda: house.devnet("devnet_info")["spec_version"] == spec + 1, "the upgrade")
    assert house.guard.insist(2, "followed", wait_for_finalization=True).status == 200
    assert status(house.guard).runtime_trouble == ""
