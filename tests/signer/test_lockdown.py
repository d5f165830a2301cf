import ast
import dataclasses
from pathlib import Path
from typing import Any

import pytest

from wallet_guard.ipc.admin import Lock, Unlock
from wallet_guard.ipc.answers import Done, Refusal
from wallet_guard.ipc.chain import Facts, Seal
from wallet_guard.ipc.clients import ClientAdd
from wallet_guard.ipc.health import Health
from wallet_guard.ipc.intents import Accept, State
from wallet_guard.signer import admin, monitor, tasks
from wallet_guard.signer.journal import Journal, JournalError
from wallet_guard.signer.keys import Key, Keyring
from wallet_guard.signer.lockdown import BY_FILE, LOCK_FILE, Lockdown, LockedError

SIGNER = Path(__file__).parents[2] / "wallet_guard/signer"


@pytest.fixture
def counted(bench: Any, monkeypatch: Any) -> list[bytes]:
    """Every payload that any key was brought to sign."""
    made: list[bytes] = []
    sign = Key.sign

    def counting(key: Key, payload: bytes) -> bytes:
        signature = sign(key, payload)
        made.append(payload)
        return signature

    monkeypatch.setattr(Key, "sign", counting)
    return made


def lock(bench: Any, why: str = "a test") -> None:
    assert admin.lock(bench.desk, Lock(why)) == Done()


def unlock(bench: Any) -> Any:
    return admin.unlock(bench.desk, Unlock())


# The gate ------------------------------------------------------------------------------------------------------------


def uses_of(name: str) -> dict[str, list[str]]:
    """Module → functions in which something of that name is called or taken, outside its own definition."""
    found: dict[str, list[str]] = {}
    for path in sorted(SIGNER.glob("*.py")):
        for function in ast.walk(ast.parse(path.read_text())):
            if isinstance(function, ast.FunctionDef):
                for node in ast.walk(function):
                    if isinstance(node, ast.Attribute) and node.attr == name:
                        found.setdefault(path.stem, []).append(f"{function.name}: {ast.unparse(node)}")
    return found


def test_the_secret_is_touched_in_one_place_behind_the_gate() -> None:
    """Every way to a signature goes through Key.sign, whose first statement asks the gate."""
    assert {module: uses for module, uses in uses_of("_pair").items() if module != "keys"} == {}
    touched = [use for use in uses_of("_pair")["keys"] if not use.startswith(("ss58_address", "public_key", "crypto"))]
    assert touched == ["sign: self._pair", "sign: self._pair"]
    module = ast.parse((SIGNER / "keys.py").read_text())
    (sign,) = [node for node in ast.walk(module) if isinstance(node, ast.FunctionDef) and node.name == "sign"]
    assert ast.unparse(sign.body[1]) == "if self._gate is not None:\n    self._gate(self.ss58_address)"
    # A key made without a gate exists while it is loaded, and nowhere else.
    makers = [use for uses in uses_of("Key").values() for use in uses]
    assert makers == []


def test_every_call_of_sign_is_one_of_these() -> None:
    """A new way to sign is added here, and to ROUTES below."""
    calls = {module: sorted({use.partition(": ")[2] for use in uses}) for module, uses in uses_of("sign").items()}
    assert calls == {
        "compose": ["key.sign"],
        "extrinsics": ["key.sign"],
        "keys": ["key.sign", "self._pair.sign"],
        "requests": ["key.sign"],
        "seal": ["self.runtime.sign"],
        "sessions": ["key.sign"],
        "texts": ["key.sign"],
    }


def test_every_key_of_a_desk_asks_its_lock(bench: Any, alice: Key) -> None:
    for key in bench.desk.keys:
        assert len(key.sign(b"open")) == 64
    bench.desk.lockdown.engage("now")
    for key in (*bench.desk.keys, bench.desk.keys.find("validator", "default")):
        with pytest.raises(LockedError, match="the signer is locked: now"):
            key.sign(b"locked")


def test_a_keyring_guards_keys_without_changing_them(alice: Key) -> None:
    ring = Keyring([alice])
    asked: list[str] = []

    def gate(ss58_address: str) -> None:
        asked.append(ss58_address)
        raise LockedError("no")

    ring.guard(gate)
    (guarded,) = ring
    assert (guarded.public_key, repr(guarded)) == (alice.public_key, repr(alice))
    with pytest.raises(LockedError):
        guarded.sign(b"x")
    assert asked == [alice.ss58_address]
    assert len(alice.sign(b"x")) == 64


GATEWAY_ROUTES = {
    "sign_request": {
        "method": "GET",
        "target": "/",
        "body_sha256": "",
        "receiver": "5FHneW46xGXgs5mUiveU4sbTyGBzmstUspZC92UhjJM694ty",
        "nonce_ns": None,
    },
    "issue_session": {"key": "", "netuid": 2, "receiver": None, "lifetime_seconds": 60},
    "sign_text": {"text": "hello"},
}

EVERYTHING = ("set_weights", "request", "session", "text")


@pytest.mark.parametrize("ask", GATEWAY_ROUTES)
def test_a_locked_signer_refuses_each_route(bench: Any, counted: list[bytes], ask: str) -> None:
    token = bench.add_client("all", calls=EVERYTHING, netuids=None)
    body = {"token": token, "wallet": "validator", "hotkey": "default", **GATEWAY_ROUTES[ask]}
    lock(bench)
    said = monitor.answer(bench.desk, "gateway", {"id": 1, "ask": ask, "body": body})
    assert said["refusal"]["code"] == "locked", said
    assert "a test" in said["refusal"]["message"]
    assert bench.kinds()[-1] == "denied"
    assert counted == []


def test_a_locked_signer_accepts_and_seals_nothing(bench: Any, counted: list[bytes]) -> None:
    waiting = bench.accepted()
    lock(bench)
    assert bench.accept(key="new").code == "locked"
    refusal = bench.seal(waiting)
    assert (refusal.code, bench.intent(waiting).state) == ("locked", State.ACCEPTED)
    assert counted == []
    unlock(bench)
    assert bench.sealed(waiting).extrinsic is not None
    assert len(counted) == 1


def test_a_door_that_falls_shut_in_the_middle_is_a_refusal(bench: Any, counted: list[bytes], monkeypatch: Any) -> None:
    """Between the polite check and the signature: the key's own gate holds, whoever asks."""
    intent = bench.accepted()
    monkeypatch.setattr(type(bench.desk), "check_unlocked", lambda _desk: bench.desk.lockdown.engage("just now"))
    body = Seal(intent, dataclasses.replace(bench_facts()))
    message = {"id": 1, "ask": "seal", "body": monitor.to_json(body)}
    assert monitor.answer(bench.desk, "chain", message)["refusal"]["code"] == "locked"
    assert counted == []
    assert bench.intent(intent).state is State.ACCEPTED


def bench_facts() -> Any:
    import hashlib

    return Facts(
        *(hashlib.sha256(b"a chain for tests").digest(), 461, 1, 5_000, 4_998, bytes(range(32)), 12_000, 7, 7, 1, ()),
        *(1, False, 4, 0, 0, 1, 65535, 0, 360, 1, 4_900, 0, 13, 100),
    )


def test_bytes_that_were_not_given_out_yet_stay_in(bench: Any) -> None:
    intent = bench.accepted()
    bench.sealed(intent)
    lock(bench)
    assert tasks.pull(bench.desk).tasks == ()
    assert bench.seal(intent).code == "locked"
    unlock(bench)
    assert [task.intent for task in tasks.pull(bench.desk).tasks] == [intent]


# The doors -----------------------------------------------------------------------------------------------------------


def test_the_operators_lock_is_recorded_and_shown(bench: Any) -> None:
    lock(bench, "a rumour")
    assert admin.health(bench.desk, Health()).locked == "a rumour"
    assert bench.kinds()[-1] == "locked"
    lock(bench, "another")
    assert admin.health(bench.desk, Health()).locked == "a rumour"
    assert bench.kinds().count("locked") == 1
    assert unlock(bench) == Done()
    assert admin.health(bench.desk, Health()).locked == ""
    assert bench.kinds()[-1] == "unlocked"
    assert not (bench.folder / LOCK_FILE).exists()
    assert unlock(bench) == Done()
    assert bench.kinds().count("unlocked") == 1


def test_a_file_locks_at_the_next_signature(bench: Any) -> None:
    (bench.folder / LOCK_FILE).touch()
    with pytest.raises(LockedError, match="the file 'lock'"):
        next(iter(bench.desk.keys)).sign(b"x")
    bench.desk.lockdown.settle(bench.now)
    assert bench.kinds()[-1] == "locked"


def test_removing_the_file_does_not_unlock(bench: Any) -> None:
    (bench.folder / LOCK_FILE).touch()
    bench.desk.lockdown.settle(bench.now)
    (bench.folder / LOCK_FILE).unlink()
    assert bench.desk.lockdown.why == BY_FILE
    assert Lockdown(bench.desk.journal).why == BY_FILE


def test_a_dangling_link_named_lock_locks_too(bench: Any) -> None:
    (bench.folder / LOCK_FILE).symlink_to("nowhere")
    assert bench.desk.lockdown.why == BY_FILE


@pytest.mark.parametrize("kept", ["journal", "file", "both"])
def test_survives_a_restart_by_what_is_left_of_it(bench: Any, kept: str) -> None:
    bench.desk.lockdown.engage("a signal")
    if kept != "file":
        bench.desk.lockdown.settle(bench.now)
    if kept == "journal":
        (bench.folder / LOCK_FILE).unlink()
    bench.desk.journal.close()
    journal = Journal(bench.folder)
    try:
        again = Lockdown(journal)
        assert again.why
        with pytest.raises(LockedError):
            again.check()
    finally:
        bench.desk.journal = journal


def test_locks_without_a_journal_that_can_be_written(bench: Any) -> None:
    bench.desk.journal.error = "broken"
    bench.desk.lockdown.engage("a signal")
    with pytest.raises(JournalError):
        bench.desk.lockdown.settle(bench.now)
    with pytest.raises(LockedError):
        bench.desk.lockdown.check()
    assert (bench.folder / LOCK_FILE).exists()


def test_a_lock_that_did_not_fit_on_the_disk_is_recorded_later(bench: Any, monkeypatch: Any) -> None:
    def full(_journal: Journal, **_how: bool) -> None:
        raise JournalError("full")

    bench.desk.lockdown.engage("a signal")
    with monkeypatch.context() as patched:
        patched.setattr(Journal, "_check_place", full)
        with pytest.raises(JournalError):
            bench.desk.lockdown.settle(bench.now)
    assert bench.kinds()[-1] != "locked"
    bench.desk.lockdown.settle(bench.now)
    bench.desk.lockdown.settle(bench.now)
    assert bench.kinds()[-1] == "locked"
    assert bench.kinds().count("locked") == 1


def test_stays_locked_while_the_journal_cannot_say_otherwise(bench: Any) -> None:
    lock(bench)
    bench.desk.journal.error = "broken"
    with pytest.raises(JournalError):
        unlock(bench)
    assert bench.desk.lockdown.why == "a test"


def test_stays_locked_while_the_file_cannot_be_removed(bench: Any) -> None:
    lock(bench)
    (bench.folder / LOCK_FILE).unlink()
    (bench.folder / LOCK_FILE).mkdir()
    refusal = unlock(bench)
    assert isinstance(refusal, Refusal)
    assert refusal.code == "lock_file"
    assert bench.desk.lockdown.why == "a test"


# The canary ----------------------------------------------------------------------------------------------------------


def ask_for(bench: Any, wallet: str, *, token: str | None = None, socket: str = "gateway") -> dict[str, Any]:
    question = Accept(token or bench.token, None, False, bench.wish(wallet=wallet))
    return monitor.answer(bench.desk, socket, {"id": 1, "ask": "accept", "body": monitor.to_json(question)})


@pytest.fixture
def canary(bench: Any) -> Any:
    config = bench.desk.config
    bench.desk.config = dataclasses.replace(config, signer=dataclasses.replace(config.signer, canary="spare/default"))
    return bench


def test_a_request_for_the_canary_locks(canary: Any) -> None:
    assert ask_for(canary, "other")["refusal"]["code"] == "wallet_not_allowed"
    assert canary.desk.lockdown.why == ""
    ask_for(canary, "spare")
    assert "spare/default was asked for (accept)" in canary.desk.lockdown.why
    assert canary.accept().code == "locked"


def test_a_request_for_the_canary_locks_without_a_token_too(canary: Any) -> None:
    assert ask_for(canary, "spare", token="x" * 40)["refusal"]["code"] == "unauthorized"
    assert canary.desk.lockdown.why


@pytest.mark.parametrize("ask", GATEWAY_ROUTES)
def test_every_route_knows_the_canary(canary: Any, ask: str) -> None:
    body = {"token": canary.token, "wallet": "spare", "hotkey": "default", **GATEWAY_ROUTES[ask]}
    monitor.answer(canary.desk, "gateway", {"id": 1, "ask": ask, "body": body})
    assert ask in canary.desk.lockdown.why


def test_the_operator_does_not_wake_the_canary(canary: Any) -> None:
    question = ClientAdd("new", "spare", "default", ("set_weights",), None, 10, None)
    body = monitor.to_json(question)
    said = monitor.answer(canary.desk, "admin", {"id": 1, "ask": "client_add", "body": body})
    assert said["refusal"]["code"] == "invalid_request"
    assert canary.desk.lockdown.why == ""


# What is written down ------------------------------------------------------------------------------------------------


def test_every_kind_of_record_is_documented() -> None:
    documented = (SIGNER.parents[1] / "hardening/audit.md").read_text()
    written = set()
    for path in SIGNER.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name | ast.Attribute):
                name = node.func.attr if isinstance(node.func, ast.Attribute) else node.func.id
                if name in ("record", "_record", "move", "move_within"):
                    texts = [each.value for each in ast.walk(node) if isinstance(each, ast.Constant)]
                    # The first text is the kind; a conditional one gives two.
                    kinds = [text for text in texts if isinstance(text, str) and text.isidentifier()]
                    written |= set(kinds[:1])
    assert {"accepted", "denied", "signed", "locked", "started"} <= written
    assert {kind for kind in written if f"`{kind}`" not in documented} == set()
