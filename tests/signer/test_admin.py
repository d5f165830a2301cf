"""What the operator may do: clients and their tokens, confirmations, a look at everything."""

import base64
import hashlib
import json
from typing import Any

import pytest

from wallet_guard.host.config import ConfigurationError
from wallet_guard.ipc.admin import AllowPlain, StatusAsk
from wallet_guard.ipc.answers import Done, Refusal
from wallet_guard.ipc.chain import Pulse
from wallet_guard.ipc.clients import ClientAdd, ClientAdded, ClientRevoke, Info, InfoView
from wallet_guard.ipc.health import Health
from wallet_guard.ipc.intents import IntentView
from wallet_guard.ipc.packets import encode_packet
from wallet_guard.ipc.records import to_json
from wallet_guard.signer import admin, follow

GOOD = "a-token-that-has-enough-characters-0123456789"


def add(bench: Any, **changes: Any) -> Any:
    wish: dict[str, Any] = {
        "name": "new",
        "wallet": "validator",
        "hotkey": "default",
        "calls": ("set_weights",),
        "netuids": (1,),
        "per_hour": 10,
        "token": None,
    }
    return admin.client_add(bench.desk, ClientAdd(**{**wish, **changes}))


def test_a_token_is_256_bits_and_only_its_hash_is_kept(bench: Any) -> None:
    added = add(bench)
    assert isinstance(added, ClientAdded)
    assert added.token.startswith("wg_")
    assert len(base64.urlsafe_b64decode(added.token[3:] + "=")) == 32
    stored = {client.name: digest for digest, client in bench.desk.journal.clients()}
    assert stored["new"] == hashlib.sha256(added.token.encode()).digest()
    assert added.token.encode() not in bench.desk.journal.path.read_bytes()
    assert all(added.token not in record.body for record in bench.desk.journal.records())


def test_a_new_client_is_in_the_audit_chain_with_its_rights(bench: Any) -> None:
    add(bench)
    (*_, record) = bench.desk.journal.records()
    body = json.loads(record.body)
    assert (record.kind, record.client) == ("client_added", "new")
    assert body["netuids"] == [1]
    assert body["calls"] == ["set_weights"]


def test_two_tokens_are_never_one(bench: Any) -> None:
    assert add(bench, name="a").token != add(bench, name="b").token


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"name": ""}, "name: expected a plain file name"),
        ({"name": "../x"}, "name: expected a plain file name"),
        ({"name": "a\0b"}, "name: expected a plain file name"),
        ({"name": "x" * 65}, "name: expected at most 64 printable"),
        ({"name": "a\nb"}, "printable"),
        ({"name": "node"}, "'node' is taken"),
        ({"wallet": "coldkey"}, "expected a loaded hotkey (validator/default)"),
        ({"calls": ("transfer",)}, "calls: expected"),
        ({"per_hour": 0}, "per_hour: expected 1 to 100000, found 0"),
        ({"per_hour": 2**70}, "per_hour: expected"),
        ({"netuids": (4096,)}, "netuids: expected"),
        ({"netuids": (-1,)}, "netuids: expected"),
        ({"netuids": (1,) * 257}, "netuids: expected at most 256"),
        ({"token": ""}, "known default"),
        ({"token": "default-token"}, "known default"),
        ({"token": "your-token"}, "known default"),
        ({"token": "short"}, "token: expected 32 to 512"),
        ({"token": GOOD * 20}, "token: expected 32 to 512"),
        ({"token": GOOD + "\n"}, "printable ASCII"),
        ({"token": GOOD + "é"}, "printable ASCII"),
        ({"token": "a" * 40}, "fewer than 10 different"),
    ],
)
def test_a_wrong_client_is_refused_and_says_why(bench: Any, changes: dict[str, Any], says: str) -> None:
    before = bench.desk.journal.audit_head
    refusal = add(bench, **changes)
    assert isinstance(refusal, Refusal)
    assert says in refusal.message
    assert bench.desk.journal.audit_head == before
    token = changes.get("token")
    assert not token or len(token) < 10 or token not in refusal.message


def test_a_token_brought_along_is_taken_once(bench: Any) -> None:
    assert add(bench, name="a", token=GOOD).token == GOOD
    assert "another client's" in add(bench, name="b", token=GOOD).message
    assert isinstance(bench.accept(token=GOOD, netuid=1), IntentView)


def test_there_is_a_ceiling(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admin, "MAX_CLIENTS", 1)
    assert "at most 1 clients" in add(bench).message


def test_a_revoked_client_is_gone_and_its_name_stays_taken(bench: Any) -> None:
    assert admin.client_revoke(bench.desk, ClientRevoke("node")) == Done()
    assert isinstance(admin.info(bench.desk, Info(bench.token)), Refusal)
    assert isinstance(admin.client_revoke(bench.desk, ClientRevoke("node")), Refusal)
    assert "taken" in add(bench, name="node").message
    assert bench.kinds()[-1] == "client_revoked"


@pytest.mark.parametrize("name", ["nobody", "", "x" * 10_000])
def test_nobody_of_that_name(bench: Any, name: str) -> None:
    refusal = admin.client_revoke(bench.desk, ClientRevoke(name))
    assert isinstance(refusal, Refusal)
    assert len(refusal.message) < 150


@pytest.mark.parametrize("token", ["default-token", "your-token", ""])
def test_a_journal_with_a_known_default_as_token_is_refused(bench: Any, token: str) -> None:
    admin.check_no_default_tokens(bench.desk.journal)
    client = bench.desk.journal.clients()[0][1]
    with bench.desk.journal.transaction() as writer:
        writer.revoke_client("node", 1)
        writer.add_client(hashlib.sha256(token.encode()).digest(), type(client)("bad", *list_of(client)[1:]))
    with pytest.raises(ConfigurationError, match="'bad'"):
        admin.check_no_default_tokens(bench.desk.journal)


def list_of(record: Any) -> list[Any]:
    return [getattr(record, name) for name in record.__dataclass_fields__]


@pytest.mark.parametrize("netuid", [2, -1, 4096, 2**70])
def test_plain_weights_are_allowed_only_where_they_were_held_back(bench: Any, netuid: int) -> None:
    refusal = admin.allow_plain(bench.desk, AllowPlain(netuid))
    assert isinstance(refusal, Refusal)
    assert refusal.code == "not_needed"


def test_info_tells_what_a_token_is_good_for_and_no_secret(bench: Any) -> None:
    view = admin.info(bench.desk, Info(bench.token))
    assert isinstance(view, InfoView)
    assert [key.hotkey for key in view.keys] == ["default"]
    assert bench.token not in repr(view)


def test_status_tells_everything_at_a_glance(bench: Any) -> None:
    bench.accepted()
    follow.pulse(bench.desk, Pulse("ws://x", 10, 8, ""))
    view = admin.status(bench.desk, StatusAsk())
    assert (view.best_block, view.finalized_block, view.endpoint) == (10, 8, "ws://x")
    assert (view.audit_seq, view.audit_head) == (2, bench.desk.journal.audit_head[1].hex())
    assert view.health.open_intents == 1
    assert view.health.runtime == 461
    assert len(view.intents) == 1
    assert bench.token not in repr(view)


def test_health_says_how_old_the_chains_word_is(bench: Any) -> None:
    assert admin.health(bench.desk, Health()).chain_seconds is None
    follow.pulse(bench.desk, Pulse("ws://x", 10, 8, "no answer"))
    bench.pass_time(5)
    view = admin.health(bench.desk, Health())
    assert (view.chain_seconds, view.chain_trouble) == (5.0, "no answer")


def test_what_a_chain_process_says_of_itself_always_fits_what_others_take(bench: Any) -> None:
    # Three megabytes of two-byte characters are nine in JSON: more than a packet, once.
    assert follow.pulse(bench.desk, Pulse("é" * 1_500_000, 1, 1, "é" * 1_500_000)) == Done()
    assert len(encode_packet({"answer": to_json(admin.status(bench.desk, StatusAsk()))})) < 20_000
    assert len(encode_packet({"answer": to_json(admin.health(bench.desk, Health()))})) < 20_000


@pytest.mark.parametrize("blocks", [(-1, 0), (0, 2**32), (2**70, None)])
def test_a_pulse_with_impossible_blocks_is_refused(bench: Any, blocks: Any) -> None:
    assert isinstance(follow.pulse(bench.desk, Pulse("ws://x", *blocks, "")), Refusal)
    assert bench.desk.chain.pulse is None
