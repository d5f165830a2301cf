import pytest

from wallet_guard.wire.errors import HttpError
from wallet_guard.wire.http1.fields import Fields
from wallet_guard.wire.http1.framing import CHUNKED
from wallet_guard.wire.http1.head import (
    HeadCache,
    Limits,
    connection_options,
    find_head_end,
    keeps_alive,
    parse_request_head,
    parse_response_head,
)

LIMITS = Limits()


def request(*lines: str, start: str = "GET / HTTP/1.1"):
    return parse_request_head("\r\n".join((start, *lines)).encode("latin-1"), LIMITS)


def status_of(*lines: str, start: str = "GET / HTTP/1.1") -> int:
    with pytest.raises(HttpError) as caught:
        request(*lines, start=start)
    return caught.value.status


def test_a_head_in_its_parts() -> None:
    head = request("Host: a", "X: y", "Content-Length: 5", start="POST /a%20b?c HTTP/1.1")
    assert (head.method, head.target, head.path, head.query) == ("POST", "/a%20b?c", "/a b", "c")
    assert (head.minor_version, head.length, head.keep_alive) == (1, 5, True)
    assert head.fields.get("x") == "y"
    assert not head.expects_continue
    assert not head.upgrades_websocket


def test_http_1_0_closes_unless_told_otherwise() -> None:
    assert not request(start="GET / HTTP/1.0").keep_alive
    assert request("Connection: keep-alive", start="GET / HTTP/1.0").keep_alive


def test_close_is_honoured() -> None:
    assert not request("Host: a", "Connection: x, Close").keep_alive


def test_an_upgrade_needs_both_fields_and_http_1_1() -> None:
    fields = ("Host: a", "Connection: Upgrade", "Upgrade: WebSocket")
    assert request(*fields).upgrades_websocket
    assert not request(*fields[:2]).upgrades_websocket
    assert not request("Host: a", fields[2]).upgrades_websocket
    assert not request(*fields, start="GET / HTTP/1.0").upgrades_websocket


def test_an_expectation_needs_a_body_and_http_1_1() -> None:
    fields = ("Host: a", "Expect: 100-Continue", "Content-Length: 1")
    assert request(*fields).expects_continue
    assert not request(*fields, start="GET / HTTP/1.0").expects_continue
    assert not request(*fields[:2]).expects_continue
    assert request("Host: a", fields[1], "Transfer-Encoding: chunked").length == CHUNKED
    assert status_of("Host: a", "Expect: x") == 417


def test_refusals_of_the_request_line() -> None:
    assert status_of("Host: a", start="GET /") == 400
    assert status_of("Host: a", start="G" * 33 + " / HTTP/1.1") == 400
    assert status_of("Host: a", start="GET / HTTP/1.2") == 505
    assert status_of("Host: a", start="GET / HTTP/2.0") == 505
    assert status_of("Host: a", start=f"GET /{'a' * 8000} HTTP/1.1") == 414


def test_a_refusal_does_not_show_the_query() -> None:
    with pytest.raises(HttpError) as caught:
        request(start="GET /?token=secret")
    assert "secret" not in caught.value.reason


def test_host_is_needed_once() -> None:
    assert status_of() == 400
    assert status_of("Host: a", "Host: a") == 400
    assert status_of("Host: a", "Host: a", start="GET / HTTP/1.0") == 400
    assert status_of("Host: a b") == 400
    assert request(start="GET / HTTP/1.0").fields == Fields()
    assert request("Host:").path == "/"


def test_an_absolute_target_agrees_with_the_host() -> None:
    assert request("Host: A", start="GET http://a/b HTTP/1.1").path == "/b"
    assert status_of("Host: b", start="GET http://a/b HTTP/1.1") == 400


def test_a_body_above_the_ceiling_is_refused_before_it_comes() -> None:
    assert status_of("Host: a", f"Content-Length: {LIMITS.max_body_bytes + 1}") == 413


def test_connection_must_not_name_what_reaches_the_end() -> None:
    with pytest.raises(HttpError):
        connection_options(Fields([("Connection", "close, Host")]))
    assert connection_options(Fields([("Connection", "Close, x")])) == ("close", "x")


def test_close_beats_keep_alive() -> None:
    assert not keeps_alive(("keep-alive", "close"), 1)
    assert keeps_alive((), 1)
    assert not keeps_alive((), 0)


def test_a_response_head_in_its_parts() -> None:
    head = parse_response_head(b"HTTP/1.1 404 Not F\xf6und\r\nA: b", LIMITS)
    assert (head.status, head.reason, head.minor_version, head.keep_alive) == (404, "Not F\xf6und", 1, True)
    assert head.fields.get("a") == "b"
    assert parse_response_head(b"HTTP/1.0 200 ", LIMITS).keep_alive is False


@pytest.mark.parametrize(
    "line", [b"HTTP/1.1 200", b"HTTP/1.1 600 X", b"HTTP/1.1 2000 X", b"http/1.1 200 X", b"HTTP/1.1 200 a\x00"]
)
def test_refuses_what_is_no_status_line(line: bytes) -> None:
    with pytest.raises(HttpError):
        parse_response_head(line, LIMITS)


def test_refuses_a_response_of_another_version() -> None:
    with pytest.raises(HttpError) as caught:
        parse_response_head(b"HTTP/3.0 200 OK", LIMITS)
    assert caught.value.status == 505


def test_the_end_of_a_head_is_found_wherever_it_was_looked_for() -> None:
    data = b"xxGET / HTTP/1.1\r\nHost: a\r\n\r\nrest"
    for scanned in range(2, len(data) - 4):
        assert find_head_end(data, 2, scanned, 100) == data.index(b"\r\n\r\n")


def test_a_head_may_be_as_long_as_the_limit_and_no_longer() -> None:
    assert find_head_end(b"a" * 10 + b"\r\n\r\n", 0, 0, 10) == 10
    assert find_head_end(b"a" * 11 + b"\r\n", 0, 0, 10) == -1
    with pytest.raises(HttpError) as caught:
        find_head_end(b"a" * 11 + b"\r\n\r\n", 0, 0, 10)
    assert caught.value.status == 431


@pytest.mark.parametrize("data", [b"a\nb", b"a\rb", b"a\x00", b"a\n\r\n\r\n", b"a\r\r\n\r\n", b"\n"])
def test_refuses_bare_line_ends_at_once(data: bytes) -> None:
    with pytest.raises(HttpError) as caught:
        find_head_end(data, 0, 0, 100)
    assert caught.value.status == 400


def test_a_cr_at_the_end_may_still_become_a_line_end() -> None:
    assert find_head_end(b"a\r", 0, 0, 100) == -1
    with pytest.raises(HttpError):
        find_head_end(b"a\rb", 0, 2, 100)


def test_the_cache_remembers_what_was_parsed() -> None:
    cache = HeadCache(LIMITS)
    head = b"GET / HTTP/1.1\r\nHost: a"
    assert cache.find(head) is None
    assert cache.parse(head) is cache.find(head)


def test_the_cache_remembers_no_long_head_and_no_refusal() -> None:
    cache = HeadCache(LIMITS)
    long = b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * HeadCache.MAX_HEAD_BYTES
    cache.parse(long)
    assert cache.find(long) is None
    with pytest.raises(HttpError):
        cache.parse(b"GET / HTTP/1.1")
    assert cache.find(b"GET / HTTP/1.1") is None


@pytest.mark.parametrize("name", ["Authorization", "cookie", "Proxy-Authorization"])
def test_the_cache_remembers_no_credential(name: str) -> None:
    cache = HeadCache(LIMITS)
    head = f"GET / HTTP/1.1\r\nHost: a\r\n{name}: Bearer x".encode()
    assert cache.parse(head).method == "GET"
    assert cache.find(head) is None


def test_a_full_cache_begins_anew() -> None:
    cache = HeadCache(LIMITS)
    heads = [b"GET /%d HTTP/1.1\r\nHost: a" % index for index in range(HeadCache.MAX_ENTRIES + 1)]
    for head in heads:
        cache.parse(head)
    assert cache.find(heads[0]) is None
    assert cache.find(heads[-1]) is not None
