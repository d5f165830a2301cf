"""What the blocking and the asyncio client have in common: settings, and the calls that they make."""

import os
import re
import secrets
import ssl
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Self, TypedDict, TypeVar
from urllib.parse import quote

from wallet_guard.client.attempts import Bearer, Call, Credential
from wallet_guard.client.errors import ServiceUnreachable, SettingsError, WalletServiceError, error_of
from wallet_guard.client.fallback import Fallback
from wallet_guard.client.orders import SDK_SETTINGS, Order, Question, SetWeights, Wish, name_of
from wallet_guard.client.results import Answer, Result, UnexpectedAnswer, read_result
from wallet_guard.client.settings import KEY_VARIABLE, choose_token, choose_url, flag, setting

SLACK_SECONDS = 10.0
"""What a call that submits may take beyond the service's own wait: connecting, and a restart in between."""

LOOK_SECONDS = 10.0
"""For calls that only look, and for those that sign at once."""

_KEY = re.compile(r"[!-~]{1,128}")

_View = TypeVar("_View")


class How(TypedDict, total=False):
    """What every call that submits may be told beside what it is about; see ``WalletService.set_weights``."""

    wallet: Any
    wallet_name: str | None
    hotkey_name: str | None
    wait_for_inclusion: bool
    wait_for_finalization: bool
    idempotency_key: str | None
    timeout: float | None
    raise_errors: bool
    dry_run: bool


class Who(TypedDict, total=False):
    """Whose hotkey, for calls that sign at once; left out, the service's own names."""

    wallet: Any
    wallet_name: str | None
    hotkey_name: str | None


class Service:
    """A wallet service and our token for it. Use ``WalletService`` or ``AsyncWalletService``."""

    def __init__(  # noqa: PLR0913 -- settings, by name
        self,
        url: str | None = None,
        token: str | None = None,
        *,
        wallet_name: str | None = None,
        hotkey_name: str = "default",
        timeout: float | None = None,
        ca_file: str | None = None,
        client_certificate: str | None = None,
        client_key: str | None = None,
        fallback_local: Callable[..., Any] | None = None,
        wallet_path: str | None = None,
        identity: Credential | None = None,
    ) -> None:
        """Reads ``WALLET_SERVICE_URL`` and ``WALLET_SERVICE_TOKEN`` where an argument is None.

        ``identity`` (``identity.Identity``; or the file that ``WALLET_SERVICE_KEY`` names) signs each request instead
        of sending a token.

        ``wallet_name`` and ``hotkey_name`` are for calls that name none. ``timeout`` is for each whole call,
        attempts included, in seconds; None means what the call needs. ``ca_file`` holds the certificates to
        trust instead of the system's; ``client_certificate`` and ``client_key`` are files in PEM form for a service
        that asks for one (the key may be in the certificate's file). Proxy settings of the environment are not used.

        ``fallback_local`` sets weights with a local wallet where the service certainly did nothing (see
        ``fallback``; None: never); ``wallet_path`` is where local wallets are.

        Raises:
            SettingsError: a URL that cannot be used, an empty token or a known default, files that are none.
        """
        self._place = choose_url(url)
        self._credential = _choose_credential(token, identity)
        self._wallet_name = wallet_name
        self._hotkey_name = hotkey_name
        self._timeout = timeout
        self._fallback = Fallback(fallback_local, wallet_path) if fallback_local is not None else None
        self._tls: ssl.SSLContext | None = None
        if self._place.tls:
            self._tls = _tls(ca_file, client_certificate, client_key)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self._place)!r})"

    @classmethod
    def from_args(cls, args: Any, *, fallback_local: Callable[..., Any] | None = None, **keywords: Any) -> Self:
        """A service from parsed arguments (``add_args``), an argparse namespace or an SDK configuration.

        Takes ``--wallet.name``, ``--wallet.hotkey`` and ``--wallet.path`` along, where they are there.
        ``fallback_local`` is used only if ``--wallet.fallback_local`` was given.

        Raises:
            SettingsError: as the constructor; or the flag was given and there is no function for it.
        """
        keywords.setdefault("wallet_name", setting(args, "name"))
        keywords.setdefault("hotkey_name", setting(args, "hotkey") or "default")
        keywords.setdefault("wallet_path", setting(args, "path"))
        wanted = flag(args, "fallback_local")
        if wanted and fallback_local is None:
            raise SettingsError(
                "--wallet.fallback_local: expected a neuron that can set weights itself, this one cannot"
            )
        keywords["fallback_local"] = fallback_local if wanted else None
        return cls(setting(args, "service_url"), setting(args, "service_token"), **keywords)

    def _order_call(self, order: Order, key: str | None, timeout: float | None) -> Call:
        seconds = timeout or self._timeout or order.goal_seconds + SLACK_SECONDS
        if key is not None and _KEY.fullmatch(key) is None:
            raise SettingsError("idempotency_key: expected 1 to 128 visible ASCII characters")
        key = key or secrets.token_hex(16)
        encode = partial(order.encode, key=key if self._credential.signs else "")
        encode(seconds)  # what cannot be sent is known before anything is tried
        return Call("POST", order.path, encode, key, seconds)

    def _wish_call(self, kind: str, netuid: int, fields: Callable[[], Mapping[str, Any]], how: How) -> Call:
        name, hotkey = self._names(how.get("wallet"), how.get("wallet_name"), how.get("hotkey_name"))
        waits = how.get("wait_for_inclusion", False), how.get("wait_for_finalization", False)
        order = Wish(kind, netuid, fields(), name, hotkey, *waits, how.get("dry_run", False))
        return self._order_call(order, how.get("idempotency_key"), how.get("timeout"))

    def _question_call(self, path: str, fields: Mapping[str, Any], who: Who, *, once: bool = False) -> Call:
        check_names(who, Who)
        names = self._names(who.get("wallet"), who.get("wallet_name"), who.get("hotkey_name"))
        question = Question(path, fields, *names)
        question.encode(0.0)
        return Call("POST", path, question.encode, None, self._timeout or LOOK_SECONDS, once)

    def _names(self, wallet: Any, wallet_name: str | None, hotkey_name: str | None) -> tuple[str, str]:
        name = wallet_name or name_of(wallet, "name") or self._wallet_name
        if not name:
            raise SettingsError("wallet_name: expected a name, here or when the service was made, found none")
        return name, hotkey_name or name_of(wallet, "hotkey_str") or self._hotkey_name

    def _look(self, path: str) -> Call:
        return Call("GET", path, _nothing, None, self._timeout or LOOK_SECONDS)

    def _intent_call(self, intent: str) -> Call:
        return self._look(f"/wallet/intents/{quote(intent, safe='')}")

    def _info_call(self, wallet_name: str | None, hotkey_name: str | None) -> Call:
        given = {"wallet_name": wallet_name, "hotkey_name": hotkey_name}
        query = "&".join(f"{name}={quote(value, safe='')}" for name, value in given.items() if value)
        return self._look(f"/wallet/info?{query}" if query else "/wallet/info")


def _choose_credential(token: str | None, identity: Credential | None) -> Credential:
    path = os.environ.get(KEY_VARIABLE)
    if identity is None and token is None and path:
        # The standard library has no Ed25519: PyNaCl is imported only by who signs.
        from wallet_guard.client.identity import Identity

        return Identity.load(path)
    return identity or Bearer(choose_token(token))


def settled(outcome: Answer | WalletServiceError, key: str | None) -> Result:
    """The result of a call that was answered, or that failed."""
    if isinstance(outcome, Answer):
        return read_result(outcome, key)
    if outcome.result is not None:  # which is false where it is no success
        return outcome.result
    return Result(False, str(outcome), "invalid_request", submitted="no", final=True)


def raised(result: Result, *, raise_errors: bool) -> Result:
    """The same result.

    Raises:
        WalletServiceError: it is no success and ``raise_errors`` is set.
    """
    if raise_errors and not result.success:
        raise error_of(result)
    return result


def checked(answer: Answer) -> Answer:
    """The answer, if it is a success.

    Raises:
        WalletServiceError: it is none.
    """
    if answer.status >= 300:
        raise error_of(read_result(answer, None))
    return answer


def viewed(answer: Answer, read: Callable[[Answer], _View]) -> _View:
    """What ``read`` finds in an answer that is a success.

    Raises:
        WalletServiceError: it is none, or has another shape.
    """
    try:
        return read(checked(answer))
    except UnexpectedAnswer as error:
        raise ServiceUnreachable(f"{error}; is the service of another version?") from error


def check_names(given: Mapping[str, Any], known: type) -> None:
    """Raises TypeError for a keyword that no call has, as Python does."""
    for name in given:
        if name not in known.__annotations__:
            raise TypeError(f"unexpected keyword argument {name!r}, expected one of {', '.join(known.__annotations__)}")


def check_sdk_settings(given: Mapping[str, Any]) -> None:
    """Raises TypeError for a keyword that neither this ``set_weights`` nor the SDK's has."""
    for name in given:
        if name not in SDK_SETTINGS:
            raise TypeError(f"set_weights() got an unexpected keyword argument {name!r}")


def given_weights(order: SetWeights) -> dict[str, Any]:
    """The order in the names of the SDK's own ``set_weights``."""
    names = ("netuid", "uids", "weights", "mechid", "version_key", "wait_for_inclusion", "wait_for_finalization")
    return {name: getattr(order, name) for name in names}


def _tls(ca_file: str | None, certificate: str | None, key: str | None) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=ca_file)
    except (OSError, ssl.SSLError) as error:
        raise SettingsError(f"ca_file: expected certificates in PEM form: {error}") from error
    if certificate is not None:
        try:
            # A passphrase would be asked for on the terminal: "" makes a sealed key an error instead.
            context.load_cert_chain(certificate, key, password="")
        except (OSError, ssl.SSLError) as error:
            raise SettingsError(f"client_certificate: expected a certificate and its key: {error}") from error
    return context


def _nothing(_seconds: float) -> bytes:
    return b""
