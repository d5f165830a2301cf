from wallet_guard.wire.errors import HttpError, ProtocolError, WebSocketError, quoted


def test_an_http_error_carries_its_answer() -> None:
    error = HttpError(426, "why", (("Upgrade", "websocket"),))
    assert isinstance(error, ProtocolError)
    assert (error.status, error.reason, error.fields, str(error)) == (426, "why", (("Upgrade", "websocket"),), "why")


def test_a_websocket_error_carries_its_close_code() -> None:
    error = WebSocketError(1002, "why")
    assert isinstance(error, ProtocolError)
    assert (error.code, error.reason) == (1002, "why")


def test_foreign_text_is_quoted_in_ascii() -> None:
    assert quoted("a\r\n\xe4'") == '"a\\r\\n\\xe4\'"'


def test_foreign_text_is_cut() -> None:
    assert quoted("x" * 40) == f"'{'x' * 40}'"
    assert quoted("x" * 41) == f"'{'x' * 40}...'"
