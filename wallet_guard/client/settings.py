"""Where the service is and who we are: arguments, then the command line, then the environment, then the default."""

import argparse
import contextlib
import logging
import os
import re
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

from wallet_guard.client.errors import SettingsError

log = logging.getLogger(__name__)

URL_VARIABLE = "WALLET_SERVICE_URL"
TOKEN_VARIABLE = "WALLET_SERVICE_TOKEN"  # noqa: S105 -- the variable's name
KEY_VARIABLE = "WALLET_SERVICE_KEY"
DEFAULT_URL = "http://localhost:8000"

KNOWN_DEFAULT_TOKENS = ("", "default-token", "your-token", "your-secret-api-key")
"""What the seeds' documentation and code fill in where nobody chose a token."""

# b64token of RFC 6750, section 2.1
_TOKEN = re.compile(r"[A-Za-z0-9\-._~+/]+=*")


class Place(NamedTuple):
    """Where the service listens.

    ``socket`` is the path of a Unix socket, "" for TCP. ``authority`` goes into the Host field, ``prefix``
    before every path.
    """

    socket: str
    host: str
    port: int
    tls: bool
    authority: str
    prefix: str

    def __str__(self) -> str:
        if self.socket:
            return f"unix://{self.socket}"
        return f"{'https' if self.tls else 'http'}://{self.authority}{self.prefix}"


def parse_url(url: str) -> Place:
    """The place that a ``unix://``, ``http://`` or ``https://`` URL names.

    Raises:
        SettingsError: another scheme, no host, a user name or a query in it.
    """
    try:
        parts = urlsplit(url.strip())
        port = parts.port
    except ValueError as error:
        raise SettingsError(f"{URL_VARIABLE}: expected a URL, found {url[:80]!r}") from error
    scheme = parts.scheme
    if scheme == "unix":
        path = unquote(parts.path)
        if parts.netloc or not path.startswith("/") or "\0" in path:
            raise SettingsError(f"{URL_VARIABLE}: expected unix:///path/to/socket, found {url[:80]!r}")
        return Place(path, "", 0, False, "localhost", "")
    if scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise SettingsError(
            f"{URL_VARIABLE}: expected http://host:port, https://host:port or unix:///path, found {url[:80]!r}"
        )
    if "@" in parts.netloc:
        raise SettingsError(f"{URL_VARIABLE}: expected no user name or password, use the token")
    tls = scheme == "https"
    return Place("", parts.hostname, port or (443 if tls else 80), tls, parts.netloc, parts.path.rstrip("/"))


def choose_url(url: str | None) -> Place:
    """The place to use: the argument, else ``WALLET_SERVICE_URL``, else http://localhost:8000.

    Raises:
        SettingsError: it is no such URL.
    """
    place = parse_url(url or os.environ.get(URL_VARIABLE) or DEFAULT_URL)
    if not place.socket and not place.tls and place.host not in ("localhost", "127.0.0.1", "::1"):
        log.warning(f"{place}: the token travels in clear; use https:// or a private network")
    return place


def choose_token(token: str | None) -> str:
    """The token to use: the argument, else ``WALLET_SERVICE_TOKEN``.

    Raises:
        SettingsError: none, a known default, or characters that a token cannot have. Never quotes it.
    """
    token = os.environ.get(TOKEN_VARIABLE) if token is None else token
    ask = "ask the service's operator for one ('wallet-guard client add')"
    if token is None:
        raise SettingsError(f"{TOKEN_VARIABLE}: expected a token, found none; {ask}")
    token = token.strip()
    if token in KNOWN_DEFAULT_TOKENS:
        found = "a known default" if token else "an empty one"
        raise SettingsError(f"{TOKEN_VARIABLE}: expected a token of your own, found {found}; {ask}")
    if _TOKEN.fullmatch(token) is None:
        raise SettingsError(f"{TOKEN_VARIABLE}: expected letters, digits and -._~+/=, found other characters")
    return token


def add_args(parser: argparse.ArgumentParser) -> None:
    """Adds ``--wallet.service_url``, ``--wallet.service_token``, ``--wallet.fallback_local``; twice does no harm.

    Their defaults are None: the environment is read when the service is made, so that no token shows in
    ``--help`` or in a printed configuration.
    """
    # A parser that has the option already (the SDK parses repeatedly) keeps it.
    with contextlib.suppress(argparse.ArgumentError):
        parser.add_argument(
            "--wallet.service_url",
            default=None,
            help=f"wallet service, http(s)://host:port or unix:///path (default: ${URL_VARIABLE} or {DEFAULT_URL})",
        )
    with contextlib.suppress(argparse.ArgumentError):
        parser.add_argument(
            "--wallet.service_token",
            default=None,
            help=f"its token (default: ${TOKEN_VARIABLE}, which other users of this machine cannot read)",
        )
    with contextlib.suppress(argparse.ArgumentError):
        parser.add_argument(
            "--wallet.fallback_local",
            action="store_true",
            default=False,
            help="set weights with the local wallet's key where the service certainly did nothing (default: never)",
        )


def setting(args: Any, name: str) -> str | None:
    """``wallet.<name>`` from an argparse namespace (dotted attribute) or a nested configuration object."""
    value = getattr(args, f"wallet.{name}", None)
    if value is None:
        value = getattr(getattr(args, "wallet", None), name, None)
    return value if isinstance(value, str) else None


def flag(args: Any, name: str) -> bool:
    """Is ``wallet.<name>`` set, in an argparse namespace or a nested configuration object?"""
    value = getattr(args, f"wallet.{name}", None)
    if value is None:
        value = getattr(getattr(args, "wallet", None), name, None)
    return value is True
