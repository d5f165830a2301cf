"""Checkpoints: "at that time my audit chain had that many records, and this was the hash of the last one", signed.

The form is the C2SP signed note (c2sp.org/signed-note) with a body in the manner of a log checkpoint
(c2sp.org/tlog-checkpoint), so that what keeps and compares such notes can keep these::

    wallet-guard-audit-0f1e2d3c            the origin: also the name of the key
    4711                                   records
    6Qw0…=                                 the last one's hash, base64
    time 1763690000000                     Unix milliseconds, by the signer's clock

    — wallet-guard-audit-0f1e2d3c 9Xk…=    base64(key id ‖ Ed25519 signature of everything above the empty line)

The hash is the head of a chain, not the root of a tree: an outside witness can keep it and show it, and with a copy of
the records anybody can check it (``audit.verify_chain``). A key that verifies is written ``name+id+base64(1 ‖ public
key)``, as there. The audit key is the guard's own and signs nothing else; no hotkey is involved.

Only the standard library and PyNaCl are used.
"""

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass

import nacl.exceptions
import nacl.signing

from wallet_guard.signed.audit import Point

SEED_BYTES = 32

NAME_PREFIX = "wallet-guard-audit-"

MAX_NOTE_CHARACTERS = 4096
"""Of a whole note: ours has about 270, and a few cosignatures of 150 each may follow."""

_ED25519 = b"\x01"
"""The algorithm's number in key ids and keys (c2sp.org/signed-note, section "Signatures")."""

_KEY_ID_BYTES = 4

_BODY = re.compile(r"([^\n\s+]+)\n(0|[1-9][0-9]{0,18})\n([A-Za-z0-9+/]{43}=)\ntime (0|[1-9][0-9]{0,18})\n")


class NoteError(ValueError):
    """This is no checkpoint, or not one that this key signed; the message says which."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a note says: ``point`` is the newest record at ``at_ms`` (Unix time)."""

    origin: str
    point: Point
    at_ms: int


@dataclass(frozen=True, slots=True)
class AuditVerifier:
    """The public half of an audit key. ``str()`` gives its written form."""

    name: str
    public_key: bytes

    def __str__(self) -> str:
        encoded = base64.b64encode(_ED25519 + self.public_key).decode()
        return f"{self.name}+{self.key_id.hex()}+{encoded}"

    @property
    def key_id(self) -> bytes:
        """Four bytes that tell keys of one name apart."""
        named = self.name.encode() + b"\n" + _ED25519 + self.public_key
        return hashlib.sha256(named).digest()[:_KEY_ID_BYTES]


class AuditKey:
    """The guard's own Ed25519 key for checkpoints. Not printable, not picklable. ``seed`` is 32 random bytes.

    Raises:
        ValueError: a seed of another length.
    """

    __slots__ = ("_key", "verifier")

    def __init__(self, seed: bytes) -> None:
        if len(seed) != SEED_BYTES:
            raise ValueError(f"expected a seed of {SEED_BYTES} bytes, found {len(seed)}")
        self._key = nacl.signing.SigningKey(seed)
        public_key = bytes(self._key.verify_key)
        name = NAME_PREFIX + hashlib.sha256(public_key).hexdigest()[:8]
        self.verifier = AuditVerifier(name, public_key)

    def __repr__(self) -> str:
        return f"AuditKey({self.verifier})"

    def __reduce__(self) -> str:
        raise TypeError("a key cannot be copied or pickled")

    def checkpoint(self, point: Point, at_ms: int) -> str:
        """The signed note about this place in the chain."""
        name = self.verifier.name
        body = f"{name}\n{point.seq}\n{base64.b64encode(point.hash).decode()}\ntime {at_ms}\n"
        signature = self._key.sign(body.encode()).signature
        return f"{body}\n— {name} {base64.b64encode(self.verifier.key_id + signature).decode()}\n"


def parse_verifier(text: str) -> AuditVerifier:
    """The key that ``name+id+base64`` spells.

    Raises:
        NoteError: it spells none, or its id does not fit.
    """
    name, _, rest = text.strip().partition("+")
    key_id, _, encoded = rest.partition("+")
    raw = _unbase64(encoded)
    verifier = AuditVerifier(name, raw[1:])
    if not name or raw[:1] != _ED25519 or len(raw) != 33 or verifier.key_id.hex() != key_id:
        raise NoteError(f"expected an Ed25519 key as name+id+base64, found {text[:80]!r}")
    return verifier


def open_checkpoint(note: str, verifier: AuditVerifier) -> Checkpoint:
    """What the note says, once a signature of this key fits. Signatures of others (witnesses) are left alone.

    Raises:
        NoteError: another form, no signature of this key, a wrong one, or another key's origin.
    """
    if len(note) > MAX_NOTE_CHARACTERS:
        raise NoteError(f"expected at most {MAX_NOTE_CHARACTERS} characters, found {len(note)}")
    text, gap, signatures = note.rpartition("\n\n")
    body, lines = text + "\n", signatures.split("\n")
    found = _BODY.fullmatch(body)
    if not gap or found is None or lines.pop() != "" or not lines:
        raise NoteError("expected a checkpoint: origin, size, hash, time, an empty line, and signature lines")
    if found[1] != verifier.name:
        raise NoteError(f"expected a checkpoint of {verifier.name}, found one of {found[1][:80]}")
    # Every line is looked at, not only those before ours.
    if sum(_is_signed(body, line, verifier) for line in lines) == 0:
        raise NoteError(f"expected a signature of {verifier.name}, found none of this key")
    return Checkpoint(found[1], Point(int(found[2]), _unbase64(found[3])), int(found[4]))


def _is_signed(body: str, line: str, verifier: AuditVerifier) -> bool:
    """Whether the line is this key's signature; False if it is another's."""
    mark, _, rest = line.partition(" ")
    name, _, encoded = rest.partition(" ")
    if mark != "—" or not name or not encoded:
        raise NoteError(f"expected a signature line, found {line[:80]!r}")
    raw = _unbase64(encoded)
    if name != verifier.name or raw[:_KEY_ID_BYTES] != verifier.key_id:
        return False
    try:
        nacl.signing.VerifyKey(verifier.public_key).verify(body.encode(), raw[_KEY_ID_BYTES:])
    except (nacl.exceptions.CryptoError, ValueError):
        raise NoteError(f"the signature of {verifier.name} does not fit: the note was altered") from None
    return True


def _unbase64(text: str) -> bytes:
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise NoteError(f"expected base64, found {text[:80]!r}") from None
    if base64.b64encode(raw).decode() != text:
        raise NoteError(f"expected base64 in its one form, found {text[:80]!r}")
    return raw
