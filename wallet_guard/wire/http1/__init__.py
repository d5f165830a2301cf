"""HTTP/1.1, RFC 9110 and RFC 9112: `server` parses requests and encodes responses, `client` does the reverse.

Nothing is re-exported, so that a program pays only for the role it plays: importing `client` loads `re` and
`typing`.

Stricter than the RFC allows a recipient to be, each for one reason (a second reader may see it otherwise):
lines end in CRLF only; no obs-fold; no field twice that must be single, not even with equal values; a path
with dot segments, empty segments or an encoded separator is refused rather than repaired.
"""
