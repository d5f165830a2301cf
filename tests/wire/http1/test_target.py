import pytest

from wallet_guard.wire.errors import HttpError
from wallet_guard.wire.http1.target import Target, check_authority, parse_target


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("/", Target("/", "", "")),
        ("/a/b", Target("/a/b", "", "")),
        ("/a/", Target("/a/", "", "")),
        ("/%41%c3%a4", Target("/A\u00e4", "", "")),
        ("/a%20b", Target("/a b", "", "")),
        ("/a%252fb", Target("/a%2fb", "", "")),
        ("/a?b=c&d=%2f/?", Target("/a", "b=c&d=%2f/?", "")),
        ("/a?", Target("/a", "", "")),
        ("/.a/..b/c.", Target("/.a/..b/c.", "", "")),
        ("http://Host:80/a?b", Target("/a", "b", "Host:80")),
        ("HTTPS://h", Target("/", "", "h")),
        ("http://h?b", Target("/", "b", "h")),
        ("http://[::1]:80/", Target("/", "", "[::1]:80")),
    ],
)
def test_targets_in_their_forms(target: str, expected: Target) -> None:
    assert parse_target("GET", target) == expected


def test_the_asterisk_is_for_options() -> None:
    assert parse_target("OPTIONS", "*") == Target("*", "", "")
    with pytest.raises(HttpError):
        parse_target("GET", "*")


@pytest.mark.parametrize(
    "target",
    [
        *(
            "a",
            "",
            "//",
            "//a",
            "/a//b",
            "/.",
            "/..",
            "/a/../b",
            "/a/./b",
            "/%2e",
            "/a/%2E%2e",
            "/a%2fb",
            "/a%5Cb",
            "/a\\b",
        ),
        *("/%", "/%4", "/%g0", "/%00", "/%1f", "/%7f", "/%ff", "/%c0%80", "/a#b", '/"', "/a?<b>", "/[", "http:/a"),
        *("http://u@h/", "ftp://h/", "http:///a", "http://h:x/", "http://h/../a", "http://h#f", "http://h:123456/"),
    ],
)
def test_refuses_another_spelling(target: str) -> None:
    with pytest.raises(HttpError) as caught:
        parse_target("GET", target)
    assert caught.value.status == 400


def test_connect_is_not_implemented() -> None:
    with pytest.raises(HttpError) as caught:
        parse_target("CONNECT", "a:1")
    assert caught.value.status == 501


@pytest.mark.parametrize(
    "host", ["", "a", "a:80", "a:", "127.0.0.1:8000", "[::1]", "[::ffff:1.2.3.4]:1", "a-b.c_d", "%41"]
)
def test_hosts(host: str) -> None:
    check_authority(host)


@pytest.mark.parametrize("host", ["a b", "a/b", "a@b", "a:b", "a:1:2", "::1", "[::1", "[::1]x", "a\\b", "%4"])
def test_refuses_what_is_no_host(host: str) -> None:
    with pytest.raises(HttpError):
        check_authority(host)
