"""WebSocket, RFC 6455, both roles: `handshake` opens, `machine` runs, `frames` and `closing` are the words.

No extension is ever negotiated; `permessage-deflate` (RFC 7692) in particular is declined: it makes a
megabyte of work out of a kilobyte from a stranger, and compressing secrets next to a stranger's text leaks
their length.
"""
