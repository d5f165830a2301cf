"""Properties over generated input: what is encoded is parsed back, however it is cut."""

import pytest

from wallet_guard.wire.errors import HttpError
from wallet_guard.wire.http1.client import ResponseParser, encode_request
from wallet_guard.wire.http1.fields import TCHAR, Fields
from wallet_guard.wire.http1.head import HeadCache, Limits
from wallet_guard.wire.http1.server import RequestParser, encode_response
from wallet_guard.wire.http1.target import parse_target
from wallet_guard.wire.websocket.frames import BINARY, CONTINUATION, FIN, TEXT, apply_mask, encode_frame
from wallet_guard.wire.websocket.machine import Limits as MessageLimits
from wallet_guard.wire.websocket.machine import Machine

hypothesis = pytest.importorskip("hypothesis", reason="PROPERTIES NOT TESTED: hypothesis is not installed")
given, settings, st = hypothesis.given, hypothesis.settings, hypothesis.strategies

DATE = b"Tue, 15 Nov 1994 08:12:31 GMT"
TOKENS = st.text(TCHAR.replace("\\", ""), min_size=1, max_size=20)
VALUES = st.text(
    st.characters(min_codepoint=0x20, max_codepoint=0xFF, exclude_characters=[chr(code) for code in range(0x7F, 0xA0)]),
    max_size=30,
).map(lambda value: value.strip(" \t\xa0\x85"))
OURS = ("host", "content-length", "transfer-encoding", "connection", "expect", "upgrade")
FIELDS = st.lists(st.tuples(TOKENS.filter(lambda name: name.lower() not in OURS), VALUES), max_size=8)
SEGMENTS = (
    st.text("abcXYZ012-._~%", max_size=8)
    .map(lambda text: text.replace("%", "%41"))
    .filter(lambda s: s not in (".", "..", ""))
)
CUTS = st.lists(st.integers(1, 60), max_size=20)


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    found, start = [], 0
    for size in cuts:
        found.append(data[start : start + size])
        start += size
    return [*found, data[start:]]


@given(TOKENS.filter(lambda m: m != "CONNECT"), st.lists(SEGMENTS, max_size=4), FIELDS, st.binary(max_size=200), CUTS)
def test_an_encoded_request_is_parsed_back(method, segments, fields, body, cuts) -> None:
    target = "/" + "/".join(segments)
    wire = encode_request(method, target, (("Host", "h"), *fields), body)
    parser = RequestParser(HeadCache(Limits()))
    requests = []
    for piece in pieces(wire * 2, cuts):
        parser.receive(piece)
        while (request := parser.next_request()) is not None:
            requests.append(request)
    assert [(r.head.method, r.head.target, r.body) for r in requests] == [(method, target, body)] * 2
    for name, value in fields:
        assert value in requests[0].head.fields.get_all(name)


@given(st.integers(200, 599).filter(lambda s: s not in (204, 304)), FIELDS, st.binary(max_size=200), CUTS)
def test_an_encoded_response_is_parsed_back(status, fields, body, cuts) -> None:
    wire = encode_response(status, tuple(fields), body, date=DATE, close=False)
    parser = ResponseParser()
    parser.begin("GET")
    responses = []
    for piece in pieces(wire, cuts):
        parser.receive(piece)
        response = parser.next_response()
        if response is not None:
            responses.append(response)
    assert [(r.status, r.body) for r in responses] == [(status, body)]
    assert set(Fields(fields)) <= set(responses[0].fields)


@given(st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), max_size=30))
def test_a_path_has_one_spelling(text) -> None:
    try:
        path = parse_target("GET", "/" + text).path
    except HttpError:
        return
    assert path.startswith("/")
    assert "//" not in path
    assert not {".", ".."} & set(path.split("/"))
    assert not any(ord(character) < 0x20 or character in "\\\x7f" for character in path)


@given(st.binary(max_size=1500), st.binary(min_size=4, max_size=4))
def test_masking_is_its_own_inverse(payload, key) -> None:
    assert apply_mask(apply_mask(payload, key), key) == payload
    assert len(apply_mask(payload, key)) == len(payload)


class Log:
    def __init__(self) -> None:
        self.events: list[object] = []

    def on_message(self, data) -> None:
        self.events.append(data)

    def on_ping(self, payload) -> None:
        raise AssertionError

    on_pong = on_ping

    def on_close(self, code, reason) -> None:
        self.events.append(code)


@settings(deadline=None)
@given(st.lists(st.one_of(st.text(max_size=300), st.binary(max_size=300)), max_size=6), CUTS, st.integers(1, 90))
def test_what_one_role_sends_the_other_receives(messages, cuts, fragment) -> None:
    client_log, server_log = Log(), Log()
    client = Machine(client_log, MessageLimits(), lambda: b"\x01\x80\xff\x7f")
    server = Machine(server_log, MessageLimits())
    for message in messages:
        if isinstance(message, str):
            client.send_text(message)
            server.send_text(message)
        else:
            client.send_binary(message)
            server.send_binary(message)
        payload = message.encode() if isinstance(message, str) else message
        parts = [payload[start : start + fragment] for start in range(0, len(payload), fragment)] or [b""]
        for index, part in enumerate(parts):
            first = CONTINUATION if index else (TEXT if isinstance(message, str) else BINARY)
            client.outgoing.append(encode_frame(first | (FIN if index == len(parts) - 1 else 0), part, b"wxyz"))
    for piece in pieces(b"".join(server.outgoing), cuts):
        client.receive(piece)
    server.outgoing.clear()
    client.send_close()
    for piece in pieces(b"".join(client.outgoing), cuts):
        server.receive(piece)
    assert server_log.events == [message for message in messages for _ in range(2)] + [1000]
    client.receive(b"".join(server.outgoing))
    assert client_log.events == [*messages, 1000]
