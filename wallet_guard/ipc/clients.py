"""Who may ask for what, with which keys; and how the operator says so."""

from dataclasses import dataclass, field
from typing import ClassVar

from wallet_guard.ipc.answers import Done
from wallet_guard.ipc.signatures import EXTRINSIC_CALLS, EXTRINSIC_PREFIX, REQUEST, SESSION, TEXT
from wallet_guard.ipc.wishes import WISHES, SetWeights

MAX_NAME_CHARACTERS = 64
"""Wallet, hotkey and client names: they become paths and log words."""

CALLS = (*WISHES, REQUEST, SESSION, TEXT, *(EXTRINSIC_PREFIX + call for call in EXTRINSIC_CALLS))
"""Everything that a client can be allowed to ask for; a new client may set weights and no more."""

DEFAULT_CALLS = (SetWeights.kind,)


@dataclass(frozen=True, slots=True)
class KeyView:
    """A loaded hotkey, without its secret. ``crypto`` is ``sr25519`` or ``ed25519``."""

    wallet: str
    hotkey: str
    ss58_address: str
    crypto: str


@dataclass(frozen=True, slots=True)
class ClientView:
    """What a client may do; never its token.

    ``netuids`` None means any; ``per_hour`` counts accepted intents; times are Unix milliseconds.
    """

    name: str
    wallet: str
    hotkey: str
    calls: tuple[str, ...]
    netuids: tuple[int, ...] | None
    per_hour: int
    created_ms: int
    revoked_ms: int | None
    public_key: str | None = None
    """The ss58 address of the Ed25519 key that signs its requests; None for one that has a token."""


@dataclass(frozen=True, slots=True)
class Info:
    """What may this token do, and with which keys?"""

    token: str = field(repr=False)

    ask: ClassVar[str] = "info"
    answer: ClassVar[type]


@dataclass(frozen=True, slots=True)
class InfoView:
    """The client behind a token, and the loaded keys that it may use.

    ``locked`` is why nothing is signed with them now; "" while they sign.
    """

    client: ClientView
    keys: tuple[KeyView, ...]
    locked: str = ""


Info.answer = InfoView


@dataclass(frozen=True, slots=True)
class ClientAdd:
    """A new client.

    ``token`` None makes one (256 bits); a token given is refused if short or one of the known defaults.
    ``public_key``: the ss58 address of an Ed25519 key. Such a client has no token: it signs its requests.
    """

    name: str
    wallet: str
    hotkey: str
    calls: tuple[str, ...]
    netuids: tuple[int, ...] | None
    per_hour: int
    token: str | None = field(repr=False)
    public_key: str | None = None

    ask: ClassVar[str] = "client_add"
    answer: ClassVar[type]


@dataclass(frozen=True, slots=True)
class ClientAdded:
    """The one time that a token is seen; None for a client with a key of its own."""

    client: ClientView
    token: str | None = field(repr=False)


ClientAdd.answer = ClientAdded


@dataclass(frozen=True, slots=True)
class ClientRevoke:
    """From now on its token is nothing."""

    name: str

    ask: ClassVar[str] = "client_revoke"
    answer: ClassVar[type] = Done
