"""The client's ``RemoteSigner`` and ``RemoteWallet`` under the unmodified SDK, against the guard and the devnet."""

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from wallet_guard.client import AsyncWalletService, NotAuthorised, Refused, RemoteSigner, RemoteWallet, WalletService
from wallet_guard.ipc.blocking import ask
from wallet_guard.ipc.clients import CALLS, ClientAdd
from wallet_guard.signed.certificate import parse_certificate

bt = pytest.importorskip("bittensor")

SECONDS = 120
RECEIVER = "5FHneW46xGXgs5mUiveU4sbTyGBzmstUspZC92UhjJM694ty"
METADATA = (Path(__file__).parents[2] / "wallet_guard/devnet/data/subtensor-spec461-v15.scale").read_bytes()
BODY = b'{"prompt": "hello"}'


@pytest.fixture(scope="module")
def house(make_house):
    house = make_house()
    question = ClientAdd("everything", house.guard.wallet, house.guard.hotkey, CALLS, None, 10_000, None)
    house.guard.token = ask(house.guard.signer_socket("admin"), question).token
    return house


@pytest.fixture(scope="module")
def place(house):
    """What a node is told: the URL and a token."""
    return f"unix://{house.guard.client_socket}", house.guard.token


@pytest.fixture(scope="module")
def signer(place):
    signer = RemoteSigner(*place, wallet="validator")
    yield signer
    signer.close()


@pytest.fixture(scope="module")
def execute(house, tmp_path_factory):
    """``execute(intent, signer)``: what the SDK's own client gives."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("sdk")
        patch.setenv("BITTENSOR_RUNTIME_CACHE_DIR", str(folder))
        patch.setenv("HOME", str(folder))

        def run(intent: Any, signer: Any) -> Any:
            async def with_client() -> Any:
                async with bt.Subtensor(house.devnet.url) as client:
                    return await client.execute(intent, signer)

            return asyncio.run(asyncio.wait_for(with_client(), SECONDS))

        yield run


def last_call(house: Any) -> tuple[str, bool, Any]:
    last = house.devnet.extrinsics(house.guard.address)[-1]
    return last["call"], last["metadata_hash"], last["error"]


def test_is_the_sdks_signer(house, signer):
    assert isinstance(signer, bt.Signer)
    assert bt.resolve_signer(signer, role="hotkey") is signer
    pair = bt.keyfiles.Keypair(ss58_address=house.guard.address)
    assert (signer.ss58_address, signer.public_key) == (pair.ss58_address, pair.public_key)
    assert (signer.crypto_type, signer.ss58_format) == (pair.crypto_type, pair.ss58_format)


@pytest.mark.parametrize(
    ("intent", "call"),
    [
        (lambda: bt.SetWeights(netuid=2, uids=[1, 2], weights=[1, 2]), "SubtensorModule.set_mechanism_weights"),
        (lambda: bt.ServeAxon(netuid=2, ip="203.0.113.8", port=8091), "SubtensorModule.serve_axon"),
        (lambda: bt.ServePrometheus(netuid=2, ip="203.0.113.8", port=9090), "SubtensorModule.serve_prometheus"),
    ],
)
def test_the_sdk_executes_with_it(house, execute, signer, intent, call):
    result = execute(intent(), signer)
    assert result.success, result.message
    assert last_call(house) == (call, True, None)


def test_the_sdk_executes_with_the_wallet(house, execute, place, request):
    wallet = RemoteWallet(*place, "validator")
    request.addfinalizer(wallet.close)
    assert isinstance(wallet, bt.signing.KeyedWallet)
    result = execute(bt.SetWeights(netuid=4, uids=[1, 2], weights=[1, 2]), wallet)
    assert result.success, result.message
    assert last_call(house)[0] == "SubtensorModule.set_mechanism_weights"


def test_the_blocking_half_signs_what_was_prepared(house, signer, tmp_path, monkeypatch):
    monkeypatch.setenv("BITTENSOR_RUNTIME_CACHE_DIR", str(tmp_path))

    async def submit() -> Any:
        async with bt.Subtensor(house.devnet.url) as client:
            place = {"netuid": 4, "version": 1, "ip": 0xCB007142, "port": 6666, "ip_type": 4, "protocol": 4}
            call = ("SubtensorModule", "serve_axon", place | {"placeholder1": 0, "placeholder2": 0})
            runtime = SimpleNamespace(metadata_bytes=METADATA, spec_version=461, spec_name="node-subtensor")
            digest = signer.metadata_digest(runtime)
            unsigned = await client.prepare_call(call, address=signer.ss58_address, metadata_hash=digest)
            signature = await asyncio.to_thread(signer.sign_extrinsic, unsigned)
            return await client.submit_signature(unsigned, signature)

    result = asyncio.run(asyncio.wait_for(submit(), SECONDS))
    assert result.success, result.message


def test_a_commit_is_refused_with_what_to_do_instead(house, execute, signer):
    before = len(house.devnet.extrinsics())
    with pytest.raises(bt.ChainError, match=r"cannot be read before it is revealed.*execute\(intent\)"):
        execute(bt.SetWeights(netuid=3, uids=[1, 2], weights=[1, 2]), signer)
    assert len(house.devnet.extrinsics()) == before


@pytest.mark.parametrize("netuid", [5, 3], ids=["plain", "commit-reveal"])
def test_the_service_executes_the_sdks_intent(house, place, netuid):
    intent = bt.SetWeights(netuid=netuid, uids=[1, 2], weights=[1, 2])
    result = asyncio.run(AsyncWalletService(*place, wallet_name="validator").execute(intent, wait_for_inclusion=True))
    assert result.success, result.message
    assert "timelocked" in result.call if netuid == 3 else result.call.endswith("weights")


def test_http_auth_signs_with_it(house, signer):
    where = {"method": "POST", "path": "/generate?stream=false"}
    headers = bt.http_auth.sign(signer, body=BODY, receiver_ss58=RECEIVER, **where)
    store = bt.http_auth.InMemoryNonceStore()
    caller = bt.http_auth.verify(headers, BODY, self_hotkey_ss58=RECEIVER, nonce_store=store, **where)
    assert caller.hotkey_ss58 == house.guard.address
    with pytest.raises(bt.http_auth.BadSignature):
        bt.http_auth.verify(headers, BODY + b" ", self_hotkey_ss58=RECEIVER, nonce_store=store, **where)


def test_http_auth_needs_a_receiver(signer):
    with pytest.raises(Refused, match="receiver_ss58"):
        bt.http_auth.sign(signer, method="GET", path="/")


def test_a_wrong_token_shows_at_once(place):
    with pytest.raises(NotAuthorised):
        RemoteSigner(place[0], "wg_" + "A" * 43)


def test_every_other_route_through_the_client(house, place):
    with WalletService(*place, wallet_name="validator") as service:
        request = service.request("GET", "/x", receiver=RECEIVER)
        session = service.session("11" * 32, netuid=2, lifetime=60)
        text = service.sign("hello")
        served = service.serve_axon(1, "203.0.113.9", 8091, wait_for_inclusion=True)
        committed = service.set_commitment(2, b"\x01\x02", wait_for_inclusion=True)
    store = bt.http_auth.InMemoryNonceStore()
    seen = {"method": "GET", "path": "/x", "self_hotkey_ss58": RECEIVER, "nonce_store": store}
    assert bt.http_auth.verify(request.headers, b"", **seen).nonce_ns == request.nonce
    assert parse_certificate(session.certificate).certificate.serial == session.serial
    assert bt.sp_core.verify(text.signed.encode(), text.signature, house.guard.address, 1)
    assert (served.success, committed.success) == (True, True), (served, committed)
