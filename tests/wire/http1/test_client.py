import pytest

from wallet_guard.wire.errors import HttpError
from wallet_guard.wire.http1.client import ResponseParser, encode_request
from wallet_guard.wire.http1.head import Limits

LIMITS = Limits()


def read(pieces: list[bytes], method: str = "GET", *, ends: bool = False, limits: Limits = LIMITS):
    parser = ResponseParser(limits)
    parser.begin(method)
    responses = []
    for piece in pieces:
        parser.receive(piece)
        response = parser.next_response()
        if response is not None:
            responses.append(response)
    if ends:
        parser.receive_eof()
        response = parser.next_response()
        if response is not None:
            responses.append(response)
    return responses


@pytest.mark.parametrize(
    "wire",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n"
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    ],
)
def test_responses_are_the_same_however_cut(wire: bytes, cuts) -> None:
    for pieces in cuts(wire):
        (response,) = read(pieces)
        assert (response.status, response.reason, response.body, response.keep_alive) == (200, "OK", b"hello", True)


def test_a_response_without_length_lasts_until_close(cuts) -> None:
    for pieces in cuts(b"HTTP/1.1 200 OK\r\nA: b\r\n\r\nhello"):
        (response,) = read(pieces, ends=True)
        assert (response.body, response.keep_alive) == (b"hello", False)


def test_answers_without_body() -> None:
    assert read([b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"], "HEAD")[0].body == b""
    assert read([b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n"])[0].keep_alive is False


def test_refusals_are_the_same_however_cut(vector_of_http1_responses, cuts) -> None:
    reasons = set()
    for pieces in cuts(vector_of_http1_responses.data):
        with pytest.raises(HttpError) as caught:
            # once more, for bytes that came behind the answer
            read([*pieces, b""])
        assert caught.value.status == vector_of_http1_responses.answer
        reasons.add(caught.value.reason)
    assert len(reasons) == 1


def test_an_end_too_soon_is_a_fault() -> None:
    for wire in (b"", b"HTTP/1.1 200", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell"):
        with pytest.raises(HttpError, match="ended before"):
            read([wire], ends=True)


def test_an_end_between_requests_is_none() -> None:
    parser = ResponseParser()
    parser.receive_eof()
    assert parser.next_response() is None


def test_a_fault_is_for_good() -> None:
    parser = ResponseParser()
    parser.receive(b"x")
    for _ in range(2):
        with pytest.raises(HttpError, match="without a request") as caught:
            parser.next_response()
    assert caught.value.status == 502


def test_one_request_after_the_other() -> None:
    parser = ResponseParser()
    for body in (b"a", b"b"):
        parser.begin("GET")
        parser.receive(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n" + body)
        assert parser.next_response().body == body


def test_an_upgrade_leaves_its_rest() -> None:
    parser = ResponseParser()
    parser.begin("GET")
    parser.receive(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\nframes")
    assert parser.next_response().status == 101
    assert parser.take_rest() == b"frames"
    assert parser.next_response() is None


def test_until_close_has_a_ceiling() -> None:
    with pytest.raises(HttpError):
        read([b"HTTP/1.1 200 OK\r\n\r\nhello!"], limits=Limits(max_body_bytes=5))


def test_a_request_in_one_piece() -> None:
    assert encode_request("POST", "/a?b", (("Host", "h"),), b"xy") == (
        b"POST /a?b HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nxy"
    )
    assert encode_request("GET", "/", (), b"") == b"GET / HTTP/1.1\r\n\r\n"
    assert b"Content-Length: 0" in encode_request("POST", "/", (), b"")


@pytest.mark.parametrize(
    ("method", "target"), [("G T", "/"), ("", "/"), ("GET", ""), ("GET", "/ b"), ("GET", "/\r\nA: b"), ("GET", "/\xe4")]
)
def test_does_not_encode_what_cannot_be_sent(method: str, target: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        encode_request(method, target, (), b"")
