"""Process: where clients come in. Holds no key; parses HTTP and JSON, asks the signer, waits, answers.

``body`` turns a request's JSON into a typed order, ``codes`` says which HTTP status each refusal has,
``answers`` shapes what goes back, ``waits`` follows intents for the requests that wait for them, ``routes``
puts these together, ``listeners`` opens the sockets, and ``__main__`` is the process.

What it is trusted with is little: the tokens that pass through it. Whether a token is good and what it may
do is decided by the signer, for every single question; nothing that is checked here is believed there.
"""
