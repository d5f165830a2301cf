import pytest

from wallet_guard.wire.errors import HttpError
from wallet_guard.wire.http1.body import ChunkedBody, LengthBody, UntilCloseBody
from wallet_guard.wire.http1.head import Limits

LIMITS = Limits(max_body_bytes=100, max_fields=3, max_trailer_bytes=50, max_extension_bytes=20)


def decode(decoder, pieces: list[bytes]) -> tuple[bytes, bytes]:
    """The body and what was left over, as the parsers feed a decoder."""
    rest = b""
    for piece in pieces:
        rest += piece
        if not decoder.done:
            rest = rest[decoder.take(rest, 0) :]
    assert decoder.done
    return decoder.content(), rest


def test_a_length_body_takes_its_length(cuts) -> None:
    for pieces in cuts(b"hello" + b"rest"):
        assert decode(LengthBody(5), pieces) == (b"hello", b"rest")


def test_an_empty_length_body_is_done() -> None:
    assert LengthBody(0).done


def test_an_until_close_body_takes_all(cuts) -> None:
    for pieces in cuts(b"hello"):
        decoder = UntilCloseBody(5)
        for piece in pieces:
            assert decoder.take(piece, 0) == len(piece)
        assert not decoder.done
        assert decoder.content() == b"hello"


def test_an_until_close_body_has_a_ceiling() -> None:
    decoder = UntilCloseBody(5)
    decoder.take(b"xhell", 1)
    with pytest.raises(HttpError) as caught:
        decoder.take(b"of", 0)
    assert caught.value.status == 413


@pytest.mark.parametrize(
    "wire",
    [
        b"5\r\nhello\r\n0\r\n\r\n",
        b"2\r\nhe\r\n03\r\nllo\r\n000\r\n\r\n",
        b'5;a;b=c ; d = "e;\\""\r\nhello\r\n0\r\n\r\n',
        b"5;a\r\nhello\r\n0;b\r\nX: y\r\nZ:\r\n\r\n",
    ],
)
def test_a_chunked_body_is_the_same_however_cut(wire: bytes, cuts) -> None:
    for pieces in cuts(wire + b"rest"):
        assert decode(ChunkedBody(LIMITS), pieces) == (b"hello", b"rest")


def test_hexadecimal_digits_of_either_case() -> None:
    assert decode(ChunkedBody(LIMITS), [b"a\r\n0123456789\r\nA\r\n0123456789\r\n0\r\n\r\n"])[0] == b"0123456789" * 2


@pytest.mark.parametrize(
    ("wire", "status"),
    [
        (b"x\r\n", 400),
        (b"\r\n", 400),
        (b"0x1\r\n", 400),
        (b"1 \r\n", 400),
        (b"1\r\nab\r\n", 400),
        (b"1\r\na\rb", 400),
        (b"1\r\na\n", 400),
        (b"1;\r\n", 400),
        (b"1;a=\r\n", 400),
        (b"1;" + b"a" * 20 + b"\r\n", 400),
        (b"1;aaaaaaaaaa\r\nx\r\n" * 2, 400),
        (b"1" * 39, 400),
        (b"65\r\n", 413),
        (b"1\r\na\r\n64\r\n", 413),
        (b"0\r\nA\r\n\r\n", 400),
        (b"0\r\nHost: a\r\n\r\n", 400),
        (b"0\r\nTE: a\r\n\r\n", 400),
        (b"0\r\n" + b"a:b\r\n" * 4 + b"\r\n", 431),
        (b"0\r\nA: " + b"b" * 60, 431),
        (b"0\r\nA: " + b"b" * 40 + b"\r\nA: " + b"b" * 10 + b"\r\n", 431),
    ],
)
def test_refuses_what_is_not_chunked(wire: bytes, status: int, cuts) -> None:
    for pieces in cuts(wire):
        with pytest.raises(HttpError) as caught:
            decode(ChunkedBody(LIMITS), pieces)
        assert caught.value.status == status
