"""What may be signed, through real processes; and that no route's output serves as another's.

The judges are the ecosystem's own: the SDK's client and ``http_auth.verify``, the library's ``verify`` (which takes
wrapped signatures), and the chain.
"""

import asyncio
import contextlib
import json
import sqlite3
from hashlib import sha256
from pathlib import Path
from typing import Any

import bittensor_core
import pytest

from wallet_guard.ipc.blocking import ask
from wallet_guard.ipc.clients import CALLS, ClientAdd
from wallet_guard.signed.certificate import Purpose, parse_certificate, verify_certificate
from wallet_guard.signed.schemes import SR25519, public_key_of, verify

bt = pytest.importorskip("bittensor")

from bittensor import http_auth  # noqa: E402 - after the skip

SECONDS = 60
METADATA = (Path(__file__).parents[2] / "wallet_guard/devnet/data/subtensor-spec461-v15.scale").read_bytes()
BOB = bittensor_core.Keypair.create_from_uri("//Bob", 1).ss58_address
BODY = '{"prompt": "hello"}'
TARGET = "/generate?stream=false"


@pytest.fixture(scope="module")
def house(make_house):
    house = make_house()
    question = ClientAdd("everything", house.guard.wallet, house.guard.hotkey, CALLS, None, 10_000, None)
    house.guard.token = ask(house.guard.signer_socket("admin"), question).token
    return house


@pytest.fixture(scope="module")
def post(house):
    def post(route: str, /, **fields: Any) -> dict[str, Any]:
        answer = house.guard.request("POST", route, {"wallet_name": house.guard.wallet} | fields)
        assert answer.status == 200, answer
        return answer.body

    return post


@pytest.fixture(scope="module")
def sdk(house, tmp_path_factory):
    """``sdk(work)``: what ``await work(client)`` gives, the client being the SDK's, connected to the chain."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("sdk")
        patch.setenv("BITTENSOR_RUNTIME_CACHE_DIR", str(folder))
        patch.setenv("HOME", str(folder))

        def run(work: Any) -> Any:
            async def with_client() -> Any:
                async with bt.Subtensor(house.devnet.url) as client:
                    return await work(client)

            return asyncio.run(asyncio.wait_for(with_client(), SECONDS))

        yield run


class RemoteSigner:
    """The SDK's ``Signer`` in front of ``POST /wallet/extrinsic``: no key here."""

    crypto_type = 1
    ss58_format = 42

    def __init__(self, guard: Any) -> None:
        self.guard = guard
        self.ss58_address = guard.address
        self.public_key = public_key_of(guard.address)
        self.asked: list[dict[str, Any]] = []
        self.answers: list[Any] = []

    def sign(self, payload: bytes) -> bytes:
        raise AssertionError(f"the SDK wanted {len(payload)} bytes signed blindly")

    def metadata_digest(self, context: Any) -> bytes:
        return bytes(bittensor_core.metadata_digest(context.metadata_bytes, context.spec_version, context.spec_name))

    async def sign_unsigned_extrinsic(self, unsigned: Any) -> bytes:
        self.asked.append(unsigned.to_dict())
        body = {"wallet_name": self.guard.wallet, "extrinsic": unsigned.to_dict()}
        answer = await asyncio.to_thread(self.guard.request, "POST", "/wallet/extrinsic", body)
        self.answers.append(answer)
        if answer.status != 200:
            raise PermissionError(answer.code)
        return bytes.fromhex(answer.body["signature"][2:])


# Each route, under the ecosystem's eyes ------------------------------------------------------------------------------


WISHES = {
    "serve_axon": {"ip": "203.0.113.7", "port": 8091},
    "serve_axon_tls": {"ip": "2001:db8::7", "port": 8092, "certificate": "0x01" + "ab" * 32},
    "serve_prometheus": {"ip": "203.0.113.7", "port": 9090},
    "set_commitment": {"data": "https://example.org/model"},
    "reset_axon": {},
}


@pytest.mark.parametrize("kind", WISHES)
def test_a_call_becomes_effective(house, post, kind):
    data = {"netuid": 2, "wait_for_finalization": True} | WISHES[kind]
    answer = post(f"/wallet/{kind}", transaction_data=data)
    assert (answer["kind"], answer["submitted"]) == (kind, "yes")
    view = house.guard.wait(answer["intent"], "effective")
    assert view.kind == kind
    (extrinsic,) = [each for each in house.devnet.extrinsics() if each["hash"] == answer["extrinsic_hash"]]
    assert (extrinsic["call"], extrinsic["error"]) == (answer["call"], None)


def test_the_chain_shows_the_axon_that_the_sdk_reads(house, post, sdk):
    data = {"netuid": 1, "ip": "198.51.100.9", "port": 4242, "wait_for_finalization": True}
    post("/wallet/serve_axon", transaction_data=data)
    axon = sdk(lambda client: client.query(("SubtensorModule", "Axons"), [1, house.guard.address]))
    assert (axon["ip"], axon["port"], axon["ip_type"]) == (0xC6336409, 4242, 4)


def test_a_call_that_the_chain_refuses_says_why(house):
    body = {"wallet_name": house.guard.wallet, "transaction_data": {"netuid": 77, "ip": "198.51.100.9", "port": 1}}
    answer = house.guard.request("POST", "/wallet/serve_axon", body)
    assert (answer.status, answer.code, answer.body["submitted"]) == (422, "not_registered", "no")


def test_the_sdk_serves_an_axon_with_a_remote_signer(house, sdk):
    signer = RemoteSigner(house.guard)
    result = sdk(lambda client: client.execute(bt.ServeAxon(netuid=4, ip="203.0.113.8", port=8091), signer))
    assert result.success, result.message
    assert house.devnet.extrinsics(house.guard.address)[-1]["call"] == "SubtensorModule.serve_axon"
    assert house.devnet.extrinsics(house.guard.address)[-1]["metadata_hash"] is True


def test_the_sdk_sets_plain_weights_with_a_remote_signer(house, sdk):
    signer = RemoteSigner(house.guard)
    result = sdk(lambda client: client.execute(bt.SetWeights(netuid=2, uids=[1, 2], weights=[1, 2]), signer))
    assert result.success, result.message
    assert house.devnet.extrinsics(house.guard.address)[-1]["call"] == "SubtensorModule.set_mechanism_weights"


def test_the_sdk_is_refused_a_commit_that_cannot_be_read(house, sdk):
    signer, before = RemoteSigner(house.guard), len(house.devnet.extrinsics())
    with pytest.raises(bt.ChainError, match="call_refused"):
        sdk(lambda client: client.execute(bt.SetWeights(netuid=3, uids=[1, 2], weights=[1, 2]), signer))
    assert len(house.devnet.extrinsics()) == before


def test_the_sdk_takes_a_signed_request(house, post):
    answer = post("/wallet/request", method="POST", path=TARGET, body=BODY, receiver=BOB)
    caller = http_auth.verify(
        answer["headers"], BODY.encode(), method="POST", path=TARGET, self_hotkey_ss58=BOB, nonce_store=fresh()
    )
    assert caller.hotkey_ss58 == house.guard.address


def test_a_certificate_is_its_hotkeys(house, post):
    answer = post("/wallet/session", key="0x" + "11" * 32, netuid=2, receiver=BOB, lifetime=60)
    signed = parse_certificate(answer["certificate"])
    now = signed.certificate.from_ms
    found = verify_certificate(answer["certificate"], now_ms=now, purpose=Purpose.NODE, netuid=2, receiver=BOB)
    assert (found.speaker, found.key) == (house.guard.address, b"\x11" * 32)
    assert bittensor_core.verify(signed.body, signed.signature, house.guard.address, 1)


# The matrix ----------------------------------------------------------------------------------------------------------


def fresh() -> Any:
    return http_auth.InMemoryNonceStore()


def wrapped(message: bytes) -> bytes:
    return b"<Bytes>" + message + b"</Bytes>"


@pytest.fixture(scope="module")
def outputs(house, post, sdk):
    """Route → (what the route's own verifier is given, signature): one output of each, and texts that try harder."""
    request = post("/wallet/request", method="POST", path=TARGET, body=BODY, receiver=BOB)["headers"]
    payload = http_auth.build_payload(
        scheme="sr25519",
        method="POST",
        path=TARGET,
        body=BODY.encode(),
        nonce_ns=int(request["X-Bittensor-Nonce"]),
        sender_ss58=house.guard.address,
        receiver_ss58=BOB,
    )
    certificate = parse_certificate(
        post("/wallet/session", key="0x" + "11" * 32, netuid=2, receiver=BOB, lifetime=60)["certificate"]
    )
    signer = RemoteSigner(house.guard)
    result = sdk(lambda client: client.execute(bt.ServeAxon(netuid=1, ip="203.0.113.9", port=8091), signer))
    assert result.success, result.message
    found = {
        "request": (payload, bytes.fromhex(request["X-Bittensor-Signature"][2:])),
        "session": (certificate.body, certificate.signature),
        "extrinsic": (
            bytes.fromhex(signer.asked[0]["payload"][2:]),
            bytes.fromhex(signer.answers[0].body["signature"][2:]),
        ),
    }
    messages = {
        "plain": "hello",
        "request": payload.decode(),
        "session": certificate.body.decode(),
        "end": "</Bytes><Bytes>" + payload.decode(),
        "hex": "0x" + found["extrinsic"][0].hex(),
    }
    for name, message in messages.items():
        answer = post("/wallet/sign", message=message)
        found[f"text {name}"] = (answer["signed"].encode(), bytes.fromhex(answer["signature"][2:]))
    return found


def names() -> tuple[str, ...]:
    texts = ("plain", "request", "session", "end", "hex")
    return ("request", "session", "extrinsic", *(f"text {name}" for name in texts))


@pytest.mark.parametrize("route", names())
def test_each_output_is_good_for_its_own_purpose(house, outputs, route):
    message, signature = outputs[route]
    assert bittensor_core.verify(message, signature, house.guard.address, 1)
    assert verify(SR25519, public_key_of(house.guard.address), message, signature)


@pytest.mark.parametrize("route", names())
@pytest.mark.parametrize("other", names())
def test_no_output_verifies_as_another(house, outputs, route, other):
    if route == other:
        return
    _, signature = outputs[route]
    message, _ = outputs[other]
    for form in (message, wrapped(message), message.removeprefix(b"<Bytes>").removesuffix(b"</Bytes>")):
        assert not bittensor_core.verify(form, signature, house.guard.address, 1)


@pytest.mark.parametrize("route", [name for name in names() if name != "request"])
def test_the_sdk_takes_no_other_output_for_a_request(house, outputs, route):
    message, signature = outputs[route]
    payload = outputs["request"][0].decode().split("\n")
    headers = {
        "X-Bittensor-Version": "1",
        "X-Bittensor-Hotkey": house.guard.address,
        "X-Bittensor-Receiver": BOB,
        "X-Bittensor-Nonce": payload[5],
        "X-Bittensor-Signature": "0x" + signature.hex(),
    }
    where = {"method": "POST", "self_hotkey_ss58": BOB, "nonce_store": fresh(), "now_ns": int(payload[5])}
    # Also with the output's own bytes smuggled in as the path, which is the one line that strangers choose freely.
    for path in (TARGET, message.decode("latin-1"), TARGET + "\n" + message.decode("latin-1")):
        with pytest.raises(http_auth.AuthError):
            http_auth.verify(headers, BODY.encode(), path=path, **where)


@pytest.mark.parametrize("route", [name for name in names() if name != "session"])
def test_no_other_output_is_a_certificate(house, outputs, route):
    message, signature = outputs[route]
    body = outputs["session"][0]
    assert not verify(SR25519, public_key_of(house.guard.address), body, signature)
    assert not message.startswith(b"wallet-guard session/1")


@pytest.mark.parametrize("route", [name for name in names() if name != "extrinsic"])
def test_the_chain_takes_no_other_output_for_an_extrinsic(house, outputs, sdk, route):
    """Put on a fitting extrinsic of the same key, nonce and era, as anybody could who has the signature."""
    _, signature = outputs[route]

    async def submit(client: Any) -> Any:
        place = {"netuid": 2, "version": 1, "ip": 0xCB007142, "port": 6666, "ip_type": 4, "protocol": 4}
        call = ("SubtensorModule", "serve_axon", place | {"placeholder1": 0, "placeholder2": 0})
        unsigned = await client.prepare_call(call, address=house.guard.address)
        return await client.submit_signature(unsigned, signature)

    before = house.devnet.extrinsics(house.guard.address)
    result = sdk(submit)
    assert not result.success
    assert "signature" in result.message.lower(), result.message
    assert house.devnet.extrinsics(house.guard.address) == before


@pytest.mark.parametrize("route", [name for name in names() if name != "extrinsic"])
def test_no_other_output_is_over_bytes_that_could_be_a_payload(outputs, route):
    """A node takes the signature of a payload as it is up to 256 bytes, else of its 32-byte hash."""
    message, _ = outputs[route]
    runtime = bittensor_core.Runtime(METADATA, 461, 1)
    assert len(message) != 32
    with pytest.raises(ValueError, match=r"."):
        runtime.decode_call(message)
    assert message.isascii(), "a payload ends in hashes"


# Written down --------------------------------------------------------------------------------------------------------


def test_every_signature_is_in_the_audit_chain(house, outputs):
    assert "unbroken" in house.guard.audit()
    path = f"file:{house.guard.folder}/state/journal.sqlite3?mode=ro"
    with contextlib.closing(sqlite3.connect(path, uri=True)) as journal:
        records = [(kind, json.loads(body)) for kind, body in journal.execute("SELECT kind, body FROM audit")]
    nonce = int(outputs["request"][0].split(b"\n")[5])
    assert [body for kind, body in records if kind == "request_signed" and body["nonce"] == nonce]
    serial = outputs["session"][0].decode().rpartition(" ")[2]
    assert [body for kind, body in records if kind == "session_issued" and body["serial"] == serial]
    texts = {body["sha256"] for kind, body in records if kind == "text_signed"}
    assert {sha256(message).hexdigest() for name, (message, _) in outputs.items() if name.startswith("text")} <= texts
    payload = sha256(outputs["extrinsic"][0]).hexdigest()
    assert [body for kind, body in records if kind == "extrinsic_signed" and body["payload_sha256"] == payload]
