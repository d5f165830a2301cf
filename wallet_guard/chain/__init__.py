"""The chain process: the journal's worker, and the only one that speaks to the chain.

It pulls unfinished intents from the signer, gathers the facts for each, hands the sealed bytes to an endpoint's pool
and follows them to finality; every step goes back into the signer's journal. It holds nothing worth stealing: a
captured chain process can delay and misreport inside the ranges that the signer checks, and no more.

``sdk`` is the only door to the Bittensor SDK. ``node`` asks one endpoint, ``heads`` keeps what it says of its best
chain, ``link`` is the two alive, ``endpoints`` keeps one link alive out of several endpoints. ``facts``, ``sealing``,
``submission`` and ``readback`` are the steps of an intent, ``worker`` runs them, ``pool_errors`` names refusals.
"""
