"""Every end has a code, a meaning and an advice, and is recognised on the other side."""

import re
import ssl
from pathlib import Path

import pytest

from wallet_guard.realtime import (
    ends,
)
from wallet_guard.wire.errors import HttpError


def test_every_end_says_what_to_do_and_fits_a_close_frame():
    codes = [end.code for end in ends.ENDS]
    assert len(codes) == len(set(codes))
    for end in ends.ENDS:
        assert end.meaning
        assert end.advice
        assert len(end.reason.encode()) <= 123
        assert 1000 <= end.close < 5000
        assert 400 <= end.status < 600


@pytest.mark.parametrize("end", [end for end in ends.ENDS if end.close != 1006], ids=lambda end: end.code)
def test_the_other_side_recognises_every_end(end):
    assert ends.end_of_close(end.close, end.reason) is end
    assert ends.end_of_close(end.close, "in other words").close == end.close
    body = str(ends.describe(end)).replace("'", '"').encode()
    assert ends.end_of_response(end.status, body) is end


@pytest.mark.parametrize(
    ("error", "end"),
    [
        (ConnectionRefusedError(), ends.UNREACHABLE), (TimeoutError(), ends.TIMEOUT), (ssl.SSLError(), ends.TLS),
        (HttpError(502, "x"), ends.PROTOCOL), (ends.RealtimeError(ends.HELLO), ends.HELLO),
    ],
)  # fmt: skip
def test_every_failed_attempt_has_its_end(error, end):
    assert ends.end_of_attempt(error) is end


@pytest.mark.parametrize(("status", "end"), [(401, ends.AUTHENTICATION), (404, ends.PROTOCOL), (503, ends.CLOSING)])
@pytest.mark.parametrize("body", [b"", b"[]", b'{"error":1}', b'{"error":{"code":"made up"}}', b"[" * 100_000])
def test_a_refusal_without_our_words_is_judged_by_its_status(status, end, body):
    assert ends.end_of_response(status, body) is end


def test_every_refused_frame_has_its_end():
    source = "".join(path.read_text() for path in _signed("frames", "reception"))
    assert set(re.findall(r'FrameError\(\s*"(\w+)"', source)) | {"signature"} == set(ends.OF_FRAME)


def _signed(*names):
    return [Path(__file__).parents[2] / "wallet_guard" / "signed" / f"{name}.py" for name in names]
