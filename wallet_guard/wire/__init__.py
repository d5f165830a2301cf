"""How strangers say it: HTTP/1.1 (RFC 9110, 9112) and WebSocket (RFC 6455), sans-I/O, both roles.

Bytes go in, checked values or a `ProtocolError` come out; nothing here opens a socket, reads a clock or draws
a random number. Masking keys and nonces are arguments. The sub-packages do not import each other, except that
the opening handshake of a WebSocket is an HTTP exchange:

    http1.fields   → http1.target, http1.framing → http1.head → http1.server, http1.client
    websocket.closing, websocket.frames → websocket.machine;  http1.head → websocket.handshake

What is refused on purpose: whatever two readers could understand differently. There is no lenient mode.
"""
