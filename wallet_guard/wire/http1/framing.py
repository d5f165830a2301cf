"""Where a message ends (RFC 9112, section 6): the rules that request smuggling lives on, in one place.

1. Transfer-Encoding and Content-Length together are refused (section 6.1 permits a server to; section 11.2
   says why).
2. Content-Length is one line of digits. Two lines are refused even if equal (section 6.3, rule 5, permits
   that).
3. Transfer-Encoding is exactly `chunked`, and only in HTTP/1.1. Another coding is 501, a second chunked is
   400.
4. A request with neither has no body; a response with neither lasts until the connection closes.
"""

from typing import Final

from wallet_guard.wire.errors import HttpError, quoted
from wallet_guard.wire.http1.fields import Fields

CHUNKED: Final = -1
UNTIL_CLOSE: Final = -2

_MAX_LENGTH_DIGITS = 15  # below 2**53, so that no reader in any language rounds it


def request_length(fields: Fields, minor_version: int) -> int:
    """Bytes of the body, or CHUNKED.

    Raises:
        HttpError: 400 for framing that is malformed or ambiguous, 501 for an unknown transfer coding.
    """
    if "transfer-encoding" in fields:
        _check_transfer_encoding(fields, minor_version)
        return CHUNKED
    if "content-length" in fields:
        return _content_length(fields)
    return 0


def response_length(fields: Fields, minor_version: int, status: int, method: str) -> int:
    """Bytes of the body, CHUNKED or UNTIL_CLOSE, for the answer with `status` to a request with `method`.

    Raises:
        HttpError: as for a request.
    """
    if status == 204 or status < 200:
        # RFC 9112, section 6.1 and RFC 9110, section 8.6: framing fields MUST NOT be sent here
        if "transfer-encoding" in fields or "content-length" in fields:
            raise HttpError(400, f"a {status} response has framing fields")
        return 0
    # the framing of an answer without body is checked all the same
    length = request_length(fields, minor_version)
    if method == "HEAD" or status == 304:
        return 0
    if length == 0 and "content-length" not in fields:
        return UNTIL_CLOSE
    return length


def _content_length(fields: Fields) -> int:
    text = fields.get("content-length")
    # a second line shows as ", "; str.isdigit would admit digits of other scripts
    if not (text.isascii() and text.isdigit()) or len(text) > _MAX_LENGTH_DIGITS:
        raise HttpError(400, f"expected one Content-Length in digits, found {quoted(text)}")
    return int(text)


def _check_transfer_encoding(fields: Fields, minor_version: int) -> None:
    if "content-length" in fields:
        raise HttpError(400, "both Transfer-Encoding and Content-Length")
    if minor_version == 0:
        raise HttpError(400, "Transfer-Encoding in HTTP/1.0")
    codings = [coding.strip(" \t").lower() for coding in fields.get("transfer-encoding").split(",")]
    if any(coding and coding != "chunked" for coding in codings):
        raise HttpError(501, f"expected the transfer coding chunked, found {quoted(', '.join(codings))}")
    if codings != ["chunked"]:
        raise HttpError(400, f"expected the transfer coding chunked once, found {quoted(', '.join(codings))}")
