"""Who asks: a bearer token, or a request that the client signed itself; and the key that makes a repeat safe.

A signed request is passed on to the signer as it came. What the gateway reads of it serves only to answer in time.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from wallet_guard.ipc.answers import Refusal
from wallet_guard.ipc.clientsigned import MAX_SIGNED_BODY_BYTES, ClientSigned
from wallet_guard.ipc.intents import MAX_IDEMPOTENCY_KEY_CHARACTERS
from wallet_guard.ipc.questions import Question
from wallet_guard.net.exchange import Request
from wallet_guard.wire.http1.fields import Fields

KNOWN_DEFAULT_TOKENS = ("", "default-token", "your-token", "your-secret-api-key")
"""What the seeds' documentation and code fill in where nobody chose a token."""

MAX_TOKEN_CHARACTERS = 512

# b64token of RFC 6750, section 2.1; the scheme is case-insensitive (RFC 9110, section 11.1).
_BEARER = re.compile(r"[Bb][Ee][Aa][Rr][Ee][Rr] +([A-Za-z0-9\-._~+/]+=*)")
_KEY = re.compile(r"[!-~]+")

_SIGNED = "x-bittensor-"
"""What the fields of btauth/1 begin with. The signer knows them; here no cryptography is loaded."""

_HINT = "send Authorization: Bearer and the token that 'wallet-guard client add' printed"


class CredentialError(Exception):
    """No credential; ``refusal`` says what was expected."""

    def __init__(self, code: str, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.refusal = Refusal(code, message, hint)


@dataclass(frozen=True, slots=True)
class Bearer:
    """A token."""

    token: str = field(repr=False)

    @property
    def who(self) -> str:
        """What places are counted by."""
        return self.token

    def question(self, ask: Callable[[str], Question]) -> Question:
        """What to ask the signer, given how it is asked in the name of a token."""
        return ask(self.token)


@dataclass(frozen=True, slots=True)
class ClientKey:
    """A request signed by a client's key (btauth/1); not verified here."""

    request: ClientSigned
    sender: str

    @property
    def who(self) -> str:
        """What places are counted by."""
        return self.sender

    def question(self, ask: Callable[[str], Question]) -> Question:
        """The request itself, whatever is asked: the signer reads it, and the same bytes give the same intent."""
        ask("")  # what cannot be asked at all is refused here, as it is for a token
        return self.request


Credential = Bearer | ClientKey


def read_credential(request: Request) -> Credential:
    """The one credential of a request.

    Raises:
        CredentialError: none, both kinds, or not in its one form. Nothing of it is quoted: it may be a token with a
            slip of the pen.
    """
    signed = tuple((name, value) for name, value in request.headers if name.lower().startswith(_SIGNED))
    if not signed:
        return Bearer(_token(request.headers))
    if request.headers.get_all("authorization"):
        raise CredentialError("unauthorized", "expected a token or a signed request, found both")
    if len(request.body) > MAX_SIGNED_BODY_BYTES:
        message = f"expected a signed body of at most {MAX_SIGNED_BODY_BYTES} bytes, found {len(request.body)}"
        raise CredentialError("too_large", message)
    if request.headers.get_all("idempotency-key"):
        message = "Idempotency-Key: expected none, since the signature does not cover it"
        raise CredentialError("invalid_header", message, "give idempotency_key in the body")
    passed = ClientSigned(request.method, request.target, signed, request.body)
    return ClientKey(passed, request.headers.get("x-bittensor-hotkey"))


def read_idempotency_key(fields: Fields, in_body: str | None) -> str | None:
    """The client's key, from the header or the body; None without one.

    Raises:
        CredentialError: a header that is none, or two that differ.
    """
    values = fields.get_all("idempotency-key")
    if not values:
        return in_body
    if len(values) > 1 or not _KEY.fullmatch(values[0]) or len(values[0]) > MAX_IDEMPOTENCY_KEY_CHARACTERS:
        message = f"Idempotency-Key: expected once 1 to {MAX_IDEMPOTENCY_KEY_CHARACTERS} visible characters"
        raise CredentialError("invalid_header", message)
    if in_body not in (None, values[0]):
        raise CredentialError("invalid_header", "Idempotency-Key: expected the body's idempotency_key, found another")
    return values[0]


def _token(fields: Fields) -> str:
    values = fields.get_all("authorization")
    if not values:
        raise CredentialError("unauthorized", "expected an Authorization field, found none", _HINT)
    match = _BEARER.fullmatch(values[0]) if len(values) == 1 else None
    if match is None or len(match[1]) > MAX_TOKEN_CHARACTERS:
        raise CredentialError("unauthorized", "expected one Authorization field of the form 'Bearer TOKEN'", _HINT)
    if match[1] in KNOWN_DEFAULT_TOKENS:
        raise CredentialError("unauthorized", "expected a token of your own, found a known default", _HINT)
    return match[1]
