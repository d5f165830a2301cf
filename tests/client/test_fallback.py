"""The local wallet is used only where nothing can happen twice, only if asked for, only if there is a key."""

import argparse
import asyncio
import logging
import socket
from types import SimpleNamespace

import pytest

from wallet_guard.client import AsyncWalletService, ServiceUnreachable, SettingsError, WalletService, add_args
from wallet_guard.client.fallback import FALLBACK_CODES, was_not_accepted
from wallet_guard.client.results import Result
from wallet_guard.gateway.codes import CODES

TOKEN = "a-token-of-43-characters-like-the-signer-ma"


class Local:
    """A local wallet's ``set_weights``, and how it was called."""

    def __init__(self, outcome=(True, "Success")):
        self.calls = []
        self.outcome = outcome

    def __call__(self, **keywords):
        self.calls.append(keywords)
        return self.outcome


@pytest.fixture
def local():
    return Local()


@pytest.fixture
def key(tmp_path):
    """A wallet folder with one hotkey in it."""
    folder = tmp_path / "wallets" / "validator" / "hotkeys"
    folder.mkdir(parents=True)
    (folder / "default").write_text("{}")
    return str(tmp_path / "wallets")


@pytest.fixture
def nobody(tmp_path):
    """The URL of a socket that nobody listens on."""
    return f"unix://{tmp_path}/none.sock"


def test_is_off_unless_asked_for(connect, nobody, key):
    result = connect(nobody, wallet_path=key).set_weights(2, [1], [1], timeout=0.2)
    assert (result.success, result.local, result.fallbacks) == (False, False, 0)


def test_sets_weights_where_nobody_listens(connect, nobody, key, local, caplog):
    service = connect(nobody, wallet_path=key, fallback_local=local)
    success, message = result = service.set_weights(2, [1, 2], [3, 4], version_key=5, timeout=1.0)
    assert (success, message) == (True, "by the local wallet: Success")
    assert (result.local, result.fallbacks, result.submitted) == (True, 1, "yes")
    assert local.calls == [{"netuid": 2, "uids": [1, 2], "weights": [3, 4], "version_key": 5}]
    (record,) = [record for record in caplog.records if record.name == "wallet_guard.client.fallback"]
    assert record.levelno >= logging.ERROR
    assert "FALL-BACK TO THE LOCAL WALLET (number 1)" in record.message
    assert "nobody listens there" in record.message
    assert service.set_weights(2, [1], [1], timeout=0.2).fallbacks == 2


def test_a_port_that_refuses_is_nobody(connect, key, local):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
    service = connect(f"http://127.0.0.1:{port}", wallet_path=key, fallback_local=local)
    assert service.set_weights(2, [1], [1], timeout=0.2).local


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("unauthorized", 401),
        ("wallet_not_allowed", 403),
        ("netuid_not_allowed", 403),
        ("call_not_allowed", 403),
        ("unknown_wallet", 404),
        ("not_ready", 503),
    ],
)
def test_sets_weights_where_the_service_says_that_it_did_nothing(connect, unix_service, say, key, local, code, status):
    unix_service.steps = [say.failure(code, status, submitted="no")]
    service = connect(unix_service.url, wallet_path=key, fallback_local=local)
    assert service.set_weights(2, [1], [1]).local
    assert len(local.calls) == len(unix_service.seen) == 1


UNCLEAR = {
    "cut": lambda say: [say.CUT],
    "silence": lambda say: [say.SILENCE],
    "half an answer": lambda say: [b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\nConnection: close\r\n\r\n{", say.CUT],
    "no http": lambda say: [b"220 mail.example ESMTP\r\n\r\n"],
    "no wallet service": lambda say: [say.answer(None, 502, raw=b"<html>502</html>")],
    "a proxy's 401": lambda say: [say.answer(None, 401, raw=b"<html>401</html>")],
    "a 401 that does not say": lambda say: [say.failure("unauthorized", 401)],
    "maybe": lambda say: [say.failure("unauthorized", 401, submitted="maybe")],
    "yes": lambda say: [say.failure("dispatch_failed", 502, submitted="yes", intent="i1", state="in_block")],
    "a bug": lambda say: [say.failure("internal", 500, submitted="maybe")],
    "not synced": lambda say: [say.failure("journal_unavailable", 503, submitted="maybe")],
    "not synced, an older service": lambda say: [say.failure("journal_unavailable", 503, submitted="no")],
    "restarting": lambda say: [say.failure("signer_unavailable", 503, submitted="maybe")],
    "accepted, late": lambda say: [say.failure("deadline", 504, submitted="no", intent="i1", state="accepted")],
    "accepted, chain away": lambda say: [
        say.failure("chain_unavailable", 503, submitted="no", intent="i1", state="accepted", final=False)
    ],
    "accepted, then failed": lambda say: [
        say.failure("not_registered", 422, submitted="no", intent="i1", state="failed", final=True)
    ],
    "accepted, then cancelled": lambda say: [
        say.failure("cancelled", 409, submitted="no", intent="i1", state="failed", final=True)
    ],
    "an intent without a state": lambda say: [say.failure("unauthorized", 401, submitted="no", intent="i1")],
    "queued": lambda say: [say.answer(say.SUCCESS | {"queued": True, "state": "accepted", "submitted": "no"}, 202)],
    "cut, then refused": lambda say: [say.CUT, say.failure("unauthorized", 401, submitted="no")],
    "restarted unclear, then refused": lambda say: [
        say.failure("stopping", 503, submitted="maybe"),
        say.failure("unauthorized", 401, submitted="no"),
    ],
}


@pytest.mark.parametrize("case", UNCLEAR)
def test_an_unclear_answer_is_never_followed_by_the_local_wallet(connect, unix_service, say, key, local, case):
    unix_service.steps = UNCLEAR[case](say)
    service = connect(unix_service.url, wallet_path=key, fallback_local=local)
    # Long enough for the second attempt, where there is one; short where nothing ever comes.
    result = service.set_weights(2, [1], [1], timeout=30.0 if "then refused" in case else 1.0)
    assert (local.calls, result.local, result.fallbacks) == ([], False, 0)
    if "then refused" in case:
        assert (result.submitted, result.final) == ("maybe", False)


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("rate_limited", 429),
        ("too_many_open", 429),
        ("locked", 503),
        ("invalid_request", 422),
        ("idempotency_conflict", 409),
        ("weights_shifted", 422),
        ("call_refused", 403),
        ("policy_denied", 403),
        ("old_key", 409),
        ("a_code_of_tomorrow", 403),
    ],
)
def test_a_refusal_of_the_request_itself_is_not_got_around(connect, unix_service, say, key, local, code, status):
    unix_service.steps = [say.failure(code, status, submitted="no")]
    service = connect(unix_service.url, wallet_path=key, fallback_local=local)
    assert not service.set_weights(2, [1], [1]).local
    assert local.calls == []


def test_a_dry_run_is_never_done_for_real(connect, nobody, key, local):
    result = connect(nobody, wallet_path=key, fallback_local=local).set_weights(2, [1], [1], timeout=0.2, dry_run=True)
    assert (result.local, local.calls) == (False, [])


def test_what_cannot_be_sent_is_not_set_locally(connect, nobody, key, local):
    assert not connect(nobody, wallet_path=key, fallback_local=local).set_weights(2, [1], [float("nan")]).local
    assert local.calls == []


def test_every_code_is_one_that_the_service_says():
    assert set(CODES) > FALLBACK_CODES - {"unreachable"}


@pytest.mark.parametrize("code", sorted(FALLBACK_CODES))
@pytest.mark.parametrize(
    "changed",
    [{"submitted": "maybe"}, {"submitted": "yes"}, {"final": False}, {"intent": "i1"}, {"success": True}],
)
def test_one_doubt_is_enough(code, changed):
    clear = {"success": False, "message": "", "code": code, "submitted": "no", "final": True}
    assert was_not_accepted(Result(**clear))
    assert not was_not_accepted(Result(**clear | changed))


def test_without_a_key_there_is_nothing_to_fall_back_to(connect, nobody, key, local, caplog):
    service = connect(nobody, wallet_path=key, fallback_local=local)
    result = service.set_weights(2, [1], [1], hotkey_name="other", timeout=0.2)
    assert (result.local, result.code, local.calls) == (False, "unreachable", [])
    assert "there is no key at" in caplog.text


def test_an_sdk_wallet_is_handed_on_and_says_where_its_keys_are(connect, nobody, key, local):
    wallet = SimpleNamespace(name="validator", hotkey_str="default", path=key)
    assert connect(nobody, fallback_local=local).set_weights(2, [1], [1], wallet=wallet, timeout=0.2).local
    assert local.calls[0]["wallet"] is wallet


def test_a_mapping_is_said_in_the_sdks_way(connect, nobody, key, local, caplog):
    service = connect(nobody, wallet_path=key, fallback_local=local)
    assert service.set_weights(2, None, {1: 0.5, 7: 0.25}, timeout=0.2).local
    assert (local.calls[0]["uids"], local.calls[0]["weights"]) == ([1, 7], [0.5, 0.25])
    assert not service.set_weights(2, None, {"5F": 0.5}, timeout=0.2).local
    assert "given by hotkey" in caplog.text


def test_a_local_failure_says_both(connect, nobody, key):
    local = Local(SimpleNamespace(success=False, message="too fast"))
    service = connect(nobody, wallet_path=key, fallback_local=local)
    result = service.set_weights(2, [1], [1], timeout=1.0)
    assert (result.success, result.code, result.submitted) == (False, "local_wallet_failed", "maybe")
    assert "too fast" in result.message
    assert "nobody listens there" in result.hint
    with pytest.raises(ServiceUnreachable, match="too fast"):
        service.set_weights(2, [1], [1], timeout=1.0, raise_errors=True)


@pytest.mark.parametrize("kind", ["coroutine function", "function that gives a coroutine"])
def test_asyncio_waits_for_a_coroutine(nobody, key, kind):
    async def set_weights(**keywords):
        return True, str(keywords["netuid"])

    local = set_weights if kind == "coroutine function" else lambda **keywords: set_weights(**keywords)
    service = AsyncWalletService(nobody, TOKEN, wallet_name="validator", wallet_path=key, fallback_local=local)
    result = asyncio.run(service.set_weights(2, [1], [1], timeout=0.2))
    assert (result.local, result.message) == (True, "by the local wallet: 2")


@pytest.mark.parametrize(("flags", "used"), [([], False), (["--wallet.fallback_local"], True)])
def test_the_command_line_decides(nobody, key, local, flags, used):
    parser = argparse.ArgumentParser()
    add_args(parser)
    parser.add_argument("--wallet.path")
    parser.add_argument("--wallet.name")
    arguments = ["--wallet.service_url", nobody, "--wallet.service_token", TOKEN, "--wallet.path", key]
    args = parser.parse_args([*arguments, "--wallet.name", "validator", *flags])
    with WalletService.from_args(args, fallback_local=local) as service:
        assert service.set_weights(2, [1], [1], timeout=0.2).local is used


def test_the_flag_without_a_function_is_an_error():
    parser = argparse.ArgumentParser()
    add_args(parser)
    args = parser.parse_args(["--wallet.service_token", TOKEN, "--wallet.fallback_local"])
    with pytest.raises(SettingsError, match="fallback_local"):
        WalletService.from_args(args)
