"""The process that miners speak to: keeps their connections, so that the validator's application may come and go.

    miners ── /ws, POST /ws/frame ──► hub ◄── /ws, a certificate for the hub's own hotkey ── application

It holds a session key of its own, certified for at most an hour and for greetings only, and what travels through it:
frames, each signed by its speaker and verified by its receiver, a miner or the application. It checks them as well, and
hands on only what is right, fresh and new. It holds no token, knows no socket of the gateway's, and asks the signer for
certificates and the chain process for who is registered, and nothing else.

    session      the certificate: asked for, renewed, given up when the signer is locked
    registered   who may connect, by the chain process's word
    links        one connection: a miner's, the application's
    relay        all of them, and what goes from one to another
    posts        frames by HTTP, answered by the application
"""
