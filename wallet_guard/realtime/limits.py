"""Ceilings and deadlines of realtime messaging, with their reasons. Sizes of the format are `signed.frames`'."""

from typing import Final, NamedTuple

from wallet_guard.signed.frames import MAX_FRAME_BYTES, MAX_MESSAGES

HIGH_BYTES: Final = 64 * 1024
"""Unread by a peer; above it messages wait where priorities still count, until the peer has read most of it."""


READ_BYTES: Final = 16 * 1024
"""Read of one peer before the others have their turn: some 30 frames, whose signatures take 3 ms."""


class RealtimeLimits(NamedTuple):
    """One manager, either side."""

    # A prediction has under 1 kB and 64 KiB hold a frame of 64; a miner takes game updates of any size of the format.
    max_frame_bytes: int = 64 * 1024
    max_messages: int = MAX_MESSAGES  # in one frame of ours
    rate_per_second: float = 100.0  # messages that a peer may keep up; beyond it is read more slowly, nothing is lost
    burst: float = 1000.0  # and at once; what waits after a reconnect fits
    hello_seconds: float = 10.0  # from 101 to hello (server), to welcome (client)
    connect_seconds: float = 10.0
    pong_seconds: float = 20.0  # for the answer to a ping, on top of the heartbeat interval
    handler_seconds: float = 30.0  # for an async handler and one message; it is cancelled then
    max_waiting: int = 64  # messages of a peer that wait for its handlers, before it is read no further
    resend_seconds: float = 5.0  # without ack on a connection that lives; then doubled each time, up to 60 s
    max_queued: int = 1024  # messages for one peer; then the oldest best-effort one goes, or a reliable one is refused
    max_queued_bytes: int = 4 * 1024 * 1024
    max_peers: int = 4096  # hotkeys remembered; netuids hold 256 each
    max_openings: int = 256  # connections without hello, of all addresses together; 503
    max_openings_per_address: int = 64  # so that nobody can hold them all; 429
    attempts_per_minute: int = 30  # failed openings or frames of one address; then 429 before any signature is checked
    registration_seconds: float = 30.0  # between two looks at who is registered
    max_connections: int = 12_000
    max_connections_per_address: int = 512  # subnets share machines, and NAT


MINER_LIMITS = RealtimeLimits(max_frame_bytes=MAX_FRAME_BYTES, rate_per_second=1000.0, burst=10_000.0)
VALIDATOR_LIMITS = RealtimeLimits()
