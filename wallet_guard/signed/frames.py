"""The btws/1 frame: who speaks to whom, when, and the messages under one signature (hardening/btws.md, section 3).

    signature LF
    "<Bytes>" header LF message *( LF message ) "</Bytes>"

Everything behind the first line is exactly what is signed: nothing is canonicalised, nothing is re-encoded. The header
and the envelope of a message have one spelling each, so they are read by a pattern and not by a JSON parser; both are
JSON all the same. The data of a message is any JSON object, and is parsed only by `read_messages`, for which the
signature must have been verified.

Why `<Bytes>`: wallets wrap what they are asked to sign, and the ecosystem's sr25519 verifiers take a signature of the
wrapped text for one of the bare text; to refuse it costs a second verification. Here the wrapping belongs to the text,
so there is nothing to be taken for something else. It also keeps a signed frame from ever being an extrinsic, a btauth
request or a certificate, none of which begins so.
"""

import json
import re
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

VERSION: Final = "btws/1"
BROADCAST: Final = "*"  # the receiver of a frame that is for everyone who listens to its sender

MAX_FRAME_BYTES: Final = 1024 * 1024  # a receiver may take less and says so in the welcome
MAX_MESSAGES: Final = 64  # in a frame: signing costs a few µs a message at 32 already
MAX_HEADER_CHARS: Final = 512  # of the signature line and the header, which take at most 378
MAX_DEPTH: Final = 64  # of arrays and objects in data
MAX_SEQ: Final = 2**53 - 1  # what a JSON number holds exactly everywhere

_SS58 = "[1-9A-HJ-NP-Za-km-z]{46,50}"
_OPEN, _SHUT = "<Bytes>", "</Bytes>"
_HEADER = re.compile(
    '([0-9a-f]{128})\n<Bytes>{"v":"btws/1","speaker":"([0-9a-z]{1,64})","seq":([1-9][0-9]{0,15}),'
    f'"ts":([1-9][0-9]{{0,15}}),"from":"({_SS58})","to":"(\\*|{_SS58})"}}\n'
)
_MESSAGE = re.compile(r'\{"type":"([a-z][a-z0-9_]{0,31})","id":"([0-9A-Za-z._-]{0,64})"(,"ack":true)?,"data":(?=\{)')
_TYPE = re.compile("[a-z][a-z0-9_]{0,31}")
_ID = re.compile("[0-9A-Za-z._-]{0,64}")
_FIRST_LINE_CHARS = 129


class FrameError(Exception):
    """A frame that is refused; `code` is one word for counters and for the peer, the text says more.

    Codes: size, shape, receiver, sender, speaker, expired, stale, early, replayed, signature, message.
    """

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class Frame(NamedTuple):
    """A frame of the right shape; nothing in it is believed yet."""

    signature: bytes  # 64 bytes
    signed: bytes
    speaker: str  # which key of the sender: a scheme's name for the hotkey itself, or a session key in hex
    seq: int
    ts_ms: int  # Unix time at which it was signed
    sender: str
    receiver: str
    body: str  # the message lines


class Message(NamedTuple):
    """One message of a verified frame."""

    type: str
    id: str  # "" if it has none
    ack: bool  # the sender keeps it until it is acknowledged
    data: dict[str, Any]


def parse_frame(text: str, max_frame_bytes: int = MAX_FRAME_BYTES) -> Frame:
    """The frame that this text is, by size and shape only.

    Raises:
        FrameError: size or shape.
    """
    if len(text) > max_frame_bytes:
        raise FrameError("size", f"expected at most {max_frame_bytes} bytes, found {len(text)} characters")
    found = _HEADER.match(text)
    if found is None:
        raise FrameError("shape", "expected a signature line and a btws/1 header")
    if not text.endswith("}" + _SHUT):
        raise FrameError("shape", "expected the last message to end with }</Bytes>")
    signature, speaker, seq, ts_ms, sender, receiver = found.groups()
    body = text[found.end() : -len(_SHUT)]
    if body.count("\n") >= MAX_MESSAGES:
        raise FrameError("size", f"expected at most {MAX_MESSAGES} messages, found {body.count(chr(10)) + 1}")
    try:
        signed = text[_FIRST_LINE_CHARS:].encode()
    except UnicodeEncodeError:
        raise FrameError("shape", "expected UTF-8") from None
    if len(signed) + _FIRST_LINE_CHARS > max_frame_bytes:
        raise FrameError("size", f"expected at most {max_frame_bytes} bytes, found {len(signed) + _FIRST_LINE_CHARS}")
    if int(seq) > MAX_SEQ or int(ts_ms) > MAX_SEQ:
        raise FrameError("shape", "expected seq and ts below 2^53")
    return Frame(bytes.fromhex(signature), signed, speaker, int(seq), int(ts_ms), sender, receiver, body)


def read_messages(frame: Frame) -> list[Message]:
    """The messages of a frame whose signature was verified, in order.

    Raises:
        FrameError: message; then none of them is to be used.
    """
    if "\n" not in frame.body:
        return [_read_message(frame.body)]
    return [_read_message(line) for line in frame.body.split("\n")]


def encode_message(type_: str, id_: str, data: dict[str, Any], *, ack: bool = False) -> str:
    """The line of a message.

    Raises:
        ValueError: a type or id of another shape, or data that JSON cannot say (NaN, infinities, lone surrogates).
        TypeError: data with values that are none of JSON's.
    """
    if not _TYPE.fullmatch(type_) or not _ID.fullmatch(id_):
        raise ValueError(f"expected a message type and id of btws/1, found {type_[:40]!r} and {id_[:70]!r}")
    asked = ',"ack":true' if ack else ""
    line = f'{{"type":"{type_}","id":"{id_}"{asked},"data":{_encode_json(data)}}}'
    line.encode()
    return line


def encode_unsigned(speaker: str, seq: int, ts_ms: int, sender: str, receiver: str, lines: Sequence[str]) -> bytes:
    """What is to be signed; the frame is `encode_frame` of the signature and this."""
    head = f'{{"v":"{VERSION}","speaker":"{speaker}","seq":{seq},"ts":{ts_ms},"from":"{sender}","to":"{receiver}"}}'
    return "\n".join((_OPEN + head, *lines)).encode() + _SHUT.encode()


def encode_frame(signature: bytes, signed: bytes) -> bytes:
    """The frame as UTF-8: a WebSocket text message, or the body of an HTTP request or response."""
    return signature.hex().encode() + b"\n" + signed


# ---


def _read_message(line: str) -> Message:
    found = _MESSAGE.match(line)
    if found is None:
        raise FrameError("message", 'expected {"type":…,"id":…,"data":{…}}')
    try:
        data, end = _decode_json(line, found.end())
    except RecursionError:
        raise FrameError("message", f"expected at most {MAX_DEPTH} levels of data") from None
    except ValueError as error:
        raise FrameError("message", f"data is no JSON of btws/1: {error}"[:120]) from None
    if line[end:] != "}":
        raise FrameError("message", "expected the message to end behind its data")
    if line.count("{") + line.count("[") > MAX_DEPTH:
        _check_depth(data)
    if "\\u" in line:
        _check_escapes(data)
    return Message(found[1], found[2], found[3] is not None, data)


def _check_depth(data: dict[str, Any]) -> None:
    level: list[Any] = [data]
    for _ in range(MAX_DEPTH):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, dict | list)
        ]
        if not level:
            return
    raise FrameError("message", f"expected at most {MAX_DEPTH} levels of data")


def _check_escapes(data: dict[str, Any]) -> None:
    try:
        _encode_json(data).encode()
    except UnicodeEncodeError:
        raise FrameError("message", "data holds half of a surrogate pair") from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError("a name stands twice in an object")
    return made


def _constant(name: str) -> float:
    raise ValueError(f"{name} is no number")


def _float(text: str) -> float:
    value = float(text)
    if value - value != 0.0:  # an infinity: 1e999 is a JSON number, but not one that anybody could hold
        raise ValueError("a number is out of range")
    return value


_decode_json = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_constant, parse_float=_float).raw_decode
_encode_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode
