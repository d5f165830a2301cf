"""Who is believed: the checks of a frame in their order, and the keys that may speak for a hotkey.

hardening/btws.md, sections 4 and 5. Cheap checks come first and the signature last, since a signature costs 50 to 130
µs and everything before it under 5; nothing is remembered of a frame before its signature was verified:

    1 size, shape (`frames.parse_frame`)      5 time: not from before my start, not too old, not ahead
    2 for me, or a broadcast where allowed    6 number: not taken, not behind the window
    3 from the peer on this connection        7 signature
    4 by a key that speaks for it now         8 number is taken, messages are read (`frames.read_messages`)

A frame is bound to its speaker and its receiver and not to a connection: one `Receiver` serves them all.
"""

from typing import Final, NamedTuple

from wallet_guard.signed import schemes
from wallet_guard.signed.certificate import (
    Certificate,
    CertificateError,
    Purpose,
    parse_certificate,
    verify_certificate,
)
from wallet_guard.signed.frames import BROADCAST, Frame, FrameError, Message
from wallet_guard.signed.replay import ReplayWindows, Scope, parse_id

MAX_AGE_MS: Final = 30_000  # of a frame; a queue, a slow link and a retry by HTTP fit into it
MAX_AHEAD_MS: Final = 5_000  # clocks that NTP keeps are within 0.1 s
MAX_VOICES: Final = 8  # keys of one hotkey: its node, its hub, and their successors
HUB_TYPES: Final = frozenset({"welcome", "hello", "heartbeat", "heartbeat_ack", "ack", "error"})

_FOREVER: Final = 2**63


class Voice(NamedTuple):
    """A key that may speak for a hotkey."""

    scheme: str
    key: bytes  # 32 bytes
    from_ms: int
    until_ms: int
    purpose: Purpose  # a hub says the `HUB_TYPES` only


class Voices:
    """The keys that speak for one hotkey to us, at most `MAX_VOICES`."""

    __slots__ = ("_by_name", "_not_before_ms", "hotkey")

    def __init__(self, hotkey: str) -> None:
        self.hotkey = hotkey
        self._by_name: dict[str, Voice] = {}
        self._not_before_ms = 0

    def add_hotkey(self, scheme: str) -> None:
        """The hotkey speaks for itself, in this scheme: the one in which it has proved to hold its key."""
        self._by_name[scheme] = Voice(scheme, schemes.public_key_of(self.hotkey), 0, _FOREVER, Purpose.NODE)

    def add_certificate(self, text: str, *, receiver: str, netuid: int, now_ms: int) -> Certificate:
        """The certificate, whose key may speak from now on.

        Raises:
            CertificateError: it does not hold, is not this hotkey's (`wrong_speaker`), or was revoked (`revoked`).
        """
        claimed = parse_certificate(text).certificate
        if claimed.speaker != self.hotkey:
            raise CertificateError("wrong_speaker", "expected a certificate of the peer's own hotkey, found another's")
        if claimed.from_ms < self._not_before_ms:
            raise CertificateError("revoked", "the certificate was revoked by its hotkey")
        found = verify_certificate(text, now_ms=now_ms, purpose=claimed.purpose, netuid=netuid, receiver=receiver)
        for name in [name for name, voice in self._by_name.items() if voice.until_ms <= now_ms]:
            del self._by_name[name]
        if len(self._by_name) >= MAX_VOICES:
            del self._by_name[min(self._by_name, key=lambda name: self._by_name[name].from_ms)]
        voice = Voice(schemes.ED25519, found.key, found.from_ms, found.until_ms, found.purpose)
        self._by_name[found.key.hex()] = voice
        return found

    def learn(self, other: "Voices") -> None:
        """Takes over the keys that another record of the same hotkey knows."""
        assert other.hotkey == self.hotkey
        if other is not self:
            self._by_name = dict(list((other._by_name | self._by_name).items())[-MAX_VOICES:])

    @property
    def speaks_itself(self) -> bool:
        """Whether the hotkey has proved that it speaks for itself."""
        return schemes.SR25519 in self._by_name or schemes.ED25519 in self._by_name

    def find(self, name: str) -> Voice | None:
        """The key of this name, expired or not."""
        return self._by_name.get(name)

    def revoke(self, before_ms: int) -> None:
        """Silences every session key whose certificate began before this time, for good."""
        self._not_before_ms = max(self._not_before_ms, before_ms)
        for name in [name for name, voice in self._by_name.items() if 0 < voice.from_ms < self._not_before_ms]:
            del self._by_name[name]

    def end_ms(self) -> int:
        """When the last of them ends; 0 if there is none."""
        return max((voice.until_ms for voice in self._by_name.values()), default=0)


class Receiver:
    """One receiver of frames: its hotkey, its clock's window, and what it took already.

    `start_ms` is when it began to remember: a frame signed before that may have been taken by a former life.
    """

    __slots__ = ("_max_age_ms", "_max_ahead_ms", "_start_ms", "hotkey", "windows")

    def __init__(
        self, hotkey: str, *, start_ms: int, max_age_ms: int = MAX_AGE_MS, max_ahead_ms: int = MAX_AHEAD_MS
    ) -> None:
        self.hotkey = hotkey
        self.windows = ReplayWindows()
        self._start_ms = start_ms
        self._max_age_ms = max_age_ms
        self._max_ahead_ms = max_ahead_ms

    def check(self, frame: Frame, voices: Voices, now_ms: int, *, broadcasts: bool) -> Voice:
        """The key whose signature this frame must bear: checks 2 to 6.

        Raises:
            FrameError: receiver, sender, speaker, expired, stale, early or replayed.
        """
        if frame.receiver != self.hotkey and not (broadcasts and frame.receiver == BROADCAST):
            raise FrameError("receiver", "expected a frame for this receiver, found one for another")
        if frame.sender != voices.hotkey:
            raise FrameError("sender", "expected a frame of the peer's own hotkey, found another's")
        voice = voices.find(frame.speaker)
        if voice is None:
            raise FrameError("speaker", "expected a key that speaks for this hotkey; present its certificate first")
        if now_ms >= voice.until_ms:
            raise FrameError("expired", "the speaker's certificate has ended; present a new one")
        self._check_time(frame, now_ms)
        scope = _scope(frame)
        if not self.windows.is_new(scope, frame.seq):
            raise FrameError("replayed", "the frame's seq was taken already, or is behind the window")
        if frame.ts_ms <= self.windows.forgotten_ms and not self.windows.knows(scope):
            raise FrameError("stale", "the frame is from before what is remembered here")
        return voice

    def take(self, frame: Frame, now_ms: int) -> None:
        """Takes a frame whose signature was verified: check 8.

        Raises:
            FrameError: replayed, by a copy that was verified at the same time.
        """
        if not self.windows.take(_scope(frame), frame.seq, now_ms):
            raise FrameError("replayed", "the frame's seq was taken already")

    def raise_floor(self, voices: Voices, speaker: str, seq: int, now_ms: int) -> None:
        """Refuses the broadcasts of a speaker up to `seq`: what it sent before we came is not for us."""
        self.windows.raise_floor(Scope(voices.hotkey, speaker, True), seq, now_ms)

    def forget(self, now_ms: int) -> None:
        """Lets go of what the window of time refuses anyway."""
        self.windows.forget(now_ms - self._max_age_ms - 2 * self._max_ahead_ms)

    def _check_time(self, frame: Frame, now_ms: int) -> None:
        age_ms = now_ms - frame.ts_ms
        if age_ms > self._max_age_ms:
            raise FrameError("stale", f"the frame is {age_ms / 1000:.1f} s old; set the clock, or send it sooner")
        if age_ms < -self._max_ahead_ms:
            raise FrameError("early", f"the frame is {-age_ms / 1000:.1f} s ahead of this clock; set the clock")
        if frame.ts_ms < self._start_ms:
            raise FrameError("stale", "the frame was signed before this receiver started")


def is_signed(frame: Frame, voice: Voice) -> bool:
    """Whether the signature is this key's: check 7. Without state, so any thread may do it.

    sr25519 is looked at once. The library also takes a signature over `<Bytes>signed</Bytes>`, and `schemes.verify`
    looks a second time to refuse that, which nearly doubles the cost; here it would gain nothing. A frame is wrapped
    itself, so whoever would sign its text wrapped once more would have signed it as it is.
    """
    if voice.scheme != schemes.SR25519:
        return schemes.verify(voice.scheme, voice.key, frame.signed, frame.signature)
    try:
        return schemes.sr25519_verifier(voice.key)(frame.signed, frame.signature)
    except ValueError:
        return False  # no signature at all: its second half is no scalar


def _scope(frame: Frame) -> Scope:
    return Scope(frame.sender, frame.speaker, frame.receiver == BROADCAST)


def check_messages(messages: list[Message], voice: Voice) -> None:
    """Refuses messages that this key may not say, and reliable ones without a proper id: the rest of check 8.

    Raises:
        FrameError: message; then none of them is to be used.
    """
    is_hub = voice.purpose is Purpose.HUB
    for message in messages:
        if is_hub and message.type not in HUB_TYPES:
            raise FrameError("message", f"a hub may not say {message.type!r}")
        if is_hub and message.type == "ack" and message.data.get("ids"):
            raise FrameError("message", "a hub may not acknowledge what is meant for the application")
        if message.ack:
            try:
                parse_id(message.id)
            except ValueError as error:
                raise FrameError("message", str(error)) from None
