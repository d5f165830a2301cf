"""One credential, in one form, and never quoted."""

import pytest

from wallet_guard.gateway.credentials import (
    Bearer,
    ClientKey,
    CredentialError,
    read_credential,
    read_idempotency_key,
)
from wallet_guard.ipc.clients import Info
from wallet_guard.ipc.clientsigned import MAX_SIGNED_BODY_BYTES, ClientSigned
from wallet_guard.net.exchange import Peer, Request
from wallet_guard.wire.http1.fields import Fields
from wallet_guard.wire.http1.head import RequestHead

SIGNED = (("x-bittensor-version", "1"), ("x-bittensor-hotkey", "5F"), ("x-bittensor-signature", "0x00"))


def request(*fields, body=b"{}"):
    head = RequestHead("POST", "/wallet/sign", "/wallet/sign", "", Fields(fields), 1, len(body), True, False, False)
    return Request(head, body, Peer("127.0.0.1", 1, -1), "http")


def test_a_token_asks_in_its_own_name():
    credential = read_credential(request(("Authorization", "bearer  abc.DEF-1=")))
    assert credential == Bearer("abc.DEF-1=")
    assert credential.question(Info) == Info("abc.DEF-1=")
    assert "abc" not in repr(credential)


def test_a_signed_request_is_passed_on_as_it_came():
    credential = read_credential(request(*SIGNED, ("Host", "x")))
    assert isinstance(credential, ClientKey)
    assert credential.who == "5F"
    assert credential.question(Info) == ClientSigned("POST", "/wallet/sign", SIGNED, b"{}")


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ((), "found none"),
        ((("Authorization", "Basic abc"),), "form"),
        ((("Authorization", "Bearer a"), ("Authorization", "Bearer b")), "form"),
        ((("Authorization", "Bearer default-token"),), "known default"),
        ((("Authorization", "Bearer " + "x" * 513),), "form"),
        ((*SIGNED, ("Authorization", "Bearer abc")), "found both"),
        ((*SIGNED, ("Idempotency-Key", "k")), "does not cover it"),
    ],
)
def test_refuses_none_and_both_and_other_forms(fields, says):
    with pytest.raises(CredentialError, match=says):
        read_credential(request(*fields))


def test_a_signed_body_has_a_ceiling_of_its_own():
    read_credential(request(*SIGNED, body=b" " * MAX_SIGNED_BODY_BYTES))
    with pytest.raises(CredentialError, match="at most") as raised:
        read_credential(request(*SIGNED, body=b" " * (MAX_SIGNED_BODY_BYTES + 1)))
    assert raised.value.refusal.code == "too_large"


def test_the_key_comes_from_the_header_or_the_body_and_not_two():
    header = Fields((("Idempotency-Key", "k"),))
    assert read_idempotency_key(header, None) == read_idempotency_key(header, "k") == "k"
    assert read_idempotency_key(Fields(()), "b") == "b"
    assert read_idempotency_key(Fields(()), None) is None
    with pytest.raises(CredentialError, match="found another"):
        read_idempotency_key(header, "b")
    for wrong in ("", "a b", "x" * 129):
        with pytest.raises(CredentialError, match="visible"):
            read_idempotency_key(Fields((("Idempotency-Key", wrong),)), None)
