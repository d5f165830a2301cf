"""A request that its client signed: for nodes that do not trust the gateway."""

from dataclasses import dataclass
from typing import ClassVar

from wallet_guard.ipc.intents import IntentView

MAX_SIGNED_BODY_BYTES = 360 * 1024
"""360 KiB, 480 KiB in base64: 4,096 weights by hotkey are 0.3 MB, and a packet takes 512 KiB."""


@dataclass(frozen=True, slots=True)
class ClientSigned:
    """An HTTP request as it came, with its btauth/1 fields: the signer verifies it and reads for itself what is asked.

    ``target`` is path and query as sent, ``fields`` the ``X-Bittensor-*`` fields. What comes back is the answer to the
    question that the request spells (``orders.reading``): an intent's view, unless it is another kind of request.
    """

    method: str
    target: str
    fields: tuple[tuple[str, str], ...]
    body: bytes

    ask: ClassVar[str] = "client_signed"
    answer: ClassVar[type] = IntentView
