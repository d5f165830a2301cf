"""What a peer did wrong, as exceptions that carry the answer it deserves.

    ProtocolError
        HttpError        status and fields of the HTTP answer
        WebSocketError   close code of the closing frame

The reason is text of ours: lower case, what was expected and what was found, short enough for a log line or a
close frame, never a secret.
"""

# characters of foreign text in one of our messages: enough to recognise, too few to flood a log
_MAX_QUOTED = 40


class ProtocolError(Exception):
    """The peer broke the protocol; the connection cannot be used any further."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class HttpError(ProtocolError):
    """A broken HTTP message. `status` is the answer (in the client role: 502), `fields` go with it."""

    def __init__(self, status: int, reason: str, fields: tuple[tuple[str, str], ...] = ()) -> None:
        super().__init__(reason)
        self.status = status
        self.fields = fields


class WebSocketError(ProtocolError):
    """A broken frame or message. `code` is the close code (RFC 6455, section 7.4.1)."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code


def quoted(text: str) -> str:
    """Foreign text made fit for a message of ours: printable ASCII, quoted, at most 40 characters."""
    return ascii(text if len(text) <= _MAX_QUOTED else text[:_MAX_QUOTED] + "...")
