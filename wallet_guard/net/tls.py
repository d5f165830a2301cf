"""TLS contexts by the standard library (RFC 9325): TLS 1.2 at least, 1.3 preferred.

The defaults of `ssl.create_default_context` on Python 3.11 are what RFC 9325 recommends but for one point,
the minimum version, which is set here. A certificate is renewed by making a new context and giving it to
`Server.reload_tls`: a broken pair of files then raises here, and the old context stays in use.
"""

import ssl


def server_context(certificate: str, key: str, client_authorities: str | None = None) -> ssl.SSLContext:
    """A context for listeners, from PEM files: certificate chain, private key.

    With `client_authorities` (PEM of the accepted issuers) a client must show a certificate of theirs (mutual
    TLS); handlers find it in `request.peer.certificate`.

    Raises:
        OSError: a file cannot be read (ssl.SSLError, a subclass: it holds something else, or the two do not
        match).
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
    context.set_alpn_protocols(["http/1.1"])
    context.load_cert_chain(certificate, key)
    if client_authorities is not None:
        context.load_verify_locations(client_authorities)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def client_context(
    authorities: str | None = None, certificate: str | None = None, key: str | None = None
) -> ssl.SSLContext:
    """A context for connections that we open: names and chains are verified.

    `authorities` (PEM) replaces the system's; `certificate` and `key` are what we show for mutual TLS.

    Raises:
        OSError: as for `server_context`.
    """
    context = ssl.create_default_context(cafile=authorities)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    if certificate is not None:
        context.load_cert_chain(certificate, key)
    return context
