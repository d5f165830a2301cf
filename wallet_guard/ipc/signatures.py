"""Questions for one signature at once: a request, an extrinsic, a session, a text. Nothing else is ever signed.

None of them carries bytes that are signed as they are: the signer builds them anew from what is meant. Each names the
call by which a client is allowed to ask (see ``CALLS``).
"""

from dataclasses import dataclass, field
from typing import ClassVar

MAX_TEXT_CHARACTERS = 4096
"""Of a text to sign: a page, not a file."""

MAX_METHOD_CHARACTERS = 16
MAX_TARGET_CHARACTERS = 8192
"""Of a request to sign; what servers take in a request line (RFC 9112, section 3, wants at least 8000)."""

MAX_CALL_BYTES = 16 * 1024
"""Of a SCALE call: weights for 4,096 uids are 16 kB."""


@dataclass(frozen=True, slots=True)
class RequestView:
    """A signed btauth/1 request: the header fields that carry it, by name and value."""

    sender: str
    nonce_ns: int
    headers: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class SignRequest:
    """Sign a btauth/1 request that the node is about to send; the signer builds the eight lines.

    ``target`` is path and query as sent. ``nonce_ns`` None lets the signer stamp it; one that is given must be now by
    the signer's clock, within seconds, and unused.
    """

    token: str = field(repr=False)
    wallet: str
    hotkey: str
    method: str
    target: str
    body_sha256: bytes
    receiver: str
    nonce_ns: int | None

    ask: ClassVar[str] = "sign_request"
    answer: ClassVar[type] = RequestView


@dataclass(frozen=True, slots=True)
class ExtrinsicView:
    """The signature of an extrinsic: 64 bytes, and the scheme's number (0 ed25519, 1 sr25519)."""

    ss58_address: str
    crypto_type: int
    signature: bytes


@dataclass(frozen=True, slots=True)
class SignExtrinsic:
    """Sign what the SDK composed: its ``UnsignedExtrinsic``, every part, so that none has to be believed.

    ``era_period`` None means immortal (refused). ``metadata_hash`` None means that CheckMetadataHash is off.
    """

    token: str = field(repr=False)
    wallet: str
    hotkey: str
    address: str
    public_key: bytes
    crypto_type: int
    call_data: bytes
    era_period: int | None
    era_current: int
    nonce: int
    tip: int
    tip_asset_id: int | None
    genesis_hash: bytes
    era_block_hash: bytes
    spec_version: int
    transaction_version: int
    metadata_hash: bytes | None
    payload: bytes
    included_in_extrinsic: bytes
    included_in_signed_data: bytes

    ask: ClassVar[str] = "sign_extrinsic"
    answer: ClassVar[type] = ExtrinsicView


@dataclass(frozen=True, slots=True)
class SessionView:
    """A session certificate in the form that travels (``signed.certificate``), and its end in Unix milliseconds."""

    certificate: str
    serial: str
    until_ms: int


@dataclass(frozen=True, slots=True)
class IssueSession:
    """Certify that this Ed25519 key speaks for the hotkey.

    ``netuid`` None means any, ``receiver`` None anyone. A longer lifetime than the signer gives is refused.
    """

    token: str = field(repr=False)
    wallet: str
    hotkey: str
    key: bytes
    netuid: int | None
    receiver: str | None
    lifetime_seconds: int

    ask: ClassVar[str] = "issue_session"
    answer: ClassVar[type] = SessionView


@dataclass(frozen=True, slots=True)
class IssueHubSession:
    """Certify that this Ed25519 key may greet for the hotkey, on this subnet, for an hour.

    Asked by the hub, on a socket of its own and without a token: it parses the internet, so it holds none.
    """

    wallet: str
    hotkey: str
    key: bytes
    netuid: int

    ask: ClassVar[str] = "issue_hub_session"
    answer: ClassVar[type] = SessionView


@dataclass(frozen=True, slots=True)
class TextView:
    """The signature over ``signed``, which wraps the text."""

    ss58_address: str
    scheme: str
    signed: str
    signature: bytes


@dataclass(frozen=True, slots=True)
class SignText:
    """Sign a text for people, wrapped so that it can be nothing else."""

    token: str = field(repr=False)
    wallet: str
    hotkey: str
    text: str

    ask: ClassVar[str] = "sign_text"
    answer: ClassVar[type] = TextView


REQUEST, SESSION, TEXT = "request", "session", "text"
EXTRINSIC_PREFIX = "extrinsic:"

EXTRINSIC_CALLS = (
    "SubtensorModule.set_weights",
    "SubtensorModule.set_mechanism_weights",
    "SubtensorModule.serve_axon",
    "SubtensorModule.serve_axon_tls",
    "SubtensorModule.serve_prometheus",
    "Commitments.set_commitment",
)
"""Calls that an extrinsic of a node's own may be: free of fees, plain to read, without power over the key's account."""
