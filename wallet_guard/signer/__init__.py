"""PROCESS: holds the hotkeys, decides, writes down, composes and signs.

Three consequences of what it is:

- It has no asyncio and no network code. One question at a time, in order of arrival, which is the order of
  decision: the journal needs no lock.
- Nobody is believed. The gateway brings tokens and wishes, the chain process brings facts and news; both
  are checked here again, against this process's own
  clock, journal and ranges.
- A socket is a privilege. It listens on one socket per asker; which file a peer can open decides what it
  may ask (``monitor``), its uid confirms it.

The way of a wish: ``accept`` → ``seal`` (``facts`` bounded, ``weights`` conformed, ``compose``) →
``follow``; all three write to ``journal``, and only ``journal`` does.
"""
