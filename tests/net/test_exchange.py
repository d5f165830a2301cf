import pytest

from wallet_guard.net.exchange import Peer, Request, json_response, plain_error
from wallet_guard.wire.http1.head import Limits, parse_request_head


def test_a_request_shows_its_head() -> None:
    head = parse_request_head(b"POST /a%20b?c=d HTTP/1.1\r\nHost: h\r\nX: y", Limits())
    request = Request(head, b"body", Peer("::1", 5, -1), "http")
    assert (request.method, request.target, request.path, request.query) == ("POST", "/a%20b?c=d", "/a b", "c=d")
    assert request.headers.get("x") == "y"
    assert request.parameters == ()


def test_peers_are_counted_by_address_or_uid() -> None:
    assert Peer("10.0.0.1", 5, -1).key == "10.0.0.1"
    assert Peer("", 0, 1000).key == "uid:1000"


def test_json_is_compact_utf8() -> None:
    assert json_response({"a": ["\u00e4", 1]}, 201, (("X", "y"),)) == (
        *(201, '{"a":["\u00e4",1]}'.encode(), "application/json", (("X", "y"),), False),
    )


def test_json_has_no_nan() -> None:
    with pytest.raises(ValueError, match="JSON"):
        json_response(float("nan"))


def test_a_plain_error_says_status_and_reason() -> None:
    assert plain_error(400, "why").body == b'{"error":{"status":400,"reason":"why"}}'
    assert plain_error(400, "why").status == 400
