import pytest

from wallet_guard.wire.errors import HttpError
from wallet_guard.wire.http1.client import Response
from wallet_guard.wire.http1.fields import Fields
from wallet_guard.wire.http1.head import Limits, parse_request_head
from wallet_guard.wire.websocket.handshake import (
    accept_key,
    check_request,
    check_response,
    encode_accept,
    encode_opening,
    offered_subprotocols,
)

# RFC 6455, section 1.3
KEY = "dGhlIHNhbXBsZSBub25jZQ=="
ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
NONCE = b"the sample nonce"


def opening(*extra: str, method: str = "GET", version: str = "13", key: str | None = KEY):
    lines = [f"{method} /ws HTTP/1.1", "Host: h", "Connection: Upgrade", "Upgrade: websocket", *extra]
    lines += [f"Sec-WebSocket-Version: {version}"] if version else []
    lines += [f"Sec-WebSocket-Key: {key}"] if key is not None else []
    return parse_request_head("\r\n".join(lines).encode("latin-1"), Limits())


def test_the_key_of_the_rfc() -> None:
    assert accept_key(KEY) == ACCEPT
    assert check_request(opening()) == KEY


@pytest.mark.parametrize(
    "key", [None, "", "x", KEY[:-1], KEY + "=", KEY[:-3] + "R==", "AAAA", f"{KEY}, {KEY}", " ".join(KEY), "\xe4" * 24]
)
def test_refuses_a_key_that_is_not_16_bytes_in_base64(key: str | None) -> None:
    with pytest.raises(HttpError) as caught:
        check_request(opening(key=key))
    assert caught.value.status == 400


def test_refuses_two_keys() -> None:
    with pytest.raises(HttpError):
        check_request(opening(f"Sec-WebSocket-Key: {KEY}"))


@pytest.mark.parametrize("version", ["", "8", "12", "14", "013"])
def test_another_version_is_told_ours(version: str) -> None:
    with pytest.raises(HttpError) as caught:
        check_request(opening(version=version))
    assert caught.value.status == 426
    assert ("Sec-WebSocket-Version", "13") in caught.value.fields


def test_refuses_another_method() -> None:
    with pytest.raises(HttpError) as caught:
        check_request(opening(method="POST"))
    assert (caught.value.status, caught.value.fields) == (405, (("Allow", "GET"),))


def test_refuses_a_body() -> None:
    with pytest.raises(HttpError) as caught:
        check_request(opening("Content-Length: 1"))
    assert caught.value.status == 400


def test_subprotocols_in_order_of_preference() -> None:
    assert offered_subprotocols(Fields()) == ()
    fields = Fields([("Sec-WebSocket-Protocol", "btws.1, Chat"), ("Sec-WebSocket-Protocol", "x")])
    assert offered_subprotocols(fields) == ("btws.1", "Chat", "x")


@pytest.mark.parametrize("value", ["", "a,", "a b", "a, a", "a;b"])
def test_refuses_a_malformed_offer(value: str) -> None:
    with pytest.raises(HttpError) as caught:
        offered_subprotocols(Fields([("Sec-WebSocket-Protocol", value)]))
    assert caught.value.status == 400


def test_the_answer_accepts_no_extension() -> None:
    assert (
        encode_accept(KEY, "btws.1", [("X", "y")])
        == (
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Accept: {ACCEPT}\r\nSec-WebSocket-Protocol: btws.1\r\nX: y\r\n\r\n"
        ).encode()
    )
    assert b"Protocol: " not in encode_accept(KEY)


def test_the_opening_is_one_that_we_accept() -> None:
    encoded, key = encode_opening("h:1", "/ws?a", NONCE, ("btws.1", "x"), [("Authorization", "Bearer t")])
    assert key == KEY
    head = parse_request_head(encoded.removesuffix(b"\r\n\r\n"), Limits())
    assert head.upgrades_websocket
    assert check_request(head) == KEY
    assert offered_subprotocols(head.fields) == ("btws.1", "x")
    assert (head.target, head.fields.get("host"), head.fields.get("authorization")) == ("/ws?a", "h:1", "Bearer t")
    assert b"Protocol:" not in encode_opening("h", "/", NONCE)[0]


def test_the_opening_needs_sixteen_fresh_bytes() -> None:
    with pytest.raises(ValueError, match="16 bytes"):
        encode_opening("h", "/", NONCE[1:])


def test_the_fields_of_the_handshake_are_ours() -> None:
    with pytest.raises(ValueError, match="belongs to the handshake"):
        encode_opening("h", "/", NONCE, fields=[("sec-websocket-KEY", "x")])


def answer(status: int = 101, **changed: str | None) -> Response:
    fields = {"Upgrade": "WebSocket", "Connection": "keep-alive, Upgrade", "Sec-WebSocket-Accept": ACCEPT}
    for name, value in changed.items():
        fields[name.replace("_", "-")] = value
    return Response(status, "", Fields((k, v) for k, v in fields.items() if v is not None), b"", True)


def test_an_answer_that_proves_and_chooses() -> None:
    assert check_response(answer(), KEY) == ""
    assert check_response(answer(Sec_WebSocket_Protocol="b"), KEY, ("a", "b")) == "b"


@pytest.mark.parametrize(
    "response",
    [
        answer(200),
        answer(301),
        answer(Upgrade=None),
        answer(Upgrade="h2c"),
        answer(Upgrade="websocket, h2c"),
        answer(Connection="close"),
        answer(Sec_WebSocket_Accept=None),
        answer(Sec_WebSocket_Accept=ACCEPT.lower()),
        answer(Sec_WebSocket_Extensions="permessage-deflate"),
        answer(Sec_WebSocket_Protocol="c"),
        answer(Sec_WebSocket_Protocol="a, b"),
        answer(Sec_WebSocket_Protocol=""),
    ],
)
def test_refuses_an_answer_that_proves_nothing(response: Response) -> None:
    with pytest.raises(HttpError) as caught:
        check_response(response, KEY, ("a", "b"))
    assert caught.value.status == 502
