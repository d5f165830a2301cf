import pytest

from wallet_guard.wire.errors import WebSocketError
from wallet_guard.wire.websocket.closing import Close, encode_close, is_sendable, parse_close

SENDABLE = [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999]
NOT_SENDABLE = [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535]


@pytest.mark.parametrize("code", SENDABLE)
def test_codes_that_may_be_sent(code: int) -> None:
    assert is_sendable(code)
    assert parse_close(encode_close(code, "why\u00e4")) == Close(code, "why\u00e4")


@pytest.mark.parametrize("code", NOT_SENDABLE)
def test_codes_that_must_not_be_sent(code: int) -> None:
    assert not is_sendable(code)
    with pytest.raises(WebSocketError) as caught:
        parse_close(code.to_bytes(2, "big"))
    assert caught.value.code == 1002
    if code != 1005:
        with pytest.raises(ValueError, match="cannot be sent"):
            encode_close(code, "")


def test_an_empty_close_has_no_status() -> None:
    assert parse_close(b"") == Close(1005, "")
    assert encode_close(1005, "ignored") == b""


def test_refuses_half_a_code() -> None:
    with pytest.raises(WebSocketError) as caught:
        parse_close(b"\x03")
    assert caught.value.code == 1002


def test_refuses_a_reason_of_no_utf8() -> None:
    with pytest.raises(WebSocketError) as caught:
        parse_close(b"\x03\xe8\xff")
    assert caught.value.code == 1007


def test_a_long_reason_is_cut_between_characters() -> None:
    payload = encode_close(1000, "\u00e4" * 100)
    assert len(payload) == 124
    assert parse_close(payload).reason == "\u00e4" * 61
