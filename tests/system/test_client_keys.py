"""A node with a key of its own, through the whole house: nothing that it sends could be used by another."""

import asyncio

import pytest

pytest.importorskip("bittensor")

from wallet_guard.client import AsyncWalletService, NotAuthorised, WalletService
from wallet_guard.client.identity import Identity
from wallet_guard.ipc.blocking import ask
from wallet_guard.ipc.clients import ClientAdd

pytestmark = pytest.mark.slow

SECONDS = 60.0


@pytest.fixture(scope="module")
def house(make_house):
    return make_house()


@pytest.fixture(scope="module")
def node(house, tmp_path_factory):
    identity = Identity.create(tmp_path_factory.mktemp("node") / "node.key", house.guard.address)
    question = ClientAdd("keyed", "validator", "default", ("set_weights", "text"), (2,), 1000, None, identity.address)
    ask(house.guard.signer_socket("admin"), question, seconds=SECONDS)
    return identity


def service_of(house, identity, kind=WalletService):
    return kind(f"unix://{house.guard.client_socket}", identity=identity, wallet_name="validator")


def test_sets_weights_and_the_chain_has_them(house, node):
    with service_of(house, node) as service:
        result = service.set_weights(2, [1, 2, 3], [1, 2, 3], wait_for_inclusion=True, timeout=SECONDS)
        assert result.success, result
        assert house.devnet.row(2, 6) == {1: 21845, 2: 43690, 3: 65535}
        assert service.intent(result.intent).success
        assert service.info().client == "keyed"


def test_the_same_key_again_is_the_same_intent_though_it_is_signed_anew(house, node):
    with service_of(house, node) as service:
        first, second = (service.set_weights(2, [4], [1], idempotency_key="epoch-9", timeout=SECONDS) for _ in range(2))
    assert first.intent == second.intent


def test_signs_a_text_under_asyncio(house, node):
    signed = asyncio.run(service_of(house, node, AsyncWalletService).sign("hello"))
    assert signed.ss58_address == house.guard.address


def test_a_strangers_key_gets_nothing(house):
    stranger = Identity(b"\x09" * 32, house.guard.address)
    with service_of(house, stranger) as service, pytest.raises(NotAuthorised):
        service.info()


def test_a_key_that_means_another_guard_gets_nothing(house, node, tmp_path):
    elsewhere = Identity.create(tmp_path / "k", node.address)
    with service_of(house, elsewhere) as service, pytest.raises(NotAuthorised):
        service.sign("hello")
