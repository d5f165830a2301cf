"""btauth/1 against the ecosystem's vectors, its reference implementation, and what that one forgives."""

import dataclasses
import json
from hashlib import sha256
from pathlib import Path

import bittensor_core
import pytest
from bittensor import http_auth

from wallet_guard.signed import btauth
from wallet_guard.signed.btauth import (
    AuthError,
    BadSignature,
    MalformedAuth,
    NonceMemory,
    ReplayedRequest,
    Request,
    StaleRequest,
    TooManyRequests,
    Verifier,
    WrongReceiver,
    parse_headers,
)
from wallet_guard.signed.schemes import ED25519, SR25519, public_key_of, verify

VECTORS = json.loads((Path(__file__).parents[1] / "vectors/btauth/btauth1_vectors.json").read_text())
FIXTURES, GOLDEN, GENERATED = VECTORS["fixtures"], VECTORS["golden"], VECTORS["generated"]
BODY = FIXTURES["body_utf8"].encode()
NONCE = int(FIXTURES["nonce_ns"])
TARGET = FIXTURES["path"]
CRYPTO = {SR25519: bittensor_core.CRYPTO_SR25519, ED25519: bittensor_core.CRYPTO_ED25519}


def request_of(scheme=SR25519, **changes):
    fields = {
        "scheme": scheme,
        "method": FIXTURES["method"],
        "target": TARGET,
        "body_sha256": sha256(BODY).digest(),
        "nonce_ns": NONCE,
        "sender": FIXTURES[f"sender_{scheme}_ss58"],
        "receiver": FIXTURES["receiver_ss58"],
    }
    return Request(**fields | changes)


def signed(scheme=SR25519, **changes):
    pair = bittensor_core.Keypair.create_from_uri(FIXTURES["sender_uri"], CRYPTO[scheme])
    request = request_of(scheme, **changes)
    return request.headers(pair.sign(request.payload()))


def verifier(**changes):
    return Verifier(FIXTURES["receiver_ss58"], NonceMemory(0).take, **changes)


def check(headers, *, now_ns=NONCE + 10**9, method="POST", target=TARGET, body=BODY, by=None):
    fields = headers.items() if isinstance(headers, dict) else headers
    return (by or verifier()).verify(fields, method=method, target=target, body=body, now_ns=now_ns)


# The ecosystem's vectors ------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", [SR25519, ED25519])
def test_builds_the_golden_payload(scheme):
    assert request_of(scheme).payload() == GOLDEN[f"{scheme}_payload_utf8"].encode()


def test_takes_the_golden_signature():
    key = public_key_of(FIXTURES["sender_ed25519_ss58"])
    signature = bytes.fromhex(GOLDEN["ed25519_signature"][2:])
    assert verify(ED25519, key, GOLDEN["ed25519_payload_utf8"].encode(), signature)


@pytest.mark.parametrize("at", range(3))
def test_takes_the_generated_signatures(at):
    signature = bytes.fromhex(GENERATED["sr25519_example_signatures_verify_only"][at][2:])
    assert verify(
        SR25519,
        public_key_of(FIXTURES["sender_sr25519_ss58"]),
        GOLDEN["sr25519_payload_utf8"].encode(),
        signature,
    )


def test_an_unbound_payload_has_a_dash():
    assert request_of(receiver=None).payload() == GENERATED["sr25519_unbound_payload_utf8"].encode()


@pytest.mark.parametrize("scheme", [SR25519, ED25519])
def test_takes_the_generated_headers(scheme):
    caller = check(GENERATED[f"headers_{scheme}"])
    assert (caller.hotkey, caller.nonce_ns, caller.scheme) == (FIXTURES[f"sender_{scheme}_ss58"], NONCE, scheme)


def test_names_of_fields_may_be_in_lower_case():
    assert check({name.lower(): value for name, value in GENERATED["headers_sr25519"].items()})


@pytest.mark.parametrize("spelling", ["SR25519", "1", "sr25519"])
def test_the_scheme_has_the_spellings_of_the_reference(spelling):
    assert check(GENERATED["headers_sr25519"] | {btauth.HEADER_CRYPTO: spelling}).scheme == SR25519


def test_builds_the_headers_of_the_vectors():
    for scheme in (SR25519, ED25519):
        wanted = GENERATED[f"headers_{scheme}"]
        signature = bytes.fromhex(wanted["X-Bittensor-Signature"][2:])
        assert request_of(scheme).headers(signature) == wanted


# The vectors' refusals --------------------------------------------------------------------------------------


@pytest.mark.parametrize("seconds", [-3, 11])
def test_refuses_a_nonce_outside_of_the_window(seconds):
    with pytest.raises(StaleRequest):
        check(signed(), now_ns=NONCE + seconds * 10**9)


@pytest.mark.parametrize("seconds", [-2, 0, 10])
def test_takes_a_nonce_at_the_edges_of_the_window(seconds):
    assert check(signed(), now_ns=NONCE + seconds * 10**9)


def test_refuses_the_same_headers_twice():
    by, headers = verifier(), signed()
    check(headers, by=by)
    with pytest.raises(ReplayedRequest):
        check(headers, by=by, now_ns=NONCE + 5 * 10**9)


def test_refuses_a_changed_nonce():
    with pytest.raises(BadSignature):
        check(signed() | {btauth.HEADER_NONCE: str(NONCE + 1)})


@pytest.mark.parametrize("changed", [{"body": BODY + b" "}, {"method": "PUT"}, {"target": "/generate"}])
def test_refuses_a_changed_request(changed):
    with pytest.raises(BadSignature):
        check(signed(), **changed)


def test_refuses_an_ed25519_signature_that_is_announced_as_sr25519():
    headers = signed(ED25519)
    del headers[btauth.HEADER_CRYPTO]
    with pytest.raises(BadSignature):
        check(headers)


def test_refuses_a_request_for_another_receiver():
    with pytest.raises(WrongReceiver):
        check(signed(receiver=FIXTURES["sender_sr25519_ss58"]))


def test_refuses_a_request_for_no_receiver():
    with pytest.raises(WrongReceiver):
        check(signed(receiver=None))


@pytest.mark.parametrize(
    "name", [btauth.HEADER_VERSION, btauth.HEADER_HOTKEY, btauth.HEADER_NONCE, btauth.HEADER_SIGNATURE]
)
def test_refuses_a_request_without_a_field(name):
    headers = signed()
    del headers[name]
    with pytest.raises(MalformedAuth):
        check(headers)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (btauth.HEADER_NONCE, "not-a-number"),
        (btauth.HEADER_CRYPTO, "ecdsa"),
        (btauth.HEADER_SIGNATURE, "0xnothex"),
        (btauth.HEADER_VERSION, "2"),
    ],
)
def test_refuses_malformed_fields(name, value):
    with pytest.raises(MalformedAuth):
        check(signed() | {name: value})


# Stricter than the reference --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "nonce", [f"0{NONCE}", f"+{NONCE}", f" {NONCE}", f"{NONCE // 10}_{NONCE % 10}", "१७", "-1", ""]
)
def test_refuses_other_spellings_of_the_nonce(nonce):
    with pytest.raises(MalformedAuth):
        check(signed() | {btauth.HEADER_NONCE: nonce})


@pytest.mark.parametrize(
    "change", [str.upper, lambda text: text[2:], lambda text: text + " ", lambda text: text + "00"]
)
def test_refuses_other_spellings_of_the_signature(change):
    headers = signed()
    with pytest.raises(MalformedAuth):
        check(headers | {btauth.HEADER_SIGNATURE: change(headers[btauth.HEADER_SIGNATURE])})


@pytest.mark.parametrize("name", btauth.HEADERS)
def test_refuses_a_field_that_comes_twice(name):
    headers = signed(ED25519)
    with pytest.raises(MalformedAuth, match="once"):
        check([*headers.items(), (name.lower(), headers[name])])


@pytest.mark.parametrize("address", ["15oF4uVJwmo4TdGW7VfQxNLavjCXviqxT9S1MgbjMNHr6Sp5", "5Grwva", "x" * 5000])
def test_refuses_other_spellings_of_the_sender(address):
    with pytest.raises(MalformedAuth):
        check(signed() | {btauth.HEADER_HOTKEY: address})


@pytest.mark.parametrize("scheme", [SR25519, ED25519])
def test_refuses_a_wrapped_signature_that_the_reference_takes(scheme):
    pair = bittensor_core.Keypair.create_from_uri(FIXTURES["sender_uri"], CRYPTO[scheme])
    request = request_of(scheme)
    headers = request.headers(pair.sign(b"<Bytes>" + request.payload() + b"</Bytes>"))
    where = {"method": "POST", "path": TARGET, "self_hotkey_ss58": FIXTURES["receiver_ss58"]}
    assert http_auth.verify(headers, BODY, **where, nonce_store=http_auth.InMemoryNonceStore(), now_ns=NONCE)
    with pytest.raises(BadSignature):
        check(headers)


def test_a_pinned_scheme_is_not_chosen_by_the_header():
    pins = {FIXTURES["sender_ed25519_ss58"]: SR25519}
    with pytest.raises(BadSignature, match="scheme"):
        check(signed(ED25519), by=verifier(expected_scheme=pins.get))
    assert check(signed(SR25519), by=verifier(expected_scheme=pins.get))


@pytest.mark.parametrize("target", ["/a\nb", "/a b", "a", "", "/\x7f", "/é", "http://host/", "/" + "a" * 8192, "/\r"])
def test_a_target_is_one_line_of_visible_ascii(target):
    with pytest.raises(MalformedAuth):
        request_of(target=target).payload()


@pytest.mark.parametrize("method", ["", "PO ST", "POST\n", "G" * 17, "é", "1"])
def test_a_method_is_one_word(method):
    with pytest.raises(MalformedAuth):
        request_of(method=method).payload()


@pytest.mark.parametrize(
    "changed",
    [
        {"scheme": "ecdsa"},
        {"body_sha256": b"short"},
        {"nonce_ns": 0},
        {"nonce_ns": 2**64},
        {"sender": "5Grwva\n"},
        {"receiver": "-"},
        {"receiver": ""},
    ],
)
def test_builds_no_payload_from_parts_that_could_be_read_otherwise(changed):
    with pytest.raises(MalformedAuth):
        dataclasses.replace(request_of(), **changed).payload()


def test_a_stranger_cannot_fill_the_memory_of_nonces():
    memory = NonceMemory(0)
    by = Verifier(FIXTURES["receiver_ss58"], memory.take)
    headers = signed()
    forged = headers | {btauth.HEADER_SIGNATURE: "0x" + "11" * 64}
    with pytest.raises(BadSignature):
        check(forged, by=by)
    assert len(memory) == 0
    assert check(headers, by=by)


def test_shape_comes_before_receiver_before_freshness_before_signature():
    bad_all = signed(receiver=None) | {btauth.HEADER_SIGNATURE: "0x" + "11" * 64, btauth.HEADER_VERSION: "2"}
    found = []
    for mended in (
        {},
        {btauth.HEADER_VERSION: "1"},
        {btauth.HEADER_RECEIVER: FIXTURES["receiver_ss58"]},
    ):
        bad_all |= mended
        with pytest.raises(AuthError) as caught:
            check(bad_all, now_ns=NONCE + 60 * 10**9)
        found.append(caught.type)
    with pytest.raises(AuthError) as caught:
        check(bad_all)
    assert [*found, caught.type] == [MalformedAuth, WrongReceiver, StaleRequest, BadSignature]


# Both ways with the reference -------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", [SR25519, ED25519])
def test_the_reference_takes_what_we_sign(scheme):
    where = {"method": "POST", "path": TARGET, "self_hotkey_ss58": FIXTURES["receiver_ss58"]}
    store = http_auth.InMemoryNonceStore()
    caller = http_auth.verify(signed(scheme), BODY, **where, nonce_store=store, now_ns=NONCE)
    assert caller.hotkey_ss58 == FIXTURES[f"sender_{scheme}_ss58"]


@pytest.mark.parametrize("scheme", [SR25519, ED25519])
def test_we_take_what_the_reference_signs(scheme):
    pair = bittensor_core.Keypair.create_from_uri("//Alice", CRYPTO[scheme])
    headers = http_auth.sign(
        pair, method="post", path="/x?y=%20", body=b"\0", receiver_ss58=FIXTURES["receiver_ss58"], nonce_ns=NONCE
    )
    assert check(headers, method="POST", target="/x?y=%20", body=b"\0").hotkey == pair.ss58_address


# The memory of nonces ---------------------------------------------------------------------------------------


def test_a_nonce_is_remembered_as_long_as_it_could_come_in_again():
    memory = NonceMemory(0)
    at = NONCE - btauth.DEFAULT_MAX_SKEW_NS
    last = NONCE + btauth.DEFAULT_MAX_AGE_NS
    assert memory.take("a", NONCE, at)
    assert not memory.take("a", NONCE, last)
    memory.take("b", last, last + 1)
    assert len(memory) == 1


def test_a_nonce_of_another_sender_is_another_nonce():
    memory = NonceMemory(0)
    assert memory.take("a", NONCE, NONCE)
    assert memory.take("b", NONCE, NONCE)


def test_what_may_have_been_taken_before_a_restart_is_not_taken():
    memory = NonceMemory(NONCE)
    assert not memory.take("a", NONCE - 1, NONCE + 1)
    assert memory.take("a", NONCE, NONCE + 1)


def test_a_full_memory_takes_nothing_more():
    memory = NonceMemory(0, max_nonces=2)
    memory.take("a", NONCE, NONCE)
    memory.take("a", NONCE + 1, NONCE)
    with pytest.raises(TooManyRequests):
        memory.take("a", NONCE + 2, NONCE)
    assert memory.take("a", NONCE + 13 * 10**9, NONCE + 13 * 10**9)


def test_other_fields_are_passed_over():
    claim = parse_headers([*signed().items(), ("Host", "x"), ("host", "y"), ("X-Bittensor-Drand-Round", "1")])
    assert claim.nonce_ns == NONCE
