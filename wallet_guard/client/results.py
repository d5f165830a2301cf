"""What a service answered, as values: read from JSON once, here, with nothing believed about its shape."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from wallet_guard.wire.http1.client import Response

_SIGNATURE = re.compile(r"0x[0-9a-f]{128}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule's word on a dry run: ``pass``, ``refuse`` or ``later``; what would pass, and what was found."""

    rule: str
    verdict: str
    passes: str
    found: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """What a dry run says would be signed: the call's name, its SCALE bytes as hex, and what each rule says.

    ``call`` is None where none can be composed; ``fee_rao`` None where the chain does not tell.
    """

    call: str | None
    call_data: str | None
    fee_rao: int | None
    rules: tuple[Rule, ...]


@dataclass(frozen=True, slots=True)
class Result:
    """How a call that submits ended, or how an intent fares.

    Unpacks to ``(success, message)`` and is true for success, like the SDK's.

    ``code`` is "" for success, else one of the service's codes, or ``unreachable`` where no service answered;
    ``hint`` says what to do, ``rule`` names the operator's rule that refused it. ``submitted`` is ``no``, ``maybe``
    or ``yes``: may the chain have got it? ``final`` says whether that can still change: only ``no`` and final
    together mean that it never will. ``queued``: kept until the subnet's rate limit permits it (``next_block``,
    ``next_time``). ``status`` is the HTTP status, 0 without an answer. Times are RFC 3339. ``local``: not the service
    but the local wallet did it (see ``fallback``); ``fallbacks`` counts how often that has happened so far.
    ``explanation`` is a dry run's: nothing was signed, and success means that it would be.
    """

    success: bool
    message: str
    code: str = ""
    hint: str = ""
    submitted: str = "no"
    final: bool = False
    queued: bool = False
    intent: str | None = None
    state: str | None = None
    call: str | None = None
    extrinsic_hash: str | None = None
    block_hash: str | None = None
    block_number: int | None = None
    reveal_round: int | None = None
    next_block: int | None = None
    next_time: str | None = None
    retry_after_seconds: int | None = None
    idempotency_key: str | None = None
    status: int = 0
    local: bool = False
    fallbacks: int = 0
    explanation: Explanation | None = None
    rule: str | None = None

    def __iter__(self) -> Iterator[bool | str]:
        return iter((self.success, self.message))

    def __len__(self) -> int:
        return 2

    def __getitem__(self, at: int) -> bool | str:
        return (self.success, self.message)[at]

    def __bool__(self) -> bool:
        return self.success


@dataclass(frozen=True, slots=True)
class WalletInfo:
    """What a token may do, and with which hotkey. ``netuids`` None means any."""

    wallet_name: str
    hotkey_name: str
    hotkey_address: str
    crypto_type: str
    client: str
    calls: tuple[str, ...]
    netuids: tuple[int, ...] | None
    per_hour: int


@dataclass(frozen=True, slots=True)
class Health:
    """``alive``: the service answers; ``ready``: it can do its work; ``missing``: part → what is wrong with it."""

    alive: bool
    ready: bool
    missing: dict[str, str] = field(default_factory=dict)
    version: str = ""


@dataclass(frozen=True, slots=True)
class SignedRequest:
    """A btauth/1 request: ``headers`` go with it exactly as they are; ``nonce`` is Unix time in nanoseconds."""

    headers: dict[str, str]
    ss58_address: str
    nonce: int


@dataclass(frozen=True, slots=True)
class Session:
    """A certificate for a session key; ``until`` is RFC 3339."""

    certificate: str
    serial: str
    until: str


@dataclass(frozen=True, slots=True)
class Signature:
    """64 bytes, the scheme's number (0 ed25519, 1 sr25519) and the hotkey's address."""

    signature: bytes
    crypto_type: int
    ss58_address: str


@dataclass(frozen=True, slots=True)
class SignedText:
    """The signature of a text; ``signed`` is what it is over, wrapped so that it can be nothing else."""

    signature: bytes
    signed: str
    ss58_address: str
    scheme: str


class UnexpectedAnswer(Exception):  # noqa: N818 -- the peer is at fault
    """What answered is no wallet service."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer that has the shape of a wallet service's: ``content`` is its JSON object.

    ``unclear``: what became of an earlier attempt of the same call is not known.
    """

    status: int
    content: dict[str, Any]
    retry_after_seconds: int | None
    unclear: bool = False

    @property
    def code(self) -> str:
        """Of the error, "" without one."""
        error = self.content.get("error")
        return (_text(error, "code") or "unknown") if isinstance(error, dict) else ""


def read_answer(response: Response) -> Answer:
    """The answer in a response.

    Raises:
        UnexpectedAnswer: no JSON object with ``success`` in it.
    """
    try:
        content = json.loads(response.body)
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict) or not isinstance(content.get("success"), bool):
        raise UnexpectedAnswer(
            f"expected a wallet service's answer, found status {response.status} with something else"
        )
    after = response.fields.get("retry-after")
    seconds = int(after) if after.isascii() and after.isdigit() and len(after) < 10 else None
    return Answer(response.status, content, seconds)


def read_result(answer: Answer, idempotency_key: str | None) -> Result:
    """The result in an answer about an intent."""
    content = answer.content
    error = content.get("error")
    error = error if isinstance(error, dict) else {}
    ok = content.get("success") is True and answer.status < 300 and not error
    explanation = _explanation(content) if content.get("dry_run") is True else None
    state = _text(content, "state")
    # Unless it says otherwise: what is not known is not denied.
    submitted = _text(content, "submitted") or ("yes" if ok else "maybe")
    if answer.unclear and not ok and state is None:
        # This attempt was refused; an earlier one may have been accepted all the same.
        submitted = "maybe"
    return Result(
        success=ok,
        message=_text(content, "message") or _text(error, "message") or f"status {answer.status}",
        code="" if ok else answer.code or "unknown",
        hint=_text(error, "hint") or "",
        submitted=submitted,
        final=content.get("final") is True if state else not ok and submitted == "no",
        queued=content.get("queued") is True,
        intent=_text(content, "intent"),
        state=state,
        call=_text(content, "call"),
        extrinsic_hash=_text(content, "extrinsic_hash"),
        block_hash=_text(content, "block_hash"),
        block_number=_integer(content, "block_number"),
        reveal_round=_integer(content, "reveal_round"),
        next_block=_integer(content, "next_block"),
        next_time=_text(content, "next_time"),
        retry_after_seconds=answer.retry_after_seconds,
        idempotency_key=idempotency_key,
        status=answer.status,
        explanation=explanation,
        rule=_text(error, "rule"),
    )


def _explanation(content: dict[str, Any]) -> Explanation:
    call = content.get("call")
    call = call if isinstance(call, dict) else {}
    rules = content.get("rules")
    found = [each for each in rules if isinstance(each, dict)] if isinstance(rules, list) else []
    return Explanation(
        call=_text(call, "name"),
        call_data=_text(call, "data"),
        fee_rao=_integer(call, "fee_rao"),
        rules=tuple(
            Rule(*(_text(each, name) or "" for name in ("rule", "verdict", "passes", "found"))) for each in found
        ),
    )


def read_request(answer: Answer) -> SignedRequest:
    """The answer to ``/wallet/request``; raises UnexpectedAnswer."""
    headers = answer.content.get("headers")
    nonce = _needed(answer, "nonce")
    if not isinstance(headers, dict) or not (nonce.isascii() and nonce.isdigit()) or len(nonce) > 19:
        raise UnexpectedAnswer("expected headers and a nonce, found others")
    fields = {str(name): str(value) for name, value in headers.items()}
    return SignedRequest(fields, _needed(answer, "ss58_address"), int(nonce))


def read_session(answer: Answer) -> Session:
    """The answer to ``/wallet/session``; raises UnexpectedAnswer."""
    return Session(_needed(answer, "certificate"), _needed(answer, "serial"), _needed(answer, "until"))


def read_signature(answer: Answer) -> Signature:
    """The answer to ``/wallet/extrinsic``; raises UnexpectedAnswer."""
    scheme = _integer(answer.content, "crypto_type")
    if scheme is None:
        raise UnexpectedAnswer("expected a crypto_type, found none")
    return Signature(_signature(answer), scheme, _needed(answer, "ss58_address"))


def read_text(answer: Answer) -> SignedText:
    """The answer to ``/wallet/sign``; raises UnexpectedAnswer."""
    needed = (_needed(answer, name) for name in ("signed", "ss58_address", "scheme"))
    return SignedText(_signature(answer), *needed)


def _signature(answer: Answer) -> bytes:
    text = _needed(answer, "signature")
    if _SIGNATURE.fullmatch(text) is None:
        raise UnexpectedAnswer("expected a signature of 64 bytes, found something else")
    return bytes.fromhex(text[2:])


def _needed(answer: Answer, name: str) -> str:
    value = _text(answer.content, name)
    if value is None:
        raise UnexpectedAnswer(f"expected {name} as text, found none")
    return value


def read_info(answer: Answer) -> WalletInfo:
    """The answer to ``/wallet/info``."""
    content = answer.content
    client = content.get("client")
    client = client if isinstance(client, dict) else {}
    netuids = client.get("netuids")
    calls = client.get("calls")
    return WalletInfo(
        wallet_name=_text(content, "wallet_name") or "",
        hotkey_name=_text(content, "hotkey_name") or "",
        hotkey_address=_text(content, "hotkey_address") or "",
        crypto_type=_text(content, "crypto_type") or "",
        client=_text(client, "name") or "",
        calls=tuple(str(call) for call in calls) if isinstance(calls, list) else (),
        netuids=tuple(int(netuid) for netuid in netuids) if isinstance(netuids, list) else None,
        per_hour=_integer(client, "per_hour") or 0,
    )


def read_health(answer: Answer) -> Health:
    """The answer to ``/ready``."""
    content = answer.content
    missing = content.get("missing")
    parts = {str(part): str(why) for part, why in missing.items()} if isinstance(missing, dict) else {}
    return Health(True, answer.status == 200, parts, _text(content, "version") or "")


def _text(content: dict[str, Any], name: str) -> str | None:
    value = content.get(name)
    return value if isinstance(value, str) else None


def _integer(content: dict[str, Any], name: str) -> int | None:
    value = content.get(name)
    return value if type(value) is int else None
