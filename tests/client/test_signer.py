"""The signer that holds no key: what it asks the service, and what it refuses by itself."""

import asyncio
import os
import subprocess
import sys
from types import SimpleNamespace

import pytest

from wallet_guard.client import NotAuthorised, Refused, RemoteSigner, ServiceUnreachable, SettingsError

TOKEN = "a-token-of-43-characters-like-the-signer-ma"
ALICE = "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY"
BOB = "5FHneW46xGXgs5mUiveU4sbTyGBzmstUspZC92UhjJM694ty"
NONCE = "1795238400123456789"
SIGNATURE = "0x" + "ab" * 64

INFO = {
    "success": True,
    "wallet_name": "validator",
    "hotkey_name": "default",
    "hotkey_address": ALICE,
    "crypto_type": "sr25519",
    "client": {"name": "node", "calls": ["request"], "netuids": None, "per_hour": 60},
}
REQUEST = {
    "success": True,
    "headers": {"X-Bittensor-Signature": SIGNATURE},
    "ss58_address": ALICE,
    "nonce": NONCE,
}
EXTRINSIC = {"success": True, "signature": SIGNATURE, "crypto_type": 1, "ss58_address": ALICE}

UNSIGNED = SimpleNamespace(to_dict=lambda: {"call_data": "0x0700", "payload_json": {"long": "…"}})


def payload(**changed):
    lines = {
        "protocol": "btauth/1",
        "scheme": "sr25519",
        "method": "POST",
        "path": "/a?b=c",
        "body": "00" * 32,
        "nonce": NONCE,
        "sender": ALICE,
        "receiver": BOB,
    }
    return "\n".join((lines | changed).values()).encode()


@pytest.fixture
def make(unix_service, say):
    """``make(*steps)``: a signer whose service answers with these after telling who it is."""
    signers = []

    def make(*steps):
        unix_service.steps = [say.answer(INFO), *(steps or [say.answer(REQUEST)])]
        signers.append(RemoteSigner(unix_service.url, TOKEN))
        return signers[-1]

    yield make
    for signer in signers:
        signer.close()


def test_knows_who_it_is(make, unix_service):
    signer = make()
    assert (signer.ss58_address, signer.crypto_type, signer.ss58_format) == (ALICE, 1, 42)
    assert signer.public_key.hex() == "d43593c715fdd31c61141abd04a99fd6822c8558854ccde39a5684e7a56da27d"
    assert unix_service.seen[0].line == "GET /wallet/info?wallet_name=validator&hotkey_name=default HTTP/1.1"
    assert ALICE in repr(signer)
    assert TOKEN not in repr(signer)


def test_a_service_that_is_away_shows_at_once(tmp_path):
    with pytest.raises(ServiceUnreachable, match="nobody listens there"):
        RemoteSigner(f"unix://{tmp_path}/none.sock", TOKEN, timeout=0.2)


def test_a_wrong_token_shows_at_once(unix_service, say):
    unix_service.steps = [say.failure("unauthorized", 401)]
    with pytest.raises(NotAuthorised):
        RemoteSigner(unix_service.url, TOKEN)


@pytest.mark.parametrize(
    "changed", [{"crypto_type": "ecdsa"}, {"hotkey_address": "5nonsense"}, {"hotkey_address": None}]
)
def test_an_answer_about_no_hotkey_is_refused(unix_service, say, changed):
    unix_service.steps = [say.answer(INFO | changed, fields=[("Connection", "close")])]
    with pytest.raises(SettingsError):
        RemoteSigner(unix_service.url, TOKEN)


def test_asks_for_a_request_by_its_parts(make, unix_service):
    assert make().sign(payload()).hex() == "ab" * 64
    assert unix_service.seen[1].line == "POST /wallet/request HTTP/1.1"
    assert unix_service.seen[1].content == {
        "wallet_name": "validator",
        "hotkey_name": "default",
        "method": "POST",
        "path": "/a?b=c",
        "body_sha256": "00" * 32,
        "receiver": BOB,
        "nonce": NONCE,
    }


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"hello",
        "hello",
        bytes(32),
        b"<Bytes>" + payload() + b"</Bytes>",
        payload() + b"\n",
        payload(protocol="btauth/2"),
        payload(path="/a\nb"),
        payload(body="xx"),
        payload(nonce="-1"),
        b"\x07\x77" + bytes(200),
    ],
)
def test_signs_nothing_that_it_cannot_read(make, unix_service, data):
    signer = make()
    with pytest.raises(Refused, match="expected a btauth/1 request"):
        signer.sign(data)
    assert len(unix_service.seen) == 1


@pytest.mark.parametrize("changed", [{"receiver": "-"}, {"sender": BOB}, {"scheme": "ed25519"}])
def test_refuses_requests_for_anybody_or_of_somebody_else(make, unix_service, changed):
    signer = make()
    with pytest.raises(Refused):
        signer.sign(payload(**changed))
    assert len(unix_service.seen) == 1


def test_a_request_is_not_repeated_once_it_may_have_arrived(make, unix_service, say):
    signer = make(say.CUT, say.answer(REQUEST))
    with pytest.raises(ServiceUnreachable):
        signer.sign(payload())
    assert len(unix_service.seen) == 2


def test_sends_the_whole_extrinsic_without_what_is_passed_over(make, unix_service, say):
    signer = make(say.answer(EXTRINSIC))
    assert asyncio.run(signer.sign_unsigned_extrinsic(UNSIGNED)).hex() == "ab" * 64
    assert signer.sign_extrinsic(UNSIGNED).hex() == "ab" * 64
    for seen in unix_service.seen[1:]:
        assert seen.line == "POST /wallet/extrinsic HTTP/1.1"
        assert seen.content == {
            "wallet_name": "validator",
            "hotkey_name": "default",
            "extrinsic": {"call_data": "0x0700"},
        }


def test_a_commit_that_is_refused_says_what_to_do(make, say):
    message = "a commit cannot be read"
    error = {"code": "call_refused", "message": message, "hint": "ask for set_weights"}
    signer = make(say.answer({"success": False, "error": error, "message": message}, 403))
    with pytest.raises(NotAuthorised, match=r"cannot be read; ask for set_weights: .*execute\(intent\)"):
        asyncio.run(signer.sign_unsigned_extrinsic(UNSIGNED))
    with pytest.raises(NotAuthorised, match=r"execute\(intent\)"):
        signer.sign_extrinsic(UNSIGNED)


@pytest.mark.parametrize(
    "answer", [{"success": True}, EXTRINSIC | {"signature": "0xab"}, EXTRINSIC | {"crypto_type": "1"}]
)
def test_an_answer_without_a_signature_is_none(make, say, answer):
    with pytest.raises(ServiceUnreachable, match="another version"):
        make(say.answer(answer)).sign_extrinsic(UNSIGNED)


def test_what_is_no_extrinsic_is_refused_here(make, unix_service):
    with pytest.raises(SettingsError, match="UnsignedExtrinsic"):
        make().sign_extrinsic(b"\x07\x00")
    assert len(unix_service.seen) == 1


def test_the_digest_is_the_loaded_librarys(make, monkeypatch):
    context = SimpleNamespace(metadata_bytes=b"m", spec_version=461, spec_name="node-subtensor")
    signer = make()
    asked = []
    library = SimpleNamespace(metadata_digest=lambda *arguments: asked.append(arguments) or b"d" * 32)
    monkeypatch.setitem(sys.modules, "bittensor_core", library)
    assert signer.metadata_digest(context) == b"d" * 32
    assert asked == [(b"m", 461, "node-subtensor")]
    monkeypatch.delitem(sys.modules, "bittensor_core")
    with pytest.raises(SettingsError, match="bittensor_core"):
        signer.metadata_digest(context)


def test_nothing_but_the_standard_library_is_loaded():
    code = (
        "import sys; before = set(sys.modules); import wallet_guard.client\n"
        "roots = {name.partition('.')[0] for name in set(sys.modules) - before}\n"
        "print(*sorted(roots - sys.stdlib_module_names - {'wallet_guard'}))\n"
        "print(*sorted(name for name in sys.modules if name.startswith('wallet_guard.')\n"
        "              and not name.startswith(('wallet_guard.client', 'wallet_guard.wire'))))\n"
    )
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, timeout=60)
    if done.returncode:  # not installed into this Python: from the tree
        variables = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, env=variables)
    assert (done.returncode, done.stdout.split()) == (0, []), done.stderr


def test_a_forked_child_signs_too(unix_service, say):
    code = (
        "import os, sys\n"
        "from wallet_guard.client import RemoteSigner\n"
        "signer = RemoteSigner(sys.argv[1], sys.argv[2])\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    os._exit(0 if len(signer.sign(sys.argv[3].encode())) == 64 else 1)\n"
        "assert os.waitpid(child, 0)[1] == 0\n"
        "assert len(signer.sign(sys.argv[3].encode())) == 64\n"
    )
    unix_service.steps = [say.answer(INFO), say.answer(REQUEST)]
    command = [sys.executable, "-c", code, unix_service.url, TOKEN, payload().decode()]
    subprocess.run(command, check=True, timeout=60)
    assert [seen.connection for seen in unix_service.seen] == [1, 2, 1]
