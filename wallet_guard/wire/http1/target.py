"""The request target: its forms, percent-encoding, the one spelling of a path (RFC 9112, section 3.2).

A path is decoded once and must then be in its only spelling. Repairing (RFC 3986, section 6) is what lets a
front door and the house disagree about a path, so these are refused with 400 instead: dot segments, empty
segments, an encoded "/" or "\\", an encoded control character, bytes that are no UTF-8, a fragment.
"""

import re
from typing import NamedTuple

from wallet_guard.wire.errors import HttpError, quoted

# pchar = unreserved / pct-encoded / sub-delims / ":" / "@" (RFC 3986, section 3.3)
_PCHAR = r"(?:[A-Za-z0-9\-._~!$&'()*+,;=:@]|%[0-9A-Fa-f]{2})"
# origin-form = absolute-path [ "?" query ] (RFC 9112, section 3.2.1); query = *( pchar / "/" / "?" )
_ORIGIN_FORM = re.compile(rf"((?:/{_PCHAR}*+)++)(?:\?((?:{_PCHAR}|[/?])*+))?+")
# absolute-form = absolute-URI (RFC 9112, section 3.2.2); no userinfo (RFC 9110, section 4.2.4)
_ABSOLUTE_FORM = re.compile(r"https?://([^/?#@]++)([/?].*+)?+", re.IGNORECASE)
# uri-host [ ":" port ]: reg-name, IPv4address or IP-literal (RFC 3986, section 3.2.2)
_AUTHORITY = re.compile(
    r"(?:[A-Za-z0-9\-._~!$&'()*+,;=]|%[0-9A-Fa-f]{2})*+(?::[0-9]{0,5}+)?+|\[[0-9A-Fa-f:.]++\](?::[0-9]{0,5}+)?+"
)
_ESCAPE = re.compile(rb"%([0-9A-Fa-f]{2})")


class Target(NamedTuple):
    """A checked request target; `authority` is empty unless the target was in absolute form."""

    path: str  # decoded, "*" for the asterisk form
    query: str  # as sent, without the "?"
    authority: str


def parse_target(method: str, target: str) -> Target:
    """The target of a request; `target` is visible ASCII already.

    Raises:
        HttpError: 400 for a malformed or ambiguous target, 501 for CONNECT, since we are no proxy.
    """
    if method == "CONNECT":
        raise HttpError(501, "this server opens no tunnels")
    if target == "*":
        if method != "OPTIONS":
            raise HttpError(400, "the target * is for OPTIONS only")
        return Target("*", "", "")
    authority = ""
    if not target.startswith("/"):
        absolute = _ABSOLUTE_FORM.fullmatch(target)
        if absolute is None:
            raise HttpError(400, f"expected a target in origin or absolute form, found {quoted(target)}")
        authority = absolute[1]
        check_authority(authority)
        rest = absolute[2] or "/"
        # http://host?query has an empty path, which means "/" (RFC 9110, section 4.2.3)
        target = rest if rest.startswith("/") else "/" + rest
    match = _ORIGIN_FORM.fullmatch(target)
    if match is None:
        raise HttpError(400, f"the target holds a character that must be percent-encoded: {quoted(target)}")
    return Target(decode_path(match[1]), match[2] or "", authority)


def decode_path(path: str) -> str:
    """The decoded path; `path` matches absolute-path.

    Raises:
        HttpError: 400 if the path has another spelling.
    """
    decoded = path
    if "%" in path:
        octets = _ESCAPE.sub(_unescape, path.encode("ascii"))
        try:
            decoded = octets.decode("utf-8")
        except UnicodeDecodeError:
            raise HttpError(400, f"the path is no UTF-8 once decoded: {quoted(path)}") from None
    segments = decoded.split("/")[1:]
    if "." in segments or ".." in segments:
        raise HttpError(400, f"the path has dot segments: {quoted(path)}")
    if "" in segments[:-1]:
        raise HttpError(400, f"the path has an empty segment: {quoted(path)}")
    return decoded


def _unescape(match: re.Match[bytes]) -> bytes:
    octet = int(match[1], 16)
    if octet < 0x20 or octet in b"/\\\x7f":
        raise HttpError(400, f"the path encodes a separator or control character: {quoted(match[0].decode('ascii'))}")
    return bytes((octet,))


def check_authority(authority: str) -> None:
    """Nothing, if the text is a host with or without a port, or empty (RFC 9110, section 7.2).

    Raises:
        HttpError: 400 otherwise.
    """
    if _AUTHORITY.fullmatch(authority) is None:
        raise HttpError(400, f"expected a host, found {quoted(authority)}")
